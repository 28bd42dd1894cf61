import { background, createEnv } from '@ripstop/kernel'
import { expect, test } from 'vitest'
import { testSessionStore } from './conformance.fixture.ts'
import { createFirst, createNext, idOf } from './conformance-writing.fixture.ts'
import { createMemoryData, createMemoryStore } from './memory-store.fixture.ts'
import type { FeedMessage } from './store.ts'

const ctx = background(createEnv())

testSessionStore('the memory store', async () => {
  const data = createMemoryData()
  return {
    ctx,
    store: createMemoryStore(data),
    other: createMemoryStore(data),
    tenants: [idOf(101), idOf(102)],
    setEpoch: async (epoch) => {
      data.epoch = epoch
    },
    addEntries: async ({ tenantId, sessionId }, entries) => {
      data.sessions.get(`${tenantId}/${sessionId}`)?.log.push(...entries)
    },
    [Symbol.asyncDispose]: async () => {},
  }
})

test('SM1: watchers have heard of a commit when it is begun, whatever else waits', () => {
  const store = createMemoryStore()
  const { session, first } = createFirst({ tenantId: idOf(101), sessionId: idOf(1) })
  const heard: FeedMessage[] = []
  using _ = store.watch(session, (message) => heard.push(message))
  void store.create(ctx, session, first)
  const commit = createNext(session)
  void store.commit(ctx, commit)
  void store.commit(ctx, createNext(session))
  expect(heard).toEqual([{ kind: 'entries', ref: heard[0]?.ref, from: commit.from, entries: commit.entries }])
})

test('SM2: at its bound it refuses new sessions and keeps those that it has, deleted ones too', async () => {
  const store = createMemoryStore(createMemoryData({ sessionsMax: 2 }))
  const make = (number: number) => createFirst({ tenantId: idOf(101), sessionId: idOf(number) })
  for (const { session, first } of [make(1), make(2)]) await store.create(ctx, session, first)
  await store.remove(ctx, make(2).session)
  const third = make(3)
  await expect(store.create(ctx, third.session, third.first)).rejects.toMatchObject({
    code: 'BACKLOG_FULL',
    sent: 'no',
  })
  expect(await store.commit(ctx, createNext(make(1).session))).toEqual({ kind: 'committed' })
  expect(await store.create(ctx, make(2).session, make(2).first)).toEqual({ kind: 'exists' })
})
