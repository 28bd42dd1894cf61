import { createFakeClock } from '@ripstop/kernel/testing'
import { expect, test } from 'vitest'
import { startHttpServer, startServer, until } from './loopback-peers.ts'
import { createRequestCopies } from './request-copies.ts'

const REQUEST = Buffer.from('GET /copy HTTP/1.1\r\nhost: x\r\n\r\n')

test('a copy ends with its answer', async () => {
  await using server = await startHttpServer()
  const clock = createFakeClock()
  const copies = createRequestCopies(clock)
  expect(copies.send(server.address, REQUEST, 'GET')).toBe(true)
  await until(() => server.requests.length === 1 && clock.pending() === 0, 'answered and forgotten')
})

test('RQ1: the 65th copy is not sent while 64 wait, and each is given up after 10 s', async () => {
  await using server = await startServer(() => {})
  const clock = createFakeClock()
  const copies = createRequestCopies(clock)
  const sent = Array.from({ length: 65 }, () => copies.send(server.address, REQUEST, 'GET'))
  expect(sent.filter(Boolean).length).toBe(64)
  await until(() => server.peers.length === 64, 'all arrived')
  await clock.advance(9_999)
  expect(server.peers.some(({ ended }) => ended)).toBe(false)
  await clock.advance(1)
  await until(() => server.peers.every(({ ended, closed }) => ended || closed), 'all given up')
  expect(copies.send(server.address, REQUEST, 'GET')).toBe(true)
  copies.abort()
  await until(() => clock.pending() === 0, 'aborted')
})
