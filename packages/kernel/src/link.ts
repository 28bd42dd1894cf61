// Link. One fiber that owns disposable generations of a resource and is itself never replaced: it carries out what the
// pure machine in link-state.ts decides, and lets calls through to the generation that serves.

import type { Adapter } from './adapter.ts'
import { Breaker } from './breaker.ts'
import { RetryBudget } from './budget.ts'
import { Bulkhead } from './bulkhead.ts'
import {
  type AnyCall,
  Call,
  type CallHost,
  type CallOptions,
  type CallOutcome,
  type Generation,
  type UpWaiter,
} from './call.ts'
import { background, type Ctx, type Env } from './ctx.ts'
import { Degradation } from './degradation.ts'
import { hasCode, isRipstopError, RipstopError } from './errors.ts'
import { createGuarantees, type Guarantees, type GuaranteesInput } from './guarantees.ts'
import { createLinkMetrics, type LinkMetrics } from './link-metrics.ts'
import type { LinkNotice, LinkSnapshot, Transition } from './link-snapshot.ts'
import {
  type CloseCause,
  INITIAL_LINK_STATE,
  type LinkAction,
  type LinkEvent,
  type LinkState,
  type LinkStateName,
  type LinkTimer,
} from './link-state.ts'
import { stepLink } from './link-step.ts'
import type { Metrics } from './metrics.ts'
import { openResource, probeResource, TimerEntry } from './proving.ts'
import { TokenBucket } from './rate.ts'
import { CallsUnderWay } from './under-way.ts'

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
  readonly #root: Ctx
  readonly #host: CallHost<R>
  readonly #bulkhead: Bulkhead
  readonly #breaker: Breaker | undefined
  readonly #budget: RetryBudget
  readonly #meters: LinkMetrics
  readonly #generations = new Map<number, Generation<R>>()
  readonly #preparing = new Map<number, Ctx>()
  readonly #timers: Readonly<Record<LinkTimer, TimerEntry>>
  readonly #upWaiters = new Set<UpWaiter>()
  readonly #transitions: Transition[] = []
  readonly #underWay = new CallsUnderWay()
  readonly #retired = new Map<Generation<R>, CloseCause>()
  #state: LinkState = INITIAL_LINK_STATE
  #serving: Generation<R> | undefined
  #lastProofMs: number | undefined
  readonly #degradation: Degradation | undefined

  /** @internal Made by `Mesh.link`. */
  constructor(name: string, adapter: Adapter<R>, input: GuaranteesInput, deps: LinkDeps) {
    this.name = name
    this.guarantees = createGuarantees(name, input)
    this.#adapter = adapter
    this.#deps = deps
    this.#env = deps.env
    this.#root = background(deps.env)
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
    this.#host = this.#createHost(nowMs)
  }

  get state(): LinkStateName {
    return this.#state.name
  }

  /** Begins to connect, and never stops trying until `drain`. Harmless when started. */
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
   * the degradation that its guarantees name, until a call succeeds again. A caller's own cancel is not degradation.
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

  /** Resolves once the link is up; rejects when `ctx` is over. */
  whenUp(ctx: Ctx): Promise<void> {
    if (this.#serving !== undefined) return Promise.resolve()
    return new Promise((resolve, reject) => {
      const over = (): void => {
        this.#upWaiters.delete(waiter)
        reject(ctx.signal.reason)
      }
      const waiter: UpWaiter = {
        up: () => {
          ctx.signal.removeEventListener('abort', over)
          resolve()
        },
        closed: () => {
          ctx.signal.removeEventListener('abort', over)
          reject(this.#host.downError())
        },
      }
      if (ctx.signal.aborted) return reject(ctx.signal.reason)
      ctx.signal.addEventListener('abort', over, { once: true })
      this.#upWaiters.add(waiter)
    })
  }

  /**
   * Closes the link for good: no new calls, those under way may end until `ctx` is over, then they fail. Idempotent;
   * resolves when closed. `start` opens it again.
   */
  async drain(ctx: Ctx): Promise<void> {
    this.#dispatch({ type: 'drain' })
    for (const waiter of [...this.#upWaiters]) {
      this.#upWaiters.delete(waiter)
      waiter.closed()
    }
    if (this.state === 'draining') await this.#underWay.idle(ctx.signal)
    this.#dispatch({ type: 'drained' })
    for (const generation of [...this.#generations.values()])
      this.#close(generation, 'drained', 'closed by the application')
  }

  snapshot(): LinkSnapshot {
    const nowMs = this.#env.clock.monoMs()
    const state = this.#state
    const serving = this.#serving
    const ageMs = this.#lastProofMs === undefined ? undefined : nowMs - this.#lastProofMs
    return {
      name: this.name,
      kind: this.#adapter.kind,
      target: this.#adapter.target,
      state: state.name,
      why: 'why' in state ? state.why : undefined,
      generation:
        ('generation' in state ? state.generation : undefined) ??
        ('lastGeneration' in state ? state.lastGeneration : 0),
      lastProofMonoMs: this.#lastProofMs,
      lastProofWallMs: ageMs === undefined ? undefined : this.#env.clock.wallMs() - ageMs,
      lastProofAgeMs: ageMs,
      inFlight: this.#bulkhead.inUse,
      waiting: this.#bulkhead.waiting + this.#upWaiters.size,
      oldestOverdueMs: this.#underWay.oldestOverdueMs(nowMs),
      breaker: this.#breaker?.state(nowMs) ?? 'none',
      retryBudget: this.#budget.available(nowMs),
      degradation: this.#degradation?.snapshot(),
      pool: serving === undefined ? undefined : this.#adapter.pool?.(serving.resource),
      recoverWithinMs: this.guarantees.recoverWithinMs,
      transitions: [...this.#transitions],
    }
  }

  #createHost(nowMs: number): CallHost<R> {
    const link = this
    return {
      name: this.name,
      env: this.#env,
      guarantees: this.guarantees,
      budget: this.#budget,
      bulkhead: this.#bulkhead,
      breaker: this.#breaker,
      rate: this.guarantees.rate === undefined ? undefined : new TokenBucket(this.guarantees.rate, nowMs),
      get serving() {
        return link.#serving
      },
      fault: (error) => (isRipstopError(error) ? error : this.#adapter.fault(error)),
      downError: () => this.#downError(),
      awaitUp: (call) => void this.#upWaiters.add(call),
      leaveUp: (call) => void this.#upWaiters.delete(call),
      began: (call, generation) => {
        generation.underWay++
        this.#underWay.add(call)
      },
      ended: (call, generation) => this.#ended(call, generation),
      proved: (generation, nowMs) => this.#proved(generation, nowMs),
      suspected: (why, givenMs) =>
        this.#dispatch({ type: 'suspected', why, probe: givenMs >= this.guarantees.probeDeadlineMs }),
      retried: () => this.#meters.retried(),
      settled: (outcome: CallOutcome, durationMs) => this.#meters.settled(outcome, durationMs),
    }
  }

  // The machine

  #dispatch(event: LinkEvent): void {
    const before = this.#state
    const world = {
      nowMs: this.#env.clock.monoMs(),
      random: this.#env.random(),
      lastProofMs: this.#serving?.lastProofMs ?? 0,
    }
    const { state, actions } = stepLink(before, event, world, this.guarantees)
    this.#state = state
    if (state.name !== 'up' && state.name !== 'degraded' && state.name !== 'draining') this.#serving = undefined
    for (const action of actions) this.#act(action)
    if (before.name !== state.name) this.#changed(before.name, state, event)
  }

  #act(action: LinkAction): void {
    switch (action.type) {
      case 'open':
        void this.#open(action.generation)
        return
      case 'probe':
        void this.#probe(action.generation)
        return
      case 'close': {
        this.#preparing.get(action.generation)?.cancel(new RipstopError('LINK_LOST', action.why))
        const generation = this.#generations.get(action.generation)
        if (generation !== undefined) this.#retire(generation, action.because, action.why)
        return
      }
      case 'serve':
        this.#serving = this.#generations.get(action.generation)
        for (const waiter of [...this.#upWaiters]) {
          this.#upWaiters.delete(waiter)
          waiter.up()
        }
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

  async #open(number: number): Promise<void> {
    const ctx = this.#root.within(this.guarantees.openDeadlineMs)
    this.#preparing.set(number, ctx)
    this.#meters.attempted()
    try {
      const resource = await openResource(this.#adapter, ctx, {
        lost: (why) => this.#dispatch({ type: 'lost', generation: number, why: messageOf(why) }),
      })
      this.#preparing.delete(number)
      this.#generations.set(number, { number, resource, underWay: 0, lastProofMs: 0 })
      this.#dispatch({ type: 'opened', generation: number })
    } catch (error) {
      this.#preparing.delete(number)
      this.#dispatch({ type: 'open_failed', generation: number, why: messageOf(error) })
    }
  }

  async #probe(number: number): Promise<void> {
    const generation = this.#generations.get(number)
    assertHeld(generation, number)
    try {
      await probeResource(this.#adapter, generation.resource, this.#root, this.guarantees.probeDeadlineMs)
      this.#markProof(generation, this.#env.clock.monoMs())
      this.#dispatch({ type: 'probe_passed', generation: number })
    } catch (error) {
      const silent = !hasCode(error, 'PEER_WRONG_ROLE')
      this.#dispatch({ type: 'probe_failed', generation: number, why: messageOf(error), silent })
    }
  }

  #changed(from: LinkStateName, state: LinkState, event: LinkEvent): void {
    const why = 'why' in state ? state.why : event.type
    const generation = ('generation' in state ? state.generation : undefined) ?? 0
    const transition: Transition = { from, to: state.name, why, generation, wallMs: this.#env.clock.wallMs() }
    this.#transitions.push(transition)
    if (this.#transitions.length > TRANSITIONS_KEPT) this.#transitions.shift()
    if (state.name === 'up' && from === 'connecting') this.#meters.recovered()
    this.#deps.notify({ type: 'transition', link: this.name, ...transition })
  }

  #renewDue(): void {
    const serving = this.#serving
    if (serving !== undefined && this.#adapter.renew !== undefined) {
      this.#adapter.renew(serving.resource)
      const delayMs = this.guarantees.maxAgeMs * (0.5 + this.#env.random())
      if (delayMs !== Number.POSITIVE_INFINITY) this.#act({ type: 'set_timer', timer: 'renew', delayMs })
      return
    }
    this.#dispatch({ type: 'renew_due' })
  }

  // Generations

  #retire(generation: Generation<R>, because: CloseCause, why: string): void {
    const mayFinish = because === 'renewed' || (because === 'lost' && !this.#adapter.sharedFate)
    if (mayFinish && generation.underWay > 0) {
      // Closed by #ended with its last call: each is bounded by its own deadline (L5).
      this.#retired.set(generation, because)
      return
    }
    this.#close(generation, because, why)
  }

  #close(generation: Generation<R>, because: CloseCause, why: string): void {
    if (!this.#generations.delete(generation.number)) return
    this.#retired.delete(generation)
    if (this.#serving === generation) this.#serving = undefined
    this.#adapter.close(generation.resource, because)
    this.#underWay.lose(generation.number, why)
  }

  // Calls

  #ended(call: AnyCall, generation: Generation<R>): void {
    this.#underWay.remove(call)
    generation.underWay--
    if (generation.underWay > 0 || this.#retired.size === 0) return
    const because = this.#retired.get(generation)
    if (because !== undefined) this.#close(generation, because, because)
  }

  #proved(generation: Generation<R>, nowMs: number): void {
    this.#markProof(generation, nowMs)
    if (this.#state.name === 'degraded') this.#dispatch({ type: 'proved', generation: generation.number })
  }

  #markProof(generation: Generation<R>, nowMs: number): void {
    generation.lastProofMs = nowMs
    this.#lastProofMs = nowMs
  }

  #downError(): RipstopError {
    const state = this.#state
    if (state.name === 'closed' || state.name === 'draining') {
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

  #breakerChanged(to: string): void {
    this.#meters.breakerBecame(to)
    this.#deps.notify({ type: 'breaker', link: this.name, to, wallMs: this.#env.clock.wallMs() })
  }
}

/** The machine probes only what it was told is open, and closes only what it then no longer asks for. */
function assertHeld<G>(generation: G | undefined, number: number): asserts generation is G {
  if (generation === undefined) throw new Error(`generation ${number} is probed but not held`)
}

function messageOf(error: unknown): string {
  if (error instanceof Error) {
    const code =
      'code' in error && typeof error.code === 'string' && !error.message.includes(error.code) ? `${error.code}: ` : ''
    return `${code}${error.message}`.slice(0, 300)
  }
  return String(error).slice(0, 300)
}
