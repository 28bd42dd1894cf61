import fc from 'fast-check'
import { expect, test } from 'vitest'
import { clientMessageSchema } from '../session-wire.ts'
import { parseClientMessage, parseServerMessage } from './wire.ts'

const read = (value: unknown) => parseClientMessage(JSON.stringify(value))

test('RV1: messages of the protocol are read, and nothing but what was checked is kept', () => {
  expect(read({ t: 'sub' })).toEqual({ t: 'sub' })
  expect(read({ t: 'sub', since: { e: 2, v: 7, x: 1 }, more: 1 })).toEqual({ t: 'sub', since: { e: 2, v: 7 } })
  expect(read({ t: 'p', i: 3, c0: 12.25, u: 0.4, x: 1 })).toEqual({ t: 'p', i: 3, c0: 12.25, u: 0.4 })
  expect(read({ t: 'p', i: 3, c0: 1, u: -1 })).toEqual({ t: 'p', i: 3, c0: 1 })
  const forged = { t: 'cmd', op: '01J', c: { kind: 'switch', next: 1, by: 0, lagMs: 9_999 }, e: 1, v: 4 }
  expect(read(forged)).toEqual({ t: 'cmd', op: '01J', c: { kind: 'switch', next: 1 }, e: 1, v: 4 })
  const adjust = { kind: 'adjust', place: 0, byMs: -5_000, reason: 'arbiter' }
  expect(read({ t: 'cmd', op: 'a', c: adjust })).toEqual({ t: 'cmd', op: 'a', c: adjust })
  for (const kind of ['start', 'pause', 'resume', 'complete', 'cancel']) {
    expect(read({ t: 'cmd', op: 'a', c: { kind } })).toEqual({ t: 'cmd', op: 'a', c: { kind } })
  }
})

test.each([
  ['', '[]', 'null', '7', '"sub"', '{', '{"t":"cmd"}', '{"t":"snap"}', '{"t":"__proto__"}'],
  ['{"t":"sub","since":{"e":1}}', '{"t":"sub","since":7}', '{"t":"sub","since":{"e":1,"v":-1}}'],
  ['{"t":"p","i":1}', '{"t":"p","i":-1,"c0":1}', '{"t":"p","i":1,"c0":1e999}', '{"t":"p","i":1.5,"c0":1}'],
  ['{"t":"cmd","op":"","c":{"kind":"pause"}}', '{"t":"cmd","op":"a b","c":{"kind":"pause"}}'],
  [`{"t":"cmd","op":"${'x'.repeat(65)}","c":{"kind":"pause"}}`, '{"t":"cmd","op":7,"c":{"kind":"pause"}}'],
  ['timeout', 'recover', 'toString'].map((kind) => `{"t":"cmd","op":"a","c":{"kind":"${kind}"}}`),
  ['{"t":"cmd","op":"a","c":{"kind":"switch","next":-1}}', '{"t":"cmd","op":"a","c":{"kind":"start","first":"0"}}'],
  ['{"t":"cmd","op":"a","c":{"kind":"pause"},"v":1.5}', '{"t":"cmd","op":"a","c":{"kind":"pause"},"e":"1"}'],
  [
    { place: 0, byMs: 1e12, reason: 'x' },
    { place: 0, byMs: 1.5, reason: 'x' },
    { place: -1, byMs: 1, reason: 'x' },
    { place: 0, byMs: 1, reason: '' },
    { place: 0, byMs: 1, reason: ' \t' },
    { place: 0, byMs: 1, reason: 'x'.repeat(501) },
  ].map((c) => JSON.stringify({ t: 'cmd', op: 'a', c: { kind: 'adjust', ...c } })),
])('RV1: what is no message is none: %s …', (...texts) => {
  for (const text of texts) expect(parseClientMessage(text), text).toBeUndefined()
})

test('RV1: what the schema of the documents takes, the parser takes as the same, and the other way round', () => {
  const number = fc.oneof(fc.integer({ min: -2, max: 5 }), fc.double(), fc.constant(undefined), fc.constant('1'))
  const command = fc.record({
    kind: fc.constantFrom('start', 'switch', 'pause', 'resume', 'complete', 'cancel', 'adjust', 'timeout', 7),
    first: number,
    next: number,
    place: number,
    byMs: number,
    reason: fc.oneof(fc.string({ maxLength: 3 }), fc.constant(undefined), fc.constant(1)),
  })
  const message = fc.record({
    t: fc.constantFrom('sub', 'cmd', 'p', 'x'),
    since: fc.oneof(fc.record({ e: number, v: number }), fc.constant(undefined), fc.constant(null)),
    op: fc.oneof(fc.string({ maxLength: 4 }), fc.constant('01J')),
    c: fc.oneof(command, command, fc.constant(null)),
    e: number,
    v: number,
    i: number,
    c0: number,
    u: fc.constantFrom(undefined, 0.5),
  })
  fc.assert(
    fc.property(message, (given) => {
      const text = JSON.stringify(given)
      const checked = clientMessageSchema.safeParse(JSON.parse(text))
      expect(parseClientMessage(text)).toEqual(checked.success ? checked.data : undefined)
    }),
    { numRuns: 2_000 },
  )
})

test('RV1: of the server only what has a type is taken', () => {
  expect(parseServerMessage('{"t":"bye","code":"DRAINING","retryMs":5}')).toEqual({
    t: 'bye',
    code: 'DRAINING',
    retryMs: 5,
  })
  for (const text of ['', '[]', '{"t":"later"}', '{"t":1}', '{}']) expect(parseServerMessage(text)).toBeUndefined()
})
