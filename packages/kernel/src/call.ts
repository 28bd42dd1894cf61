// A call: one piece of work through a link, with every guarantee around it. The order is
//   deadline armed -> retry (pays the budget) -> rate -> bulkhead -> breaker lease -> link -> function
// and the whole of it is one object: it is the Ctx that the function gets, the entry on the timer wheel, the waiter in
// the bulkhead's queue and the node in the link's list of calls under way. Success allocates nothing else but promises;
// that is what keeps the guarantees under 0.7 us a call (bench/call).
// Invariants:
//   L5. The deadline is armed at entry and covers all queueing; the call settles by it plus 50 ms plus the stall of the
//       event loop, whatever the peer does. Its permit is released exactly once.
//   L6. A deadline miss makes the link probe at once; one that was given less than a probe's time only raises suspicion.
//   L7. A failed call says `sent`, and never `no` once bytes of any attempt may have gone out; a retry reads `retry`, `sent`
//       and `idempotent`, nothing else. What refuses a call before it reaches the link (rate, bulkhead, breaker, a link
//       that is down) is not tried again here: the caller is told when to come back.
// Other people's code runs in the middle of ours: whoever gets this call's permit runs at once and may cancel this call,
// so every step that gives something back looks afterwards whether the call is still its own.

import { type Breaker, type Lease, REFUSED } from './breaker.ts'
import type { RetryBudget } from './budget.ts'
import type { Bulkhead, Waiter } from './bulkhead.ts'
import { Ctx, type Env } from './ctx.ts'
import { RipstopError, type Sent } from './errors.ts'
import type { Guarantees } from './guarantees.ts'
import type { TokenBucket } from './rate.ts'
import { WheelEntry } from './timer-wheel.ts'

export interface CallOptions<T> {
  /** May it be done twice? Then it is tried again even after bytes went out. */
  readonly idempotent?: boolean
  /** Shortens the link's own deadline for this call, ms. */
  readonly deadlineMs?: number
  /**
   * The peer answered, but with a failure of its own: return what it amounts to. It counts as failed and may be tried
   * again; if it is not, the call returns the answer all the same.
   */
  readonly failed?: (value: T) => RipstopError | undefined
}

/** One incarnation of the resource, as calls see it. */
export interface Generation<R> {
  readonly number: number
  readonly resource: R
  underWay: number
  lastProofMs: number
}

export type CallOutcome = 'ok' | 'failed' | 'deadline' | 'cancelled' | 'refused'

/** What a call needs of its link. */
export interface CallHost<R> {
  readonly name: string
  readonly env: Env
  readonly guarantees: Guarantees
  readonly budget: RetryBudget
  readonly bulkhead: Bulkhead
  readonly breaker: Breaker | undefined
  readonly rate: TokenBucket | undefined
  /** The generation that calls go to now. */
  readonly serving: Generation<R> | undefined
  /** The application is closing the link or has: nothing is worth waiting for. */
  readonly closing: boolean
  fault(error: unknown): RipstopError | undefined
  downError(): RipstopError
  awaitUp(call: UpWaiter): void
  leaveUp(call: UpWaiter): void
  began(call: AnyCall, generation: Generation<R>): void
  ended(call: AnyCall, generation: Generation<R>): void
  proved(generation: Generation<R>, nowMs: number): void
  suspected(why: string, givenMs: number): void
  retried(): void
  settled(outcome: CallOutcome, durationMs: number): void
}

export interface UpWaiter {
  up(): void
  /** The application closed the link: waiting is over. */
  closed(): void
}

/** For the link's list, which doesn't care what a call returns. */
export interface AnyCall {
  previousUnderWay: AnyCall | undefined
  nextUnderWay: AnyCall | undefined
  readonly deadlineAt: number
  readonly generationNumber: number
  /** The generation under it is gone. */
  lost(why: string): void
}

type Phase = 'new' | 'queued' | 'waiting' | 'running' | 'pausing' | 'settled'

