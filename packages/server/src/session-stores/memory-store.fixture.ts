// The memory store: sessions of one process, for tests and for trying things out. Its data may be shared by several stores, which then are
// to each other what processes are over a database. It holds no more than `sessionsMax` sessions, deleted ones included.
// Invariants:
//   SM1. Every operation is done in one turn of the event loop, from its checks to what watchers are told.
//   SM2. At the bound nothing is forgotten: a session that has no place is refused.

import { RipstopError } from '@ripstop/kernel'
import type { LogEntry } from '#session-log'
import {
  type Commit,
  type Committed,
  type Created,
  type DueClaim,
  type DueSession,
  type FeedMessage,
  isEnded,
  type LogQuery,
  OPERATIONS_KEPT,
  type SessionRef,
  type SessionStore,
  type StoredSession,
} from './store.ts'
import { createWatchers, type Watchers } from './watchers.ts'

const SESSIONS_MAX = 10_000

interface Kept {
  readonly ref: SessionRef
  /** Undefined: it was deleted. */
  session: StoredSession | undefined
  readonly log: LogEntry[]
  readonly operations: Map<string, number>
  /** When it is next looked at; infinite: never. */
  dueMs: number
}

export interface MemoryData {
  readonly sessions: Map<string, Kept>
  readonly sessionsMax: number
  readonly watchers: Watchers
  /** The present one. */
  epoch: number
}

export function createMemoryData({ epoch = 1, sessionsMax = SESSIONS_MAX } = {}): MemoryData {
  return { sessions: new Map(), sessionsMax, watchers: createWatchers(), epoch }
}

export function createMemoryStore(data = createMemoryData()): SessionStore {
  const find = ({ tenantId, sessionId }: SessionRef) => data.sessions.get(`${tenantId}/${sessionId}`)
  return {
    level: 'accepted',
    create: async (_, session, first) => create(data, session, first),
    load: async (_, ref) => find(ref)?.session,
    commit: async (_, commit) => takeCommit(data, find(commit.to), commit),
    findOperation: async (_, ref, operationId) => find(ref)?.operations.get(operationId),
    remove: async (_, ref) => {
      const kept = find(ref)
      if (kept?.session === undefined) return false
      kept.session = undefined
      kept.dueMs = Number.POSITIVE_INFINITY
      data.watchers.tell({ kind: 'deleted', ref: kept.ref })
      return true
    },
    log: async (_, query) => readLog(find(query)?.log ?? [], query),
    claimDue: async (_, claim) => claimDue(data, claim),
    watch: (ref, listener) => data.watchers.add(ref, listener),
  }
}

function create(data: MemoryData, session: StoredSession, first: LogEntry): Created {
  const { tenantId, sessionId } = session
  const key = `${tenantId}/${sessionId}`
  if (session.epoch !== data.epoch) return { kind: 'fenced' }
  if (data.sessions.has(key)) return { kind: 'exists' }
  if (data.sessions.size >= data.sessionsMax) {
    throw new RipstopError('BACKLOG_FULL', `${data.sessionsMax} sessions are all that fit into memory`, { sent: 'no' })
  }
  const ref = { tenantId, sessionId }
  data.sessions.set(key, { ref, session, log: [first], operations: new Map(), dueMs: dueOf(session) })
  return { kind: 'created' }
}

function takeCommit(data: MemoryData, kept: Kept | undefined, { from, to, entries, operationId }: Commit): Committed {
  if (to.epoch !== data.epoch) return { kind: 'fenced' }
  if (kept?.session === undefined) return { kind: 'missing' }
  const done = operationId === undefined ? undefined : kept.operations.get(operationId)
  if (done !== undefined) return { kind: 'repeated', version: done }
  const { session: current, operations } = kept
  if (current.epoch !== from.epoch || current.version !== from.version) return { kind: 'conflict', current }
  kept.session = to
  kept.log.push(...entries)
  kept.dueMs = dueOf(to)
  if (operationId !== undefined) operations.set(operationId, to.version)
  for (const oldest of operations.keys()) {
    if (operations.size <= OPERATIONS_KEPT) break
    operations.delete(oldest)
  }
  const message: FeedMessage = { kind: 'entries', ref: kept.ref, from, entries }
  data.watchers.tell(message)
  return { kind: 'committed' }
}

function dueOf({ status, deadlineMs }: StoredSession): number {
  return isEnded(status) || deadlineMs === undefined ? Number.POSITIVE_INFINITY : deadlineMs
}

function readLog(log: readonly LogEntry[], { afterVersion, limit }: LogQuery): readonly LogEntry[] {
  const isLive = ({ epoch, version }: LogEntry): boolean =>
    !log.some((other) => other.epoch > epoch && other.version <= version)
  const after = log.filter((entry) => entry.version > afterVersion && isLive(entry))
  return after.toSorted((one, other) => one.version - other.version).slice(0, limit)
}

function claimDue({ sessions }: MemoryData, { nowMs, leaseMs, limit }: DueClaim): readonly DueSession[] {
  const due: DueSession[] = []
  for (const kept of sessions.values()) {
    if (kept.dueMs > nowMs || due.length === limit) continue
    due.push({ ...kept.ref, deadlineMs: kept.session?.deadlineMs as number })
    kept.dueMs = nowMs + leaseMs
  }
  return due
}
