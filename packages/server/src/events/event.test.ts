import { isRipstopError, type RipstopError } from '@ripstop/kernel'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createEvent, readDraft } from './event.ts'
import { EventIds } from './event-ids.ts'

const WALL_MS = Date.UTC(2026, 10, 21, 12)
const BYTES_MAX = 4_096
const AT = {
  eventId: '019a7c3e-5f0e-7cc1-9d7e-0a4b6f2d1c33',
  tenantId: 't',
  typeVersion: undefined,
  wallMs: WALL_MS,
  bytesMax: BYTES_MAX,
}

function build(input: unknown) {
  const draft = readDraft(input)
  return isRipstopError(draft) ? draft : createEvent(draft, AT)
}

function bodyOf(input: unknown): unknown {
  const event = build(input)
  return isRipstopError(event) ? event.code : JSON.parse(String(event.body))
}

function fieldsOf(input: unknown): unknown {
  const refusal = build(input) as RipstopError
  const problems = refusal.details?.problems as { field: string }[] | undefined
  return problems?.map(({ field }) => field)
}

describe('an event as it is written', () => {
  test('EV6: CloudEvents in, CloudEvents out, with what was left out filled in', () => {
    expect(bodyOf({ type: 'order.paid' })).toEqual({
      specversion: '1.0',
      id: AT.eventId,
      source: 'default',
      type: 'order.paid',
      time: '2026-11-21T12:00:00.000Z',
    })
    const full = {
      specversion: '1.0',
      id: 'o-1',
      source: '/shop',
      type: 'order.paid',
      time: '2026-11-21T13:00:00.123456+01:00',
      subject: 'Grüße',
      partitionkey: 'customer 7',
      dataschema: 'https://example.com/s',
      traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
      sampled: true,
      datacontenttype: 'application/json',
      data: { amount: 5, nothing: null, list: [1, 'two', { three: 3 }] },
    }
    expect(bodyOf(full)).toEqual(full)
    expect(build(full)).toMatchObject({ key: 'customer 7', occurredWallMs: WALL_MS + 123 })
    expect(bodyOf({ type: 'a', subject: null, data: null })).toMatchObject({ data: null })
    expect(bodyOf({ type: 'a', subject: null })).not.toHaveProperty('subject')
  })

  test('EV6: data goes through as it came: NUL, lone surrogates, names of prototypes, odd keys, numbers', () => {
    const data = JSON.parse(
      String.raw`{"nul":"a\u0000b","half":"\ud800","__proto__":{"x":1},"constructor":"c","":0,"n":[0.1,-0,1e300,1e21,9007199254740991]}`,
    )
    const body = bodyOf({ type: 'a', data }) as { data: unknown }
    expect(JSON.stringify(body.data)).toBe(JSON.stringify(data))
    expect(({} as { x?: number }).x).toBeUndefined()
  })

  test('EV6: a number that JSON.parse has changed is refused, not altered', () => {
    for (const number of ['12345678901234567890', '-9007199254740993', '1e400']) {
      expect(fieldsOf(JSON.parse(`{"type":"a","data":{"deep":[${number}]}}`)), number).toEqual(['/data/deep/0'])
    }
  })
})

