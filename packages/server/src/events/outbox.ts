// The outbox relay. What callers published inside their own transactions (SQL: ripstop.publish) is taken from there in order by one process at a time,
// read and checked like any other event, and moved by one statement that deletes the row, writes the event and does what consumers want. Nobody
// can be refused here, since the caller's commit was the promise: what is no event goes to the rejected ones, with the reason, and can be sent again.
// The lease is held for terms of half its time, let go and claimed anew: so nothing has to renew it in the background.
// Invariants:
//   OB1. A row of the outbox becomes one event, a duplicate of one, or one rejected event; it leaves the outbox by that very statement.
//   OB2. Rows become events in the order of their ids: order holds between transactions that don't overlap.
//   OB3. No row holds up those behind it, whatever is in it.
//   OB4. A relay that lost its lease moves nothing more; one that lost Postgres goes on as soon as it is back.

import {
  background,
  type Ctx,
  createId,
  type Env,
  type Gauge,
  isRipstopError,
  type Link,
  type Metrics,
  RipstopError,
} from '@ripstop/kernel'
import type { PostgresPool } from '@ripstop/kernel/postgres'
import type { FieldProblem } from '@ripstop/protocol'
import { DEFAULT_TENANT_ID, findTenants } from '#access'
import { pause } from '#platform/pause'
import { type Part, withLease } from '#platform/postgres'
import type { Log } from '#platform/telemetry'
import { type BatchDeps, inHalves, movedTooOften, planEntries } from './batch.ts'
import { EVENT_BYTES_DEFAULT, tooLarge } from './event.ts'
import { moveOutbox, type OutboxRow, type RejectedRow, readOutbox } from './outbox-store.ts'
import {
  createCounters,
  createEventReader,
  type EventCounters,
  type EventReader,
  type Item,
  isEntry,
} from './publishing.ts'
import { TypesCache } from './types-cache.ts'

const PAGE = 500
const ROUNDS_MAX = 10
const LEASE_MS = 5_000
const BUSY_MS = 10
const IDLE_MS = 100
/** How often a process that has not the lease asks for it. */
const STANDBY_MS = 500
const FAILED_MS = 200
const FAILED_MS_MAX = 2_000
const TENANTS_KEPT = 10_000

export interface OutboxDeps extends BatchDeps {
  readonly env: Env
  readonly log: Log
  readonly metrics: Metrics
  readonly isStrict?: (tenantId: string) => boolean
  /** Of this process, a UUID: one that starts again under the same name needn't wait for its own lease to end. */
  readonly owner?: string
  readonly leaseMs?: number
  readonly page?: number
  readonly eventBytesMax?: number
}

interface Relay extends OutboxDeps {
  readonly link: Link<PostgresPool>
  readonly reader: EventReader
  readonly tenants: Map<string, string>
  readonly counters: EventCounters
  readonly lag: Gauge
}

/** Runs until it is disposed of, which lets the statement under way end. */
export function startOutbox(deps: OutboxDeps): AsyncDisposable {
  const { env, link, metrics, isStrict = () => false } = deps
  const root = background(env)
  const relay: Relay = {
    ...deps,
    reader: createEventReader({ env, types: new TypesCache(link), isStrict, eventBytesMax: deps.eventBytesMax }),
    tenants: new Map(),
    counters: createCounters(metrics, 'outbox'),
    lag: metrics.gauge('events_outbox_lag_seconds', 'Age of the oldest row of the outbox, as this process last saw it'),
  }
  const running = runForEver(relay, root)
  return {
    [Symbol.asyncDispose]: async () => {
      root.cancel()
      await running
    },
  }
}

async function runForEver(relay: Relay, root: Ctx): Promise<void> {
  const { env, log, link, leaseMs = LEASE_MS } = relay
  const owner = relay.owner ?? createId(env.clock.wallMs())
  let failures = 0
  while (root.reason === undefined) {
    try {
      using term = root.within(leaseMs)
      const held = await withLease(link, term, { name: 'events.outbox', owner, leaseMs }, async ({ fence }) => {
        if (failures > 0) log.info({ event: 'outbox.goes_on', failures })
        failures = 0
        await relayTerm(relay, term, fence, leaseMs / 2)
        return true
      })
      if (held === undefined) {
        relay.lag.set(0)
        await pause(root, STANDBY_MS * (0.5 + env.random()))
      }
    } catch (error) {
      if (root.reason !== undefined) return
      if (failures++ === 0) log.warn({ event: 'outbox.waits', ...reasonOf(error) })
      await pause(root, Math.min(FAILED_MS_MAX, FAILED_MS * 2 ** failures) * env.random()).catch(() => undefined) // ended
    }
  }
}

/** The link tells of its own state; what is no failure of a link is a defect, and shown whole. */
function reasonOf(error: unknown): { code: string; why: string; error?: unknown } {
  if (isRipstopError(error)) return { code: error.code, why: error.message }
  return { code: 'INTERNAL', why: error instanceof Error ? error.message : String(error), error }
}

