// `ripstop.v1`: events with places, commands, probes. The wire is @ripstop/protocol/sessions.
// Invariants:
//   RV3. A command is answered by one ack or nack. Its id is done once, also when it is sent again on another connection, and nobody's id
//        passes for another's.
//   RV4. A probe is answered with the server's times of its coming and going, whatever else is limited.
//   RV5. Who may not do something is refused by name: a spectator everything, a participant all but ending his own turn. `by` and `lagMs` are the
//        server's to say.

import { type Ctx, type Env, isRipstopError, RipstopError } from '@ripstop/kernel'
import { type ClientMessage, type Command, parseClientMessage, type SocketCommand } from '@ripstop/protocol/sessions'
import { mayUse, type Principal } from '#platform/http'
import type { Log } from '#platform/telemetry'
import { permitCommand, type SessionLimits, type SessionService } from '#sessions'
import type { SocketMeters } from './meters.ts'
import type { Dialect, Peer } from './peer.ts'
import type { SocketSettings } from './settings.ts'
import { operationIdOf, writeMessage, writeProbe, writeSnapshot } from './versioned-wire.ts'

type CommandMessage = Extract<ClientMessage, { t: 'cmd' }>

export interface VersionedDeps {
  readonly env: Env
  readonly log: Log
  readonly meters: SocketMeters
  readonly settings: SocketSettings
  readonly service: Pick<SessionService, 'command' | 'nowMs' | 'exactMs'>
  /** What commands derive theirs from. */
  readonly root: Ctx
  readonly limits: Pick<SessionLimits, 'command'>
}

/** After which a client may send again what was refused for the number of its messages. */
const RETRY_MS = 1_000

export function createVersionedDialect(deps: VersionedDeps): Dialect {
  const { service, meters } = deps
  return {
    isPlain: false,
    entered: () => {}, // the first word is the client's
    received: (peer, text) => {
      const receivedMs = service.exactMs()
      const message = parseClientMessage(text)
      if (message?.t === 'p') {
        if (message.u !== undefined) meters.uncertain(message.u)
        return peer.send(writeProbe(message.i, message.c0, receivedMs, service.exactMs()))
      }
      const isCounted = peer.takeMessage()
      if (message?.t === 'cmd') return isCounted ? obey(deps, peer, message) : refuseForNow(peer, message)
      if (!isCounted) {
        return peer.end({ closeCode: 1008, why: 'RATE_LIMIT_EXCEEDED', reason: 'too many messages' })
      }
      if (message?.t === 'sub') peer.room?.subscribe(peer, message.since)
      else peer.send(writeMessage({ t: 'err', code: 'BAD_REQUEST', msg: 'this is no message of ripstop.v1' }))
    },
    standing: (peer) => {
      const view = peer.room?.view
      if (view === undefined) return []
      return [writeMessage({ t: 'resync', e: view.epoch, why: 'behind' }), writeSnapshot(view)]
    },
    farewell: ({ why, retryMs }) =>
      writeMessage({ t: 'bye', code: why, ...(retryMs === undefined ? {} : { retryMs: Math.ceil(retryMs) }) }),
  }
}

function refuseForNow(peer: Peer, { op }: CommandMessage): void {
  const msg = 'too many messages on this connection'
  peer.send(writeMessage({ t: 'nack', op, code: 'RATE_LIMIT_EXCEEDED', msg, retryMs: RETRY_MS }))
}

function obey(deps: VersionedDeps, peer: Peer, message: CommandMessage): void {
  const { settings, log } = deps
  const { op } = message
  if (peer.commandsUnderWay >= settings.commandsMax) {
    const msg = `${settings.commandsMax} commands of this connection are under way`
    return peer.send(writeMessage({ t: 'nack', op, code: 'SESSION_BUSY', msg, retryMs: RETRY_MS }))
  }
  peer.commandsUnderWay++
  void run(deps, peer, message)
    .then(
      (answer) => peer.send(answer),
      (error: unknown) => {
        if (!isRipstopError(error)) log.error({ event: 'session-sockets.defect', error })
        peer.send(writeNack(op, error))
      },
    )
    .finally(() => {
      peer.commandsUnderWay--
    })
  // Whoever acts is measured while he does.
  peer.measure()
}

async function run(deps: VersionedDeps, peer: Peer, { op, c, e, v }: CommandMessage): Promise<string> {
  const { service, settings, root, limits } = deps
  // What has come in is charged from here, whatever it waits for.
  const receivedMs = service.nowMs()
  const { room, principal, address } = peer
  if (room === undefined || principal === undefined) throw new RipstopError('SESSION_NOT_FOUND', 'the session is gone')
  const { actor, session } = principal
  const command = commandOf(principal, c, peer.lagMs)
  using ctx = root.within(settings.answerMs)
  await limits.command({ principal, address }, room.ref.sessionId)
  const done = await service.command(ctx, room.ref, command, {
    receivedMs,
    actor,
    operationId: operationIdOf(session?.participantId ?? actor, op),
    ...(v === undefined ? {} : { expected: { epoch: e, version: v } }),
  })
  const { epoch, state, level } = done.session
  const repeated = done.isRepeated ? ({ rep: true } as const) : {}
  return writeMessage({ t: 'ack', op, e: epoch, v: state.version, lvl: level, ...repeated })
}

/** Throws FORBIDDEN (RV5). */
function commandOf(principal: Principal, asked: SocketCommand, lagMs: number): Command {
  if (!mayUse(principal, 'sessions:write')) throw new RipstopError('FORBIDDEN', 'this needs sessions:write')
  const command = permitCommand(principal, asked)
  return command.kind === 'switch' && command.by !== undefined ? { ...command, lagMs } : command
}

function writeNack(op: string, error: unknown): string {
  if (!isRipstopError(error)) {
    // What came of it is not known: the same id may be sent again.
    return writeMessage({ t: 'nack', op, code: 'INTERNAL', msg: 'something went wrong on our side', retryMs: RETRY_MS })
  }
  const { code, message, retry, retryAfterMs } = error
  const again = retryAfterMs ?? (retry ? RETRY_MS : undefined)
  return writeMessage({
    t: 'nack',
    op,
    code,
    msg: message,
    ...(again === undefined ? {} : { retryMs: Math.ceil(again) }),
  })
}
