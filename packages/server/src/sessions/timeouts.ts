// Timeouts. Without a leader: every process asks the store for deadlines that come soon and has each for a short lease, waits until it is there,
// and commands what the clock did. Whether it still falls is decided then, on the session as it is then; of several who do that for the same
// deadline one commits. So a lease only spares work, and one that was lost only costs its own length.
// Deadlines are claimed before they come: asking, and reading the session, take nothing from the lateness.
// Invariants:
//   TO1. A deadline that nothing moved has its effect once, whoever is asked, killed, or late.
//   TO2. A process holds at most UNDER_WAY_MAX deadlines; what is beyond that is left to others, and to the next time it asks.
//   TO3. While the store or the authority fails it asks ever less often, and goes on by itself as soon as it can.
//   TO4. A deadline that a commit of this process sets is heard of at once; any other within POLL_MS.
//   TO5. Being stopped, it carries out what it holds: nobody has to wait for its leases.
//   TO6. When a deadline comes that was known before, nothing is left to be done but to decide and to commit.

import { background, type Ctx, type Env, hasCode, isRipstopError, RipstopError } from '@ripstop/kernel'
import { pause } from '#platform/pause'
import type { Log } from '#platform/telemetry'
import type { Authority, SessionStore } from '#session-stores'
import type { SessionEngine } from './engine.ts'

const POLL_MS = 50
/** Claimed so long before: a poll, and what asking and reading take. */
const AHEAD_MS = 75
/** What a deadline that comes sooner is asked for before it comes. */
const NEAR_MS = 10
const LEASE_MS = 1_000
const UNDER_WAY_MAX = 512
const COMMAND_MS = 5_000
const BACKOFF_MS = 50
/** Some 3 s of them. */
const STARTING_FAILURES = 8
const BACKOFF_MS_MAX = 1_000

export interface TimeoutsDeps {
  readonly env: Env
  readonly log: Log
  readonly store: SessionStore
  readonly service: SessionEngine
  readonly authority: Authority
  readonly leaseMs?: number
}

type Claimed = Awaited<ReturnType<SessionStore['claimDue']>>[number]

/** Runs until it is disposed of. */
export function startTimeouts(deps: TimeoutsDeps): AsyncDisposable {
  const timer = new TimeoutTimer(deps)
  return { [Symbol.asyncDispose]: () => timer.stop() }
}

class TimeoutTimer {
  readonly #deps: TimeoutsDeps
  readonly #asking: Ctx
  readonly #commanding: Ctx
  readonly #underWay = new Set<Promise<void>>()
  readonly #running: Promise<void>
  readonly #hints: Disposable
  #failures = 0
  #isTold = false
  /** When it asks next, server time; and what ends the wait for that. */
  #wakeMs = 0
  #wake: (() => void) | undefined
  #stopping: Promise<void> | undefined

  constructor(deps: TimeoutsDeps) {
    const { env, service } = deps
    this.#deps = deps
    this.#asking = background(env)
    this.#commanding = background(env)
    this.#hints = service.watchDeadlines((deadlineMs) => this.#hint(deadlineMs))
    this.#asking.signal.addEventListener('abort', () => this.#wake?.(), { once: true })
    this.#running = this.#run()
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop()
    return this.#stopping
  }

  async #stop(): Promise<void> {
    this.#hints[Symbol.dispose]()
    this.#asking.cancel()
    await this.#running
    while (this.#underWay.size > 0) await Promise.all(this.#underWay) // each is bounded by COMMAND_MS
    this.#commanding.cancel()
  }

  #hint(deadlineMs: number): void {
    const soonMs = deadlineMs - NEAR_MS
    if (soonMs >= this.#wakeMs) return
    this.#wakeMs = soonMs
    this.#wake?.()
  }

