// Redis broken in every way that the design names, under a mesh that carries traffic. Nothing but shared limits rests on it:
// readiness never goes, the local share of each limit takes over, and that is told for as long as it lasts.

import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { createPeerFaults, createRedisFull, type Fixture, injectFault, SLACK_MS, startFixture } from './fixture.ts'
import { startMesh, type TestMesh, tellOnFailure, until } from './harness.ts'
import { startTraffic, type Traffic, tallyOf } from './traffic.ts'

const LINK = 'redis.main'
const RECOVER_MS = 1_500
const FOUND_OUT_MS = 6_000
const NAMES = [
  'killed and restarted',
  'stopped (SIGSTOP) for 10 s',
  'black-holed',
  'refusing connections',
  'at its connection limit',
]
/** Requests a minute on the routes `/few0` and so on, one for each test. */
const FEW = 20

type Flows = 'open' | 'livez' | 'readyz' | 'control'

let fixture: Fixture

beforeAll(async () => {
  const routes = [...NAMES, 'half-open', 'absent'].map((_, index) => ({
    path: `/few${index}`,
    upstream: 'echo',
    rate_limit: { per_minute: FEW },
  }))
  fixture = await startFixture({ routes })
})
afterAll(() => fixture[Symbol.asyncDispose]())
beforeEach((context) => tellOnFailure(context, fixture.mesh))

function startFlows(mesh: TestMesh): Traffic<Flows> {
  return startTraffic<Flows>(mesh.base, {
    open: { path: '/open/x', everyMs: 25, deadlineMs: 2_000 },
    livez: { path: '/livez', everyMs: 100, deadlineMs: 500 },
    readyz: { path: '/readyz', everyMs: 100, deadlineMs: 500 },
    control: { path: '/v1/keys', everyMs: 200, deadlineMs: 2_000 },
  })
}

/** What readiness tells of Redis under `degraded`, one line a reason. A fallback is over once a request did without it. */
async function degradedBy(mesh: TestMesh): Promise<string> {
  await mesh.ask('/open')
  const { body } = await mesh.readiness()
  return (body?.degraded ?? [])
    .filter(({ what }) => what === LINK)
    .map(({ why }) => why)
    .join('\n')
}

async function untilWhole(mesh: TestMesh): Promise<number> {
  const startedMs = performance.now()
  const limitMs = RECOVER_MS + SLACK_MS
  await until('Redis is up and nothing is degraded', async () => (await degradedBy(mesh)) === '', limitMs)
  expect((await mesh.link(LINK)).live).toMatchObject({ state: 'up', waiting: 0, degradation: { active: false } })
  return performance.now() - startedMs
}

async function expectUntouched(traffic: Traffic<Flows>): Promise<void> {
  expect(await traffic.stop(), 'requests that were past their deadline').toEqual([])
  for (const name of ['open', 'livez', 'readyz', 'control'] as const) {
    expect(Object.keys(traffic.tally(name)), `answers of ${name}`).toEqual(['200'])
  }
}

/** With or without Redis a client gets no more than its limit, and is told so. */
async function expectLimited(mesh: TestMesh, path: string): Promise<void> {
  const answers = await Promise.all(Array.from({ length: FEW * 2 }, () => mesh.ask(path)))
  const { 200: passed = 0, '429 RATE_LIMITED': limited = 0 } = tallyOf(answers)
  expect(passed + limited).toBe(FEW * 2)
  expect(passed, 'a minute has just begun, or a token flowed back meanwhile').toBeLessThanOrEqual(FEW + 2)
  expect(passed).toBeGreaterThanOrEqual(FEW - 1)
  expect(answers.every(({ headers }) => 'ratelimit' in headers)).toBe(true)
}

test.each(NAMES.map((name, index) => [name, index] as const))(
  'M6: while Redis is %s, nothing is refused or late, limits hold locally, that is told, and all heals in time',
  async (name, index) => {
    const { mesh, redis } = fixture
    const fault = [...createPeerFaults(redis), createRedisFull(redis)].find((each) => each.name === name)
    if (fault === undefined) throw new Error(`there is no fault ${name}`)
    await untilWhole(mesh)
    await using traffic = startFlows(mesh)
    await until('traffic flows', () => traffic.ended('open').length > 10)

    const injectedMs = performance.now()
    await using injected = await injectFault(fault)
    const degraded = await until(
      'readiness tells that Redis is away, why, and what is done instead',
      async () => {
        const why = await degradedBy(mesh)
        return why.includes('local-rate-limit') && fault.why.test(why) ? why.replaceAll('\n', '; ') : undefined
      },
      FOUND_OUT_MS,
    )
    const toldMs = performance.now()
    await expectLimited(mesh, `/few${index}`)
    await until('it was away for a while', () => performance.now() > injectedMs + fault.holdMs, 15_000)
    await injected.heal()
    const recoveredMs = await untilWhole(mesh)
    process.stdout.write(
      `redis ${name}: told after ${(toldMs - injectedMs).toFixed(0)} ms (${degraded}), ` +
        `whole ${recoveredMs.toFixed(0)} ms after the heal\n`,
    )
    await expectUntouched(traffic)
  },
)

test('M6: a half-open connection to Redis is found out and replaced, though nobody heals it', async () => {
  const { mesh, redis } = fixture
  await untilWhole(mesh)
  await using traffic = startFlows(mesh)
  const before = await mesh.link(LINK)
  const injectedMs = performance.now()
  await redis.proxy.add({ type: 'half_open', name: 'half-open' })
  await until('there is a new connection', async () => {
    const { live } = await mesh.link(LINK)
    return live.generation > before.live.generation && live.state === 'up'
  })
  await untilWhole(mesh)
  process.stdout.write(`redis half-open: replaced after ${(performance.now() - injectedMs).toFixed(0)} ms\n`)
  await expectLimited(mesh, `/few${NAMES.length}`)
  await redis.proxy.remove('half-open')
  await expectUntouched(traffic)
})

test('M6: a mesh starts without Redis, is ready, limits locally, and shares limits when Redis comes', async (context) => {
  const { postgres, redis, upstreamProxy } = fixture
  await redis.server.kill('SIGKILL')
  await using mesh = await startMesh({
    config: {
      upstreams: { echo: { url: `http://127.0.0.1:${upstreamProxy.port}` } },
      routes: [
        { path: '/open', upstream: 'echo', rate_limit: { per_minute: 1_000_000 } },
        { path: '/few', upstream: 'echo', rate_limit: { per_minute: FEW } },
      ],
    },
    env: { DATABASE_URL: postgres.server.url, REDIS_URL: redis.server.url },
  })
  tellOnFailure(context, mesh)
  await mesh.ready()
  await until('its route works', async () => (await mesh.ask('/open')).status === 200)
  expect(await degradedBy(mesh)).toMatch(/ECONNREFUSED/)
  await expectLimited(mesh, '/few')
  await redis.server.restart()
  const recoveredMs = await untilWhole(mesh)
  process.stdout.write(`redis absent at start: whole ${recoveredMs.toFixed(0)} ms after it came\n`)
})
