// Generations. The resources that a link holds, each opened, proved, used and closed once. The machine says what is to be
// done by number; what became of it is reported back as an event. Here it is also known which calls run on which.
//   opening -> held -> (retired: no new calls, those under way may end) -> closed
// Invariants:
//   G1. What was opened is closed exactly once, whoever loses interest in it and whenever.
//   G2. A retired generation goes with its last call, or at once if its calls share its fate and it is lost.

import type { Adapter } from './adapter.ts'
import type { AnyCall, Generation } from './call.ts'
import { background, type Ctx, type Env } from './ctx.ts'
import { hasCode, RipstopError } from './errors.ts'
import type { CloseCause, LinkEvent } from './link-state.ts'
import { openResource, probeResource } from './proving.ts'
import { CallsUnderWay } from './under-way.ts'

export interface GenerationsDeps {
  readonly env: Env
  readonly openDeadlineMs: number
  readonly probeDeadlineMs: number
  readonly dispatch: (event: LinkEvent) => void
  /** The adapter threw from where it must not. */
  readonly defect: (what: string, error: unknown) => void
}

export class Generations<R> {
  readonly underWay = new CallsUnderWay()
  readonly #adapter: Adapter<R>
  readonly #deps: GenerationsDeps
  readonly #root: Ctx
  readonly #opening = new Map<number, Ctx>()
  readonly #held = new Map<number, Generation<R>>()
  readonly #retired = new Map<Generation<R>, CloseCause>()
  #serving: Generation<R> | undefined
  #lastProofMs: number | undefined

  constructor(adapter: Adapter<R>, deps: GenerationsDeps) {
    this.#adapter = adapter
    this.#deps = deps
    this.#root = background(deps.env)
  }

  /** The one that calls go to now. */
  get serving(): Generation<R> | undefined {
    return this.#serving
  }

  /** When any of them last completed a round trip. */
  get lastProofMs(): number | undefined {
    return this.#lastProofMs
  }

  serve(number: number): void {
    this.#serving = this.#held.get(number)
  }

  serveNone(): void {
    this.#serving = undefined
  }

  async open(number: number): Promise<void> {
    const ctx = this.#root.within(this.#deps.openDeadlineMs)
    this.#opening.set(number, ctx)
    const events = { lost: (why: unknown) => this.#lost(number, messageOf(why)) }
    const discard = (resource: R): void => this.#release(resource, 'lost')
    let resource: R
    try {
      resource = await openResource(this.#adapter, ctx, events, discard)
    } catch (error) {
      this.#opening.delete(number)
      return this.#deps.dispatch({ type: 'open_failed', generation: number, why: messageOf(error) })
    }
    // Given up while the answer was on its way here: the machine no longer knows of it (G1).
    if (!this.#opening.delete(number)) return discard(resource)
    this.#held.set(number, { number, resource, underWay: 0, lastProofMs: 0 })
    this.#deps.dispatch({ type: 'opened', generation: number })
  }

  async probe(number: number): Promise<void> {
    const generation = this.#held.get(number)
    assertHeld(generation, number)
    try {
      await probeResource(this.#adapter, generation.resource, this.#root, this.#deps.probeDeadlineMs)
    } catch (error) {
      const silent = !hasCode(error, 'PEER_WRONG_ROLE')
      return this.#deps.dispatch({ type: 'probe_failed', generation: number, why: messageOf(error), silent })
    }
    this.proved(generation, this.#deps.env.clock.monoMs())
    this.#deps.dispatch({ type: 'probe_passed', generation: number })
  }

  proved(generation: Generation<R>, nowMs: number): void {
    generation.lastProofMs = nowMs
    this.#lastProofMs = nowMs
  }

  began(call: AnyCall, generation: Generation<R>): void {
    generation.underWay++
    this.underWay.add(call)
  }

  ended(call: AnyCall, generation: Generation<R>): void {
    this.underWay.remove(call)
    generation.underWay--
    if (generation.underWay > 0 || this.#retired.size === 0) return
    const because = this.#retired.get(generation)
    if (because !== undefined) this.#close(generation, because, because)
  }

  /** The machine is done with it, opening or open. */
  close(number: number, because: CloseCause, why: string): void {
    const opening = this.#opening.get(number)
    this.#opening.delete(number)
    opening?.cancel(new RipstopError('LINK_LOST', why))
    const generation = this.#held.get(number)
    if (generation === undefined) return
    const mayFinish = because === 'renewed' || (because === 'lost' && !this.#adapter.sharedFate)
    // Then it goes with its last call (G2): each is bounded by its own deadline (L5).
    if (mayFinish && generation.underWay > 0) this.#retired.set(generation, because)
    else this.#close(generation, because, why)
  }

  /** Closes what still waits for its last call, up to a number: time is up. */
  closeRetired(upTo: number, why: string): void {
    for (const generation of [...this.#retired.keys()]) {
      if (generation.number <= upTo) this.#close(generation, 'drained', why)
    }
  }

  #lost(number: number, why: string): void {
    const generation = this.#held.get(number)
    if (generation === undefined || !this.#retired.has(generation)) {
      return this.#deps.dispatch({ type: 'lost', generation: number, why })
    }
    if (this.#adapter.sharedFate) this.#close(generation, 'lost', why)
  }

  #close(generation: Generation<R>, because: CloseCause, why: string): void {
    if (!this.#held.delete(generation.number)) return
    this.#retired.delete(generation)
    if (this.#serving === generation) this.#serving = undefined
    this.#release(generation.resource, because)
    this.underWay.lose(generation.number, why)
  }

  #release(resource: R, because: CloseCause): void {
    try {
      this.#adapter.close(resource, because)
    } catch (error) {
      this.#deps.defect('close', error)
    }
  }
}

/** The machine probes only what it was told is open, and closes only what it then no longer asks for. */
function assertHeld<G>(generation: G | undefined, number: number): asserts generation is G {
  if (generation === undefined) throw new Error(`generation ${number} is probed but not held`)
}

export function messageOf(error: unknown): string {
  if (error instanceof Error) {
    const code =
      'code' in error && typeof error.code === 'string' && !error.message.includes(error.code) ? `${error.code}: ` : ''
    return `${code}${error.message}`.slice(0, 300)
  }
  return String(error).slice(0, 300)
}
