// Of the conformance suite: what watchers hear. A watcher may be told that there is a gap at any time, and has to load then; what it knows
// in the end is what this asks for, and that it mostly hears of commits as such.

import type { Ctx } from '@ripstop/kernel'
import { expect, test } from 'vitest'
import { until } from '../testing/processes.ts'
import { created, createFirst, createNext, idOf, type OpenedStore } from './conformance-writing.fixture.ts'
import type { FeedMessage, SessionStore, StoredSession } from './store.ts'

interface Place {
  readonly epoch: number
  readonly version: number
}

const isSame = (one: Place, other: Place): boolean => one.epoch === other.epoch && one.version === other.version
const isAfter = (one: Place, other: Place): boolean =>
  one.epoch > other.epoch || (one.epoch === other.epoch && one.version > other.version)

export interface Follower extends Disposable {
  readonly heard: readonly FeedMessage[]
  readonly place: Place
  readonly isDeleted: boolean
}

/** Knows how far a session is, as the hub of a process would: from messages, and by loading where they leave a gap. */
export function follow(store: SessionStore, ctx: Ctx, session: StoredSession): Follower {
  const heard: FeedMessage[] = []
  let place: Place = session
  let isStale = false
  let isLoading = false
  let isDeleted = false
  const refresh = async (): Promise<void> => {
    isStale = true
    if (isLoading) return
    isLoading = true
    while (isStale) {
      isStale = false
      const now = await store.load(ctx, session).catch(() => undefined) // the store may be closed by now
      if (now !== undefined && isAfter(now, place)) place = now
    }
    isLoading = false
  }
  const hear = (message: FeedMessage): void => {
    heard.push(message)
    if (message.kind === 'gap') void refresh()
    else if (message.kind === 'deleted') isDeleted = true
    else {
      const last = message.entries.at(-1) as Place
      if (isSame(message.from, place)) place = last
      else if (isAfter(last, place)) void refresh()
    }
  }
  const watch = store.watch({ tenantId: session.tenantId, sessionId: session.sessionId }, hear)
  return {
    heard,
    get place() {
      return place
    },
    get isDeleted() {
      return isDeleted
    },
    [Symbol.dispose]: () => watch[Symbol.dispose](),
  }
}

const entriesOf = ({ heard }: Follower) => heard.flatMap((message) => (message.kind === 'entries' ? [message] : []))

/** Commits until `follower` hears of a commit as such: from now on it does not hear gaps only. */
async function warm({ store, ctx }: OpenedStore, follower: Follower, session: StoredSession): Promise<StoredSession> {
  let current = session
  await until('a commit is heard', async () => {
    const commit = createNext(current)
    expect(await store.commit(ctx, commit)).toEqual({ kind: 'committed' })
    current = commit.to
    return entriesOf(follower).length > 0
  })
  await until('all is heard', () => isSame(follower.place, current))
  return current
}

export function testWatching(given: () => OpenedStore): void {
  testHearing(given)
  testSilence(given)
}

function testHearing(given: () => OpenedStore): void {
  test('SS2: watchers in every instance come to know of all commits, as messages that follow from one another', async () => {
    const { store, other, ctx } = given()
    const session = await created(given(), idOf(1))
    using near = follow(store, ctx, session)
    using far = follow(other, ctx, session)
    let current = await warm(given(), far, session)
    const commits = [1, 3, 1, 2, 1].map((entries) => {
      const commit = createNext(current, { entries, note: `${entries}` })
      current = commit.to
      return commit
    })
    const begun = far.heard.length
    for (const commit of commits) expect(await store.commit(ctx, commit)).toEqual({ kind: 'committed' })
    for (const each of [near, far]) await until('all is heard', () => isSame(each.place, current))
    const messages = far.heard.slice(begun).flatMap((message) => (message.kind === 'entries' ? [message] : []))
    for (const { ref, from, entries } of messages) {
      expect(ref).toEqual({ tenantId: session.tenantId, sessionId: session.sessionId })
      const made = commits.flatMap((commit) => commit.entries).filter((entry) => entry.version > from.version)
      expect(made.slice(0, entries.length).map(({ hash, text }) => [hash, text])).toEqual(
        entries.map(({ hash, text }) => [hash, text]),
      )
    }
  })

  test('SS2: a change of epoch is heard with the place that it went on from', async () => {
    const { store, other, ctx, setEpoch } = given()
    const session = await created(given(), idOf(1))
    using far = follow(other, ctx, session)
    const current = await warm(given(), far, session)
    await setEpoch(2)
    const commit = createNext(current, { epoch: 2, entries: 2 })
    await store.commit(ctx, commit)
    await until('it is heard', () => isSame(far.place, commit.to))
    const message = entriesOf(far).find(({ entries }) => entries.some(({ epoch }) => epoch === 2))
    if (message !== undefined) expect(message.from).toEqual(commit.from)
  })

  test('SS2: that a session was deleted is heard by all who watch it', async () => {
    const { store, other, ctx } = given()
    const session = await created(given(), idOf(1))
    using near = follow(store, ctx, session)
    using far = follow(other, ctx, session)
    await warm(given(), far, session)
    await store.remove(ctx, session)
    await until('both know', () => near.isDeleted && far.isDeleted)
  })
}

function testSilence(given: () => OpenedStore): void {
  test('SS1, SS3, SS4: nothing is heard of what was refused, of other sessions, or after watching has ended', async () => {
    const { store, other, ctx, tenants } = given()
    const session = await created(given(), idOf(1))
    const another = await created(given(), idOf(2))
    const elsewhere = createFirst({ tenantId: tenants[1], sessionId: idOf(1) })
    await store.create(ctx, elsewhere.session, elsewhere.first)
    using near = follow(store, ctx, session)
    using far = follow(other, ctx, session)
    const ended = follow(other, ctx, session)
    ended[Symbol.dispose]()
    const current = await warm(given(), far, session)
    const refused = createNext(session, { note: 'refused' })
    const fenced = createNext(current, { note: 'fenced', epoch: 7 })
    for (const commit of [refused, fenced]) expect((await store.commit(ctx, commit)).kind).not.toBe('committed')
    await store.commit(ctx, createNext(another, { note: 'another' }))
    await other.commit(ctx, createNext(elsewhere.session, { note: 'elsewhere' }))
    const last = createNext(current, { note: 'last' })
    await other.commit(ctx, last)
    for (const each of [near, far]) await until('the last is heard', () => isSame(each.place, last.to))
    const texts = [near, far].flatMap(entriesOf).flatMap(({ entries }) => entries.map(({ text }) => text))
    expect(texts.filter((text) => /note (refused|fenced|another|elsewhere)/.test(text))).toEqual([])
    expect(ended.heard).toEqual([])
  })

  test('SS1, SS2: while instances race, watchers in both come to know how it ended', async () => {
    const { store, other, ctx } = given()
    const session = await created(given(), idOf(1))
    using near = follow(store, ctx, session)
    using far = follow(other, ctx, session)
    const race = async (by: SessionStore): Promise<void> => {
      let current = session
      for (let tries = 0; tries < 25; tries++) {
        const commit = createNext(current)
        const result = await by.commit(ctx, commit)
        current = result.kind === 'conflict' ? result.current : commit.to
      }
    }
    await Promise.all([store, other].map(race))
    const final = (await store.load(ctx, session)) as StoredSession
    for (const each of [near, far]) await until('it knows', () => isSame(each.place, final))
  })
}
