import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Peer } from '#platform/rate'
import { createRequestHead, type RequestHead } from './request-head.ts'

const stranger: Peer = { address: '192.0.2.7', trusted: false, proto: 'http' }
const proxy: Peer = { address: '10.0.0.1', trusted: true, proto: 'http' }
const made = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'

function read(raw: string[], peer = stranger, version = '1.1'): RequestHead {
  return createRequestHead(raw, version, peer, {
    pseudonym: 'ripstop-test',
    createTraceparent: () => made,
    clientOf: ({ address }, forwardedFor) => (forwardedFor === '' ? address : 'the chain'),
  })
}

const valuesOf = ({ headers }: RequestHead, name: string): string[] =>
  headers.filter((_, index) => index % 2 === 1 && headers[index - 1]?.toLowerCase() === name)

const refusalOf = (raw: string[], version = '1.1'): string => {
  try {
    read(raw, stranger, version)
  } catch (error) {
    return (error as { code: string }).code
  }
  return 'none'
}

describe('request head', () => {
  test('RH1: two Hosts, a Host that is none, and framing that two servers could read differently are refused', () => {
    expect(refusalOf(['Host', 'a', 'host', 'b'])).toBe('BAD_REQUEST')
    expect(refusalOf(['Host', 'a', 'host', 'a'])).toBe('BAD_REQUEST')
    for (const host of ['a, b', 'a@b', 'a/b', '', 'a b', 'a:b'])
      expect(refusalOf(['Host', host]), host).toBe('BAD_REQUEST')
    for (const host of ['a', 'A.b:80', '[::1]:3000', '127.0.0.1']) expect(refusalOf(['Host', host]), host).toBe('none')
    expect(refusalOf(['Host', 'a', 'Transfer-Encoding', 'gzip, chunked'])).toBe('BAD_REQUEST')
    expect(refusalOf(['Host', 'a', 'Transfer-Encoding', 'chunked'], '1.0')).toBe('BAD_REQUEST')
    expect(refusalOf(['Host', 'a'], '2.0')).toBe('BAD_REQUEST')
    expect(refusalOf(['Host', 'a', 'Transfer-Encoding', 'Chunked'])).toBe('none')
  })

  test('RH2: hop-by-hop headers go, and so do those that Connection names', () => {
    const head = read([
      ...[
        'Host',
        'a',
        'Connection',
        'close, X-Secret , content-length',
        'X-Secret',
        '1',
        'x-secret',
        '2',
        'Keep-Alive',
        't',
      ],
      ...['TE', 'trailers', 'Trailer', 'x', 'Upgrade', 'h2c', 'HTTP2-Settings', 'x', 'Proxy-Connection', 'close'],
      ...['Proxy-Authorization', 'Basic x', 'Expect', '100-continue', 'Content-Length', '5', 'X-Kept', 'yes'],
    ])
    const names = head.headers.filter((_, index) => index % 2 === 0)
    expect(names).toEqual([
      'Content-Length',
      'X-Kept',
      'X-Forwarded-For',
      'X-Forwarded-Proto',
      'X-Forwarded-Host',
      'Via',
      'traceparent',
    ])
    expect(head.bodyBytes).toBe(5)
  })

  test('RH2: no spelling of Connection or of a name lets a named header through', () => {
    const spelled = fc.constantFrom('x-a', 'X-A', 'X-a')
    const words = fc.array(fc.constantFrom('close', ' keep-alive', 'x-a ', '\tX-A', '', 'x-b'), {
      minLength: 1,
      maxLength: 5,
    })
    fc.assert(
      fc.property(spelled, words, (name, connection) => {
        const head = read(['Host', 'a', name, '1', 'Connection', connection.join(',')])
        const isNamed = connection.some((word) => word.trim().toLowerCase() === 'x-a')
        expect(valuesOf(head, 'x-a')).toEqual(isNamed ? [] : ['1'])
      }),
    )
  })

  test('RH3: what an untrusted peer says about its client is replaced', () => {
    const head = read([
      ...[
        'Host',
        'a',
        'X-Forwarded-For',
        '1.1.1.1',
        'x-forwarded-proto',
        'https',
        'X-Forwarded-Host',
        'evil',
        'Forwarded',
        'for=x',
      ],
      ...['X-Real-IP', '1.1.1.1', 'X-Forwarded-Port', '1', 'X-FORWARDED-Prefix', '/x', 'X-Forwarded', 'x'],
    ])
    expect(head.headers.join('|')).not.toMatch(/1\.1\.1\.1|evil|for=x|\/x/)
    expect(valuesOf(head, 'x-forwarded-for')).toEqual(['192.0.2.7'])
    expect(valuesOf(head, 'x-forwarded-proto')).toEqual(['http'])
    expect(valuesOf(head, 'x-forwarded-host')).toEqual(['a'])
    expect(head.client).toBe('192.0.2.7')
  })

  test('RH3: what a trusted proxy says is kept and added to', () => {
    const head = read(
      [
        'Host',
        'a',
        'X-Forwarded-For',
        '1.1.1.1',
        'X-Forwarded-Proto',
        'https',
        'X-Forwarded-Host',
        'b',
        'X-Real-IP',
        'c',
      ],
      proxy,
    )
    expect(valuesOf(head, 'x-forwarded-for')).toEqual(['1.1.1.1, 10.0.0.1'])
    expect(valuesOf(head, 'x-forwarded-proto')).toEqual(['https'])
    expect(valuesOf(head, 'x-forwarded-host')).toEqual(['b'])
    expect(valuesOf(head, 'x-real-ip')).toEqual(['c'])
    expect(head.client).toBe('the chain')
  })

  test('RH4: a key of the mesh is taken off, the credentials of others are not', () => {
    const own = read(['Host', 'a', 'Authorization', 'Bearer rs_live_x', 'X-Api-Key', 'rs_dev_y'])
    expect(own.headers.join()).not.toMatch(/rs_/)
    const theirs = read(['Host', 'a', 'Authorization', 'Basic abc', 'X-Api-Key', 'theirs'])
    expect(valuesOf(theirs, 'authorization')).toEqual(['Basic abc'])
    expect(valuesOf(theirs, 'x-api-key')).toEqual(['theirs'])
  })

  test('everything else arrives as it was spelled, in its order, as often as it came', () => {
    const raw = ['Cookie', 'a=1', 'cookie', 'b=2', 'X-odd', '\xe9', 'Accept', '*/*', 'idempotency-KEY', 'k']
    const head = read(['Host', 'a', ...raw])
    expect(head.headers.slice(0, raw.length)).toEqual(raw)
    expect(head.hasIdempotencyKey).toBe(true)
  })

  test('a valid trace goes on, an invalid one begins anew and takes its tracestate along', () => {
    const valid = '00-11111111111111111111111111111111-2222222222222222-00'
    const going = read(['Host', 'a', 'Traceparent', valid, 'tracestate', 'a=1', 'tracestate', 'b=2'])
    expect(valuesOf(going, 'traceparent')).toEqual([valid])
    expect(valuesOf(going, 'tracestate')).toEqual(['a=1, b=2'])
    const broken = read(['Host', 'a', 'traceparent', '00-1-2-3', 'tracestate', 'a=1'])
    expect(valuesOf(broken, 'traceparent')).toEqual([made])
    expect(valuesOf(broken, 'tracestate')).toEqual([])
  })

  test('a request that passed this very gateway before is refused, one that passed another is not', () => {
    expect(refusalOf(['Host', 'a', 'Via', '1.1 x, 1.1 ripstop-test'])).toBe('LOOP_DETECTED')
    expect(valuesOf(read(['Host', 'a', 'Via', '1.1 x', 'Via', '1.0 ripstop-other']), 'via')).toEqual([
      '1.1 x, 1.0 ripstop-other, 1.1 ripstop-test',
    ])
  })
})
