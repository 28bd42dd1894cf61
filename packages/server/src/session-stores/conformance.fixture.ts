// The conformance suite of session stores: what store.ts promises, asked of a store by its interface alone. Every test gets an empty store
// and a second instance over the same data, as another process would have it. Bodies are no sessions here: stores don't read them.

import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { LogEntry } from '#session-log'
import { until } from '../testing/processes.ts'
import { testDeadlines } from './conformance-due.fixture.ts'
import { testCommitsAgainstModel } from './conformance-model.fixture.ts'
import { testWatching } from './conformance-watch.fixture.ts'
import {
  created,
  createFirst,
  createNext,
  idOf,
  type OpenedStore,
  verifyChain,
  wholeLog,
} from './conformance-writing.fixture.ts'
import type { StoredSession } from './store.ts'
import { OPERATIONS_KEPT } from './store.ts'

export function testSessionStore(name: string, openStore: () => Promise<OpenedStore>): void {
  describe(name, () => {
    let opened: OpenedStore
    beforeEach(async () => {
      opened = await openStore()
    })
    afterEach(() => opened[Symbol.asyncDispose]())
    const given = (): OpenedStore => opened
    testCreation(given)
    testCommits(given)
    testWriters(given)
    testEpochs(given)
    testOperations(given)
    testLog(given)
    testDeadlines(given)
    testWatching(given)
    testCommitsAgainstModel(given)
  })
}

function testCreation(given: () => OpenedStore): void {
  test('SS2: what was created is loaded byte for byte, by every instance, and nobody else knows it', async () => {
    const { store, other, ctx, tenants } = given()
    const ref = { tenantId: tenants[0], sessionId: idOf(1) }
    const { session, first } = createFirst(ref, { deadlineMs: 1_000, status: 'running' })
    expect(await store.load(ctx, ref)).toBeUndefined()
    expect(await store.create(ctx, session, first)).toEqual({ kind: 'created' })
    for (const each of [store, other]) {
      expect(await each.load(ctx, ref)).toEqual(session)
      expect(await wholeLog(each, ctx, ref)).toEqual([first])
      expect(await each.load(ctx, { ...ref, tenantId: tenants[1] })).toBeUndefined()
      expect(await wholeLog(each, ctx, { ...ref, tenantId: tenants[1] })).toEqual([])
    }
  })

  test('SS1: an id is taken once, by whoever was first, and stays taken when its session is deleted', async () => {
    const { store, other, ctx, tenants } = given()
    const ref = { tenantId: tenants[0], sessionId: idOf(1) }
    const tries = Array.from({ length: 6 }, (_, index) => ({
      by: index % 2 === 0 ? store : other,
      ...createFirst(ref, { body: `"${index}"` }),
    }))
    const results = await Promise.all(tries.map(({ by, session, first }) => by.create(ctx, session, first)))
    expect(results.filter(({ kind }) => kind === 'created')).toHaveLength(1)
    expect(results.filter(({ kind }) => kind === 'exists')).toHaveLength(5)
    const winner = tries[results.findIndex(({ kind }) => kind === 'created')] as (typeof tries)[number]
    expect(await other.load(ctx, ref)).toEqual(winner.session)
    expect(await store.remove(ctx, ref)).toBe(true)
    expect(await other.create(ctx, winner.session, winner.first)).toEqual({ kind: 'exists' })
    // Of another tenant it is another session.
    const elsewhere = createFirst({ ...ref, tenantId: tenants[1] })
    expect(await other.create(ctx, elsewhere.session, elsewhere.first)).toEqual({ kind: 'created' })
  })

  test('SS2: a session that is deleted is gone for all, at once and once; its log is kept', async () => {
    const { store, other, ctx } = given()
    const session = await created(given(), idOf(1), { status: 'running', deadlineMs: 50 })
    const log = await wholeLog(store, ctx, session)
    expect(await store.remove(ctx, session)).toBe(true)
    for (const each of [store, other]) {
      expect(await each.load(ctx, session)).toBeUndefined()
      expect(await each.commit(ctx, createNext(session))).toEqual({ kind: 'missing' })
      expect(await each.remove(ctx, session)).toBe(false)
      expect(await wholeLog(each, ctx, session)).toEqual(log)
    }
  })

  test('SS2: a session that was never there is missing for commits, removal and log', async () => {
    const { store, ctx, tenants } = given()
    const { session } = createFirst({ tenantId: tenants[0], sessionId: idOf(9) })
    expect(await store.commit(ctx, createNext(session))).toEqual({ kind: 'missing' })
    expect(await store.remove(ctx, session)).toBe(false)
    expect(await wholeLog(store, ctx, session)).toEqual([])
  })
}

