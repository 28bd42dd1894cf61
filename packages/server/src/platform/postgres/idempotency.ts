// Idempotency. A request that carries an Idempotency-Key is done once: the key is claimed by the very statement that has
// the effect, so a crash at any moment leaves both or neither, and no transaction is held open over the network.
//   with claimed as (insert the key, or nothing if it is there), once as (a row if claimed, or if there is no key),
//        effect as (what is to be done … from once), audited as (… from effect)
// A repetition claims nothing, so it does nothing and reads what was answered. A second request that comes while the first
// is under way waits for it inside Postgres, on the row's lock. An effect that finds nothing to do takes its claim back.
// Invariants:
//   ID1. For one tenant and key, the effect happens at most once, however many requests race, crash or are repeated.
//   ID2. A repetition gets the recorded answer; the same key with another request is refused.
//   ID3. No claim is kept without its effect.

import { type Ctx, createId, type Link, RipstopError } from '@ripstop/kernel'
import type { PostgresPool, Queryable } from '@ripstop/kernel/postgres'
import '@ripstop/protocol' // registers the codes of the edge
import { sqlStateOf } from './sql-state.ts'
import { composeStatement, type Part } from './statement.ts'

export const IDEMPOTENCY_RETENTION_MS = 86_400_000

export interface Once<Response> {
  readonly tenantId: string
  /** Undefined: the client sent none, and a repetition is a new request. */
  readonly idempotency: { readonly key: string; readonly requestSha256: Buffer } | undefined
  /** What is answered and recorded. It must not hold a secret. */
  readonly response: Response
  /** Parts that `effect` may refer to, and which may refer to `once`. */
  readonly before?: readonly Part[]
  /** Selects its rows `from once`, and gives back at least one row if it had an effect. */
  readonly effect: Omit<Part, 'name'>
  /** Further parts, which may refer to `effect`. */
  readonly also?: readonly Part[]
  readonly retentionMs?: number
}

export interface Done<Response> {
  readonly response: Response
  /** True: it was done before, and `response` is what was answered then. */
  readonly replayed: boolean
}

interface Recorded<Response> {
  readonly claim_id: string
  readonly request_sha256: Buffer
  readonly response: Response
}

/**
 * Does it once. Undefined: the effect found nothing to do, and nothing is recorded. Throws IDEMPOTENCY_KEY_REUSED, what
 * the link throws, and the server's own errors about the effect (a violated constraint).
 */
export async function runOnce<Response>(
  link: Link<PostgresPool>,
  ctx: Ctx,
  once: Once<Response>,
): Promise<Done<Response> | undefined> {
  const claimId = createId(ctx.env.clock.wallMs())
  const { text, values } = createStatement(once, claimId)
  const attempt = async (pool: PostgresPool, ctx: Ctx): Promise<Done<Response> | undefined> => {
    const effects = await countEffects(pool, ctx, text, values)
    if (effects > 0) return { response: once.response, replayed: false }
    if (once.idempotency === undefined) return undefined
    return readRecorded(pool, ctx, once, claimId)
  }
  return link.call(ctx, attempt, { idempotent: once.idempotency !== undefined })
}

function createStatement<Response>(once: Once<Response>, claimId: string) {
  const { tenantId, idempotency, response, effect, before = [], also = [] } = once
  const { retentionMs = IDEMPOTENCY_RETENTION_MS } = once
  const claimed: Part = {
    name: 'claimed',
    text: `
      insert into ripstop.idempotency as held
        (tenant_id, idempotency_key, claim_id, request_sha256, response, expires_at)
      select $1::uuid, $2::text, $3::uuid, $4::bytea, $5::json, now() + $6::float8 * interval '1 ms'
      where $2::text is not null
      on conflict (tenant_id, idempotency_key) do update
        set claim_id = excluded.claim_id, request_sha256 = excluded.request_sha256, response = excluded.response,
            created_at = now(), expires_at = excluded.expires_at
        where held.expires_at <= now()
      returning 1`,
    values: [
      tenantId,
      idempotency?.key ?? null,
      claimId,
      idempotency?.requestSha256 ?? null,
      JSON.stringify(response),
      retentionMs,
    ],
  }
  const gate: Part = {
    name: 'once',
    text: 'select 1 from claimed union all select 1 where $1::boolean',
    values: [idempotency === undefined],
  }
  const main = `
    select case when exists (select from claimed) and not exists (select from effect) then ripstop.take_back_claim()
                else (select count(*)::integer from effect) end as effects`
  return composeStatement([claimed, gate, ...before, { name: 'effect', ...effect }, ...also], main)
}

async function countEffects(pool: Queryable, ctx: Ctx, text: string, values: readonly unknown[]): Promise<number> {
  try {
    const { rows } = await pool.query<{ effects: number }>(ctx, text, values)
    return rows[0]?.effects ?? 0
  } catch (error) {
    if (sqlStateOf(error) === 'RS001') return 0
    throw error
  }
}

async function readRecorded<Response>(
  pool: Queryable,
  ctx: Ctx,
  { tenantId, idempotency, response }: Once<Response>,
  claimId: string,
): Promise<Done<Response> | undefined> {
  const { rows } = await pool.query<Recorded<Response>>(
    ctx,
    `select claim_id, request_sha256, response from ripstop.idempotency
     where tenant_id = $1 and idempotency_key = $2 and expires_at > now()`,
    [tenantId, idempotency?.key],
  )
  const [recorded] = rows
  if (recorded === undefined) return undefined
  if (idempotency?.requestSha256.equals(recorded.request_sha256) !== true) {
    throw new RipstopError('IDEMPOTENCY_KEY_REUSED', 'this Idempotency-Key was used for another request')
  }
  // Ours: the link did it, lost the answer and tried again. The client has seen no answer yet.
  if (recorded.claim_id === claimId) return { response, replayed: false }
  return { response: recorded.response, replayed: true }
}

/** Deletes at most `batch` records whose time is over; a row for each. For the holder of a lease. */
export function expireIdempotency(batch: number): Omit<Part, 'name'> {
  const text = `
    delete from ripstop.idempotency where ctid = any (array(
      select ctid from ripstop.idempotency
      where expires_at <= now() and exists (select from held) order by expires_at limit $1 for update skip locked))
    returning 1 as deleted`
  return { text, values: [batch] }
}