class Pause extends WheelEntry {
  readonly #resume: () => void
  constructor(resume: () => void) {
    super()
    this.#resume = resume
  }
  override onDue(): void {
    this.#resume()
  }
}

export class Call<R, T> extends Ctx implements Waiter, UpWaiter, AnyCall {
  previousUnderWay: AnyCall | undefined = undefined
  nextUnderWay: AnyCall | undefined = undefined
  readonly promise: Promise<T>
  readonly #host: CallHost<R>
  readonly #run: (resource: R, ctx: Ctx) => PromiseLike<T> | T
  readonly #options: CallOptions<T> | undefined
  readonly #startedMs: number
  /** When the peer was given this attempt. */
  #givenMs: number
  #resolve!: (value: T) => void
  #reject!: (error: unknown) => void
  #phase: Phase = 'new'
  #hasPermit = false
  #lease: Lease = REFUSED
  #generation: Generation<R> | undefined
  #pause: Pause | undefined
  /** Once bytes of any attempt may have gone out, the whole call is `maybe`. */
  #sent: Sent = 'no'

  constructor(
    host: CallHost<R>,
    parent: Ctx,
    run: (resource: R, ctx: Ctx) => PromiseLike<T> | T,
    options: CallOptions<T> | undefined,
  ) {
    const nowMs = host.env.clock.monoMs()
    const ownMs = options?.deadlineMs
    const deadlineMs = ownMs !== undefined && ownMs < host.guarantees.deadlineMs ? ownMs : host.guarantees.deadlineMs
    super(host.env, parent, nowMs + deadlineMs)
    this.#host = host
    this.#run = run
    this.#options = options
    this.#startedMs = nowMs
    this.#givenMs = nowMs
    this.promise = new Promise<T>((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
  }

  get #over(): boolean {
    return this.#phase === 'settled'
  }

  get generationNumber(): number {
    return this.#generation?.number ?? 0
  }

  start(): Promise<T> {
    this.#host.budget.deposit()
    const reason = this.reason
    if (reason !== undefined) {
      this.onCancel(reason)
      return this.promise
    }
    this.attach()
    this.#try(this.#startedMs)
    return this.promise
  }

  #try(nowMs: number): void {
    const host = this.#host
    if (this.deadlineAt <= nowMs) return this.onDue()
    if (host.rate !== undefined) {
      const waitMs = host.rate.take(nowMs)
      if (waitMs > 0) return this.#refuse('RATE_LIMITED', 'calls come faster than its rate allows', waitMs)
    }
    if (host.bulkhead.tryAcquire()) return this.#admit(nowMs)
    this.#phase = 'queued'
    host.bulkhead.enqueue(this)
  }

  /** @internal The bulkhead has a place. */
  permitted(): void {
    this.#admit(this.#host.env.clock.monoMs())
  }

