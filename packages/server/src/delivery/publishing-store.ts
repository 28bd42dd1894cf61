// How deliveries come to be: parts for the statement that publishes. Nothing else inserts them, but a redrive.
// Invariants:
//   DL1. Deliveries are written by the statement that writes their message, or not at all; a repeated message writes none.
//   DL2. Delivery ids rise in the order that they were given in, and over publishes that do not overlap.

import type { Part } from '#platform/postgres'
import type { NewDelivery } from './kind.ts'
import { keyHashOf, laneOf, shardOf } from './placing.ts'

const COLUMNS = `
    unnest($1::uuid[], $2::text[], $3::uuid[], $4::smallint[], $5::smallint[], $6::bigint[], $7::uuid[], $8::integer[], $9::uuid[])
      with ordinality as row (tenant_id, kind, target_id, lane, shard, key_hash, message_id, bytes, replay_id, place)`

/**
 * The part `deliveries_made` (delivery_id, message_id, target_id), which inserts them. With `fresh` only those whose message is
 * in the part `fresh` (event_id); with another part's name all of them, if that part has a row.
 */
export function deliveriesPart(deliveries: readonly NewDelivery[], from = 'fresh'): Part {
  const text = `
    insert into ripstop.deliveries (tenant_id, kind, target_id, lane, shard, key_hash, message_id, bytes, replay_id)
    select row.tenant_id, row.kind, row.target_id, row.lane, row.shard, row.key_hash, row.message_id, row.bytes, row.replay_id
    from ${COLUMNS}
    where ${gateOf(from)}
    order by row.place
    returning delivery_id, message_id, target_id`
  return { name: 'deliveries_made', text, values: valuesOf(deliveries) }
}

/** The part `overflow_made`: as `deliveriesPart`, but they become dead letters at once, reason `overflow`. */
export function overflowPart(deliveries: readonly NewDelivery[], from = 'fresh'): Part {
  const text = `
    insert into ripstop.dead_letters
      (delivery_id, tenant_id, kind, target_id, lane, shard, key_hash, message_id, bytes, attempts, replay_id, reason)
    select nextval('ripstop.deliveries_delivery_id_seq'), given.*
    from (
      select row.tenant_id, row.kind, row.target_id, row.lane, row.shard, row.key_hash, row.message_id, row.bytes, 0, row.replay_id,
        'overflow'
      from ${COLUMNS}
      where ${gateOf(from)}
      order by row.place) as given
    returning delivery_id, message_id, target_id`
  return { name: 'overflow_made', text, values: valuesOf(deliveries) }
}

function gateOf(from: string): string {
  return from === 'fresh'
    ? 'exists (select from fresh where fresh.event_id = row.message_id)'
    : `exists (select from ${from})`
}

/** Order is a property of the row, given here: what has no key, or goes where no order is promised, has no key hash. */
function valuesOf(deliveries: readonly NewDelivery[]): readonly unknown[] {
  const lanes = deliveries.map(({ key, messageId, lanes }) => laneOf(key ?? messageId, lanes))
  return [
    deliveries.map(({ tenantId }) => tenantId),
    deliveries.map(({ kind }) => kind),
    deliveries.map(({ targetId }) => targetId),
    lanes,
    deliveries.map(({ targetId }, place) => shardOf(targetId, lanes[place] as number)),
    deliveries.map(({ isOrdered, key }) => (isOrdered && key !== undefined ? keyHashOf(key) : null)),
    deliveries.map(({ messageId }) => messageId),
    deliveries.map(({ bytes }) => bytes),
    deliveries.map(({ replayId }) => replayId ?? null),
  ]
}
