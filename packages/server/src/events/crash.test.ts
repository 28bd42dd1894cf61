import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startTestMesh, type TestMesh } from '../testing/mesh.ts'
import { createTestDatabase, type TestDatabase } from '../testing/postgres.ts'
import { until } from '../testing/processes.ts'
import { createFakeConsumer, FAKE_TABLES, ORPHANS } from './consumer.fixture.ts'
import { startOutbox } from './outbox.ts'

const KILLS = 5

let database: TestDatabase
let mesh: TestMesh

beforeAll(async () => {
  database = await createTestDatabase()
  mesh = await startTestMesh(database.url)
  for (const statement of FAKE_TABLES.split(';')) await mesh.query(statement)
})

afterAll(async () => {
  await mesh[Symbol.asyncDispose]()
  await database[Symbol.asyncDispose]()
})

interface Child {
  readonly process: ChildProcess
  readonly lines: string[]
  readonly exited: Promise<void>
}

function startChild(...args: string[]): Child {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'crash.fixture.ts'), ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const lines: string[] = []
  let rest = ''
  child.stdout.on('data', (bytes: Buffer) => {
    const parts = `${rest}${bytes}`.split('\n')
    rest = parts.pop() ?? '' // cut off by the kill: not acknowledged
    lines.push(...parts)
  })
  const exited = new Promise<void>((resolve) => child.once('close', () => resolve()))
  return { process: child, lines, exited }
}

async function kill(child: Child): Promise<void> {
  child.process.kill('SIGKILL')
  await child.exited
}

const numbers = async (): Promise<unknown[]> =>
  (await mesh.query<{ body: Buffer }>(`select body from ripstop.events order by event_id`)).map(
    ({ body }) => JSON.parse(String(body)).data,
  )

test('EV1, EV2, EV11: killed again and again, a publisher that repeats what was not acknowledged has published each event once', async () => {
  const end = 3_000
  const acknowledged = new Map<string, number>()
  let next = 0
  const hear = (lines: readonly string[]): void => {
    for (const line of lines) {
      const [upTo, ...ids] = line.split(' ')
      for (const [at, id] of ids.entries()) acknowledged.set(id, Number(upTo) - ids.length + at)
      next = Math.max(next, Number(upTo))
    }
  }
  for (let round = 0; round < KILLS; round++) {
    const child = startChild('publish', database.url, String(next), String(end))
    await until('it has published', () => child.lines.length > round * 3)
    await kill(child)
    hear(child.lines)
  }
  const last = startChild('publish', database.url, String(next), String(end))
  await last.exited
  hear(last.lines)
  expect(next).toBe(end)
  const stored = await mesh.query<{ event_id: string; id: string }>('select event_id, id from ripstop.events')
  expect(stored).toHaveLength(end)
  expect(new Set(stored.map(({ id }) => id)).size).toBe(end)
  const nameOf = new Map(stored.map(({ event_id, id }) => [event_id, id]))
  for (const [id, n] of acknowledged) expect(nameOf.get(id)).toBe(`n-${n}`)
  expect(acknowledged.size).toBe(end)
  expect(await mesh.query(ORPHANS)).toEqual([])
}, 120_000)

test('OB1, OB2, OB4: killed again and again, the relay makes each row of the outbox one event or one rejected event, in order', async () => {
  await mesh.query('delete from ripstop.events')
  await mesh.query('delete from fake_deliveries')
  const perRound = 150
  for (let round = 0; round < KILLS; round++) {
    const child = startChild('relay', database.url)
    await until('it runs', () => child.lines.length > 0)
    for (let n = round * perRound; n < (round + 1) * perRound; n += 10) {
      const event = `case when n % 50 = 49 then 'null'::jsonb else jsonb_build_object('type', 'n', 'data', n) end`
      await mesh.query(`select ripstop.publish(${event}) from generate_series($1::integer, $1::integer + 9) as n`, [n])
    }
    const [seen] = await mesh.query<{ count: number }>('select count(*)::integer as count from ripstop.events')
    if (round % 2 === 0)
      await until(
        'it moves some',
        async () => (await numbers()).length > (seen?.count ?? 0) + 5 || undefined,
        2_000,
      ).catch(() => {})
    await kill(child)
  }
  const { env, link, log } = mesh
  await using _ = startOutbox({ env, log, metrics: mesh.mesh.metrics, link, consumers: [createFakeConsumer(link)] })
  await until(
    'the rest is moved',
    async () => (await mesh.query('select 1 from ripstop.outbox limit 1')).length === 0,
    20_000,
  )
  const all = Array.from({ length: KILLS * perRound }, (_, n) => n)
  expect(await numbers()).toEqual(all.filter((n) => n % 50 !== 49))
  expect(await mesh.query('select 1 from ripstop.rejected_events')).toHaveLength(all.length / 50)
  expect(await mesh.query(ORPHANS)).toEqual([])
}, 120_000)
