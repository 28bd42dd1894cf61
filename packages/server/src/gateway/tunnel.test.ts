// WebSockets that pass through, on real sockets and a real server of ws.

import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { background, RipstopError } from '@ripstop/kernel'
import { afterEach, describe, expect, test } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import {
  createTestRoute,
  createTestUpstreamConfig,
  openRaw,
  sendRaw,
  startTestGateway,
  startTestUpstream,
  type TestGateway,
  type TestGatewayOptions,
} from '../testing/gateway.ts'
import { until } from '../testing/processes.ts'
import type { GatewayRouteConfig, GatewayUpstreamConfig } from './config.ts'

let open = new AsyncDisposableStack()
afterEach(async () => {
  await open.disposeAsync()
  open = new AsyncDisposableStack()
})

interface Bed extends Partial<Omit<TestGatewayOptions, 'upstreams' | 'routes'>> {
  readonly route?: Partial<GatewayRouteConfig>
  readonly upstream?: Partial<GatewayUpstreamConfig>
  readonly onConnection?: (socket: WebSocket) => void
}

/** A gateway before a server that echoes. */
async function start(
  bed: Bed = {},
): Promise<{ gateway: TestGateway; peers: Set<WebSocket>; heads: Record<string, unknown>[] }> {
  const upstream = open.use(await startTestUpstream((_request, response) => void response.end('plain')))
  const sockets = new WebSocketServer({ server: upstream.server })
  const heads: Record<string, unknown>[] = []
  sockets.on('connection', (socket, request) => {
    heads.push({ url: request.url, ...request.headers })
    if (bed.onConnection !== undefined) return bed.onConnection(socket)
    socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }))
  })
  const { route, upstream: more, onConnection: _, ...options } = bed
  const gateway = open.use(
    await startTestGateway({
      upstreams: [createTestUpstreamConfig('up', upstream.port, more)],
      routes: [createTestRoute('/ws', 'up', { websocket: true, ...route }), createTestRoute('/plain', 'up')],
      ...options,
    }),
  )
  return { gateway, peers: sockets.clients, heads }
}

const dial = (gateway: TestGateway, path = '/ws', options = {}): WebSocket =>
  new WebSocket(`ws://127.0.0.1:${gateway.port}${path}`, ['chat'], options)

