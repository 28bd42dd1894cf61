// SQL of inbound webhooks: the only file that names `inbound_sources`.

import type { Ctx, Link } from '@ripstop/kernel'
import type { PostgresPool } from '@ripstop/kernel/postgres'
import { type AuditLine, auditPart } from '#access'
import type { IdempotencyKey } from '#platform/http'
import { composeStatement, type Done, type Part, runOnce } from '#platform/postgres'
import type { Scheme } from './scheme.ts'
import type { SealedSource, Source } from './source.ts'

type Db = Link<PostgresPool>

/** Of a tenant. */
export const SOURCES_MAX = 1_000

/** The page after the source with the id `after`; newest first. */
export interface Page {
  readonly after: string | undefined
  readonly limit: number
}

interface SourceRow {
  readonly source_id: string
  readonly tenant_id: string
  readonly name: string
  readonly scheme: Scheme
  readonly secrets: number
  readonly created: number
  readonly last_received: number | null
}

const ms = (column: string): string => `floor(extract(epoch from ${column}) * 1000)::float8`
const COLUMNS = `source_id, tenant_id, name, scheme, cardinality(sealed_secrets) as secrets,
  ${ms('created_at')} as created, ${ms('last_received_at')} as last_received`

function toSource(row: SourceRow): Source {
  return {
    sourceId: row.source_id,
    tenantId: row.tenant_id,
    name: row.name,
    scheme: row.scheme,
    secrets: row.secrets,
    createdWallMs: row.created,
    lastReceivedWallMs: row.last_received ?? undefined,
  }
}

async function read<Row>(link: Db, ctx: Ctx, text: string, values: readonly unknown[]): Promise<Row[]> {
  const { rows } = await link.call(ctx, (pool, ctx) => pool.query<Row>(ctx, text, values), { idempotent: true })
  return rows
}

/** Undefined: the tenant has SOURCES_MAX already. Throws the violation of `inbound_sources_tenant_id_name_key`. */
export function insertSource(
  link: Db,
  ctx: Ctx,
  source: Source,
  sealedSecrets: readonly Buffer[],
  audit: AuditLine,
  idempotency: IdempotencyKey | undefined,
): Promise<Done<Source> | undefined> {
  const { sourceId, tenantId, name, scheme, createdWallMs } = source
  const text = `
    insert into ripstop.inbound_sources (source_id, tenant_id, name, scheme, sealed_secrets, created_at)
    select $1::uuid, $2::uuid, $3::text, $4::text, $5::bytea[], to_timestamp($6::float8 / 1000) from once
    where (select count(*) from ripstop.inbound_sources where tenant_id = $2::uuid) < $7::integer
    returning source_id`
  const values = [sourceId, tenantId, name, scheme, sealedSecrets, createdWallMs, SOURCES_MAX]
  const effect = { text, values }
  return runOnce<Source>(link, ctx, {
    tenantId: audit.tenantId,
    idempotency,
    response: source,
    effect,
    also: [auditPart(audit, 'effect')],
  })
}

export async function listSources(link: Db, ctx: Ctx, tenantId: string, { after, limit }: Page): Promise<Source[]> {
  const text = `
    select ${COLUMNS} from ripstop.inbound_sources
    where tenant_id = $1 and ($2::uuid is null or source_id < $2::uuid) order by source_id desc limit $3`
  return (await read<SourceRow>(link, ctx, text, [tenantId, after ?? null, limit])).map(toSource)
}

export async function findSource(link: Db, ctx: Ctx, tenantId: string, sourceId: string): Promise<Source | undefined> {
  const text = `select ${COLUMNS} from ripstop.inbound_sources where source_id = $2 and tenant_id = $1`
  const [row] = await read<SourceRow>(link, ctx, text, [tenantId, sourceId])
  return row === undefined ? undefined : toSource(row)
}

/** Of whichever tenant: for what comes from outside, with nothing but the source's address. */
export async function readSealedSource(link: Db, ctx: Ctx, sourceId: string): Promise<SealedSource | undefined> {
  const text = `select ${COLUMNS}, sealed_secrets from ripstop.inbound_sources where source_id = $1`
  const [row] = await read<SourceRow & { readonly sealed_secrets: Buffer[] }>(link, ctx, text, [sourceId])
  return row === undefined ? undefined : { ...toSource(row), sealedSecrets: row.sealed_secrets }
}

/** Undefined: this tenant has no such source. */
export function replaceSecrets(
  link: Db,
  ctx: Ctx,
  tenantId: string,
  sourceId: string,
  sealedSecrets: readonly Buffer[],
  audit: AuditLine,
): Promise<Source | undefined> {
  const text = `
    update ripstop.inbound_sources set sealed_secrets = $3::bytea[]
    where source_id = $2 and tenant_id = $1 returning ${COLUMNS}`
  return change(link, ctx, { name: 'effect', text, values: [tenantId, sourceId, sealedSecrets] }, audit)
}

/** The source as it was; undefined: this tenant has no such source. */
export function deleteSource(
  link: Db,
  ctx: Ctx,
  tenantId: string,
  sourceId: string,
  audit: AuditLine,
): Promise<Source | undefined> {
  const text = `delete from ripstop.inbound_sources where source_id = $2 and tenant_id = $1 returning ${COLUMNS}`
  return change(link, ctx, { name: 'effect', text, values: [tenantId, sourceId] }, audit)
}

async function change(link: Db, ctx: Ctx, effect: Part, audit: AuditLine): Promise<Source | undefined> {
  const { text, values } = composeStatement([effect, auditPart(audit, 'effect')], 'select * from effect')
  const { rows } = await link.call(ctx, (pool, ctx) => pool.query<SourceRow>(ctx, text, values), { idempotent: false })
  return rows[0] === undefined ? undefined : toSource(rows[0])
}

export async function touchSource(link: Db, ctx: Ctx, sourceId: string): Promise<void> {
  await read(link, ctx, 'update ripstop.inbound_sources set last_received_at = now() where source_id = $1', [sourceId])
}