async function relayTerm(relay: Relay, ctx: Ctx, fence: Part, termMs: number): Promise<void> {
  const { env, link, lag, page = PAGE } = relay
  const endMs = env.clock.monoMs() + termMs
  let waitMs = BUSY_MS
  while (env.clock.monoMs() < endMs && ctx.reason === undefined) {
    const rows = await readOutbox(link, ctx, page)
    lag.set((rows[0]?.ageMs ?? 0) / 1000)
    if (rows.length > 0) await movePage(relay, ctx, fence, rows)
    if (rows.length === page) continue
    waitMs = rows.length > 0 ? BUSY_MS : Math.min(IDLE_MS, waitMs * 2)
    await pause(ctx, waitMs * (0.5 + env.random()))
  }
}

/** A row with what it turned out to be. */
interface Read {
  readonly row: OutboxRow
  readonly tenantId: string | undefined
  readonly item: Item
}

async function movePage(relay: Relay, ctx: Ctx, fence: Part, rows: readonly OutboxRow[]): Promise<void> {
  await inHalves(
    await readRows(relay, ctx, rows),
    (part) => moveRounds(relay, ctx, fence, part),
    (read, error) => moveRounds(relay, ctx, fence, [{ ...read, item: error }]),
  )
}

/** In the order of the rows; those of one tenant are read together. */
async function readRows(relay: Relay, ctx: Ctx, rows: readonly OutboxRow[]): Promise<readonly Read[]> {
  const { eventBytesMax = EVENT_BYTES_DEFAULT } = relay
  const tenantOf = await findTenantsOf(relay, ctx, rows)
  const read = new Map<OutboxRow, Read>()
  for (const [tenantId, own] of Map.groupBy(rows, tenantOf)) {
    if (tenantId === undefined) {
      for (const row of own) read.set(row, { row, tenantId, item: tenantUnknown() })
      continue
    }
    const small = own.filter(({ text }) => text !== undefined)
    const inputs = small.map(({ text }): unknown => JSON.parse(text ?? ''))
    const publisher = { tenantId, actor: 'outbox', traceId: undefined }
    const items = await relay.reader.read(ctx, publisher, inputs, (place) => small[place]?.createdWallMs ?? 0)
    for (const [place, row] of small.entries())
      read.set(row, { row, tenantId, item: items[place] ?? tooLarge(eventBytesMax) })
  }
  return rows.map((row) => read.get(row) ?? { row, tenantId: tenantOf(row), item: tooLarge(eventBytesMax) })
}

function tenantUnknown(): RipstopError {
  const problems: FieldProblem[] = [{ field: 'tenant', problem: 'is none that there is' }]
  return new RipstopError('NOT_FOUND', 'there is no such tenant', { details: { problems } })
}

/** Tenants are never deleted, so one that was found is known from then on. */
async function findTenantsOf(
  { link, tenants }: Relay,
  ctx: Ctx,
  rows: readonly OutboxRow[],
): Promise<(row: OutboxRow) => string | undefined> {
  const called = new Set(rows.flatMap(({ tenant }) => (tenant === undefined || tenants.has(tenant) ? [] : [tenant])))
  if (called.size > 0) {
    if (tenants.size + called.size > TENANTS_KEPT) tenants.clear()
    for (const [name, { tenantId }] of await findTenants(link, ctx, [...called])) tenants.set(name, tenantId)
  }
  return ({ tenant }) => (tenant === undefined ? DEFAULT_TENANT_ID : tenants.get(tenant))
}

async function moveRounds(relay: Relay, ctx: Ctx, fence: Part, part: readonly Read[]): Promise<void> {
  const { link, consumers, counters, log } = relay
  for (let round = 0; round < ROUNDS_MAX; round++) {
    const planned = await planEntries(consumers, ctx, part.map(({ item }) => item).filter(isEntry), false)
    const going = new Set(planned.entries)
    const rowOf = new Map(part.map(({ row, item }) => [item, row]))
    const outboxIds = planned.entries.map((entry) => rowOf.get(entry)?.outboxId ?? '')
    const rejected = part.filter(({ item }) => !isEntry(item) || !going.has(item)).map(toRejected)
    const moved = await moveOutbox(link, ctx, fence, { publication: planned.publication, outboxIds, rejected })
    if (!moved.isCurrent) continue
    counters.published.add(moved.published)
    counters.duplicate.add(outboxIds.length - moved.published)
    counters.refused.add(moved.rejected)
    if (moved.rejected > 0) log.warn({ event: 'outbox.rejected', rows: moved.rejected, code: rejected[0]?.code })
    return
  }
  throw movedTooOften()
}

function toRejected({ row, tenantId, item }: Read): RejectedRow {
  const error = isEntry(item) ? refusalOf(item) : item
  const problems = error.details.problems ?? [{ field: '', problem: error.message }]
  return { outboxId: row.outboxId, tenantId, code: error.code, problems: problems as readonly FieldProblem[] }
}

function refusalOf({ outcome }: Extract<Item, { event: unknown }>): RipstopError {
  if (outcome?.outcome === 'refused') return outcome.error
  return new RipstopError('INTERNAL', 'an event was left out of its page without a reason')
}
