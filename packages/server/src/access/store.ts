// SQL of the access module: the only file that names its tables, but for the audit log's part (audit.ts).

import type { Ctx, Link } from '@ripstop/kernel'
import type { PostgresPool, Queryable } from '@ripstop/kernel/postgres'
import type { IdempotencyKey } from '#platform/http'
import { composeStatement, type Done, type Part, runOnce } from '#platform/postgres'
import { type AuditLine, auditPart } from './audit.ts'

type Db = Link<PostgresPool>

export interface ApiKey {
  readonly keyId: string
  readonly tenantId: string
  readonly name: string
  readonly prefix: string
  readonly scopes: readonly string[]
  readonly createdWallMs: number
  readonly expiresWallMs?: number
  readonly revokedWallMs?: number
  readonly lastUsedWallMs?: number
}

export interface Tenant {
  readonly tenantId: string
  readonly name: string
  readonly createdWallMs: number
}

export interface AuditEntry extends Omit<AuditLine, 'details' | 'tenantId'> {
  readonly auditId: string
  readonly wallMs: number
  readonly details: Readonly<Record<string, unknown>>
}

/** The page after the entry with the id `after`; newest first. */
export interface Page {
  readonly after: string | undefined
  readonly limit: number
}

interface KeyRow {
  readonly key_id: string
  readonly tenant_id: string
  readonly name: string
  readonly prefix: string
  readonly scopes: readonly string[]
  readonly created: number
  readonly expires: number | null
  readonly revoked: number | null
  readonly last_used: number | null
}

const ms = (column: string): string => `floor(extract(epoch from ${column}) * 1000)::float8`
const KEY_COLUMNS = `key_id, tenant_id, name, prefix, scopes, ${ms('created_at')} as created, ${ms('expires_at')} as expires,
  ${ms('revoked_at')} as revoked, ${ms('last_used_at')} as last_used`

function toApiKey(row: KeyRow): ApiKey {
  return {
    keyId: row.key_id,
    tenantId: row.tenant_id,
    name: row.name,
    prefix: row.prefix,
    scopes: row.scopes,
    createdWallMs: row.created,
    ...(row.expires === null ? {} : { expiresWallMs: row.expires }),
    ...(row.revoked === null ? {} : { revokedWallMs: row.revoked }),
    ...(row.last_used === null ? {} : { lastUsedWallMs: row.last_used }),
  }
}

async function read<Row>(link: Db, ctx: Ctx, text: string, values: readonly unknown[]): Promise<Row[]> {
  const { rows } = await link.call(ctx, (pool, ctx) => pool.query<Row>(ctx, text, values), { idempotent: true })
  return rows
}

// Keys

/** Throws the server's foreign key violation if there is no such tenant. */
export async function insertKey(
  link: Db,
  ctx: Ctx,
  key: ApiKey,
  sha256: string,
  audit: AuditLine,
  idempotency: IdempotencyKey | undefined,
): Promise<Done<ApiKey>> {
  const { keyId, tenantId, name, prefix, scopes, createdWallMs, expiresWallMs } = key
  const text = `
    insert into ripstop.api_keys (key_id, tenant_id, name, prefix, secret_sha256, scopes, created_at, expires_at)
    select $1::uuid, $2::uuid, $3::text, $4::text, decode($5::text, 'hex'), $6::text[],
           to_timestamp($7::float8 / 1000), to_timestamp($8::float8 / 1000) from once
    returning key_id`
  const values = [keyId, tenantId, name, prefix, sha256, scopes, createdWallMs, expiresWallMs ?? null]
  const done = await runOnce<ApiKey>(link, ctx, {
    // The claim belongs to whoever asks, whichever tenant the key is for.
    tenantId: audit.tenantId,
    idempotency,
    response: key,
    effect: { text, values },
    also: [auditPart(audit, 'effect')],
  })
  return done ?? { response: key, replayed: false } // an insert without a condition always has its effect
}

export async function listKeys(link: Db, ctx: Ctx, tenantId: string, { after, limit }: Page): Promise<ApiKey[]> {
  const text = `
    select ${KEY_COLUMNS} from ripstop.api_keys
    where tenant_id = $1 and ($2::uuid is null or key_id < $2::uuid) order by key_id desc limit $3`
  return (await read<KeyRow>(link, ctx, text, [tenantId, after ?? null, limit])).map(toApiKey)
}

