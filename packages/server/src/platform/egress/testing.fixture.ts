// Peers that do exactly this, for the tests of egress.

import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { background, createEnv } from '@ripstop/kernel'
import type { Destination } from './destination.ts'
import { createEgress, type Egress, type EgressOptions } from './egress.ts'
import type { EgressAnswer } from './exchange.ts'

export const env = createEnv()
export const root = background(env)

export interface Peer {
  readonly port: number
  readonly url: URL
  readonly sockets: Socket[]
  /** The heads and bodies that came, as they came. */
  readonly bytes: () => string
}

export const answer = (body = 'ok', head = ''): string =>
  `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n${head}\r\n${body}`

/** What it gets goes to `onData`, one call for each request of `send`. */
export async function startPeer(
  open: AsyncDisposableStack,
  onData: (socket: Socket, text: string) => void = (socket) => socket.write(answer()),
  host = '127.0.0.1',
  port = 0,
): Promise<Peer> {
  const sockets: Socket[] = []
  let seen = ''
  const server = createServer((socket) => {
    sockets.push(socket)
    socket.on('error', () => {}) // clients cut it
    socket.on('data', (data) => {
      seen += data.toString('latin1')
      onData(socket, data.toString('latin1'))
    })
  })
  server.listen(port, host)
  await once(server, 'listening')
  open.defer(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const bound = (server.address() as AddressInfo).port
  return { port: bound, url: new URL(`http://${host}:${bound}/hook`), sockets, bytes: () => seen }
}

export function startEgress(open: AsyncDisposableStack, options: Partial<EgressOptions> = {}): Egress {
  return open.use(createEgress({ env, allow: ['127.0.0.1/32'], ...options }))
}

export function send(
  egress: Egress,
  url: URL | Destination,
  ms = 5_000,
  answerBytesMax = 1_000,
): Promise<EgressAnswer> {
  return egress.request(root.within(ms), { url, method: 'POST', headers: {}, body: 'x', answerBytesMax })
}

/** What it rejects with, in short. */
export async function failure(promise: Promise<unknown>) {
  const error = await promise.then(
    (value) => new Error(`it did not fail: ${JSON.stringify(value)}`),
    (reason: unknown) => reason,
  )
  const { code, sent, details } = error as { code: string; sent: string; details: Record<string, unknown> }
  if (code === undefined) throw error
  return { code, sent, details }
}
