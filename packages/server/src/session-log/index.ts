export {
  type CreatedEvent,
  createEntry,
  hashOf,
  type LogEntry,
  type LogLine,
  NO_HEAD,
  readLine,
} from './chain.ts'
export { decodeBody, encodeBody, type SessionBody } from './session-body.ts'
