// Switches through the engine and the store of the product, one process, concurrency 64 and 1, on a Redis with an append-only file; the
// seed's pipeline beside it on the same Redis. CPU of the process and of Redis, per switch.

import { randomUUID } from 'node:crypto'
import { background } from '@ripstop/kernel'
import { createRedisAdapter } from '@ripstop/kernel/redis'
import { startSessionStores } from '../../packages/server/src/session-stores/start.ts'
import { createSessionService } from '../../packages/server/src/sessions/engine.ts'
import { startTestMesh } from '../../packages/server/src/testing/mesh.ts'
import { query } from '../delivery/stand.ts'
import { startHelper } from '../ipc.ts'
import { treeCpuMs } from '../machine.ts'
import { median, percentile, type Result } from '../statistics.ts'
import { startSeedPipeline } from './seed-pipeline.ts'
import { inParallel, type SessionStand, startSessionStand } from './stand.ts'

const SESSIONS = 500
const DAY_MS = 86_400_000
const TENANT = '00000000-0000-7000-8000-000000000001'
const CONTROL = { mainMs: DAY_MS, increment: { kind: 'none' }, overtime: { kind: 'none' }, stages: [] } as const

interface Run {
  readonly perSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly nodeUs: number
  readonly redisUs: number
}

export async function storeThroughput(
  count: number,
  rounds: number,
): Promise<{ readonly results: readonly Result[]; readonly notes: readonly string[] }> {
  await using stand = await startSessionStand('redis', 1, false) // it migrates, and drains nothing
  const redisPid = stand.redis?.pid ?? 0
  const url = stand.redis?.url ?? ''
  await using ground = await startTestMesh(stand.databaseUrl)
  const { env, mesh, log, link } = ground
  const adapter = createRedisAdapter({ url })
  const redis = mesh.link('redis.main', adapter, { deadlineMs: 2_000, bulkhead: { concurrent: 4_096, queue: 1_024 } })
  redis.start()
  const ctx = background(env)
  await redis.whenUp(ctx.within(5_000))
  await using stores = startSessionStores({
    env,
    log,
    mesh,
    link,
    beatsAdapter: ground.postgres.adapter(1),
    redis: { link: redis, adapter },
    nodeId: randomUUID(),
    endedTtlMs: DAY_MS,
    backlogMax: 100_000_000,
  })
  const { store, authority } = stores
  await known(authority)
  const service = createSessionService({ env, metrics: mesh.metrics, store, authority })
  const refs = Array.from({ length: SESSIONS }, () => ({ tenantId: TENANT, sessionId: randomUUID() }))
  const command = (index: number, kind: 'start' | 'switch') =>
    service.command(
      ctx,
      refs[index % SESSIONS] as (typeof refs)[number],
      { kind },
      { receivedMs: service.nowMs(), actor: 'bench', operationId: undefined },
    )
  for (const [index, ref] of refs.entries()) {
    const participants = [0, 1].map(() => ({ participantId: randomUUID(), groupId: undefined, control: CONTROL }))
    const rules = {
      mode: 'per_participant',
      participants,
      onTimeout: 'end',
      maxTimeMs: undefined,
      lag: undefined,
    } as const
    await service.create(
      ctx,
      { ref, rules, metadata: {}, timeoutEvent: undefined },
      { actor: 'bench', operationId: undefined },
    )
    await command(index, 'start')
  }
  await using seed = await startSeedPipeline(url)
  const seedIds = refs.map(({ sessionId }) => `seed-${sessionId}`)
  for (const id of seedIds) await seed.create(id)
  const switchOurs = (index: number) => command(index, 'switch')
  const switchSeed = (index: number) => seed.switch(seedIds[index % SESSIONS] ?? '')
  const told = tell(await alternate(redisPid, count, rounds, switchOurs, switchSeed))
  await seed.forget()
  const drained = await bothDrained(stand, count, switchOurs, switchSeed)
  return { results: [...told.results, drained], notes: told.notes }
}

type Runs = Readonly<Record<'ours' | 'oursAlone' | 'seed' | 'seedAlone', readonly Run[]>>

async function alternate(
  redisPid: number,
  count: number,
  rounds: number,
  switchOurs: (index: number) => Promise<unknown>,
  switchSeed: (index: number) => Promise<unknown>,
): Promise<Runs> {
  const runs = { ours: [] as Run[], oursAlone: [] as Run[], seed: [] as Run[], seedAlone: [] as Run[] }
  for (let round = 0; round <= rounds; round++) {
    const ours = await measure(redisPid, count, 64, switchOurs)
    const theirs = await measure(redisPid, Math.ceil(count / 3), 64, switchSeed)
    const oursAlone = await measure(redisPid, Math.ceil(count / 8), 1, switchOurs)
    const seedAlone = await measure(redisPid, Math.ceil(count / 20), 1, switchSeed)
    if (round === 0) continue // compiled and warm from here
    runs.ours.push(ours)
    runs.seed.push(theirs)
    runs.oursAlone.push(oursAlone)
    runs.seedAlone.push(seedAlone)
  }
  return runs
}

