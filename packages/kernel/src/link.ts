// Link. One fiber that owns disposable generations of a resource and is itself never replaced: it carries out what the
// pure machine in link-step.ts decides, and lets calls through to the generation that serves. Adapters, calls and
// listeners may report back in the middle of a step: events are taken one at a time, each carried out to its end, and
// what an adapter throws where it must not becomes a notice, for a step that broke off would leave the link stuck (L1).

import type { Adapter } from './adapter.ts'
import { Breaker } from './breaker.ts'
import { RetryBudget } from './budget.ts'
import { Bulkhead } from './bulkhead.ts'
import { Call, type CallHost, type CallOptions, type CallOutcome } from './call.ts'
import type { Ctx, Env } from './ctx.ts'
import { Degradation } from './degradation.ts'
import { hasCode, isRipstopError, RipstopError } from './errors.ts'
import { Generations, messageOf } from './generations.ts'
import { createGuarantees, type Guarantees, type GuaranteesInput } from './guarantees.ts'
import { createLinkMetrics, type LinkMetrics } from './link-metrics.ts'
import type { LinkNotice, LinkSnapshot, Transition } from './link-snapshot.ts'
import {
  INITIAL_LINK_STATE,
  type LinkAction,
  type LinkEvent,
  type LinkState,
  type LinkStateName,
  type LinkTimer,
} from './link-state.ts'
import { stepLink } from './link-step.ts'
import type { Metrics } from './metrics.ts'
import { TimerEntry } from './proving.ts'
import { TokenBucket } from './rate.ts'
import { UpWaiters } from './up-waiters.ts'

const TRANSITIONS_KEPT = 32

export interface LinkDeps {
  readonly env: Env
  readonly metrics: Metrics
  readonly notify: (notice: LinkNotice) => void
}

export class Link<R> {
  readonly name: string
  readonly guarantees: Guarantees
  readonly #adapter: Adapter<R>
  readonly #deps: LinkDeps
  readonly #env: Env
  readonly #host: CallHost<R>
  readonly #bulkhead: Bulkhead
  readonly #breaker: Breaker | undefined
  readonly #budget: RetryBudget
  readonly #meters: LinkMetrics
  readonly #generations: Generations<R>
  readonly #timers: Readonly<Record<LinkTimer, TimerEntry>>
  readonly #upWaiters = new UpWaiters()
  readonly #events: LinkEvent[] = []
  #stepping = false
  readonly #transitions: Transition[] = []
  #state: LinkState = INITIAL_LINK_STATE
  readonly #degradation: Degradation | undefined

