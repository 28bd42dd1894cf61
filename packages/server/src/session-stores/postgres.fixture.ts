// A database with nothing in it but an epoch, for tests of what works on it.

import { Client } from 'pg'
import type { LogEntry } from '#session-log'
import { startTestMesh, type TestMesh } from '../testing/mesh.ts'
import { createTestDatabase } from '../testing/postgres.ts'
import { idOf } from './conformance-writing.fixture.ts'
import type { SessionRef, StoredSession } from './store.ts'

export const TENANTS = [idOf(101), idOf(102)] as const

export interface TestData extends AsyncDisposable {
  readonly mesh: TestMesh
  readonly url: string
  /** Forgets all sessions, and is in epoch 1. */
  readonly clear: () => Promise<void>
  readonly beginEpoch: (epoch: number) => Promise<void>
  readonly addEntries: (ref: SessionRef, entries: readonly LogEntry[]) => Promise<void>
  /** Writes what is drained from Redis: place and log, and a body as of `bodyVersion` that is not brought up. */
  readonly drain: (to: StoredSession, entries: readonly LogEntry[], body?: StoredSession) => Promise<void>
  /** A connection of its own, for transactions that stay open. */
  readonly connect: () => Promise<Client & AsyncDisposable>
}

export async function startTestData(): Promise<TestData> {
  await using starting = new AsyncDisposableStack()
  const database = starting.use(await createTestDatabase())
  const mesh = starting.use(await startTestMesh(database.url))
  const beginEpoch = async (epoch: number): Promise<void> => {
    const text = `insert into ripstop.session_epochs (epoch, mode, since_ms, until_ms, reason) values ($1, 'postgres', 0, 0, 'test')`
    await mesh.query(text, [epoch])
  }
  const addEntries: TestData['addEntries'] = async ({ tenantId, sessionId }, entries) => {
    const text = `
      insert into ripstop.session_log (tenant_id, session_id, epoch, version, hash, text)
      select $1, $2, (entry->>'epoch')::bigint, (entry->>'version')::integer, entry->>'hash', entry->>'text' from json_array_elements($3) as entry`
    await mesh.query(text, [tenantId, sessionId, JSON.stringify(entries)])
  }
  const clear = async (): Promise<void> => {
    for (const table of ['sessions', 'session_log', 'session_epochs', 'session_forks', 'outbox']) {
      await mesh.query(`delete from ripstop.${table}`)
    }
    await beginEpoch(1)
  }
  const drain: TestData['drain'] = async (to, entries, body) => {
    const text = `
      insert into ripstop.sessions (tenant_id, session_id, epoch, version, head, status, deadline_ms, due_ms, body, body_version)
      values ($1, $2, $3, $4, $5, $6, $7, $7, $8, $9)
      on conflict (tenant_id, session_id) do update set epoch = excluded.epoch, version = excluded.version, head = excluded.head,
        status = excluded.status, deadline_ms = excluded.deadline_ms, due_ms = least(sessions.due_ms, excluded.deadline_ms)`
    const place = [to.tenantId, to.sessionId, to.epoch, to.version, to.head, to.status, to.deadlineMs ?? null]
    await addEntries(to, entries)
    await mesh.query(text, [...place, body?.body ?? '', body?.version ?? 0])
  }
  const connect: TestData['connect'] = async () => {
    const client = new Client({ connectionString: database.url })
    await client.connect()
    return Object.assign(client, { [Symbol.asyncDispose]: () => client.end() })
  }
  await clear()
  const owned = starting.move()
  return {
    mesh,
    url: database.url,
    clear,
    beginEpoch,
    addEntries,
    drain,
    connect,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}