/** The key, revoked now or before; undefined if this tenant has no such key. `sha256` is of the key revoked now. */
export async function revokeKey(
  link: Db,
  ctx: Ctx,
  tenantId: string,
  keyId: string,
  audit: AuditLine,
): Promise<{ readonly key: ApiKey; readonly sha256: string | undefined } | undefined> {
  const effect: Part = {
    name: 'effect',
    text: `
      update ripstop.api_keys set revoked_at = now()
      where key_id = $1 and tenant_id = $2 and revoked_at is null
      returning ${KEY_COLUMNS}, encode(secret_sha256, 'hex') as sha256`,
    values: [keyId, tenantId],
  }
  const { text, values } = composeStatement([effect, auditPart(audit, 'effect')], 'select * from effect')
  const [revoked] = await read<KeyRow & { sha256: string }>(link, ctx, text, values)
  if (revoked !== undefined) return { key: toApiKey(revoked), sha256: revoked.sha256 }
  const present = `select ${KEY_COLUMNS} from ripstop.api_keys where key_id = $1 and tenant_id = $2`
  const [before] = await read<KeyRow>(link, ctx, present, [keyId, tenantId])
  return before === undefined ? undefined : { key: toApiKey(before), sha256: undefined }
}

export interface FoundKey {
  readonly keyId: string
  readonly tenantId: string
  readonly scopes: readonly string[]
  /** Infinity for never. */
  readonly expiresInMs: number
  readonly askedAtDatabase: string
}

/** A key that works now. */
export async function findKey(link: Db, ctx: Ctx, sha256: string): Promise<FoundKey | undefined> {
  const text = `
    select key_id, tenant_id, scopes, extract(epoch from expires_at - now())::float8 * 1000 as expires_in_ms, now()::text as asked_at
    from ripstop.api_keys
    where secret_sha256 = decode($1, 'hex') and revoked_at is null and (expires_at is null or expires_at > now())`
  type Row = { key_id: string; tenant_id: string; scopes: string[]; expires_in_ms: number | null; asked_at: string }
  const [row] = await read<Row>(link, ctx, text, [sha256])
  if (row === undefined) return undefined
  return {
    keyId: row.key_id,
    tenantId: row.tenant_id,
    scopes: row.scopes,
    expiresInMs: row.expires_in_ms ?? Number.POSITIVE_INFINITY,
    askedAtDatabase: row.asked_at,
  }
}

/** Those of the tenant's keys that work now. */
export async function findLiveKeys(
  link: Db,
  ctx: Ctx,
  tenantId: string,
  keyIds: readonly string[],
): Promise<ReadonlySet<string>> {
  const text = `
    select key_id from ripstop.api_keys
    where tenant_id = $1 and key_id = any ($2::uuid[]) and revoked_at is null and (expires_at is null or expires_at > now())`
  const rows = await read<{ key_id: string }>(link, ctx, text, [tenantId, keyIds])
  return new Set(rows.map(({ key_id: keyId }) => keyId))
}

export interface Revocations {
  readonly revoked: readonly string[] | 'too many'
  readonly askedAtDatabase: string
}

/** A revocation shows when its statement commits, but is dated when it began: further back than any statement lasts. */
const OVERLAP = '60 seconds'
const REVOCATIONS_MAX = 10_000

/** The keys that were revoked since the database's own time `since`. */
export async function readRevocations(db: Queryable, ctx: Ctx, since: string): Promise<Revocations> {
  const text = `
    select now()::text as asked_at, array(
      select encode(secret_sha256, 'hex') from ripstop.api_keys
      where revoked_at >= $1::timestamptz - interval '${OVERLAP}' limit ${REVOCATIONS_MAX + 1}) as revoked`
  const { rows } = await db.query<{ asked_at: string; revoked: string[] }>(ctx, text, [since])
  const { asked_at = since, revoked = [] } = rows[0] ?? {}
  return { askedAtDatabase: asked_at, revoked: revoked.length > REVOCATIONS_MAX ? 'too many' : revoked }
}

/** Writes down that keys were used; skips those of which another process has just done so. */
export async function touchKeys(link: Db, ctx: Ctx, keyIds: readonly string[]): Promise<void> {
  const text = `
    update ripstop.api_keys set last_used_at = now()
    where key_id = any ($1::uuid[]) and (last_used_at is null or last_used_at < now() - interval '30 seconds')`
  await read(link, ctx, text, [keyIds])
}

