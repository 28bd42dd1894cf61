import { createHmac } from 'node:crypto'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../testing/postgres.ts'
import { until } from '../testing/processes.ts'
import { type CheckerDeps, checkOnce } from './checker.ts'
import { readSecrets, revealSecret, revokeSecret, rotateSecret } from './secrets.ts'
import type { WebhookSettings } from './settings.ts'
import {
  ASKING,
  addTenant,
  principalAsking,
  type Receiver,
  startReceiver,
  startWorld,
  type World,
} from './webhooks.fixture.ts'

const DAY_MS = 86_400_000
let database: TestDatabase
let world: World
let receiver: Receiver

beforeAll(async () => {
  database = await createTestDatabase()
  world = await startWorld(database.url)
})
afterAll(async () => {
  await world[Symbol.asyncDispose]()
  await database[Symbol.asyncDispose]()
})
beforeEach(async () => {
  receiver = await startReceiver()
})
afterEach(async () => {
  await world.mesh.query('update ripstop.endpoints set deleted_at = now() where deleted_at is null')
  await receiver[Symbol.asyncDispose]()
})

const { tenantId } = ASKING.principal
const ctx = () => world.mesh.ctx.within(10_000)
const keyOf = (secret: string | undefined): Buffer => Buffer.from((secret ?? '').slice('whsec_'.length), 'base64')
const rotate = (endpointId: string, rotation = {}) => rotateSecret(world.webhooks, ctx(), ASKING, endpointId, rotation)
const secretsOf = (endpointId: string) => readSecrets(world.webhooks, ctx(), tenantId, endpointId)
const check = (changes: Partial<WebhookSettings> = {}) => {
  const { link, log, sealer, settings } = world.webhooks
  const deps: CheckerDeps = { env: world.mesh.env, link, log, sealer, settings: { ...settings, ...changes } }
  return checkOnce(deps, ctx())
}
const age = (endpointId: string, days: number) =>
  world.mesh.query(
    `update ripstop.endpoint_secrets set created_at = now() - $2 * interval '1 day' where endpoint_id = $1 and signs_until is null`,
    [endpointId, days],
  )
const eventsOf = (type: string, endpointId: string) =>
  world.mesh.query('select 1 from ripstop.events where type = $1 and subject = $2', [type, endpointId])

/** Which of the keys the last delivery is signed with, by their places. */
async function signedBy(keys: readonly Buffer[]): Promise<number[]> {
  const before = receiver.received.length
  await world.publish('s.x')
  const { headers, body } = await until('it arrives', () => receiver.received[before])
  const content = `${headers['webhook-id']}.${headers['webhook-timestamp']}.${body}`
  const signatures = String(headers['webhook-signature']).split(' ')
  return signatures.map((signature) =>
    keys.findIndex((key) => signature === `v1,${createHmac('sha256', key).update(content).digest('base64')}`),
  )
}

test('WS5: over a rotation every delivery is signed with a secret that the receiver knows, old or new', async () => {
  const { endpoint, secret } = await world.create({ url: receiver.url, eventTypes: ['s.*'] })
  const keys = [keyOf(secret)]
  expect(await signedBy(keys)).toEqual([0])
  const rotated = await rotate(endpoint.endpointId)
  keys.unshift(keyOf(rotated.secret))
  // The old secret signs on, in every delivery before and after the work role hears of it.
  await until('both sign', async () => {
    const by = await signedBy(keys)
    expect(by).toContain(1)
    return by.length === 2 && by[0] === 0
  })
  await world.mesh.query(`update ripstop.endpoint_secrets set signs_until = now() where signs_until is not null`)
  await rotate(endpoint.endpointId, { overlapMs: 0 })
  const last = await until('the new one signs alone', async () => {
    const by = await signedBy(keys)
    return by.length === 1 ? by : false
  })
  expect(last).toEqual([-1])
})

test('WS1: after its creation a secret is in no answer; metadata and public keys are', async () => {
  const { endpoint } = await world.create({ url: receiver.url, eventTypes: ['s.*'], algorithm: 'v1a' })
  const { secretId } = await rotate(endpoint.endpointId, { algorithm: 'v1' })
  const secrets = await secretsOf(endpoint.endpointId)
  expect(secrets).toMatchObject([
    { secretId, algorithm: 'v1', publicKey: undefined, signsUntilWallMs: undefined },
    { algorithm: 'v1a', publicKey: expect.any(Buffer), signsUntilWallMs: expect.any(Number) },
  ])
  expect(JSON.stringify(secrets)).not.toMatch(/whsec_|whsk_|sealed/)
  await expect(revealSecret(world.webhooks, ctx(), tenantId, endpoint.endpointId, secretId)).rejects.toMatchObject({
    code: 'NOT_FOUND',
  })
})