/** The whole pipelines: ours with write-behind, the seed's with the worker of its queue, each until its last event is in Postgres. */
async function bothDrained(
  stand: SessionStand,
  count: number,
  ours: (index: number) => Promise<unknown>,
  theirs: (index: number) => Promise<unknown>,
): Promise<Result> {
  const oursPerSecond = await drainedPerSecond(stand, 'ripstop.session_log', count, ours, async () => {
    const mesh = await stand.startMesh('work')
    return { [Symbol.asyncDispose]: async () => void (await mesh.stop()) }
  })
  const few = Math.ceil(count / 6)
  const seedPerSecond = await drainedPerSecond(stand, 'seed_events', few, theirs, () =>
    startHelper('sessions/seed-worker.ts', [stand.redis?.url ?? '', stand.databaseUrl]),
  )
  const ratio = oursPerSecond / seedPerSecond
  return {
    what: "the whole of it, until the last event is in Postgres, over the seed's with its worker",
    figure: `${ratio.toFixed(1)}x (${oursPerSecond.toFixed(0)}/s, ${seedPerSecond.toFixed(0)}/s)`,
    asked: '>= 3x',
    met: ratio >= 3,
  }
}

async function drainedPerSecond(
  { databaseUrl }: SessionStand,
  table: string,
  count: number,
  run: (index: number) => Promise<unknown>,
  startDrain: () => Promise<AsyncDisposable>,
): Promise<number> {
  await using _drain = await startDrain()
  const rows = async (): Promise<number> => {
    const [row] = await query<{ n: string }>(databaseUrl, `select count(*) as n from ${table}`)
    return Number(row?.n)
  }
  const settled = async (): Promise<number> => {
    for (let before = -1; ; ) {
      const now = await rows()
      if (now === before) return now
      before = now
      await new Promise((resolve) => setTimeout(resolve, 1_000))
    }
  }
  const before = await settled() // what earlier rounds left is drained first
  const startedMs = performance.now()
  await inParallel([...Array(count).keys()], 64, run)
  while ((await rows()) < before + count) await new Promise((resolve) => setTimeout(resolve, 50))
  return (count * 1_000) / (performance.now() - startedMs)
}

async function known(authority: { term(): unknown }): Promise<void> {
  for (let look = 0; look < 200; look++) {
    try {
      authority.term()
      return
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }
}

async function measure(
  redisPid: number,
  count: number,
  concurrency: number,
  run: (index: number) => Promise<unknown>,
): Promise<Run> {
  const times: number[] = []
  const redisMs = treeCpuMs(redisPid)
  const before = process.cpuUsage()
  const startedMs = performance.now()
  await inParallel([...Array(count).keys()], concurrency, async (index) => {
    const fromMs = performance.now()
    await run(index)
    times.push(performance.now() - fromMs)
  })
  const seconds = (performance.now() - startedMs) / 1_000
  const { user, system } = process.cpuUsage(before)
  return {
    perSecond: count / seconds,
    p50Ms: percentile(times, 50),
    p99Ms: percentile(times, 99),
    nodeUs: (user + system) / count,
    redisUs: ((treeCpuMs(redisPid) - redisMs) * 1_000) / count,
  }
}

function tell(runs: Runs): {
  readonly results: readonly Result[]
  readonly notes: readonly string[]
} {
  const of = (name: keyof typeof runs, pick: (run: Run) => number): number => median(runs[name].map(pick))
  const describe = (name: keyof typeof runs): string =>
    `${of(name, (run) => run.perSecond).toFixed(0)}/s, p50 ${of(name, (run) => run.p50Ms).toFixed(2)} ms, p99 ${of(name, (run) => run.p99Ms).toFixed(2)} ms, us CPU: node ${of(name, (run) => run.nodeUs).toFixed(0)}, redis ${of(name, (run) => run.redisUs).toFixed(0)}`
  const perSecond = of('ours', (run) => run.perSecond)
  const ratio = perSecond / of('seed', (run) => run.perSecond)
  return {
    results: [
      {
        what: 'switch through engine and store, redis, concurrency 64',
        figure: `${perSecond.toFixed(0)}/s accepted`,
        asked: '>= 20000/s',
        met: perSecond >= 20_000,
      },
      {
        what: "the same over the seed's GET, check, SETEX, PUBLISH, BullMQ",
        figure: `${ratio.toFixed(1)}x`,
        asked: '>= 3x',
        met: ratio >= 3,
      },
    ],
    notes: [
      `store, ours: concurrency 64 ${describe('ours')}; concurrency 1 ${describe('oursAlone')}`,
      `store, the seed's: concurrency 64 ${describe('seed')}; concurrency 1 ${describe('seedAlone')}`,
      "neither is drained meanwhile: no process writes our log to Postgres, and the seed's queue has no worker; write-behind has rows of its own",
    ],
  }
}
