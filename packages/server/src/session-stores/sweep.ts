// Sweep. What Redis lost, or what went on in Postgres while it was gone, comes back when somebody asks for it; a deadline must not wait for
// that. So in every epoch of Redis all sessions that have one are loaded once, which compares them and brings back what is missing, the
// earliest deadline first. One process does it at a time, by lease; Postgres keeps that it was done.
// Invariants:
//   HY7. In an epoch of Redis every session with a deadline comes to be due there, though nobody asks for it, and whoever dies meanwhile; only
//        one that can't be read is left out, and told.
//   HY8. It loads at most `perSecond` a second, a few at once.

import { background, type Counter, type Ctx, type Env, isRipstopError, type Link, type Metrics } from '@ripstop/kernel'
import type { PostgresPool } from '@ripstop/kernel/postgres'
import { pause } from '#platform/pause'
import { withLease } from '#platform/postgres'
import type { Log } from '#platform/telemetry'
import { createArchive, type DuePlace, type SessionArchive } from './archive-store.ts'
import type { Term } from './authority.ts'
import type { RunningAuthority } from './authority-start.ts'
import { isSwept, sweptPart } from './epoch-store.ts'
import type { SessionStore } from './store.ts'

const PER_SECOND = 2_000
const PAGE = 100
const AT_ONCE = 10
const LEASE_MS = 30_000
/** Less than the lease; a sweep that takes longer goes on in the next turn. */
const TURN_MS_MAX = 20_000
/** A term is looked at so often, and a sweep that failed or that another process has. */
const WAIT_MS = 500

export interface SweepDeps {
  readonly env: Env
  readonly log: Log
  readonly metrics: Metrics
  readonly link: Link<PostgresPool>
  readonly authority: Pick<RunningAuthority, 'term'>
  /** The hybrid store: its loading brings back. */
  readonly store: Pick<SessionStore, 'load'>
  /** Of this process, a UUID. */
  readonly owner: string
  readonly perSecond?: number
}

export function startSweep(deps: SweepDeps): AsyncDisposable {
  const root = background(deps.env)
  const sweeping = new Sweep(deps, root).run()
  return {
    [Symbol.asyncDispose]: async () => {
      root.cancel()
      await sweeping
    },
  }
}

class Sweep {
  readonly #deps: SweepDeps
  readonly #root: Ctx
  readonly #archive: SessionArchive
  readonly #swept: Counter
  /** The epoch that is being swept, and how far. */
  #epoch = 0
  #after: DuePlace | undefined
  #isDone = false
  #count = 0

  constructor(deps: SweepDeps, root: Ctx) {
    this.#deps = deps
    this.#root = root
    this.#archive = createArchive(deps.link)
    this.#swept = deps.metrics.counter(
      'sessions_swept_total',
      'Sessions that were looked at to bring back what Redis lost',
    )
  }

  async run(): Promise<void> {
    const { log } = this.#deps
    for (let failures = 0; this.#root.reason === undefined; ) {
      try {
        await this.#turn()
        failures = 0
      } catch (error) {
        if (this.#root.reason !== undefined) return
        // Links tell of their own state; here it is only said that sessions may wait.
        const code = isRipstopError(error) ? error.code : 'INTERNAL'
        const why = error instanceof Error ? error.message : String(error)
        if (failures++ === 0) log.warn({ event: 'session.sweep_failed', epoch: this.#epoch, code, why })
      }
      await pause(this.#root, WAIT_MS).catch(() => undefined) // it is over: the condition of the loop sees it
    }
  }

  async #turn(): Promise<void> {
    const { link, owner } = this.#deps
    const term = this.#term()
    if (term?.mode !== 'redis') return
    if (term.epoch !== this.#epoch) {
      this.#epoch = term.epoch
      this.#after = undefined
      this.#isDone = false
      this.#count = 0
    }
    if (this.#isDone) return
    using ctx = this.#root.within(TURN_MS_MAX)
    const lease = { name: 'sessions.sweep', owner, leaseMs: LEASE_MS }
    await withLease(link, ctx, lease, async (held) => {
      this.#isDone = await isSwept(link, ctx, term.epoch)
      if (this.#isDone || !(await this.#pages(ctx, term))) return
      this.#isDone = (await held.run(ctx, sweptPart(term.epoch))) !== undefined
      const { epoch } = term
      if (this.#isDone) this.#deps.log.info({ event: 'session.swept', epoch, sessions: this.#count })
    })
  }

  /** True: there are no more. False: its time is over, or the term. */
  async #pages(ctx: Ctx, term: Term): Promise<boolean> {
    const { env, perSecond = PER_SECOND } = this.#deps
    const pageMs = (1_000 * PAGE) / perSecond
    while (ctx.remainingMs > TURN_MS_MAX / 4 && this.#term()?.epoch === term.epoch) {
      const startedMs = env.clock.monoMs()
      const page = await this.#archive.listDue(ctx, this.#after, PAGE)
      await this.#load(ctx, page)
      this.#count += page.length
      this.#swept.add(page.length)
      if (page.length < PAGE) return true
      this.#after = page.at(-1)
      await pause(ctx, Math.max(1, pageMs - (env.clock.monoMs() - startedMs)))
    }
    return false
  }

  async #load(ctx: Ctx, page: readonly DuePlace[]): Promise<void> {
    const left = page.values()
    const loadNext = async (): Promise<void> => {
      for (const place of left) await this.#loadOne(ctx, place)
    }
    await Promise.all(Array.from({ length: AT_ONCE }, loadNext))
  }

  /** One that can't be read by anybody must not keep those behind it from being due. */
  async #loadOne(ctx: Ctx, place: DuePlace): Promise<void> {
    try {
      await this.#deps.store.load(ctx, place)
    } catch (error) {
      // What a link or a peer refuses is not for this session alone, and tried again.
      const isItsOwn = !isRipstopError(error) || error.code === 'INTERNAL'
      if (!isItsOwn || ctx.reason !== undefined) throw error
      const { tenantId, sessionId } = place
      this.#deps.log.error({ event: 'session.sweep_left_out', tenantId, sessionId, error })
    }
  }

  #term(): Term | undefined {
    try {
      return this.#deps.authority.term()
    } catch {
      return undefined // none is known yet
    }
  }
}