test('WS4: no more than five sign at once, however many rotations race, and one of them is the present one', async () => {
  const { endpoint } = await world.create({ url: receiver.url, eventTypes: ['s.*'] })
  const results = await Promise.allSettled(Array.from({ length: 10 }, () => rotate(endpoint.endpointId)))
  const refused = results.filter((result) => result.status === 'rejected')
  for (const { reason } of refused) expect(reason).toMatchObject({ code: 'CONFLICT' })
  const secrets = await secretsOf(endpoint.endpointId)
  expect(secrets.length).toBeLessThanOrEqual(5)
  expect(secrets.filter(({ signsUntilWallMs }) => signsUntilWallMs === undefined)).toHaveLength(1)
  await expect(
    (async () => {
      for (;;) await rotate(endpoint.endpointId)
    })(),
  ).rejects.toMatchObject({ code: 'CONFLICT' })
  const [present, old] = await secretsOf(endpoint.endpointId)
  await expect(
    revokeSecret(world.webhooks, ctx(), ASKING, endpoint.endpointId, present?.secretId ?? ''),
  ).rejects.toMatchObject({
    code: 'CONFLICT',
  })
  await revokeSecret(world.webhooks, ctx(), ASKING, endpoint.endpointId, old?.secretId ?? '')
  expect((await secretsOf(endpoint.endpointId)).map(({ secretId }) => secretId)).not.toContain(old?.secretId)
  await rotate(endpoint.endpointId)
})

test('a rotation repeated with its Idempotency-Key makes no second secret, and shows none', async () => {
  const { endpoint } = await world.create({ url: receiver.url, eventTypes: ['s.*'] })
  const asking = { ...ASKING, idempotency: { key: 'rotation-1', requestSha256: Buffer.alloc(32) } }
  const first = await rotateSecret(world.webhooks, ctx(), asking, endpoint.endpointId, {})
  const again = await rotateSecret(world.webhooks, ctx(), asking, endpoint.endpointId, {})
  expect(again).toEqual({ secretId: first.secretId, secret: undefined, replayed: true })
  expect(await secretsOf(endpoint.endpointId)).toHaveLength(2)
})

test('WE3: secrets of another tenant are not there', async () => {
  const other = principalAsking(await addTenant(world, 'secrets-neighbour'))
  const { endpoint } = await world.create({ url: receiver.url })
  const [secret] = await secretsOf(endpoint.endpointId)
  const missing = { code: 'NOT_FOUND' }
  const { endpointId } = endpoint
  await expect(rotateSecret(world.webhooks, ctx(), other, endpointId, {})).rejects.toMatchObject(missing)
  await expect(readSecrets(world.webhooks, ctx(), other.principal.tenantId, endpointId)).rejects.toMatchObject(missing)
  await expect(revokeSecret(world.webhooks, ctx(), other, endpointId, secret?.secretId ?? '')).rejects.toMatchObject(
    missing,
  )
  expect(await secretsOf(endpointId)).toHaveLength(1)
})

test('WS7: a secret is warned of once, at four fifths of its age, by an event and an audit line', async () => {
  const { endpoint } = await world.create({ url: receiver.url })
  await age(endpoint.endpointId, 71)
  await check()
  await age(endpoint.endpointId, 73)
  await Promise.all([check(), check(), check()])
  await check()
  await until(
    'it is told',
    async () => (await eventsOf('ripstop.webhook.secret_aging', endpoint.endpointId)).length > 0,
  )
  expect(
    await world.count('audit_log', `action = 'secret.aging' and resource = 'endpoint:${endpoint.endpointId}'`),
  ).toBe(1)
  expect(await world.count('outbox')).toBe(0)
  expect(await eventsOf('ripstop.webhook.secret_aging', endpoint.endpointId)).toHaveLength(1)
})

test('WS6: too old by itself rotates only what its receiver can learn: v1a where set so, and what opted in', async () => {
  const [v1, key, keyNo, v1Yes] = await Promise.all([
    world.create({ url: receiver.url, algorithm: 'v1' }),
    world.create({ url: receiver.url, algorithm: 'v1a' }),
    world.create({ url: receiver.url, algorithm: 'v1a', rotatesItself: false }),
    world.create({ url: receiver.url, algorithm: 'v1', rotatesItself: true }),
  ])
  const all = [v1, key, keyNo, v1Yes].map(({ endpoint }) => endpoint.endpointId)
  const counts = () => Promise.all(all.map(async (endpointId) => (await secretsOf(endpointId)).length))
  for (const endpointId of all) await age(endpointId, 91)
  await check({ rotatesKeys: false })
  expect(await counts()).toEqual([1, 1, 1, 2])
  await Promise.all([check({ rotatesKeys: true }), check({ rotatesKeys: true })])
  expect(await counts()).toEqual([1, 2, 1, 2])
  // The v1 one is read once, by whoever the event tells; the old one signs on for the longest overlap.
  const { endpointId } = v1Yes.endpoint
  const [young, old] = await secretsOf(endpointId)
  expect(young).toMatchObject({ isUnread: true, algorithm: 'v1' })
  expect((old?.signsUntilWallMs ?? 0) - Date.now()).toBeGreaterThan(6.9 * DAY_MS)
  await until('it is told', async () => (await eventsOf('ripstop.webhook.secret_rotated', endpointId)).length === 1)
  const read = () => revealSecret(world.webhooks, ctx(), tenantId, endpointId, young?.secretId ?? '')
  const shown = await Promise.allSettled([read(), read(), read()])
  expect(shown.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
  expect(shown.find((one) => one.status === 'fulfilled')).toMatchObject({ value: expect.stringMatching(/^whsec_/) })
})
