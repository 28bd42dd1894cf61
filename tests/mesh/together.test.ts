// Several things broken at once, and healed in another order; and one thing that hangs beside others that are well: a tear
// stops at the next thread.

import { createSeededRandom, type Random } from '@ripstop/kernel'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { startTestUpstream } from '../../packages/server/src/testing/gateway.ts'
import {
  createNetworkFaults,
  createPeerFaults,
  type Fixture,
  injectFault,
  type PeerFault,
  SLACK_MS,
  startFixture,
} from './fixture.ts'
import { startMesh, tellOnFailure, until } from './harness.ts'
import { percentile, startTraffic } from './traffic.ts'

const RECOVER_MS = 1_500
const HOLD_MS = 2_000
/** What a request to an upstream that is broken may be answered. */
const TYPED = ['200', '502 LINK_LOST', '503 LINK_DOWN', '503 BREAKER_OPEN', '503 OVERLOADED', '504 DEADLINE_EXCEEDED']

let fixture: Fixture
beforeAll(async () => {
  fixture = await startFixture()
})
afterAll(() => fixture[Symbol.asyncDispose]())
beforeEach((context) => tellOnFailure(context, fixture.mesh))

function draw<T>(from: readonly T[], random: Random): T {
  return from[Math.floor(random() * from.length)] as T
}

function shuffled<T>(items: readonly T[], random: Random): T[] {
  return items
    .map((item) => ({ item, at: random() }))
    .sort((one, other) => one.at - other.at)
    .map(({ item }) => item)
}

test.each([1, 2, 101])(
  'M6: Postgres, Redis and an upstream broken together and healed in random order (seed %i): all is as before',
  async (seed) => {
    const random = createSeededRandom(seed)
    const { mesh, postgres, redis, upstreamProxy } = fixture
    const isShort = ({ holdMs }: PeerFault): boolean => holdMs <= 3_000
    const faults = [
      { of: 'postgres', fault: draw(createPeerFaults(postgres).filter(isShort), random) },
      { of: 'redis', fault: draw(createPeerFaults(redis).filter(isShort), random) },
      { of: 'echo', fault: draw(createNetworkFaults(upstreamProxy), random) },
    ]
    await using traffic = startTraffic(mesh.base, {
      open: { path: '/open/x', everyMs: 25, deadlineMs: 2_000 },
      livez: { path: '/livez', everyMs: 100, deadlineMs: 500 },
      readyz: { path: '/readyz', everyMs: 100, deadlineMs: 500 },
      control: { path: '/v1/keys', everyMs: 100, deadlineMs: 2_000 },
    })
    const isWell = (name: 'open' | 'control', fromMs = 0): boolean => {
      const last = traffic.ended(name, fromMs).slice(-10)
      return last.length === 10 && last.every(({ status }) => status === 200)
    }
    await until('all is well', () => isWell('open') && isWell('control'))

    await using broken = new AsyncDisposableStack()
    const injected: { of: string; heal(): Promise<unknown> }[] = []
    for (const { of, fault } of faults) injected.push({ of, heal: broken.use(await injectFault(fault)).heal })
    const brokenMs = performance.now()
    await until('health says that Postgres is away', async () => (await mesh.readiness()).status === 503)
    await until('all was broken for a while', () => performance.now() > brokenMs + HOLD_MS)
    const order = shuffled(injected, random)
    for (const { heal } of order) await heal()
    const healedMs = performance.now()
    await mesh.ready(RECOVER_MS + SLACK_MS)
    await until('all is well again', () => isWell('open', healedMs) && isWell('control', healedMs))
    await until('nothing is degraded', async () => (await mesh.readiness()).body?.degraded.length === 0)
    process.stdout.write(
      `together (seed ${seed}): ${faults.map(({ of, fault }) => `${of} ${fault.name}`).join(', ')}; healed in the order ` +
        `${order.map(({ of }) => of).join(', ')}; well ${(performance.now() - healedMs).toFixed(0)} ms later\n`,
    )
    expect(await traffic.stop(), 'requests that were past their deadline').toEqual([])
    expect(Object.keys(traffic.tally('open')).filter((key) => !TYPED.includes(key))).toEqual([])
    expect(Object.keys(traffic.tally('control')).filter((key) => !TYPED.includes(key))).toEqual([])
    expect(Object.keys(traffic.tally('livez'))).toEqual(['200'])
    expect(Object.keys(traffic.tally('readyz')).sort()).toEqual(['200', '503'])
    for (const name of [postgres.link, redis.link, 'upstream.echo']) {
      const { live } = await mesh.link(name)
      expect(live, name).toMatchObject({ state: 'up', waiting: 0, oldest_overdue_ms: 0 })
      expect(['closed', 'none'], name).toContain(live.breaker)
    }
  },
)

test('M5: a service that hangs makes no other route fail, and health goes on telling the truth', async (context) => {
  // Its probes are answered: nothing but its own calls tells that it hangs.
  await using hanging = await startTestUpstream(() => {})
  await using healthy = await startTestUpstream((_request, response) => response.end('well'))
  const rate_limit = { per_minute: 1_000_000 }
  await using mesh = await startMesh({
    config: {
      upstreams: {
        hanging: { url: `http://127.0.0.1:${hanging.port}`, deadline_ms: 1_000 },
        healthy: { url: `http://127.0.0.1:${healthy.port}`, deadline_ms: 1_000 },
      },
      routes: [
        { path: '/hanging', upstream: 'hanging', rate_limit },
        { path: '/healthy', upstream: 'healthy', rate_limit },
      ],
    },
    env: { DATABASE_URL: fixture.postgres.server.url },
  })
  tellOnFailure(context, mesh)
  await mesh.ready()
  await until('both are up', async () => {
    const [one, other] = [await mesh.link('upstream.hanging'), await mesh.link('upstream.healthy')]
    return one.live.state === 'up' && other.live.state === 'up'
  })
  await using traffic = startTraffic(mesh.base, {
    hanging: { path: '/hanging', everyMs: 5, deadlineMs: 1_000 },
    healthy: { path: '/healthy', everyMs: 20, deadlineMs: 1_000 },
    livez: { path: '/livez', everyMs: 100, deadlineMs: 500 },
    readyz: { path: '/readyz', everyMs: 100, deadlineMs: 500 },
    control: { path: '/v1/keys', everyMs: 100, deadlineMs: 2_000 },
  })
  await until('the breaker spares the service', () =>
    traffic.ended('hanging').some(({ code }) => code === 'BREAKER_OPEN'),
  )
  const { body } = await mesh.readiness()
  expect(body?.degraded).toContainEqual({ what: 'upstream.hanging', why: 'its breaker is open' })
  await until('it hung for a while', () => traffic.ended('healthy').length > 150)
  expect(await traffic.stop(), 'requests that were past their deadline').toEqual([])
  for (const name of ['healthy', 'livez', 'readyz', 'control'] as const) {
    expect(Object.keys(traffic.tally(name)), `answers of ${name}`).toEqual(['200'])
  }
  expect(Object.keys(traffic.tally('hanging')).filter((key) => key === '200' || !TYPED.includes(key))).toEqual([])
  const median = percentile(
    traffic.ended('healthy').map(({ ms }) => ms),
    0.5,
  )
  expect(median, 'far below the deadline that the others run into').toBeLessThan(500)
})