const HANDSHAKE = [
  'GET /ws HTTP/1.1',
  'Host: x',
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
]
const handshake = (...more: string[]): string =>
  [...HANDSHAKE, 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==', ...more, '', ''].join('\r\n')

describe('tunnels', () => {
  test('carry messages both ways, of any kind and size, with the subprotocol that was agreed on', async () => {
    const { gateway, heads } = await start()
    const socket = dial(gateway, '/ws/room?x=1', { headers: { 'x-forwarded-for': '6.6.6.6', 'x-own': 'yes' } })
    await once(socket, 'open')
    expect(socket.protocol).toBe('chat')
    const large = Buffer.alloc(3_000_000, 7)
    for (const message of ['hello', large, '']) {
      socket.send(message)
      const [data] = (await once(socket, 'message')) as [Buffer]
      expect(Buffer.from(message).equals(data)).toBe(true)
    }
    socket.close(1000)
    await once(socket, 'close')
    expect(heads[0]).toMatchObject({ url: '/ws/room?x=1', 'x-own': 'yes', 'x-forwarded-for': '127.0.0.1' })
    expect(heads[0]?.traceparent).toMatch(/^00-/)
  })

  test('a message that comes with the handshake is not lost', async () => {
    const { gateway } = await start()
    const { socket, answer } = await openRaw(gateway.port)
    const frame = Buffer.from([0x81, 0x85, 0, 0, 0, 0, ...Buffer.from('early')])
    socket.write(Buffer.concat([Buffer.from(handshake()), frame]))
    await until('it is echoed', () => answer().includes('early'))
    expect(answer()).toMatch(/^HTTP\/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n/)
    expect(answer().match(/upgrade: websocket/gi)).toHaveLength(1)
    socket.destroy()
  })

  test('TU1: whichever side leaves, the other is told', async () => {
    const { gateway, peers } = await start()
    const first = dial(gateway)
    await once(first, 'open')
    first.terminate()
    await until('the upstream is rid of it', () => peers.size === 0)
    const second = dial(gateway)
    await once(second, 'open')
    for (const peer of peers) peer.terminate()
    await once(second, 'close')
    const reset = dial(gateway)
    await once(reset, 'open')
    // The socket under ws: a reset is the one end that brings no FIN.
    for (const peer of peers) (peer as unknown as { _socket: Socket })._socket.resetAndDestroy()
    await once(reset, 'close')
    const third = dial(gateway)
    await once(third, 'open')
    for (const peer of peers) peer.close(1000, 'bye')
    const [code] = await once(third, 'close')
    expect(code).toBe(1000)
  })

  test('TU1: places come back, however a tunnel ends', async () => {
    const { gateway, peers } = await start({ limits: { tunnels: 2 } })
    for (let round = 0; round < 5; round++) {
      const socket = dial(gateway)
      await once(socket, 'open')
      if (round % 2 === 0) socket.terminate()
      else for (const peer of peers) peer.terminate()
      await until('it is over', () => peers.size === 0)
    }
    const held = dial(gateway)
    await once(held, 'open')
    const refused = await sendRaw(gateway.port, handshake())
    expect(refused).toMatch(/^HTTP\/1.1 503[\s\S]*OVERLOADED/)
    held.terminate()
  })

  test('TU2: a side that takes nothing is cut off', async () => {
    const { gateway, peers } = await start({
      limits: { idleMs: 100 },
      onConnection: (socket) => {
        const piece = Buffer.alloc(1_000_000)
        for (let index = 0; index < 40; index++) socket.send(piece)
      },
    })
    const { socket } = await openRaw(gateway.port)
    socket.pause()
    socket.write(handshake())
    await until('the upstream has it', () => peers.size === 1)
    await until('it was cut off', () => peers.size === 0)
    socket.destroy()
  })

  test('a quiet tunnel with nothing to carry stays', async () => {
    const { gateway } = await start({ limits: { idleMs: 40 } })
    const socket = dial(gateway)
    await once(socket, 'open')
    await new Promise((resolve) => setTimeout(resolve, 300)) // several times the idle bound: what is tested is that time passes
    socket.send('still here')
    const [data] = (await once(socket, 'message')) as [Buffer]
    expect(String(data)).toBe('still here')
    socket.terminate()
  })
})

describe('handshakes that are refused', () => {
  test('pass the same guard as any request', async () => {
    const { gateway } = await start({
      route: { access: 'key', scopes: ['chat'], rateLimit: { perMinute: 2, by: 'both' } },
      authenticate: (request) => {
        if (request.headers['x-api-key'] === undefined) throw new RipstopError('UNAUTHENTICATED', 'no key')
        return { tenantId: 't', keyId: 'k', scopes: [] }
      },
    })
    expect(await sendRaw(gateway.port, handshake())).toMatch(/^HTTP\/1.1 401[\s\S]*UNAUTHENTICATED/)
    expect(await sendRaw(gateway.port, handshake('X-Api-Key: rs_1'))).toMatch(/^HTTP\/1.1 403[\s\S]*FORBIDDEN/)
    expect(await sendRaw(gateway.port, handshake('X-Api-Key: rs_1'))).toMatch(/^HTTP\/1.1 429[\s\S]*Retry-After: /)
  })

  test('an upstream that says no is heard', async () => {
    const upstream = open.use(
      await startTestUpstream((_request, response) => {
        response.writeHead(418, { 'x-why': 'teapot' })
        response.end('no sockets here')
      }),
    )
    const gateway = open.use(
      await startTestGateway({
        upstreams: [createTestUpstreamConfig('up', upstream.port)],
        routes: [createTestRoute('/ws', 'up', { websocket: true })],
      }),
    )
    const answer = await sendRaw(gateway.port, handshake())
    expect(answer).toMatch(/^HTTP\/1.1 418 [\s\S]*x-why: teapot[\s\S]*\r\n\r\nno sockets here$/)
    expect(answer.match(/content-length: /gi)).toHaveLength(1)
  })

  test('one that hangs ends at the deadline, one that is gone at once', async () => {
    const upstream = open.use(await startTestUpstream(() => {}))
    upstream.server.on('upgrade', () => {}) // neither yes nor no
    const gateway = open.use(
      await startTestGateway({
        upstreams: [createTestUpstreamConfig('up', upstream.port), createTestUpstreamConfig('gone', 1)],
        routes: [
          createTestRoute('/ws', 'up', { websocket: true, deadlineMs: 150 }),
          createTestRoute('/gone', 'gone', { websocket: true }),
        ],
        awaitUp: false,
      }),
    )
    await until('the link is up', () => gateway.link('up').state === 'up')
    expect(await sendRaw(gateway.port, handshake())).toMatch(/^HTTP\/1.1 504[\s\S]*DEADLINE_EXCEEDED/)
    expect(await sendRaw(gateway.port, handshake().replace('/ws', '/gone'))).toMatch(/^HTTP\/1.1 503[\s\S]*LINK_DOWN/)
    await until('nothing is under way', () => gateway.link('up').inFlight === 0)
  })

  test('a route without WebSockets takes none, and ignores other upgrades', async () => {
    const { gateway } = await start()
    const isWhole = (all: string) => all.endsWith('plain')
    const asked = await sendRaw(gateway.port, handshake().replace('/ws', '/plain'), isWhole)
    expect(asked).toMatch(/^HTTP\/1.1 200/) // an ordinary request, as it is for a server that knows no upgrades
    const h2c =
      'GET /plain HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n'
    const answer = await sendRaw(gateway.port, h2c, isWhole)
    expect(answer).toMatch(/^HTTP\/1.1 200/)
  })

  test('a client that leaves in the middle of a handshake frees its place', async () => {
    const upstream = open.use(await startTestUpstream(() => {}))
    const seen: Socket[] = []
    upstream.server.on('upgrade', (_request, socket) => void seen.push(socket as Socket))
    const gateway = open.use(
      await startTestGateway({
        upstreams: [createTestUpstreamConfig('up', upstream.port)],
        routes: [createTestRoute('/ws', 'up', { websocket: true })],
      }),
    )
    const client = connect({ port: gateway.port, host: '127.0.0.1' })
    client.write(handshake())
    await until('the upstream hears of it', () => seen.length === 1)
    client.destroy()
    seen[0]?.resume()
    await until('the upstream is rid of it', () => seen[0]?.closed === true || seen[0]?.readableEnded === true)
    await until('nothing is under way', () => gateway.link('up').inFlight === 0)
  })
})

describe('draining', () => {
  test('ends tunnels within its bound, even those whose client does not answer', async () => {
    const { gateway, peers } = await start()
    const polite = dial(gateway)
    await once(polite, 'open')
    const { socket } = await openRaw(gateway.port)
    socket.pause()
    socket.write(handshake())
    await until('both are through', () => peers.size === 2)
    const closed = once(polite, 'close')
    using ctx = background(gateway.mesh.env).within(200)
    const startedMs = performance.now()
    await gateway.gateway.drain(ctx)
    expect(performance.now() - startedMs).toBeLessThan(2_000)
    await closed
    await until('the upstream is rid of both', () => peers.size === 0)
    expect(await sendRaw(gateway.port, handshake())).toMatch(/^HTTP\/1.1 503[\s\S]*LINK_CLOSED/)
    socket.destroy()
  })
})
