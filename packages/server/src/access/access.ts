// Tenants and keys: who may make what for whom. Usable without the rest of the mesh, so that the CLI works on the database
// alone.
// Invariants:
//   AC4. Nobody gives a key more than they have themselves.
//   AC5. What belongs to another tenant is, to a key, the same as what does not exist. Only the default tenant's
//        tenants:write reaches over, to make tenants and keys for them.

import { type Ctx, createId, type Env, type Link, RipstopError } from '@ripstop/kernel'
import type { PostgresPool } from '@ripstop/kernel/postgres'
import { type IdempotencyKey, mayUse, type Principal } from '#platform/http'
import { type Done, violatedConstraint } from '#platform/postgres'
import { createSecret, type KeyEnvironment } from './api-key.ts'
import type { AuditLine } from './audit.ts'
import {
  type ApiKey,
  type AuditEntry,
  findLiveKeys,
  findTenant,
  insertAudit,
  insertKey,
  insertTenant,
  listAudit,
  listKeys,
  listTenants,
  type Page,
  revokeKey,
  type Tenant,
} from './store.ts'
import { DEFAULT_TENANT_ID } from './tenant.ts'

export interface AccessDeps {
  readonly env: Env
  readonly link: Link<PostgresPool>
  readonly environment: KeyEnvironment
  /** Every scope there is. */
  readonly allScopes: readonly string[]
  /** What is heard by the authenticator of this process at once. */
  readonly keyCreated?: (sha256: string) => void
  readonly keyRevoked?: (sha256: string) => void
}

/** Who asks, and how the request is known. */
export interface Asking {
  readonly principal: Principal
  readonly idempotency?: IdempotencyKey | undefined
  readonly traceId?: string
}

export interface KeyWish {
  readonly name: string
  readonly scopes: readonly string[]
  readonly expiresWallMs?: number | undefined
  /** Default: the tenant of who asks. */
  readonly tenantId?: string | undefined
}

export interface CreatedKey {
  readonly key: ApiKey
  /** Undefined if the creation was replayed: it is kept nowhere. */
  readonly secret: string | undefined
}

export interface AccessService {
  readonly createKey: (ctx: Ctx, asking: Asking, wish: KeyWish) => Promise<CreatedKey>
  readonly listKeys: (ctx: Ctx, principal: Principal, page: Page) => Promise<readonly ApiKey[]>
  readonly revokeKey: (ctx: Ctx, asking: Asking, keyId: string) => Promise<ApiKey>
  /** Those of the tenant's keys that work now. */
  readonly liveKeys: (ctx: Ctx, tenantId: string, keyIds: readonly string[]) => Promise<ReadonlySet<string>>
  readonly createTenant: (ctx: Ctx, asking: Asking, name: string) => Promise<Done<Tenant>>
  readonly listTenants: (ctx: Ctx, page: Page) => Promise<readonly Tenant[]>
  readonly listAudit: (ctx: Ctx, principal: Principal, page: Page) => Promise<readonly AuditEntry[]>
  /** The id of a tenant by its name. Throws NOT_FOUND. */
  readonly findTenant: (ctx: Ctx, name: string) => Promise<string>
}

/** Every function throws what the link throws, and the codes that it names. */
export function createAccessService(deps: AccessDeps): AccessService {
  const { link } = deps
  return {
    createKey: (ctx, asking, wish) => createKey(deps, ctx, asking, wish),
    listKeys: (ctx, { tenantId }, page) => listKeys(link, ctx, tenantId, page),
    revokeKey: async (ctx, asking, keyId) => {
      const { tenantId } = asking.principal
      const revoked = await revokeKey(link, ctx, tenantId, keyId, lineOf(asking, 'key.revoke', `key:${keyId}`))
      if (revoked === undefined) throw new RipstopError('NOT_FOUND', 'there is no such API key')
      if (revoked.sha256 !== undefined) deps.keyRevoked?.(revoked.sha256)
      return revoked.key
    },
    liveKeys: (ctx, tenantId, keyIds) => findLiveKeys(link, ctx, tenantId, keyIds),
    createTenant: (ctx, asking, name) => createTenant(deps, ctx, asking, name),
    listTenants: (ctx, page) => listTenants(link, ctx, page),
    listAudit: (ctx, { tenantId }, page) => listAudit(link, ctx, tenantId, page),
    findTenant: async (ctx, name) => {
      const tenantId = await findTenant(link, ctx, name)
      if (tenantId === undefined) throw new RipstopError('NOT_FOUND', `there is no tenant named ${name}`)
      return tenantId
    },
  }
}

