import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Settled } from '#delivery'
import type { Presence } from './answer.ts'
import { HealthBook, WRITE_MS } from './health.ts'

const HEALTHY = { isFailing: false, missingInARow: 0 }
const settled = (outcome: 'delivered' | 'failed', wallMs: number): Settled => ({
  delivery: {
    deliveryId: 1,
    tenantId: 't',
    targetId: 'e',
    messageId: 'm',
    attempt: 1,
    mayRepeat: false,
    replayId: undefined,
  },
  answer: { outcome, durationMs: 1 },
  dueInMs: undefined,
  wallMs,
})

test('WK6: however many attempts there are, it is written once in five seconds, and once more when it recovers', () => {
  const book = new HealthBook()
  let writes = 0
  for (let ms = 0; ms < 60_000; ms += 10) {
    book.record(settled('delivered', ms), 'there', HEALTHY)
    writes += book.take(['e'], ms).length
  }
  expect(writes).toBe(12)
  book.record(settled('failed', 60_000), 'there', HEALTHY)
  expect(book.take(['e'], 60_000)).toMatchObject([{ failingSinceWallMs: 60_000 }])
  book.record(settled('failed', 60_010), 'there', HEALTHY)
  expect(book.take(['e'], 60_010)).toEqual([])
  book.record(settled('delivered', 60_020), 'there', HEALTHY)
  expect(book.take(['e'], 60_020)).toMatchObject([{ lastSuccessWallMs: 60_020, failingSinceWallMs: undefined }])
  book.record(settled('delivered', 60_030), 'there', HEALTHY)
  expect(book.take(['e'], 60_030)).toEqual([])
})

test('WK6: an endpoint that flutters between failing and not is written at most twice in five seconds', () => {
  const book = new HealthBook()
  let writes = 0
  for (let ms = 0; ms < 50_000; ms += 10) {
    book.record(settled(ms % 20 === 0 ? 'failed' : 'delivered', ms), 'there', HEALTHY)
    writes += book.take(['e'], ms).length
  }
  expect(writes).toBeLessThanOrEqual(20)
})

interface Row {
  failing: number | null
  missing: number
  success: number | null
}

/** As the statement of health-store.ts does it. */
function write(row: Row, news: ReturnType<HealthBook['take']>[number]): void {
  const { lastSuccessWallMs: success, failingSinceWallMs: failing, missing, isMissingReset } = news
  row.failing = success === undefined ? (row.failing ?? failing ?? null) : (failing ?? null)
  row.success = success ?? row.success
  row.missing = missing + (isMissingReset ? 0 : row.missing)
}

test('what is written in pieces says the same as all attempts at once', () => {
  const attempt = fc.record({
    outcome: fc.constantFrom('delivered' as const, 'failed' as const),
    presence: fc.constantFrom<Presence>('there', 'missing', 'unclear'),
    gapMs: fc.integer({ min: 1, max: 3_000 }),
  })
  fc.assert(
    fc.property(fc.array(attempt, { maxLength: 60 }), (attempts) => {
      const book = new HealthBook()
      const row: Row = { failing: null, missing: 0, success: null }
      const naive: Row = { failing: null, missing: 0, success: null }
      let ms = 0
      for (const one of attempts) {
        ms += one.gapMs
        const presence = one.outcome === 'delivered' ? 'there' : one.presence
        const inARow = book.record(settled(one.outcome, ms), presence, HEALTHY)
        naive.missing = presence === 'missing' ? naive.missing + 1 : presence === 'there' ? 0 : naive.missing
        naive.failing = one.outcome === 'delivered' ? null : (naive.failing ?? ms)
        naive.success = one.outcome === 'delivered' ? ms : naive.success
        expect(inARow).toBe(naive.missing)
        for (const news of book.take(['e'], ms)) write(row, news)
      }
      book.record(settled('failed', ms + WRITE_MS), 'unclear', HEALTHY)
      naive.failing ??= ms + WRITE_MS
      for (const news of book.take(['e'], ms + WRITE_MS)) write(row, news)
      expect(row).toEqual(naive)
    }),
  )
})
