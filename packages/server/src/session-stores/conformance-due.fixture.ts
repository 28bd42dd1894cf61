// Of the conformance suite: deadlines and leases.

import { expect, test } from 'vitest'
import { created, createNext, idOf, type OpenedStore } from './conformance-writing.fixture.ts'
import type { DueSession, StoredSession } from './store.ts'

const LEASE_MS = 100

export function testDeadlines(given: () => OpenedStore): void {
  const claim = (nowMs: number, limit = 100, by = given().store) =>
    by.claimDue(given().ctx, { nowMs, leaseMs: LEASE_MS, limit })
  const claimed = (due: readonly DueSession[]): string[] => due.map(({ sessionId }) => sessionId).toSorted()
  const running = (number: number, deadlineMs: number) =>
    created(given(), idOf(number), { status: 'running', deadlineMs })

  testClaims(given, claim, claimed, running)

  test('SS2: a deadline that was put off is due when it is, not when it was; one that was moved up is due sooner', async () => {
    const { store, ctx } = given()
    const later = await running(1, 1_000)
    const sooner = await running(2, 9_000)
    await store.commit(ctx, createNext(later, { deadlineMs: 5_000 }))
    await store.commit(ctx, createNext(sooner, { deadlineMs: 2_000 }))
    expect(await claim(1_999)).toEqual([])
    expect(claimed(await claim(2_000))).toEqual([idOf(2)])
    expect(claimed(await claim(4_999))).toEqual([idOf(2)])
    expect(claimed(await claim(5_000))).toEqual([idOf(1)])
  })

  test('SS2: a session that has ended, was deleted, or has no deadline is never due', async () => {
    const { store, ctx } = given()
    const sessions: StoredSession[] = []
    for (const number of [1, 2, 3, 4, 5]) sessions.push(await running(number, 1_000))
    const [ended, cancelled, paused, deleted] = sessions as [StoredSession, StoredSession, StoredSession, StoredSession]
    await store.commit(ctx, createNext(ended, { status: 'expired', deadlineMs: undefined }))
    // Whatever is said of its deadline.
    await store.commit(ctx, createNext(cancelled, { status: 'cancelled', deadlineMs: 900 }))
    const resting = createNext(paused, { status: 'paused', deadlineMs: undefined })
    await store.commit(ctx, resting)
    await store.remove(ctx, deleted)
    expect(claimed(await claim(5_000))).toEqual([idOf(5)])
    expect(claimed(await claim(5_000 + LEASE_MS))).toEqual([idOf(5)])
    await store.commit(ctx, createNext(resting.to, { status: 'running', deadlineMs: 6_000 }))
    expect(claimed(await claim(6_000))).toEqual([idOf(3), idOf(5)])
    expect(await store.load(ctx, deleted)).toBeUndefined()
  })
}

function testClaims(
  given: () => OpenedStore,
  claim: (nowMs: number, limit?: number, by?: OpenedStore['store']) => Promise<readonly DueSession[]>,
  claimed: (due: readonly DueSession[]) => string[],
  running: (number: number, deadlineMs: number) => Promise<StoredSession>,
): void {
  test('SS2: a deadline is due when it has come', async () => {
    expect(await claim(0)).toEqual([])
    await running(1, 1_000)
    await running(2, 2_000)
    await created(given(), idOf(3))
    expect(await claim(999)).toEqual([])
    const due = await claim(1_000)
    expect(due).toEqual([{ tenantId: given().tenants[0], sessionId: idOf(1), deadlineMs: 1_000 }])
  })

  test('SS2: what is claimed is nobody else’s until its lease is over', async () => {
    const { other } = given()
    await running(1, 1_000)
    expect(claimed(await claim(1_200))).toEqual([idOf(1)])
    for (const nowMs of [1_200, 1_200 + LEASE_MS - 1]) {
      expect(claimed(await claim(nowMs))).toEqual([])
      expect(claimed(await claim(nowMs, 100, other))).toEqual([])
    }
    expect(claimed(await claim(1_200 + LEASE_MS, 100, other))).toEqual([idOf(1)])
    expect(claimed(await claim(1_200 + LEASE_MS))).toEqual([])
  })

  test('SS2: a commit ends the lease: its new deadline is due when it comes, within the lease and after it', async () => {
    const { store, ctx } = given()
    const soon = await running(1, 1_000)
    const late = await running(2, 1_000)
    expect(claimed(await claim(1_000))).toEqual([idOf(1), idOf(2)])
    await store.commit(ctx, createNext(soon, { deadlineMs: 1_010 }))
    await store.commit(ctx, createNext(late, { deadlineMs: 1_000 + 2 * LEASE_MS }))
    expect(claimed(await claim(1_009))).toEqual([])
    expect(claimed(await claim(1_010))).toEqual([idOf(1)])
    expect(claimed(await claim(1_000 + 2 * LEASE_MS - 1))).toEqual([idOf(1)])
    expect(claimed(await claim(1_000 + 2 * LEASE_MS))).toEqual([idOf(2)])
  })

  test('SS2: claims take no more than their limit, and leave the rest to the next', async () => {
    for (let number = 1; number <= 5; number++) await running(number, 1_000 + number)
    const first = await claim(2_000, 2)
    expect(first).toHaveLength(2)
    const rest = [
      ...claimed(await claim(2_000, 2)),
      ...claimed(await claim(2_000, 2)),
      ...claimed(await claim(2_000, 2)),
    ]
    expect([...claimed(first), ...rest].toSorted()).toEqual([1, 2, 3, 4, 5].map(idOf))
  })

  test('SS1: of what is due at the same time every claimer gets its own', async () => {
    const { store, other } = given()
    const numbers = Array.from({ length: 30 }, (_, index) => index + 1)
    for (const number of numbers) await running(number, 1_000)
    const found: string[] = []
    for (let round = 0; found.length < numbers.length && round < 20; round++) {
      const dues = await Promise.all([store, other, store, other].map((by) => claim(1_000, 5, by)))
      found.push(...dues.flatMap(claimed))
    }
    expect(found.toSorted()).toEqual(numbers.map(idOf))
  })
}
