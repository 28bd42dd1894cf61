import { RipstopError } from '@ripstop/kernel'
import type { Terminal } from './terminal.ts'

const PATIENCE_MS = 5_000

/** Where the mesh is: --url, else RIPSTOP_URL, else the default port on this machine. */
export function meshBaseUrl(terminal: Terminal, given: string | undefined): string {
  return given ?? terminal.env.RIPSTOP_URL ?? `http://127.0.0.1:${terminal.env.PORT ?? '3000'}`
}

/** One request to a running mesh. Gives `data`; throws with what the mesh says, or that none is there. */
export async function readMesh(base: string, path: string, terminal: Terminal): Promise<unknown> {
  const key = terminal.env.RIPSTOP_KEY
  const headers: Record<string, string> = key === undefined ? {} : { authorization: `Bearer ${key}` }
  const response = await ask(new URL(path, base), { headers })
  const body = (await response.json()) as { readonly data?: unknown; readonly error?: { readonly message?: string } }
  if (response.ok) return body.data
  throw new RipstopError('PEER_REFUSED', body.error?.message ?? `the mesh answered ${response.status}`)
}

/** `fetch`, bounded, with an error that names the address. */
export async function ask(url: URL, init: RequestInit = {}): Promise<Response> {
  try {
    return await fetch(url, { ...init, signal: AbortSignal.timeout(PATIENCE_MS) })
  } catch (error) {
    throw new RipstopError('LINK_DOWN', `nothing answers at ${url.origin}: is it running?`, {
      cause: error,
      sent: 'maybe',
    })
  }
}
