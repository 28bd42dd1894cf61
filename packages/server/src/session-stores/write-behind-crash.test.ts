import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { pause } from '#platform/pause'
import { until } from '../testing/processes.ts'
import { readLog } from './body-store.ts'
import { createFirst, createNext, idOf, verifyChain } from './conformance-writing.fixture.ts'
import type { StoredSession } from './store.ts'
import { drained, startGround, TENANTS, type TestGround } from './write-behind.fixture.ts'

const KILLS = 12
const SESSIONS = 40

let ground: TestGround

beforeAll(async () => {
  ground = await startGround()
})

afterAll(() => ground[Symbol.asyncDispose]())

function startDrain(): ChildProcess {
  const { redis, database } = ground
  const args = [join(import.meta.dirname, 'write-behind-process.fixture.ts'), redis.url, database.url]
  return spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'inherit'] })
}

async function kill(child: ChildProcess): Promise<void> {
  const gone = once(child, 'exit')
  child.kill('SIGKILL')
  await gone
}

test('WB1, WB5: killed again and again in the middle of it, it drains every commit once, in order, with its event', {
  timeout: 120_000,
}, async () => {
  await ground.empty()
  const { side, ctx, mesh } = ground
  const sessions: StoredSession[] = []
  for (let n = 1; n <= SESSIONS; n++) {
    const { session, first } = createFirst({ tenantId: TENANTS[0], sessionId: idOf(n) })
    await side.store.create(ctx, session, first)
    sessions.push(session)
  }
  let commits = 0
  let isOver = false
  const write = async (n: number): Promise<void> => {
    while (!isOver) {
      const session = sessions[n] as StoredSession
      const publish = commits % 10 === 0 ? `{"type":"x","data":"${n} ${session.version}"}` : undefined
      const next = createNext(session, publish === undefined ? {} : { publish })
      await side.store.commit(ctx, next)
      sessions[n] = next.to
      commits++
      await pause(ctx, 20) // enough that there is always something to drain
    }
  }
  const writing = Promise.all(sessions.map((_, n) => write(n)))
  const rows = async () =>
    (await mesh.query<{ count: number }>('select count(*)::int as count from ripstop.session_log'))[0]?.count ?? 0
  for (let round = 0; round < KILLS; round++) {
    const child = startDrain()
    const before = await rows()
    await until('it drains', async () => (await rows()) > before)
    await kill(child)
  }
  isOver = true
  await writing
  await using _ = ground.drain()
  await drained(ground, 30_000)
  expect(await rows()).toBe(SESSIONS + commits)
  expect(await mesh.query('select from ripstop.session_forks')).toEqual([])
  const events = await mesh.query<{ data: string }>(
    `select event->>'data' as data from ripstop.outbox order by outbox_id`,
  )
  expect(new Set(events.map(({ data }) => data)).size).toBe(events.length)
  for (const session of sessions) {
    const log = await readLog(mesh.link, ctx, { ...session, afterVersion: 0, limit: 100_000 })
    expect(verifyChain(log)).toBe(session.head)
    const [row] = await mesh.query<{ head: string }>('select head from ripstop.sessions where session_id = $1', [
      session.sessionId,
    ])
    expect(row?.head).toBe(session.head)
  }
})