/** BAD_REQUEST for unknown scopes, FORBIDDEN for more than one has, NOT_FOUND for an unknown tenant. */
async function createKey(deps: AccessDeps, ctx: Ctx, asking: Asking, wish: KeyWish): Promise<CreatedKey> {
  const { env, link, environment } = deps
  const tenantId = wish.tenantId ?? asking.principal.tenantId
  const scopes = [...new Set(wish.scopes)].sort()
  refuseUnknown(scopes, deps.allScopes)
  const createdWallMs = Math.floor(env.clock.wallMs())
  if (wish.expiresWallMs !== undefined && wish.expiresWallMs <= createdWallMs)
    throw badField('body.expires_at', 'is over already')
  const keyId = createId(createdWallMs)
  const line = lineOf(asking, 'key.create', `key:${keyId}`, { name: wish.name, scopes, for_tenant: tenantId })
  await refuseMore(deps, ctx, asking.principal, tenantId, scopes, line)
  const { secret, prefix, sha256 } = createSecret(environment)
  const { name, expiresWallMs } = wish
  const expiry = expiresWallMs === undefined ? {} : { expiresWallMs }
  const key: ApiKey = { keyId, tenantId, name, prefix, scopes, createdWallMs, ...expiry }
  try {
    const { response, replayed } = await insertKey(link, ctx, key, sha256, line, asking.idempotency)
    if (!replayed) deps.keyCreated?.(sha256)
    return { key: response, secret: replayed ? undefined : secret }
  } catch (error) {
    if (violatedConstraint(error) !== 'api_keys_tenant_id_fkey') throw error
    throw new RipstopError('NOT_FOUND', 'there is no such tenant', { cause: error })
  }
}

function refuseUnknown(scopes: readonly string[], all: readonly string[]): void {
  const unknown = scopes.filter((scope) => !all.includes(scope))
  if (unknown.length === 0) return
  throw badField('body.scopes', `must be among ${all.join(', ')}`)
}

function badField(field: string, problem: string): RipstopError {
  return new RipstopError('BAD_REQUEST', `${field} ${problem}`, { details: { problems: [{ field, problem }] } })
}

/** AC4, AC5. The attempt is told in the audit log. */
async function refuseMore(
  { link }: AccessDeps,
  ctx: Ctx,
  principal: Principal,
  tenantId: string,
  scopes: readonly string[],
  line: AuditLine,
): Promise<void> {
  const elsewhere = tenantId !== principal.tenantId
  const mayReach = principal.tenantId === DEFAULT_TENANT_ID && mayUse(principal, 'tenants:write')
  const missing = elsewhere && mayReach ? [] : scopes.filter((scope) => !mayUse(principal, scope))
  if (elsewhere && !mayReach) missing.push('tenants:write')
  if (missing.length === 0) return
  await insertAudit(link, ctx, { ...line, outcome: 'refused' })
  throw new RipstopError('FORBIDDEN', `a key can't be given what its maker lacks: ${missing.join(', ')}`, {
    details: { missing_scopes: missing },
  })
}

/** CONFLICT if the name is taken. */
async function createTenant({ env, link }: AccessDeps, ctx: Ctx, asking: Asking, name: string): Promise<Done<Tenant>> {
  const createdWallMs = Math.floor(env.clock.wallMs())
  const tenant: Tenant = { tenantId: createId(createdWallMs), name, createdWallMs }
  const line = lineOf(asking, 'tenant.create', `tenant:${tenant.tenantId}`, { name })
  try {
    return await insertTenant(link, ctx, tenant, line, asking.idempotency)
  } catch (error) {
    if (violatedConstraint(error) !== 'tenants_name_key') throw error
    throw new RipstopError('CONFLICT', `a tenant named ${name} exists already`, { cause: error })
  }
}

function lineOf(
  { principal, traceId }: Asking,
  action: string,
  resource: string,
  details?: Readonly<Record<string, unknown>>,
): AuditLine {
  const { tenantId, actor } = principal
  return { tenantId, actor, action, resource, outcome: 'done', traceId, ...(details === undefined ? {} : { details }) }
}
