// SyncKairos's protocol, for clients that ask for no subprotocol: whole states, no places. Its messages are those of SyncKairos 2.0, its reconnection
// that of its design review (issue 5), which put the state under `payload.full_state`; both are there.
// Invariants:
//   WC1. A client of SyncKairos gets CONNECTED first, STATE_UPDATE for every change, STATE_SYNC and RECONNECT_ACK for RECONNECT, PONG for PING, and
//        SESSION_DELETED at the end of its session.
//   WC2. What it sends and nobody understands is answered by ERROR; more than its messages a minute by 1008. PING is not counted.

import { type SessionView, toSessionWire } from '#sessions'
import type { Dialect, Ending, Peer } from './peer.ts'

export interface PlainDeps {
  readonly nowMs: () => number
}

/** With the text that tells of a change, which is shared by all clients of a session. */
export interface PlainDialect extends Dialect {
  readonly update: (view: SessionView) => string
}

export function createPlainDialect({ nowMs }: PlainDeps): PlainDialect {
  const update = (view: SessionView): string => {
    const timestamp = nowMs()
    const { sessionId } = view.ref
    return JSON.stringify({ type: 'STATE_UPDATE', sessionId, timestamp, state: toSessionWire(view, timestamp) })
  }
  const sync = (peer: Peer): void => {
    const view = peer.room?.view
    if (view === undefined) return
    const timestamp = nowMs()
    const { sessionId } = view.ref
    const state = toSessionWire(view, timestamp)
    const { version } = view.state
    const payload = { session_id: sessionId, full_state: state, version, server_time_ms: timestamp }
    peer.send(JSON.stringify({ type: 'STATE_SYNC', sessionId, timestamp, state, payload }))
    peer.send(JSON.stringify({ type: 'RECONNECT_ACK', success: true, message: 'Reconnected successfully', timestamp }))
  }
  return {
    isPlain: true,
    update,
    entered: (peer) => {
      peer.send(JSON.stringify({ type: 'CONNECTED', sessionId: peer.room?.ref.sessionId, timestamp: nowMs() }))
      peer.goLive([])
    },
    received: (peer, text) => {
      const type = typeOf(text)
      if (type === 'PING') return peer.send(`{"type":"PONG","timestamp":${nowMs()}}`)
      if (!peer.takeMessage()) {
        return peer.end({ closeCode: 1008, why: 'RATE_LIMIT_EXCEEDED', reason: 'Too many messages' })
      }
      if (type === 'RECONNECT') return sync(peer)
      peer.send(writeError('BAD_REQUEST', 'the message must be JSON of type PING or RECONNECT'))
    },
    standing: (peer) => (peer.room === undefined ? [] : [update(peer.room.view)]),
    farewell: (ending) => writeFarewell(ending, nowMs()),
  }
}

function writeFarewell({ closeCode, why, reason, sessionId }: Ending, timestamp: number): string | undefined {
  if (closeCode === 1000) return JSON.stringify({ type: 'SESSION_DELETED', sessionId, timestamp })
  return closeCode === 1008 ? writeError(why, reason ?? why) : undefined
}

function writeError(code: string, message: string): string {
  return JSON.stringify({ type: 'ERROR', code, message })
}

function typeOf(text: string): unknown {
  try {
    const message: unknown = JSON.parse(text)
    return typeof message === 'object' && message !== null && 'type' in message ? message.type : undefined
  } catch {
    return undefined // no JSON
  }
}
