// SQL of endpoints. Every change that publishers or senders must see raises the tenant's revision in the very statement, and marks the
// endpoint with it: a publisher that planned with an older revision writes nothing and plans anew, and who is behind reads only what
// changed. The revision's row is taken first, so changes of one tenant happen one after the other and never lock in a circle.
// Invariants:
//   WE2. An endpoint changes together with its tenant's revision and its line in the audit log, or not at all.
//   WE7. A change is decided by the state that it changes: of several at the same time each sees what the ones before it did.
//   WE3. What belongs to another tenant is the same as what does not exist.

import { type Ctx, RipstopError } from '@ripstop/kernel'
import { type AuditLine, auditPart } from '#access'
import type { IdempotencyKey } from '#platform/http'
import { pause } from '#platform/pause'
import { type Done, type Part, runOnce } from '#platform/postgres'
import { type Db, read } from './db.ts'
import type { Endpoint, EndpointSettings, EndpointState } from './endpoint.ts'
import { ENDPOINTS_PER_TENANT_MAX } from './limits.ts'
import { type NewSecret, secretPart } from './secret-store.ts'

const ROUNDS_MAX = 20
const PAUSE_MS = 5

export interface EndpointRow {
  readonly endpoint_id: string
  readonly tenant_id: string
  readonly url: string
  readonly description: string
  readonly owner: string | null
  readonly event_types: readonly string[]
  readonly filter: string | null
  readonly state: EndpointState
  readonly state_reason: string | null
  readonly state_actor: string | null
  readonly state_ms: number
  readonly ordering: 'none' | 'key'
  readonly lanes: number
  readonly concurrency: number
  readonly rate_per_second: number | null
  readonly deadline_ms: number
  readonly retry_schedule_ms: readonly number[]
  readonly backlog_max: number
  readonly backlog_full: boolean
  readonly sealed_headers: Buffer | null
  readonly is_hook: boolean
  readonly rotates_itself: boolean | null
  readonly created_ms: number
  readonly deleted_ms: number | null
  readonly last_attempt_ms: number | null
  readonly last_success_ms: number | null
  readonly failing_since_ms: number | null
  readonly missing_in_a_row: number
  readonly probe_ms: number | null
  readonly probes: number
  readonly is_probing: boolean
}

const ms = (column: string, name: string): string => `floor(extract(epoch from e.${column}) * 1000)::float8 as ${name}`
export const ENDPOINT_COLUMNS = `
  e.endpoint_id, e.tenant_id, e.url, e.description, e.owner, e.event_types, e.filter, e.state, e.state_reason, e.state_actor,
  e.ordering, e.lanes, e.concurrency, e.rate_per_second, e.deadline_ms, e.retry_schedule_ms, e.backlog_max, e.backlog_full,
  e.sealed_headers, e.is_hook, e.rotates_itself, e.missing_in_a_row, e.probes, e.is_probing, ${ms('state_at', 'state_ms')},
  ${ms('created_at', 'created_ms')}, ${ms('deleted_at', 'deleted_ms')}, ${ms('last_attempt_at', 'last_attempt_ms')},
  ${ms('last_success_at', 'last_success_ms')}, ${ms('failing_since', 'failing_since_ms')}, ${ms('probe_at', 'probe_ms')}`

