// Replica. The session as this client knows it for certain: what the server told, by the reducer that the server has. Pure.
// Invariants:
//   SC5. An event is applied only to the state that it continues; after a gap the rest is asked for, and nothing is guessed.
//   SC6. The same event, told twice, happens once.

import { apply, type ServerMessage, type SessionEvent, type SessionState } from '@ripstop/protocol/sessions'

export interface Place {
  readonly epoch: number
  readonly version: number
}

export interface Known {
  readonly place: Place
  readonly state: SessionState
  readonly metadata: Readonly<Record<string, unknown>>
  readonly createdMs: number
}

export interface Replica {
  readonly known: Known | undefined
  /** What it knows is no more the session's past; shown until there is something better. */
  readonly isVoid: boolean
  /** Asked for the rest after a gap; until it is answered, events say nothing. */
  readonly isAsking: boolean
}

export const EMPTY_REPLICA: Replica = { known: undefined, isVoid: true, isAsking: false }

type Told = Extract<ServerMessage, { t: 'hi' | 'snap' | 'ev' | 'resync' }>

export interface Received {
  readonly replica: Replica
  /** Say `sub`, with the place that the replica is at, and set `isAsking`. */
  readonly mustAsk: boolean
}

export function receive(replica: Replica, message: Told): Received {
  switch (message.t) {
    case 'hi':
      return { replica: { ...replica, isAsking: false }, mustAsk: false }
    case 'resync':
      return { replica: { ...replica, isVoid: true }, mustAsk: false }
    case 'snap':
      return { replica: receiveSnapshot(replica, message), mustAsk: false }
    case 'ev':
      return receiveEvent(replica, message)
    default:
      return message satisfies never
  }
}

/** Where to go on from; undefined: from nothing. */
export function placeOf({ known, isVoid }: Replica): Place | undefined {
  return isVoid ? undefined : known?.place
}

/** Is `place` reached, or left behind? */
export function hasReached(replica: Replica, { epoch, version }: Place): boolean {
  const place = placeOf(replica)
  return place !== undefined && (place.epoch > epoch || (place.epoch === epoch && place.version >= version))
}

function receiveSnapshot(replica: Replica, message: Extract<Told, { t: 'snap' }>): Replica {
  const { e: epoch, v: version, st: state, md: metadata, at: createdMs } = message
  // One that was under way when newer events came.
  if (hasReached(replica, { epoch, version })) return replica
  return { known: { place: { epoch, version }, state, metadata, createdMs }, isVoid: false, isAsking: false }
}

function receiveEvent(replica: Replica, { e: epoch, pe, pv, d: event }: Extract<Told, { t: 'ev' }>): Received {
  const { known } = replica
  const isOld = hasReached(replica, { epoch, version: event.version })
  // Without anything known a snapshot is on its way.
  if (isOld || replica.isVoid || replica.isAsking || known === undefined) return { replica, mustAsk: false }
  const { place, state } = known
  if (place.epoch !== pe || place.version !== pv) return { replica, mustAsk: true }
  const next = tryApply(state, event)
  // An event of a later version of the protocol: only a snapshot can tell what it did.
  if (next === undefined) return { replica: { ...replica, isVoid: true }, mustAsk: true }
  return {
    replica: { ...replica, known: { ...known, place: { epoch, version: event.version }, state: next } },
    mustAsk: false,
  }
}

function tryApply(state: SessionState, event: SessionEvent): SessionState | undefined {
  try {
    const next = apply(state, event)
    return next.rules === state.rules ? next : undefined
  } catch {
    return undefined // an event that this version can't read
  }
}
