// What goes wrong: upstreams that are silent, broken or gone, and clients that leave.

import { once } from 'node:events'
import { createServer as createHttpServer, type RequestListener, type ServerResponse } from 'node:http'
import { startFaultProxy } from '@ripstop/faults'
import { afterEach, describe, expect, test } from 'vitest'
import {
  createTestRoute,
  createTestUpstreamConfig,
  openRaw,
  sendRaw,
  startTestBed,
  startTestGateway,
  startTestUpstream,
  type TestBed,
  type TestGateway,
} from '../testing/gateway.ts'
import { until } from '../testing/processes.ts'

let open = new AsyncDisposableStack()
afterEach(async () => {
  await open.disposeAsync()
  open = new AsyncDisposableStack()
})

const start = (upstream: RequestListener | number, bed?: TestBed) => startTestBed(open, upstream, bed)

const errorOf = async (response: Response) =>
  ((await response.json()) as { error: { code: string; retry_after_ms?: number; details: Record<string, unknown> } })
    .error
const get = 'GET /a HTTP/1.1\r\nHost: x\r\n\r\n'

/** Everything that was held is given back. */
async function expectBaseline(gateway: TestGateway): Promise<void> {
  await until('nothing is under way', () => gateway.link('up').inFlight === 0 && gateway.link('up').waiting === 0)
  await using probe = await fetch(`${gateway.url}/a`).then(() => new AsyncDisposableStack())
  expect(probe.disposed).toBe(false)
}

describe('deadlines', () => {
  test('EX1: an upstream that never answers ends in 504 by the deadline of the route', async () => {
    const gateway = await start(() => {}, { route: { deadlineMs: 150 } })
    const startedMs = performance.now()
    const response = await fetch(`${gateway.url}/a`)
    expect(response.status).toBe(504)
    expect(await errorOf(response)).toMatchObject({
      code: 'DEADLINE_EXCEEDED',
      details: { upstream: 'up', sent: 'maybe' },
    })
    expect(performance.now() - startedMs).toBeLessThan(1_000)
    await until('nothing is under way', () => gateway.link('up').inFlight === 0)
  })

  test('EX1: an answer whose body falls silent is cut off by the idle bound, never ended', async () => {
    const gateway = await start((_request, response) => void response.write('some'), {
      gateway: { limits: { idleMs: 80 } },
    })
    const answer = await sendRaw(gateway.port, get)
    expect(answer).toMatch(/^HTTP\/1.1 200[\s\S]*some/)
    expect(answer).not.toMatch(/\r\n0\r\n\r\n$/)
  })

  test('EX1: a body that takes longer than the deadline arrives as long as it moves', async () => {
    const gateway = await start(
      (_request, response) => {
        let left = 6
        const timer = setInterval(() => {
          response.write('x')
          if (--left > 0) return
          clearInterval(timer)
          response.end('END')
        }, 40)
      },
      { route: { deadlineMs: 100 }, gateway: { limits: { idleMs: 400 } } },
    )
    const response = await fetch(`${gateway.url}/a`)
    expect(await response.text()).toBe('xxxxxxEND')
  })

  test('EX1: a small body that stops coming is 408, and holds nothing at the upstream', async () => {
    let asked = 0
    const gateway = await start((_request, response) => void response.end(String(++asked)), {
      gateway: { limits: { idleMs: 80 } },
    })
    const answer = await sendRaw(gateway.port, 'POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhal', (all) =>
      all.endsWith('}}'),
    )
    expect(answer).toMatch(/^HTTP\/1.1 408[\s\S]*Connection: close[\s\S]*REQUEST_TIMEOUT/)
    expect(asked).toBe(0)
  })

  test('EX1: pipelined requests whose client has left give their places back', async () => {
    let asked = 0
    const gateway = await start(
      (request, response) => {
        asked++
        if (request.url === '/a/quick') response.end('fine')
      },
      { gateway: { limits: { idleMs: 80, requests: 6 } }, route: { deadlineMs: 300 } },
    )
    const slow = 'GET /a/slow HTTP/1.1\r\nHost: x\r\n\r\n'
    const { socket } = await openRaw(gateway.port)
    socket.write(slow + slow + slow)
    await until('all three are asked', () => asked === 3)
    socket.destroy()
    await until('there is room for three more', async () => {
      const answers = await Promise.all([1, 2, 3].map(() => fetch(`${gateway.url}/a/quick`)))
      return answers.every(({ status }) => status === 200)
    })
  })

  test('EX1: a client that stops reading is cut off', async () => {
    const gateway = await start((_request, response) => void response.end(Buffer.alloc(30_000_000)), {
      gateway: { limits: { idleMs: 80 } },
    })
    const { socket } = await openRaw(gateway.port)
    socket.pause()
    socket.write(get)
    await until('the gateway let go of it', () => connectionsOf(gateway) === 0)
    socket.destroy()
  })
})

