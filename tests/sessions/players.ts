// Players that keep a ledger. Each drives sessions through random processes: a command goes out with an operation id and is repeated under
// it until somebody says what became of it; what was acknowledged is written down, with the place that it was acknowledged at.

import { randomUUID } from 'node:crypto'
import { createSeededRandom, type Random } from '@ripstop/kernel'
import { type Answer, ask, dataOf } from '../mesh/client.ts'

const AGAIN_MS = 50
/** A command that nobody answers for so long never will be. */
const PATIENCE_MS = 90_000
const DAY_MS = 86_400_000
const LIMIT_MS = 5_000
/** Sessions with short turns are played so seldom that their deadlines pass. */
const SHORT_PLAYED = 0.1

export interface Place {
  readonly epoch: number
  readonly version: number
}

export interface Move extends Place {
  readonly sessionId: string
  readonly kind: string
  readonly operation: string
  readonly ack: 'accepted' | 'durable'
  /** When the player knew. */
  readonly ackMs: number
}

export interface Players {
  readonly sessions: readonly string[]
  readonly ledger: readonly Move[]
  /** What must not be: stale reads, commands that nobody answers, answers that make no sense. */
  readonly violations: readonly string[]
  /** Refusals by code, conflicts among them. */
  readonly refused: ReadonlyMap<string, number>
  /** Requests without an answer that says what became of them, repeated. */
  unanswered(): number
  /** Each brings its last command to an end, which needs somebody who answers. */
  stop(): Promise<void>
}

export interface PlayersOptions {
  /** Where processes are, at this moment. */
  readonly bases: () => readonly string[]
  readonly seed: number
  readonly sessions: number
  readonly writers: number
  readonly pauseMs: number
}

interface SessionWire extends Place {
  readonly status: string
  readonly ack: 'accepted' | 'durable'
  readonly participants: readonly { readonly participant_id: string }[]
}

/** Creates the sessions first: half of them have turns so short that deadlines pass all the time. */
export async function startPlayers(options: PlayersOptions): Promise<Players> {
  const state = new PlayersState(options)
  for (let index = 0; index < options.sessions; index++) await state.create(index % 2 === 0)
  const running = Array.from({ length: options.writers }, (_, index) =>
    state.play(createSeededRandom(options.seed + index)),
  )
  let stopped: Promise<unknown> | undefined
  return {
    sessions: state.sessions,
    ledger: state.ledger,
    violations: state.violations,
    refused: state.refused,
    unanswered: () => state.unanswered,
    stop: async () => {
      state.isStopping = true
      stopped ??= Promise.all(running)
      await stopped
    },
  }
}

class PlayersState {
  readonly sessions: string[] = []
  readonly ledger: Move[] = []
  readonly violations: string[] = []
  readonly refused = new Map<string, number>()
  unanswered = 0
  isStopping = false
  readonly #options: PlayersOptions
  readonly #random: Random
  /** The highest place that was acknowledged or read, by session: nobody may read an older one after that. */
  readonly #seen = new Map<string, Place>()

  constructor(options: PlayersOptions) {
    this.#options = options
    this.#random = createSeededRandom(options.seed + 10_000)
  }

  async create(hasShortTurns: boolean): Promise<void> {
    const sessionId = randomUUID()
    const rules = hasShortTurns
      ? { sync_mode: 'per_cycle', time_per_cycle_ms: 1_000, action_on_timeout: 'skip_cycle', total_time_ms: DAY_MS }
      : { sync_mode: 'per_participant', increment_ms: 500, total_time_ms: DAY_MS }
    const participants = Array.from({ length: 3 }, (_, index) => ({
      participant_id: randomUUID(),
      participant_index: index,
      total_time_ms: hasShortTurns ? 1_000 : DAY_MS,
    }))
    const body = { session_id: sessionId, ...rules, participants }
    await this.#untilAnswered('/v1/sessions', body, this.#random)
    await this.#untilAnswered(`/v1/sessions/${sessionId}/start`, {}, this.#random)
    this.sessions.push(sessionId)
  }

