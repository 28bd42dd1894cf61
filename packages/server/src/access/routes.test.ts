import type { ApiKeyWire, AuditEntryWire, CreatedApiKeyWire, TenantWire } from '@ripstop/protocol'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { post, startTestServer, type TestServer } from '../testing/http.ts'
import { startTestMesh, type TestMesh } from '../testing/mesh.ts'
import { createTestDatabase, type TestDatabase } from '../testing/postgres.ts'
import { until } from '../testing/processes.ts'
import { type Access, startAccess } from './start.ts'
import { DEFAULT_TENANT_ID } from './tenant.ts'

const CLI = { tenantId: DEFAULT_TENANT_ID, actor: 'cli', keyId: undefined, scopes: ['admin'] }

let database: TestDatabase
let mesh: TestMesh
let access: Access
let server: TestServer

beforeAll(async () => {
  database = await createTestDatabase()
  mesh = await startTestMesh(database.url)
  const { env, link } = mesh
  access = startAccess({
    env,
    mesh: mesh.mesh,
    link,
    mode: 'keys',
    environment: 'development',
    routeScopes: ['orders:read'],
    touchEveryMs: 100,
  })
  server = await startTestServer({ routes: access.routes, authenticate: access.authenticate, mode: 'keys' })
})

afterAll(async () => {
  await server[Symbol.asyncDispose]()
  await access[Symbol.asyncDispose]()
  await mesh[Symbol.asyncDispose]()
  await database[Symbol.asyncDispose]()
})

/** A key made as the CLI does. */
async function keyOf(scopes: readonly string[], tenantId = DEFAULT_TENANT_ID): Promise<string> {
  const { secret = '' } = await access.service.createKey(
    mesh.ctx,
    { principal: { ...CLI, tenantId } },
    { name: 'cli', scopes },
  )
  return secret
}

async function call<T>(key: string, path: string, init: RequestInit = {}) {
  const headers = { ...(init.headers as Record<string, string>), 'x-api-key': key }
  const answer = await server.request(path, { ...init, headers })
  return { ...answer, data: answer.json.data as T, code: answer.json.error?.code }
}

async function createTenant(admin: string, name: string): Promise<TenantWire> {
  const { data, status } = await call<TenantWire>(admin, '/v1/tenants', post({ name }))
  expect(status).toBe(201)
  return data
}

