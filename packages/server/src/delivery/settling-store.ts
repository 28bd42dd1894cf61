// How deliveries end: what became of a batch, in one statement that counts only for shards that are still held.
// It may be sent again when nobody knows whether it was done: a delivery that is gone, or that has another count of attempts, is
// settled already.
// Invariants:
//   DC3. A batch that names an older epoch of a shard settles nothing of it.
//   DC4. A delivery ends or is scheduled anew together with the line of its attempt and all parts of its kind, once.

import type { Ctx, Link } from '@ripstop/kernel'
import type { PostgresPool } from '@ripstop/kernel/postgres'
import { composeStatement, type Part } from '#platform/postgres'
import type { Answer, Delivery } from './kind.ts'
import type { DeadReason } from './schedule.ts'
import { heldPart, type ShardEpoch } from './shard-store.ts'

const RESPONSE_BYTES_MAX = 4_096
const REASON_CHARS_MAX = 500

/** What became of an attempt. */
export interface Ending {
  readonly delivery: Delivery
  readonly kind: string
  readonly shard: number
  readonly epoch: number
  readonly answer: Answer
  readonly attemptId: string
  readonly dueInMs: number | undefined
  readonly dead: DeadReason | undefined
  /** Nothing was sent, so there is no attempt to tell of: its message or its target is gone. */
  readonly isUnsent: boolean
}

export interface SettleResult {
  /** The shards that are still held. */
  readonly held: readonly number[]
  /** What this very statement settled; the others of held shards were settled before. */
  readonly settled: readonly number[]
  /** When it was done, on the database's clock. */
  readonly now_us: number
}

export function settleStatement(workerId: string, endings: readonly Ending[], also: readonly Part[]) {
  const epochs = new Map<number, ShardEpoch>()
  for (const { shard, epoch } of endings) epochs.set(shard, { shard, epoch })
  const parts = [heldPart(workerId, [...epochs.values()]), resultPart(endings), ...EFFECTS, ...also]
  const main = `
    select (select coalesce(array_agg(shard), '{}') from held) as held,
      (select coalesce(array_agg(delivery_id::float8), '{}') from settled) as settled,
      round(date_part('epoch', now()) * 1e6) as now_us`
  return composeStatement(parts, main)
}

/** `points`, for tests, runs between the sending of the statement and its answer. */
export async function settle(
  link: Link<PostgresPool>,
  ctx: Ctx,
  statement: { readonly text: string; readonly values: readonly unknown[] },
  points?: () => Promise<void> | void,
): Promise<SettleResult> {
  const run = async (pool: PostgresPool, ctx: Ctx): Promise<SettleResult> => {
    const asked = pool.query<SettleResult>(ctx, statement.text, statement.values)
    if (points !== undefined) await points()
    return (await asked).rows[0] as SettleResult
  }
  return link.call(ctx, run, { idempotent: true })
}

function resultPart(endings: readonly Ending[]): Part {
  const text = `
    select * from unnest($1::bigint[], $2::smallint[], $3::smallint[], $4::float8[], $5::text[], $6::uuid[], $7::text[], $8::smallint[],
      $9::text[], $10::text[], $11::integer[], $12::bytea[], $13::text[], $14::boolean[], $15::boolean[])
      as result (delivery_id, shard, attempts, due_in_ms, dead, attempt_id, outcome, status, code, reason, duration_ms, response, receipt,
        may_repeat, is_unsent)
    where result.shard in (select shard from held)`
  const answers = endings.map(({ answer }) => answer)
  return {
    name: 'result',
    text,
    values: [
      endings.map(({ delivery }) => delivery.deliveryId),
      endings.map(({ shard }) => shard),
      endings.map(({ delivery }) => delivery.attempt - 1),
      endings.map(({ dueInMs }) => dueInMs ?? null),
      endings.map(({ dead }) => dead ?? null),
      endings.map(({ attemptId }) => attemptId),
      answers.map(({ outcome }) => outcome),
      answers.map(({ status }) => status ?? null),
      answers.map(({ code }) => code ?? null),
      answers.map(({ reason }) => textOf(reason)),
      answers.map(({ durationMs }) => Math.max(0, Math.round(durationMs))),
      answers.map(({ response }) => bytesOf(response)),
      answers.map(({ receipt }) => receipt ?? null),
      endings.map(({ delivery }) => delivery.mayRepeat),
      endings.map(({ isUnsent }) => isUnsent),
    ],
  }
}

function textOf(reason: string | undefined): string | null {
  return reason === undefined ? null : reason.replaceAll('\0', '').slice(0, REASON_CHARS_MAX)
}

function bytesOf(response: Uint8Array | undefined): Buffer | null {
  if (response === undefined || response.length === 0) return null
  return Buffer.from(response.buffer, response.byteOffset, Math.min(response.length, RESPONSE_BYTES_MAX))
}

const ROW = 'd.delivery_id, d.tenant_id, d.kind, d.target_id, d.message_id, d.attempts, d.replay_id'

