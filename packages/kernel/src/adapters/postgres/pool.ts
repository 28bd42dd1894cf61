// The pool: slots that open lazily, one reserved for probes, and callers that wait for a free one. It lives as long as one
// generation of the link and never reconnects: a slot that breaks is gone, and the next caller's slot is opened anew,
// after a backoff if the last opening failed.
// Invariants:
//   QP1. Never more than `size` slots for calls, one more for probes, and one more while renewal replaces one.
//   QP2. A caller gets a slot, or is told `sent: 'no'`, within `waitMs` and its own ctx.
//   QP3. A slot goes from one caller to the next only if it is clean (QS2).
//   QP4. While slots exist, a server that takes no more connections costs callers a wait, not a failure.
//   QP5. `close` ends every socket, wait and timer of the pool.
//   QP6. `sent: 'no'` is said only if nothing else that the same ctx did here can have been applied.

import type { GenerationEvents, PoolGauges } from '../../adapter.ts'
import { background, type Ctx, type Env } from '../../ctx.ts'
import { RipstopError } from '../../errors.ts'
import { TimerEntry } from '../../proving.ts'
import type { Host } from './connection.ts'
import { type Dialer, proveRole } from './dialer.ts'
import { asSent, postgresFault } from './fault.ts'
import { renewSlots } from './renewal.ts'
import { overError, type QueryResult, type Slot } from './slot.ts'
import { type Queryable, Transaction } from './transaction.ts'

/** How long a given-up statement may take to be confirmed as cancelled, and a doubted server to answer (L6). */
const CONFIRM_MS = 400
const OPEN_BACKOFF_MS = 50
const OPEN_BACKOFF_MAX_MS = 1_000
/** Callers that wait for a slot; one more turns the oldest away, as in the bulkhead. */
const WAITERS_MAX = 1_024

/** What a call gets to work with. Pass the call's own ctx, so that a failure can say `sent` (QP6). */
export interface PostgresPool extends Queryable {
  /**
   * Runs `work` between BEGIN and COMMIT on one connection. A failure before COMMIT is `sent: 'no'`: the link may run
   * `work` again if its guarantees allow retries, so keep effects elsewhere out of it.
   */
  transaction<T>(ctx: Ctx, work: (tx: Queryable) => PromiseLike<T> | T): Promise<T>
  /** `refused`: a pooler didn't take the session's timeouts, each transaction sets its own. */
  readonly sessionSettings: 'startup' | 'refused' | 'none'
  /** The server in use. */
  readonly host: Host
}

interface Waiter {
  give(slot: Slot): void
  fail(error: RipstopError): void
}

/** What was done here under one ctx. */
interface Use {
  running: number
  /** Something of it was, or may have been, applied. */
  applied: boolean
}

export class SlotPool implements PostgresPool {
  readonly host: Host
  readonly #env: Env
  readonly #dialer: Dialer
  readonly #events: GenerationEvents
  /** Everything that the pool does on its own account ends with it. */
  readonly #root: Ctx
  readonly #slots = new Set<Slot>()
  /** The last one given back is used first, so that what is not needed stays idle. */
  readonly #idle: Slot[] = []
  readonly #waiters: Waiter[] = [] // oldest first
  readonly #uses = new WeakMap<Ctx, Use>()
  readonly #reopen: TimerEntry
  #probeSlot: Slot | undefined
  #proof: Promise<void> | undefined
  #opening = 0
  #openFailures = 0
  #openAgainMs = 0
  #openFault: RipstopError | undefined
  #renewing = false
  #doubting = false
  #closed = false

  constructor(env: Env, dialer: Dialer, first: { slot: Slot; host: Host }, events: GenerationEvents) {
    this.#env = env
    this.#dialer = dialer
    this.host = first.host
    this.#events = events
    this.#root = background(env)
    this.#reopen = new TimerEntry(() => this.#grow())
    this.#reserve(first.slot)
  }

  get sessionSettings(): 'startup' | 'refused' | 'none' {
    return this.#dialer.session
  }

