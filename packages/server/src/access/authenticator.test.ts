import { type Ctx, hasCode, isRipstopError } from '@ripstop/kernel'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { migrateTestDatabase, startTestMesh, type TestMesh } from '../testing/mesh.ts'
import { createTestDatabase, startTestCluster, type TestDatabase } from '../testing/postgres.ts'
import { until } from '../testing/processes.ts'
import { createAccessService } from './access.ts'
import { createSecret } from './api-key.ts'
import { Authenticator, FRESH_MS } from './authenticator.ts'
import { createScopeList, DEFAULT_TENANT_ID } from './tenant.ts'

const allScopes = createScopeList([])
const CLI = { tenantId: DEFAULT_TENANT_ID, actor: 'cli', keyId: undefined, scopes: ['admin'] }

let database: TestDatabase
let mesh: TestMesh

beforeAll(async () => {
  database = await createTestDatabase()
  mesh = await startTestMesh(database.url)
})

afterAll(async () => {
  await mesh[Symbol.asyncDispose]()
  await database[Symbol.asyncDispose]()
})

/** A process: an authenticator and the service beside it. */
function createProcess(on: TestMesh = mesh, more: { mode?: 'open' | 'keys'; staleMsMax?: number } = {}) {
  const { env, link } = on
  const deps = { env, link, environment: 'dev' as const, allScopes }
  const authenticator = new Authenticator({ ...deps, mode: 'keys', ...more })
  const service = createAccessService({
    ...deps,
    keyCreated: (sha256) => authenticator.created(sha256),
    keyRevoked: (sha256) => authenticator.revoked(sha256),
  })
  const create = async (expiresInMs?: number) => {
    const expiresWallMs = expiresInMs === undefined ? undefined : env.clock.wallMs() + expiresInMs
    const { key, secret = '' } = await service.createKey(
      on.ctx,
      { principal: CLI },
      { name: 'test', scopes: ['audit:read'], expiresWallMs },
    )
    return { key, secret }
  }
  const ask = async (secret: string, ctx: Ctx = on.ctx) => authenticator.authenticate({ 'x-api-key': secret }, ctx)
  return { authenticator, service, create, ask }
}

const codeOf = (promise: Promise<unknown>) =>
  promise.then(
    () => 'passed',
    (error: unknown) => (isRipstopError(error) ? error.code : String(error)),
  )