export function toEndpoint(row: EndpointRow): Endpoint {
  return {
    endpointId: row.endpoint_id,
    tenantId: row.tenant_id,
    url: row.url,
    description: row.description,
    owner: row.owner ?? undefined,
    eventTypes: row.event_types,
    filter: row.filter ?? undefined,
    state: row.state,
    stateReason: row.state_reason ?? undefined,
    stateActor: row.state_actor ?? undefined,
    stateWallMs: row.state_ms,
    ordering: row.ordering,
    lanes: row.lanes,
    concurrency: row.concurrency,
    ratePerSecond: row.rate_per_second ?? undefined,
    deadlineMs: row.deadline_ms,
    retryScheduleMs: row.retry_schedule_ms,
    backlogMax: row.backlog_max,
    backlogFull: row.backlog_full,
    sealedHeaders: row.sealed_headers ?? undefined,
    isHook: row.is_hook,
    rotatesItself: row.rotates_itself ?? undefined,
    createdWallMs: row.created_ms,
    deletedWallMs: row.deleted_ms ?? undefined,
    probeWallMs: row.probe_ms ?? undefined,
    probes: row.probes,
    isProbing: row.is_probing,
    health: {
      lastAttemptWallMs: row.last_attempt_ms ?? undefined,
      lastSuccessWallMs: row.last_success_ms ?? undefined,
      failingSinceWallMs: row.failing_since_ms ?? undefined,
      missingInARow: row.missing_in_a_row,
    },
  }
}

// Changing

/**
 * SQL that raises the tenant's revision where `condition` holds; a row (revision) if it did. A statement that had to wait for another one
 * saw its condition as it was before that: so it does nothing if the revision is not the one that it sees (WE7).
 */
function raise(condition: string, values: readonly unknown[]): Omit<Part, 'name'> {
  const text = `
    insert into ripstop.endpoint_revisions as known (tenant_id, revision)
    select $1::uuid, 1 from once where ${condition}
    on conflict (tenant_id) do update set revision = known.revision + 1
      where known.revision = (select seen.revision from ripstop.endpoint_revisions seen where seen.tenant_id = $1::uuid)
    returning revision`
  return { text, values }
}

/** Again, while nothing was done although the condition holds: another change came in between. Throws OVERLOADED after ROUNDS_MAX. */
async function settled<T>(
  link: Db,
  ctx: Ctx,
  [condition, values]: readonly [string, readonly unknown[]],
  run: () => Promise<Done<T> | undefined>,
): Promise<Done<T> | undefined> {
  for (let round = 0; round < ROUNDS_MAX; round++) {
    const done = await run()
    if (done !== undefined) return done
    const [row] = await read<{ holds: boolean }>(link, ctx, `select ${condition} as holds`, values)
    if (row?.holds !== true) return undefined
    await pause(ctx, ctx.env.random() * PAUSE_MS * (round + 1))
  }
  const message = 'endpoints of this tenant are being changed by many at once'
  throw new RipstopError('OVERLOADED', message, { sent: 'no', retryAfterMs: 500 })
}

type Settable = EndpointSettings & { readonly sealedHeaders: Uint8Array | undefined }

/** Each setting's column and type. */
const SETTINGS: Readonly<Record<keyof Settable, readonly [column: string, type: string]>> = {
  url: ['url', 'text'],
  description: ['description', 'text'],
  owner: ['owner', 'text'],
  eventTypes: ['event_types', 'text[]'],
  filter: ['filter', 'text'],
  ordering: ['ordering', 'text'],
  lanes: ['lanes', 'smallint'],
  concurrency: ['concurrency', 'integer'],
  ratePerSecond: ['rate_per_second', 'real'],
  deadlineMs: ['deadline_ms', 'integer'],
  retryScheduleMs: ['retry_schedule_ms', 'integer[]'],
  backlogMax: ['backlog_max', 'integer'],
  rotatesItself: ['rotates_itself', 'boolean'],
  sealedHeaders: ['sealed_headers', 'bytea'],
}

/** Which settings; null where one is to be undefined. */
export type SettingsPatch = { readonly [Name in keyof Settable]?: Settable[Name] | undefined }

const NAMES = Object.keys(SETTINGS) as (keyof Settable)[]

export interface Insertion {
  readonly endpoint: Endpoint
  readonly secret: NewSecret
  readonly audit: AuditLine
  readonly idempotency: IdempotencyKey | undefined
}

