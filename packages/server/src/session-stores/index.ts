export type { Authority, Outage, Term } from './authority.ts'
export { type CreatedEvent, createEntry, hashOf, type LogLine, NO_HEAD, readLine } from './chain.ts'
export type { SessionBody } from './session-body.ts'
export type { AckLevel, Commit, FeedMessage, LogEntry, SessionRef, SessionStore, StoredSession } from './store.ts'