function testCommits(given: () => OpenedStore): void {
  test('SS1, SS2: of commits that were decided on the same place one is committed; the others are given it, byte for byte', async () => {
    const { store, other, ctx } = given()
    const session = await created(given(), idOf(1))
    const commits = Array.from({ length: 8 }, (_, index) => createNext(session, { note: `${index}` }))
    const results = await Promise.all(
      commits.map((commit, index) => (index % 2 === 0 ? store : other).commit(ctx, commit)),
    )
    const won = results.findIndex(({ kind }) => kind === 'committed')
    const winner = commits[won]?.to as StoredSession
    expect(results.filter(({ kind }) => kind === 'committed')).toHaveLength(1)
    for (const [index, result] of results.entries()) {
      if (index !== won) expect(result).toEqual({ kind: 'conflict', current: winner })
    }
    expect(await other.load(ctx, session)).toEqual(winner)
    expect((await wholeLog(store, ctx, session)).at(-1)?.hash).toBe(winner.head)
  })

  test('SS1: a commit from a place that is not there any more, or not yet, changes nothing', async () => {
    const { store, other, ctx } = given()
    const first = await created(given(), idOf(1))
    const { to: second, ...commit } = createNext(first)
    await store.commit(ctx, { ...commit, to: second })
    for (const from of [first, { ...second, version: 3 }, { ...second, epoch: 0 }]) {
      expect(await other.commit(ctx, { ...createNext(from, { epoch: 1 }), operationId: 'x' })).toEqual({
        kind: 'conflict',
        current: second,
      })
    }
    expect(await wholeLog(store, ctx, first)).toHaveLength(2)
    expect(await store.load(ctx, first)).toEqual(second)
  })

  test('SS2: a refused commit leaves no trace in the session, the log, what is due', async () => {
    const { store, ctx } = given()
    const session = await created(given(), idOf(1), { status: 'running', deadlineMs: 500 })
    const commit = createNext({ ...session, version: 7 }, { deadlineMs: 10, operationId: 'op' })
    expect((await store.commit(ctx, commit)).kind).toBe('conflict')
    expect(await store.claimDue(ctx, { nowMs: 100, leaseMs: 50, limit: 10 })).toEqual([])
    expect(await store.load(ctx, session)).toEqual(session)
    expect(await wholeLog(store, ctx, session)).toHaveLength(1)
    // Nor is its operation one that was done.
    expect(await store.commit(ctx, createNext(session, { operationId: 'op' }))).toEqual({ kind: 'committed' })
  })
}

function testWriters(given: () => OpenedStore): void {
  test('SS1, CH1: 8 writers on one session lose no acknowledged update, and the log is one chain', async () => {
    const { store, other, ctx } = given()
    let conflicts = 0
    const session = await created(given(), idOf(1))
    const write = async (writer: number): Promise<string[]> => {
      const acknowledged: string[] = []
      const by = writer % 2 === 0 ? store : other
      let current = session
      while (acknowledged.length < 12) {
        const note = `${writer}-${acknowledged.length}`
        const commit = createNext(current, { note, entries: 1 + (writer % 3) })
        const result = await by.commit(ctx, commit)
        if (result.kind === 'committed') acknowledged.push(note)
        if (result.kind === 'conflict') conflicts++
        current = result.kind === 'conflict' ? result.current : commit.to
      }
      return acknowledged
    }
    const acknowledged = (await Promise.all([0, 1, 2, 3, 4, 5, 6, 7].map(write))).flat()
    const log = await wholeLog(other, ctx, session)
    const final = await store.load(ctx, session)
    expect(conflicts).toBeGreaterThan(0)
    expect(log.map(({ version }) => version)).toEqual(log.map((_, index) => index + 1))
    expect(verifyChain(log)).toBe(final?.head)
    const noted = log.flatMap(({ text }) => /"note (\S+) last"/.exec(text)?.[1] ?? [])
    expect(noted.toSorted()).toEqual(acknowledged.toSorted())
  })
}

