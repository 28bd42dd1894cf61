// The whole of it: processes with authority, stores, write-behind, sweep and engine on a Redis and a Postgres that are killed under play.

import { createId } from '@ripstop/kernel'
import { createRedisAdapter } from '@ripstop/kernel/redis'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { hashOf, NO_HEAD, readLine } from '#session-log'
import { createSessionService, type SessionEngine } from '../sessions/engine.ts'
import type { SessionView } from '../sessions/service.ts'
import { createTestDatabase, type TestDatabase } from '../testing/postgres.ts'
import { until } from '../testing/processes.ts'
import { startTestRedis, type TestRedis } from '../testing/redis.ts'
import { createArchive } from './archive-store.ts'
import { holds, startTestNode, type TestNode } from './authority.fixture.ts'
import { begun, refOf } from './hybrid.fixture.ts'
import { createHybridStore } from './hybrid-store.ts'
import { startPostgresStore } from './postgres-store.ts'
import { createRedisFeed } from './redis-feed.ts'
import { createRedisStore } from './redis-store.ts'
import type { SessionStore } from './store.ts'
import { startSweep } from './sweep.ts'
import { TENANTS } from './write-behind.fixture.ts'
import { startWriteBehind } from './write-behind.ts'

let database: TestDatabase
let redis: TestRedis
let running: AsyncDisposableStack

beforeEach(async () => {
  running = new AsyncDisposableStack()
  database = running.use(await createTestDatabase())
  redis = running.use(await startTestRedis({ settings: { appendonly: 'yes', appendfsync: 'everysec' } }))
})
afterEach(() => running.disposeAsync())

interface Process {
  readonly node: TestNode
  readonly store: SessionStore
  readonly engine: SessionEngine
}

async function startProcess(nodeId: string): Promise<Process> {
  const node = running.use(await startTestNode(database.url, { redisUrl: redis.url, nodeId }))
  await holds(node, { mode: 'redis' })
  const { env, log, link, mesh, query } = node.mesh
  const { metrics } = mesh
  await query(`insert into ripstop.tenants (tenant_id, name) values ($1, 'players') on conflict do nothing`, [
    TENANTS[0],
  ])
  const feed = createRedisFeed({ mesh, adapter: createRedisAdapter({ url: redis.url }) })
  feed.link.start()
  const redisLink = node.redis as NonNullable<typeof node.redis>
  const inRedis = createRedisStore({ env, link: redisLink, feed, archive: createArchive(link) })
  const postgres = running.use(startPostgresStore({ env, log, link }))
  const { authority } = node
  const store = createHybridStore({ log, metrics, authority, redis: inRedis, postgres, link })
  const owner = createId(env.clock.wallMs())
  running.use(startWriteBehind({ env, log, metrics, redis: redisLink, link, owner, leaseMs: 1_000 }))
  running.use(startSweep({ env, log, metrics, link, authority, store, owner }))
  const engine = createSessionService({ env, metrics, store, authority })
  return { node, store, engine }
}

interface Played {
  readonly acknowledged: SessionView[]
  readonly failed: string[]
  stop(): Promise<void>
}

/** Switches all the time, by each process in turn. */
function play(processes: readonly Process[], number: number): Played {
  const acknowledged: SessionView[] = []
  const failed: string[] = []
  let isOver = false
  const run = async (): Promise<void> => {
    for (let turn = 0; !isOver; turn++) {
      const { engine, node } = processes[turn % processes.length] as Process
      const options = { receivedMs: engine.nowMs(), actor: 'open', operationId: `operation ${turn}` }
      try {
        const ctx = node.mesh.ctx.within(1_000)
        acknowledged.push((await engine.command(ctx, refOf(number), { kind: 'switch' }, options)).session)
      } catch (error) {
        failed.push((error as { code?: string }).code ?? String(error))
      }
      await new Promise((resolve) => node.mesh.env.clock.schedule(10, () => resolve(undefined)))
    }
  }
  const playing = run()
  return {
    acknowledged,
    failed,
    stop: async () => {
      isOver = true
      await playing
    },
  }
}

