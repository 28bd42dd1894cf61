// Seeded simulation, in the shape of TigerBeetle's VOPR: the real link over a fake clock and a peer that may do anything.
// Phase 1: random faults, calls and nudges, with safety checked at every step. Phase 2: the peer is well again, and the
// link must be proved up within its bound, with nothing left behind. Replay one run with SEED=n.

import { expect, test } from 'vitest'
import type { Ctx } from './ctx.ts'
import { isRipstopError, RipstopError } from './errors.ts'
import type { GuaranteesInput } from './guarantees.ts'
import { createSeededRandom } from './ids.ts'
import { settle } from './testing/index.ts'
import {
  type Answer,
  AnswerError,
  type Connection,
  createTestLink,
  type TestLink,
  WireError,
} from './testing/scripted-peer.ts'

const SEEDS = 800
const LATE_MS = 50
const QUICK: Answer = { does: 'answer', afterMs: 2 }

interface TrackedCall {
  readonly deadlineAt: number
  readonly idempotent: boolean
  attempts: number
  /** An attempt may have put bytes on the wire. */
  maybeSent: boolean
  settled: boolean
}

class Simulation {
  readonly problems: string[] = []
  readonly #random: () => number
  readonly #bench: TestLink
  readonly #guarantees: GuaranteesInput & {
    readonly heartbeatMs: number
    readonly openDeadlineMs: number
    readonly probeDeadlineMs: number
    readonly backoffCapMs: number
  }
  readonly #concurrent: number
  readonly #queue: number
  readonly #attempts: number
  readonly #weights: Readonly<Record<Answer['does'] | 'late' | 'quick' | 'wrong_role', number>>
  readonly #calls: TrackedCall[] = []
  readonly #connections: Connection[] = []
  readonly #cancellable: Ctx[] = []
  readonly #drains: Promise<void>[] = []
  #stalledUntilMs = 0
  #healed = false

  constructor(seed: number) {
    this.#random = createSeededRandom(seed)
    this.#concurrent = this.#between(1, 6)
    this.#queue = this.#between(0, 4)
    this.#attempts = this.#between(1, 4)
    this.#guarantees = {
      deadlineMs: this.#between(50, 2_000),
      whenDown: this.#chance(0.5) ? 'wait' : 'fast',
      retry: { attempts: this.#attempts, baseMs: this.#between(0, 50), capMs: 200 },
      breaker: this.#chance(0.5)
        ? 'none'
        : { minimumCalls: 3, windowMs: 1_000, openMs: 100, openMsMax: 800, probes: this.#between(1, 3) },
      bulkhead: { concurrent: this.#concurrent, queue: this.#queue },
      openDeadlineMs: this.#between(50, 1_000),
      probeDeadlineMs: this.#between(50, 400),
      backoffCapMs: this.#between(50, 1_000),
      stableAfterMs: this.#between(0, 3_000),
      heartbeatMs: this.#between(100, 1_000),
      maxAgeMs: this.#chance(0.5) ? Number.POSITIVE_INFINITY : this.#between(1_000, 5_000),
    }
    // Every run draws its own mix, some of them free of a fault altogether: rare combinations need common companions gone.
    const weight = () => (this.#chance(0.4) ? 0 : this.#random())
    this.#weights = {
      quick: 0.2 + this.#random() * 2,
      late: weight(),
      answer: 0,
      fail: weight(),
      hang: weight(),
      throw: weight() / 4,
      wrong_role: weight() / 2,
    }
    this.#bench = createTestLink(this.#guarantees, { seed: seed + 1 })
    const { peer } = this.#bench
    peer.sharedFate = this.#chance(0.5)
    peer.obedient = this.#chance(0.5)
    const chatty = this.#chance(0.3)
    peer.onOpen = () => (this.#chance(0.5) ? QUICK : this.#draw())
    peer.onProbe = () => (this.#chance(0.7) ? QUICK : this.#draw(true))
    peer.onClose = (connection) => {
      if (chatty) connection.events.lost('closed')
    }
    const open = peer.open.bind(peer)
    peer.open = async (ctx, events) => {
      if (!this.#healed && this.#chance(0.05)) events.lost('lost while it opens')
      const connection = await open(ctx, events)
      this.#connections.push(connection)
      if (!this.#healed && this.#chance(0.1)) void this.#soon(() => connection.events.lost('lost as it opened'))
      return connection
    }
  }

  async run(): Promise<void> {
    const { link, clock, root } = this.#bench
    link.start()
    const endMs = clock.monoMs() + this.#between(2_000, 15_000)
    while (clock.monoMs() < endMs && this.problems.length === 0) {
      for (let act = this.#between(0, 3); act > 0; act--) this.#act()
      await clock.advance(this.#chance(0.3) ? 0 : this.#between(0, 200))
      this.#checkSafety()
    }
    await this.#heal()
    await Promise.race([link.drain(root.within(100)), clock.advance(400)])
    await clock.advance(10_000) // what came too late has come, and was closed
    this.#checkEmpty()
  }

  #act(): void {
    const { link, clock, root } = this.#bench
    const dice = this.#random()
    const connection = this.#pick(this.#connections)
    if (dice < 0.55) this.#call()
    else if (dice < 0.62) connection?.events.lost('reset')
    else if (dice < 0.7) this.#forEachOf(connection, (one) => (one.dead = true))
    else if (dice < 0.74) link.suspect('somebody says so')
    else if (dice < 0.79) link.renew()
    else if (dice < 0.84) link.wake()
    else if (dice < 0.88) this.#pick(this.#cancellable)?.cancel()
    else if (dice < 0.92) clock.jumpWall(this.#between(-7_200_000, 7_200_000))
    else if (dice < 0.96) this.#stall()
    else if (dice < 0.97) this.#drains.push(link.drain(root.within(this.#between(0, 500))))
    else link.start()
  }

  #stall(): void {
    const { clock } = this.#bench
    clock.stall(this.#between(1, 2_000))
    this.#stalledUntilMs = clock.monoMs()
  }

  #call(parent?: Ctx): void {
    const { link, root, clock } = this.#bench
    const ctx = parent ?? root.within(this.#between(-10, 3_000))
    if (this.#chance(0.3)) this.#cancellable.push(ctx)
    const idempotent = this.#chance(0.5)
    const deadlineAt = Math.min(ctx.deadlineAt, clock.monoMs() + this.#guarantees.deadlineMs)
    const call: TrackedCall = { deadlineAt, idempotent, attempts: 0, maybeSent: false, settled: false }
    this.#calls.push(call)
    const failed = (): RipstopError | undefined =>
      this.#healed || this.#chance(0.8) ? undefined : new RipstopError('PEER_FAILED', 'a failure of its own')
    link
      .call(ctx, (connection, inner) => this.#attempt(call, connection, inner), { idempotent, failed })
      .then(
        () => this.#settled(call, undefined),
        (error: unknown) => this.#settled(call, error),
      )
  }

  #attempt(call: TrackedCall, connection: Connection, ctx: Ctx): Promise<string> | string {
    if (call.settled) this.problems.push('L5: a settled call runs')
    if (call.maybeSent && !call.idempotent) this.problems.push('L7: tried again though bytes may have gone out')
    if (!connection.proven) this.problems.push('L2: a call runs on what was never proved')
    if (connection.closedBecause !== undefined) this.problems.push('a call runs on what is closed')
    call.attempts++
    if (call.attempts > this.#attempts) this.problems.push('more attempts than allowed')
    if (!this.#healed && this.#chance(0.05)) connection.events.lost('lost by its user, at once')
    if (!this.#healed && this.#chance(0.05)) this.#pick(this.#cancellable)?.cancel()
    if (!this.#healed && this.#chance(0.05)) this.#call(ctx)
    if (this.#chance(0.05)) return 'at once'
    const answer = this.#healed ? QUICK : this.#draw()
    call.maybeSent = answer.does !== 'fail' || !(answer.error instanceof WireError) || answer.error.sent !== 'no'
    return this.#bench.peer.ask(answer, ctx, connection).then(() => 'answered')
  }

  #settled(call: TrackedCall, error: unknown): void {
    const nowMs = this.#bench.clock.monoMs()
    if (call.settled) this.problems.push('L5: a call settled twice')
    call.settled = true
    const lateMs = nowMs - Math.max(call.deadlineAt, this.#stalledUntilMs)
    if (lateMs > LATE_MS) this.problems.push(`L5: a call settled ${lateMs} ms after its deadline`)
    if (!isRipstopError(error)) return
    if (error.sent === undefined) this.problems.push(`L7: ${error.code} does not say sent`)
    if (error.sent === 'no' && call.maybeSent)
      this.problems.push(`L7: ${error.code} says no though bytes may have gone out`)
  }

  #checkSafety(): void {
    const { link, peer, clock } = this.#bench
    const now = link.snapshot()
    if (now.inFlight > this.#concurrent) this.problems.push('K1: more permits than there are')
    if (now.waiting > this.#concurrent + this.#queue) this.problems.push('K2: more waiters than allowed')
    if (peer.probesUnderWayMost > 1) this.problems.push('L6: probes are single-flight')
    if (peer.closedTwice > 0) this.problems.push('G1: a connection was closed twice')
    for (const call of this.#calls) {
      const lateMs = clock.monoMs() - Math.max(call.deadlineAt, this.#stalledUntilMs)
      if (!call.settled && lateMs > LATE_MS) this.problems.push(`L5: a call is ${lateMs} ms overdue`)
    }
    for (const [index, { from }] of now.transitions.entries()) {
      if (index > 0 && now.transitions[index - 1]?.to !== from) this.problems.push('transitions are out of order')
    }
  }

  /** The peer is well: new connections and what is asked over them work. Half-open ones stay dead, as they do. */
  async #heal(): Promise<void> {
    const { link, clock, peer } = this.#bench
    this.#healed = true
    peer.onOpen = () => QUICK
    peer.onProbe = () => QUICK
    await clock.advance(600) // every drain that was begun is over
    await Promise.all(this.#drains)
    link.start()
    const { heartbeatMs, openDeadlineMs, probeDeadlineMs, backoffCapMs } = this.#guarantees
    // Silence is noticed at the next heartbeat; a probe may get its time twice after a stall; then one pause at the cap.
    const boundMs = 1.5 * heartbeatMs + 2 * probeDeadlineMs + Math.max(openDeadlineMs, backoffCapMs) + 200
    const healedMs = clock.monoMs()
    while (!this.#isProvedUp(healedMs)) {
      if (clock.monoMs() - healedMs > boundMs) {
        const { state, why, transitions } = link.snapshot()
        this.problems.push(
          `L1: not up ${boundMs} ms after the heal: ${state} ${why} ${JSON.stringify(transitions.slice(-4))}`,
        )
        return
      }
      await clock.advance(20)
    }
    await this.#expectService()
    this.#checkSafety()
  }

  #isProvedUp(healedMs: number): boolean {
    const { link, peer } = this.#bench
    const { state, lastProofMonoMs } = link.snapshot()
    return state === 'up' && (lastProofMonoMs ?? 0) > healedMs && [...peer.live].some(({ dead }) => !dead)
  }

  /** The breaker closes and calls succeed; everything older has settled. */
  async #expectService(): Promise<void> {
    const { link, clock, root } = this.#bench
    let succeeded = 0
    for (let canary = 0; canary < 200 && succeeded < 5; canary++) {
      const call = link.call(root, (connection, ctx) => this.#bench.peer.ask(QUICK, ctx, connection))
      call.then(
        () => succeeded++,
        () => {
          succeeded = 0
        },
      )
      await clock.advance(20)
    }
    if (succeeded < 5) this.problems.push('canaries fail after the heal')
    await clock.advance(2_100)
    for (const call of this.#calls) if (!call.settled) this.problems.push('L5: a call never settled')
    const { inFlight, waiting, breaker } = link.snapshot()
    if (inFlight + waiting > 0) this.problems.push(`L5: ${inFlight} permits and ${waiting} waiters are left`)
    if (breaker === 'open') this.problems.push('L8: the breaker is open after the heal')
  }

  #checkEmpty(): void {
    const { link, peer, env } = this.#bench
    if (link.state !== 'closed') this.problems.push(`${link.state} after the drain`)
    if (env.wheel.armed > 0) this.problems.push(`${env.wheel.armed} timers are left`)
    if (peer.opened !== peer.closed) this.problems.push(`G1: ${peer.opened} were opened, ${peer.closed} closed`)
    if (peer.live.size > 0) this.problems.push('G1: a connection is left')
  }

  #draw(probe = false): Answer {
    const { quick, late, fail, hang, wrong_role } = this.#weights
    const faults: readonly (readonly [number, () => Answer])[] = [
      [quick, () => ({ does: 'answer', afterMs: this.#between(0, 30) })],
      [late, () => ({ does: 'answer', afterMs: this.#between(0, 4_000) })],
      [fail, () => this.#failure()],
      [hang, () => ({ does: 'hang' })],
      [this.#weights.throw, () => ({ does: 'throw', error: new WireError('maybe', 'at once') })],
      [
        probe ? wrong_role : 0,
        () => ({ does: 'fail', afterMs: 1, error: new RipstopError('PEER_WRONG_ROLE', 'a replica') }),
      ],
    ]
    let dice = this.#random() * faults.reduce((sum, [weight]) => sum + weight, 0)
    for (const [weight, answer] of faults) {
      dice -= weight
      if (dice < 0) return answer()
    }
    return QUICK
  }

  #failure(): Answer {
    const error = this.#chance(0.2) ? new AnswerError('unwelcome') : new WireError(this.#chance(0.5) ? 'no' : 'maybe')
    return { does: 'fail', afterMs: this.#between(0, 60), error }
  }

  async #soon(act: () => void): Promise<void> {
    for (let turn = this.#between(0, 6); turn > 0; turn--) await null
    act()
  }

  #between(least: number, most: number): number {
    return least + Math.floor(this.#random() * (most - least + 1))
  }

  #chance(share: number): boolean {
    return this.#random() < share
  }

  #pick<T>(from: readonly T[]): T | undefined {
    return from[Math.floor(this.#random() * from.length)]
  }

  #forEachOf<T>(one: T | undefined, act: (one: T) => void): void {
    if (one !== undefined) act(one)
  }
}

// SEED=n replays one run, SEEDS=n makes a longer soak.
const count = Number(process.env.SEEDS ?? SEEDS)
const all = Array.from({ length: count }, (_, seed) => seed)
const seeds = process.env.SEED === undefined ? all : [Number(process.env.SEED)]

test(`L1, L2, L5, L6, L7, L8, G1: ${seeds.length} seeded lives of a link are safe, and end up again`, {
  timeout: 600_000,
}, async () => {
  for (const seed of seeds) {
    const simulation = new Simulation(seed)
    await simulation.run()
    await settle()
    expect(simulation.problems.slice(0, 3), `replay with SEED=${seed}`).toEqual([])
  }
})
