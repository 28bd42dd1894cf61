// Write-behind. What Redis acknowledged is drained into Postgres, where it is kept: from the stream of each shard, after a cursor that is moved in
// the statement that writes. One process does it for the whole mesh, by lease; if two should, nothing happens but work in vain (WB1).
// A cursor is a record, not a number: as long as the stream has that record where the cursor says, what comes after it is what is not drained,
// whatever clocks did. If it has not, Redis was emptied, put back to an earlier state or replaced, and the stream is read from its beginning:
// what is in Postgres already stays as it is.
// Invariants:
//   WB5. Nothing is trimmed that Postgres has not, nor what is younger than `keepMs` before the cursor.
//   WB6. While Postgres or Redis is away it waits, and goes on where it was.
//   WB7. A stream that does not have the cursor's record is read from its beginning.

import { background, type Ctx, createId, type Env, isRipstopError, type Link, type Metrics } from '@ripstop/kernel'
import type { PostgresPool } from '@ripstop/kernel/postgres'
import type { Redis } from 'ioredis'
import { pause } from '#platform/pause'
import { withLease } from '#platform/postgres'
import type { Log } from '#platform/telemetry'
import { DrainLane } from './drain-lane.ts'
import { countBacklog } from './redis-backlog.ts'
import { SHARD_KEYS } from './redis-keys.ts'

const LEASE_MS = 5_000
/** How often a process that has not the lease asks for it. */
const STANDBY_MS = 500
/** Shards of a lane share a statement; while one lane waits for Postgres, another one reads. */
const LANES = 2
const BUSY_MS = 5
const IDLE_MS = 50
const FAILED_MS = 100
const FAILED_MS_MAX = 2_000
const LAG_EVERY_MS = 1_000

export interface WriteBehindDeps {
  readonly env: Env
  readonly log: Log
  readonly metrics: Metrics
  readonly redis: Link<Redis>
  readonly link: Link<PostgresPool>
  /** Of this process, a UUID: one that starts again under the same name needn't wait for its own lease to end. */
  readonly owner?: string | undefined
  /** How long Redis keeps a session that has ended, once it is drained. */
  readonly endedTtlMs?: number | undefined
  /** How long records are kept before the cursor. */
  readonly keepMs?: number | undefined
  readonly leaseMs?: number | undefined
}

/** Runs until it is disposed of, which lets the statement under way end: nobody can know what a statement that was left alone still does. */
export function startWriteBehind(deps: WriteBehindDeps): AsyncDisposable {
  const root = background(deps.env)
  const running = Promise.all([runForEver(deps, root), tellLag(deps, root)])
  return {
    [Symbol.asyncDispose]: async () => {
      root.cancel()
      await running
    },
  }
}

async function runForEver(deps: WriteBehindDeps, root: Ctx): Promise<void> {
  const { env, link, leaseMs = LEASE_MS } = deps
  const owner = deps.owner ?? createId(env.clock.wallMs())
  const failures = createFailures(deps)
  const lanes = Array.from(
    { length: LANES },
    (_, lane) => new DrainLane({ ...deps, keys: SHARD_KEYS.filter(({ shard }) => shard % LANES === lane) }),
  )
  while (root.reason === undefined) {
    try {
      const held = await withLease(link, root, { name: 'sessions.write-behind', owner, leaseMs }, async () => {
        using term = root.within(leaseMs / 2)
        await Promise.all(lanes.map((lane) => drainTerm(env, term, lane, failures)))
        return true
      })
      if (held !== undefined) continue
      for (const lane of lanes) lane.forget()
      await pause(root, STANDBY_MS * (0.5 + env.random()))
    } catch (error) {
      if (root.reason !== undefined) return
      await failures.wait(root, error)
    }
  }
}

/** Also while Postgres is away, and by processes that have not the lease: whoever looks at one of them sees it. */
async function tellLag({ metrics, redis }: WriteBehindDeps, root: Ctx): Promise<void> {
  const lag = metrics.gauge('sessions_write_behind_lag', 'Commits of sessions that Redis has and Postgres has not')
  while (root.reason === undefined) {
    lag.set(await redis.call(root, countBacklog, { idempotent: true }).catch(() => Number.NaN))
    await pause(root, LAG_EVERY_MS).catch(() => undefined) // ended
  }
}

/** Never rejects: what fails is tried again, until the term is over. */
async function drainTerm(env: Env, term: Ctx, lane: DrainLane, failures: Failures): Promise<void> {
  let waitMs = BUSY_MS
  while (term.remainingMs > 0 && term.reason === undefined) {
    try {
      // What is begun may end, bounded by its links; the lease lasts for as long again.
      const isMore = await lane.turn(background(env))
      failures.over()
      waitMs = isMore ? 0 : Math.min(IDLE_MS, Math.max(BUSY_MS, waitMs * 2))
    } catch (error) {
      lane.failed()
      await failures.wait(term, error)
      continue
    }
    if (waitMs > 0) await pause(term, waitMs * (0.5 + env.random())).catch(() => undefined) // over: the loop sees it
  }
}

interface Failures {
  /** Tells of it, counts it, and waits, the longer the more there were. Never rejects. */
  readonly wait: (ctx: Ctx, error: unknown) => Promise<void>
  readonly over: () => void
}

function createFailures({ env, log, metrics }: WriteBehindDeps): Failures {
  const counter = metrics.counter(
    'sessions_write_behind_failures_total',
    'Batches that could not be drained, and were tried again',
  )
  let failures = 0
  return {
    wait: async (ctx, error) => {
      counter.add(1)
      // The link tells of its own state; what is no failure of a link is a defect, and shown whole.
      const said = isRipstopError(error) ? { code: error.code } : { code: 'INTERNAL', error }
      const why = error instanceof Error ? error.message : String(error)
      if (failures++ === 0) log.warn({ event: 'session.write_behind_waits', why, ...said })
      const pauseMs = Math.min(FAILED_MS_MAX, FAILED_MS * 2 ** Math.min(failures, 10)) * env.random()
      await pause(ctx, pauseMs).catch(() => undefined) // ended: the loop sees it
    },
    over: () => {
      if (failures > 0) log.info({ event: 'session.write_behind_goes_on', failures })
      failures = 0
    },
  }
}
