// Postgres broken in every way that the design names, under a mesh that carries traffic. The gateway goes on answering,
// with keys that it knows too; the control API says at once what it lacks; health tells the truth; all heals by itself.

import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { errorOf } from './client.ts'
import {
  createEmptyDatabase,
  createKey,
  createPeerFaults,
  createPostgresFull,
  type Fixture,
  injectFault,
  routesTo,
  SLACK_MS,
  startFixture,
} from './fixture.ts'
import { startMesh, type TestMesh, tellOnFailure, until } from './harness.ts'
import { type Ended, startTraffic, type Traffic, tallyOf } from './traffic.ts'

const LINK = 'postgres.main'
const RECOVER_MS = 1_500
const POOL_SIZE = 10
/** A silent server is found out by a missed deadline or a heartbeat, and by the probe that follows. */
const FOUND_OUT_MS = 6_000
/** What a call that met the fault itself may end with. */
const MET_THE_FAULT = ['502 LINK_LOST', '503 BREAKER_OPEN', '503 LINK_DOWN', '503 OVERLOADED', '504 DEADLINE_EXCEEDED']

type Flows = 'open' | 'keyed' | 'livez' | 'control'

let fixture: Fixture
let secret: string

beforeAll(async () => {
  fixture = await startFixture()
  secret = await createKey(fixture.mesh)
})
afterAll(() => fixture[Symbol.asyncDispose]())
beforeEach((context) => tellOnFailure(context, fixture.mesh))

function startFlows(mesh: TestMesh): Traffic<Flows> {
  return startTraffic<Flows>(mesh.base, {
    open: { path: '/open/x', everyMs: 25, deadlineMs: 2_000 },
    keyed: { path: '/keyed/x', everyMs: 50, deadlineMs: 2_000, headers: { 'x-api-key': secret } },
    livez: { path: '/livez', everyMs: 100, deadlineMs: 500 },
    control: { path: '/v1/keys', everyMs: 100, deadlineMs: 2_000 },
  })
}

/** Readiness says 503, names the link, and says why. */
async function untilNotReady(mesh: TestMesh): Promise<string> {
  return until(
    'readiness names the link that is down',
    async () => {
      const { status, body } = await mesh.readiness()
      const named = body?.missing.find(({ what }) => what === LINK)
      return status === 503 && named !== undefined && named.why !== '' ? named.why : undefined
    },
    FOUND_OUT_MS,
  )
}

async function expectNothingLeft(mesh: TestMesh): Promise<void> {
  await until('permits and connections are given back', async () => {
    const { live } = await mesh.link(LINK)
    // One in use is the question itself, where it touches the pool at all.
    return live.in_flight <= 1 && live.waiting === 0 && live.oldest_overdue_ms === 0 && (live.pool?.waiting ?? 0) === 0
  })
}

function expectGatewayUntouched(traffic: Traffic<Flows>): void {
  for (const name of ['open', 'keyed', 'livez'] as const) {
    expect(Object.keys(traffic.tally(name)), `answers of ${name}`).toEqual(['200'])
  }
}

const faults = (): ReturnType<typeof createPeerFaults> => [
  ...createPeerFaults(fixture.postgres),
  createPostgresFull(fixture.postgres),
]
const NAMES = [
  'killed and restarted',
  'stopped (SIGSTOP) for 10 s',
  'black-holed',
  'refusing connections',
  'at its connection limit',
]

test.each(NAMES)(
  'M6: while Postgres is %s, the gateway answers everything, health names the link, and all heals in time',
  async (name) => {
    const { mesh } = fixture
    const fault = faults().find((each) => each.name === name)
    if (fault === undefined) throw new Error(`there is no fault ${name}`)
    await using traffic = startFlows(mesh)
    await until('all is well', () => isWell(traffic.ended('control')))

    const injectedMs = performance.now()
    await using injected = await injectFault(fault)
    const why = await untilNotReady(mesh)
    const downMs = performance.now()
    await until('it was down for a while', () => performance.now() > injectedMs + fault.holdMs, 15_000)
    const missing = await until('it says truly why', async () => {
      const { body } = await mesh.readiness()
      return body?.missing.find(({ what, why }) => what === LINK && fault.why.test(why))
    })
    expect(Date.parse(missing.since ?? '')).toBeGreaterThan(Date.now() - 60_000)
    const refused = await mesh.ask('/v1/keys')
    expect(errorOf(refused), 'the control API says that it lacks Postgres, and when to come back').toMatchObject({
      code: 'LINK_DOWN',
      retry_after_ms: expect.any(Number),
    })
    expect(refused.status).toBe(503)
    expect(Number(refused.headers['retry-after'])).toBeGreaterThanOrEqual(1)
    const seen = traffic.ended('control', downMs)

    await injected.heal()
    const recoveredMs = await mesh.ready(RECOVER_MS + SLACK_MS)
    const healedMs = performance.now()
    await until('the control API works again', () =>
      traffic.ended('control', healedMs).some(({ status }) => status === 200),
    )
    const late = await traffic.stop()

    process.stdout.write(
      `postgres ${name}: found out after ${(downMs - injectedMs).toFixed(0)} ms (${why}), ` +
        `ready ${recoveredMs.toFixed(0)} ms after the heal, control ${JSON.stringify(traffic.tally('control'))}\n`,
    )
    expect(late, 'requests that were past their deadline').toEqual([])
    expectGatewayUntouched(traffic)
    expect(
      Object.keys(traffic.tally('control')).filter((key) => key !== '200' && !MET_THE_FAULT.includes(key)),
    ).toEqual([])
    expect(
      seen.filter(({ status }) => status === 200),
      'nothing is made up while Postgres is away',
    ).toEqual([])
    expect(seen.filter(({ code, retryAfterMs }) => code === 'LINK_DOWN' && !(Number(retryAfterMs) > 0))).toEqual([])
    await expectNothingLeft(mesh)
  },
)

