// SQL of replays: the only file that names `replay_jobs`. A page's deliveries, the cursor behind them and the count are one statement,
// which names the cursor that it starts from and the lease that it is done under.
// Invariants:
//   RP1. Of an event or a dead letter a replay makes one delivery at most, whoever works on it, however often it is killed and resumed.

import type { Ctx, Link } from '@ripstop/kernel'
import type { PostgresPool } from '@ripstop/kernel/postgres'
import { type AuditLine, auditPart } from '#access'
import type { IdempotencyKey } from '#platform/http'
import { composeStatement, type Done, type Part, runOnce } from '#platform/postgres'
import type { DeadLetterSelector, EventSelector, ReplayJob } from './job.ts'

type Db = Link<PostgresPool>

/** Of one tenant: more would only share the same room. */
export const RUNNING_PER_TENANT_MAX = 20

interface JobRow {
  readonly replay_id: string
  readonly tenant_id: string
  readonly what: 'events' | 'dead_letters'
  readonly endpoint_id: string | null
  readonly selector: unknown
  readonly state: ReplayJob['state']
  readonly cursor: string | null
  readonly done: number
  readonly created: number
  readonly updated: number
}

const COLUMNS = `replay_id, tenant_id, what, endpoint_id, selector, state, cursor, done,
  extract(epoch from created_at)::float8 * 1000 as created, floor(extract(epoch from updated_at) * 1000)::float8 as updated`

function toJob(row: JobRow): ReplayJob {
  const job = {
    replayId: row.replay_id,
    tenantId: row.tenant_id,
    state: row.state,
    cursor: row.cursor ?? undefined,
    done: row.done,
    createdWallMs: row.created,
    updatedWallMs: row.updated,
  }
  return row.what === 'events'
    ? { ...job, what: 'events', endpointId: row.endpoint_id ?? '', selector: row.selector as EventSelector }
    : {
        ...job,
        what: 'dead_letters',
        endpointId: row.endpoint_id ?? undefined,
        selector: row.selector as DeadLetterSelector,
      }
}

async function read<Row>(link: Db, ctx: Ctx, text: string, values: readonly unknown[]): Promise<Row[]> {
  const { rows } = await link.call(ctx, (pool, ctx) => pool.query<Row>(ctx, text, values), { idempotent: true })
  return rows
}

export interface JobWish {
  readonly replayId: string
  readonly what: ReplayJob['what']
  readonly endpointId: string | undefined
  readonly selector: EventSelector | DeadLetterSelector
  readonly audit: AuditLine
  readonly idempotency: IdempotencyKey | undefined
}

/** The id of the job; undefined: the tenant has as many running as it may. */
export function insertJob(
  link: Db,
  ctx: Ctx,
  { replayId, what, endpointId, selector, audit, idempotency }: JobWish,
): Promise<Done<string> | undefined> {
  const { tenantId } = audit
  const text = `
    insert into ripstop.replay_jobs (replay_id, tenant_id, what, endpoint_id, selector)
    select $1::uuid, $2::uuid, $3::text, $4::uuid, $5::json from once
    where (select count(*) from ripstop.replay_jobs where tenant_id = $2::uuid and state = 'running') < $6::integer
    returning replay_id`
  const values = [replayId, tenantId, what, endpointId ?? null, JSON.stringify(selector), RUNNING_PER_TENANT_MAX]
  return runOnce<string>(link, ctx, {
    tenantId,
    idempotency,
    response: replayId,
    effect: { text, values },
    also: [auditPart(audit, 'effect')],
  })
}

/** Undefined: the tenant has no such job that runs. */
export function cancelJob(
  link: Db,
  ctx: Ctx,
  replayId: string,
  audit: AuditLine,
  idempotency: IdempotencyKey | undefined,
): Promise<Done<string> | undefined> {
  const text = `
    update ripstop.replay_jobs set state = 'cancelled', updated_at = now() from once
    where replay_id = $1::uuid and tenant_id = $2::uuid and state = 'running' returning replay_id`
  return runOnce<string>(link, ctx, {
    tenantId: audit.tenantId,
    idempotency,
    response: replayId,
    effect: { text, values: [replayId, audit.tenantId] },
    also: [auditPart(audit, 'effect')],
  })
}

