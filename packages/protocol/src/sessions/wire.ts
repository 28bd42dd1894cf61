// The wire of live sessions: subprotocol `ripstop.v1` of the WebSocket at `/ws?sessionId=…`. One JSON object to a text message, short keys.
// A client says `sub` first, with the place (epoch, version) that it knows, if any. It is told `hi`, with the place where the session stands,
// then the events from its own place to that one, or the session whole (`snap`), then every event as it happens. Events are those of the reducer: `apply` makes the next state of them.
// Places: `ev` names the place that it continues (`pe`, `pv`). A client that stands elsewhere, and not beyond, sends `sub` again with
// its own. Where its place is none of the session's any more (an epoch branched off before it) it is told `resync`, then `snap`.
// Answers and events are not ordered among each other: an `ack` may come before or after the events that it is about.
// No zod here: this runs in browsers, in the smallest bundle. session-wire.ts has the same as schemas, for the documents.
// Invariants:
//   RV1. What is no message of the protocol is none: it never becomes one with other fields than those that were checked.

import type { Command, SessionEvent } from './events.ts'
import type { SessionState } from './session.ts'

export const SESSION_PROTOCOL = 'ripstop.v1'
/** Browsers can't set headers: `new WebSocket(url, ['ripstop.v1', `ripstop.token.${token}`])`. */
export const TOKEN_PROTOCOL = 'ripstop.token.'

/** What a socket may ask of a session: the reducer's commands, without what the server adds (who, and how late). */
export type SocketCommand =
  | { readonly kind: 'start'; readonly first?: number }
  | { readonly kind: 'switch'; readonly next?: number }
  | { readonly kind: 'pause' | 'resume' | 'complete' | 'cancel' }
  | Extract<Command, { kind: 'adjust' }>

/** A place in a session's life: its epoch and its version. */
export interface WirePlace {
  readonly e: number
  readonly v: number
}

export type ClientMessage =
  /** Begins, and begins anew after a gap. */
  | { readonly t: 'sub'; readonly since?: WirePlace }
  /**
   * `op`: 1 to 64 of A-Z a-z 0-9 _ . : -; the same one is done once, also on another connection. `e`, `v`: only if the session still stands
   * there; without `v` neither counts.
   */
  | { readonly t: 'cmd'; readonly op: string; readonly c: SocketCommand; readonly e?: number; readonly v?: number }
  /** Time probe. `c0`: anything that the client wants back. `u`: its present uncertainty in ms, for the server's metrics. */
  | { readonly t: 'p'; readonly i: number; readonly c0: number; readonly u?: number }

export type SocketRole = 'owner' | 'participant' | 'spectator'

export type ServerMessage =
  /** Answers `sub`. `p`: the participant's place. `x`: when the token ends, server time. `s`: server time. */
  | ({
      readonly t: 'hi'
      readonly r: SocketRole
      readonly p?: number
      readonly x?: number
      readonly s: number
    } & WirePlace)
  | {
      readonly t: 'snap'
      readonly e: number
      readonly v: number
      readonly st: SessionState
      /** Metadata, and when it was created. */
      readonly md: Readonly<Record<string, unknown>>
      readonly at: number
      readonly lvl: 'accepted' | 'durable'
    }
  /** `d.version` is its version. `o`: the operation of a socket that asked for it. */
  | {
      readonly t: 'ev'
      readonly e: number
      readonly pe: number
      readonly pv: number
      readonly d: SessionEvent
      readonly o?: string
    }
  /** Done; the session stands at (e, v) since. `rep`: it was done before, and this is where the session stands now. */
  | {
      readonly t: 'ack'
      readonly op: string
      readonly e: number
      readonly v: number
      readonly lvl: 'accepted' | 'durable'
      readonly rep?: true
    }
  /** Not done, or not known to be: `retryMs` is there where the same `op` may be sent again. */
  | {
      readonly t: 'nack'
      readonly op: string
      readonly code: string
      readonly msg: string
      readonly retryMs?: number
    }
  /** Server time, with fractions, when the probe came in and when this went out. */
  | { readonly t: 'p'; readonly i: number; readonly c0: number; readonly s1: number; readonly s2: number }
  /** Places of participants who are there, and how many others are, as far as this process knows. */
  | { readonly t: 'pres'; readonly p: readonly number[]; readonly n: number }
  /** What the client knows is to be thrown away; `snap` follows. */
  | { readonly t: 'resync'; readonly e: number; readonly why: 'branch' | 'behind' }
  /** The connection ends. `retryMs`: come back after that long; without it, don't: the answer would be the same. */
  | { readonly t: 'bye'; readonly code: string; readonly retryMs?: number }
  /** A message made no sense. */
  | { readonly t: 'err'; readonly code: string; readonly msg: string }

