import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { background, createEnv, Metrics } from '@ripstop/kernel'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Authority, SessionStore } from '#session-stores'
import { TENANTS } from '../session-stores/postgres.fixture.ts'
import { startPostgresStore } from '../session-stores/postgres-store.ts'
import { emptyRedis, startSide } from '../session-stores/redis.fixture.ts'
import { startTestMesh } from '../testing/mesh.ts'
import { createTestDatabase } from '../testing/postgres.ts'
import { until } from '../testing/processes.ts'
import { startTestRedis } from '../testing/redis.ts'
import { checkRace } from './checker.fixture.ts'
import { control, newSession, refOf, rulesOf } from './engine.fixture.ts'
import { createSessionService, type SessionEngine } from './engine.ts'
import type { Answer, Wish } from './racing-process.fixture.ts'

const cleaning = new AsyncDisposableStack()
const ctx = background(createEnv())

interface Ground {
  readonly kind: 'redis' | 'postgres'
  readonly url: string
  readonly store: SessionStore
}

const grounds = new Map<string, Ground>()

beforeAll(async () => {
  const redis = cleaning.use(await startTestRedis())
  const side = cleaning.use(await startSide(redis.url))
  await emptyRedis(side)
  grounds.set('redis', { kind: 'redis', url: redis.url, store: side.store })
  const { url } = cleaning.use(await createTestDatabase())
  const mesh = cleaning.use(await startTestMesh(url))
  const store = cleaning.use(startPostgresStore(mesh))
  await mesh.query('insert into ripstop.tenants (tenant_id, name) values ($1, $2)', [TENANTS[0], 'tenant'])
  await mesh.query(
    `insert into ripstop.session_epochs (epoch, mode, since_ms, until_ms, reason) values (1, 'postgres', 0, 0, 'test')`,
  )
  grounds.set('postgres', { kind: 'postgres', url, store })
})

afterAll(() => cleaning.disposeAsync())

interface Racer {
  readonly child: ChildProcess
  readonly answers: Answer[]
  readonly wish: (wish: Wish) => void
  /** Lets it end what it was asked for; gives its metrics. */
  readonly end: () => Promise<string>
}

async function startRacer({ kind, url }: Ground): Promise<Racer> {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'racing-process.fixture.ts'), kind, url], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const answers: Answer[] = []
  let last = ''
  const ready = Promise.withResolvers<void>()
  createInterface({ input: child.stdout }).on('line', (line) => {
    const said = JSON.parse(line) as Answer | { readonly metrics: string } | 'ready'
    if (said === 'ready') ready.resolve()
    else if ('metrics' in said) last = said.metrics
    else answers.push(said)
  })
  const exited = new Promise<void>((resolve) => child.once('close', () => resolve()))
  await ready.promise
  return {
    child,
    answers,
    wish: (wish) => void child.stdin.write(`${JSON.stringify(wish)}\n`),
    end: async () => {
      child.stdin.end()
      await exited
      return last
    },
  }
}

const exactMs = (): number => performance.timeOrigin + performance.now()
const refIn = (n: number) => ({ ...refOf(n), tenantId: TENANTS[0] })

/** Creates sessions from here, and commands nothing that could race. */
function createCreator({ store }: Ground): SessionEngine {
  const term = { epoch: 1, mode: 'postgres' } as const
  const authority: Authority = {
    term: () => term,
    outagesAfter: async () => [],
    renew: async () => term,
    nowMs: () => Math.floor(exactMs()),
    exactMs,
  }
  return createSessionService({ env: ctx.env, metrics: new Metrics(), store, authority })
}

/** A session that runs; when its first clock falls. */
async function start(service: SessionEngine, n: number, mainMs: number): Promise<number> {
  const rules = rulesOf({}, 2, control({ mainMs }))
  await service.create(ctx, newSession(refIn(n), rules), { actor: 'test', operationId: undefined })
  const options = { receivedMs: service.nowMs(), actor: 'test', operationId: undefined }
  const { session } = await service.command(ctx, refIn(n), { kind: 'start' }, options)
  return (session.state.turnSinceMs as number) + mainMs
}

