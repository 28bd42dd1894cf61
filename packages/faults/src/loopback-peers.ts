// Clients and servers for the tests of this package, on real loopback sockets.

import {
  createServer as createHttpServer,
  type Server as HttpServer,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http'
import { connect, createServer, type Server, type Socket } from 'node:net'
import type { Address } from './address.ts'

/** Waits until `condition` holds; fails with `what` after 5 s. */
export async function until(condition: () => boolean, what: string): Promise<void> {
  const endMs = performance.now() + 5_000
  while (!condition()) {
    if (performance.now() > endMs) throw new Error(`never happened: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
}

/** What came over a socket, and how it ended. */
export interface Peer {
  readonly socket: Socket
  readonly text: () => string
  readonly chunks: Buffer[]
  readonly bytes: () => number
  ended: boolean
  closed: boolean
  errorCode: string | undefined
}

function observe(socket: Socket, keep = true): Peer {
  let bytes = 0
  const peer: Peer = {
    socket,
    chunks: [],
    text: () => Buffer.concat(peer.chunks).toString('latin1'),
    bytes: () => bytes,
    ended: false,
    closed: false,
    errorCode: undefined,
  }
  socket.on('data', (chunk: Buffer) => {
    bytes += chunk.length
    if (keep) peer.chunks.push(chunk)
  })
  socket.on('end', () => {
    peer.ended = true
  })
  socket.on('error', (error: NodeJS.ErrnoException) => {
    peer.errorCode = error.code
  })
  socket.on('close', () => {
    peer.closed = true
  })
  return peer
}

/** A client, connected. */
export async function dial(address: Address, keep = true): Promise<Peer> {
  const socket = connect({ host: address.host, port: address.port, allowHalfOpen: true, noDelay: true })
  const peer = observe(socket, keep)
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve)
    // A reset may arrive before the connect is told: it was connected, and `errorCode` says the rest.
    socket.once('error', (error: NodeJS.ErrnoException) => (error.code === 'ECONNRESET' ? resolve() : reject(error)))
  })
  return peer
}

export interface TestServer extends AsyncDisposable {
  readonly address: Address
  readonly peers: Peer[]
}

/** A TCP server; `answer` gets what came on each socket. The default sends it back. */
export async function startServer(
  answer: (socket: Socket, chunk: Buffer) => void = (socket, chunk) => socket.write(chunk),
  greet: (socket: Socket) => void = () => {},
): Promise<TestServer> {
  const peers: Peer[] = []
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    peers.push(observe(socket))
    greet(socket)
    socket.on('data', (chunk: Buffer) => answer(socket, chunk))
  })
  return listen(server, peers)
}

export interface TestHttpServer extends TestServer {
  readonly requests: { readonly method: string; readonly url: string; readonly body: string }[]
}

/** An HTTP server that records its requests and answers `hello` or what `answer` says. */
export async function startHttpServer(
  answer: (request: IncomingMessage, response: ServerResponse) => void = (_request, response) => response.end('hello'),
): Promise<TestHttpServer> {
  const requests: TestHttpServer['requests'] = []
  const server = createHttpServer((request, response) => {
    const parts: Buffer[] = []
    request.on('data', (part: Buffer) => parts.push(part))
    request.on('end', () => {
      requests.push({ method: request.method ?? '', url: request.url ?? '', body: Buffer.concat(parts).toString() })
      answer(request, response)
    })
  })
  return { ...(await listen(server, [])), requests }
}

async function listen(server: Server | HttpServer, peers: Peer[]): Promise<TestServer> {
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const bound = server.address()
  if (bound === null || typeof bound === 'string') throw new Error('not listening')
  return {
    address: { host: '127.0.0.1', port: bound.port },
    peers,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
