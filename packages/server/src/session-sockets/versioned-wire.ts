// Texts of `ripstop.v1`. The shapes are those of @ripstop/protocol/sessions; the frequent ones are written by hand, since JSON of an object that
// lives only to be written is most of what an event costs.
// Invariants:
//   RV2. What is written here is read by `parseServerMessage` as the message that it says.

import type { ServerMessage, SessionEvent, WirePlace } from '@ripstop/protocol/sessions'
import { mayUse, type Principal } from '#platform/http'
import type { LogLine } from '#session-log'
import type { SessionView } from '#sessions'

export function writeMessage(message: ServerMessage): string {
  return JSON.stringify(message)
}

export function placeOf({ epoch, state }: Pick<SessionView, 'epoch' | 'state'>): WirePlace {
  return { e: epoch, v: state.version }
}

/** The operation of a socket carries the one who asked before it, so that nobody's operation passes for another's. */
export function operationIdOf(owner: string, op: string): string {
  return `${owner} ${op}`
}

/** Undefined: no operation of a socket. */
function operationOf({ operationId }: LogLine): string | undefined {
  const space = operationId?.lastIndexOf(' ') ?? -1
  return space < 0 ? undefined : operationId?.slice(space + 1)
}

/** An event that continues `from`. */
export function writeEvent(from: WirePlace, line: LogLine, event: SessionEvent): string {
  const op = operationOf(line)
  const operation = op === undefined ? '' : `,"o":${JSON.stringify(op)}`
  return `{"t":"ev","e":${line.epoch},"pe":${from.e},"pv":${from.v},"d":${JSON.stringify(event)}${operation}}`
}

export function writeSnapshot({ epoch, state, metadata, createdMs, level }: SessionView): string {
  return writeMessage({ t: 'snap', e: epoch, v: state.version, st: state, md: metadata, at: createdMs, lvl: level })
}

export function writeHi(at: WirePlace, principal: Principal, nowMs: number): string {
  const role = mayUse(principal, 'sessions:write') ? 'owner' : 'spectator'
  const { place, expiresMs, ...session } = principal.session ?? { role, place: undefined, expiresMs: undefined }
  return writeMessage({
    t: 'hi',
    ...at,
    r: session.role,
    s: nowMs,
    ...(place === undefined ? {} : { p: place }),
    ...(expiresMs === undefined ? {} : { x: expiresMs }),
  })
}

/** Who of the participants is there, and how many others are. */
export function writePresence(present: Iterable<{ readonly principal: Principal | undefined }>): string {
  const places = new Set<number>()
  let others = 0
  for (const { principal } of present) {
    const place = principal?.session?.place
    if (place === undefined) others++
    else places.add(place)
  }
  return writeMessage({ t: 'pres', p: [...places].sort((a, b) => a - b), n: others })
}

/** `receivedMs`, `sentMs`: server time; whole microseconds are more than a path is good for. */
export function writeProbe(i: number, c0: number, receivedMs: number, sentMs: number): string {
  return `{"t":"p","i":${i},"c0":${c0},"s1":${receivedMs.toFixed(3)},"s2":${sentMs.toFixed(3)}}`
}
