// Ctx. What travels with a call: the absolute deadline, a signal made only when somebody reads it, and the attempt.
// It is passed explicitly: AsyncLocalStorage costs 0.85 us a call on Node 24, this costs a pointer.
// A child ends no later than its parent and is cancelled with it. A child hangs on its parent only while something
// waits on it or below it, and the wheel takes it off at its deadline, so that a long-lived parent retains nothing (C2).
// Invariants:
//   C1. A child's deadline is never later than its parent's.
//   C2. A parent holds no child that nothing waits on: ended, cancelled, past its deadline, or left by its own children.
//   C3. Cancelling reaches every descendant that waits once, with the first reason, even below one that was disposed of.

import type { Clock } from './clock.ts'
import { RipstopError } from './errors.ts'
import type { Random } from './ids.ts'
import { type TimerWheel, WheelEntry } from './timer-wheel.ts'

/** Where time and chance come from; one for a mesh. */
export interface Env {
  readonly clock: Clock
  readonly random: Random
  readonly wheel: TimerWheel
}

export class Ctx extends WheelEntry implements Disposable {
  /** @internal */ readonly env: Env
  /** When it is over, on the monotonic clock; Infinity for none. */
  readonly deadlineAt: number
  /** 1 for the first try. */
  attempt = 1
  readonly #parent: Ctx | undefined
  #controller: AbortController | undefined
  #reason: RipstopError | undefined
  #ended = false
  #firstChild: Ctx | undefined
  #previousSibling: Ctx | undefined
  #nextSibling: Ctx | undefined
  /** Something waits on this itself: a signal was read, or it is a call under way. A root hangs on nothing anyway. */
  #held: boolean
  #hanging = false

  /** @internal Use `background` or `within`. */
  constructor(env: Env, parent: Ctx | undefined, deadlineAt: number) {
    super()
    this.env = env
    this.#parent = parent
    this.#held = parent === undefined
    this.deadlineAt = parent !== undefined && parent.deadlineAt < deadlineAt ? parent.deadlineAt : deadlineAt
  }

  /** A child that is over after `ms` at the latest. It needs no disposal, but `using` ends it early. */
  within(ms: number): Ctx {
    if (Number.isNaN(ms)) throw new RangeError('a span of NaN ms has no end')
    return new Ctx(this.env, this, this.env.clock.monoMs() + ms)
  }

  /** ms left; never below 0. */
  get remainingMs(): number {
    return Math.max(0, this.deadlineAt - this.env.clock.monoMs())
  }

  /** Why it was cancelled, if it was. A passed deadline shows here only once the wheel has seen it. */
  get reason(): RipstopError | undefined {
    return this.#reason ?? this.#parent?.reason
  }

  /** Throws the reason, or DEADLINE_EXCEEDED if the time is over. */
  throwIfOver(): void {
    const reason = this.reason
    if (reason !== undefined) throw reason
    if (this.remainingMs <= 0) throw this.deadlineError()
  }

  /** Aborts at the deadline or on cancel, with a RipstopError as reason. Made at the first read. */
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController()
      const reason = this.reason
      if (reason !== undefined) this.#controller.abort(reason)
      else if (this.#ended) return this.#controller.signal
      else if (this.remainingMs <= 0) this.cancel(this.deadlineError())
      else this.attach()
    }
    return this.#controller.signal
  }

  /** Cancels this and everything below it. The first reason stays (C3). */
  cancel(reason: RipstopError = new RipstopError('CANCELLED', 'the caller cancelled')): void {
    if (this.#reason !== undefined) return
    const first = this.reason ?? reason
    this.#reason = first
    this.detach()
    if (!this.#ended) this.#controller?.abort(first)
    for (let child = this.#firstChild; child !== undefined; child = this.#firstChild) child.cancel(first)
    if (!this.#ended) this.onCancel(first)
  }

  /** Nothing waits here any more: lets go of the parent and the wheel. A signal that was handed out stays silent. */
  [Symbol.dispose](): void {
    this.end()
  }

  /** @internal */
  protected end(): void {
    this.#ended = true
    this.#held = false
    if (this.#firstChild === undefined) this.#letGo()
    else this.env.wheel.disarm(this)
  }

  /** @internal The deadline has come. */
  override onDue(): void {
    this.cancel(this.deadlineError())
  }

  /** @internal For calls, which settle when they are cancelled. */
  protected onCancel(_reason: RipstopError): void {}

  protected deadlineError(): RipstopError {
    return new RipstopError('DEADLINE_EXCEEDED', 'the deadline passed')
  }

  /** @internal Hangs this on its ancestors and on the wheel, so that cancel and deadline reach it. */
  protected attach(): void {
    this.#held = true
    this.#hang()
  }

  /** @internal */
  protected detach(): void {
    this.#held = false
    this.#letGo()
  }

  #hang(): void {
    if (this.#hanging) return
    this.#hanging = true
    if (!this.#ended && this.deadlineAt !== Number.POSITIVE_INFINITY) this.env.wheel.arm(this, this.deadlineAt)
    const parent = this.#parent
    if (parent === undefined) return
    parent.#hang()
    this.#nextSibling = parent.#firstChild
    if (parent.#firstChild !== undefined) parent.#firstChild.#previousSibling = this
    parent.#firstChild = this
  }

  #letGo(): void {
    if (!this.#hanging) return
    this.#hanging = false
    this.env.wheel.disarm(this)
    const parent = this.#parent
    if (parent === undefined) return
    if (this.#previousSibling !== undefined) this.#previousSibling.#nextSibling = this.#nextSibling
    else parent.#firstChild = this.#nextSibling
    if (this.#nextSibling !== undefined) this.#nextSibling.#previousSibling = this.#previousSibling
    this.#previousSibling = undefined
    this.#nextSibling = undefined
    if (parent.#firstChild === undefined && !parent.#held) parent.#letGo()
  }
}

/** A root that never ends by itself: for start-up, loops and programs. Requests derive theirs with `within`. */
export function background(env: Env): Ctx {
  return new Ctx(env, undefined, Number.POSITIVE_INFINITY)
}