/** Undefined: the tenant has as many endpoints as it may. `response` is the id. */
export function insertEndpoint(link: Db, ctx: Ctx, insertion: Insertion): Promise<Done<string> | undefined> {
  const { endpoint, secret, audit, idempotency } = insertion
  const { endpointId, tenantId, isHook, createdWallMs } = endpoint
  const columns = NAMES.map((name) => SETTINGS[name][0])
  const settings = NAMES.map((name, place) => `$${place + 5}::${SETTINGS[name][1]}`)
  const made: Part = {
    name: 'made',
    text: `
      insert into ripstop.endpoints (endpoint_id, tenant_id, is_hook, created_at, state_at, revision, ${columns.join(', ')})
      select $1::uuid, $2::uuid, $3::boolean, to_timestamp($4::float8 / 1000), to_timestamp($4::float8 / 1000), effect.revision,
        ${settings.join(', ')}
      from effect returning endpoint_id`,
    values: [endpointId, tenantId, isHook, createdWallMs, ...NAMES.map((name) => endpoint[name] ?? null)],
  }
  const room = `(select count(*) from ripstop.endpoints where tenant_id = $1::uuid and deleted_at is null) < $2::integer`
  const values = [tenantId, ENDPOINTS_PER_TENANT_MAX]
  const once = {
    tenantId,
    idempotency,
    response: endpointId,
    effect: raise(room, values),
    also: [made, secretPart(secret, 'made'), auditPart(audit, 'effect')],
  }
  return settled(link, ctx, [room, values], () => runOnce<string>(link, ctx, once))
}

export interface Change {
  readonly tenantId: string
  readonly endpointId: string
  /** Assignments, with $1, $2 … of `values`. */
  readonly set: readonly string[]
  readonly values: readonly unknown[]
  /** SQL about the endpoint e, without parameters. */
  readonly only?: string
  readonly audit: AuditLine
  readonly idempotency?: IdempotencyKey | undefined
  /** An event that tells of it, published with it. */
  readonly event?: Readonly<Record<string, unknown>>
  readonly also?: readonly Part[]
  /** What a repetition is answered; default: the endpoint's id. */
  readonly response?: string
}

/** Undefined: there is no such endpoint, or it is not as `only` says. */
export function changeEndpoint(link: Db, ctx: Ctx, change: Change): Promise<Done<string> | undefined> {
  const { tenantId, endpointId, set, values, only = 'true', audit, idempotency, event, also = [] } = change
  const { response = endpointId } = change
  const place = values.length
  // A part that only reads is not run, so the event is published by what the update gives back.
  const told = event === undefined ? '' : `, ripstop.publish($${place + 2}::jsonb, $${place + 3}::text)`
  const changed: Part = {
    name: 'changed',
    text: `
      update ripstop.endpoints e set ${[...set, 'revision = effect.revision'].join(', ')} from effect
      where e.endpoint_id = $${place + 1}::uuid returning e.endpoint_id${told}`,
    values: [...values, endpointId, ...(event === undefined ? [] : [JSON.stringify(event), tenantId])],
  }
  const condition = `exists (
    select from ripstop.endpoints e
    where e.endpoint_id = $2::uuid and e.tenant_id = $1::uuid and e.deleted_at is null and (${only}))`
  const given = [tenantId, endpointId]
  const effect = raise(condition, given)
  const once = { tenantId, idempotency, response, effect, also: [changed, ...also, auditPart(audit, 'effect')] }
  return settled(link, ctx, [condition, given], () => runOnce<string>(link, ctx, once))
}

/** For `changeEndpoint`. */
export function toAssignments(patch: SettingsPatch): { set: string[]; values: unknown[] } {
  const names = NAMES.filter((name) => Object.hasOwn(patch, name))
  return {
    set: names.map((name, place) => `${SETTINGS[name][0]} = $${place + 1}::${SETTINGS[name][1]}`),
    values: names.map((name) => patch[name] ?? null),
  }
}

// Reading

