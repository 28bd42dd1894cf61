// SQL of signing secrets. What is here is sealed; nothing of it is ever answered but metadata and public keys.
// Invariants:
//   WS4. At any moment at most SIGNING_SECRETS_MAX secrets of an endpoint sign, and one of them is the present one, whose end is open.

import type { Ctx } from '@ripstop/kernel'
import type { Part } from '#platform/postgres'
import { type Db, read } from './db.ts'
import { SIGNING_SECRETS_MAX } from './limits.ts'
import type { Algorithm } from './secret.ts'

export interface NewSecret {
  readonly secretId: string
  readonly endpointId: string
  readonly algorithm: Algorithm
  readonly sealed: Uint8Array
  readonly publicKey: Uint8Array | undefined
  /** Nobody was shown it yet. */
  readonly isUnread: boolean
  readonly createdWallMs: number
}

/** The part `secret_made`: inserts it if the part `from` has a row. */
export function secretPart(secret: NewSecret, from: string): Part {
  const { secretId, endpointId, algorithm, sealed, publicKey, isUnread, createdWallMs } = secret
  const text = `
    insert into ripstop.endpoint_secrets (secret_id, endpoint_id, algorithm, sealed, public_key, is_unread, created_at)
    select $1::uuid, $2::uuid, $3::text, $4::bytea, $5::bytea, $6::boolean, to_timestamp($7::float8 / 1000)
    where exists (select from ${from}) returning secret_id`
  const values = [secretId, endpointId, algorithm, sealed, publicKey ?? null, isUnread, createdWallMs]
  return { name: 'secret_made', text, values }
}

/** The part `secrets_ended`: what is the present secret signs for `overlapMs` more, if the part `from` has a row. */
export function endSecretsPart(endpointId: string, overlapMs: number, from: string): Part {
  const text = `
    update ripstop.endpoint_secrets set signs_until = now() + $2::float8 * interval '1 ms'
    where endpoint_id = $1::uuid and signs_until is null and exists (select from ${from}) returning secret_id`
  return { name: 'secrets_ended', text, values: [endpointId, overlapMs] }
}

/** The part `secret_revoked`: it signs no more; not the present one. */
export function revokeSecretPart(secretId: string, from: string): Part {
  const text = `
    update ripstop.endpoint_secrets set signs_until = now()
    where secret_id = $1::uuid and signs_until > now() and exists (select from ${from}) returning secret_id`
  return { name: 'secret_revoked', text, values: [secretId] }
}

/** The part `secret_warned`. */
export function warnedPart(secretId: string, from: string): Part {
  const text = `
    update ripstop.endpoint_secrets set is_warned = true where secret_id = $1::uuid and exists (select from ${from})
    returning secret_id`
  return { name: 'secret_warned', text, values: [secretId] }
}

const SIGNS = '(s.signs_until is null or s.signs_until > now())'

/** SQL about the endpoint e: one more secret may sign. */
export const HAS_ROOM_FOR_SECRET = `
  (select count(*) from ripstop.endpoint_secrets s where s.endpoint_id = e.endpoint_id and ${SIGNS}) < ${SIGNING_SECRETS_MAX}`

/** SQL about the endpoint e. `secretId` has been checked to be a UUID: it stands in the text. */
export function hasSecret(secretId: string, condition: string): string {
  return `exists (
    select from ripstop.endpoint_secrets s
    where s.secret_id = '${secretId}'::uuid and s.endpoint_id = e.endpoint_id and ${condition})`
}

export interface SealedSecret {
  readonly secretId: string
  readonly endpointId: string
  readonly tenantId: string
  readonly algorithm: Algorithm
  readonly sealed: Buffer
  readonly signsUntilWallMs: number | undefined
}

interface SealedRow {
  readonly secret_id: string
  readonly endpoint_id: string
  readonly tenant_id: string
  readonly algorithm: Algorithm
  readonly sealed: Buffer
  readonly until_ms: number | null
}

const SEALED_COLUMNS = `s.secret_id, s.endpoint_id, e.tenant_id, s.algorithm, s.sealed,
  extract(epoch from s.signs_until)::float8 * 1000 as until_ms`

function toSealed(row: SealedRow): SealedSecret {
  return {
    secretId: row.secret_id,
    endpointId: row.endpoint_id,
    tenantId: row.tenant_id,
    algorithm: row.algorithm,
    sealed: row.sealed,
    signsUntilWallMs: row.until_ms ?? undefined,
  }
}

/** Those that sign now, the present one first. */
export async function readSigningSecrets(
  link: Db,
  ctx: Ctx,
  endpointIds: readonly string[],
): Promise<readonly SealedSecret[]> {
  const text = `
    select ${SEALED_COLUMNS} from ripstop.endpoint_secrets s join ripstop.endpoints e on e.endpoint_id = s.endpoint_id
    where s.endpoint_id = any ($1::uuid[]) and ${SIGNS} order by s.signs_until desc nulls first, s.secret_id desc`
  return (await read<SealedRow>(link, ctx, text, [endpointIds])).map(toSealed)
}