const fellOf = (metrics: string): number => Number(/sessions_timeouts_total (\d+)/.exec(metrics)?.[1] ?? 0)

describe.each(['redis', 'postgres'] as const)('%s', (name) => {
  test('TO1, EN2: three processes time 60 sessions, and each is switched by one of them when its clock falls: one of both happens, once', async () => {
    const ground = grounds.get(name) as Ground
    const racers = await Promise.all([startRacer(ground), startRacer(ground), startRacer(ground)])
    const creator = createCreator(ground)
    const first = 1_000
    const count = 60
    for (let n = 0; n < count; n++) {
      const deadlineMs = await start(creator, first + n, 1_500 + 5 * n)
      const operationId = `op-${n}`
      racers[n % 3]?.wish({
        ref: refIn(first + n),
        operationId,
        command: { kind: 'switch', by: 0 },
        // Some well before and well after, whatever the machine has to do; the others race.
        atMs: deadlineMs + ([-800, 300][n % 10] ?? (n % 13) - 6),
      })
    }
    await until(
      'all have been answered',
      () => racers.reduce((sum, { answers }) => sum + answers.length, 0) === count,
      60_000,
    )
    const late = await Promise.all(
      Array.from({ length: count }, (_, n) =>
        until(`${n} is over`, async () => {
          const session = await ground.store.load(ctx, refIn(first + n))
          return session !== undefined && (session.version > 2 || undefined) && session
        }),
      ),
    )
    expect(late).toHaveLength(count)
    const metrics = await Promise.all(racers.map(({ end }) => end()))
    const told = new Map(racers.flatMap(({ answers }) => answers).map((answer) => [answer.operationId, answer]))
    let fallen = 0
    for (let n = 0; n < count; n++) {
      const answer = told.get(`op-${n}`) as Answer
      const { kinds, problems, lateMs } = await checkRace(ctx, ground.store, refIn(first + n), [answer])
      expect(problems).toEqual([])
      // A clock that fell has ended the session; after a switch it is the other's turn, for a second and more.
      expect([kinds.expired ?? 0, kinds.switched ?? 0]).toEqual(
        answer.outcome === 'done' ? [kinds.expired ?? 0, 1] : [1, 0],
      )
      if (answer.outcome !== 'done') fallen++
      for (const ms of lateMs) expect(ms).toBeGreaterThanOrEqual(0)
    }
    expect(fallen).toBeGreaterThan(0)
    expect(fallen).toBeLessThan(count)
    expect(metrics.map(fellOf).reduce((sum, one) => sum + one)).toBeGreaterThanOrEqual(fallen)
  }, 120_000)

  test('EN1, EN2, EN6: twelve writers in three processes on one session, one of which is killed: what was acknowledged is there, once', async () => {
    const ground = grounds.get(name) as Ground
    const racers = await Promise.all([startRacer(ground), startRacer(ground), startRacer(ground)])
    await start(createCreator(ground), 1, 3_600_000)
    const times = 25
    for (const [at, { wish }] of racers.entries()) {
      for (let writer = 0; writer < 4; writer++) {
        wish({
          ref: refIn(1),
          operationId: `${at}-${writer}`,
          command: { kind: 'switch' },
          times: at === 0 ? 10_000 : times,
        })
      }
    }
    await until('the first has done some', () => (racers[0]?.answers.length ?? 0) > 20, 20_000)
    racers[0]?.child.kill('SIGKILL')
    await Promise.all(racers.map(({ end }) => end()))
    const told = racers.flatMap(({ answers }) => answers)
    const { problems, kinds } = await checkRace(ctx, ground.store, refIn(1), told)
    expect(problems).toEqual([])
    const done = told.filter(({ outcome }) => outcome === 'done').length
    expect(kinds.switched).toBeGreaterThanOrEqual(done)
    expect(kinds.switched).toBeLessThanOrEqual(done + 4) // what the killed one had under way
    const others = told.filter(({ operationId }) => !operationId.startsWith('0-'))
    expect(others).toHaveLength(2 * 4 * times)
    expect(others.every(({ outcome, code }) => outcome === 'done' || code === 'CONFLICT')).toBe(true)
  }, 120_000)
})