/** Deleted ones too: `why` tells of them. */
export async function readEndpoint(
  link: Db,
  ctx: Ctx,
  tenantId: string,
  endpointId: string,
): Promise<Endpoint | undefined> {
  const text = `select ${ENDPOINT_COLUMNS} from ripstop.endpoints e where e.endpoint_id = $1 and e.tenant_id = $2`
  const [row] = await read<EndpointRow>(link, ctx, text, [endpointId, tenantId])
  return row === undefined ? undefined : toEndpoint(row)
}

export interface EndpointPage {
  readonly state: EndpointState | undefined
  readonly after: string | undefined
  readonly limit: number
}

/** Newest first. */
export async function listEndpoints(
  link: Db,
  ctx: Ctx,
  tenantId: string,
  { state, after, limit }: EndpointPage,
): Promise<readonly Endpoint[]> {
  const text = `
    select ${ENDPOINT_COLUMNS} from ripstop.endpoints e
    where e.tenant_id = $1 and e.deleted_at is null and ($2::text is null or e.state = $2)
      and ($3::uuid is null or e.endpoint_id < $3::uuid)
    order by e.endpoint_id desc limit $4`
  return (await read<EndpointRow>(link, ctx, text, [tenantId, state ?? null, after ?? null, limit])).map(toEndpoint)
}

export interface Changes {
  readonly revision: number
  /** Deleted ones too, but not in the first reading. */
  readonly endpoints: readonly Endpoint[]
}

/** What changed after the revision `since`; 0: all there is. One statement, so both belong to the same moment. */
export async function readChanges(link: Db, ctx: Ctx, tenantId: string, since: number): Promise<Changes> {
  const text = `
    select known.revision::float8 as known_revision, ${ENDPOINT_COLUMNS}
    from (select coalesce((select revision from ripstop.endpoint_revisions where tenant_id = $1), 0) as revision) known
    left join ripstop.endpoints e
      on e.tenant_id = $1 and e.revision > $2::bigint and (e.deleted_at is null or $2::bigint > 0)`
  type Row = EndpointRow & { readonly known_revision: number }
  const rows = await read<Row>(link, ctx, text, [tenantId, since])
  const found = rows.filter((row) => row.endpoint_id !== null)
  return { revision: rows[0]?.known_revision ?? 0, endpoints: found.map(toEndpoint) }
}

/** The tenants among `known` whose revision has moved. */
export async function findMoved(link: Db, ctx: Ctx, known: ReadonlyMap<string, number>): Promise<readonly string[]> {
  const text = `
    select r.tenant_id from unnest($1::uuid[], $2::bigint[]) as known (tenant_id, revision)
    join ripstop.endpoint_revisions r on r.tenant_id = known.tenant_id and r.revision <> known.revision`
  const rows = await read<{ tenant_id: string }>(link, ctx, text, [[...known.keys()], [...known.values()]])
  return rows.map(({ tenant_id: tenantId }) => tenantId)
}

/** A row if every tenant's revision is still as known. */
export function currentPart(known: ReadonlyMap<string, number>): Part {
  const text = `
    select 1 where not exists (
      select from unnest($1::uuid[], $2::bigint[]) as known (tenant_id, revision)
      left join ripstop.endpoint_revisions r on r.tenant_id = known.tenant_id
      where coalesce(r.revision, 0) <> known.revision)`
  return { name: 'current', text, values: [[...known.keys()], [...known.values()]] }
}

/** Whose endpoints they are; those that are deleted, or never were, are not there. */
export async function findTenants(
  link: Db,
  ctx: Ctx,
  endpointIds: readonly string[],
): Promise<ReadonlyMap<string, string>> {
  const text = `
    select endpoint_id, tenant_id from ripstop.endpoints where endpoint_id = any ($1::uuid[]) and deleted_at is null`
  const rows = await read<{ endpoint_id: string; tenant_id: string }>(link, ctx, text, [endpointIds])
  return new Map(rows.map(({ endpoint_id: endpointId, tenant_id: tenantId }) => [endpointId, tenantId]))
}
