// What a session is, as stores keep it: text, opaque to them. Whoever reads or writes it does so here. It is written at every commit, so it is
// compact (a third of the plain JSON of a chess game's, an eighth of that of a thousand participants), and what never changes is copied, not
// written anew; still it is JSON, for whoever looks into the database: {"length":L,"fixed":{…},"state":[…]}, where L is the length of `fixed`.
// Invariants:
//   SB1. What was written is read as it was; the same body is the same text.

import type { Clock, ParticipantState, SessionRules, SessionState, TimeControl } from '@ripstop/protocol/sessions'

export interface SessionBody {
  readonly state: SessionState
  /** Whatever its creator wanted to keep with it; bounded by the edge. */
  readonly metadata: Readonly<Record<string, unknown>>
  readonly createdMs: number
  /** The type of what the timeout action `event` publishes; undefined: nothing, the clock falls and the session goes on. */
  readonly timeoutEvent: string | undefined
  /** The text of all that never changes, where it is known: `{ ...body, state }` may keep it. */
  readonly fixed?: string | undefined
}

interface Fixed {
  readonly mode: SessionRules['mode']
  /** Most participants have the same. */
  readonly controls: readonly TimeControl[]
  /** Id, place of the control, group. */
  readonly participants: readonly (readonly [string, number, string?])[]
  readonly onTimeout: SessionRules['onTimeout']
  readonly maxTimeMs?: number
  readonly lag?: SessionRules['lag']
  readonly metadata: SessionBody['metadata']
  readonly createdMs: number
  readonly timeoutEvent?: string
}

export function encodeBody(body: SessionBody): string {
  const fixed = body.fixed ?? encodeFixed(body)
  return `{"length":${fixed.length},"fixed":${fixed},"state":${encodeState(body.state)}}`
}

/** `known`, a body of the same session, saves reading what never changes. */
export function decodeBody(text: string, known?: SessionBody): SessionBody {
  const begin = text.indexOf(',"fixed":') + 9
  const end = begin + Number(text.slice(10, begin - 9))
  const fixed = text.slice(begin, end)
  const parts = JSON.parse(text.slice(end + 9, -1)) as Parts
  if (known?.fixed === fixed) return { ...known, state: decodeState(known.state.rules, parts) }
  const read = JSON.parse(fixed) as Fixed
  const { metadata, createdMs, timeoutEvent } = read
  return { state: decodeState(decodeRules(read), parts), metadata, createdMs, timeoutEvent, fixed }
}

function encodeFixed({ state: { rules }, metadata, createdMs, timeoutEvent }: SessionBody): string {
  const controls = new Map<string, number>()
  const participants = rules.participants.map(({ participantId, groupId, control }) => {
    const text = JSON.stringify(control)
    const at = controls.get(text) ?? controls.size
    controls.set(text, at)
    return groupId === undefined ? [participantId, at] : [participantId, at, groupId]
  })
  const { mode, onTimeout, maxTimeMs, lag } = rules
  const rest = { mode, participants, onTimeout, maxTimeMs, lag, metadata, createdMs, timeoutEvent }
  return `{"controls":[${[...controls.keys()].join()}],${JSON.stringify(rest).slice(1)}`
}

function decodeRules({ mode, controls, participants, onTimeout, maxTimeMs, lag }: Fixed): SessionRules {
  const whole = controls.map((control) => ({ ...control, mainMs: control.mainMs }))
  return {
    mode,
    participants: participants.map(([participantId, at, groupId]) => ({
      participantId,
      groupId,
      control: whole[at] as TimeControl,
    })),
    onTimeout,
    maxTimeMs,
    lag,
  }
}

type Parts = readonly [
  status: SessionState['status'],
  version: number,
  active: number | null,
  turnBeforeMs: number,
  turnSinceMs: number | null,
  playedMs: number,
  startedMs: number | null,
  endedMs: number | null,
  atMs: number,
  clocks: readonly (readonly number[])[],
  participants: readonly (readonly number[])[],
]

function encodeState(state: SessionState): string {
  const { status, version, active, turnBeforeMs, turnSinceMs, playedMs, startedMs, endedMs, atMs } = state
  const moments = `${turnBeforeMs},${turnSinceMs ?? null},${playedMs},${startedMs ?? null},${endedMs ?? null},${atMs}`
  const lists = `[${state.clocks.map(encodeClock).join()}],[${state.participants.map(encodeParticipant).join()}]`
  return `["${status}",${version},${active ?? null},${moments},${lists}]`
}

function decodeState(rules: SessionRules, parts: Parts): SessionState {
  const [status, version, active, turnBeforeMs, turnSinceMs, playedMs, startedMs, endedMs, atMs, clocks, people] = parts
  return {
    rules,
    status,
    version,
    clocks: clocks.map(decodeClock),
    participants: people.map(decodeParticipant),
    active: active ?? undefined,
    turnBeforeMs,
    turnSinceMs: turnSinceMs ?? undefined,
    playedMs,
    startedMs: startedMs ?? undefined,
    endedMs: endedMs ?? undefined,
    atMs,
  }
}

/** Zeros at the end are left out. */
function encodeClock(clock: Clock): string {
  const { mainMs, usedMs, turns, stage, stageTurns, periodsLeft, periodLeftMs, periodTurnsLeft } = clock
  if (periodsLeft !== 0 || periodLeftMs !== 0 || periodTurnsLeft !== 0) {
    return `[${mainMs},${usedMs},${turns},${stage},${stageTurns},${periodsLeft},${periodLeftMs},${periodTurnsLeft}]`
  }
  return turns === 0 && usedMs === 0 && stage === 0 && stageTurns === 0
    ? `[${mainMs}]`
    : `[${mainMs},${usedMs},${turns},${stage},${stageTurns}]`
}

function decodeClock(parts: readonly number[]): Clock {
  const [mainMs = 0, usedMs = 0, turns = 0, stage = 0, stageTurns = 0] = parts
  const [, , , , , periodsLeft = 0, periodLeftMs = 0, periodTurnsLeft = 0] = parts
  return { mainMs, usedMs, turns, stage, stageTurns, periodsLeft, periodLeftMs, periodTurnsLeft }
}

function encodeParticipant({ turns, usedMs, hasExpired, lagQuotaMs }: ParticipantState): string {
  if (lagQuotaMs !== 0 || hasExpired) return `[${turns},${usedMs},${hasExpired ? 1 : 0},${lagQuotaMs}]`
  return turns === 0 && usedMs === 0 ? '[]' : `[${turns},${usedMs}]`
}

function decodeParticipant([
  turns = 0,
  usedMs = 0,
  hasExpired = 0,
  lagQuotaMs = 0,
]: readonly number[]): ParticipantState {
  return { turns, usedMs, hasExpired: hasExpired === 1, lagQuotaMs }
}
