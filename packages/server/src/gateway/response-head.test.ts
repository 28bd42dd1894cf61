import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createResponseHeaders, type ResponseHead } from './response-head.ts'

function headOf(pairs: readonly string[], more: Partial<ResponseHead> = {}): ResponseHead {
  const raw = pairs.map((text) => Buffer.from(text, 'latin1'))
  return { status: 200, reason: 'OK', raw, connection: '', hasTrailers: false, ...more }
}

describe('response head', () => {
  test('AH1: names, values, order and repetitions stay as they are, byte by byte', () => {
    const token = fc
      .stringMatching(/^[A-Za-z-]{1,12}$/)
      .filter((name) => !/^(te|upgrade|trailer|connection|keep-alive)$/i.test(name))
    const value = fc.stringMatching(/^[\x21-\x7e\x80-\xff]{0,20}$/)
    fc.assert(
      fc.property(fc.array(fc.tuple(token, value), { maxLength: 10 }), (pairs) => {
        expect(createResponseHeaders(headOf(pairs.flat()), true)).toEqual(pairs.flat())
      }),
    )
  })

  test('AH2: what belongs to the connection of the upstream goes', () => {
    const pairs = [
      'Connection',
      'close, X-Hop',
      'keep-alive',
      'x',
      'Transfer-Encoding',
      'chunked',
      'Upgrade',
      'h2c',
      'X-Hop',
      '1',
    ]
    const head = headOf([...pairs, 'Proxy-Connection', 'x', 'X-Kept', '1'], { connection: 'close, X-Hop' })
    expect(createResponseHeaders(head, true)).toEqual(['X-Kept', '1'])
    const framing = headOf(['Content-Length', '5'], { connection: 'content-length' })
    expect(createResponseHeaders(framing, true)).toEqual(['Content-Length', '5'])
  })

  test('a Trailer is announced only where trailers can follow', () => {
    const head = headOf(['Trailer', 'X-Sum'], { hasTrailers: true })
    expect(createResponseHeaders(head, true)).toEqual(['Trailer', 'X-Sum'])
    expect(createResponseHeaders(head, false)).toEqual([])
    expect(createResponseHeaders(headOf(['Trailer', 'X-Sum']), true)).toEqual([])
  })

  test('a 204 has no length', () => {
    expect(createResponseHeaders(headOf(['content-length', '7', 'X', 'y'], { status: 204 }), true)).toEqual(['X', 'y'])
  })
})
