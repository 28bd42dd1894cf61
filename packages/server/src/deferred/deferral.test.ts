import { RipstopError } from '@ripstop/kernel'
import { describe, expect, test } from 'vitest'
import { judgeAnswer, judgeFailure, keptHeaders, safeHeaders, targetIdOf } from './deferral.ts'

const kept = (status: number) => ({ status, headers: {}, body: Buffer.from('x'), isCut: false })

describe('what an answer means', () => {
  test('DF3: 502, 503 and 504 are tried again only where a repetition is harmless; 429 was not done, so always', () => {
    for (const status of [502, 503, 504]) {
      expect(judgeAnswer(kept(status), undefined, true, 1)).toMatchObject({ outcome: 'failed', next: 'later', status })
      expect(judgeAnswer(kept(status), undefined, false, 1)).toMatchObject({ outcome: 'failed', next: 'never', status })
    }
    for (const isRepeatable of [true, false])
      expect(judgeAnswer(kept(429), '7', isRepeatable, 1)).toMatchObject({ next: 'later', retryAfterMs: 7_000 })
    expect(judgeAnswer(kept(503), 'Wed, 21 Oct 2026 07:28:00 GMT', true, 1)).not.toHaveProperty('retryAfterMs')
  })

  test('DF3: every other answer is one, whatever it says', () => {
    for (const status of [200, 202, 301, 400, 404, 409, 500, 501])
      expect(judgeAnswer(kept(status), undefined, false, 1)).toMatchObject({ outcome: 'delivered', status })
  })

  test('DF3: of a failure only `sent: no` is tried again for sure; a failure that does not say is as one that was sent', () => {
    const failure = (sent?: 'no' | 'maybe') => new RipstopError('LINK_LOST', 'gone', sent === undefined ? {} : { sent })
    expect(judgeFailure(failure('no'), false, 1)).toMatchObject({ outcome: 'failed', next: 'later' })
    expect(judgeFailure(failure('maybe'), false, 1)).toMatchObject({ outcome: 'unknown', next: 'never' })
    expect(judgeFailure(failure(), false, 1)).toMatchObject({ outcome: 'unknown', next: 'never' })
    expect(judgeFailure(failure('maybe'), true, 1)).toMatchObject({ outcome: 'unknown', next: 'later' })
  })
})

describe('what is kept', () => {
  test('of a request: all but its length and the preference that was carried out; and a key where one was made', () => {
    const headers = ['Prefer', 'wait=5, respond-async, x="a, b"', 'Content-Length', '3', 'Cookie', 'c=1']
    expect(keptHeaders(headers, undefined)).toEqual(['Prefer', 'wait=5, x="a, b"', 'Cookie', 'c=1'])
    expect(keptHeaders(['prefer', 'Respond-Async; a=b'], 'k')).toEqual(['Idempotency-Key', 'k'])
  })

  test('of an answer: no cookie, nothing of the connection, and a bounded number', () => {
    const headers = {
      'Content-Type': 'text/plain',
      'set-cookie': ['a=1', 'b=2'],
      connection: 'close, X-Hop',
      'x-hop': '1',
      'www-authenticate': 'Basic',
      link: ['<a>', '<b>'],
      'content-length': '3',
    }
    expect(safeHeaders(headers)).toEqual({ 'content-type': 'text/plain', link: '<a>, <b>' })
    const many = Object.fromEntries(Array.from({ length: 100 }, (_, index) => [`x-${index}`, 'v']))
    expect(Object.keys(safeHeaders(many))).toHaveLength(64)
    expect(safeHeaders({ a: 'x'.repeat(17_000) })).toEqual({})
  })

  test('a target is a UUID that depends on the name of its upstream alone', () => {
    expect(targetIdOf('orders')).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
    expect(targetIdOf('orders')).toBe('2c2fe6d1-082d-8821-bfe4-824137c24f22')
    expect(targetIdOf('stock')).not.toBe(targetIdOf('orders'))
  })
})
