// SQL of event types: the only file that names `event_types`. A version is never changed, but for the mark that it is deprecated.

import type { Ctx, Link } from '@ripstop/kernel'
import type { PostgresPool } from '@ripstop/kernel/postgres'
import { type AuditLine, auditPart } from '#access'
import type { IdempotencyKey } from '#platform/http'
import { composeStatement, type Done, type Part, runOnce } from '#platform/postgres'
import type { Change } from './compatibility.ts'
import type { JsonSchema } from './schema-check.ts'

type Db = Link<PostgresPool>

export const TYPES_MAX = 2_000

export interface EventType {
  readonly name: string
  readonly version: number
  readonly schema: JsonSchema
  readonly description: string
  /** Against the version before. */
  readonly changes: readonly Change[]
  readonly createdWallMs: number
  readonly deprecatedWallMs: number | undefined
}

interface TypeRow {
  readonly name: string
  readonly version: number
  readonly schema: JsonSchema
  readonly description: string
  readonly changes: readonly Change[]
  readonly created: number
  readonly deprecated: number | null
}

const ms = (column: string): string => `floor(extract(epoch from ${column}) * 1000)::float8`
const COLUMNS = `name, version, schema, description, changes, ${ms('created_at')} as created, ${ms('deprecated_at')} as deprecated`

function toEventType({ created, deprecated, ...row }: TypeRow): EventType {
  return { ...row, createdWallMs: created, deprecatedWallMs: deprecated ?? undefined }
}

async function read<Row>(link: Db, ctx: Ctx, text: string, values: readonly unknown[]): Promise<Row[]> {
  const { rows } = await link.call(ctx, (pool, ctx) => pool.query<Row>(ctx, text, values), { idempotent: true })
  return rows
}

/** Undefined: another version came first, or the tenant has TYPES_MAX of them. */
export async function insertType(
  link: Db,
  ctx: Ctx,
  tenantId: string,
  type: EventType,
  audit: AuditLine,
  idempotency: IdempotencyKey | undefined,
): Promise<Done<EventType> | undefined> {
  const { name, version, schema, description, changes, createdWallMs } = type
  const text = `
    insert into ripstop.event_types (tenant_id, name, version, schema, description, changes, created_at)
    select $1::uuid, $2::text, $3::integer, $4::json, $5::text, $6::json, to_timestamp($7::float8 / 1000) from once
    where $3::integer = 1 + coalesce((select max(version) from ripstop.event_types where tenant_id = $1 and name = $2), 0)
      and (select count(*) from ripstop.event_types where tenant_id = $1) < $8
    on conflict do nothing
    returning 1`
  const values = [tenantId, name, version, JSON.stringify(schema), description, JSON.stringify(changes), createdWallMs]
  const effect = { text, values: [...values, TYPES_MAX] }
  return runOnce<EventType>(link, ctx, {
    tenantId,
    idempotency,
    response: type,
    effect,
    also: [auditPart(audit, 'effect')],
  })
}

/** The versions of a type, the newest first. */
export async function readVersions(link: Db, ctx: Ctx, tenantId: string, name: string): Promise<readonly EventType[]> {
  const text = `
    select ${COLUMNS} from ripstop.event_types where tenant_id = $1 and name = $2 order by version desc`
  return (await read<TypeRow>(link, ctx, text, [tenantId, name])).map(toEventType)
}

/** The newest version of each type, by name. */
export async function listTypes(
  link: Db,
  ctx: Ctx,
  tenantId: string,
  page: { readonly after: string | undefined; readonly limit: number },
): Promise<readonly EventType[]> {
  const text = `
    select distinct on (name) ${COLUMNS} from ripstop.event_types
    where tenant_id = $1 and ($2::text is null or name > $2::text) order by name, version desc limit $3`
  return (await read<TypeRow>(link, ctx, text, [tenantId, page.after ?? null, page.limit])).map(toEventType)
}

/** Marks every version that there is. The newest, marked now or before; undefined: no such type. */
export async function deprecateType(
  link: Db,
  ctx: Ctx,
  tenantId: string,
  name: string,
  audit: AuditLine,
): Promise<EventType | undefined> {
  const effect: Part = {
    name: 'effect',
    text: `
      update ripstop.event_types set deprecated_at = now()
      where tenant_id = $1 and name = $2 and deprecated_at is null returning 1`,
    values: [tenantId, name],
  }
  const once: Part = { name: 'once_told', text: 'select 1 from effect limit 1', values: [] }
  const { text, values } = composeStatement([effect, once, auditPart(audit, 'once_told')], 'select 1')
  await read(link, ctx, text, values)
  return (await readVersions(link, ctx, tenantId, name))[0]
}

/** A type as it is checked by. */
export interface TypeHead {
  readonly name: string
  /** Undefined: it is not registered. */
  readonly version: number | undefined
  readonly schema: JsonSchema | undefined
}

/** The newest versions of the types that are not `known` in it; `known`: the version, or 0. */
export async function readHeads(
  link: Db,
  ctx: Ctx,
  tenantId: string,
  wanted: readonly { readonly name: string; readonly known: number }[],
): Promise<readonly TypeHead[]> {
  const text = `
    select head.name, head.version, head.schema
    from unnest($2::text[], $3::integer[]) as wanted (name, known)
    cross join lateral (
      select name, version, schema from ripstop.event_types type
      where type.tenant_id = $1 and type.name = wanted.name order by version desc limit 1) as head
    where head.version > wanted.known`
  return read<TypeHead>(link, ctx, text, [tenantId, wanted.map(({ name }) => name), wanted.map(({ known }) => known)])
}
