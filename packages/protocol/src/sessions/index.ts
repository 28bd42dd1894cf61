export { chargeOf, type TurnCharge } from './accounting.ts'
export { apply } from './apply.ts'
export { type Decision, deadlineOf, decide } from './decide.ts'
export type { Command, SessionEvent } from './events.ts'
export { createLagRules } from './lag.ts'
export {
  clockOf,
  createSession,
  type ParticipantRules,
  type ParticipantState,
  SESSION_STATUSES,
  type SessionRules,
  type SessionState,
  type SessionStatus,
  SYNC_MODES,
  type SyncMode,
  TIMEOUT_ACTIONS,
} from './session.ts'
export { type Clock, shownMs, type TimeControl } from './time-control.ts'
export {
  type ClientMessage,
  parseClientMessage,
  parseServerMessage,
  SESSION_PROTOCOL,
  type ServerMessage,
  type SocketCommand,
  type SocketRole,
  TOKEN_PROTOCOL,
  type WirePlace,
} from './wire.ts'