  async play(random: Random): Promise<void> {
    while (!this.isStopping) {
      const sessionId = this.#draw(random)
      const dice = random()
      if (dice < 0.1) await this.#read(sessionId, random)
      else if (dice < 0.15) await this.#rest(sessionId, random)
      else if (dice < 0.2) await this.#adjust(sessionId, random)
      else await this.#command(sessionId, 'switch', {}, random)
      await pause(this.#options.pauseMs * (0.5 + random()))
    }
  }

  /** Every other session has short turns. */
  #draw(random: Random): string {
    const pairs = Math.floor(this.sessions.length / 2)
    const isShort = random() < SHORT_PLAYED
    return this.sessions[2 * Math.floor(random() * pairs) + (isShort ? 0 : 1)] ?? ''
  }

  async #rest(sessionId: string, random: Random): Promise<void> {
    await this.#command(sessionId, 'pause', {}, random)
    await this.#command(sessionId, 'resume', {}, random)
  }

  async #adjust(sessionId: string, random: Random): Promise<void> {
    const wire = await this.#read(sessionId, random)
    const participant_id = wire?.participants[0]?.participant_id
    if (participant_id === undefined) return
    await this.#command(sessionId, 'adjust', { participant_id, by_ms: 250, reason: 'a test' }, random)
  }

  async #read(sessionId: string, random: Random): Promise<SessionWire | undefined> {
    const before = this.#seen.get(sessionId)
    const answer = await ask(this.#base(random), `/v1/sessions/${sessionId}`, { limitMs: LIMIT_MS })
    if (answer.status === 404) this.violations.push(`${sessionId} is gone`)
    if (answer.status !== 200) return undefined
    const wire = dataOf<SessionWire>(answer)
    if (before !== undefined && isBefore(wire, before))
      this.violations.push(
        `stale read of ${sessionId}: ${wire.epoch}.${wire.version} after ${before.epoch}.${before.version}`,
      )
    this.#see(sessionId, wire)
    return wire
  }

  async #command(sessionId: string, kind: string, body: object, random: Random): Promise<void> {
    const operation = randomUUID()
    const answer = await this.#untilAnswered(`/v1/sessions/${sessionId}/${kind}`, body, random, operation)
    if (answer === undefined) return
    if (answer.status !== 200) {
      const code = answer.code ?? String(answer.status)
      this.refused.set(code, (this.refused.get(code) ?? 0) + 1)
      return
    }
    const { epoch, version, ack } = dataOf<SessionWire>(answer)
    if (!(epoch >= 1 && version >= 2)) this.violations.push(`${kind} was acknowledged at ${epoch}.${version}`)
    this.ledger.push({ sessionId, kind, operation, epoch, version, ack, ackMs: performance.now() })
    this.#see(sessionId, { epoch, version })
  }

  #see(sessionId: string, place: Place): void {
    const seen = this.#seen.get(sessionId)
    if (seen === undefined || isBefore(seen, place))
      this.#seen.set(sessionId, { epoch: place.epoch, version: place.version })
  }

  #base(random: Random): string {
    const bases = this.#options.bases()
    return bases[Math.floor(random() * bases.length)] ?? ''
  }

  /** Undefined: never. */
  async #untilAnswered(path: string, body: object, random: Random, key = randomUUID()): Promise<Answer | undefined> {
    const endMs = performance.now() + PATIENCE_MS
    while (performance.now() < endMs) {
      const headers = { 'idempotency-key': key }
      const answer = await ask(this.#base(random), path, { method: 'POST', headers, body, limitMs: LIMIT_MS })
      if (answer.status >= 200 && answer.status < 500 && answer.status !== 429) return answer
      this.unanswered++
      await pause(AGAIN_MS)
    }
    this.violations.push(`nobody answered ${path}`)
    return undefined
  }
}

export function isBefore(one: Place, other: Place): boolean {
  return one.epoch < other.epoch || (one.epoch === other.epoch && one.version < other.version)
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