const OPERATION = /^[\w.:-]{1,64}$/
const ADJUST_MS_MAX = 86_400_000
const REASON_LENGTH_MAX = 500

/** Undefined: it is none (RV1). */
export function parseClientMessage(text: string): ClientMessage | undefined {
  const raw = parseObject(text)
  switch (raw?.t) {
    case 'p':
      return parseProbe(raw)
    case 'sub':
      return parseSubscription(raw)
    case 'cmd':
      return parseCommandMessage(raw)
    default:
      return undefined
  }
}

const SERVER_TYPES: ReadonlySet<unknown> = new Set<ServerMessage['t']>(
  ['hi', 'snap', 'ev', 'ack', 'nack', 'p', 'pres', 'resync', 'bye', 'err'], //
)

/** For clients, which believe their server: only the type is looked at. Undefined: of a later version, to be left alone. */
export function parseServerMessage(text: string): ServerMessage | undefined {
  const raw = parseObject(text)
  return raw !== undefined && SERVER_TYPES.has(raw.t) ? (raw as unknown as ServerMessage) : undefined
}

type Raw = Readonly<Record<string, unknown>>

function parseObject(text: string): Raw | undefined {
  try {
    const raw: unknown = JSON.parse(text)
    return typeof raw === 'object' && raw !== null ? (raw as Raw) : undefined
  } catch {
    return undefined // no JSON
  }
}

function parseProbe({ i, c0, u }: Raw): ClientMessage | undefined {
  // A JSON number may be too large for a number.
  if (!isCount(i) || !Number.isFinite(c0)) return undefined
  return typeof u === 'number' && u >= 0 && u < Infinity
    ? { t: 'p', i, c0: c0 as number, u }
    : { t: 'p', i, c0: c0 as number }
}

function parseSubscription({ since }: Raw): ClientMessage | undefined {
  if (since === undefined) return { t: 'sub' }
  if (typeof since !== 'object' || since === null) return undefined
  const { e, v } = since as Raw
  return isCount(e) && isCount(v) ? { t: 'sub', since: { e, v } } : undefined
}

function parseCommandMessage({ op, c, e, v }: Raw): ClientMessage | undefined {
  if (typeof op !== 'string' || !OPERATION.test(op) || !isOptionalCount(e) || !isOptionalCount(v)) return undefined
  const command = typeof c === 'object' && c !== null ? parseCommand(c as Raw) : undefined
  if (command === undefined) return undefined
  return { t: 'cmd', op, c: command, ...(e === undefined ? {} : { e }), ...(v === undefined ? {} : { v }) }
}

function parseCommand({ kind, first, next, place, byMs, reason }: Raw): SocketCommand | undefined {
  switch (kind) {
    case 'start':
      if (!isOptionalCount(first)) return undefined
      return first === undefined ? { kind } : { kind, first }
    case 'switch':
      if (!isOptionalCount(next)) return undefined
      return next === undefined ? { kind } : { kind, next }
    case 'pause':
    case 'resume':
    case 'complete':
    case 'cancel':
      return { kind }
    case 'adjust':
      return isCount(place) && isAdjustment(byMs) && isReason(reason) ? { kind, place, byMs, reason } : undefined
    default:
      return undefined
  }
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

function isOptionalCount(value: unknown): value is number | undefined {
  return value === undefined || isCount(value)
}

function isAdjustment(value: unknown): value is number {
  return Number.isSafeInteger(value) && Math.abs(value as number) <= ADJUST_MS_MAX
}

function isReason(value: unknown): value is string {
  return typeof value === 'string' && value.length <= REASON_LENGTH_MAX && /\S/.test(value)
}
