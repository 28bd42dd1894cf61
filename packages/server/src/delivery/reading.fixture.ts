// For tests of what people see: rows as the engine leaves them.

import { createId } from '@ripstop/kernel'
import { DEFAULT_TENANT_ID } from '#access'
import type { TestMesh } from '../testing/mesh.ts'

export const TENANT = DEFAULT_TENANT_ID
export const OTHER_TENANT = '01900000-0000-7000-8000-00000000000b'

export interface RowWish {
  readonly deliveryId?: number
  readonly tenantId?: string
  readonly endpointId?: string
  readonly eventId?: string
  readonly replayId?: string
}

const whole = ({ tenantId = TENANT, endpointId, eventId, replayId }: RowWish) =>
  [tenantId, endpointId ?? createId(Date.now()), eventId ?? createId(Date.now()), replayId ?? null] as const

/** An undone delivery; its id. */
export async function addUndone(mesh: TestMesh, wish: RowWish, dueInMs = 0, attempts = 0): Promise<string> {
  const [row] = await mesh.query<{ delivery_id: string }>(
    `insert into ripstop.deliveries (tenant_id, kind, target_id, message_id, replay_id, shard, bytes, due_at, attempts)
     select $1, 'webhook', $2, $3, $4, 7, 100, now() + $5::float8 * interval '1 ms', $6 returning delivery_id`,
    [...whole(wish), dueInMs, attempts],
  )
  return row?.delivery_id ?? ''
}

export async function addDead(
  mesh: TestMesh,
  wish: RowWish,
  reason = 'exhausted',
  deadAt = new Date(),
): Promise<string> {
  const [row] = await mesh.query<{ delivery_id: string }>(
    `insert into ripstop.dead_letters
       (delivery_id, tenant_id, kind, target_id, message_id, replay_id, lane, shard, key_hash, bytes, attempts, reason, status, dead_at)
     select nextval('ripstop.deliveries_delivery_id_seq'), $1, 'webhook', $2, $3, $4, 3, 7, 99, 100, 8, $5, 500, $6 returning delivery_id`,
    [...whole(wish), reason, deadAt],
  )
  return row?.delivery_id ?? ''
}

export interface AttemptWish extends RowWish {
  readonly attemptId?: string
  readonly n?: number
  readonly outcome?: string
  readonly code?: string
  readonly reason?: string
  readonly status?: number
  readonly nextDueInMs?: number
}

/** An attempt; its id. */
export async function addAttempt(mesh: TestMesh, deliveryId: string, wish: AttemptWish): Promise<string> {
  const { attemptId = createId(Date.now()), n = 1, outcome = 'delivered', code, reason, status, nextDueInMs } = wish
  await mesh.query(
    `insert into ripstop.attempts (delivery_id, tenant_id, kind, target_id, message_id, replay_id, attempt_id, n, outcome, code, reason, status,
       duration_ms, response, next_due_at)
     select $1, $2, 'webhook', $3, $4, $5, $6, $7, $8, $9, $10, $11, 12, 'thank you', now() + $12::float8 * interval '1 ms'`,
    [
      deliveryId,
      ...whole(wish),
      attemptId,
      n,
      outcome,
      code ?? null,
      reason ?? null,
      status ?? null,
      nextDueInMs ?? null,
    ],
  )
  return attemptId
}
