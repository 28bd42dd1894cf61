// Who may do what on a running mesh with API keys: tenants see nothing of each other, what is revoked ends, production
// refuses what is unsafe, and no secret is ever written down.

import { readFile, writeFile } from 'node:fs/promises'
import { type FaultProxy, startFaultProxy } from '@ripstop/faults'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { startTestUpstream, type TestUpstream } from '../../packages/server/src/testing/gateway.ts'
import { createTestDatabase, type TestDatabase } from '../../packages/server/src/testing/postgres.ts'
import { type Answer, dataOf } from './client.ts'
import { createKey } from './fixture.ts'
import { runCli, startMesh, type TestMesh, tellOnFailure, until } from './harness.ts'

/** A revoked key ends everywhere within a second; the rest is for a machine that others use too. */
const REVOKED_MS = 1_000 + 2_500
const TENANT_SCOPES = ['keys:read', 'keys:write', 'audit:read', 'orders:read']

let upstream: TestUpstream
let database: TestDatabase
let proxy: FaultProxy
let url: string
let mesh: TestMesh
/** Another edge on the same database. */
let second: TestMesh
const secrets: string[] = []
let operator: string
const tenants: { id: string; secret: string }[] = []

beforeAll(async () => {
  upstream = await startTestUpstream((request, response) => response.end(JSON.stringify(request.headers)))
  database = await createTestDatabase()
  const { hostname, port } = new URL(database.url)
  proxy = await startFaultProxy({ upstream: { host: hostname, port: Number(port) } })
  url = proxy.through(database.url)
  const route = { path: '/orders', upstream: 'echo', scopes: ['orders:read'] }
  const options = {
    config: {
      access: { mode: 'keys' },
      log: { level: 'debug' },
      upstreams: { echo: { url: `http://127.0.0.1:${upstream.port}` } },
      routes: [route, { path: '/few', upstream: 'echo', rate_limit: { per_minute: 5, by: 'key' } }],
    },
    env: { DATABASE_URL: url },
  }
  mesh = await startMesh(options)
  second = await startMesh({ ...options, args: ['--roles', 'edge'] })
  await Promise.all([mesh.ready(), second.ready()])
  const made = await runCli(
    ['keys', 'create', '--name', 'operator', '--scopes', 'admin', '--config', mesh.configFile],
    {
      env: { DATABASE_URL: url },
    },
  )
  operator = made.out.trim()
  secrets.push(operator)
  for (const name of ['tenant-a', 'tenant-b']) tenants.push(await createTenant(name))
})
afterAll(async () => {
  for (const each of [mesh, second, proxy, database, upstream]) await each[Symbol.asyncDispose]()
})
beforeEach((context) => tellOnFailure(context, mesh, second))

const bearer = (secret: string): Record<string, string> => ({ authorization: `Bearer ${secret}` })
const get = (path: string, secret: string, of = mesh): Promise<Answer> => of.ask(path, { headers: bearer(secret) })
const post = (path: string, secret: string, body: object, more: Record<string, string> = {}): Promise<Answer> =>
  mesh.ask(path, { method: 'POST', body, headers: { ...bearer(secret), ...more } })

async function createTenant(name: string): Promise<{ id: string; secret: string }> {
  const { tenant_id: id } = dataOf<{ readonly tenant_id: string }>(await post('/v1/tenants', operator, { name }))
  const wish = { name: `key of ${name}`, scopes: TENANT_SCOPES, tenant_id: id }
  const secret = await createKey(mesh, wish, bearer(operator))
  secrets.push(secret)
  return { id, secret }
}

function pair(): readonly [{ id: string; secret: string }, { id: string; secret: string }] {
  const [one, other] = tenants
  if (one === undefined || other === undefined) throw new Error('there are no two tenants')
  return [one, other]
}

interface Key {
  readonly key_id: string
  readonly tenant_id: string
}

