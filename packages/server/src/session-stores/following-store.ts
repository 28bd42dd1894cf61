// SQL of following the log: what other processes wrote. Rows are found by the snapshots in which they became visible, as in delivery/store.ts,
// so that none is missed in whatever order transactions commit.

import type { Ctx, Link } from '@ripstop/kernel'
import type { PostgresPool } from '@ripstop/kernel/postgres'
import { read, toEntry } from './body-store.ts'
import type { FeedMessage } from './store.ts'

type Db = Link<PostgresPool>

interface Row {
  readonly snapshot: string
  readonly tenant_id: string
  readonly session_id: string
  readonly epoch: number
  readonly version: number
  readonly hash: string
  readonly text: string
  readonly xid: string
  /** Of the entry before it; null: there is none. */
  readonly from_epoch: number | null
}

/** Of the session of `l`, the entry before it: mostly of the same epoch, and else found within a few steps back through the key. */
const FROM_EPOCH = `
  (select p.epoch from ripstop.session_log p
   where p.tenant_id = l.tenant_id and p.session_id = l.session_id and p.epoch <= l.epoch and p.version = l.version - 1 and p.version > 0
   order by p.epoch desc limit 1)`

export interface Fresh {
  readonly snapshot: string
  readonly messages: readonly FeedMessage[]
  /** There was more than `most` rows. */
  readonly isCut: boolean
}

/** What became visible after the snapshot `since`, commit by commit; of the sessions `ids`, or of all. */
export async function readFresh(
  link: Db,
  ctx: Ctx,
  since: string,
  ids: readonly string[] | undefined,
  most: number,
): Promise<Fresh> {
  const columns = 'l.tenant_id, l.session_id, l.epoch, l.version, l.hash, l.text, l.xid'
  const ours = '($2::uuid[] is null or l.session_id = any ($2::uuid[]))'
  const text = `
    select pg_current_snapshot()::text as snapshot, l.tenant_id, l.session_id, l.epoch::float8 as epoch, l.version, l.hash, l.text,
      l.xid::text as xid, ${FROM_EPOCH}::float8 as from_epoch
    from (values (1)) as one left join (
      select ${columns} from ripstop.session_log l
      where l.xid >= pg_snapshot_xmax($1::pg_snapshot) and l.xid < pg_snapshot_xmax(pg_current_snapshot()) and ${ours}
      union all
      select late.* from pg_snapshot_xip($1::pg_snapshot) as was(xid) cross join lateral (
        -- The limit keeps it a probe of the index for each: joined otherwise the whole table would be read.
        select ${columns} from ripstop.session_log l where l.xid = was.xid and ${ours} limit $3) as late
      limit $3) as l on true`
  const rows = await read<Row>(link, ctx, text, [since, ids ?? null, most + 1])
  const fresh = rows.filter(({ session_id }) => session_id !== null)
  const snapshot = rows[0]?.snapshot ?? since
  return { snapshot, messages: toMessages(fresh), isCut: fresh.length > most }
}

function toMessages(rows: readonly Row[]): readonly FeedMessage[] {
  const commits = Map.groupBy(rows, ({ tenant_id, session_id, xid }) => `${xid} ${tenant_id} ${session_id}`)
  const messages = Array.from(commits.values(), (commit): { readonly at: Row; readonly message: FeedMessage } => {
    const ordered = commit.toSorted((one, other) => one.epoch - other.epoch || one.version - other.version)
    const [at] = ordered as [Row]
    const ref = { tenantId: at.tenant_id, sessionId: at.session_id }
    if (at.version === 0) return { at, message: { kind: 'deleted', ref } }
    const from = { epoch: at.from_epoch ?? at.epoch, version: at.version - 1 }
    return { at, message: { kind: 'entries', ref, from, entries: ordered.map(toEntry) } }
  })
  // Deletion comes last, whatever its row says.
  const rank = ({ at }: { readonly at: Row }): number => (at.version === 0 ? Number.POSITIVE_INFINITY : at.version)
  return messages
    .toSorted((one, other) => one.at.epoch - other.at.epoch || rank(one) - rank(other))
    .map(({ message }) => message)
}

/** The snapshot to begin with. */
export async function readSnapshot(link: Db, ctx: Ctx): Promise<string> {
  const rows = await read<{ snapshot: string }>(link, ctx, 'select pg_current_snapshot()::text as snapshot', [])
  return (rows[0] as { snapshot: string }).snapshot
}
