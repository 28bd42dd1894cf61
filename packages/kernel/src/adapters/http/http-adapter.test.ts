import { once } from 'node:events'
import { createServer, type RequestListener, type Server } from 'node:http'
import { type AddressInfo, createServer as createTcpServer, type Socket } from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'
import { background, createEnv, type GuaranteesInput, hasCode, type Link, Mesh } from '../../index.ts'
import { createHttpAdapter, failedAnswer, type HttpAdapterOptions, type HttpPool, httpFault } from './index.ts'

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

interface Peer {
  readonly port: number
  readonly server: Server
  readonly seen: string[]
  /** New connections so far. */
  connections: number
}

async function startPeer(listener: RequestListener, port = 0): Promise<Peer> {
  const seen: string[] = []
  const server = createServer((request, response) => {
    seen.push(`${request.method} ${request.url}`)
    listener(request, response)
  })
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  const peer: Peer = { port: (server.address() as AddressInfo).port, server, seen, connections: 0 }
  server.on('connection', () => {
    peer.connections++
  })
  open.defer(() => stop(server))
  return peer
}

async function stop(server: Server): Promise<void> {
  const closed = new Promise((resolve) => server.close(resolve))
  server.closeAllConnections()
  await closed
}

function startLink(
  port: number,
  options: Partial<HttpAdapterOptions> = {},
  guarantees: Partial<GuaranteesInput> = {},
): Link<HttpPool> {
  const mesh = new Mesh(createEnv())
  const adapter = createHttpAdapter({ origin: `http://127.0.0.1:${port}`, ...options })
  const link = mesh.link('peer', adapter, { deadlineMs: 1_000, heartbeatMs: 100, probeDeadlineMs: 200, ...guarantees })
  open.defer(async () => {
    using ctx = background(mesh.env).within(50)
    await mesh.drain(ctx)
  })
  link.start()
  return link
}

const root = background(createEnv())
const get = (link: Link<HttpPool>, path: string) =>
  link.call(root, (http, ctx) => http.request(ctx, { method: 'GET', path }))

describe('probes', () => {
  test('L2: without a path any answer to HEAD / is proof, on one connection that is kept', async () => {
    const peer = await startPeer((_request, response) => {
      response.statusCode = 500
      response.end()
    })
    const link = startLink(peer.port)
    await until('several probes were answered', () => peer.seen.length >= 4)
    expect(link.state).toBe('up')
    expect(new Set(peer.seen)).toEqual(new Set(['HEAD /']))
    expect(peer.connections).toBe(1)
  })

  test('L2: with a path a 5xx is no proof, and anything else is', async () => {
    let status = 503
    const peer = await startPeer((_request, response) => {
      response.statusCode = status
      response.end('x'.repeat(1_000))
    })
    const link = startLink(peer.port, { probe: { path: '/health' } })
    await until('it was refused twice', () => peer.seen.length >= 2)
    expect(link.state).not.toBe('up')
    status = 404
    await until('the link is up', () => link.state === 'up')
    expect(new Set(peer.seen)).toEqual(new Set(['GET /health']))
  })

  test('L6: a pool whose connections all hang does not make a living peer look dead', async () => {
    const peer = await startPeer((request, response) => {
      if (request.url === '/') response.end()
    })
    const link = startLink(peer.port, { connections: 2 }, { deadlineMs: 400, breaker: 'none' })
    await until('the link is up', () => link.state === 'up')
    const outcomes = await Promise.allSettled([1, 2, 3, 4].map((index) => get(link, `/hang/${index}`)))
    expect(outcomes.every(({ status }) => status === 'rejected')).toBe(true)
    expect(link.snapshot().transitions.map(({ to }) => to)).not.toContain('down')
  })

  test('an endless answer to a probe is proof and is cut off', async () => {
    const peer = await startPeer((_request, response) => {
      const write = (): void => {
        while (!response.destroyed && response.write('x'.repeat(10_000))) {}
        if (!response.destroyed) response.once('drain', write)
      }
      write()
    })
    const link = startLink(peer.port, { probe: { path: '/health' } })
    await until('the link is up', () => link.state === 'up')
    await until('it is probed again', () => peer.seen.length >= 3)
    expect(link.state).toBe('up')
  })
})

