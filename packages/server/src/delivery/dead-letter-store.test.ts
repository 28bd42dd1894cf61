import { createHash } from 'node:crypto'
import { createId } from '@ripstop/kernel'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestMesh, type TestMesh } from '../testing/mesh.ts'
import { createTestDatabase, type TestDatabase } from '../testing/postgres.ts'
import { discardOne, listDeadLetters, readDeadLetters, redriveOne } from './dead-letter-store.ts'
import { addAttempt, addDead, OTHER_TENANT, TENANT } from './reading.fixture.ts'
import { readDelivery } from './reading-store.ts'

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

const id = () => createId(Date.now())
const line = (action: string, tenantId = TENANT) =>
  ({ tenantId, actor: 'key:1', action, resource: 'delivery:1', outcome: 'done', traceId: undefined }) as const
const keyOf = (key: string) => ({ key, requestSha256: createHash('sha256').update(key).digest() })

async function placesOf(deliveryId: string) {
  const [row] = await mesh.query<{ undone: number; dead: number; audited: number }>(
    `select (select count(*)::integer from ripstop.deliveries where delivery_id = $1::bigint) as undone,
            (select count(*)::integer from ripstop.dead_letters where delivery_id = $1::bigint) as dead,
            (select count(*)::integer from ripstop.audit_log where actor = $2) as audited`,
    [deliveryId, `key:${deliveryId}`],
  )
  return row
}
const lineAbout = (deliveryId: string, action: string) => ({ ...line(action), actor: `key:${deliveryId}` })

describe('redrive', () => {
  test('DR3: a letter goes back with its id, its place and its order, due now, with no attempts made', async () => {
    const wish = { eventId: id(), endpointId: id(), replayId: id() }
    const deliveryId = await addDead(mesh, wish)
    expect(
      await redriveOne(mesh.link, mesh.ctx, deliveryId, lineAbout(deliveryId, 'dead_letter.redrive'), undefined),
    ).toEqual({
      response: { deliveryId },
      replayed: false,
    })
    expect(await placesOf(deliveryId)).toEqual({ undone: 1, dead: 0, audited: 1 })
    const [row] = await mesh.query<{ due: boolean }>(
      'select *, due_at <= now() as due from ripstop.deliveries where delivery_id = $1',
      [deliveryId],
    )
    expect(row).toMatchObject({
      lane: 3,
      shard: 7,
      key_hash: '99',
      attempts: 0,
      due: true,
      bytes: 100,
      kind: 'webhook',
    })
    expect(row).toMatchObject({ target_id: wish.endpointId, message_id: wish.eventId, replay_id: wish.replayId })
    expect(await redriveOne(mesh.link, mesh.ctx, deliveryId, line('x'), undefined)).toBeUndefined()
  })

  test('DR3: of many at once, with or without a key, one moves it; a repetition with the key gets the same answer', async () => {
    const deliveryId = await addDead(mesh, {})
    const audit = lineAbout(deliveryId, 'dead_letter.redrive')
    const wish = (key?: string) =>
      redriveOne(mesh.link, mesh.ctx, deliveryId, audit, key === undefined ? undefined : keyOf(key))
    const asked = await Promise.all(['a', 'a', 'a', undefined, undefined, 'b'].map(wish))
    expect(asked.filter((done) => done !== undefined && !done.replayed)).toHaveLength(1)
    expect(await placesOf(deliveryId)).toEqual({ undone: 1, dead: 0, audited: 1 })
    const other = await addDead(mesh, {})
    const again = () => redriveOne(mesh.link, mesh.ctx, other, line('x'), keyOf('c'))
    expect((await again())?.replayed).toBe(false)
    expect((await again())?.replayed).toBe(true)
  })

  test('DR1, DR3: the letters of another tenant are out of reach', async () => {
    const deliveryId = await addDead(mesh, {})
    const audit = { ...lineAbout(deliveryId, 'x'), tenantId: OTHER_TENANT }
    expect(await redriveOne(mesh.link, mesh.ctx, deliveryId, audit, keyOf('d'))).toBeUndefined()
    expect(await discardOne(mesh.link, mesh.ctx, deliveryId, id(), audit)).toBe(false)
    expect(await placesOf(deliveryId)).toEqual({ undone: 0, dead: 1, audited: 0 })
  })
})

test('DR4: a discarded letter is gone from the letters and there in the history, and nobody discards it twice', async () => {
  const wish = { eventId: id(), endpointId: id() }
  const deliveryId = await addDead(mesh, wish)
  await addAttempt(mesh, deliveryId, { ...wish, outcome: 'failed', status: 500, n: 8 })
  const discard = () => discardOne(mesh.link, mesh.ctx, deliveryId, id(), lineAbout(deliveryId, 'dead_letter.discard'))
  expect((await Promise.all([discard(), discard()])).sort()).toEqual([false, true])
  expect(await placesOf(deliveryId)).toEqual({ undone: 0, dead: 0, audited: 1 })
  expect(await readDelivery(mesh.link, mesh.ctx, TENANT, deliveryId)).toMatchObject({
    ...wish,
    state: 'discarded',
    last: { attempt: 0, code: 'CANCELLED', reason: `discarded by key:${deliveryId}` },
  })
})

test('DR1: dead letters are listed by endpoint, reason and time, both ways, and never of another tenant', async () => {
  const endpointId = id()
  const made: string[] = []
  for (let index = 0; index < 12; index++) {
    const deadAt = new Date(Date.UTC(2026, 0, 1 + index))
    made.push(await addDead(mesh, { endpointId }, index % 3 === 0 ? 'overflow' : 'exhausted', deadAt))
  }
  const follow = async (list: typeof listDeadLetters, filter: object, limit: number, tenantId = TENANT) => {
    const found: string[] = []
    let after: string | undefined
    do {
      const page = await list(mesh.link, mesh.ctx, tenantId, { endpointId, ...filter }, { after, limit })
      found.push(...page.lines.map(({ deliveryId }) => deliveryId))
      after = page.next
    } while (after !== undefined)
    return found
  }
  const from = { sinceWallMs: Date.UTC(2026, 0, 4), untilWallMs: Date.UTC(2026, 0, 7) }
  for (const limit of [1, 5, 12, 50]) {
    expect(await follow(readDeadLetters, {}, limit)).toEqual(made)
    expect(await follow(listDeadLetters, {}, limit)).toEqual([...made].reverse())
    expect(await follow(readDeadLetters, { reason: 'overflow' }, limit)).toEqual(
      made.filter((_, index) => index % 3 === 0),
    )
    expect(await follow(readDeadLetters, from, limit)).toEqual(made.slice(3, 6))
  }
  expect(await follow(listDeadLetters, {}, 5, OTHER_TENANT)).toEqual([])
  const everywhere = await follow(listDeadLetters, { endpointId: undefined }, 5)
  expect(everywhere).toEqual(expect.arrayContaining(made))
})
