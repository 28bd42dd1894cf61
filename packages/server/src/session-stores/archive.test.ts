import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { createArchive, type DuePlace, type SessionArchive } from './archive-store.ts'
import { createFirst, createNext, idOf, verifyChain } from './conformance-writing.fixture.ts'
import { playChess } from './game.fixture.ts'
import { findVersion } from './operations.ts'
import { startTestData, TENANTS, type TestData } from './postgres.fixture.ts'
import { startPostgresStore } from './postgres-store.ts'
import type { StoredSession } from './store.ts'

const REF = { tenantId: TENANTS[0], sessionId: idOf(1) }
let data: TestData
let archive: SessionArchive

beforeAll(async () => {
  data = await startTestData()
  archive = createArchive(data.mesh.link)
})
afterAll(() => data[Symbol.asyncDispose]())
beforeEach(() => data.clear())

test('SB2: it knows sessions whoever has the authority, with their operations, and tells deleted ones from those that never were', async () => {
  const { ctx } = data.mesh
  await using store = startPostgresStore(data.mesh)
  const game = playChess(REF, 50)
  const last = game.sessions.at(-1) as StoredSession
  expect(await archive.find(ctx, REF)).toEqual({ kind: 'absent' })
  await data.drain(last, game.entries)
  await data.mesh.query(
    `insert into ripstop.session_epochs (epoch, mode, since_ms, until_ms, reason) values (2, 'redis', 0, 0, 'test')`,
  )
  const found = await archive.find(ctx, REF)
  if (found.kind !== 'there') throw new Error(found.kind)
  expect(found.session).toEqual(last)
  for (const { id, version } of game.operations) expect(findVersion(found.operations, id)).toBe(version)
  expect(verifyChain(await archive.log(ctx, { ...REF, afterVersion: 0, limit: 100 }))).toBe(last.head)
  await store.remove(ctx, REF)
  expect(await archive.find(ctx, REF)).toEqual({ kind: 'deleted' })
})

test('SS2: sessions with a deadline are listed page by page, each once; those that ended, rest or were deleted are not', async () => {
  const { ctx } = data.mesh
  await using store = startPostgresStore(data.mesh)
  const make = async (number: number, as: Partial<StoredSession>): Promise<StoredSession> => {
    const { session, first } = createFirst({ ...REF, sessionId: idOf(number) }, as)
    await store.create(ctx, session, first)
    return session
  }
  // Many at the same moment, too.
  for (let number = 1; number <= 11; number++) await make(number, { status: 'running', deadlineMs: number % 3 })
  await make(21, { status: 'paused' })
  await store.commit(ctx, createNext(await make(22, { status: 'running', deadlineMs: 1 }), { status: 'completed' }))
  await store.commit(ctx, createNext(await make(23, { status: 'running', deadlineMs: 1 }), { deadlineMs: undefined }))
  await store.remove(ctx, await make(24, { status: 'running', deadlineMs: 1 }))
  const listed: DuePlace[] = []
  for (;;) {
    const page = await archive.listDue(ctx, listed.at(-1), 4)
    listed.push(...page)
    if (page.length < 4) break
  }
  expect(listed.map(({ sessionId }) => sessionId).toSorted()).toEqual(
    Array.from({ length: 11 }, (_, index) => idOf(index + 1)),
  )
  expect(listed[0]).toEqual({ ...REF, sessionId: idOf(3), epoch: 1, version: 1, deadlineMs: 0, dueMs: 0 })
})

test('SS1, SS2: a session is put back where it stands further than what is there, with its log; never over a later one, nor a deleted one', async () => {
  const { ctx } = data.mesh
  await using store = startPostgresStore(data.mesh)
  const game = playChess(REF, 30)
  const at = (version: number): StoredSession => game.sessions[version - 1] as StoredSession
  expect(await archive.write(ctx, at(10), game.entries.slice(0, 10))).toBe(true)
  expect(await store.load(ctx, REF)).toEqual(at(10))
  expect(await archive.write(ctx, at(10), game.entries.slice(0, 10))).toBe(false)
  expect(await archive.write(ctx, at(20), game.entries.slice(5, 20))).toBe(true)
  expect(await archive.write(ctx, at(19), [])).toBe(false)
  expect(await store.load(ctx, REF)).toEqual(at(20))
  expect(verifyChain(await archive.log(ctx, { ...REF, afterVersion: 0, limit: 100 }))).toBe(at(20).head)
  const due = await store.claimDue(ctx, { nowMs: at(20).deadlineMs as number, leaseMs: 1, limit: 5 })
  expect(due).toEqual([{ ...REF, deadlineMs: at(20).deadlineMs }])
  await store.remove(ctx, REF)
  expect(await archive.write(ctx, at(30), game.entries)).toBe(false)
  expect(await store.load(ctx, REF)).toBeUndefined()
})

test('a fork is kept once', async () => {
  const fork = { ...REF, epoch: 1, version: 5, keptHash: 'a', otherHash: 'b', otherText: '{"c": "d"}' }
  await archive.addFork(data.mesh.ctx, fork)
  await archive.addFork(data.mesh.ctx, fork)
  const rows = await data.mesh.query('select version, kept_hash, other_hash, other_text from ripstop.session_forks')
  expect(rows).toEqual([{ version: 5, kept_hash: 'a', other_hash: 'b', other_text: '{"c": "d"}' }])
})