const EFFECTS: readonly Part[] = [
  {
    name: 'ended',
    text: `
    delete from ripstop.deliveries d using result
    where d.delivery_id = result.delivery_id and d.attempts = result.attempts and result.due_in_ms is null
    returning ${ROW}, d.lane, d.shard, d.key_hash, d.bytes`,
    values: [],
  },
  {
    name: 'deferred_again',
    text: `
    update ripstop.deliveries d set attempts = d.attempts + 1, due_at = now() + result.due_in_ms * interval '1 ms' from result
    where d.delivery_id = result.delivery_id and d.attempts = result.attempts and result.due_in_ms is not null
    returning d.delivery_id, d.tenant_id, d.kind, d.target_id, d.message_id, d.attempts - 1 as attempts, d.replay_id, d.due_at`,
    values: [],
  },
  {
    name: 'settled',
    text: `
    select delivery_id, tenant_id, kind, target_id, message_id, attempts, replay_id, null::timestamptz as due_at from ended
    union all
    select delivery_id, tenant_id, kind, target_id, message_id, attempts, replay_id, due_at from deferred_again`,
    values: [],
  },
  {
    name: 'died',
    text: `
    insert into ripstop.dead_letters
      (delivery_id, tenant_id, kind, target_id, lane, shard, key_hash, message_id, bytes, attempts, replay_id, reason, code, status)
    select d.delivery_id, d.tenant_id, d.kind, d.target_id, d.lane, d.shard, d.key_hash, d.message_id, d.bytes,
      d.attempts + case when result.is_unsent then 0 else 1 end, d.replay_id, result.dead, result.code, result.status
    from ended d join result on result.delivery_id = d.delivery_id
    where result.dead is not null
    returning 1`,
    values: [],
  },
  {
    name: 'attempted',
    text: `
    insert into ripstop.attempts
      (attempt_id, delivery_id, tenant_id, kind, target_id, message_id, n, outcome, status, code, reason, duration_ms, response, receipt,
       may_repeat, replay_id, next_due_at)
    select result.attempt_id, d.delivery_id, d.tenant_id, d.kind, d.target_id, d.message_id, d.attempts + 1, result.outcome, result.status,
      result.code, result.reason, result.duration_ms, result.response, result.receipt, result.may_repeat, d.replay_id, d.due_at
    from settled d join result on result.delivery_id = d.delivery_id
    where not result.is_unsent
    returning 1`,
    values: [],
  },
]

/**
 * Makes dead letters of at most `most` deliveries of a lane that were due more than `overdueMs` ago, while its shard is held. Resolves
 * with how many; undefined: the shard is not held any more.
 */
export async function bury(
  link: Link<PostgresPool>,
  ctx: Ctx,
  workerId: string,
  lane: { readonly targetId: string; readonly lane: number } & ShardEpoch,
  reason: DeadReason,
  overdueMs: number,
  most: number,
): Promise<number | undefined> {
  const some = (which: string): string => `
      (select d.delivery_id from ripstop.deliveries d
       where d.target_id = $1 and d.lane = $2 and d.key_hash ${which} and d.due_at <= now() - $4::float8 * interval '1 ms'
         and exists (select from held) limit $5)`
  const buried: Part = {
    name: 'buried',
    text: `
    delete from ripstop.deliveries d where d.delivery_id = any (array(${some('is null')} union all ${some('is not null')} limit $5))
    returning ${ROW}, d.lane, d.shard, d.key_hash, d.bytes, $3::text as reason`,
    values: [lane.targetId, lane.lane, reason, overdueMs, most],
  }
  const died: Part = {
    name: 'died',
    text: `
    insert into ripstop.dead_letters
      (delivery_id, tenant_id, kind, target_id, lane, shard, key_hash, message_id, bytes, attempts, replay_id, reason)
    select delivery_id, tenant_id, kind, target_id, lane, shard, key_hash, message_id, bytes, attempts, replay_id, reason from buried
    returning 1`,
    values: [],
  }
  const main = 'select exists (select from held) as held, (select count(*) from died)::integer as buried'
  const { text, values } = composeStatement([heldPart(workerId, [lane]), buried, died], main)
  const run = async (pool: PostgresPool, ctx: Ctx) =>
    (await pool.query<{ held: boolean; buried: number }>(ctx, text, values)).rows[0]
  const done = await link.call(ctx, run, { idempotent: true })
  return done?.held === true ? done.buried : undefined
}

// Retention. For the holder of a lease of upkeep.

/** The oldest day of attempts, if it ended longer ago than `afterMs`. */
export function dropOldAttempts(afterMs: number): Omit<Part, 'name'> {
  const text = `select ripstop.drop_oldest_partition('attempts', now() - $1::float8 * interval '1 ms') as deleted from held`
  return { text, values: [afterMs] }
}

/** Partitions for the days to come; it deletes nothing. */
export function makeAttemptPartitions(daysAhead: number): Omit<Part, 'name'> {
  return {
    text: `select 0 * ripstop.make_partitions('attempts', $1::integer) as deleted from held`,
    values: [daysAhead],
  }
}

/** Dead letters that died longer ago than `afterMs`, at most `batch`; a row for each. */
export function expireDeadLetters(afterMs: number, batch: number): Omit<Part, 'name'> {
  const text = `
    delete from ripstop.dead_letters where delivery_id = any (array(
      select delivery_id from ripstop.dead_letters
      where dead_at < now() - $1::float8 * interval '1 ms' and exists (select from held) limit $2 for update skip locked))
    returning 1 as deleted`
  return { text, values: [afterMs, batch] }
}