/** One that nobody was shown, and marks that it was: only the first who asks gets it. */
export async function takeUnread(
  link: Db,
  ctx: Ctx,
  tenantId: string,
  endpointId: string,
  secretId: string,
): Promise<SealedSecret | undefined> {
  const text = `
    update ripstop.endpoint_secrets s set is_unread = false from ripstop.endpoints e
    where s.secret_id = $1 and s.endpoint_id = $2 and e.endpoint_id = s.endpoint_id and e.tenant_id = $3
      and e.deleted_at is null and s.is_unread
    returning ${SEALED_COLUMNS}`
  // Not to be repeated: the answer to the first one would be lost, and with it the secret.
  const { rows } = await link.call(ctx, (pool, ctx) =>
    pool.query<SealedRow>(ctx, text, [secretId, endpointId, tenantId]),
  )
  return rows[0] === undefined ? undefined : toSealed(rows[0])
}

export interface SecretInfo {
  readonly secretId: string
  readonly endpointId: string
  readonly tenantId: string
  readonly url: string
  readonly algorithm: Algorithm
  readonly publicKey: Buffer | undefined
  readonly isUnread: boolean
  readonly isWarned: boolean
  readonly createdWallMs: number
  readonly signsUntilWallMs: number | undefined
  readonly rotatesItself: boolean | undefined
}

interface InfoRow {
  readonly secret_id: string
  readonly endpoint_id: string
  readonly tenant_id: string
  readonly url: string
  readonly algorithm: Algorithm
  readonly public_key: Buffer | null
  readonly is_unread: boolean
  readonly is_warned: boolean
  readonly created_ms: number
  readonly until_ms: number | null
  readonly rotates_itself: boolean | null
}

const INFO_COLUMNS = `s.secret_id, s.endpoint_id, e.tenant_id, e.url, s.algorithm, s.public_key, s.is_unread, s.is_warned,
  e.rotates_itself, floor(extract(epoch from s.created_at) * 1000)::float8 as created_ms,
  floor(extract(epoch from s.signs_until) * 1000)::float8 as until_ms`

function toInfo(row: InfoRow): SecretInfo {
  return {
    secretId: row.secret_id,
    endpointId: row.endpoint_id,
    tenantId: row.tenant_id,
    url: row.url,
    algorithm: row.algorithm,
    publicKey: row.public_key ?? undefined,
    isUnread: row.is_unread,
    isWarned: row.is_warned,
    createdWallMs: row.created_ms,
    signsUntilWallMs: row.until_ms ?? undefined,
    rotatesItself: row.rotates_itself ?? undefined,
  }
}

const INFO = `select ${INFO_COLUMNS} from ripstop.endpoint_secrets s join ripstop.endpoints e on e.endpoint_id = s.endpoint_id`

/** Those that sign, of endpoints that are there; the present one first. */
export async function listSecrets(
  link: Db,
  ctx: Ctx,
  tenantId: string,
  endpointIds: readonly string[],
): Promise<readonly SecretInfo[]> {
  const text = `${INFO}
    where e.tenant_id = $1 and s.endpoint_id = any ($2::uuid[]) and e.deleted_at is null and ${SIGNS}
    order by s.signs_until desc nulls first, s.secret_id desc`
  return (await read<InfoRow>(link, ctx, text, [tenantId, endpointIds])).map(toInfo)
}

export interface AgeQuestion {
  /** Undefined: of every tenant. */
  readonly tenantId: string | undefined
  readonly olderThanMs: number
  readonly isWarned: boolean | undefined
  /** Only those that rotate by themselves; the value: do v1a keys where nobody said? */
  readonly rotatesItself?: boolean
  readonly limit: number
}

/** Present secrets that are older than that, the oldest first. */
export async function findAged(link: Db, ctx: Ctx, question: AgeQuestion): Promise<readonly SecretInfo[]> {
  const { tenantId, olderThanMs, isWarned, rotatesItself, limit } = question
  const text = `${INFO}
    where ($1::uuid is null or e.tenant_id = $1) and e.deleted_at is null and s.signs_until is null
      and s.created_at <= now() - $2::float8 * interval '1 ms' and ($3::boolean is null or s.is_warned = $3)
      and ($4::boolean is null or coalesce(e.rotates_itself, s.algorithm = 'v1a' and $4))
    order by s.created_at, s.secret_id limit $5`
  const values = [tenantId ?? null, olderThanMs, isWarned ?? null, rotatesItself ?? null, limit]
  return (await read<InfoRow>(link, ctx, text, values)).map(toInfo)
}
