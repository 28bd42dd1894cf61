import { expect, test } from 'vitest'
import { checkHeaders } from './custom-headers.ts'

test('WE1: what is ours, hop-by-hop or no header at all is refused by name, and the value is not told', () => {
  const wrong = [
    'Webhook-Signature',
    'webhook-id',
    'Host',
    'content-length',
    'Transfer-Encoding',
    'Connection',
    'Content-Type',
    'Idempotency-Key',
    'X-Idempotency-Key',
    'User-Agent',
    'svix-id',
    'a b',
    'x:',
    '',
    'x\r\ny',
  ]
  for (const name of wrong) {
    const error = (() => {
      try {
        return checkHeaders({ [name]: 'hunter2' })
      } catch (thrown) {
        return thrown
      }
    })()
    expect(error, name).toMatchObject({ code: 'BAD_REQUEST' })
    expect(String(error)).not.toContain('hunter2')
  }
})

test('WE1: values that could split a header, names given twice and too many of them are refused', () => {
  for (const value of ['a\r\nb: c', 'a\nb', '\0', 'ü', 'a\x7f']) expect(() => checkHeaders({ 'x-a': value })).toThrow()
  expect(() => checkHeaders({ 'X-A': '1', 'x-a': '2' })).toThrow(/twice/)
  expect(() => checkHeaders(Object.fromEntries(Array.from({ length: 21 }, (_, n) => [`x-${n}`, '1'])))).toThrow(
    /at most/,
  )
  expect(() => checkHeaders({ 'x-a': 'a'.repeat(4_097) })).toThrow(/bytes/)
})

test('others are kept, in lower case', () => {
  expect(checkHeaders({ Authorization: 'Bearer x', 'X-Api-Key': ' k ' })).toEqual({
    authorization: 'Bearer x',
    'x-api-key': 'k',
  })
  expect(checkHeaders({})).toEqual({})
})
