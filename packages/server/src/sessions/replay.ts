// Replay. A session's log, read again entry by entry, and told to people: what happened, who asked, how long it waited, what it cost, and what every
// clock showed then. And at any moment: where did my time go? Pure; nothing is known but the log.
// Invariants:
//   WT1. Of every participant: the parts of his own time, other people's, pauses and outages are the wall time since the session began, to the
//        millisecond; and everybody's own time, pauses and outages are the wall time too.
//   WT2. The state at a version is the one that was committed as that version.

import { type Ctx, RipstopError } from '@ripstop/kernel'
import {
  apply,
  chargeOf,
  clockOf,
  createSession,
  type SessionEvent,
  type SessionState,
  shownMs,
  type TurnCharge,
} from '@ripstop/protocol/sessions'
import { type CreatedEvent, type LogEntry, type LogLine, readLine } from '#session-log'
import type { SessionRef } from '#session-stores'
import type { SessionService } from './service.ts'

export interface ReplayStep {
  readonly line: LogLine
  /** Since the entry before, by the clock on the wall, and what of it was an outage that nobody paid for. */
  readonly sinceMs: number
  readonly outageMs: number
  /** From when its command was received to when it was decided; of a deadline, how late it was noticed. */
  readonly waitedMs: number
  /** Of the turn that it ended. */
  readonly charge: TurnCharge | undefined
}

/** Where the time of one participant went, since the session began. All that begins with `own` is his turns; `ownOpenMs` is of one that has not ended. */
export interface TimeShare {
  readonly place: number
  readonly participantId: string
  readonly wallMs: number
  readonly ownMainMs: number
  readonly ownOvertimeMs: number
  readonly ownFreeMs: number
  readonly ownLagMs: number
  readonly ownUncountedMs: number
  readonly ownOpenMs: number
  readonly othersMs: number
  readonly pausedMs: number
  readonly outageMs: number
  /** Not time that passed, but what his clock was given: by turns that ended, and by hand. */
  readonly addedMs: number
  readonly adjustedMs: number
  readonly turns: number
  readonly falls: number
}

type Tally = {
  -readonly [Field in Exclude<
    keyof TimeShare,
    'place' | 'participantId' | 'wallMs' | 'othersMs' | 'pausedMs' | 'outageMs'
  >]: number
}

export class Replay {
  #state: SessionState | undefined
  readonly #tallies: Tally[] = []
  #ownMs = 0
  #pausedMs = 0
  #outageMs = 0

  /** After the last entry. Throws NOT_FOUND before the first. */
  get state(): SessionState {
    if (this.#state === undefined) throw new RipstopError('NOT_FOUND', 'nothing was replayed yet')
    return this.#state
  }

  /** Entries in their order, from the first. Throws what an entry that doesn't belong there makes it throw. */
  add(entry: Pick<LogEntry, 'text'>): ReplayStep {
    const line = readLine(entry)
    const { event, decidedMs, receivedMs } = line
    const waitedMs = Math.max(0, decidedMs - (receivedMs ?? event.atMs))
    if (event.kind === 'created') {
      this.#begin(event)
      return { line, sinceMs: 0, outageMs: 0, waitedMs, charge: undefined }
    }
    const before = this.state
    const charge = chargeOf(before, event)
    const outageMs = event.kind === 'recovered' ? event.creditedMs : 0
    this.#count(before, event, charge, outageMs)
    this.#state = apply(before, event)
    return { line, sinceMs: event.atMs - before.atMs, outageMs, waitedMs, charge }
  }

  #begin({ rules, atMs }: CreatedEvent): void {
    this.#state = createSession(rules, atMs)
    for (const _ of rules.participants) this.#tallies.push(createTally())
  }

