import { expect, test } from 'vitest'
import { RipstopError } from '../../errors.ts'
import { asSent, openFault, postgresFault } from './fault.ts'

function serverError(code: string, message = 'said the server'): Error {
  return Object.assign(new Error(message), { code, severity: 'ERROR' })
}

test.each([
  ['57P01', 'LINK_LOST', 'maybe'],
  ['57P02', 'LINK_LOST', 'maybe'],
  ['57P03', 'PEER_FAILED', 'no'],
  ['53300', 'PEER_FAILED', 'no'],
  ['53100', 'PEER_FAILED', 'no'],
  ['08006', 'LINK_LOST', 'maybe'],
  ['08P01', 'LINK_LOST', 'maybe'],
  ['25006', 'PEER_WRONG_ROLE', 'no'],
  ['25P03', 'LINK_LOST', 'maybe'],
  ['40001', 'PEER_FAILED', 'no'],
  ['40P01', 'PEER_FAILED', 'no'],
  ['57014', 'DEADLINE_EXCEEDED', 'no'],
  ['58030', 'PEER_FAILED', 'no'],
  ['XX000', 'PEER_FAILED', 'no'],
  ['28P01', 'PEER_REFUSED', 'no'],
  ['3D000', 'PEER_REFUSED', 'no'],
])('SQLSTATE %s is %s, sent %s', (sqlState, code, sent) => {
  expect(postgresFault(serverError(sqlState))).toMatchObject({ code, sent, details: { sqlState } })
})

test.each(['23505', '42601', '22P02', '55P03', '40002', 'P0001'])(
  'SQLSTATE %s is an answer, not a fault',
  (sqlState) => {
    expect(postgresFault(serverError(sqlState))).toBeUndefined()
  },
)

test("a caller's own mistake is no fault", () => {
  expect(postgresFault(new TypeError('x is not a function'))).toBeUndefined()
  expect(postgresFault('thrown')).toBeUndefined()
})

test('whatever keeps a connection from opening is a fault, sent no', () => {
  expect(openFault(new Error('ECONNREFUSED'), 'db:5432')).toMatchObject({ code: 'LINK_LOST', sent: 'no' })
  expect(openFault(serverError('57P01'), 'db:5432')).toMatchObject({ code: 'LINK_LOST', sent: 'no' })
  expect(openFault(serverError('42501'), 'db:5432')).toMatchObject({ code: 'PEER_REFUSED', sent: 'no' })
})

test('a refused login tells no name, not even in its cause', () => {
  const fault = openFault(serverError('28P01', 'password authentication failed for user "boss"'), 'db:5432')
  expect(fault.message).toBe('postgres: it refused the login (28P01), opening db:5432')
  expect(fault.cause).toBeUndefined()
})

test('the same failure said with another sent keeps everything else', () => {
  const fault = new RipstopError('OVERLOADED', 'full', { sent: 'no', retryAfterMs: 5, details: { a: 1 } })
  expect(asSent(fault, 'no')).toBe(fault)
  expect(asSent(fault, 'maybe')).toMatchObject({
    code: 'OVERLOADED',
    sent: 'maybe',
    retryAfterMs: 5,
    details: { a: 1 },
  })
})