  get gauges(): PoolGauges {
    return { size: this.#slots.size, inUse: this.#slots.size - this.#idle.length, waiting: this.#waiters.length }
  }

  query<Row>(ctx: Ctx, text: string, values?: readonly unknown[]): Promise<QueryResult<Row>> {
    return this.#onSlot(ctx, (slot) => slot.run<Row>(ctx, text, values))
  }

  transaction<T>(ctx: Ctx, work: (tx: Queryable) => PromiseLike<T> | T): Promise<T> {
    return this.#onSlot(ctx, (slot) => Transaction.run(slot, ctx, this.#begin(), work))
  }

  /** One round trip on the reserved slot, which is opened again if it was given up. Single-flight. */
  probe(ctx: Ctx): Promise<void> {
    this.#proof ??= this.#prove(ctx).finally(() => {
      this.#proof = undefined
    })
    return this.#proof
  }

  /** Replaces slots older than `maxAgeMs`, one by one; harmless while it is under way. */
  renew(): void {
    if (this.#renewing || this.#closed) return
    this.#renewing = true
    const { connectMs, maxAgeMs } = this.#dialer.settings
    const replace = async (put: (fresh: Slot) => void): Promise<boolean> => {
      using ctx = this.#root.within(connectMs)
      try {
        put(await this.#dialer.dial(this.host, ctx))
        return true
      } catch {
        return false // the old ones stay; the next renewal tries again
      }
    }
    const tooOld = (slot: Slot): boolean => this.#env.clock.monoMs() - slot.openedAtMs >= maxAgeMs
    const old = [...this.#slots].filter(tooOld)
    const tasks = old.map((slot) => () => replace((fresh) => this.#swap(slot, fresh)))
    const probeSlot = this.#probeSlot
    if (probeSlot !== undefined && tooOld(probeSlot)) tasks.push(() => replace((fresh) => this.#reserve(fresh)))
    const mayGoOn = (): boolean => ![...this.#slots].some((slot) => slot.retiring) // QP1
    void renewSlots(this.#root, tasks, mayGoOn).finally(() => {
      this.#renewing = false
    })
  }

  close(why: string): void {
    if (this.#closed) return
    this.#closed = true
    const error = new RipstopError('LINK_LOST', `postgres: ${why}`, { sent: 'no' })
    this.#root.cancel(error)
    this.#env.wheel.disarm(this.#reopen)
    for (const waiter of this.#waiters.splice(0)) waiter.fail(error)
    for (const slot of [...this.#slots]) slot.destroy()
    this.#slots.clear()
    this.#idle.length = 0
    this.#probeSlot?.destroy()
    this.#probeSlot = undefined
  }

  // Slots for callers

  async #onSlot<T>(ctx: Ctx, run: (slot: Slot) => Promise<T>): Promise<T> {
    const use = this.#useOf(ctx)
    let slot: Slot | undefined
    use.running++
    try {
      slot = await this.#take(ctx)
      const value = await run(slot)
      use.applied = true
      return value
    } catch (error) {
      throw this.#honest(use, error)
    } finally {
      use.running--
      if (slot !== undefined) this.#giveBack(slot)
    }
  }

  #useOf(ctx: Ctx): Use {
    const known = this.#uses.get(ctx)
    if (known !== undefined) return known
    const use: Use = { running: 0, applied: false }
    this.#uses.set(ctx, use)
    return use
  }

  /** The error as the caller is to see it; one that undid itself is no better than what else its ctx did (QP6). */
  #honest(use: Use, error: unknown): unknown {
    const fault = error instanceof RipstopError ? error : postgresFault(error)
    if (fault === undefined) return error
    if (fault.code === 'PEER_WRONG_ROLE') this.#doubt()
    if (fault.sent !== 'no') use.applied = true
    return use.applied || use.running > 1 ? asSent(fault, 'maybe') : fault
  }

  #take(ctx: Ctx): Slot | Promise<Slot> {
    const slot = this.#idle.pop()
    if (slot === undefined) return this.#wait(ctx)
    this.#dialer.settings.onWait(0)
    return slot
  }

  #wait(ctx: Ctx): Promise<Slot> {
    const { clock, wheel } = this.#env
    const sinceMs = clock.monoMs()
    return new Promise((resolve, reject) => {
      const { signal } = ctx
      if (signal.aborted) return reject(overError(ctx, 'no'))
      const end = (): void => {
        wheel.disarm(timer)
        signal.removeEventListener('abort', over)
        const index = this.#waiters.indexOf(waiter)
        if (index >= 0) this.#waiters.splice(index, 1)
        this.#dialer.settings.onWait(clock.monoMs() - sinceMs)
      }
      const waiter: Waiter = {
        give: (slot) => {
          end()
          resolve(slot)
        },
        fail: (error) => {
          end()
          reject(asSent(error, 'no'))
        },
      }
      const over = (): void => waiter.fail(overError(ctx, 'no'))
      const timer = new TimerEntry(() => waiter.fail(this.#noneFree(this.#dialer.settings.waitMs)))
      if (this.#closed) return waiter.fail(new RipstopError('LINK_LOST', 'postgres: the pool is closed'))
      wheel.arm(timer, sinceMs + this.#dialer.settings.waitMs)
      signal.addEventListener('abort', over)
      this.#waiters.push(waiter)
      if (this.#waiters.length > WAITERS_MAX) this.#waiters[0]?.fail(this.#noneFree(0))
      this.#grow()
    })
  }

  #noneFree(waitedMs: number): RipstopError {
    const { size } = this.#slots
    const message = `postgres: none of ${size} connections came free${waitedMs > 0 ? ` within ${waitedMs} ms` : ''}`
    return new RipstopError('OVERLOADED', message, { sent: 'no', retryAfterMs: OPEN_BACKOFF_MS })
  }

  #giveBack(slot: Slot): void {
    if (slot.clean) return this.#offer(slot)
    const ctx = this.#root.within(CONFIRM_MS)
    void slot.settle(ctx).then((clean) => {
      ctx[Symbol.dispose]()
      if (clean) this.#offer(slot)
      else this.#gone(slot)
    })
  }

  #offer(slot: Slot): void {
    if (slot.retiring || !this.#slots.has(slot)) {
      slot.destroy()
      return this.#gone(slot)
    }
    const waiter = this.#waiters.at(-1)
    if (waiter === undefined) this.#idle.push(slot)
    else waiter.give(slot)
  }

  #gone(slot: Slot): void {
    if (!this.#slots.delete(slot)) return
    const index = this.#idle.indexOf(slot)
    if (index >= 0) this.#idle.splice(index, 1)
    this.#grow()
  }

  /** Opens as many slots as there are callers waiting, within the limits. */
  #grow(): void {
    const { wheel, clock } = this.#env
    if (this.#closed || this.#waiters.length === 0) return
    if (clock.monoMs() < this.#openAgainMs) {
      if (this.#slots.size + this.#opening === 0) return this.#failWaiters()
      return wheel.arm(this.#reopen, this.#openAgainMs)
    }
    const { size } = this.#dialer.settings
    while (this.#opening < this.#waiters.length && this.#slots.size + this.#opening < size) {
      this.#opening++
      void this.#open()
    }
  }

  async #open(): Promise<void> {
    using ctx = this.#root.within(this.#dialer.settings.connectMs)
    try {
      const slot = await this.#dialer.dial(this.host, ctx)
      this.#opening--
      this.#openFailures = 0
      this.#add(slot)
    } catch (error) {
      this.#opening--
      this.#openFailed(error)
    }
  }

  #add(slot: Slot): void {
    this.#slots.add(slot)
    slot.onLost(() => {
      this.#gone(slot)
      if (this.#slots.size === 0) this.#doubt()
    })
    if (this.#slots.has(slot)) this.#offer(slot)
  }

  #openFailed(error: unknown): void {
    const ceilingMs = Math.min(OPEN_BACKOFF_MAX_MS, OPEN_BACKOFF_MS * 2 ** Math.min(this.#openFailures++, 10))
    this.#openAgainMs = this.#env.clock.monoMs() + ceilingMs * this.#env.random()
    this.#openFault = error instanceof RipstopError ? error : new RipstopError('LINK_LOST', String(error))
    if (this.#closed) return
    if (this.#slots.size + this.#opening === 0) {
      this.#failWaiters()
      this.#doubt()
    } else this.#grow()
  }

  #failWaiters(): void {
    const fault = this.#openFault
    if (fault === undefined) return
    const { code, message, details } = fault
    const retryAfterMs = Math.max(1, Math.ceil(this.#openAgainMs - this.#env.clock.monoMs()))
    const error = new RipstopError(code, message, { cause: fault, details, sent: 'no', retryAfterMs })
    for (const waiter of this.#waiters.splice(0)) waiter.fail(error)
  }

  // The reserved slot

  #reserve(slot: Slot): void {
    if (this.#closed) return slot.destroy()
    this.#probeSlot?.destroy()
    this.#probeSlot = slot
    slot.onLost((_, why) => {
      if (this.#probeSlot === slot) this.#events.lost(why)
    })
  }

  async #prove(ctx: Ctx): Promise<void> {
    const slot = this.#probeSlot
    if (slot === undefined) return this.#reserve(await this.#dialer.dial(this.host, ctx))
    try {
      await proveRole(slot, this.host, ctx)
    } catch (error) {
      // Silent: if calls outweigh it and the generation lives on, the next probe must not ask a dead socket again.
      if (this.#probeSlot === slot) this.#probeSlot = undefined
      slot.destroy()
      throw error
    }
  }

  /** Calls say that something is wrong: one probe decides whether the generation is lost. */
  #doubt(): void {
    if (this.#doubting || this.#closed) return
    this.#doubting = true
    const ctx = this.#root.within(CONFIRM_MS)
    this.probe(ctx)
      .catch((error) => {
        if (!this.#closed) this.#events.lost(error)
      })
      .finally(() => {
        ctx[Symbol.dispose]()
        this.#doubting = false
      })
  }

  #swap(old: Slot, fresh: Slot): void {
    this.#add(fresh)
    if (!this.#slots.has(old)) return
    old.retiring = true
    const index = this.#idle.indexOf(old)
    if (index < 0) return // closed when it comes back
    this.#idle.splice(index, 1)
    this.#offer(old)
  }

  #begin(): string {
    const { settings, session } = this.#dialer
    if (session !== 'refused') return 'begin'
    const { statementTimeoutMs, idleInTransactionTimeoutMs } = settings
    return `begin; set local statement_timeout = ${statementTimeoutMs}; set local idle_in_transaction_session_timeout = ${idleInTransactionTimeoutMs}`
  }
}
