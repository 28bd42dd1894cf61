import { createId } from '@ripstop/kernel'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startTestMesh, type TestMesh } from '../testing/mesh.ts'
import { createTestDatabase, type TestDatabase } from '../testing/postgres.ts'
import { until } from '../testing/processes.ts'
import { addTarget, createFakeKind, newDeliveries, publish } from './engine.fixture.ts'
import { startDelivery } from './start.ts'

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

const SOON = { leaseMs: 1_000, renewMs: 200, targetsMs: 20, sweepMs: 200, drainMs: 100, surveyMs: 50 }

const read = (of: TestMesh, series: string): number | undefined => {
  const line = of.mesh.metrics
    .text()
    .split('\n')
    .find((each) => each.startsWith(`${series} `))
  return line === undefined ? undefined : Number(line.split(' ').at(-1))
}
const late = () => read(mesh, 'delivery_oldest_undone_seconds') ?? -1
const age = (targetId: string, hours: number) =>
  mesh.query(`update ripstop.deliveries set due_at = now() - $2 * interval '1 hour' where target_id = $1`, [
    targetId,
    hours,
  ])

test('DL10: what is late for active targets is told, the oldest of all lanes; of parked ones nothing', async () => {
  const kind = createFakeKind()
  kind.answer = () => new Promise(() => {}) // so that nothing that is sent ends
  const [parked, one, other] = [
    addTarget(kind, { state: 'parked', backlogMax: 40 }),
    addTarget(kind, { concurrency: 1, backlogMax: 100 }),
    addTarget(kind, { concurrency: 1, lanes: 2, isOrdered: true, backlogMax: 100 }),
  ]
  await publish(
    mesh,
    [parked, one, other].flatMap((target) => newDeliveries(target, 10, target.isOrdered ? 4 : 0)),
  )
  await age(parked.targetId, 50)
  const { env, log, link } = mesh
  await using _ = startDelivery({
    env,
    log,
    link,
    mesh: mesh.mesh,
    kinds: [kind],
    workerId: createId(Date.now()),
    settings: SOON,
  })
  await until('it sends', () => kind.sent.length === 2)
  await until('it is counted', () => read(mesh, 'delivery_backlog_ratio{kind="webhook"}') === 0.25) // of the parked one
  expect(late()).toBeLessThan(600)
  await age(one.targetId, 1)
  await until('an hour is told', () => late() > 3_590 && late() < 4_000)
  await age(other.targetId, 2)
  await until('two hours are told', () => late() > 7_190 && late() < 8_000)
  await mesh.query('delete from ripstop.deliveries where target_id = any ($1)', [[one.targetId, other.targetId]])
  await until('nothing is late', () => late() === 0)
})

test('dead letters are counted by reason, by one worker of all, and by another when that one has gone or has lost the first shard', async () => {
  const dead = (reason: string, rows: number) =>
    mesh.query(
      `insert into ripstop.dead_letters (delivery_id, tenant_id, kind, target_id, lane, shard, message_id, bytes, attempts, reason)
       select -row_number() over () - (select count(*) from ripstop.dead_letters), gen_random_uuid(), 'webhook', gen_random_uuid(), 0, 0,
         gen_random_uuid(), 1, 1, $1 from generate_series(1, $2)`,
      [reason, rows],
    )
  await dead('exhausted', 3)
  await dead('overflow', 2)
  await using second = await startTestMesh(database.url)
  const begin = ({ env, log, link, mesh }: TestMesh) =>
    startDelivery({ env, log, link, mesh, kinds: [createFakeKind()], workerId: createId(Date.now()), settings: SOON })
  const counts = (of: TestMesh) =>
    ['exhausted', 'overflow'].map((reason) => read(of, `dead_letters{reason="${reason}"}`))
  const first = begin(mesh)
  await until('they are told', () => counts(mesh).join() === '3,2')
  await using _ = begin(second)
  await until('both have their shares', () => read(second, 'delivery_shards_owned') === 32)
  expect(counts(second)).toEqual([undefined, undefined])
  await first[Symbol.asyncDispose]()
  await until('the other tells of them', () => counts(second).join() === '3,2')
  const elsewhere = `owner = gen_random_uuid(), epoch = epoch + 1, expires_at = now() + interval '1 hour'`
  await mesh.query(`update ripstop.delivery_shards set ${elsewhere} where shard = 0`)
  await until('it leaves them to the next', () => counts(second).join() === ',')
})
