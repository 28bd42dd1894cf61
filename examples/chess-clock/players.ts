// Two robots at the clock and somebody who watches: clients as any other, of the same SDK that the page runs. What they were promised is
// written down, to be held against the log at the end.
// Invariants:
//   XC3. All who look at a game at the same moment see the same time, before, while and after nobody was there to serve it.
//   XC5. A move that is made while nobody is there is sent when somebody is, once; none that was acknowledged is lost.

import { type CommandAnswer, connectSession, type LiveSession } from '@ripstop/sdk/sessions'
import { type Game, SEATS, type Seat } from './arbiter.ts'

const THINK_MS_MIN = 250
const THINK_MS_MAX = 1_200
const LOOK_EVERY_MS = 50

export interface Apart {
  readonly most: number
  readonly uncertainty: number
}

/** Connected at once; disposed of, all three leave. */
export class Players implements Disposable {
  /** Every move that was acknowledged. */
  readonly promised: CommandAnswer[] = []
  /** Moves that ended without an answer, or with a refusal. */
  readonly failed: string[] = []
  readonly #sessions: Readonly<Record<Seat, LiveSession>>
  readonly #moves = new Set<Promise<void>>()
  readonly #thoughtAt = new Map<Seat, number>()
  readonly #looking: NodeJS.Timeout
  #isResting = false
  #apart: Apart = { most: 0, uncertainty: 0 }

  constructor(mesh: string, { sessionId, tokens }: Game) {
    const sit = (seat: Seat) => connectSession({ url: mesh, sessionId, token: tokens[seat] })
    this.#sessions = { white: sit('white'), black: sit('black'), watch: sit('watch') }
    for (const seat of ['white', 'black'] as const) this.#sessions[seat].subscribe(() => this.#think(seat))
    this.#looking = setInterval(() => this.#look(), LOOK_EVERY_MS)
  }

  /** How far apart the clocks were at most that the three showed at the same moment, and how far off they said then that they might be. */
  get apart(): Apart {
    return this.#apart
  }

  get isLive(): boolean {
    return SEATS.every((seat) => this.#sessions[seat].getSnapshot().status === 'live')
  }

  /** What each of the three shows now, by participant. */
  shown(): Readonly<Record<Seat, readonly (number | undefined)[]>> {
    const showOf = (seat: Seat): readonly (number | undefined)[] => {
      const session = this.#sessions[seat]
      const participants = session.getSnapshot().session?.rules.participants ?? []
      return participants.map(({ participantId }) => session.remaining(participantId))
    }
    return { white: showOf('white'), black: showOf('black'), watch: showOf('watch') }
  }

  /** Nobody moves any more; what was asked is answered. */
  async rest(): Promise<void> {
    this.#isResting = true
    await Promise.all(this.#moves)
  }

  [Symbol.dispose](): void {
    clearInterval(this.#looking)
    for (const session of Object.values(this.#sessions)) session.close()
  }

  #think(seat: Seat): void {
    const { session: state, participantId, pending } = this.#sessions[seat].getSnapshot()
    const active = state?.status === 'running' ? state.rules.participants[state.active ?? -1] : undefined
    const hasThought = this.#thoughtAt.get(seat) === state?.version // one thought a turn
    if (state === undefined || active?.participantId !== participantId || pending.length > 0 || hasThought) return
    this.#thoughtAt.set(seat, state.version)
    setTimeout(() => this.#move(seat), THINK_MS_MIN + Math.random() * (THINK_MS_MAX - THINK_MS_MIN))
  }

  #move(seat: Seat): void {
    if (this.#isResting) return
    const made = this.#sessions[seat].command({ kind: 'switch' }).then(
      (answer) => void this.promised.push(answer),
      (error: Error & { code?: string }) => void this.failed.push(`${seat}: ${error.code} ${error.message}`),
    )
    this.#moves.add(made)
    void made.finally(() => this.#moves.delete(made))
  }

  #look(): void {
    const versions = new Set(SEATS.map((seat) => this.#sessions[seat].getSnapshot().session?.version))
    if (versions.size > 1 || !this.isLive) return
    const faces = Object.values(this.shown())
    for (const place of faces[0]?.keys() ?? []) {
      const times = faces.map((face) => face[place] ?? 0)
      const most = Math.max(...times) - Math.min(...times)
      if (most <= this.#apart.most) continue
      this.#apart = { most, uncertainty: Math.max(...SEATS.map((seat) => this.#sessions[seat].uncertaintyMs())) }
    }
  }
}