function testEpochs(given: () => OpenedStore): void {
  test('SS3: a commit or a creation of an epoch that has passed, or is not yet, changes nothing', async () => {
    const { store, other, ctx, tenants, setEpoch } = given()
    const session = await created(given(), idOf(1))
    const late = createFirst({ tenantId: tenants[0], sessionId: idOf(2) })
    expect(await store.commit(ctx, createNext(session, { epoch: 2 }))).toEqual({ kind: 'fenced' })
    await setEpoch(2)
    for (const each of [store, other]) {
      expect(await each.commit(ctx, createNext(session))).toEqual({ kind: 'fenced' })
      expect(await each.create(ctx, late.session, late.first)).toEqual({ kind: 'fenced' })
    }
    expect(await store.load(ctx, session)).toEqual(session)
    expect(await store.load(ctx, late.session)).toBeUndefined()
    expect(await wholeLog(store, ctx, session)).toHaveLength(1)
  })

  test('SS1, SS3: a session of an epoch that has passed is committed from its old place under the present one, once', async () => {
    const { store, other, ctx, setEpoch } = given()
    const session = await created(given(), idOf(1))
    await setEpoch(2)
    await setEpoch(3)
    const recovered = createNext(session, { epoch: 3 })
    expect(await other.commit(ctx, recovered)).toEqual({ kind: 'committed' })
    expect(await store.load(ctx, session)).toEqual(recovered.to)
    const again = await store.commit(ctx, createNext(session, { epoch: 3, note: 'again' }))
    expect(again).toEqual({ kind: 'conflict', current: recovered.to })
    // The same version, but of the epoch before.
    const stale = await store.commit(ctx, createNext({ ...recovered.to, epoch: 1 }, { epoch: 3 }))
    expect(stale).toEqual({ kind: 'conflict', current: recovered.to })
    expect((await wholeLog(store, ctx, session)).map(({ epoch }) => epoch)).toEqual([1, 3])
  })
}

function testOperations(given: () => OpenedStore): void {
  test('SS4: an operation is done once, whoever asks again and whatever was done in between', async () => {
    const { store, other, ctx } = given()
    const session = await created(given(), idOf(1))
    const done = createNext(session, { operationId: 'a', entries: 3 })
    expect(await store.commit(ctx, done)).toEqual({ kind: 'committed' })
    expect(await other.commit(ctx, done)).toEqual({ kind: 'repeated', version: 4 })
    const next = createNext(done.to, { operationId: 'b' })
    expect(await store.commit(ctx, next)).toEqual({ kind: 'committed' })
    for (const each of [store, other]) {
      expect(await each.commit(ctx, createNext(next.to, { operationId: 'a' }))).toEqual({
        kind: 'repeated',
        version: 4,
      })
      expect(await each.commit(ctx, createNext(next.to, { operationId: 'b' }))).toEqual({
        kind: 'repeated',
        version: 5,
      })
    }
    expect(await store.load(ctx, session)).toEqual(next.to)
    expect(await wholeLog(store, ctx, session)).toHaveLength(5)
    expect(await other.findOperation(ctx, session, 'a')).toBe(4)
    expect(await other.findOperation(ctx, session, 'b')).toBe(5)
    expect(await other.findOperation(ctx, session, 'c')).toBeUndefined()
    expect(await other.findOperation(ctx, { ...session, sessionId: idOf(2) }, 'a')).toBeUndefined()
  })

  test('SS1, SS4: the same operation from many at a time is done once', async () => {
    const { store, other, ctx } = given()
    const session = await created(given(), idOf(1))
    const commits = Array.from({ length: 8 }, (_, index) =>
      createNext(session, { operationId: 'same', note: `${index}` }),
    )
    const results = await Promise.all(
      commits.map((commit, index) => (index % 2 === 0 ? store : other).commit(ctx, commit)),
    )
    expect(results.filter(({ kind }) => kind === 'committed')).toHaveLength(1)
    expect(await wholeLog(store, ctx, session)).toHaveLength(2)
  })

  test(`SS4: the last ${OPERATIONS_KEPT} operations of a session are remembered, apart from those of others`, async () => {
    const { store, ctx } = given()
    let current = await created(given(), idOf(1))
    const another = await created(given(), idOf(2))
    for (let index = 0; index <= OPERATIONS_KEPT; index++) {
      const commit = createNext(current, { operationId: `operation ${index}` })
      expect(await store.commit(ctx, commit)).toEqual({ kind: 'committed' })
      current = commit.to
    }
    for (let index = 1; index <= OPERATIONS_KEPT; index++) {
      const again = await store.commit(ctx, createNext(current, { operationId: `operation ${index}` }))
      expect(again).toEqual({ kind: 'repeated', version: index + 2 })
    }
    expect(await store.commit(ctx, createNext(another, { operationId: 'operation 9' }))).toEqual({ kind: 'committed' })
  })
}