/** Keys that ended longer ago than `afterMs`, at most `batch`; a row for each. For the holder of a lease. */
export function expireKeys(afterMs: number, batch: number): Omit<Part, 'name'> {
  const text = `
    delete from ripstop.api_keys where key_id = any (array(
      select key_id from ripstop.api_keys
      where (revoked_at < now() - $1::float8 * interval '1 ms' or expires_at < now() - $1::float8 * interval '1 ms')
        and exists (select from held) limit $2))
    returning 1 as deleted`
  return { text, values: [afterMs, batch] }
}

// Tenants

/** Throws the server's unique violation if the name is taken. */
export async function insertTenant(
  link: Db,
  ctx: Ctx,
  tenant: Tenant,
  audit: AuditLine,
  idempotency: IdempotencyKey | undefined,
): Promise<Done<Tenant>> {
  const text = `
    insert into ripstop.tenants (tenant_id, name, created_at)
    select $1::uuid, $2::text, to_timestamp($3::float8 / 1000) from once returning tenant_id`
  const done = await runOnce<Tenant>(link, ctx, {
    tenantId: audit.tenantId,
    idempotency,
    response: tenant,
    effect: { text, values: [tenant.tenantId, tenant.name, tenant.createdWallMs] },
    also: [auditPart(audit, 'effect')],
  })
  return done ?? { response: tenant, replayed: false } // an insert without a condition always has its effect
}

/** Tenants by what they were called: their names or ids. */
export async function findTenants(
  link: Db,
  ctx: Ctx,
  called: readonly string[],
): Promise<ReadonlyMap<string, { readonly tenantId: string; readonly name: string }>> {
  const text = `
    select called, tenant_id, name from unnest($1::text[]) as called
    join ripstop.tenants on tenants.name = called or tenants.tenant_id::text = called`
  const rows = await read<{ called: string; tenant_id: string; name: string }>(link, ctx, text, [called])
  return new Map(rows.map(({ called, tenant_id: tenantId, name }) => [called, { tenantId, name }]))
}

export async function listTenants(link: Db, ctx: Ctx, { after, limit }: Page): Promise<Tenant[]> {
  const text = `
    select tenant_id, name, ${ms('created_at')} as created from ripstop.tenants
    where $1::uuid is null or tenant_id < $1::uuid order by tenant_id desc limit $2`
  const rows = await read<{ tenant_id: string; name: string; created: number }>(link, ctx, text, [after ?? null, limit])
  return rows.map((row) => ({ tenantId: row.tenant_id, name: row.name, createdWallMs: row.created }))
}

/** For the CLI, which names tenants. */
export async function findTenant(link: Db, ctx: Ctx, name: string): Promise<string | undefined> {
  const text = 'select tenant_id from ripstop.tenants where name = $1'
  const [row] = await read<{ tenant_id: string }>(link, ctx, text, [name])
  return row?.tenant_id
}

// Audit

/** A line of its own, for what was refused and so had no effect. */
export async function insertAudit(link: Db, ctx: Ctx, line: AuditLine): Promise<void> {
  const { text, values } = composeStatement([auditPart(line)], 'select 1')
  await link.call(ctx, (pool, ctx) => pool.query(ctx, text, values))
}

export async function listAudit(link: Db, ctx: Ctx, tenantId: string, { after, limit }: Page): Promise<AuditEntry[]> {
  const text = `
    select audit_id, ${ms('at')} as at, actor, action, resource, outcome, trace_id, details from ripstop.audit_log
    where tenant_id = $1 and ($2::bigint is null or audit_id < $2::bigint) order by audit_id desc limit $3`
  interface Row extends Pick<AuditEntry, 'actor' | 'action' | 'resource' | 'outcome' | 'details'> {
    readonly audit_id: string
    readonly at: number
    readonly trace_id: string | null
  }
  const rows = await read<Row>(link, ctx, text, [tenantId, after ?? null, limit])
  return rows.map(({ audit_id, at, trace_id, ...rest }) => ({
    ...rest,
    auditId: audit_id,
    wallMs: at,
    traceId: trace_id ?? undefined,
  }))
}

/** Lines older than `afterMs`, at most `batch`; one row with how many. For the holder of a lease. */
export function expireAudit(afterMs: number, batch: number): Omit<Part, 'name'> {
  const text = `
    select ripstop.expire_audit_log(now() - $1::float8 * interval '1 ms', $2::integer) as deleted from held`
  return { text, values: [afterMs, batch] }
}
