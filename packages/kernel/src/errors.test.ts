import { expect, test } from 'vitest'
import { type Code, errorCodes, hasCode, isRipstopError, RipstopError, registerErrorCodes } from './errors.ts'

// Frozen: a code is never renamed or reused, and what it means for a retry never changes. New ones are added here.
const KERNEL_CODES: Readonly<Record<string, readonly [http: number, retry: boolean]>> = {
  DEADLINE_EXCEEDED: [504, true],
  CANCELLED: [499, false],
  LINK_DOWN: [503, true],
  LINK_LOST: [502, true],
  LINK_CLOSED: [503, false],
  OVERLOADED: [503, true],
  BREAKER_OPEN: [503, true],
  RATE_LIMITED: [429, true],
  PEER_REFUSED: [502, false],
  PEER_FAILED: [502, true],
  PEER_WRONG_ROLE: [503, true],
  PAYLOAD_TOO_LARGE: [413, false],
  CONFIG_INVALID: [500, false],
  INTERNAL: [500, false],
}

test('the codes and what they mean are frozen', () => {
  for (const [code, [http, retry]] of Object.entries(KERNEL_CODES)) {
    expect(errorCodes().get(code), code).toMatchObject({ http, retry })
    const error = new RipstopError(code as Code, 'a message')
    expect([error.http, error.retry]).toEqual([http, retry])
    expect(error.fix).toMatch(/^[A-Z].*\.$/)
  }
  expect([...errorCodes().keys()].sort()).toEqual(Object.keys(KERNEL_CODES).sort())
})

test('an error keeps its cause and says what it was made with', () => {
  const cause = new Error('socket hang up')
  const error = new RipstopError('LINK_LOST', 'lost', { cause, sent: 'maybe', retryAfterMs: 5, details: { port: 1 } })
  expect(error).toMatchObject({
    name: 'RipstopError',
    code: 'LINK_LOST',
    cause,
    sent: 'maybe',
    retryAfterMs: 5,
    details: { port: 1 },
  })
  const bare = new RipstopError('INTERNAL', 'bare')
  expect([bare.sent, bare.retryAfterMs, bare.details, 'cause' in bare]).toEqual([undefined, undefined, {}, false])
})

test('hasCode and isRipstopError see through a JSON boundary, a class of another bundle, and anything at all', () => {
  const error = new RipstopError('PEER_FAILED', 'status 503', { sent: 'maybe' })
  const crossed: unknown = JSON.parse(
    JSON.stringify({ code: error.code, message: error.message, details: error.details }),
  )
  for (const one of [error, crossed]) {
    expect(hasCode(one, 'PEER_FAILED')).toBe(true)
    expect(hasCode(one, 'INTERNAL')).toBe(false)
    expect(isRipstopError(one)).toBe(true)
  }
  // What other libraries throw: a node error, a Postgres error (code and detail), an answer that only looks alike.
  const strangers: unknown[] = [
    Object.assign(new Error('refused'), { code: 'ECONNREFUSED' }),
    Object.assign(new Error('duplicate'), { code: '23505', detail: 'Key (id)=(1) exists' }),
    { code: 'PEER_FAILED' },
    { code: 7, details: {} },
    null,
    undefined,
    'PEER_FAILED',
    () => 1,
  ]
  for (const stranger of strangers) expect(isRipstopError(stranger)).toBe(false)
  for (const nothing of [null, undefined, 'x', 0]) expect(hasCode(nothing, 'INTERNAL')).toBe(false)
})

test('a code is registered once; a table with a known code changes nothing', () => {
  const meaning = { http: 418, retry: false, fix: 'Bring coffee.' }
  expect(() => registerErrorCodes({ TEST_TEAPOT: meaning, INTERNAL: meaning })).toThrow('INTERNAL')
  expect(errorCodes().has('TEST_TEAPOT')).toBe(false)
  registerErrorCodes({ TEST_TEAPOT: meaning })
  expect(new RipstopError('TEST_TEAPOT' as Code, 'short and stout')).toMatchObject({ http: 418, fix: 'Bring coffee.' })
  expect(() => registerErrorCodes({ TEST_TEAPOT: meaning })).toThrow('TEST_TEAPOT')
})