test("AC5: a tenant's key sees, changes and ends nothing of another tenant, and is told what it lacks", async () => {
  const [one, other] = pair()
  const keysOf = async (secret: string): Promise<readonly Key[]> => dataOf(await get('/v1/keys', secret))
  const foreign = (await keysOf(other.secret))[0]?.key_id ?? ''
  expect((await keysOf(one.secret)).map(({ tenant_id }) => tenant_id)).toEqual([one.id])

  const revoked = await mesh.ask(`/v1/keys/${foreign}`, { method: 'DELETE', headers: bearer(one.secret) })
  expect([revoked.status, revoked.code], 'as if it did not exist').toEqual([404, 'NOT_FOUND'])
  expect((await get('/v1/keys', other.secret)).status, 'and it works on').toBe(200)
  const planted = await post('/v1/keys', one.secret, { name: 'x', scopes: ['keys:read'], tenant_id: other.id })
  expect([planted.status, planted.code]).toEqual([403, 'FORBIDDEN'])
  const raised = await post('/v1/keys', one.secret, { name: 'x', scopes: ['admin'] })
  expect([raised.status, raised.code]).toEqual([403, 'FORBIDDEN'])
  for (const path of ['/v1/tenants', '/v1/mesh/graph', '/v1/mesh/events', '/metrics']) {
    const { status, code } = await get(path, one.secret)
    expect([path, status, code]).toEqual([path, 403, 'FORBIDDEN'])
  }
  const audit = await get('/v1/audit', other.secret)
  expect(audit.status).toBe(200)
  expect(audit.text).not.toContain(one.id)
})

test('ID1: the same Idempotency-Key of two tenants is two keys', async () => {
  const [one, other] = pair()
  const wish = { name: 'twice', scopes: ['keys:read'] }
  const first = dataOf<Key>(await post('/v1/keys', one.secret, wish, { 'idempotency-key': 'same' }))
  const foreign = dataOf<Key>(await post('/v1/keys', other.secret, wish, { 'idempotency-key': 'same' }))
  const again = dataOf<Key & { readonly secret: null }>(
    await post('/v1/keys', one.secret, wish, { 'idempotency-key': 'same' }),
  )
  expect([first.tenant_id, foreign.tenant_id]).toEqual([one.id, other.id])
  expect([again.key_id, again.secret]).toEqual([first.key_id, null])
  const reused = await post('/v1/keys', one.secret, { ...wish, name: 'else' }, { 'idempotency-key': 'same' })
  expect([reused.status, reused.code]).toEqual([422, 'IDEMPOTENCY_KEY_REUSED'])
})

test('M7: without a valid key nothing is done, at the control API and at the gateway alike', async () => {
  for (const path of ['/v1/keys', '/v1/mesh/graph', '/metrics', '/orders']) {
    for (const headers of [
      {},
      bearer(`rs_dev_${'a'.repeat(32)}`),
      bearer(operator.replace('_dev_', '_prod_')),
      { 'x-api-key': 'rs' },
    ]) {
      const { status, code, headers: answered } = await mesh.ask(path, { headers: headers as Record<string, string> })
      expect([path, status, code]).toEqual([path, 401, 'UNAUTHENTICATED'])
      expect(answered['www-authenticate']).toContain('Bearer')
    }
  }
  for (const path of ['/livez', '/readyz', '/health', '/']) expect((await mesh.ask(path)).status).toBe(200)
})

test('M5: a key needs the scopes of a route, is counted for itself, and does not reach the service', async () => {
  const [one, other] = pair()
  const passed = await get('/orders/1', one.secret)
  expect(passed.status).toBe(200)
  expect(passed.text, 'the service has its request, without the key').toContain('"host"')
  expect(passed.text).not.toContain(one.secret)
  const otherWay = await mesh.ask('/orders/1', { headers: { 'x-api-key': one.secret } })
  expect([otherWay.status, otherWay.text.includes(one.secret)]).toEqual([200, false])
  const narrow = await createKey(mesh, { name: 'narrow', scopes: ['keys:read'] }, bearer(one.secret))
  secrets.push(narrow)
  const refused = await get('/orders/1', narrow)
  expect([refused.status, refused.code]).toEqual([403, 'FORBIDDEN'])
  const busy = await Promise.all(Array.from({ length: 10 }, () => get('/few', one.secret)))
  expect(busy.filter(({ code }) => code === 'RATE_LIMITED').length).toBeGreaterThanOrEqual(4)
  expect((await get('/few', other.secret)).status, "one tenant's rate is not another's").toBe(200)
})

