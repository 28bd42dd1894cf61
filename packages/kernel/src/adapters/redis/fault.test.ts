import { expect, test } from 'vitest'
import { isDisproving, redisFault } from './fault.ts'

function reply(message: string): Error {
  return Object.assign(new Error(message), { name: 'ReplyError' })
}

test.each([
  ["READONLY You can't write against a read only replica.", 'PEER_WRONG_ROLE'],
  ['MASTERDOWN Link with MASTER is down', 'PEER_WRONG_ROLE'],
  ['LOADING Redis is loading the dataset in memory', 'PEER_FAILED'],
  ['NOAUTH Authentication required.', 'PEER_FAILED'],
  ['BUSY Redis is busy running a script.', 'PEER_FAILED'],
  ['MISCONF Errors writing to the AOF file', 'PEER_FAILED'],
  ["OOM command not allowed when used memory > 'maxmemory'.", 'PEER_FAILED'],
  ['NOREPLICAS Not enough good replicas to write.', 'PEER_FAILED'],
  ['CLUSTERDOWN The cluster is down', 'PEER_FAILED'],
])('%s: %s', (message, code) => {
  const prefix = message.split(' ')[0]
  expect(redisFault(reply(message), false)).toMatchObject({ code, sent: 'maybe', details: { prefix } })
})

test.each([
  'WRONGTYPE Operation against a key',
  'ERR value is not an integer',
  'NOSCRIPT No matching script',
  'NOPERM no',
])('%s is an answer, not a fault', (message) => {
  expect(redisFault(reply(message), false)).toBeUndefined()
})

test.each(['Connection is closed.', "Stream isn't writeable and enableOfflineQueue options is false"])(
  '%s is the loss of the link, never sent no: the call may have sent something before',
  (message) => {
    expect(redisFault(new Error(message), false)).toMatchObject({ code: 'LINK_LOST', sent: 'maybe' })
  },
)

test('an error of the connection is the loss of the link, the same one from elsewhere is not', () => {
  expect(redisFault(new Error('read ECONNRESET'), true)).toMatchObject({ code: 'LINK_LOST', sent: 'maybe' })
  expect(redisFault(new Error('read ECONNRESET'), false)).toBeUndefined()
  expect(redisFault(new TypeError('x is not a function'), false)).toBeUndefined()
})

test('some answers contradict the proof that the link has', () => {
  const words = ['READONLY', 'MASTERDOWN', 'LOADING', 'NOAUTH', 'OOM', 'BUSY', 'WRONGTYPE']
  expect(words.map((word) => isDisproving(reply(`${word} it says`)))).toEqual([
    true,
    true,
    true,
    true,
    false,
    false,
    false,
  ])
  expect(isDisproving(new Error('READONLY'))).toBe(false)
})