  /** @internal Made by `Mesh.link`. */
  constructor(name: string, adapter: Adapter<R>, input: GuaranteesInput, deps: LinkDeps) {
    this.name = name
    this.guarantees = createGuarantees(name, input)
    this.#adapter = adapter
    this.#deps = deps
    this.#env = deps.env
    const nowMs = deps.env.clock.monoMs()
    const { breaker, bulkhead, budget } = this.guarantees
    this.#bulkhead = new Bulkhead(bulkhead)
    this.#budget = new RetryBudget(budget, nowMs)
    this.#breaker =
      breaker === undefined ? undefined : new Breaker(breaker, nowMs, deps.env.random, (to) => this.#breakerChanged(to))
    this.#degradation =
      this.guarantees.fallback === undefined ? undefined : new Degradation(name, this.guarantees.fallback, deps)
    this.#meters = createLinkMetrics(deps.metrics, name, () => this.snapshot())
    this.#timers = {
      backoff: new TimerEntry(() => this.#dispatch({ type: 'backoff_over' })),
      heartbeat: new TimerEntry(() => this.#dispatch({ type: 'heartbeat_due' })),
      renew: new TimerEntry(() => this.#renewDue()),
    }
    this.#generations = new Generations(adapter, {
      env: deps.env,
      openDeadlineMs: this.guarantees.openDeadlineMs,
      probeDeadlineMs: this.guarantees.probeDeadlineMs,
      dispatch: (event) => this.#dispatch(event),
      defect: (what, error) => this.#defect(what, error),
    })
    this.#host = this.#createHost(nowMs)
  }

  get state(): LinkStateName {
    return this.#state.name
  }

  /** Begins to connect, and never stops trying until `drain`. Harmless when started; not heard while it drains. */
  start(): void {
    this.#dispatch({ type: 'start' })
  }

  /** The peer is known to be back: shortens a running backoff. Never causes more than one attempt (L3). */
  wake(): void {
    this.#dispatch({ type: 'wake' })
  }

  /** Something looks wrong: the link probes, and decides itself. */
  suspect(why: string): void {
    this.#dispatch({ type: 'suspected', why, probe: true })
  }

  /** Renews the generation (or, in pools, its slots) now, make-before-break. */
  renew(): void {
    this.#renewDue()
  }

  /**
   * The only way to touch the resource. `run` gets it with a Ctx that ends with the call. Rejects with a RipstopError
   * that says `sent`, or with what `run` threw if the peer had answered.
   */
  call<T>(ctx: Ctx, run: (resource: R, ctx: Ctx) => PromiseLike<T> | T, options?: CallOptions<T>): Promise<T> {
    return new Call(this.#host, ctx, run, options).start()
  }

  /**
   * As `call`, but when it fails for a reason of the peer or the way to it, `fallback` answers instead and the link shows
   * the degradation that its guarantees name, until a call succeeds again or the link comes up. A caller's own cancel is not degradation.
   */
  async callOr<T>(
    ctx: Ctx,
    run: (resource: R, ctx: Ctx) => PromiseLike<T> | T,
    fallback: (error: RipstopError) => PromiseLike<T> | T,
    options?: CallOptions<T>,
  ): Promise<T> {
    try {
      const value = await this.call(ctx, run, options)
      this.#degradation?.end()
      return value
    } catch (error) {
      if (!isRipstopError(error) || hasCode(error, 'CANCELLED')) throw error
      this.#degradation?.begin()
      return fallback(error)
    }
  }

  /** Resolves once the link is up; rejects when `ctx` is over, and with LINK_CLOSED if the application closes the link. */
  async whenUp(ctx: Ctx): Promise<void> {
    if (this.#generations.serving !== undefined) return
    if (this.#isClosing) throw this.#downError()
    return this.#upWaiters.wait(ctx, () => this.#downError())
  }

  /**
   * Closes the link for good: no new calls, those under way may end until `ctx` is over, then they fail. Idempotent;
   * resolves when closed. `start` opens it again.
   */
  async drain(ctx: Ctx): Promise<void> {
    const state = this.#state
    const upTo = 'lastGeneration' in state ? state.lastGeneration : state.generation
    this.#dispatch({ type: 'drain' })
    using patience = ctx.within(Number.POSITIVE_INFINITY) // a child: no timer of it outlives the drain
    await this.#generations.underWay.idle(patience.signal)
    this.#dispatch({ type: 'drained' })
    this.#generations.closeRetired(upTo, 'closed by the application') // what a `start` opened meanwhile is not ours
  }

  snapshot(): LinkSnapshot {
    const nowMs = this.#env.clock.monoMs()
    const state = this.#state
    const { serving, lastProofMs } = this.#generations
    const ageMs = lastProofMs === undefined ? undefined : nowMs - lastProofMs
    return {
      name: this.name,
      kind: this.#adapter.kind,
      target: this.#adapter.target,
      state: state.name,
      why: 'why' in state ? state.why : undefined,
      generation:
        ('generation' in state ? state.generation : undefined) ??
        ('lastGeneration' in state ? state.lastGeneration : 0),
      lastProofMonoMs: lastProofMs,
      lastProofWallMs: ageMs === undefined ? undefined : this.#env.clock.wallMs() - ageMs,
      lastProofAgeMs: ageMs,
      inFlight: this.#bulkhead.inUse,
      waiting: this.#bulkhead.waiting + this.#upWaiters.count,
      oldestOverdueMs: this.#generations.underWay.oldestOverdueMs(nowMs),
      breaker: this.#breaker?.state(nowMs) ?? 'none',
      retryBudget: this.#budget.available(nowMs),
      degradation: this.#degradation?.snapshot(),
      pool: serving === undefined ? undefined : this.#guarded('pool', () => this.#adapter.pool?.(serving.resource)),
      recoverWithinMs: this.guarantees.recoverWithinMs,
      transitions: [...this.#transitions],
    }
  }

  #createHost(nowMs: number): CallHost<R> {
    const link = this
    const generations = this.#generations
    return {
      name: this.name,
      env: this.#env,
      guarantees: this.guarantees,
      budget: this.#budget,
      bulkhead: this.#bulkhead,
      breaker: this.#breaker,
      rate: this.guarantees.rate === undefined ? undefined : new TokenBucket(this.guarantees.rate, nowMs),
      get serving() {
        return generations.serving
      },
      get closing() {
        return link.#isClosing
      },
      fault: (error) => this.#fault(error),
      downError: () => this.#downError(),
      awaitUp: (call) => this.#upWaiters.add(call),
      leaveUp: (call) => this.#upWaiters.leave(call),
      began: (call, generation) => generations.began(call, generation),
      ended: (call, generation) => generations.ended(call, generation),
      proved: (generation, nowMs) => {
        generations.proved(generation, nowMs)
        if (this.#state.name === 'degraded') this.#dispatch({ type: 'proved', generation: generation.number })
      },
      suspected: (why, givenMs) =>
        this.#dispatch({ type: 'suspected', why, probe: givenMs >= this.guarantees.probeDeadlineMs }),
      retried: () => this.#meters.retried(),
      settled: (outcome: CallOutcome, durationMs) => this.#meters.settled(outcome, durationMs),
    }
  }

  // The machine

  get #isClosing(): boolean {
    return this.#state.name === 'draining' || this.#state.name === 'closed'
  }

  #dispatch(event: LinkEvent): void {
    this.#events.push(event)
    if (this.#stepping) return
    this.#stepping = true
    try {
      for (let next = this.#events.shift(); next !== undefined; next = this.#events.shift()) this.#step(next)
    } finally {
      this.#stepping = false
    }
  }

  #step(event: LinkEvent): void {
    const before = this.#state
    const world = {
      nowMs: this.#env.clock.monoMs(),
      random: this.#env.random(),
      lastProofMs: this.#generations.serving?.lastProofMs ?? 0,
    }
    const { state, actions } = stepLink(before, event, world, this.guarantees)
    this.#state = state
    if (state.name !== 'up' && state.name !== 'degraded') this.#generations.serveNone()
    for (const action of actions) this.#act(action)
    if (this.#isClosing) this.#upWaiters.closed()
    if (before.name !== state.name) this.#changed(before.name, state, event)
  }

  #act(action: LinkAction): void {
    switch (action.type) {
      case 'open':
        this.#meters.attempted()
        void this.#generations.open(action.generation)
        return
      case 'probe':
        void this.#generations.probe(action.generation)
        return
      case 'close':
        return this.#generations.close(action.generation, action.because, action.why)
      case 'serve':
        this.#generations.serve(action.generation)
        this.#degradation?.end() // also where nobody calls: what is healthy must not look degraded
        this.#upWaiters.up()
        return
      case 'set_timer':
        this.#env.wheel.arm(this.#timers[action.timer], this.#env.clock.monoMs() + action.delayMs)
        return
      case 'clear_timer':
        this.#env.wheel.disarm(this.#timers[action.timer])
        return
      default:
        return action satisfies never
    }
  }

  #changed(from: LinkStateName, state: LinkState, event: LinkEvent): void {
    const why = 'why' in state ? state.why : event.type
    const generation = ('generation' in state ? state.generation : state.lastGeneration) ?? 0
    const transition: Transition = { from, to: state.name, why, generation, wallMs: this.#env.clock.wallMs() }
    this.#transitions.push(transition)
    if (this.#transitions.length > TRANSITIONS_KEPT) this.#transitions.shift()
    if (state.name === 'up' && from === 'connecting') {
      this.#meters.recovered()
      this.#breaker?.reset(this.#env.clock.monoMs())
    }
    this.#deps.notify({ type: 'transition', link: this.name, ...transition })
  }

  #renewDue(): void {
    const { serving } = this.#generations
    if (serving !== undefined && this.#adapter.renew !== undefined) {
      this.#guarded('renew', () => this.#adapter.renew?.(serving.resource))
      const delayMs = this.guarantees.maxAgeMs * (0.5 + this.#env.random())
      if (delayMs !== Number.POSITIVE_INFINITY) this.#act({ type: 'set_timer', timer: 'renew', delayMs })
      return
    }
    this.#dispatch({ type: 'renew_due' })
  }

  /** Errors of ours speak for themselves, even after a worker or a queue took their class from them. */
  #fault(error: unknown): RipstopError | undefined {
    if (error instanceof RipstopError) return error
    if (isRipstopError(error)) {
      const { code, message, details, sent = 'maybe' } = error
      return new RipstopError(code, message, { cause: error, details, sent })
    }
    return this.#guarded('fault', () => this.#adapter.fault(error))
  }

  #downError(): RipstopError {
    const state = this.#state
    if (this.#isClosing) {
      return new RipstopError('LINK_CLOSED', `link ${this.name} is closed`, { sent: 'no' })
    }
    const why = state.name === 'down' ? state.why : `it is ${state.name}`
    const leftMs = state.name === 'down' ? state.untilMs - this.#env.clock.monoMs() : this.guarantees.backoffBaseMs
    return new RipstopError('LINK_DOWN', `link ${this.name} is down: ${why}`, {
      sent: 'no',
      retryAfterMs: Math.max(1, Math.ceil(leftMs)),
    })
  }

  // What people see

  /** Runs what an adapter must not throw from. If it does, that is told, and the link goes on. */
  #guarded<T>(what: string, run: () => T): T | undefined {
    try {
      return run()
    } catch (error) {
      this.#defect(what, error)
      return undefined
    }
  }

  #defect(what: string, error: unknown): void {
    const wallMs = this.#env.clock.wallMs()
    this.#deps.notify({ type: 'defect', link: this.name, what, why: messageOf(error), wallMs })
  }

  #breakerChanged(to: string): void {
    this.#meters.breakerBecame(to)
    this.#deps.notify({ type: 'breaker', link: this.name, to, wallMs: this.#env.clock.wallMs() })
  }
}