test('AC1: a revoked key ends at once where it was revoked, and within a second everywhere else', async () => {
  const wish = { name: 'short', scopes: ['keys:read'] }
  const made = dataOf<Key & { readonly secret: string }>(await post('/v1/keys', operator, wish))
  secrets.push(made.secret)
  for (const each of [mesh, second]) expect((await get('/v1/keys', made.secret, each)).status).toBe(200)
  const ended = await mesh.ask(`/v1/keys/${made.key_id}`, { method: 'DELETE', headers: bearer(operator) })
  expect(ended.status).toBe(200)
  expect((await get('/v1/keys', made.secret)).status).toBe(401)
  await until(
    'it has ended there too',
    async () => (await get('/v1/keys', made.secret, second)).status === 401,
    REVOKED_MS,
  )
})

test('M7: no secret is in a log, an answer, a metric or a command line, whatever goes wrong', async () => {
  const password = new URL(url).password
  expect(password.length).toBeGreaterThan(8)
  await proxy.disable('reset')
  await until('it is seen', async () => (await mesh.readiness()).status === 503)
  const answers = [
    await get('/v1/keys', operator),
    await get('/readyz', operator),
    await get('/v1/mesh/graph', operator),
  ]
  await proxy.enable()
  await Promise.all([mesh.ready(), second.ready()])
  answers.push(await get('/metrics', operator), await get('/v1/mesh/graph', operator), await get('/v1/keys', operator))
  answers.push(
    await get('/v1/audit', operator),
    await post('/v1/keys', operator, { name: operator, scopes: 'no list' }),
  )
  answers.push(await get(`/v1/nowhere?key=${operator}`, operator))

  const commands = await Promise.all(
    [...(await mesh.processes()), ...(await second.processes())].map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8')),
  )
  const written = [mesh.logs(), second.logs(), ...commands, ...answers.map(({ text }) => text)].join('\n')
  expect(mesh.logs().length, 'something was logged').toBeGreaterThan(2_000)
  expect(secrets.length).toBeGreaterThanOrEqual(3)
  for (const secret of [password, ...secrets]) {
    expect(secret.length).toBeGreaterThan(8)
    expect(written.includes(secret), 'a secret was written down').toBe(false)
    // Not a part of it either that would help to guess the rest; what is shown of a key ends after its prefix.
    expect(written.includes(secret.slice(-16)), 'the end of a secret was written down').toBe(false)
  }
})

test('M7: `up` refuses an open bind, and in production open access, any origin and a weak password: all at once, with exit code 1', async () => {
  const open = await runCli(['up'], {
    env: { HOST: '0.0.0.0', RIPSTOP_CONFIG: await writeConfig({ access: { mode: 'open' } }) },
  })
  expect(open.code).toBe(1)
  expect(open.error).toContain('open bind')
  const production = await runCli(['up'], {
    env: {
      RIPSTOP_ENV: 'production',
      ALLOWED_ORIGINS: '*',
      DATABASE_URL: 'postgres://someone:postgres@127.0.0.1:5432/d',
      RIPSTOP_CONFIG: await writeConfig({ access: { mode: 'open' } }),
    },
  })
  expect(production.code).toBe(1)
  for (const said of [/access\.mode.*production refuses/, /ALLOWED_ORIGINS.*wildcard/, /DATABASE_URL.*weak password/]) {
    expect(production.error).toMatch(said)
  }
  expect(production.error, 'values are never shown').not.toMatch(/someone|:postgres@/)
  expect(production.out).toBe('')
})

async function writeConfig(config: object): Promise<string> {
  const file = `${mesh.configFile}.other`
  await writeFile(file, JSON.stringify(config))
  return file
}
