import { RipstopError } from '@ripstop/kernel'
import {
  type ApiKeyWire,
  type AuditEntryWire,
  apiKeySchema,
  auditEntrySchema,
  createApiKeySchema,
  createdApiKeySchema,
  createTenantSchema,
  dataOf,
  idSchema,
  listOf,
  type PageQuery,
  pageQuerySchema,
  type TenantWire,
  tenantSchema,
} from '@ripstop/protocol'
import { z } from 'zod'
import { type Route, type RouteRequest, route } from '#platform/http'
import type { AccessService, Asking } from './access.ts'
import type { ApiKey, AuditEntry, Page, Tenant } from './store.ts'

const ID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/
const NUMBER = /^[0-9]{1,18}$/

export function createAccessRoutes(access: AccessService): readonly Route[] {
  return [...createKeyRoutes(access), ...createTenantRoutes(access), createAuditRoute(access)]
}

function createKeyRoutes(access: AccessService): Route[] {
  return [
    route({
      method: 'POST',
      path: '/v1/keys',
      summary: 'Create an API key',
      scopes: ['keys:write'],
      body: createApiKeySchema,
      response: dataOf(createdApiKeySchema),
      status: 201,
      handle: async (request) => {
        const { name, scopes, expires_at: expiresAt, tenant_id: tenantId } = request.body
        const expiresWallMs = expiresAt === undefined ? undefined : Date.parse(expiresAt)
        const wish = { name, scopes, expiresWallMs, tenantId }
        const { key, secret } = await access.createKey(request.ctx, askingOf(request), wish)
        const note = secret === undefined ? SECRET_GONE : SECRET_ONCE
        return {
          body: { data: { ...toKeyWire(key), secret: secret ?? null, secret_note: note } },
          headers: replayHeader(secret === undefined),
        }
      },
    }),
    route({
      method: 'GET',
      path: '/v1/keys',
      summary: 'List the API keys of the tenant, newest first',
      scopes: ['keys:read'],
      query: pageQuerySchema,
      response: listOf(apiKeySchema),
      handle: async ({ ctx, principal, query }) => ({
        body: toList(query, await access.listKeys(ctx, principal, toPage(query, ID)), toKeyWire, ({ keyId }) => keyId),
      }),
    }),
    route({
      method: 'DELETE',
      path: '/v1/keys/{key_id}',
      summary: 'Revoke an API key, for good',
      scopes: ['keys:write'],
      params: z.strictObject({ key_id: idSchema }),
      response: dataOf(apiKeySchema),
      handle: async (request) => ({
        body: { data: toKeyWire(await access.revokeKey(request.ctx, askingOf(request), request.params.key_id)) },
      }),
    }),
  ]
}

function createTenantRoutes(access: AccessService): Route[] {
  return [
    route({
      method: 'POST',
      path: '/v1/tenants',
      summary: 'Create a tenant',
      scopes: ['tenants:write'],
      body: createTenantSchema,
      response: dataOf(tenantSchema),
      status: 201,
      handle: async (request) => {
        const { response, replayed } = await access.createTenant(request.ctx, askingOf(request), request.body.name)
        return { body: { data: toTenantWire(response) }, headers: replayHeader(replayed) }
      },
    }),
    route({
      method: 'GET',
      path: '/v1/tenants',
      summary: 'List tenants, newest first',
      scopes: ['tenants:read'],
      query: pageQuerySchema,
      response: listOf(tenantSchema),
      handle: async ({ ctx, query }) => ({
        body: toList(query, await access.listTenants(ctx, toPage(query, ID)), toTenantWire, ({ tenantId }) => tenantId),
      }),
    }),
  ]
}

function createAuditRoute(access: AccessService): Route {
  return route({
    method: 'GET',
    path: '/v1/audit',
    summary: 'Read the audit log of the tenant, newest first',
    scopes: ['audit:read'],
    query: pageQuerySchema,
    response: listOf(auditEntrySchema),
    handle: async ({ ctx, principal, query }) => ({
      body: toList(
        query,
        await access.listAudit(ctx, principal, toPage(query, NUMBER)),
        toAuditWire,
        ({ auditId }) => auditId,
      ),
    }),
  })
}

const SECRET_ONCE = 'Keep the secret now: it is shown this once and stored nowhere.'
const SECRET_GONE =
  'This repeats an earlier creation, whose answer held the secret. If it is lost, revoke this key and create another.'

function replayHeader(replayed: boolean): Record<string, string> {
  return replayed ? { 'Idempotency-Replayed': 'true' } : {}
}

function askingOf({ principal, idempotency, traceId }: RouteRequest<unknown, unknown, unknown>): Asking {
  return { principal, idempotency, traceId }
}

/** One more than is shown tells whether there is a next page. Throws BAD_REQUEST for a cursor that is not ours. */
function toPage({ cursor, limit }: PageQuery, form: RegExp): Page {
  const after = cursor === undefined ? undefined : Buffer.from(cursor, 'base64url').toString('latin1')
  if (after !== undefined && !form.test(after)) {
    const problems = [{ field: 'query.cursor', problem: 'is not a next_cursor of this list' }]
    throw new RipstopError('BAD_REQUEST', 'query.cursor is not a next_cursor of this list', { details: { problems } })
  }
  return { after, limit: limit + 1 }
}

function toList<T, W>({ limit }: PageQuery, found: readonly T[], toWire: (entry: T) => W, idOf: (entry: T) => string) {
  const shown = found.slice(0, limit)
  const last = shown.at(-1)
  const more = found.length > limit && last !== undefined
  return { data: shown.map(toWire), next_cursor: more ? Buffer.from(idOf(last)).toString('base64url') : null }
}

function toTime(wallMs: number): string
function toTime(wallMs: number | undefined): string | null
function toTime(wallMs: number | undefined): string | null {
  return wallMs === undefined ? null : new Date(wallMs).toISOString()
}

function toKeyWire(key: ApiKey): ApiKeyWire {
  return {
    key_id: key.keyId,
    tenant_id: key.tenantId,
    name: key.name,
    prefix: key.prefix,
    scopes: [...key.scopes],
    created_at: toTime(key.createdWallMs),
    expires_at: toTime(key.expiresWallMs),
    revoked_at: toTime(key.revokedWallMs),
    last_used_at: toTime(key.lastUsedWallMs),
  }
}

function toTenantWire({ tenantId, name, createdWallMs }: Tenant): TenantWire {
  return { tenant_id: tenantId, name, created_at: toTime(createdWallMs) }
}

function toAuditWire({
  auditId,
  wallMs,
  actor,
  action,
  resource,
  outcome,
  traceId,
  details,
}: AuditEntry): AuditEntryWire {
  return { audit_id: auditId, at: toTime(wallMs), actor, action, resource, outcome, trace_id: traceId ?? null, details }
}