function connectionsOf({ mesh }: TestGateway): number {
  return Number(/http_connections_open (\d+)/.exec(mesh.metrics.text())?.[1])
}

describe('clients that leave', () => {
  test('EX3: while the upstream thinks, it is told', async () => {
    let isClosed = false
    let hasBegun = false
    const gateway = await start((_request, response) => {
      hasBegun = true
      response.on('close', () => {
        isClosed = true
      })
    })
    const { socket } = await openRaw(gateway.port)
    socket.write(get)
    await until('the upstream is asked', () => hasBegun)
    socket.destroy()
    await until('the upstream knows', () => isClosed)
    expect(gateway.link('up').state).toBe('up')
    expect(gateway.mesh.metrics.text()).toContain('http_requests_total{route="/a",method="GET",status="499"} 1')
  })

  test('EX3: in the middle of its answer, and in the middle of its body', async () => {
    const closed: string[] = []
    const answering: ServerResponse[] = []
    const gateway = await start(
      (request, response) => {
        response.on('close', () => closed.push(request.method ?? ''))
        if (request.method === 'GET') response.write('some')
        else request.resume()
        answering.push(response)
      },
      { route: { bodyBytesMax: 10_000_000 } },
    )
    for (const bytes of [get, `POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n${'x'.repeat(100_000)}`]) {
      const { socket, answer } = await openRaw(gateway.port)
      socket.write(bytes)
      const count = answering.length
      await until(
        'it is under way',
        () => answering.length > count || (count === 1 && answer() !== '') || answering.length === 2,
      )
      socket.destroy()
    }
    await until('the upstream knows of both', () => closed.length === 2)
    expect(closed.sort()).toEqual(['GET', 'POST'])
  })

  test('EX3: while it waits in the queue of the bulkhead', async () => {
    let asked = 0
    const gateway = await start(() => void asked++, { upstream: { bulkhead: { concurrent: 1, queue: 10 } } })
    const first = await openRaw(gateway.port)
    first.socket.write(get)
    await until('the first is asked', () => asked === 1)
    const second = await openRaw(gateway.port)
    second.socket.write(get)
    await until('the second waits', () => gateway.link('up').waiting === 1)
    second.socket.destroy()
    await until('it waits no longer', () => gateway.link('up').waiting === 0)
    expect(asked).toBe(1)
    first.socket.destroy()
  })
})

