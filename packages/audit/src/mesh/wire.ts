// The graph of a running mesh, as it comes over the wire (`GET /v1/mesh/graph`): asked for once, bounded, and checked as far as it is used.
//   ME1. What does not answer, or not with a graph, throws AUDIT_MESH_UNREADABLE, which names the address and never a key.

import type { MeshGraphWire } from '@ripstop/protocol'
import { auditError } from '../codes.ts'

const PATIENCE_MS = 10_000
const BYTES_MAX = 50_000_000

/** The part of a graph that is looked at; the mesh may be of another version and say more. */
export type MeshGraph = Pick<MeshGraphWire, 'at' | 'processes' | 'components' | 'uses' | 'links'>
export type MeshLink = MeshGraph['links'][number]

/** `key`: an API key that may read the mesh; undefined: it asks for none. */
export async function readMeshGraph(address: string, key: string | undefined): Promise<MeshGraph> {
  const url = addressOf(address)
  const fail = (why: string, cause?: unknown): Error =>
    auditError('AUDIT_MESH_UNREADABLE', `${url.href}: ${why}`, { cause })
  const text = await fetchText(url, key, fail)
  let body: unknown
  try {
    body = JSON.parse(text)
  } catch (cause) {
    throw fail('the answer is no JSON', cause)
  }
  const graph = (body as { readonly data?: unknown } | null)?.data
  if (!isGraph(graph)) throw fail('the answer is no graph of a mesh')
  return graph
}

function addressOf(address: string): URL {
  const url = URL.canParse(address) ? new URL(address) : undefined
  if (url === undefined || !/^https?:$/.test(url.protocol) || url.username !== '')
    throw auditError('AUDIT_USAGE', '--mesh takes the address of a mesh, such as http://127.0.0.1:3000')
  return new URL('/v1/mesh/graph', url)
}

async function fetchText(
  url: URL,
  key: string | undefined,
  fail: (why: string, cause?: unknown) => Error,
): Promise<string> {
  const headers: Record<string, string> = key === undefined ? {} : { authorization: `Bearer ${key}` }
  let response: Response
  try {
    response = await fetch(url, { headers, redirect: 'error', signal: AbortSignal.timeout(PATIENCE_MS) })
  } catch (cause) {
    const isSilent = cause instanceof Error && cause.name === 'TimeoutError'
    throw fail(
      isSilent ? `nobody answers within ${PATIENCE_MS / 1_000} s` : 'nobody is there, or it sends elsewhere',
      cause,
    )
  }
  if (!response.ok) throw fail(`the answer is ${response.status}`)
  const chunks: Uint8Array[] = []
  let bytes = 0
  try {
    for await (const chunk of response.body ?? []) {
      bytes += chunk.length
      if (bytes > BYTES_MAX) throw fail('the answer is too large')
      chunks.push(chunk)
    }
  } catch (cause) {
    throw fail('the answer broke off', cause)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function isGraph(value: unknown): value is MeshGraph {
  const { at, processes, components, uses, links } = recordOf(value)
  return (
    typeof at === 'string' &&
    isListOf(processes, (one) => typeof one === 'string') &&
    isListOf(components, (one) => hasTexts(one, ['name', 'kind'])) &&
    isListOf(uses, (one) => hasTexts(one, ['component', 'link', 'need'])) &&
    isListOf(links, isLink)
  )
}

function isLink(value: unknown): boolean {
  const link = recordOf(value)
  const { retry, bulkhead } = recordOf(link.guarantees)
  const { state, transitions } = recordOf(link.live)
  const { hard, soft } = recordOf(link.blast_radius)
  return (
    hasTexts(value, ['process', 'name', 'to', 'kind', 'target']) &&
    [retry, bulkhead].every((one) => typeof one === 'object' && one !== null) &&
    typeof state === 'string' &&
    [transitions, hard, soft].every(Array.isArray)
  )
}

function hasTexts(value: unknown, fields: readonly string[]): boolean {
  const record = recordOf(value)
  return fields.every((field) => typeof record[field] === 'string')
}

function isListOf(value: unknown, isOne: (one: unknown) => boolean): boolean {
  return Array.isArray(value) && value.every(isOne)
}

function recordOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {}
}