describe('keys over the API', () => {
  test('a key is made, works, is listed without its secret, is revoked and works no more', async () => {
    const admin = await keyOf(['admin'])
    const created = await call<CreatedApiKeyWire>(
      admin,
      '/v1/keys',
      post({ name: ' reporting ', scopes: ['audit:read', 'keys:read', 'audit:read'] }),
    )
    expect(created.status).toBe(201)
    const { secret, key_id: keyId, ...shown } = created.data
    expect(secret).toMatch(/^rs_dev_/)
    expect(shown).toMatchObject({
      name: 'reporting',
      scopes: ['audit:read', 'keys:read'],
      revoked_at: null,
      tenant_id: DEFAULT_TENANT_ID,
    })
    const listed = await call<ApiKeyWire[]>(secret ?? '', '/v1/keys')
    expect(listed.data.map((key) => key.key_id)).toContain(keyId)
    expect(listed.text).not.toContain(secret)
    expect((await call(secret ?? '', '/v1/keys', post({ name: 'x', scopes: ['audit:read'] }))).code).toBe('FORBIDDEN')
    await until('its use is written down', async () => {
      const { data } = await call<ApiKeyWire[]>(admin, '/v1/keys')
      return data.find((key) => key.key_id === keyId)?.last_used_at ?? undefined
    })
    const revoked = await call<ApiKeyWire>(admin, `/v1/keys/${keyId}`, { method: 'DELETE' })
    expect(revoked.data.revoked_at).not.toBeNull()
    expect((await call(secret ?? '', '/v1/keys')).code).toBe('UNAUTHENTICATED')
    const again = await call<ApiKeyWire>(admin, `/v1/keys/${keyId}`, { method: 'DELETE' })
    expect(again.data.revoked_at).toBe(revoked.data.revoked_at)
  })

  test('no secret is in the database, in clear or in a recorded answer', async () => {
    const admin = await keyOf(['admin'])
    const headers = { 'idempotency-key': 'secretive' }
    const { data } = await call<CreatedApiKeyWire>(
      admin,
      '/v1/keys',
      post({ name: 'x', scopes: ['audit:read'] }, headers),
    )
    const tables = ['api_keys', 'idempotency', 'audit_log']
    for (const table of tables) {
      const rows = await mesh.query<{ row: string }>(`select t::text as row from ripstop.${table} t`)
      expect(rows.length).toBeGreaterThan(0)
      expect(
        rows.some(({ row }) => row.includes(data.secret ?? 'rs_') || row.includes(data.secret?.slice(15) ?? 'rs_')),
      ).toBe(false)
    }
  })

  test('a repeated creation makes no second key, gives the same answer without the secret, and says so', async () => {
    const admin = await keyOf(['admin'])
    const init = post({ name: 'once', scopes: ['audit:read'] }, { 'idempotency-key': 'k-1' })
    const [one, two, three] = await Promise.all([1, 2, 3].map(() => call<CreatedApiKeyWire>(admin, '/v1/keys', init)))
    const answers = [one, two, three].map((answer) => answer?.data)
    expect(new Set(answers.map((data) => data?.key_id)).size).toBe(1)
    expect(answers.filter((data) => data?.secret !== null)).toHaveLength(1)
    const replayed = await call<CreatedApiKeyWire>(admin, '/v1/keys', init)
    expect([replayed.status, replayed.headers.get('idempotency-replayed'), replayed.data.secret]).toEqual([
      201,
      'true',
      null,
    ])
    expect(replayed.data.secret_note).toContain('repeats an earlier creation')
    const other = await call(
      admin,
      '/v1/keys',
      post({ name: 'twice', scopes: ['audit:read'] }, { 'idempotency-key': 'k-1' }),
    )
    expect([other.status, other.code]).toEqual([422, 'IDEMPOTENCY_KEY_REUSED'])
    const { data } = await call<ApiKeyWire[]>(admin, '/v1/keys?limit=200')
    expect(data.filter(({ name }) => name === 'once')).toHaveLength(1)
  })

  test('AC4: nobody gives more than they have, and the attempt is in the audit log', async () => {
    const maker = await keyOf(['keys:write', 'audit:read'])
    const more = await call(maker, '/v1/keys', post({ name: 'more', scopes: ['audit:read', 'admin'] }))
    expect([more.status, more.json.error?.details]).toEqual([403, { missing_scopes: ['admin'] }])
    const { data } = await call<AuditEntryWire[]>(maker, '/v1/audit?limit=1')
    expect(data[0]).toMatchObject({ action: 'key.create', outcome: 'refused', details: { name: 'more' } })
    expect((await call(maker, '/v1/keys', post({ name: 'same', scopes: ['audit:read'] }))).status).toBe(201)
  })

  test('the list of scopes is closed, and holds what the routes of the gateway ask for', async () => {
    const admin = await keyOf(['admin'])
    const unknown = await call(admin, '/v1/keys', post({ name: 'x', scopes: ['orders:write'] }))
    expect([unknown.code, unknown.json.error?.message]).toEqual(['BAD_REQUEST', expect.stringContaining('orders:read')])
    expect((await call(admin, '/v1/keys', post({ name: 'x', scopes: ['orders:read'] }))).status).toBe(201)
    const past = await call(
      admin,
      '/v1/keys',
      post({ name: 'x', scopes: ['admin'], expires_at: '2020-01-01T00:00:00Z' }),
    )
    expect(past.json.error?.message).toBe('body.expires_at is over already')
  })

  test('lists come in pages, newest first, without gap or double; a made-up cursor is refused', async () => {
    const admin = await keyOf(['admin'])
    for (let index = 0; index < 7; index++)
      await call(admin, '/v1/keys', post({ name: `page ${index}`, scopes: ['audit:read'] }))
    const seen: string[] = []
    let cursor: string | null = ''
    for (let page = 0; page < 50 && cursor !== null; page++) {
      const query: string = cursor === '' ? '' : `&cursor=${cursor}`
      const answer = await call<ApiKeyWire[]>(admin, `/v1/keys?limit=3${query}`)
      seen.push(...answer.data.map(({ key_id }) => key_id))
      cursor = (answer.json as unknown as { next_cursor: string | null }).next_cursor
    }
    const [{ count = 0 } = {}] = await mesh.query<{ count: number }>(
      'select count(*)::int as count from ripstop.api_keys where tenant_id = $1',
      [DEFAULT_TENANT_ID],
    )
    expect([seen.length, new Set(seen).size]).toEqual([count, count])
    expect(seen).toEqual(seen.toSorted().reverse())
    expect((await call(admin, '/v1/keys?cursor=bm90aGluZw')).code).toBe('BAD_REQUEST')
    expect((await call(admin, '/v1/keys?limit=201')).code).toBe('BAD_REQUEST')
  })
})

