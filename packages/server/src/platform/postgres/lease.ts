// Leases. A job of the whole mesh belongs to whoever holds its lease; every claim raises the epoch, and every statement of
// the holder names the epoch that it claimed with, so a process paused past its lease loses its writes.
// Times are the database's: clocks of processes may jump.
// Invariants:
//   LS1. At most one holder of a lease at a time, and epochs only rise.
//   LS2. A statement that names an older epoch, or a lease that is over, changes nothing; a claim waits for a statement
//        that is under way with the epoch before.

import { background, type Ctx, type Link } from '@ripstop/kernel'
import type { PostgresPool } from '@ripstop/kernel/postgres'
import { composeStatement, type Part } from './statement.ts'

const RELEASE_MS = 1_000

export interface LeaseTerms {
  readonly name: string
  /** Of this process, a UUID. */
  readonly owner: string
  readonly leaseMs: number
}

/** What the holder of a lease may do. */
export interface Held {
  /** Runs `part`, which selects its work `from held` too; undefined: the lease was lost, and nothing was changed. */
  readonly run: <Row>(ctx: Ctx, part: Omit<Part, 'name'>) => Promise<readonly Row[] | undefined>
  /** The part `held`, for a statement of the holder's own: it has a row while the lease is held. */
  readonly fence: Part
}

/**
 * Does `work` if the lease is free, over, or ours already; undefined if another holds it. The lease is let go afterwards,
 * whatever came of it; if that fails it runs out by itself. Throws what `work` and the link throw.
 */
export async function withLease<T>(
  link: Link<PostgresPool>,
  ctx: Ctx,
  terms: LeaseTerms,
  work: (held: Held) => Promise<T>,
): Promise<T | undefined> {
  const epoch = await claim(link, ctx, terms)
  if (epoch === undefined) return undefined
  try {
    const fence = fenceOf(terms.name, epoch)
    return await work({ fence, run: (ctx, part) => runHeld(link, ctx, fence, part) })
  } finally {
    // In time of its own: a holder that is told to stop lets go, too.
    using limit = background(ctx.env).within(RELEASE_MS)
    await release(link, limit, terms.name, epoch).catch(() => undefined) // it runs out by itself
  }
}

async function claim(
  link: Link<PostgresPool>,
  ctx: Ctx,
  { name, owner, leaseMs }: LeaseTerms,
): Promise<string | undefined> {
  const text = `
    insert into ripstop.leases as lease (name, owner, epoch, expires_at)
    values ($1, $2, 1, now() + $3::float8 * interval '1 ms')
    on conflict (name) do update
      set owner = excluded.owner, epoch = lease.epoch + 1, expires_at = excluded.expires_at
      where lease.expires_at <= now() or lease.owner = excluded.owner
    returning epoch`
  const values = [name, owner, leaseMs]
  const ask = (pool: PostgresPool, ctx: Ctx) => pool.query<{ epoch: string }>(ctx, text, values)
  const { rows } = await link.call(ctx, ask, { idempotent: true })
  return rows[0]?.epoch
}

async function release(link: Link<PostgresPool>, ctx: Ctx, name: string, epoch: string): Promise<void> {
  const text = 'update ripstop.leases set expires_at = now() where name = $1 and epoch = $2 and expires_at > now()'
  await link.call(ctx, (pool, ctx) => pool.query(ctx, text, [name, epoch]), { idempotent: true })
}

/** The row is locked while the statement runs, so that a claim in this moment waits for it (LS2). */
function fenceOf(name: string, epoch: string): Part {
  return {
    name: 'held',
    text: 'select 1 from ripstop.leases where name = $1 and epoch = $2::bigint and expires_at > now() for share',
    values: [name, epoch],
  }
}

async function runHeld<Row>(
  link: Link<PostgresPool>,
  ctx: Ctx,
  held: Part,
  part: Omit<Part, 'name'>,
): Promise<readonly Row[] | undefined> {
  const main = `select exists (select from held) as held, (select coalesce(json_agg(work), '[]') from work) as rows`
  const { text, values } = composeStatement([held, { name: 'work', ...part }], main)
  const { rows } = await link.call(ctx, (pool, ctx) =>
    pool.query<{ held: boolean; rows: readonly Row[] }>(ctx, text, values),
  )
  return rows[0]?.held === true ? rows[0].rows : undefined
}
