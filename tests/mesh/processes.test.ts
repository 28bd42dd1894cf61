// The processes of a mesh, ended one by one and all together: each is replaced alone, the whole stops in order, and what
// was killed leaves nothing that stands in the way of the next start.

import { once } from 'node:events'
import { createServer } from 'node:net'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { openRaw, startTestUpstream, type TestUpstream } from '../../packages/server/src/testing/gateway.ts'
import { routesTo } from './fixture.ts'
import { isRunning, signal, startMesh, type TestMesh, tellOnFailure, until } from './harness.ts'
import { startTraffic } from './traffic.ts'

/** A hung process is found out by a probe of 5 s, after a heartbeat of up to 1.5 s. */
const HUNG_MS = 20_000
/** Signals closer together than 500 ms are one Ctrl-C that came on two ways. */
const ANOTHER_SIGNAL_MS = 700
const SHUTDOWN_MS = 10_000

let upstream: TestUpstream
let mesh: TestMesh

beforeAll(async () => {
  upstream = await startTestUpstream((request, response) => {
    const ms = Number(new URL(request.url ?? '/', 'http://service').searchParams.get('ms') ?? 0)
    setTimeout(() => response.end('done'), ms)
  })
  const echo = { url: `http://127.0.0.1:${upstream.port}`, deadline_ms: 9_000 }
  const egress = { allow: ['127.0.0.0/8'] }
  mesh = await startMesh({ config: { ...routesTo(upstream.port), upstreams: { echo }, egress } })
  await mesh.ready()
})
afterAll(async () => {
  await mesh[Symbol.asyncDispose]()
  await upstream[Symbol.asyncDispose]()
})
beforeEach(async (context) => {
  tellOnFailure(context, mesh)
  if (!(await isRunning(mesh.pid))) await mesh.start()
  await mesh.ready()
})

async function pids(): Promise<Readonly<Record<'supervisor' | 'edge' | 'work' | 'postgres', number | undefined>>> {
  const [edge, work, postgres] = [await mesh.pidOf('edge'), await mesh.pidOf('work'), await mesh.postgresPid()]
  return { supervisor: mesh.pid, edge, work, postgres }
}

/** Waits until both roles run and are known to the supervisor as up. */
async function untilWhole(): Promise<void> {
  await until('every process is up', async () => {
    const { status, json } = await mesh.ask('/v1/mesh/graph')
    if (status !== 200) return false
    const { data } = json as { readonly data: Awaited<ReturnType<TestMesh['graph']>> }
    const processes = data.links.filter(({ name }) => name.startsWith('process.'))
    return processes.length === 2 && processes.every(({ live }) => live.state === 'up')
  })
  await mesh.ready()
}