describe('tenants', () => {
  test('AC5: a key sees and touches its own tenant only; another’s key is as if it did not exist', async () => {
    const operator = await keyOf(['admin'])
    const acme = await createTenant(operator, 'acme')
    const made = await call<CreatedApiKeyWire>(
      operator,
      '/v1/keys',
      post({ name: 'acme admin', scopes: ['admin'], tenant_id: acme.tenant_id }),
    )
    const acmeAdmin = made.data.secret ?? ''
    expect(made.data.tenant_id).toBe(acme.tenant_id)

    const own = await call<CreatedApiKeyWire>(acmeAdmin, '/v1/keys', post({ name: 'own', scopes: ['audit:read'] }))
    expect(own.data.tenant_id).toBe(acme.tenant_id)
    const listed = await call<ApiKeyWire[]>(acmeAdmin, '/v1/keys')
    expect(new Set(listed.data.map(({ tenant_id }) => tenant_id))).toEqual(new Set([acme.tenant_id]))

    const foreign = (await call<ApiKeyWire[]>(operator, '/v1/keys?limit=1')).data[0]
    const nothing = await call(acmeAdmin, `/v1/keys/${crypto.randomUUID()}`, { method: 'DELETE' })
    const others = await call(acmeAdmin, `/v1/keys/${foreign?.key_id}`, { method: 'DELETE' })
    expect([nothing.status, others.status]).toEqual([404, 404])
    expect(others.json).toEqual(nothing.json)
    // It holds in the other direction too: operators reach over to make, not to look or to take.
    expect((await call(operator, `/v1/keys/${own.data.key_id}`, { method: 'DELETE' })).status).toBe(404)

    for (const [path, init] of [
      ['/v1/tenants', undefined],
      ['/v1/tenants', post({ name: 'mine' })],
      ['/v1/keys', post({ name: 'x', scopes: ['audit:read'], tenant_id: DEFAULT_TENANT_ID })],
      ['/v1/keys', post({ name: 'x', scopes: ['audit:read'], tenant_id: crypto.randomUUID() })],
      ['/v1/keys', post({ name: 'x', scopes: ['mesh:read'] })],
    ] as const) {
      expect((await call(acmeAdmin, path, init)).status).toBe(403)
    }
    const { data } = await call<AuditEntryWire[]>(acmeAdmin, '/v1/audit?limit=200')
    expect(data.length).toBeGreaterThan(0)
    expect(data.some(({ resource }) => resource === `tenant:${acme.tenant_id}`)).toBe(false)
  })

  test('AC5: an Idempotency-Key of one tenant says nothing to another', async () => {
    const operator = await keyOf(['admin'])
    const one = await keyOf(['keys:write', 'audit:read'], (await createTenant(operator, 'one')).tenant_id)
    const two = await keyOf(['keys:write', 'audit:read'], (await createTenant(operator, 'two')).tenant_id)
    const init = post({ name: 'shared', scopes: ['audit:read'] }, { 'idempotency-key': 'the-same' })
    const first = await call<CreatedApiKeyWire>(one, '/v1/keys', init)
    const second = await call<CreatedApiKeyWire>(two, '/v1/keys', init)
    expect([second.status, second.headers.get('idempotency-replayed')]).toEqual([201, null])
    expect(second.data.tenant_id).not.toBe(first.data.tenant_id)
  })

  test('a name is taken once; a repetition with its Idempotency-Key is no second try', async () => {
    const operator = await keyOf(['admin'])
    const init = post({ name: 'globex' }, { 'idempotency-key': 'globex' })
    const made = await call<TenantWire>(operator, '/v1/tenants', init)
    const replayed = await call<TenantWire>(operator, '/v1/tenants', init)
    expect(replayed.data).toEqual(made.data)
    expect(replayed.headers.get('idempotency-replayed')).toBe('true')
    expect((await call(operator, '/v1/tenants', post({ name: 'globex' }))).code).toBe('CONFLICT')
    expect((await call(operator, '/v1/tenants', post({ name: 'Globex!' }))).code).toBe('BAD_REQUEST')
    const listed = await call<TenantWire[]>(operator, '/v1/tenants')
    expect(listed.data.map(({ name }) => name)).toContain('globex')
    const nowhere = await call(
      operator,
      '/v1/keys',
      post({ name: 'x', scopes: ['audit:read'], tenant_id: crypto.randomUUID() }),
    )
    expect([nowhere.status, nowhere.json.error?.message]).toEqual([404, 'there is no such tenant'])
  })
})