describe('requests', () => {
  test('JSON goes out and comes back, whatever the status', async () => {
    const peer = await startPeer(async (request, response) => {
      if (request.method === 'HEAD') return void response.end()
      const chunks: Buffer[] = []
      for await (const chunk of request) chunks.push(chunk as Buffer)
      response.statusCode = 409
      response.setHeader('x-type', request.headers['content-type'] ?? 'none')
      response.end(JSON.stringify({ got: JSON.parse(Buffer.concat(chunks).toString()) }))
    })
    const link = startLink(peer.port, {}, { whenDown: 'wait' })
    const answer = await link.call(root, (http, ctx) =>
      http.request(ctx, { method: 'POST', path: '/x?y=1', json: { a: ['é'] } }),
    )
    expect([answer.status, answer.headers['x-type'], answer.json()]).toEqual([
      409,
      'application/json',
      { got: { a: ['é'] } },
    ])
    expect(peer.seen).toContain('POST /x?y=1')
  })

  test('an answer that is too long, or not JSON, is a failure of the peer', async () => {
    const peer = await startPeer((_request, response) => response.end('y'.repeat(5_000)))
    const link = startLink(peer.port, {}, { whenDown: 'wait' })
    const answer = await get(link, '/')
    expect(() => answer.json()).toThrow('not JSON')
    const tooLong = link.call(root, (http, ctx) =>
      http.request(ctx, { method: 'GET', path: '/', answerBytesMax: 4_999 }),
    )
    await expect(tooLong).rejects.toMatchObject({ code: 'PEER_FAILED', sent: 'maybe' })
  })

  test('failedAnswer makes a 5xx or 429 count and be tried again, with the time that the peer named', async () => {
    let asked = 0
    const peer = await startPeer((request, response) => {
      if (request.method === 'GET' && ++asked < 3) response.statusCode = 503
      response.end('fine')
    })
    const link = startLink(peer.port, {}, { whenDown: 'wait', retry: { attempts: 3, baseMs: 1 } })
    const answer = await link.call(root, (http, ctx) => http.request(ctx, { method: 'GET', path: '/' }), {
      idempotent: true,
      failed: failedAnswer,
    })
    expect([answer.text(), asked]).toEqual(['fine', 3])
    expect(failedAnswer({ status: 429, headers: { 'retry-after': '2' } })).toMatchObject({
      retryAfterMs: 2_000,
      sent: 'maybe',
    })
    expect(failedAnswer({ status: 404, headers: {} })).toBeUndefined()
  })

  test('L5: a deadline takes the request back from the peer', async () => {
    let isClosed = false
    const peer = await startPeer((request, response) => {
      if (request.method === 'HEAD') return void response.end()
      response.on('close', () => {
        isClosed = true
      })
    })
    const link = startLink(peer.port, {}, { whenDown: 'wait', deadlineMs: 150 })
    await expect(get(link, '/')).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED', sent: 'maybe' })
    await until('the peer knows', () => isClosed)
  })
})

