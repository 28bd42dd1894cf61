// An inbox in the receiver's own Postgres. The id is inserted by the transaction that has the effect: a crash at any moment
// leaves both or neither, and a second delivery that comes while the first is under way waits for it on the row. With two
// effects of one webhook in two places each needs a source of its own.
// The driver is the receiver's: anything with node-postgres' Pool shape.
// Invariants:
//   SK9. For one source and id the effect is committed at most once, however many processes race, fail or are killed.
//   SK10. A webhook whose effect failed leaves nothing behind: its repetition is applied.

import type { Inbox } from './inbox.ts'
import type { Receipt } from './receipt.ts'
import { WebhookError } from './webhook-error.ts'

/** What is used of a node-postgres PoolClient. */
export interface PostgresClient {
  query(text: string, values?: unknown[]): Promise<{ readonly rowCount: number | null }>
  release(error?: boolean): void
  on?(event: 'error', listener: () => void): unknown
  off?(event: 'error', listener: () => void): unknown
}

/** What is used of a node-postgres Pool. */
export interface PostgresClients<Client extends PostgresClient> {
  connect(): Promise<Client>
  connect(callback: (...given: never[]) => void): void
}

export interface PostgresInboxOptions {
  /** [webhook_inbox] */
  readonly table?: string
  /** Names the effect: the same webhook is applied once for each source. */
  readonly source: string
  /** How long a duplicate waits for the first that is under way, and an effect for any lock, before it fails [10 s]. */
  readonly waitMsMax?: number
  /** After how long in which the effect asks nothing of the database its transaction is given up [60 s]. */
  readonly idleMsMax?: number
}

export interface PostgresInbox<Client> extends Inbox<Client> {
  /** Makes the table if it is not there. Several at once are fine. */
  readonly createTable: () => Promise<void>
  /**
   * Deletes at most `most` ids that came longer ago than `olderThanMs`, and gives how many. What is forgotten would be applied
   * again: it must be longer than senders repeat and replay, for a mesh longer than its retention of events.
   */
  readonly forget: (olderThanMs: number, most?: number) => Promise<number>
}

const TABLE = /^(?:[a-z_][a-z0-9_]{0,57}\.)?[a-z_][a-z0-9_]{0,57}$/

/** The DDL, for your own migrations. Throws INBOX_INVALID for a name that would need quotes. */
export function createInboxDdl(table = 'webhook_inbox'): string {
  if (!TABLE.test(table))
    throw new WebhookError('INBOX_INVALID', 'table must be a plain name of at most 58 characters, or schema.name')
  return `create table if not exists ${table} (
  source text not null,
  id text not null,
  received_at timestamptz not null default now(),
  primary key (source, id)
);
create index if not exists ${table.slice(table.indexOf('.') + 1)}_age on ${table} (received_at);`
}

export function createPostgresInbox<Client extends PostgresClient>(
  pool: PostgresClients<Client>,
  { table = 'webhook_inbox', source, waitMsMax = 10_000, idleMsMax = 60_000 }: PostgresInboxOptions,
): PostgresInbox<Client> {
  const ddl = createInboxDdl(table)
  const begin = `begin; set local lock_timeout = ${wholeMs(waitMsMax)};
    set local idle_in_transaction_session_timeout = ${wholeMs(idleMsMax)}; savepoint receive_once`
  const insert = `insert into ${table} (source, id) values ($1, $2) on conflict do nothing`
  // The savepoint is gone if the effect swallowed an error of the database (commit would roll back, and say so to nobody) or
  // ended the transaction by itself: then this fails, and nothing is acknowledged.
  const commit = 'release savepoint receive_once; commit'
  return {
    once: (id, effect) =>
      withClient(pool, async (client): Promise<Receipt> => {
        await client.query(begin)
        const { rowCount } = await client.query(insert, [source, id])
        if (rowCount === 1) await effect(client)
        await client.query(commit)
        return rowCount === 1 ? 'applied' : 'duplicate'
      }),
    createTable: () =>
      withClient(pool, async (client) => {
        // One implicit transaction: two that make the same table at once would fail in the catalog.
        await client.query(`select pg_advisory_xact_lock(hashtext('${table}')); ${ddl}`)
      }),
    forget: (olderThanMs, most = 10_000) =>
      withClient(pool, async (client) => {
        const text = `delete from ${table} where ctid = any (array(
          select ctid from ${table} where source = $1 and received_at < now() - $2::float8 * interval '1 ms'
          order by received_at limit $3))`
        const { rowCount } = await client.query(text, [source, olderThanMs, most])
        return rowCount ?? 0
      }),
  }
}

function wholeMs(ms: number): number {
  if (!(ms >= 1 && ms <= 2_147_483_647)) throw new WebhookError('INBOX_INVALID', 'a time is out of its range')
  return Math.round(ms)
}

/** A client that failed is not used again: nobody knows what its transaction holds. */
async function withClient<Client extends PostgresClient, T>(
  pool: PostgresClients<Client>,
  use: (client: Client) => Promise<T>,
): Promise<T> {
  const client = await pool.connect()
  // node-postgres tells of a connection that breaks while it is ours by an event too, which nobody else would hear.
  const heard = (): void => {}
  client.on?.('error', heard)
  let isSound = false
  try {
    const result = await use(client)
    isSound = true
    return result
  } finally {
    client.off?.('error', heard)
    client.release(!isSound)
  }
}
