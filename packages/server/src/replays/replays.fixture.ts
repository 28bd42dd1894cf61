// For tests: events of the past, and a worker for them. Run as a program (URL of the database, owner), it is a worker to be killed.

import { createId } from '@ripstop/kernel'
import { DEFAULT_TENANT_ID } from '#access'
import { createDeliveryReader } from '#delivery'
import { startTestMesh, type TestMesh } from '../testing/mesh.ts'
import { type ReplayEndpoint, type ReplaysDeps, startReplays } from './worker.ts'

export const TENANT = DEFAULT_TENANT_ID
export const OTHER_TENANT = '01900000-0000-7000-8000-00000000000b'

/** `count` events, one a second, the last an hour ago; their ids, oldest first. Every third is of the type `order.paid`. */
export async function addEvents(mesh: TestMesh, count: number, tenantId = TENANT): Promise<readonly string[]> {
  const rows = await mesh.query<{ event_id: string }>(
    `insert into ripstop.events (event_id, tenant_id, source, id, type, occurred_at, body, fan_out)
     select (substr(ripstop.least_id_at(now() - interval '1 hour' - ($1 - n) * interval '1 second')::text, 1, 24) || $3 || lpad(to_hex(n), 6, '0'))::uuid,
       $2, 'shop', n::text, case when n % 3 = 0 then 'order.paid' else 'order.seen' end, now(), '{"specversion":"1.0"}', 0
     from generate_series(1, $1::integer) n returning event_id`,
    [count, tenantId, Math.random().toString(16).slice(2, 8).padEnd(6, '0')],
  )
  return rows.map((row) => row.event_id).sort()
}

export const ANY_ENDPOINT: ReplayEndpoint = {
  lanes: 1,
  isOrdered: false,
  accepts: () => true,
  current: { text: 'select 1', values: [] },
}

export function startTestReplays(mesh: TestMesh, over: Partial<ReplaysDeps> = {}): AsyncDisposable {
  const { env, link, log } = mesh
  const findEndpoint = async () => ANY_ENDPOINT
  const reader = createDeliveryReader(link)
  return startReplays({ env, link, log, reader, findEndpoint, pollMs: 20, settleMs: 0, pageMax: 100, ...over })
}

/** A job, put there as the routes do. */
export async function addJob(
  mesh: TestMesh,
  what: 'events' | 'dead_letters',
  selector: object,
  endpointId: string | null = createId(Date.now()),
  tenantId = TENANT,
): Promise<string> {
  const replayId = createId(Date.now())
  await mesh.query(
    'insert into ripstop.replay_jobs (replay_id, tenant_id, what, endpoint_id, selector) values ($1, $2, $3, $4, $5)',
    [replayId, tenantId, what, endpointId, JSON.stringify(selector)],
  )
  return replayId
}

if (process.argv[1] === import.meta.filename) {
  const [, , url = '', owner = ''] = process.argv
  const mesh = await startTestMesh(url)
  startTestReplays(mesh, { owner, pageMax: 20, undoneMax: 1_000_000, leaseMs: 2_000 })
  process.send?.('ready')
}