const wholeLog = async ({ store, node }: Process, number: number) => {
  const entries = await store.log(node.mesh.ctx, { ...refOf(number), afterVersion: 0, limit: 1_000_000 })
  return entries.map((entry) => ({ ...entry, line: readLine(entry) }))
}

/** Of what was acknowledged, all that is not in the log of the session as it went on. */
async function lostOf(process: Process, { acknowledged }: Played): Promise<readonly SessionView[]> {
  const log = await wholeLog(process, 1)
  let head = NO_HEAD
  for (const [index, { version, hash, text }] of log.entries()) {
    expect(version).toBe(index + 1)
    expect(hash).toBe(hashOf(head, text))
    head = hash
  }
  const kept = new Set(log.map(({ epoch, version }) => `${epoch}.${version}`))
  return acknowledged.filter(({ epoch, state }) => !kept.has(`${epoch}.${state.version}`))
}

const FAILURES = ['LINK_DOWN', 'LINK_LOST', 'DEADLINE_EXCEEDED', 'BREAKER_OPEN', 'SESSION_BUSY']
const unexpected = ({ failed }: Played) => failed.filter((code) => !FAILURES.includes(code))

async function startPlay(): Promise<{
  readonly processes: readonly Process[]
  readonly one: Process
  readonly game: Played
}> {
  const processes = [await startProcess('one'), await startProcess('two')] as const
  await begun(processes[0], processes[0].node.mesh, 1)
  const game = play(processes, 1)
  await goesOn(game)
  return { processes, one: processes[0], game }
}

/** Fifty more are acknowledged, and the last one as told. */
async function goesOn(
  { acknowledged }: Played,
  last: Partial<Pick<SessionView, 'level' | 'epoch'>> = {},
): Promise<void> {
  const isSo = (view: SessionView | undefined): boolean =>
    (last.level ?? view?.level) === view?.level && (last.epoch ?? 0) <= (view?.epoch ?? 0)
  await until(`it goes on as ${JSON.stringify(last)}`, () => isSo(acknowledged.at(-1)))
  const count = acknowledged.length
  await until('it is played', () => acknowledged.length > count + 50)
}

test('HY2, AY6: killed under play, Redis is stood in for by Postgres within 3 s; back again, nothing that Postgres acknowledged is lost, and nobody paid for it', async () => {
  const { one, game } = await startPlay()
  await redis.kill('SIGKILL')
  await goesOn(game, { level: 'durable' })
  await redis.restart()
  await goesOn(game, { level: 'accepted' })
  await game.stop()
  const lost = await lostOf(one, game)
  expect(lost.filter(({ level }) => level === 'durable')).toEqual([])
  // What Postgres went on without is kept, as far as Redis had written it down.
  const rows = await one.node.mesh.query<{ place: string }>(
    `select epoch || '.' || version as place from ripstop.session_log`,
  )
  const known = new Set(rows.map(({ place }) => place))
  const gone = lost.filter(({ epoch, state }) => !known.has(`${epoch}.${state.version}`))
  expect(gone.length).toBeLessThan(200)
  const recovered = (await wholeLog(one, 1)).flatMap(({ line: { event } }) => (event.kind === 'recovered' ? event : []))
  expect(recovered[0]?.creditedMs).toBeGreaterThan(1_500)
  expect(unexpected(game)).toEqual([])
})

test.each([
  ['emptied', 60, (node: TestNode) => node.redis?.call(node.mesh.ctx, (client) => client.flushall())],
  ['restarted with its AOF', 0, () => redis.restart()],
] as const)(
  'HY2: %s under play, Redis goes on in a new epoch from what it has or Postgres has',
  async (_, lostMax, fault) => {
    const { one, game } = await startPlay()
    await fault(one.node)
    await goesOn(game, { level: 'accepted', epoch: 2 })
    await game.stop()
    // What was drained, some 50 ms before, is the least that is there.
    expect((await lostOf(one, game)).length).toBeLessThanOrEqual(lostMax)
    expect(unexpected(game)).toEqual([])
  },
)
