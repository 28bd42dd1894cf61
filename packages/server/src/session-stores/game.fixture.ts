// Sessions that were really played: random rules and commands, decided as the engine does, with the log and every body on the way.

import { apply, type Command, createSession, deadlineOf, decide, type SessionRules } from '@ripstop/protocol/sessions'
import fc from 'fast-check'
import { createEntry, encodeBody, type LogEntry, NO_HEAD, type SessionBody } from '#session-log'
import type { SessionRef, StoredSession } from './store.ts'

export interface Game {
  readonly ref: SessionRef
  /** By version - 1: how the session stood, as whoever committed it wrote it. */
  readonly sessions: readonly StoredSession[]
  readonly entries: readonly LogEntry[]
  readonly operations: readonly { readonly id: string; readonly version: number }[]
}

/** How long it takes until the next one, and whether it says which operation it is. */
export type Move = readonly [command: Command, afterMs: number, isNamed: boolean]

export interface Setup {
  readonly rules: SessionRules
  readonly metadata: Readonly<Record<string, unknown>>
  readonly timeoutEvent: string | undefined
}

export function playGame(ref: SessionRef, { rules, metadata, timeoutEvent }: Setup, moves: readonly Move[]): Game {
  const atMs = 1_000
  const event = { kind: 'created', version: 1, atMs, rules, metadata, timeoutEvent } as const
  const first = createEntry(NO_HEAD, { epoch: 1, event, actor: 'open', decidedMs: atMs })
  let body: SessionBody = { state: createSession(rules, atMs), metadata, createdMs: atMs, timeoutEvent }
  const entries = [first]
  const operations: { id: string; version: number }[] = []
  const stand = (head: string): StoredSession => {
    const { status, version } = body.state
    return { ...ref, epoch: 1, version, head, body: encodeBody(body), status, deadlineMs: deadlineOf(body.state) }
  }
  const sessions = [stand(first.hash)]
  let nowMs = atMs
  for (const [command, afterMs, isNamed] of moves) {
    nowMs += afterMs
    const { events, refused } = decide(body.state, command, nowMs)
    for (const [index, event] of events.entries()) {
      const isOwn = refused === undefined && index === events.length - 1
      const id = `operation ${event.version}`
      const line = { epoch: 1, event, actor: 'owner', decidedMs: nowMs }
      const entry = createEntry(entries.at(-1)?.hash as string, isOwn && isNamed ? { ...line, operationId: id } : line)
      if (isOwn && isNamed) operations.push({ id, version: event.version })
      body = { ...body, state: apply(body.state, event) }
      entries.push(entry)
      sessions.push(stand(entry.hash))
    }
  }
  return { ref, sessions, entries, operations }
}

/** Text that looks like what it is written into. */
const odd = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.constantFrom(
    '',
    ',"fixed":',
    ',"state":[',
    '}',
    '"',
    '\\',
    '\u0000',
    '\ud800',
    '__proto__',
    '{"length":7',
    '\u2028',
  ),
)

const control = fc.record({
  mainMs: fc.option(fc.integer({ min: 0, max: 20_000 }), { nil: undefined }),
  increment: fc.oneof(
    fc.constant({ kind: 'none' as const }),
    fc.record({ kind: fc.constantFrom('fischer' as const, 'bronstein' as const, 'delay' as const), ms: fc.nat(2_000) }),
  ),
  overtime: fc.oneof(
    fc.constant({ kind: 'none' as const }),
    fc.record({
      kind: fc.constant('periods' as const),
      periods: fc.integer({ min: 1, max: 3 }),
      periodMs: fc.constant(900),
    }),
    fc.record({
      kind: fc.constant('turns' as const),
      turns: fc.integer({ min: 1, max: 3 }),
      periodMs: fc.constant(900),
    }),
  ),
  stages: fc.array(fc.record({ turns: fc.integer({ min: 1, max: 4 }), addMs: fc.nat(3_000) }), { maxLength: 2 }),
})

const rules: fc.Arbitrary<SessionRules> = fc.record({
  mode: fc.constantFrom('per_participant', 'per_cycle', 'per_group', 'global', 'count_up'),
  participants: fc.array(
    fc.record({ participantId: odd, groupId: fc.option(fc.constantFrom('a', 'b'), { nil: undefined }), control }),
    { minLength: 1, maxLength: 5 },
  ),
  onTimeout: fc.constantFrom('end', 'skip_cycle', 'next', 'restart', 'event'),
  maxTimeMs: fc.option(fc.integer({ min: 1, max: 60_000 }), { nil: undefined }),
  lag: fc.option(fc.constant({ startMs: 300, gainMs: 100, capMs: 700 }), { nil: undefined }),
})

/** None that JSON escapes: V8 (Node 24.21) may read such a key as a lone backslash, once it has seen an object with that key. */
const name = fc.string({ unit: 'binary' }).filter((key) => !JSON.stringify(key).includes('\\'))
const json = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small' },
    odd,
    fc.double(),
    fc.constant(null),
    fc.array(tie('value')),
    fc.dictionary(name, tie('value')),
  ),
})).value

export const setups: fc.Arbitrary<Setup> = fc.record({
  rules,
  metadata: fc.dictionary(name, json, { maxKeys: 4 }),
  timeoutEvent: fc.option(fc.constantFrom('exam.over', 'a"b'), { nil: undefined }),
})

const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 8, arbitrary: fc.constant({ kind: 'switch' as const }) },
  { weight: 3, arbitrary: fc.constant({ kind: 'start' as const }) },
  fc.record({ kind: fc.constant('switch' as const), lagMs: fc.nat(200) }),
  fc.constantFrom({ kind: 'pause' as const }, { kind: 'resume' as const }, { kind: 'timeout' as const }),
  fc.record({
    kind: fc.constant('adjust' as const),
    place: fc.constant(0),
    byMs: fc.integer({ min: -900, max: 900 }),
    reason: odd,
  }),
  fc.record({
    kind: fc.constant('recover' as const),
    sinceMs: fc.nat(3_000),
    untilMs: fc.integer({ min: 3_000, max: 6_000 }),
  }),
  fc.constantFrom({ kind: 'complete' as const }, { kind: 'switch' as const }, { kind: 'switch' as const }),
)

export const moves: fc.Arbitrary<readonly Move[]> = fc.array(fc.tuple(command, fc.nat(3_000), fc.boolean()), {
  maxLength: 30,
})

/** Of chess, and of any length. */
export function playChess(ref: SessionRef, turns: number): Game {
  const control = {
    mainMs: 300_000,
    increment: { kind: 'fischer', ms: 2_000 },
    overtime: { kind: 'none' },
    stages: [],
  } as const
  const participants = ['white', 'black'].map((participantId) => ({ participantId, groupId: undefined, control }))
  const game = {
    mode: 'per_participant',
    participants,
    onTimeout: 'end',
    maxTimeMs: undefined,
    lag: undefined,
  } as const
  const turn: Move = [{ kind: 'switch' }, 900, true]
  const all: Move[] = [[{ kind: 'start' }, 10, true], ...Array.from({ length: turns }, () => turn)]
  return playGame(ref, { rules: game, metadata: { event: 'club evening' }, timeoutEvent: undefined }, all)
}