describe('what is no event', () => {
  test.each([
    [undefined, ['']],
    [null, ['']],
    ['text', ['']],
    [[], ['']],
    [{}, ['/type']],
    [{ type: 5 }, ['/type']],
    [{ type: 'has space' }, ['/type']],
    [{ type: 'a'.repeat(129) }, ['/type']],
    [{ type: 'a', id: '' }, ['/id']],
    [{ type: 'a', id: 'a\u0000' }, ['/id']],
    [{ type: 'a', source: '\ud800' }, ['/source']],
    [{ type: 'a', source: 5 }, ['/source']],
    [{ type: 'a', partitionkey: 'k'.repeat(256) }, ['/partitionkey']],
    [{ type: 'a', time: 'yesterday' }, ['/time']],
    [{ type: 'a', time: '2026-13-01T00:00:00Z' }, ['/time']],
    [{ type: 'a', specversion: '0.3' }, ['/specversion']],
    [{ type: 'a', datacontenttype: 'text/xml' }, ['/datacontenttype']],
    [{ type: 'a', payload: {} }, ['/payload']],
    [{ type: 'a', event_type: 'b' }, ['/event_type']],
    [{ type: 'a', data_base64: 'eA==' }, ['/data_base64']],
    [{ type: 'a', ext: 1.5 }, ['/ext']],
    [JSON.parse('{"type":"a","__proto__":"x"}'), ['/__proto__']],
    [{ type: '', id: '', time: '' }, ['/type', '/id', '/time']],
  ])('EV5: %j is refused with its fields', (input, fields) => {
    expect(build(input)).toMatchObject({ code: 'EVENT_INVALID' })
    expect(fieldsOf(input)).toEqual(fields)
  })

  test('EV5: what a library caller gives and JSON has not is refused with its place', () => {
    expect(fieldsOf({ type: 'a', data: () => 1 })).toEqual(['/data'])
    expect(fieldsOf({ type: 'a', data: { at: new Date(0) } })).toEqual(['/data/at'])
    expect(fieldsOf({ type: 'a', data: [10n] })).toEqual(['/data/0'])
  })

  test('EV5: nesting has a bound, and so has what holds itself; a hundred thousand levels are refused like 65', () => {
    const nested = (levels: number): unknown =>
      JSON.parse(`{"type":"a","data":${'['.repeat(levels)}${']'.repeat(levels)}}`)
    expect(bodyOf(nested(64))).toBeTypeOf('object')
    for (const levels of [65, 100_000]) expect(build(nested(levels))).toMatchObject({ code: 'EVENT_INVALID' })
    const circle: Record<string, unknown> = {}
    circle.self = circle
    expect(build({ type: 'a', data: circle })).toMatchObject({ code: 'EVENT_INVALID' })
  })

  test('EV5: size is counted in bytes of the whole event', () => {
    const room = BYTES_MAX - Buffer.byteLength(JSON.stringify(bodyOf({ type: 'a', data: '' })))
    expect(bodyOf({ type: 'a', data: 'x'.repeat(room) })).toBeTypeOf('object')
    expect(bodyOf({ type: 'a', data: 'x'.repeat(room + 1) })).toBe('PAYLOAD_TOO_LARGE')
    expect(bodyOf({ type: 'a', data: 'ü'.repeat(room / 2 + 1) })).toBe('PAYLOAD_TOO_LARGE')
  })

  test('EV5: whatever comes gets an answer, and refusals show no values', () => {
    const attributes = fc.record(
      {
        type: fc.oneof(fc.string(), fc.constant('a')),
        id: fc.anything(),
        source: fc.string({ unit: 'binary' }),
        data: fc.jsonValue(),
      },
      { requiredKeys: [] },
    )
    fc.assert(
      fc.property(fc.oneof(fc.anything({ maxDepth: 3 }), attributes), (input) => {
        const event = build(input)
        if (isRipstopError(event)) expect(['EVENT_INVALID', 'PAYLOAD_TOO_LARGE']).toContain(event.code)
        else expect(JSON.parse(String(event.body)).data).toEqual((input as { data?: unknown }).data)
      }),
      { numRuns: 500 },
    )
    const secret = build({ type: 'a', id: `secret-7\u0000`, ext: { password: 'secret-7' } }) as RipstopError
    expect(JSON.stringify([secret.message, secret.details])).not.toContain('secret-7')
  })
})

describe('ids', () => {
  test('EV4: they rise within a millisecond, beyond its 4,096, and over a clock that is set back a little', () => {
    const ids = new EventIds()
    const made: string[] = []
    for (let count = 0; count < 10_000; count++) made.push(ids.next(WALL_MS))
    made.push(ids.next(WALL_MS - 30_000), ids.next(WALL_MS + 1_000))
    expect([...made].sort()).toEqual(made)
    expect(new Set(made).size).toBe(made.length)
    for (const id of made) expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
    const later = ids.next(WALL_MS - 3_600_000) // it was an hour fast: days of partitions must not follow it
    expect(later < (made[0] as string)).toBe(true)
  })
})