  #admit(nowMs: number): void {
    this.#hasPermit = true
    const host = this.#host
    if (host.breaker !== undefined) {
      this.#lease = host.breaker.admit(nowMs, this.deadlineAt)
      if (this.#lease === REFUSED) {
        return this.#refuse('BREAKER_OPEN', 'most recent calls failed', host.breaker.retryAfterMs(nowMs))
      }
    }
    const generation = host.serving
    if (generation !== undefined) return this.#runOn(generation, nowMs)
    if (host.closing || host.guarantees.whenDown === 'fast') return this.#fail(host.downError())
    this.#phase = 'waiting'
    host.awaitUp(this)
  }

  /** @internal A newer call took the place in the queue. */
  displaced(): void {
    this.#refuse('OVERLOADED', 'the queue in front of it is full', this.#host.guarantees.backoffBaseMs)
  }

  /** @internal The link is up. */
  up(): void {
    const generation = this.#host.serving
    if (generation === undefined) this.#host.awaitUp(this)
    else this.#runOn(generation, this.#host.env.clock.monoMs())
  }

  /** @internal The application closed the link. */
  closed(): void {
    this.#fail(this.#host.downError())
  }

  #runOn(generation: Generation<R>, nowMs: number): void {
    this.#phase = 'running'
    this.#generation = generation
    this.#givenMs = nowMs
    this.#host.began(this, generation)
    const attempt = this.attempt
    let result: PromiseLike<T> | T
    try {
      result = this.#run(generation.resource, this)
      if (isThenable(result)) {
        // A foreign thenable may resolve with another one, whose time must count too: Promise.resolve unwraps them all.
        Promise.resolve(result).then(
          (value) => this.#answered(value, attempt, true),
          (error) => this.#threw(error, attempt),
        )
        return
      }
    } catch (error) {
      return this.#threw(error, attempt)
    }
    this.#answered(result, attempt, false)
  }

  /** `proof`: time has passed between question and answer, so the peer may have been asked. */
  #answered(value: T, attempt: number, proof: boolean): void {
    if (this.#phase !== 'running' || this.attempt !== attempt) return
    const host = this.#host
    const nowMs = host.env.clock.monoMs()
    if (proof && this.#generation !== undefined) host.proved(this.#generation, nowMs)
    let failure: RipstopError | undefined
    try {
      failure = this.#options?.failed?.(value)
    } catch (error) {
      return this.#threw(error, attempt)
    }
    if (failure === undefined) this.#leavePeer(true, nowMs)
    else {
      this.#sent = 'maybe'
      this.#leavePeer(blames(failure), nowMs)
    }
    if (this.#phase !== 'running') return
    if (failure !== undefined && this.#retry(failure, nowMs)) return
    this.#settle(failure === undefined ? 'ok' : 'failed', nowMs)
    this.#resolve(value)
  }

  #threw(error: unknown, attempt: number): void {
    if (this.#phase !== 'running' || this.attempt !== attempt) return
    const nowMs = this.#host.env.clock.monoMs()
    const fault = this.#host.fault(error)
    if (fault !== undefined) return this.#failAttempt(fault, nowMs, blames(fault))
    // The peer answered, with an answer that the caller did not like; or the caller's own code failed. Nothing is held
    // against the peer; but nothing is proved either, else a caller's defect would vouch for a dead peer.
    this.#leavePeer(true, nowMs)
    if (this.#phase !== 'running') return
    this.#settle('failed', nowMs)
    this.#reject(error)
  }

  /** @internal The generation under it is gone. */
  lost(why: string): void {
    if (this.#phase !== 'running') return
    const message = `link ${this.#host.name} lost its connection: ${why}`
    const fault = new RipstopError('LINK_LOST', message, { sent: 'maybe' })
    this.#failAttempt(fault, this.#host.env.clock.monoMs(), undefined) // the link's state says it; the breaker need not
  }

  #failAttempt(fault: RipstopError, nowMs: number, blame: false | undefined): void {
    if (fault.sent !== 'no') this.#sent = 'maybe'
    this.#leavePeer(blame, nowMs)
    if (this.#phase !== 'running' || this.#retry(fault, nowMs)) return
    this.#settle('failed', nowMs)
    this.#reject(this.#stated(fault))
  }

  /** What the caller hears must fit the whole call, not its last attempt (L7). */
  #stated(error: RipstopError): RipstopError {
    if (error.sent === this.#sent) return error
    const { code, message, details, retryAfterMs } = error
    const told = { cause: error, details, sent: this.#sent }
    return new RipstopError(code, message, retryAfterMs === undefined ? told : { ...told, retryAfterMs })
  }

  /** Gives back what the attempt held; `passed` is what the breaker hears, undefined: nothing. */
  #leavePeer(passed: boolean | undefined, nowMs: number): void {
    const host = this.#host
    const generation = this.#generation
    if (generation !== undefined) {
      this.#generation = undefined
      host.ended(this, generation)
    }
    const lease = this.#lease
    if (lease !== REFUSED) {
      this.#lease = REFUSED
      if (passed === undefined) host.breaker?.forget(lease)
      else host.breaker?.settle(lease, passed, nowMs)
    }
    if (this.#hasPermit) {
      this.#hasPermit = false
      host.bulkhead.release()
    }
  }

  #retry(fault: RipstopError, nowMs: number): boolean {
    const { retry } = this.#host.guarantees
    if (this.attempt >= retry.attempts || !fault.retry) return false
    if (fault.sent !== 'no' && this.#options?.idempotent !== true) return false
    const ceilingMs = Math.min(retry.capMs, retry.baseMs * 2 ** this.attempt)
    const pauseMs = Math.max(ceilingMs * this.env.random(), fault.retryAfterMs ?? 0)
    // Written so that a pause of NaN (a peer's odd Retry-After) is none.
    if (!(nowMs + pauseMs < this.deadlineAt) || !this.#host.budget.spend(nowMs)) return false
    this.#phase = 'pausing'
    this.attempt++
    this.#host.retried()
    this.#pause ??= new Pause(() => this.#try(this.env.clock.monoMs()))
    this.env.wheel.arm(this.#pause, nowMs + pauseMs)
    return true
  }

  #refuse(code: 'RATE_LIMITED' | 'BREAKER_OPEN' | 'OVERLOADED', why: string, retryAfterMs: number): void {
    const message = `link ${this.#host.name}: ${why}`
    this.#fail(new RipstopError(code, message, { sent: this.#sent, retryAfterMs: Math.ceil(retryAfterMs) }))
  }

  /** Ends the call without having asked the peer (in this attempt). */
  #fail(error: RipstopError): void {
    if (this.#over) return
    const nowMs = this.#host.env.clock.monoMs()
    this.#leavePeer(undefined, nowMs)
    if (this.#over) return
    this.#settle('refused', nowMs)
    this.#reject(this.#stated(error))
  }

  #settle(outcome: CallOutcome, nowMs: number): void {
    this.#phase = 'settled'
    this.end()
    if (this.#pause !== undefined) this.env.wheel.disarm(this.#pause)
    this.#host.settled(outcome, nowMs - this.#startedMs)
  }

  /** The function gets this as its ctx: what it disposes of there must not take the deadline off the call (L5). */
  override [Symbol.dispose](): void {}

  /** @internal The deadline passed or the caller cancelled. */
  protected override onCancel(reason: RipstopError): void {
    const host = this.#host
    const phase = this.#phase
    if (phase === 'settled') return
    if (phase === 'queued') host.bulkhead.leave(this)
    if (phase === 'waiting') host.leaveUp(this)
    const nowMs = host.env.clock.monoMs()
    const late = reason.code === 'DEADLINE_EXCEEDED'
    if (phase === 'running') this.#sent = 'maybe'
    this.#leavePeer(late && phase === 'running' ? false : undefined, nowMs)
    this.#settle(late ? 'deadline' : 'cancelled', nowMs)
    if (late && phase === 'running') host.suspected('a call missed its deadline', nowMs - this.#givenMs)
    const did = phase === 'running' ? 'no answer came' : `it was still ${phase}`
    const message = late ? `link ${host.name}: the deadline passed, ${did}` : reason.message
    this.#reject(
      new RipstopError(reason.code, message, {
        cause: reason.cause,
        sent: this.#sent,
        details: { attempt: this.attempt },
      }),
    )
  }
}

/**
 * What the breaker hears of a fault: nothing if the same request would fail again anyway, for then it is the request's;
 * nothing of OVERLOADED, for then our own queue was full and the peer was not asked.
 */
function blames(fault: RipstopError): false | undefined {
  return fault.retry && fault.code !== 'OVERLOADED' ? false : undefined
}

function isThenable<T>(value: PromiseLike<T> | T): value is PromiseLike<T> {
  return (
    ((typeof value === 'object' && value !== null) || typeof value === 'function') &&
    'then' in value &&
    typeof value.then === 'function'
  )
}
