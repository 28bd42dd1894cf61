// For tests of commands: a server that answers as it is told, a terminal that remembers, and a command run as a function.

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import type { CommandDoc, Terminal } from './terminal.ts'

export interface Seen {
  readonly method: string
  readonly url: URL
  readonly headers: IncomingMessage['headers']
  readonly body: unknown
}

/** What is to be answered: a status and a body, or whatever the function does. */
export type Reply =
  | { readonly status?: number; readonly body?: unknown }
  | ((seen: Seen, response: ServerResponse) => void)

export interface FakeMesh extends AsyncDisposable {
  readonly url: string
  readonly seen: Seen[]
  /** Replies to `GET /path`, one after the other; the last one stays. */
  readonly on: (request: string, ...replies: readonly Reply[]) => void
}

export async function startFakeMesh(): Promise<FakeMesh> {
  const replies = new Map<string, Reply[]>()
  const seen: Seen[] = []
  const server = createServer(async (request, response) => {
    const url = new URL(request.url ?? '/', 'http://mesh')
    const said = await text(request)
    const method = request.method ?? ''
    const one: Seen = { method, url, headers: request.headers, body: said === '' ? undefined : JSON.parse(said) }
    seen.push(one)
    const queue = replies.get(`${method} ${url.pathname}`)
    const reply = queue === undefined || queue.length < 2 ? queue?.[0] : queue.shift()
    if (typeof reply === 'function') return reply(one, response)
    const missing = { error: { code: 'NOT_FOUND', message: `there is nothing at ${method} ${url.pathname}` } }
    response.writeHead(reply === undefined ? 404 : (reply.status ?? 200), { 'content-type': 'application/json' })
    response.end(JSON.stringify(reply === undefined ? missing : (reply.body ?? { data: {} })))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    on: (request, ...next) => void replies.set(request, [...next]),
    [Symbol.asyncDispose]: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

export interface Ran {
  readonly code: number
  readonly out: string
  readonly error: string
}

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>
  readonly input?: string
  readonly isWatched?: boolean
  readonly stopped?: Promise<string>
  readonly cwd?: string
  readonly said?: (out: string, error: string) => void
}

/** A command as `ripstop` runs it, against the mesh at `url`. What it throws, it throws. */
export async function runCommand(
  command: CommandDoc,
  url: string,
  argv: readonly string[],
  options: RunOptions = {},
): Promise<Ran> {
  const said = { out: '', error: '' }
  const hear = (stream: 'out' | 'error') => (more: string) => {
    said[stream] += more
    options.said?.(said.out, said.error)
  }
  const terminal: Terminal = {
    argv,
    cwd: options.cwd ?? '/',
    env: { RIPSTOP_URL: url, ...options.env },
    out: hear('out'),
    error: hear('error'),
    input: async () => options.input ?? '',
    isWatched: options.isWatched ?? false,
    stopped: () => options.stopped ?? new Promise(() => {}),
  }
  return { code: await command.run(terminal), ...said }
}
