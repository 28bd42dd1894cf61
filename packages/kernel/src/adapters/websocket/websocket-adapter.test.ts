import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'
import { WebSocketServer } from 'ws'
import { background, createEnv, type GuaranteesInput, type Link, Mesh } from '../../index.ts'
import {
  createWebsocketAdapter,
  type WebsocketAdapterOptions,
  type WebsocketMessage,
  type WebsocketPeer,
} from './index.ts'

let open = new AsyncDisposableStack()
afterEach(async () => {
  await open.disposeAsync()
  open = new AsyncDisposableStack()
})

async function until(what: string, look: () => boolean, limitMs = 5_000): Promise<void> {
  const endMs = performance.now() + limitMs
  while (!look()) {
    if (performance.now() > endMs) throw new Error(`waited ${limitMs} ms in vain until ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

async function startServer(port = 0): Promise<WebSocketServer> {
  const server = new WebSocketServer({ port, host: '127.0.0.1' })
  await once(server, 'listening')
  server.on('connection', (socket) => {
    socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }))
  })
  open.defer(() => {
    for (const socket of server.clients) socket.terminate()
    server.close()
  })
  return server
}

const portOf = (server: WebSocketServer): number => (server.address() as AddressInfo).port

function startLink(
  port: number,
  options: Partial<WebsocketAdapterOptions> = {},
  guarantees: Partial<GuaranteesInput> = {},
): Link<WebsocketPeer> {
  const mesh = new Mesh(createEnv())
  const adapter = createWebsocketAdapter({ url: `ws://127.0.0.1:${port}/live`, ...options })
  const link = mesh.link('peer', adapter, { deadlineMs: 1_000, heartbeatMs: 100, probeDeadlineMs: 200, ...guarantees })
  open.defer(async () => {
    using ctx = background(mesh.env).within(50)
    await mesh.drain(ctx)
  })
  link.start()
  return link
}

const root = background(createEnv())

describe('a WebSocket link', () => {
  test('carries messages both ways, and misses none between opening and hello', async () => {
    const server = await startServer()
    server.on('connection', (socket) => socket.send('welcome'))
    const heard: WebsocketMessage[] = []
    const link = startLink(portOf(server), {
      hello: async (peer, ctx) => {
        peer.onMessage((message) => heard.push(message))
        await peer.send(ctx, 'hello')
      },
    })
    await until('both are here', () => heard.length === 2)
    await until('the link is up', () => link.state === 'up')
    await link.call(root, (peer, ctx) => peer.send(ctx, new Uint8Array([1, 2])))
    await until('the echo is here', () => heard.length === 3)
    expect(heard).toEqual(['welcome', 'hello', Buffer.from([1, 2])])
  })

  test('L2: a hello that fails or hangs is no link; one that works later is', async () => {
    const server = await startServer()
    let tries = 0
    const link = startLink(
      portOf(server),
      {
        hello: (_peer, ctx) => {
          if (++tries === 1) throw new Error('no')
          if (tries === 2)
            return new Promise((_, reject) => ctx.signal.addEventListener('abort', () => reject(ctx.signal.reason)))
          return undefined
        },
      },
      { openDeadlineMs: 100 },
    )
    await until('the link is up', () => link.state === 'up')
    expect(tries).toBe(3)
    await until('the failed ones are closed', () => server.clients.size === 1)
  })

  test('a closed connection is lost at once, its calls fail, and a new one serves', async () => {
    const server = await startServer()
    const link = startLink(portOf(server), {}, { heartbeatMs: 60_000 })
    await until('the link is up', () => link.state === 'up')
    const call = link.call(root, () => new Promise<never>(() => {}))
    for (const socket of server.clients) socket.close(1012, 'restart')
    await expect(call).rejects.toMatchObject({ code: 'LINK_LOST', sent: 'maybe' })
    await until('a new one serves', () => link.state === 'up' && link.snapshot().generation > 1)
  })

  test('L6: a peer that answers no ping is given up, whatever the connection says', async () => {
    const server = await startServer()
    const sockets = new Set<Socket>()
    let isSilent = false
    const proxy = createServer((client) => {
      const upstream = connect(portOf(server), '127.0.0.1')
      for (const socket of [client, upstream]) {
        sockets.add(socket)
        socket.on('error', () => {})
      }
      client.on('data', (bytes) => void (isSilent || upstream.write(bytes)))
      upstream.on('data', (bytes) => void (isSilent || client.write(bytes)))
    })
    proxy.listen(0, '127.0.0.1')
    await once(proxy, 'listening')
    open.defer(() => {
      for (const socket of sockets) socket.destroy()
      proxy.close()
    })
    const link = startLink((proxy.address() as AddressInfo).port)
    await until('the link is up', () => link.state === 'up')
    isSilent = true
    const silentMs = performance.now()
    await until('the link knows', () => link.state === 'down' || link.state === 'connecting')
    expect(performance.now() - silentMs).toBeLessThan(1_500)
    isSilent = false
    await until('it is up again', () => link.state === 'up')
  })

  test('L2: a pong that answers no ping of ours proves nothing', async () => {
    const server = new WebSocketServer({ port: 0, host: '127.0.0.1', autoPong: false })
    await once(server, 'listening')
    open.defer(() => {
      for (const socket of server.clients) socket.terminate()
      server.close()
    })
    let pings = 0
    server.on('connection', (socket) => {
      socket.on('ping', () => {
        pings++
        socket.pong('of somebody else')
      })
    })
    const link = startLink(portOf(server))
    await until('it was probed twice', () => pings >= 2)
    expect(link.snapshot().transitions.map(({ to }) => to)).not.toContain('up')
  })

  test('WP1: what is unsent is bounded: beyond it a send is refused, having sent nothing', async () => {
    const server = await startServer()
    const link = startLink(portOf(server), { bufferedBytesMax: 1_000_000 }, { breaker: 'none', heartbeatMs: 60_000 })
    await until('the link is up', () => link.state === 'up')
    const one = link.call(root, (peer, ctx) => peer.send(ctx, 'x'.repeat(1_000_001)))
    await expect(one).rejects.toMatchObject({ code: 'OVERLOADED', sent: 'no' })
    for (const socket of server.clients) socket.pause()
    const codes = new Set<unknown>()
    await link
      .call(root, async (peer, ctx) => {
        for (let index = 0; index < 200; index++) {
          // Not awaited: nothing is ever taken while the peer does not read.
          peer.send(ctx, Buffer.alloc(200_000)).catch((error: { code: unknown }) => codes.add(error.code))
          expect(peer.bufferedBytes).toBeLessThan(1_100_000)
        }
      })
      .catch(() => {})
    expect([...codes]).toEqual(['OVERLOADED'])
    for (const socket of server.clients) socket.resume()
  })

  test('a message beyond the bound ends the connection, and the link goes on', async () => {
    const server = await startServer()
    const link = startLink(portOf(server), { payloadBytesMax: 1_000, bufferedBytesMax: 10_000_000 })
    await until('the link is up', () => link.state === 'up')
    await link.call(root, (peer, ctx) => peer.send(ctx, 'x'.repeat(2_000)))
    await until('a new one serves', () => link.state === 'up' && link.snapshot().generation > 1)
  })

  test('a refused handshake names the answer, a refused connection says that nothing was sent', async () => {
    const plain = createServer((socket) => void socket.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n'))
    plain.listen(0, '127.0.0.1')
    await once(plain, 'listening')
    const link = startLink((plain.address() as AddressInfo).port)
    await until('it was tried', () => link.snapshot().why !== undefined)
    expect(link.snapshot().why).toMatch(/403/)
    plain.close()
    await until('nobody listens', () => /no connection|ECONNREFUSED/.test(link.snapshot().why ?? ''))
    await expect(link.call(root, () => 1)).rejects.toMatchObject({ code: 'LINK_DOWN', sent: 'no' })
  })

  test('draining closes politely', async () => {
    const server = await startServer()
    const codes: number[] = []
    server.on('connection', (socket) => void socket.on('close', (code) => codes.push(code)))
    const link = startLink(portOf(server))
    await until('the link is up', () => link.state === 'up')
    using ctx = root.within(100)
    await link.drain(ctx)
    await until('the server was told', () => codes.length === 1)
    expect(codes).toEqual([1001])
  })

  test('a url that is none is refused, and credentials in one are not shown', () => {
    for (const url of ['http://x', 'ws://x/#y', 'x']) expect(() => createWebsocketAdapter({ url }), url).toThrow('url')
    expect(createWebsocketAdapter({ url: 'wss://user:secret@x:1/live?token=y' }).target).toBe('wss://x:1/live')
  })
})
