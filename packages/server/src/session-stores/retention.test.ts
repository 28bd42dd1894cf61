import { afterAll, beforeAll, expect, test } from 'vitest'
import { startUpkeep } from '#upkeep'
import { startTestMesh, type TestMesh } from '../testing/mesh.ts'
import { createTestDatabase, type TestDatabase } from '../testing/postgres.ts'
import { until } from '../testing/processes.ts'
import { idOf } from './conformance-writing.fixture.ts'
import { createSessionsUpkeep } from './retention.ts'

const DAY_MS = 86_400_000
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

const count = async (table: string) =>
  (await mesh.query<{ count: number }>(`select count(*)::int as count from ripstop.${table}`))[0]?.count

/** With a log of 30 entries. */
async function addSession(number: number, ended: string, deleted: string): Promise<void> {
  const session = `
    insert into ripstop.sessions (tenant_id, session_id, epoch, version, head, status, body, body_version, ended_at, deleted_at)
    values ($1, $1, 1, 30, '', 'paused', '', 30, now() - $2::interval, now() - $3::interval)`
  await mesh.query(session, [idOf(number), ended || null, deleted || null])
  const log = `
    insert into ripstop.session_log (tenant_id, session_id, epoch, version, hash, text)
    select $1, $1, 1, version, '', '' from generate_series(1, 30) as version`
  await mesh.query(log, [idOf(number)])
}

test('sessions that ended or were deleted go with their logs when their time is over, and so do forks; the others stay, and the newest epochs', async () => {
  await addSession(1, '11 days', '')
  await addSession(2, '', '11 days')
  await addSession(3, '20 days', '9 days') // its retention begins when it was deleted
  await addSession(4, '9 days', '')
  await addSession(5, '', '')
  await mesh.query(
    `insert into ripstop.session_epochs (epoch, mode, since_ms, until_ms, reason)
     select epoch, 'postgres', 0, 0, 'test' from generate_series(1, 1350) as epoch`,
  )
  await mesh.query(
    `insert into ripstop.session_forks (tenant_id, session_id, epoch, version, kept_hash, other_hash, other_text, found_at)
     select $1, $1, 1, number, '', '', '', now() - number * interval '1 day' from generate_series(1, 15) as number`,
    [idOf(1)],
  )
  const tasks = createSessionsUpkeep({ endedMs: 10 * DAY_MS }).map((task) => ({ ...task, everyMs: 20 }))
  await using _ = startUpkeep({ ...mesh, tasks, batchMax: 7 })
  await until('both are gone', async () => (await count('sessions')) === 3)
  await until('old epochs are gone', async () => (await count('session_epochs')) === 1_000)
  await until('old forks are gone', async () => (await count('session_forks')) === 9)
  expect(await count('session_log')).toBe(90)
  const [oldest] = await mesh.query<{ epoch: number }>('select min(epoch)::int as epoch from ripstop.session_epochs')
  expect(oldest?.epoch).toBe(351)
  expect(mesh.log.lines.filter(({ event }) => event === 'upkeep.failed')).toEqual([])
})