describe('the audit log', () => {
  test('AU1: an effect and its line come together; who, what, where and by which trace', async () => {
    const operator = await keyOf(['admin'])
    const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'
    const created = await call<CreatedApiKeyWire>(
      operator,
      '/v1/keys',
      post({ name: 'traced', scopes: ['audit:read'] }, { traceparent }),
    )
    await call(operator, `/v1/keys/${created.data.key_id}`, { method: 'DELETE' })
    await call(operator, `/v1/keys/${created.data.key_id}`, { method: 'DELETE' }) // no effect, no line
    const resource = `key:${created.data.key_id}`
    const { data } = await call<AuditEntryWire[]>(operator, '/v1/audit?limit=20')
    const lines = data.filter((line) => line.resource === resource)
    expect(lines.map(({ action, outcome }) => [action, outcome])).toEqual([
      ['key.revoke', 'done'],
      ['key.create', 'done'],
    ])
    expect(lines[1]?.trace_id).toBe('4bf92f3577b34da6a3ce929d0e0e4736')
    expect(lines[1]?.actor).toMatch(/^key:/)
    expect(JSON.stringify(lines)).not.toContain(created.data.secret)
  })

  test('AU1: an effect that fails leaves no line', async () => {
    const operator = await keyOf(['admin'])
    await createTenant(operator, 'initech')
    const countOf = async () =>
      (await mesh.query<{ count: string }>('select count(*) from ripstop.audit_log'))[0]?.count
    const before = await countOf()
    expect((await call(operator, '/v1/tenants', post({ name: 'initech' }))).code).toBe('CONFLICT')
    expect(await countOf()).toBe(before)
  })

  test.each([
    'update ripstop.audit_log set actor = $$nobody$$',
    'delete from ripstop.audit_log',
    'truncate ripstop.audit_log',
  ])('AU2: its owner can’t "%s"', async (text) => {
    await keyOf(['admin'])
    const error = (await mesh.query(text).catch((caught: unknown) => caught)) as { code: string }
    expect(['RS002', '42501']).toContain(error.code)
    expect(await mesh.query('select 1 from ripstop.audit_log limit 1')).toHaveLength(1)
  })

  test('AU2: not even with the switch that retention uses are young lines deleted', async () => {
    const deleting = mesh.link.call(mesh.ctx, (pool, ctx) =>
      pool.transaction(ctx, async (tx) => {
        await tx.query(ctx, `select set_config('ripstop.expiring_audit_log', 'yes', true)`)
        await tx.query(ctx, 'delete from ripstop.audit_log')
      }),
    )
    await expect(deleting).rejects.toMatchObject({ code: 'RS002' })
    expect(await mesh.query('select ripstop.expire_audit_log(now() + interval $$1 day$$, 1000) as deleted')).toEqual([
      { deleted: 0 },
    ])
  })
})
