// Upkeep. What grows is kept by policy: modules say what is to be deleted, a batch at a time; here is when, and by whom.
// Each task has a loop of its own and a lease, so that one process of the mesh does it, and a task that fails or is slow
// holds up no other.
// Invariants:
//   UP1. A task is done by one process at a time; one that lost its lease deletes nothing more.
//   UP2. A statement deletes at most BATCH rows, and batches leave pauses: traffic never waits for upkeep.
//   UP3. A task that fails is tried again at its next turn, for ever; ending the loop ends it at once.

import { background, type Ctx, createId, type Env, isRipstopError, type Link } from '@ripstop/kernel'
import type { PostgresPool } from '@ripstop/kernel/postgres'
import { pause } from '#platform/pause'
import { type Part, withLease } from '#platform/postgres'
import type { Log } from '#platform/telemetry'

export const BATCH = 1_000
/** A backlog is worked off over several turns: other processes get theirs. */
const BATCHES_MAX = 200
const PAUSE_MS = 20
const LEASE_MS = 60_000
const TURN_MS_MAX = 50_000

export interface UpkeepTask {
  readonly name: string
  readonly everyMs: number
  /** Deletes at most `most`, `from held` only; gives rows whose `deleted` add up to how many. */
  readonly batch: (most: number) => Omit<Part, 'name'>
}

export interface UpkeepDeps {
  readonly env: Env
  readonly link: Link<PostgresPool>
  readonly log: Log
  readonly tasks: readonly UpkeepTask[]
  /** For tests. */
  readonly batchMax?: number
}

/** Starts every task's loop. The first turn comes within its interval, at random: meshes start all at once. */
export function startUpkeep(deps: UpkeepDeps): AsyncDisposable {
  const root = background(deps.env)
  const owner = createId(deps.env.clock.wallMs())
  const loops = deps.tasks.map((task) => runForEver(deps, root, owner, task))
  return {
    [Symbol.asyncDispose]: async () => {
      root.cancel()
      await Promise.all(loops)
    },
  }
}

async function runForEver(deps: UpkeepDeps, root: Ctx, owner: string, task: UpkeepTask): Promise<void> {
  const { env, log } = deps
  let waitMs = task.everyMs * env.random()
  while (root.reason === undefined) {
    try {
      await pause(root, waitMs)
      const deleted = await runTurn(deps, root, owner, task)
      if (deleted !== undefined && deleted > 0) log.info({ event: 'upkeep.deleted', task: task.name, rows: deleted })
    } catch (error) {
      if (root.reason !== undefined) return
      // The link tells of its own state; here it is only said that this turn is lost.
      const code = isRipstopError(error) ? error.code : 'INTERNAL'
      log.warn({
        event: 'upkeep.failed',
        task: task.name,
        code,
        why: error instanceof Error ? error.message : String(error),
      })
    }
    waitMs = task.everyMs * (0.5 + env.random())
  }
}

/** How many rows it deleted; undefined: another process has the task. */
async function runTurn(deps: UpkeepDeps, root: Ctx, owner: string, task: UpkeepTask): Promise<number | undefined> {
  const { env, link, batchMax = BATCH } = deps
  using ctx = root.within(TURN_MS_MAX)
  return withLease(link, ctx, { name: `upkeep.${task.name}`, owner, leaseMs: LEASE_MS }, async (held) => {
    let total = 0
    for (let batch = 0; batch < BATCHES_MAX; batch++) {
      const rows = await held.run<{ deleted: number }>(ctx, task.batch(batchMax))
      const deleted = rows?.reduce((sum, row) => sum + row.deleted, 0) ?? 0
      total += deleted
      if (deleted < batchMax) break
      await pause(ctx, PAUSE_MS * (0.5 + env.random()))
    }
    return total
  })
}