  #count(before: SessionState, event: SessionEvent, charge: TurnCharge | undefined, outageMs: number): void {
    const sinceMs = event.atMs - before.atMs
    this.#outageMs += outageMs
    if (before.status === 'paused') this.#pausedMs += sinceMs
    if (before.status === 'running') {
      this.#ownMs += sinceMs - outageMs
      this.#tallyOf(before.active).ownOpenMs += sinceMs - outageMs
    }
    if (charge !== undefined) this.#charge(charge)
    if (event.kind === 'expired' && event.place !== undefined) this.#tallyOf(event.place).falls++
    if (event.kind === 'adjusted') this.#tallyOf(event.place).adjustedMs += event.byMs
  }

  #charge({ place, elapsedMs, lagMs, freeMs, mainMs, overtimeMs, uncountedMs, addedMs }: TurnCharge): void {
    const tally = this.#tallyOf(place)
    tally.turns++
    tally.ownOpenMs -= elapsedMs
    tally.ownLagMs += lagMs
    tally.ownFreeMs += freeMs
    tally.ownMainMs += mainMs
    tally.ownOvertimeMs += overtimeMs
    tally.ownUncountedMs += uncountedMs
    tally.addedMs += addedMs
  }

  #tallyOf(place: number | undefined): Tally {
    const tally = place === undefined ? undefined : this.#tallies[place]
    if (tally === undefined) throw new RangeError(`there is no participant at ${place}`)
    return tally
  }

  /** What the clock of each participant shows at the last entry. */
  clocks(): readonly number[] {
    const { rules, clocks, active, turnBeforeMs, turnSinceMs, atMs } = this.state
    const running = active === undefined ? undefined : clockOf(rules, active)
    const elapsedMs = turnBeforeMs + (turnSinceMs === undefined ? 0 : Math.max(0, atMs - turnSinceMs))
    return rules.participants.map((_, place) => {
      const at = clockOf(rules, place)
      const [clock, owner] = [clocks[at], rules.participants[at]]
      if (clock === undefined || owner === undefined) return 0
      return shownMs(owner.control, clock, at === running ? elapsedMs : 0)
    })
  }

  /** WT1. As of `nowMs`, or the last entry, if that is later, or the end, if it has ended. */
  shares(nowMs: number): readonly TimeShare[] {
    const { rules, status, active, startedMs, endedMs, atMs } = this.state
    const untilMs = endedMs ?? Math.max(nowMs, atMs)
    const restMs = untilMs - atMs
    const openMs = status === 'running' ? restMs : 0
    const pausedMs = this.#pausedMs + (status === 'paused' ? restMs : 0)
    const wallMs = startedMs === undefined ? 0 : untilMs - startedMs
    return rules.participants.map(({ participantId }, place) => {
      const tally = { ...this.#tallyOf(place) }
      if (place === active) tally.ownOpenMs += openMs
      const othersMs = this.#ownMs + openMs - ownOf(tally)
      return { place, participantId, wallMs, ...tally, othersMs, pausedMs, outageMs: this.#outageMs }
    })
  }
}

function createTally(): Tally {
  const own = { ownMainMs: 0, ownOvertimeMs: 0, ownFreeMs: 0, ownLagMs: 0, ownUncountedMs: 0, ownOpenMs: 0 }
  return { ...own, addedMs: 0, adjustedMs: 0, turns: 0, falls: 0 }
}

function ownOf({ ownMainMs, ownOvertimeMs, ownFreeMs, ownLagMs, ownUncountedMs, ownOpenMs }: Tally): number {
  return ownMainMs + ownOvertimeMs + ownFreeMs + ownLagMs + ownUncountedMs + ownOpenMs
}

const PAGE = 500
/** What one request reads of a log: a session that is switched every second for a day has fewer. */
const ENTRIES_MAX = 100_000

export interface ReplayPage {
  /** Only entries of later versions are told one by one; at most `limit`. */
  readonly afterVersion: number
  readonly limit: number
  /** Where it ends, as if nothing had come after; default: where the session stands. */
  readonly atVersion?: number | undefined
}

export interface Replayed {
  readonly steps: readonly (ReplayStep & {
    /** What the clock of each participant showed after it. */
    readonly clocks: readonly number[]
  })[]
  readonly state: SessionState
  readonly shares: readonly TimeShare[]
  /** False: the log is longer than what one request reads, and this is as of where it stopped. */
  readonly isWhole: boolean
}

/** Throws SESSION_NOT_FOUND. */
export async function replaySession(
  ctx: Ctx,
  service: Pick<SessionService, 'log' | 'nowMs'>,
  ref: SessionRef,
  { afterVersion, limit, atVersion = Number.POSITIVE_INFINITY }: ReplayPage,
): Promise<Replayed> {
  const replay = new Replay()
  const steps: Replayed['steps'][number][] = []
  const lastVersion = Math.min(atVersion, ENTRIES_MAX)
  let version = 0
  for (let isMore = true; isMore && version < lastVersion; ) {
    const page = { afterVersion: version, limit: Math.min(PAGE, lastVersion - version) }
    const entries = await service.log(ctx, ref, page)
    for (const entry of entries) {
      const step = replay.add(entry)
      version = step.line.event.version
      if (version > afterVersion && steps.length < limit) steps.push({ ...step, clocks: replay.clocks() })
    }
    isMore = entries.length === page.limit
  }
  // At an earlier version, time stopped with it.
  const nowMs = version === atVersion ? 0 : service.nowMs()
  return { steps, state: replay.state, shares: replay.shares(nowMs), isWhole: version < ENTRIES_MAX }
}