  async #run(): Promise<void> {
    const { authority, env } = this.#deps
    while (this.#asking.reason === undefined) {
      try {
        this.#wakeMs = authority.exactMs() + POLL_MS // a hint that comes from here on is one for the next time
        const isAll = await this.#ask()
        this.#tellGoesOn()
        if (isAll) await this.#sleep()
      } catch (error) {
        if (this.#asking.reason !== undefined) return
        this.#tellFailure(error)
        const mostMs = Math.min(BACKOFF_MS_MAX, BACKOFF_MS * 2 ** Math.min(this.#failures, 10))
        await pause(this.#asking, mostMs * (0.5 + env.random() / 2)).catch(() => undefined) // it is over
      }
    }
  }

  /** False: there is more. */
  async #ask(): Promise<boolean> {
    const { store, authority, leaseMs = LEASE_MS } = this.#deps
    authority.term() // without one nothing could be committed
    if (this.#underWay.size >= UNDER_WAY_MAX) {
      // For half of them: asking for one after the other would cost more than they do. Each is short.
      while (this.#underWay.size > UNDER_WAY_MAX / 2) await Promise.race(this.#underWay)
    }
    const limit = UNDER_WAY_MAX - this.#underWay.size
    using ctx = this.#asking.within(leaseMs)
    const claimed = await store.claimDue(ctx, { nowMs: authority.nowMs() + AHEAD_MS, leaseMs, limit })
    for (const due of claimed) this.#begin(due)
    return claimed.length < limit
  }

  async #sleep(): Promise<void> {
    const { env, authority } = this.#deps
    while (this.#asking.reason === undefined) {
      const leftMs = this.#wakeMs - authority.exactMs()
      if (leftMs <= 0) return
      // Whoever hints at a nearer deadline ends this wait, not the sleep.
      await new Promise<void>((resolve) => {
        const cancel = env.clock.schedule(leftMs, () => this.#wake?.())
        this.#wake = () => {
          this.#wake = undefined
          cancel()
          resolve()
        }
      })
    }
  }

  #begin(due: Claimed): void {
    const ended = this.#carryOut(due).finally(() => this.#underWay.delete(ended))
    this.#underWay.add(ended)
  }

  /** Never rejects. */
  async #carryOut({ tenantId, sessionId, deadlineMs }: Claimed): Promise<void> {
    const { service, authority } = this.#deps
    const ref = { tenantId, sessionId }
    using ctx = this.#commanding.within(COMMAND_MS)
    try {
      await service.prepare(ctx, ref, deadlineMs)
      const leftMs = deadlineMs + service.fallGraceMs - authority.exactMs()
      if (leftMs > 0) await pause(ctx, Math.round(leftMs)) // timers take whole ms, and would cut
      // Timers may be early, and server time slower than the clock that they go by: the command is that of the deadline.
      const receivedMs = Math.max(deadlineMs, authority.nowMs())
      const options = { receivedMs, actor: 'clock', operationId: undefined }
      await service.command(ctx, ref, { kind: 'timeout' }, options)
    } catch (error) {
      // When the lease ends it is claimed again. One that was deleted meanwhile is due no more.
      if (!hasCode(error, 'SESSION_NOT_FOUND')) this.#tellFailure(error)
    }
  }

  /** Of a row of failures only some are told, ever fewer; and of NOT_READY none of the first, since a process that starts is not ready. */
  #tellFailure(error: unknown): void {
    this.#failures++
    const isStarting = hasCode(error, 'NOT_READY') && this.#failures < STARTING_FAILURES
    if (isStarting || (this.#failures & (this.#failures - 1)) !== 0) return
    const code = isRipstopError(error) ? error.code : 'INTERNAL'
    const why = error instanceof RipstopError ? error.message : String(error)
    this.#isTold = true
    this.#deps.log.warn({ event: 'sessions.timeouts_failed', code, why, failures: this.#failures })
  }

  #tellGoesOn(): void {
    if (this.#isTold) this.#deps.log.info({ event: 'sessions.timeouts_go_on', failures: this.#failures })
    this.#isTold = false
    this.#failures = 0
  }
}