/** The series of an exposition; fails where Prometheus would refuse it. */
function readExposition(text: string): ReadonlyMap<string, number> {
  const series = new Map<string, number>()
  const told = new Set<string>()
  for (const family of text.split(/^(?=# HELP )/m)) {
    const [help, type, ...samples] = family.trimEnd().split('\n')
    const [, name = ''] = /^# HELP (\w+) ./.exec(help ?? '') ?? []
    expect(told, 'each family is told once').not.toContain(name)
    told.add(name)
    expect(type).toMatch(new RegExp(`^# TYPE ${name} (counter|gauge|histogram)$`))
    const suffix = type?.endsWith('histogram') ? '_(bucket|sum|count)' : ''
    for (const sample of samples) {
      expect(sample).toMatch(new RegExp(`^${name}${suffix}\\{\\w+="[^"]*"(,\\w+="[^"]*")*\\} (\\+Inf|[\\d.e+-]+)$`))
      const [, id = '', value] = /^(.*) (\S+)$/.exec(sample) ?? []
      expect(series.has(id), `twice: ${id}`).toBe(false)
      series.set(id, value === '+Inf' ? Number.POSITIVE_INFINITY : Number(value))
    }
  }
  return series
}

test('what every process counts is scraped at the edge as one exposition, also of one that was replaced', async () => {
  await untilWhole()
  const url = `http://127.0.0.1:${upstream.port}/hooks`
  const made = await mesh.ask('/v1/endpoints', { method: 'POST', body: { url, event_types: ['order.paid'] } })
  expect(made.status).toBe(201)
  const scrape = async () => readExposition((await mesh.ask('/metrics')).text)
  const delivered = 'deliveries_total{kind="webhook",outcome="delivered",process="work"}'
  const untilDelivered = async (count: number): Promise<ReadonlyMap<string, number>> => {
    for (let event = 0; event < count; event++) {
      const { status } = await mesh.ask('/v1/events', { method: 'POST', body: { type: 'order.paid', data: {} } })
      expect(status).toBe(202)
    }
    return await until('they are told', async () => {
      const series = await scrape()
      return series.get(delivered) === count && series
    })
  }
  const series = await untilDelivered(3)
  const processes = [...series.keys()].map((id) => /[{,]process="(\w+)"/.exec(id)?.[1])
  expect([...new Set(processes)].sort()).toEqual(['edge', 'supervisor', 'work'])
  for (const process of ['edge', 'work']) expect(series.get(`postgres_up{process="${process}"}`)).toBe(1)
  expect(series.get('delivery_shards_owned{process="work"}')).toBe(64)
  expect(series.get('link_up{link="process.work",process="supervisor"}')).toBe(1)
  signal(await mesh.pidOf('work'), 'SIGKILL')
  await untilDelivered(2) // the new one counts from 0
})

test('SV1: a work process that is killed is replaced alone, and no request notices', async () => {
  await untilWhole()
  const before = await pids()
  await using traffic = startTraffic(mesh.base, {
    open: { path: '/open', everyMs: 25, deadlineMs: 2_000 },
    readyz: { path: '/readyz', everyMs: 50, deadlineMs: 1_000 },
    control: { path: '/v1/keys', everyMs: 100, deadlineMs: 2_000 },
  })
  const { live: first } = await mesh.link('process.work', 'supervisor')
  signal(before.work, 'SIGKILL')
  const after = await until('there is another', async () => {
    const now = await pids()
    return now.work !== undefined && now.work !== before.work ? now : undefined
  })
  await until('the graph tells of its end', async () => {
    const { live } = await mesh.link('process.work', 'supervisor')
    return live.state === 'up' && live.generation > first.generation
  })
  await until('each kind of request was answered', () =>
    (['open', 'readyz', 'control'] as const).every((name) => traffic.ended(name).length > 0),
  )
  expect({ ...after, work: 0 }).toEqual({ ...before, work: 0 })
  expect(await traffic.stop()).toEqual([])
  for (const name of ['open', 'readyz', 'control'] as const) expect(Object.keys(traffic.tally(name))).toEqual(['200'])
})

test('SV1: an edge process that is killed is replaced alone, on its port, and no client hangs', async () => {
  await untilWhole()
  const before = await pids()
  await using traffic = startTraffic(mesh.base, { open: { path: '/open', everyMs: 25, deadlineMs: 2_000 } })
  await until('traffic flows', () => traffic.ended('open').length > 10)
  const underWay = mesh.ask('/open?ms=5000')
  const killedMs = performance.now()
  signal(before.edge, 'SIGKILL')
  expect((await underWay).code, 'what was under way is cut off, at once').toMatch(/ECONNRESET|socket hang up/)
  await until('requests are answered again', () => traffic.ended('open', killedMs).some(({ status }) => status === 200))
  process.stdout.write(`edge killed: served again after ${(performance.now() - killedMs).toFixed(0)} ms\n`)
  await untilWhole()
  const after = await pids()
  expect(after.edge).not.toBe(before.edge)
  expect({ ...after, edge: 0 }).toEqual({ ...before, edge: 0 })
  expect(await traffic.stop()).toEqual([])
})

test('SV1: an edge process that hangs (SIGSTOP) is found out, killed and replaced', async () => {
  await untilWhole()
  const before = await pids()
  const stoppedMs = performance.now()
  signal(before.edge, 'SIGSTOP')
  const hung = mesh.ask('/livez', { limitMs: HUNG_MS })
  const after = await until(
    'there is another',
    async () => {
      const now = await pids()
      return now.edge !== undefined && now.edge !== before.edge ? now : undefined
    },
    HUNG_MS,
  )
  await untilWhole()
  process.stdout.write(`edge stopped: replaced after ${(performance.now() - stoppedMs).toFixed(0)} ms\n`)
  expect((await hung).code, 'its clients are let go').toMatch(/ECONNRESET|socket hang up/)
  expect({ ...after, edge: 0 }).toEqual({ ...before, edge: 0 })
  expect(await isRunning(before.edge ?? 0)).toBe(false)
})

test('SV2: SIGTERM lets requests under way finish, takes no new ones, ends streams, and leaves no process behind', async () => {
  await untilWhole()
  const { postgres } = await pids()
  const { socket: stream, answer } = await openRaw(mesh.port)
  stream.write('GET /v1/mesh/events HTTP/1.1\r\nHost: localhost\r\n\r\n')
  await until('the stream is open', () => answer().includes('event: hello'))
  const underWay = mesh.ask('/open?ms=1500')
  await until('the request is at the service', async () => (await mesh.link('upstream.echo')).live.in_flight > 0)
  const toldMs = performance.now()
  signal(mesh.pid, 'SIGTERM')
  signal(mesh.pid, 'SIGTERM') // at once: the same signal, come by another way
  await until('new connections are refused', async () => (await mesh.ask('/livez')).code === 'ECONNREFUSED')
  const finished = await underWay
  expect([finished.status, finished.text]).toEqual([200, 'done'])
  expect(await mesh.exited).toEqual({ code: 0, signal: null })
  expect(performance.now() - toldMs).toBeLessThan(SHUTDOWN_MS)
  await until('the stream has ended', () => stream.closed)
  expect(await mesh.processes()).toEqual([])
  expect(await isRunning(postgres ?? 0), 'the embedded Postgres is stopped too').toBe(false)
})

test('SV2: a second signal ends the mesh at once, whatever is under way; its roles follow by themselves', async () => {
  await untilWhole()
  const before = await pids()
  const underWay = mesh.ask('/open?ms=3000')
  await until('the request is at the service', async () => (await mesh.link('upstream.echo')).live.in_flight > 0)
  const toldMs = performance.now()
  signal(mesh.pid, 'SIGTERM')
  await until('it can be no echo of the first', () => performance.now() > toldMs + ANOTHER_SIGNAL_MS)
  expect(await isRunning(mesh.pid), 'it waits for what is under way').toBe(true)
  const againMs = performance.now()
  signal(mesh.pid, 'SIGTERM')
  expect(await mesh.exited).toEqual({ code: 143, signal: null })
  expect(performance.now() - againMs).toBeLessThan(2_000)
  await until('the roles have ended', async () => !(await isAnyRunning(before.edge, before.work)), SHUTDOWN_MS + 5_000)
  await underWay
})

test('SV3: a port in use is said at once, with exit code 1, and nothing is left behind', async () => {
  const other = createServer().listen(0, '127.0.0.1')
  await once(other, 'listening')
  const { port } = other.address() as { readonly port: number }
  await using second = await startMesh({ port, awaitUp: false })
  const startedMs = performance.now()
  expect(await second.exited).toEqual({ code: 1, signal: null })
  process.stdout.write(`port in use: ended after ${(performance.now() - startedMs).toFixed(0)} ms\n`)
  expect(second.logs()).toContain(`cannot listen on 127.0.0.1:${port}: something else listens there`)
  expect(await second.processes()).toEqual([])
  other.close()
}, 60_000)

test('SV2: when the supervisor is killed its roles end by themselves, Postgres stays, and the next start attaches', async () => {
  await untilWhole()
  const before = await pids()
  const made = await mesh.ask('/v1/tenants', { method: 'POST', body: { name: 'survivor' } })
  expect(made.status).toBe(201)
  signal(mesh.pid, 'SIGKILL')
  await mesh.exited
  await until('the roles have ended', async () => !(await isAnyRunning(before.edge, before.work)))
  expect(await isRunning(before.postgres ?? 0)).toBe(true)
  await mesh.start()
  await mesh.ready()
  expect((await pids()).postgres).toBe(before.postgres)
  expect((await mesh.ask('/v1/tenants')).text).toContain('"survivor"')
  expect(await mesh.stop()).toEqual({ code: 0, signal: null })
  expect(await mesh.processes(), 'the Postgres that it took over is its own to stop').toEqual([])
})

async function isAnyRunning(...all: readonly (number | undefined)[]): Promise<boolean> {
  for (const pid of all) if (pid !== undefined && (await isRunning(pid))) return true
  return false
}
