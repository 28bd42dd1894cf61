// The orphan check, made by itself every few minutes over the last hour and told in the metrics: one process of the mesh does it, while
// it holds the lease.
// Invariants:
//   OR3. One process checks at a time; what another process, or nobody, knows now is told by none.

import { background, type Ctx, type Env, type Gauge, isRipstopError, type Link, type Metrics } from '@ripstop/kernel'
import type { PostgresPool } from '@ripstop/kernel/postgres'
import { pause } from '#platform/pause'
import { withLease } from '#platform/postgres'
import type { Log } from '#platform/telemetry'
import { CHECK_DEFAULTS, checkDelivery } from './check-store.ts'

const EVERY_MS = 300_000
const WINDOW_MS = 3_600_000
/** How long a process waits that has not the lease, or failed. */
const STANDBY_MS = 30_000
/** Beside EVERY_MS, for the check itself. */
const LEASE_MORE_MS = 60_000

export interface CheckingDeps {
  readonly env: Env
  readonly log: Log
  readonly metrics: Metrics
  readonly link: Link<PostgresPool>
  /** Of this process, a UUID: one that starts again under the same name needn't wait for its own lease to end. */
  readonly owner: string
  readonly secretAgeMs: number
  readonly everyMs?: number
  readonly standbyMs?: number
}

/** Runs until it is disposed of. */
export function startChecking(deps: CheckingDeps): AsyncDisposable {
  const root = background(deps.env)
  const running = runForEver(deps, root)
  return {
    [Symbol.asyncDispose]: async () => {
      root.cancel()
      await running
    },
  }
}

async function runForEver(deps: CheckingDeps, root: Ctx): Promise<void> {
  const { env, log, link, metrics, owner, everyMs = EVERY_MS, standbyMs = STANDBY_MS } = deps
  const counts = new Counts(metrics)
  const leaseMs = everyMs + LEASE_MORE_MS
  // A mesh that has just started has shards to claim, and what fell due while it was away.
  let waitMs = standbyMs
  while (root.reason === undefined) {
    try {
      if (waitMs > 0) await pause(root, waitMs * (0.5 + env.random()))
      waitMs = 0
      using term = root.within(leaseMs)
      const held = await withLease(link, term, { name: 'delivery.check', owner, leaseMs }, async () => {
        await checkOnce(deps, term, counts)
        await pause(term, everyMs) // with the lease, so that nobody else checks meanwhile
        return true
      })
      if (held === true) continue
      counts.forget()
      waitMs = standbyMs
    } catch (error) {
      if (root.reason !== undefined) return
      counts.forget()
      const code = isRipstopError(error) ? error.code : 'INTERNAL'
      log.warn({ event: 'delivery.check_failed', code, why: error instanceof Error ? error.message : String(error) })
      waitMs = standbyMs
    }
  }
}

async function checkOnce({ env, log, link, secretAgeMs }: CheckingDeps, ctx: Ctx, told: Counts): Promise<void> {
  const untilWallMs = env.clock.wallMs()
  const bounds = { ...CHECK_DEFAULTS, secretAgeMs, untilWallMs, sinceWallMs: untilWallMs - WINDOW_MS }
  const { counts } = await checkDelivery(link, ctx, bounds)
  for (const { name, count, ids } of counts) {
    if (count > 0 && told.of(name) === 0) log.warn({ event: 'delivery.check_found', name, count, ids })
    told.set(name, count)
  }
}

class Counts {
  readonly #metrics: Metrics
  readonly #gauges = new Map<string, { readonly gauge: Gauge; count: number }>()

  constructor(metrics: Metrics) {
    this.#metrics = metrics
  }

  /** 0 if it is not known. */
  of(name: string): number {
    return this.#gauges.get(name)?.count ?? 0
  }

  set(name: string, count: number): void {
    const help = 'What the orphan check found in the last hour; each must be 0'
    const gauge = this.#gauges.get(name)?.gauge ?? this.#metrics.gauge('delivery_check_count', help, { name })
    this.#gauges.set(name, { gauge, count })
    gauge.set(count)
  }

  forget(): void {
    for (const one of this.#gauges.values()) {
      one.gauge.set(Number.NaN)
      one.count = 0
    }
  }
}
