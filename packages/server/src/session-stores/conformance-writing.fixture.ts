// What the conformance suite works on: an empty store, and sessions whose bodies mean nothing, with logs that are real chains.

import type { Ctx } from '@ripstop/kernel'
import { createEntry, hashOf, type LogEntry, NO_HEAD, readLine } from '#session-log'
import type { Commit, SessionRef, SessionStore, StoredSession } from './store.ts'

export interface OpenedStore extends AsyncDisposable {
  readonly ctx: Ctx
  /** Over no data at all, in epoch 1. */
  readonly store: SessionStore
  /** Over the same data, as another process has it. */
  readonly other: SessionStore
  /** Two that exist. */
  readonly tenants: readonly [string, string]
  /** Begins a later epoch, for both. */
  readonly setEpoch: (epoch: number) => Promise<void>
  /** Puts entries into the log as an authority that was superseded left them; undefined: with this store there can't be any. */
  readonly addEntries: ((ref: SessionRef, entries: readonly LogEntry[]) => Promise<void>) | undefined
}

/** Text that a store may not change: quotes, escapes, commas, what JSON writes with more than one byte. */
const ODD = 'a "quoted" \\ \\\\ {x,"y"} \u2028 é \u{1f3c1} $1 NULL \t\r\n <&>'

/** A UUID for small numbers. */
export function idOf(number: number): string {
  return `5e5510a5-0000-7000-8000-${number.toString(16).padStart(12, '0')}`
}

export function createFirst(
  { tenantId, sessionId }: SessionRef,
  as: Partial<StoredSession> = {},
): { session: StoredSession; first: LogEntry } {
  const epoch = as.epoch ?? 1
  const event = { kind: 'adjusted', version: 1, atMs: 1, place: 0, byMs: 0, reason: `first ${ODD} ${as.body}` } as const
  const first = createEntry(NO_HEAD, { epoch, event, actor: 'open', decidedMs: 1 })
  const session: StoredSession = {
    tenantId,
    sessionId,
    epoch,
    version: 1,
    head: first.hash,
    body: JSON.stringify({ b: ODD, a: [1, 2.5, null], '': {} }),
    status: 'pending',
    deadlineMs: undefined,
    ...as,
  }
  return { session, first }
}

export interface NextOptions {
  readonly epoch?: number
  readonly entries?: number
  readonly note?: string
  readonly operationId?: string
  readonly status?: StoredSession['status']
  readonly deadlineMs?: number | undefined
  readonly publish?: string
}

/** A commit that goes on from `from`; its last entry carries `note`. */
export function createNext(from: StoredSession, options: NextOptions = {}): Commit {
  const { epoch = from.epoch, entries = 1, note = '', operationId } = options
  const made: LogEntry[] = []
  for (let index = 1; index <= entries; index++) {
    const isLast = index === entries
    const version = from.version + index
    const event = { kind: 'adjusted', version, atMs: version, place: 0, byMs: 1 } as const
    const reason = `note ${note} ${isLast ? 'last' : 'before'}`
    const line = { epoch, event: { ...event, reason }, actor: `key:${ODD}`, decidedMs: version }
    const said = operationId === undefined || !isLast ? line : { ...line, operationId }
    made.push(createEntry(made.at(-1)?.hash ?? from.head, said, isLast ? options.publish : undefined))
  }
  const to: StoredSession = {
    ...from,
    epoch,
    version: from.version + entries,
    head: made.at(-1)?.hash as string,
    body: JSON.stringify({ note, odd: ODD, version: from.version + entries }),
    status: options.status ?? from.status,
    deadlineMs: 'deadlineMs' in options ? options.deadlineMs : from.deadlineMs,
  }
  return { from: { epoch: from.epoch, version: from.version }, to, entries: made, operationId }
}

/** The hash of the last entry, if every one follows from the one before it. */
export function verifyChain(log: readonly LogEntry[], from = NO_HEAD): string | undefined {
  let head = from
  for (const entry of log) {
    const line = readLine(entry)
    const isWhole = hashOf(head, entry.text) === entry.hash && line.epoch === entry.epoch
    if (!isWhole || line.event.version !== entry.version) return undefined
    head = entry.hash
  }
  return head
}

/** Creates a session and says how it stands. */
export async function created(
  { store, ctx, tenants }: OpenedStore,
  sessionId: string,
  as: Partial<StoredSession> = {},
): Promise<StoredSession> {
  const { session, first } = createFirst({ tenantId: tenants[0], sessionId }, as)
  const { kind } = await store.create(ctx, session, first)
  if (kind !== 'created') throw new Error(`a new session is ${kind}`)
  return session
}

export function wholeLog(store: SessionStore, ctx: Ctx, ref: SessionRef): Promise<readonly LogEntry[]> {
  const { tenantId, sessionId } = ref
  return store.log(ctx, { tenantId, sessionId, afterVersion: 0, limit: 10_000 })
}