describe('failures say whether anything was sent', () => {
  test('L7: no connection: no', async () => {
    const peer = await startPeer((_request, response) => response.end())
    const link = startLink(peer.port, {}, { heartbeatMs: 60_000 })
    await until('the link is up', () => link.state === 'up')
    await stop(peer.server)
    await expect(get(link, '/')).rejects.toMatchObject({ code: 'LINK_DOWN', sent: 'no' })
  })

  test('L7: a connection that breaks before the answer, or answers garbage: maybe', async () => {
    const sockets: Socket[] = []
    let say = ''
    const server = createTcpServer((socket) => {
      sockets.push(socket)
      socket.on('error', () => {})
      socket.on('data', (bytes) => {
        if (bytes.toString().startsWith('HEAD')) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')
        else if (say === '') socket.resetAndDestroy()
        else socket.end(say)
      })
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    open.defer(() => {
      for (const socket of sockets) socket.destroy()
      server.close()
    })
    const link = startLink((server.address() as AddressInfo).port, {}, { breaker: 'none' })
    await until('the link is up', () => link.state === 'up')
    await expect(get(link, '/')).rejects.toMatchObject({ code: 'LINK_LOST', sent: 'maybe' })
    const garbage: Readonly<Record<string, string>> = {
      'SSH-2.0-OpenSSH\r\n\r\n': 'PEER_FAILED',
      'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!': 'PEER_FAILED',
      'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf': 'LINK_LOST',
    }
    for (const [answer, code] of Object.entries(garbage)) {
      say = answer
      const failure = await get(link, '/').catch((error: unknown) => error)
      expect(failure, answer).toMatchObject({ sent: 'maybe' })
      expect([code, 'PEER_FAILED'], answer).toContain((failure as { code: string }).code)
    }
    expect(link.state).toBe('up')
  })

  test('codes are read in one place, and a mistake of the caller is none of them', () => {
    const coded = (code: string) => Object.assign(new Error('x'), { code })
    expect(httpFault(coded('ECONNREFUSED'))).toMatchObject({ code: 'LINK_DOWN', sent: 'no' })
    expect(httpFault(coded('UND_ERR_CONNECT_TIMEOUT'))).toMatchObject({ code: 'LINK_DOWN', sent: 'no' })
    expect(httpFault(coded('CERT_HAS_EXPIRED'))).toMatchObject({ code: 'LINK_DOWN', sent: 'no' })
    expect(httpFault(coded('EMFILE'))).toMatchObject({ sent: 'no' })
    expect(httpFault(coded('ECONNRESET'))).toMatchObject({ code: 'LINK_LOST', sent: 'maybe' })
    expect(httpFault(coded('ECONNRESET'), false)).toMatchObject({ code: 'LINK_LOST', sent: 'no' })
    expect(httpFault(coded('UND_ERR_HEADERS_TIMEOUT'))).toMatchObject({ code: 'DEADLINE_EXCEEDED', sent: 'maybe' })
    expect(httpFault(coded('UND_ERR_INVALID_ARG'))).toBeUndefined()
    expect(httpFault(new TypeError('x'))).toBeUndefined()
    expect(httpFault('x')).toBeUndefined()
  })
})

describe('generations', () => {
  test('L10: a renewed pool lets what is under way finish, and closes its connections after it', async () => {
    let finish: (() => void) | undefined
    const peer = await startPeer((request, response) => {
      if (request.url === '/slow') finish = () => void response.end('done')
      else response.end()
    })
    const link = startLink(peer.port, {}, { whenDown: 'wait', deadlineMs: 5_000 })
    const slow = get(link, '/slow')
    await until('it is under way', () => finish !== undefined)
    const before = link.snapshot().generation
    link.renew()
    await until('a younger generation serves', () => link.snapshot().generation > before && link.state === 'up')
    await get(link, '/young')
    finish?.()
    expect((await slow).text()).toBe('done')
    await until('only the connections of the younger are open', () => countOf(peer.server) <= 2)
  })

  test('a drained pool is destroyed: nothing of it keeps a connection', async () => {
    const peer = await startPeer((_request, response) => response.end())
    const link = startLink(peer.port, {}, { whenDown: 'wait' })
    await get(link, '/')
    using ctx = root.within(100)
    await link.drain(ctx)
    await until('no connection is left', () => countOf(peer.server) === 0)
    await expect(get(link, '/')).rejects.toMatchObject({ code: 'LINK_CLOSED' })
  })

  test('the gauges of the pool are in the snapshot', async () => {
    const peer = await startPeer((_request, response) => response.end())
    const link = startLink(peer.port, { connections: 3 }, { whenDown: 'wait' })
    await get(link, '/')
    expect(link.snapshot().pool).toEqual({ size: 1, inUse: 0, waiting: 0 })
  })
})

let counted = 0
function countOf(server: Server): number {
  server.getConnections((_error, count) => {
    counted = count
  })
  return counted
}

test('settings out of range are refused together', () => {
  for (const origin of ['ftp://x', 'http://x/path', 'http://user@x', 'x']) {
    expect(() => createHttpAdapter({ origin }), origin).toThrow('origin')
  }
  try {
    createHttpAdapter({ origin: 'http://x', connections: 0, connectTimeoutMs: -1 })
    expect.unreachable()
  } catch (error) {
    expect(hasCode(error, 'CONFIG_INVALID')).toBe(true)
    expect(String(error)).toMatch(/connections is 0.*connectTimeout is -1|connectTimeout is -1.*connections is 0/)
  }
})