function testLog(given: () => OpenedStore): void {
  test('SS2, CH1: the log is read in pages, in order, several entries of one commit included', async () => {
    const { store, other, ctx } = given()
    let current = await created(given(), idOf(1))
    for (const entries of [1, 4, 2, 1, 3]) {
      const commit = createNext(current, { entries })
      await store.commit(ctx, commit)
      current = commit.to
    }
    const { tenantId, sessionId } = current
    const read: LogEntry[] = []
    for (let afterVersion = 0; ; afterVersion = read.at(-1)?.version as number) {
      const page = await other.log(ctx, { tenantId, sessionId, afterVersion, limit: 5 })
      read.push(...page)
      if (page.length < 5) break
      expect(page).toHaveLength(5)
    }
    expect(read.map(({ version }) => version)).toEqual(Array.from({ length: 12 }, (_, index) => index + 1))
    expect(verifyChain(read)).toBe(current.head)
    expect(await store.log(ctx, { tenantId, sessionId, afterVersion: 12, limit: 5 })).toEqual([])
    expect(await store.log(ctx, { tenantId, sessionId, afterVersion: 10, limit: 1 })).toEqual([read[10]])
  })

  test('SS2, CH1: entries that a later epoch branched off before are left out of the log, on every page', async () => {
    const { store, ctx, setEpoch, addEntries } = given()
    if (addEntries === undefined) return
    const first = createNext(await created(given(), idOf(1)), { entries: 3 })
    await store.commit(ctx, first)
    const lost = createNext(first.to, { entries: 4, note: 'lost' })
    const never = createNext(first.to, { entries: 6, note: 'never', epoch: 2 })
    await addEntries(first.to, lost.entries)
    await addEntries(first.to, never.entries)
    await setEpoch(3)
    const kept = createNext(first.to, { entries: 3, note: 'kept', epoch: 3 })
    expect(await store.commit(ctx, kept)).toEqual({ kind: 'committed' })
    const log = await until('the log tells of it', async () => {
      const read = await wholeLog(store, ctx, first.to)
      return read.length === 7 && read
    })
    expect(log.map(({ epoch }) => epoch)).toEqual([1, 1, 1, 1, 3, 3, 3])
    expect(verifyChain(log)).toBe(kept.to.head)
    const { tenantId, sessionId } = first.to
    for (let afterVersion = 0; afterVersion < 8; afterVersion++) {
      const page = await store.log(ctx, { tenantId, sessionId, afterVersion, limit: 2 })
      expect(page).toEqual(log.slice(afterVersion, afterVersion + 2))
    }
  })
}