describe('upstreams that are gone', () => {
  test('a killed upstream is LINK_DOWN at once, and is used again soon after it is back', async () => {
    const upstream = await startTestUpstream((_request, response) => void response.end('fine'))
    const { port } = upstream
    const gateway = await start(port, { upstream: { probe: { path: '/health', everyMs: 60_000, deadlineMs: 400 } } })
    expect((await fetch(`${gateway.url}/a`)).status).toBe(200)
    await upstream[Symbol.asyncDispose]()
    const statuses = new Set<number>()
    await until('the link knows', async () => {
      statuses.add((await fetch(`${gateway.url}/a`)).status)
      return gateway.link('up').state === 'down'
    })
    expect([...statuses].every((status) => status === 502 || status === 503)).toBe(true)
    const server = createHttpServer((_request, response) => void response.end('back'))
    server.listen(port, '127.0.0.1')
    await once(server, 'listening')
    const healedMs = performance.now()
    await until('it answers again', async () => (await fetch(`${gateway.url}/a`)).status === 200)
    expect(performance.now() - healedMs).toBeLessThan(1_500)
    open.defer(() => void server.close().closeAllConnections())
  })

  test('L5: a black hole hangs nobody beyond the deadline, and is left behind when it heals', async () => {
    const upstream = open.use(await startTestUpstream((_request, response) => void response.end('fine')))
    const proxy = open.use(await startFaultProxy({ upstream: { host: '127.0.0.1', port: upstream.port } }))
    const gateway = await start(proxy.port, { route: { deadlineMs: 500 } })
    expect((await fetch(`${gateway.url}/a`)).status).toBe(200)
    await proxy.add({ name: 'hole', type: 'half_open' })
    const startedMs = performance.now()
    const answers = await Promise.all(Array.from({ length: 20 }, () => fetch(`${gateway.url}/a`)))
    expect(performance.now() - startedMs).toBeLessThan(1_500)
    expect(answers.every(({ status }) => [200, 502, 503, 504].includes(status))).toBe(true)
    expect(answers.filter(({ status }) => status === 504).length, 'what was on the dead connections').toBeGreaterThan(0)
    await proxy.remove('hole')
    const healedMs = performance.now()
    await until('it answers again', async () => (await fetch(`${gateway.url}/a`)).status === 200)
    expect(performance.now() - healedMs).toBeLessThan(3_000)
    await expectBaseline(gateway)
  })

  test('M5: an upstream that hangs makes no other route wait, and takes no more than its part of the places', async () => {
    const hanging = open.use(await startTestUpstream(() => {}))
    const fine = open.use(await startTestUpstream((_request, response) => void response.end('fine')))
    const gateway = open.use(
      await startTestGateway({
        upstreams: [
          createTestUpstreamConfig('hanging', hanging.port, { bulkhead: { concurrent: 100, queue: 100 } }),
          createTestUpstreamConfig('fine', fine.port),
        ],
        routes: [createTestRoute('/hanging', 'hanging', { deadlineMs: 1_500 }), createTestRoute('/fine', 'fine')],
        limits: { requests: 40 },
      }),
    )
    const stuck = Array.from({ length: 60 }, () => fetch(`${gateway.url}/hanging`))
    const refused = await Promise.race(stuck)
    expect([refused.status, (await errorOf(refused)).code]).toEqual([503, 'OVERLOADED'])
    expect(refused.headers.get('retry-after')).toBe('1')
    for (let index = 0; index < 50; index++) {
      const startedMs = performance.now()
      expect((await fetch(`${gateway.url}/fine`)).status).toBe(200)
      expect(performance.now() - startedMs).toBeLessThan(500)
    }
    const all = await Promise.all(stuck)
    expect(all.filter(({ status }) => status === 504)).toHaveLength(20)
    expect(all.filter(({ status }) => status === 503)).toHaveLength(40)
  })

  test('M5: connections taken by endless answers leave a bounded queue behind them', async () => {
    const gateway = await start((_request, response) => void response.write('on and on'), {
      upstream: { connections: 2, bulkhead: { concurrent: 4, queue: 0 } },
      route: { deadlineMs: 150 },
    })
    const endless = await Promise.all([openRaw(gateway.port), openRaw(gateway.port)])
    for (const { socket } of endless) socket.write(get)
    await until('both have begun', () => endless.every(({ answer }) => answer().includes('on and on')))
    const codes = new Set<string>()
    for (let round = 0; round < 6; round++) {
      const answers = await Promise.all(Array.from({ length: 4 }, () => fetch(`${gateway.url}/a`)))
      for (const answer of answers) codes.add((await errorOf(answer)).code)
    }
    expect(codes).toContain('OVERLOADED')
    for (const { socket } of endless) socket.destroy()
  })
})

describe('AT3: attempts that nobody waits for', () => {
  test('are skipped when a connection comes free: the upstream never hears of them', async () => {
    const waiting: ServerResponse[] = []
    const seen: (string | undefined)[] = []
    const gateway = await start(
      (request, response) => {
        seen.push(request.url)
        if (request.url === '/a/first') waiting.push(response)
        else response.end('fine')
      },
      { upstream: { connections: 1 }, route: { deadlineMs: 300 } },
    )
    const first = fetch(`${gateway.url}/a/first`)
    await until('the connection is taken', () => waiting.length === 1)
    const left = await openRaw(gateway.port)
    left.socket.write('GET /a/left HTTP/1.1\r\nHost: x\r\n\r\n')
    await until('two are under way', () => gateway.link('up').inFlight === 2)
    left.socket.destroy()
    await until('one has gone', () => gateway.link('up').inFlight === 1)
    waiting[0]?.end('done')
    expect((await first).status).toBe(200)
    expect((await fetch(`${gateway.url}/a/next`)).status).toBe(200)
    expect(seen).toEqual(['/a/first', '/a/next'])
  })
})
