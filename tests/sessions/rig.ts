// A rig for live sessions: three meshes (one of them works, too) on one Postgres and, for the redis store, one Redis that keeps an
// append-only file; players with a ledger; and everything that is done to them.

import { randomBytes } from 'node:crypto'
import { Client } from 'pg'
import { startTestCluster, type TestCluster } from '../../packages/server/src/testing/postgres.ts'
import { startTestRedis, type TestRedis } from '../../packages/server/src/testing/redis.ts'
import { createEmptyDatabase } from '../mesh/fixture.ts'
import { freezeMesh, signal, startMesh, type TestMesh, until } from '../mesh/harness.ts'
import { judge, type Verdict } from './checker.ts'
import { type Players, startPlayers } from './players.ts'

const FLOWING_MS = 60_000
const DRAINED_MS = 60_000

export type StoreName = 'postgres' | 'redis'

export interface RigOptions {
  readonly seed: number
  readonly store: StoreName
  readonly players?: { readonly sessions?: number; readonly writers?: number; readonly pauseMs?: number }
}

export interface Rig extends AsyncDisposable {
  readonly store: StoreName
  readonly meshes: readonly TestMesh[]
  readonly postgres: TestCluster
  /** Undefined with the postgres store. */
  readonly redis: TestRedis | undefined
  readonly players: Players
  readonly databaseUrl: string
  killEdge(place: number): Promise<void>
  /** Everything of a mesh stops where it is, its supervisor too. Gives what thaws it. */
  freeze(place: number): Promise<() => void>
  /** ms until commands are acknowledged again, counted from now. */
  recover(limitMs?: number): Promise<number>
  /** Ends playing, waits until all is in Postgres, and judges. */
  settle(): Promise<Verdict>
}

export async function startRig({ seed, store, players: wish = {} }: RigOptions): Promise<Rig> {
  await using starting = new AsyncDisposableStack()
  const postgres = starting.use(await startTestCluster())
  const { url: databaseUrl } = await createEmptyDatabase(postgres.superuserUrl, postgres.url) // it goes with its server
  const settings = { appendonly: 'yes', appendfsync: 'everysec' }
  const redis = store === 'redis' ? starting.use(await startTestRedis({ settings })) : undefined
  const env = { DATABASE_URL: databaseUrl, ...(redis === undefined ? {} : { REDIS_URL: redis.url }) }
  const config = {
    session_limits: { enabled: false },
    secrets: { master_key: randomBytes(32).toString('base64') },
  }
  const first = starting.use(await startMesh({ config, env }))
  await first.ready()
  const others = await Promise.all([1, 2].map(() => startMesh({ config, env, args: ['--roles', 'edge'] })))
  for (const mesh of others) starting.use(mesh)
  const meshes = [first, ...others]
  await Promise.all(meshes.map((mesh) => mesh.ready()))
  const frozen = new Set<TestMesh>()
  const players = await startPlayers({
    bases: () => meshes.filter((mesh) => !frozen.has(mesh)).map(({ base }) => base),
    seed,
    sessions: 12,
    writers: 8,
    pauseMs: 20,
    ...wish,
  })
  starting.defer(() => players.stop())
  const owned = starting.move()
  return {
    store,
    meshes,
    postgres,
    redis,
    players,
    databaseUrl,
    killEdge: async (place) => signal(await meshes[place]?.pidOf('edge'), 'SIGKILL'),
    freeze: (place) => freeze(meshes[place] as TestMesh, frozen),
    recover: (limitMs = FLOWING_MS) => recover(players, limitMs),
    settle: () => settle(players, databaseUrl, meshes),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

async function freeze(mesh: TestMesh, frozen: Set<TestMesh>): Promise<() => void> {
  frozen.add(mesh)
  const thaw = await freezeMesh(mesh)
  return () => {
    thaw()
    frozen.delete(mesh)
  }
}

async function recover({ ledger, sessions }: Players, limitMs: number): Promise<number> {
  const fromMs = performance.now()
  const waiting = new Set(sessions)
  let seen = ledger.length
  await until(
    'every session takes commands again',
    () => {
      for (; seen < ledger.length; seen++) {
        const move = ledger[seen]
        if (move !== undefined && move.ackMs >= fromMs) waiting.delete(move.sessionId)
      }
      return waiting.size === 0
    },
    limitMs,
  ).catch((cause) => {
    throw new Error(`not recovered: ${[...waiting].join(', ')}`, { cause })
  })
  return performance.now() - fromMs
}

/** All that was acknowledged must be in Postgres before the verdict: players' last places, and a log that no longer grows. */
async function settle(players: Players, databaseUrl: string, meshes: readonly TestMesh[]): Promise<Verdict> {
  await players.stop()
  // Sessions with short turns would go on for ever.
  for (const sessionId of players.sessions)
    await until(
      'it is completed',
      async () => {
        const answer = await meshes[0]?.ask(`/v1/sessions/${sessionId}/complete`, { method: 'POST', body: {} })
        return answer?.status === 200 || answer?.code === 'INVALID_STATE_TRANSITION'
      },
      FLOWING_MS,
    )
  let count = -1
  await until(
    'the log has stopped growing',
    async () => {
      const before = count
      count = await countEnded(databaseUrl)
      await new Promise((resolve) => setTimeout(resolve, 300))
      return count === before && count >= players.sessions.length
    },
    DRAINED_MS,
  ).catch(() => {}) // what is missing is in the verdict
  const base = meshes[0]?.base ?? ''
  let verdict = await judge(players, databaseUrl, base)
  await until(
    'the verdict is good',
    async () => {
      if (verdict.problems.length > 0) verdict = await judge(players, databaseUrl, base)
      return verdict.problems.length === 0
    },
    15_000,
  ).catch(() => {})
  return verdict
}

async function countEnded(databaseUrl: string): Promise<number> {
  const client = new Client({ connectionString: databaseUrl })
  await client.connect()
  try {
    const { rows } = await client.query<{ ended: string }>(
      `select count(*) as ended from ripstop.sessions where ended_at is not null`,
    )
    return Number(rows[0]?.ended ?? 0)
  } finally {
    await client.end()
  }
}