test('M6: half-open connections to Postgres are found out and replaced, though nobody heals them', async () => {
  const { mesh, postgres } = fixture
  await using traffic = startFlows(mesh)
  // Every connection of the pool is open, and so every one is struck.
  await Promise.all(Array.from({ length: POOL_SIZE * 4 }, () => mesh.ask('/v1/keys')))
  await until('all is well', () => isWell(traffic.ended('control')))
  const injectedMs = performance.now()
  await postgres.proxy.add({ type: 'half_open', name: 'half-open' })
  await until('the control API answers on new connections', () => isWell(traffic.ended('control', injectedMs)), 20_000)
  process.stdout.write(`postgres half-open: well again after ${(performance.now() - injectedMs).toFixed(0)} ms\n`)
  const burst = await Promise.all(Array.from({ length: POOL_SIZE * 2 }, () => mesh.ask('/v1/keys')))
  expect(tallyOf(burst), 'no dead connection lies in wait').toEqual({ 200: POOL_SIZE * 2 })
  await postgres.proxy.remove('half-open')
  expect(await traffic.stop(), 'requests that were past their deadline').toEqual([])
  expectGatewayUntouched(traffic)
  await expectNothingLeft(mesh)
})

/** The last ten were answered, and soon. */
function isWell(answers: readonly Ended[]): boolean {
  return answers.length >= 10 && answers.slice(-10).every(({ status, ms }) => status === 200 && ms < 1_000)
}

test('M6: a mesh starts without Postgres, carries traffic, says what it lacks, and is whole when Postgres comes', async (context) => {
  const { postgres, upstreamProxy } = fixture
  const { url } = await createEmptyDatabase(postgres.server.superuserUrl, postgres.server.url) // it goes with its server
  await postgres.server.kill('SIGKILL')
  await using mesh = await startMesh({ config: routesTo(upstreamProxy.port), env: { DATABASE_URL: url } })
  tellOnFailure(context, mesh)
  await using traffic = startTraffic(mesh.base, {
    open: { path: '/open/x', everyMs: 25, deadlineMs: 2_000 },
    livez: { path: '/livez', everyMs: 100, deadlineMs: 500 },
  })
  await untilNotReady(mesh)
  expect(errorOf(await mesh.ask('/v1/keys'))).toMatchObject({ code: 'LINK_DOWN', retry_after_ms: expect.any(Number) })
  // Without the database nobody can tell whether a key is good: that is said, and not guessed.
  const unknown = await mesh.ask('/keyed/x', { headers: { 'x-api-key': `rs_dev_${'a'.repeat(32)}` } })
  expect([unknown.status, unknown.code]).toEqual([503, 'LINK_DOWN'])
  await until('traffic flows', () => traffic.ended('open').length > 20)

  await postgres.server.restart()
  const recoveredMs = await mesh.ready(RECOVER_MS + SLACK_MS)
  process.stdout.write(`postgres absent at start: migrated and ready ${recoveredMs.toFixed(0)} ms after it came\n`)
  expect((await mesh.ask('/v1/keys')).status).toBe(200)
  expect(await traffic.stop()).toEqual([])
  // The upstream's own link is proved while the first requests come: those may be told to wait a moment.
  expect(Object.keys(traffic.tally('open')).filter((key) => key !== '200' && key !== '503 LINK_DOWN')).toEqual([])
  expect(Object.keys(traffic.tally('livez'))).toEqual(['200'])
})