describe('authentication', () => {
  test('a key gives its tenant and scopes; the second time at once and without a promise', async () => {
    const { create, ask, authenticator } = createProcess()
    const { key, secret } = await create()
    const principal = {
      tenantId: DEFAULT_TENANT_ID,
      actor: `key:${key.keyId}`,
      keyId: key.keyId,
      scopes: ['audit:read'],
    }
    expect(await ask(secret)).toEqual(principal)
    expect(authenticator.authenticate({ authorization: `Bearer ${secret}` }, mesh.ctx)).toEqual(principal)
  })

  test('no key, a malformed, an unknown one and one of another environment are UNAUTHENTICATED', async () => {
    const { ask, authenticator } = createProcess()
    expect(() => authenticator.authenticate({}, mesh.ctx)).toThrow('this needs an API key')
    expect(await codeOf(ask('nonsense'))).toBe('UNAUTHENTICATED')
    expect(await codeOf(ask(createSecret('dev').secret))).toBe('UNAUTHENTICATED')
    const error = await ask(createSecret('prod').secret).catch((caught: unknown) => caught)
    expect(hasCode(error, 'UNAUTHENTICATED') && error.message).toBe('this API key is for another environment than dev')
  })

  test('in open mode nobody needs a key, but a key that is sent must be good', async () => {
    const { authenticator, create, ask } = createProcess(mesh, { mode: 'open' })
    expect(authenticator.authenticate({}, mesh.ctx)).toMatchObject({
      tenantId: DEFAULT_TENANT_ID,
      actor: 'open',
      scopes: ['admin'],
    })
    expect(authenticator.authenticate({ authorization: 'Bearer of-an-upstream' }, mesh.ctx)).toMatchObject({
      actor: 'open',
    })
    expect(await codeOf(ask(createSecret('dev').secret))).toBe('UNAUTHENTICATED')
    expect(await ask((await create()).secret)).toMatchObject({ scopes: ['audit:read'] })
  })

  test('AC1: a revoked key ends at once where it was revoked, and within FRESH_MS in every other process', async () => {
    const here = createProcess()
    await using otherMesh = await startTestMesh(database.url)
    const there = createProcess(otherMesh)
    const { key, secret } = await here.create()
    expect(await codeOf(here.ask(secret))).toBe('passed')
    expect(await codeOf(there.ask(secret))).toBe('passed')
    await here.service.revokeKey(mesh.ctx, { principal: CLI }, key.keyId)
    const revokedMs = mesh.env.clock.monoMs()
    expect(await codeOf(here.ask(secret))).toBe('UNAUTHENTICATED')
    await until('it ends there too', async () => (await codeOf(there.ask(secret))) === 'UNAUTHENTICATED')
    expect(mesh.env.clock.monoMs() - revokedMs).toBeLessThan(FRESH_MS + 1_000) // and the question itself
  })

  test('AC1: a process that was idle for long asks before it trusts what it remembers', async () => {
    const here = createProcess()
    const there = createProcess()
    const { key, secret } = await here.create()
    await there.ask(secret)
    await here.service.revokeKey(mesh.ctx, { principal: CLI }, key.keyId)
    const idleUntilMs = mesh.env.clock.monoMs() + FRESH_MS + 50
    await until('it has been idle', () => mesh.env.clock.monoMs() > idleUntilMs)
    expect(await codeOf(there.ask(secret))).toBe('UNAUTHENTICATED')
  })

  test('AC1: a key is refused from its expiry on, from memory too', async () => {
    const { create, ask } = createProcess()
    const { secret } = await create(400)
    expect(await codeOf(ask(secret))).toBe('passed')
    await until('it has expired', async () => (await codeOf(ask(secret))) === 'UNAUTHENTICATED', 2_000)
  })

  test('a key that was tried before it existed works as soon as it was made here', async () => {
    const { authenticator, create, ask } = createProcess()
    const { secret } = await create()
    const other = createProcess()
    await other.ask(secret)
    const unknown = createSecret('dev').secret
    expect(await codeOf(ask(unknown))).toBe('UNAUTHENTICATED')
    authenticator.created(createSecret('dev').sha256)
    expect(await codeOf(ask(secret))).toBe('passed')
  })

  test('AC3: a flood of made-up keys is refused early and leaves good keys working', async () => {
    const { create, ask } = createProcess()
    const { secret } = await create()
    await ask(secret)
    const flood = Array.from({ length: 500 }, () => codeOf(ask(createSecret('dev').secret)))
    expect(await codeOf(ask(secret))).toBe('passed')
    const codes = await Promise.all(flood)
    expect(codes.filter((code) => code === 'OVERLOADED').length).toBeGreaterThan(300)
    expect(codes.filter((code) => code !== 'OVERLOADED' && code !== 'UNAUTHENTICATED')).toEqual([])
  })

  test('the same unknown key asked many times at once is looked up once', async () => {
    const { ask } = createProcess()
    const { secret } = createSecret('dev')
    const codes = await Promise.all(Array.from({ length: 200 }, () => codeOf(ask(secret))))
    expect(new Set(codes)).toEqual(new Set(['UNAUTHENTICATED']))
  })

  test('AC2: without the database verified keys work for a bounded time, visibly; others get LINK_DOWN; then all heals', {
    timeout: 60_000,
  }, async () => {
    await using cluster = await startTestCluster()
    await migrateTestDatabase(cluster.url)
    await using broken = await startTestMesh(cluster.url)
    const { create, ask } = createProcess(broken, { staleMsMax: 4_000 })
    const degradation = () => broken.link.snapshot().degradation
    const verified = (await create()).secret
    const neverUsed = (await create()).secret
    expect(await codeOf(ask(verified))).toBe('passed')
    const verifiedMs = broken.env.clock.monoMs()
    await cluster.kill('SIGKILL')
    await until('the link is down', () => broken.link.state === 'down')
    await until('it is no longer fresh', () => broken.env.clock.monoMs() - verifiedMs > FRESH_MS)
    expect(await codeOf(ask(verified))).toBe('passed')
    expect(degradation()).toMatchObject({ name: 'recently-verified-keys', active: true })
    expect(await codeOf(ask(neverUsed))).toMatch(/^LINK_DOWN|LINK_LOST|DEADLINE_EXCEEDED$/)
    const ended = await until('its time is over', async () => {
      const code = await codeOf(ask(verified))
      return code === 'passed' ? undefined : code
    })
    expect(ended).toMatch(/^LINK_DOWN|LINK_LOST|DEADLINE_EXCEEDED|BREAKER_OPEN$/)
    await cluster.restart()
    await until(
      'both work again',
      async () => (await codeOf(ask(verified))) === 'passed' && (await codeOf(ask(neverUsed))) === 'passed',
    )
    await until('the degradation is over', async () => {
      await codeOf(ask(verified))
      return degradation()?.active === false
    })
  })

  test('AC2: a database that hangs does not hold up a verified key', { timeout: 60_000 }, async () => {
    await using cluster = await startTestCluster()
    await migrateTestDatabase(cluster.url)
    await using broken = await startTestMesh(cluster.url)
    const { create, ask } = createProcess(broken)
    const { secret } = await create()
    await ask(secret)
    await cluster.kill('SIGSTOP')
    try {
      const stoppedMs = broken.env.clock.monoMs()
      await until('it is no longer fresh', () => broken.env.clock.monoMs() - stoppedMs > FRESH_MS + 200)
      const askedMs = broken.env.clock.monoMs()
      expect(await codeOf(ask(secret))).toBe('passed')
      expect(broken.env.clock.monoMs() - askedMs).toBeLessThan(1_500)
    } finally {
      await cluster.kill('SIGCONT')
    }
  })
})
