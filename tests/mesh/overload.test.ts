// The cascade of a real outage (docs/seeds.md, report 000): three times the normal load, then a thousand requests at once,
// at a slow service behind the gateway and at the control API on a slow database. What can't be served is refused early
// and says when to come back; nothing starves; health tells the truth; soon after the spike all is normal.

import { readFile } from 'node:fs/promises'
import type { RequestListener } from 'node:http'
import { Client } from 'pg'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { type Answer, errorOf } from './client.ts'
import { type Fixture, startFixture } from './fixture.ts'
import { tellOnFailure, until } from './harness.ts'
import { percentile, startTraffic, type Traffic, tallyOf } from './traffic.ts'

const SPIKE = 1_000
const NORMAL_WITHIN_MS = 5_000
/** Idle it is about 100 MB; a thousand sockets and their requests are some 30 MB more (measured 2026-11). */
const MEMORY_MAX_BYTES = 350_000_000
const SERVICE_MS = 50
const SERVICE_PLACES = 8
const NORMAL_EVERY_MS = 25

let fixture: Fixture
beforeAll(async () => {
  const slow = { path: '/slow', upstream: 'slow', rate_limit: { per_minute: 1_000_000 } }
  const chat = { path: '/api/chat', upstream: 'slow', rate_limit: { per_minute: 100 } }
  fixture = await startFixture({
    listener: createSlowService(),
    routes: [slow, chat],
    upstreams: (port) => ({
      slow: { url: `http://127.0.0.1:${port}`, deadline_ms: 2_000, bulkhead: { concurrent: 32, queue: 32 } },
    }),
  })
})
afterAll(() => fixture[Symbol.asyncDispose]())
beforeEach((context) => tellOnFailure(context, fixture.mesh))

/** On `/slow` and `/api` it serves few at a time, each for a while, as a service with a database pool does. */
function createSlowService(): RequestListener {
  const waiting: (() => void)[] = []
  let busy = 0
  const next = (): void => {
    if (busy >= SERVICE_PLACES) return
    const begin = waiting.shift()
    if (begin === undefined) return
    busy++
    begin()
  }
  return (request, response) => {
    if (!/^\/(slow|api)/.test(request.url ?? '')) return void response.end('quick')
    request.resume()
    waiting.push(() => {
      setTimeout(() => {
        busy--
        response.end('done')
        next()
      }, SERVICE_MS)
    })
    next()
  }
}

type Flows = 'slow' | 'quick' | 'livez' | 'readyz' | 'control'

function startNormal(): Traffic<Flows> {
  return startTraffic<Flows>(fixture.mesh.base, {
    slow: { path: '/slow', everyMs: NORMAL_EVERY_MS, deadlineMs: 2_000 },
    quick: { path: '/open', everyMs: NORMAL_EVERY_MS, deadlineMs: 2_000 },
    livez: { path: '/livez', everyMs: 100, deadlineMs: 1_000 },
    readyz: { path: '/readyz', everyMs: 100, deadlineMs: 1_000 },
    control: { path: '/v1/tenants?limit=1', everyMs: 100, deadlineMs: 2_000 },
  })
}

function spike(count: number, request: (index: number) => Promise<Answer>): Promise<readonly Answer[]> {
  return Promise.all(Array.from({ length: count }, (_, index) => request(index)))
}

/** The most that the edge ever had in memory. */
async function peakBytes(): Promise<number> {
  const status = await readFile(`/proc/${await fixture.mesh.pidOf('edge')}/status`, 'utf8')
  return Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1] ?? Number.POSITIVE_INFINITY) * 1_024
}

async function expectNormal(traffic: Traffic<Flows>, endedMs: number): Promise<number> {
  await until(
    'every kind of request is answered again',
    () =>
      (['slow', 'quick', 'control', 'livez', 'readyz'] as const).every((name) => {
        const last = traffic.ended(name, endedMs).slice(-10)
        return last.length === 10 && last.every(({ status }) => status === 200)
      }),
    NORMAL_WITHIN_MS,
  )
  return performance.now() - endedMs
}

/** Refused with what it takes to do better, and nothing else went wrong. */
function expectTypedRefusals(answers: readonly Answer[], code: string, status: number): void {
  const refused = answers.filter((answer) => answer.code === code)
  expect(refused.filter((answer) => answer.status !== status)).toEqual([])
  expect(refused.filter((answer) => !(Number(errorOf(answer)?.retry_after_ms) > 0))).toEqual([])
  expect(refused.filter(({ headers }) => !(Number(headers['retry-after']) >= 1))).toEqual([])
}