export async function readJob(link: Db, ctx: Ctx, tenantId: string, replayId: string): Promise<ReplayJob | undefined> {
  const text = `select ${COLUMNS} from ripstop.replay_jobs where replay_id = $1 and tenant_id = $2`
  const [row] = await read<JobRow>(link, ctx, text, [replayId, tenantId])
  return row === undefined ? undefined : toJob(row)
}

/** Newest first. */
export async function listJobs(
  link: Db,
  ctx: Ctx,
  tenantId: string,
  { after, limit }: { readonly after: string | undefined; readonly limit: number },
): Promise<readonly ReplayJob[]> {
  const text = `
    select ${COLUMNS} from ripstop.replay_jobs
    where tenant_id = $1 and ($2::uuid is null or replay_id < $2) order by replay_id desc limit $3`
  return (await read<JobRow>(link, ctx, text, [tenantId, after ?? null, limit])).map(toJob)
}

/** What runs, of all tenants, oldest first, after the job `after`. */
export async function listRunning(
  link: Db,
  ctx: Ctx,
  after: string | undefined,
  most: number,
): Promise<readonly ReplayJob[]> {
  const text = `
    select ${COLUMNS} from ripstop.replay_jobs
    where state = 'running' and ($1::uuid is null or replay_id > $1) order by replay_id limit $2`
  return (await read<JobRow>(link, ctx, text, [after ?? null, most])).map(toJob)
}

/** One step of a job: from the cursor that it has, in one statement. */
export interface Step {
  readonly job: ReplayJob
  readonly cursor: string | undefined
  readonly state: 'running' | 'done' | 'cancelled'
  /** Without a row in each of them the step is not made. */
  readonly gates: readonly Part[]
  /** Parts that have their effect if the part `due` has a row, and the one of them whose rows are counted. */
  readonly parts: readonly Part[]
  readonly counted: string | undefined
}

/** Whether the step was made; false: another made it, or the job or the lease is over. Asking again makes nothing twice (RP1). */
export async function takeStep(link: Db, ctx: Ctx, fence: Part, step: Step): Promise<boolean> {
  const { job, cursor, state, gates, parts, counted } = step
  const conditions = [fence, ...gates].map(({ name }) => `exists (select from ${name})`).join(' and ')
  const due: Part = {
    name: 'due',
    text: `
      select replay_id from ripstop.replay_jobs
      where replay_id = $1::uuid and state = 'running' and cursor is not distinct from $2::text and ${conditions}
      for update`,
    values: [job.replayId, job.cursor ?? null],
  }
  const advanced: Part = {
    name: 'advanced',
    text: `
      update ripstop.replay_jobs job set cursor = $1::text, state = $2::text, updated_at = now(),
        done = job.done + ${counted === undefined ? '0' : `(select count(*)::integer from ${counted})`}
      from due where job.replay_id = due.replay_id returning job.done`,
    values: [cursor ?? null, state],
  }
  const { text, values } = composeStatement([fence, ...gates, due, ...parts, advanced], 'select done from advanced')
  const { rows } = await link.call(ctx, (pool, ctx) => pool.query<{ done: number }>(ctx, text, values))
  return rows.length > 0
}

/** Jobs that ended longer ago than `afterMs`, at most `batch`; a row for each. For the holder of a lease. */
export function expireJobs(afterMs: number, batch: number): Omit<Part, 'name'> {
  const text = `
    delete from ripstop.replay_jobs where replay_id = any (array(
      select replay_id from ripstop.replay_jobs
      where state <> 'running' and updated_at < now() - $1::float8 * interval '1 ms' and exists (select from held) limit $2))
    returning 1 as deleted`
  return { text, values: [afterMs, batch] }
}
