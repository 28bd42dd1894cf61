// SQL of `why`: what of an event is kept elsewhere than with the event. It only reads.

import type { Ctx, Link } from '@ripstop/kernel'
import type { PostgresPool } from '@ripstop/kernel/postgres'
import type { Handed } from './event-explanation.ts'

type Db = Link<PostgresPool>

/** The event that a publisher gave this name to. */
export async function findNamed(
  link: Db,
  ctx: Ctx,
  tenantId: string,
  source: string,
  id: string,
): Promise<string | undefined> {
  const text = 'select event_id from ripstop.event_keys where tenant_id = $1 and source = $2 and id = $3'
  const ask = (pool: PostgresPool, ctx: Ctx) => pool.query<{ event_id: string }>(ctx, text, [tenantId, source, id])
  return (await link.call(ctx, ask, { idempotent: true })).rows[0]?.event_id
}

interface HandedRow {
  readonly created: number
  readonly rejected: number | null
  readonly code: string | null
  readonly problems: readonly { readonly field: string; readonly problem: string }[] | null
}

/**
 * What became of a row of the outbox, if it is no event. A row that waits says whose it is by a name that is not read yet: it is shown
 * to the default tenant (`isDefault`), and to whose id or name it carries.
 */
export async function findHanded(
  link: Db,
  ctx: Ctx,
  tenantId: string,
  isDefault: boolean,
  outboxId: string,
): Promise<Handed | undefined> {
  const ms = (column: string): string => `floor(extract(epoch from ${column}) * 1000)::float8`
  const text = `
    select ${ms('created_at')} as created, ${ms('rejected_at')} as rejected, code, problems from ripstop.rejected_events
    where rejected_id = $1 and (tenant_id = $2::uuid or ($3 and tenant_id is null))
    union all
    select ${ms('created_at')}, null, null, null from ripstop.outbox
    where outbox_id = $1 and (tenant = $2::text or ($3 and tenant is null))`
  const ask = (pool: PostgresPool, ctx: Ctx) => pool.query<HandedRow>(ctx, text, [outboxId, tenantId, isDefault])
  const [row] = (await link.call(ctx, ask, { idempotent: true })).rows
  if (row === undefined) return undefined
  const { created: createdWallMs, rejected: rejectedWallMs, code, problems } = row
  if (rejectedWallMs === null) return { is: 'waiting', outboxId, createdWallMs }
  return {
    is: 'rejected',
    outboxId,
    createdWallMs,
    rejectedWallMs,
    code: code ?? 'EVENT_INVALID',
    problems: problems ?? [],
  }
}