test('M4: three times the load and then a thousand POSTs at a slow service: refused early, no other route touched, normal soon', async () => {
  const { mesh } = fixture
  await using traffic = startNormal()
  await until(
    'the normal load is served',
    () => traffic.ended('slow').filter(({ status }) => status === 200).length > 20,
  )
  {
    await using _more = startTraffic(mesh.base, {
      one: { path: '/slow', everyMs: NORMAL_EVERY_MS, deadlineMs: 2_000 },
      two: { path: '/slow', everyMs: NORMAL_EVERY_MS, deadlineMs: 2_000 },
    })
    const fromMs = performance.now()
    await until('three times the load was on for a while', () => performance.now() > fromMs + 2_000)
  }
  const body = { prompt: 'x'.repeat(1_000) }
  const answers = await spike(SPIKE, () => mesh.ask('/slow', { method: 'POST', body }))
  const endedMs = performance.now()
  const normalMs = await expectNormal(traffic, endedMs)

  const tally = tallyOf(answers)
  const refusedMs = answers.filter(({ code }) => code === 'OVERLOADED').map(({ ms }) => ms)
  process.stdout.write(
    `spike at a slow service: ${JSON.stringify(tally)}; refused after ${percentile(refusedMs, 0.5).toFixed(0)} ms (median), ` +
      `normal ${normalMs.toFixed(0)} ms after it, peak ${((await peakBytes()) / 1e6).toFixed(0)} MB\n`,
  )
  expect(Object.keys(tally).filter((key) => !['200', '503 OVERLOADED', '504 DEADLINE_EXCEEDED'].includes(key))).toEqual(
    [],
  )
  expect(tally['503 OVERLOADED']).toBeGreaterThan(SPIKE / 2)
  expect(tally['200']).toBeGreaterThan(SERVICE_PLACES)
  expectTypedRefusals(answers, 'OVERLOADED', 503)
  expect(await traffic.stop(), 'requests that were past their deadline').toEqual([])
  for (const name of ['quick', 'livez', 'readyz', 'control'] as const) {
    expect(Object.keys(traffic.tally(name)), `answers of ${name}`).toEqual(['200'])
  }
  expect((await mesh.link('upstream.slow')).live).toMatchObject({ state: 'up', waiting: 0, breaker: 'closed' })
  expect(await peakBytes()).toBeLessThan(MEMORY_MAX_BYTES)
})

test('M4: a thousand POSTs of one client at a route with a limit: what is over it gets 429 and when to come back', async () => {
  const { mesh } = fixture
  await using traffic = startNormal()
  const answers = await spike(SPIKE, () => mesh.ask('/api/chat', { method: 'POST', body: { prompt: 'hello' } }))
  await expectNormal(traffic, performance.now())
  const { '429 RATE_LIMITED': limited = 0, ...rest } = tallyOf(answers)
  // A spike over the turn of a minute meets two windows of 100.
  expect(limited).toBeGreaterThan(SPIKE - 250)
  expect(Object.keys(rest).filter((key) => !['200', '503 OVERLOADED', '504 DEADLINE_EXCEEDED'].includes(key))).toEqual(
    [],
  )
  expectTypedRefusals(answers, 'RATE_LIMITED', 429)
  expect(await traffic.stop()).toEqual([])
  for (const name of ['quick', 'livez', 'readyz', 'control'] as const) {
    expect(Object.keys(traffic.tally(name)), `answers of ${name}`).toEqual(['200'])
  }
})

test('M1: a thousand POSTs at the control API on a slow database: the pool turns away in time, and what was acknowledged is there', async () => {
  const { mesh, postgres } = fixture
  await using traffic = startNormal()
  await until('the normal load is served', () => traffic.ended('control').length > 10)
  // As in the report: 50 ms a query, ten connections, far more than 150 queries at once.
  await postgres.proxy.add({ type: 'latency', name: 'slow', attributes: { latency: SERVICE_MS } })
  const answers = await spike(SPIKE, (index) =>
    mesh.ask('/v1/tenants', { method: 'POST', body: { name: `spike-${index}` } }),
  )
  const endedMs = performance.now()
  await postgres.proxy.remove('slow')
  const normalMs = await expectNormal(traffic, endedMs)
  await until('the pool is at rest', async () => {
    const { live } = await mesh.link(postgres.link)
    return live.state === 'up' && live.waiting === 0 && (live.pool?.waiting ?? 0) === 0 && (live.pool?.in_use ?? 0) <= 1
  })

  const tally = tallyOf(answers)
  const refusedMs = answers.filter(({ code }) => code === 'OVERLOADED').map(({ ms }) => ms)
  process.stdout.write(
    `spike at the control API: ${JSON.stringify(tally)}; refused after ${percentile(refusedMs, 0.5).toFixed(0)} ms (median), ` +
      `normal ${normalMs.toFixed(0)} ms after it, peak ${((await peakBytes()) / 1e6).toFixed(0)} MB\n`,
  )
  expect(Object.keys(tally).filter((key) => !['201', '503 OVERLOADED', '504 DEADLINE_EXCEEDED'].includes(key))).toEqual(
    [],
  )
  expect(tally['201']).toBeGreaterThan(0)
  expect(tally['503 OVERLOADED'], 'they are not kept until their deadline').toBeGreaterThan(SPIKE / 2)
  expectTypedRefusals(answers, 'OVERLOADED', 503)
  const acknowledged = answers.flatMap(({ status }, index) => (status === 201 ? [`spike-${index}`] : []))
  expect(await presentOf(postgres.server.url, acknowledged), 'acknowledged and not there').toEqual(acknowledged.length)
  expect(await traffic.stop(), 'requests that were past their deadline').toEqual([])
  // The database was there all the time: health never says otherwise, and what needs no database never notices.
  for (const name of ['slow', 'quick', 'livez', 'readyz'] as const) {
    expect(Object.keys(traffic.tally(name)), `answers of ${name}`).toEqual(['200'])
  }
  expect(await peakBytes()).toBeLessThan(MEMORY_MAX_BYTES)
})

async function presentOf(url: string, names: readonly string[]): Promise<number> {
  const client = new Client({ connectionString: url })
  await client.connect()
  try {
    const text = 'select count(*)::int as count from ripstop.tenants where name = any ($1)'
    return (await client.query<{ count: number }>(text, [names])).rows[0]?.count ?? 0
  } finally {
    await client.end()
  }
}
