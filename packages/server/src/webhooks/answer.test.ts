import { RipstopError } from '@ripstop/kernel'
import { expect, test } from 'vitest'
import { judgeAnswer, judgeFailure, readRetryAfter } from './answer.ts'

const EMPTY = Buffer.alloc(0)
const NOW = Date.parse('2026-11-21T12:00:00Z')
const judge = (status: number, headers = {}) => judgeAnswer({ status, headers, body: EMPTY }, NOW)

test.each([
  [200, 'delivered', 'there'],
  [204, 'delivered', 'there'],
  [301, 'failed', 'there'],
  [400, 'failed', 'there'],
  [401, 'failed', 'there'],
  [404, 'failed', 'missing'],
  [410, 'failed', 'gone'],
  [429, 'failed', 'there'],
  [500, 'failed', 'there'],
])('%d is %s, and the endpoint is %s', (status, outcome, presence) => {
  const judged = judge(status)
  expect(judged.answer).toMatchObject({ outcome, status })
  expect(judged.presence).toBe(presence)
  expect(judged.answer.next).toBe(status === 410 ? 'park' : undefined)
})

test('Retry-After is heard from who is busy, in seconds or as a date, and within a day', () => {
  expect(judge(429, { 'retry-after': '120' }).answer.retryAfterMs).toBe(120_000)
  expect(judge(503, { 'retry-after': 'Sat, 21 Nov 2026 12:00:30 GMT' }).answer.retryAfterMs).toBe(30_000)
  expect(judge(500, { 'retry-after': '120' }).answer.retryAfterMs).toBeUndefined()
  expect(readRetryAfter('999999999', NOW)).toBe(86_400_000)
  expect(readRetryAfter('Sat, 21 Nov 2026 11:00:00 GMT', NOW)).toBe(0)
  for (const value of [undefined, '', 'soon', '-1', '1e9', ['1', '2']])
    expect(readRetryAfter(value, NOW)).toBeUndefined()
})

const failure = (sent: 'no' | 'maybe' | undefined, details = {}) =>
  judgeFailure(new RipstopError('LINK_LOST', 'it broke', { details, ...(sent === undefined ? {} : { sent }) }), NOW)

test('WK5: without a status it is unknown if bytes may have gone out, else failed', () => {
  expect(failure('no').answer.outcome).toBe('failed')
  expect(failure('maybe').answer.outcome).toBe('unknown')
  expect(failure(undefined).answer.outcome).toBe('unknown')
})

test('WK5: an answer whose head was there counts, although its body broke off', () => {
  expect(failure('maybe', { status: 200 }).answer).toMatchObject({ outcome: 'delivered', status: 200 })
  expect(failure('maybe', { status: 500 }).answer).toMatchObject({ outcome: 'failed', status: 500 })
  expect(failure('maybe', { status: 410 })).toMatchObject({ presence: 'gone', answer: { next: 'park' } })
})

test('only a name that does not exist says that nobody lives there; one that nobody could look up does not', () => {
  expect(failure('no', { cause: 'ENOTFOUND' }).presence).toBe('missing')
  for (const cause of ['EAI_AGAIN', 'ECONNREFUSED', 'ETIMEDOUT', undefined])
    expect(failure('no', { cause }).presence).toBe('unclear')
})
