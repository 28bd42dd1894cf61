// For tests of the engine: a kind that sends nowhere and remembers all, targets that are made up, and deliveries of them.

import { createId } from '@ripstop/kernel'
import { DEFAULT_TENANT_ID } from '#access'
import { composeStatement } from '#platform/postgres'
import type { TestMesh } from '../testing/mesh.ts'
import { until } from '../testing/processes.ts'
import type { Answer, Delivery, DeliveryKind, NewDelivery, Settled, Target } from './kind.ts'
import { deliveriesPart } from './publishing-store.ts'
import { type DeliveryDeps, startDelivery } from './start.ts'

export const TARGET: Omit<Target, 'targetId'> = {
  tenantId: DEFAULT_TENANT_ID,
  state: 'active',
  isOrdered: false,
  lanes: 1,
  concurrency: 16,
  ratePerSecond: undefined,
  deadlineMs: 2_000,
  retryScheduleMs: [20, 20, 20],
  breaker: { failureRate: 1, minimumCalls: 1_000_000, windowMs: 10_000, openMs: 100, openMsMax: 1_000, probes: 1 },
}

export interface FakeKind extends DeliveryKind<string> {
  readonly known: Map<string, Target>
  readonly sent: Delivery[]
  readonly settled: Settled[]
  underWay: number
  underWayMost: number
  answer: (delivery: Delivery) => Answer | Promise<Answer>
}

export const OK: Answer = { outcome: 'delivered', status: 200, durationMs: 1 }

export function createFakeKind(): FakeKind {
  const kind: FakeKind = {
    name: 'webhook',
    known: new Map(),
    sent: [],
    settled: [],
    underWay: 0,
    underWayMost: 0,
    answer: () => OK,
    targets: async (_, ids) =>
      new Map(ids.flatMap((id) => (kind.known.has(id) ? [[id, kind.known.get(id) as Target]] : []))),
    load: async (_, ids) => new Map(ids.map((id) => [id, id])),
    send: async (_, delivery) => {
      kind.sent.push(delivery)
      kind.underWay++
      kind.underWayMost = Math.max(kind.underWayMost, kind.underWay)
      try {
        return await kind.answer(delivery)
      } finally {
        kind.underWay--
      }
    },
    settle: (batch) => {
      kind.settled.push(...batch)
      return []
    },
  }
  return kind
}

export function addTarget(kind: FakeKind, changes: Partial<Target> = {}): Target {
  const target = { ...TARGET, targetId: createId(Date.now()), ...changes }
  kind.known.set(target.targetId, target)
  return target
}

export function newDeliveries(target: Target, count: number, keys = 0): NewDelivery[] {
  return Array.from({ length: count }, (_, index) => ({
    tenantId: target.tenantId,
    kind: 'webhook',
    targetId: target.targetId,
    messageId: createId(Date.now()),
    bytes: 100,
    key: keys === 0 ? undefined : `key-${index % keys}`,
    lanes: target.lanes,
    isOrdered: target.isOrdered,
  }))
}

/** Publishes without a message: the engine does not look at them. */
export async function publish(mesh: TestMesh, deliveries: readonly NewDelivery[]): Promise<number[]> {
  const once = { name: 'once', text: 'select 1', values: [] }
  const main = 'select delivery_id::float8 as id from deliveries_made order by 1'
  const { text, values } = composeStatement([once, deliveriesPart(deliveries, 'once')], main)
  return (await mesh.query<{ id: number }>(text, values)).map(({ id }) => id)
}

export async function countRows(mesh: TestMesh, table: string): Promise<number> {
  const [row] = await mesh.query<{ count: number }>(`select count(*)::int as count from ripstop.${table}`)
  return row?.count ?? -1
}

/** Everything happens soon. */
export const SOON = { leaseMs: 1_000, renewMs: 200, targetsMs: 20, sweepMs: 300, drainMs: 2_000 }

/** An engine with this kind alone. */
export function startEngine(mesh: TestMesh, kind: FakeKind, changes: Partial<DeliveryDeps> = {}): AsyncDisposable {
  return startDelivery({
    env: mesh.env,
    log: mesh.log,
    mesh: mesh.mesh,
    link: mesh.link,
    kinds: [kind],
    workerId: createId(mesh.env.clock.wallMs()),
    settings: SOON,
    ...changes,
  })
}

/** As if nothing had been published, and nobody had been there. */
export async function forgetAll(mesh: TestMesh): Promise<void> {
  await mesh.query('truncate ripstop.deliveries, ripstop.attempts, ripstop.dead_letters')
  await mesh.query(`update ripstop.delivery_shards set owner = null, expires_at = '-infinity'`)
  await mesh.query('delete from ripstop.delivery_workers')
  mesh.log.lines.length = 0
}

export const untilNothingUndone = (mesh: TestMesh): Promise<unknown> =>
  until('nothing is undone', async () => (await countRows(mesh, 'deliveries')) === 0)
