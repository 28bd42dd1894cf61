import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { background } from '@ripstop/kernel'
import { expect, test } from 'vitest'
import {
  createTestRoute,
  createTestUpstreamConfig,
  openRaw,
  sendRaw,
  startTestGateway,
  startTestUpstream,
} from '../testing/gateway.ts'
import { until } from '../testing/processes.ts'

const get = 'GET /a HTTP/1.1\r\nHost: x\r\n\r\n'

test('draining refuses what is new, lets what is under way finish, and closes its connections', async () => {
  const waiting: ServerResponse[] = []
  await using upstream = await startTestUpstream((_request, response) => void waiting.push(response))
  await using gateway = await startTestGateway({
    upstreams: [createTestUpstreamConfig('up', upstream.port)],
    routes: [createTestRoute('/a', 'up')],
  })
  const under = await openRaw(gateway.port)
  under.socket.write(get)
  const fresh = await openRaw(gateway.port)
  await until('it is under way', () => waiting.length === 1)
  using ctx = background(gateway.mesh.env).within(5_000)
  let isDrained = false
  const drained = Promise.all([gateway.gateway.drain(ctx), gateway.gateway.drain(ctx)]).then(() => {
    isDrained = true
  })
  fresh.socket.write(get)
  await until('it was refused and closed', () => fresh.socket.closed)
  expect(fresh.answer()).toMatch(/^HTTP\/1.1 503[\s\S]*Connection: close[\s\S]*LINK_CLOSED/)
  expect(isDrained).toBe(false)
  waiting[0]?.end('the answer')
  const finishedMs = performance.now()
  await drained
  expect(performance.now() - finishedMs, 'both of them end with the last request, not with their bound').toBeLessThan(
    2_000,
  )
  await until('its connection is closed', () => under.socket.closed)
  expect(under.answer()).toMatch(/^HTTP\/1.1 200[\s\S]*Connection: close[\s\S]*the answer$/)
})

test('draining cuts off what does not finish in time, and twice is as good as once', async () => {
  await using upstream = await startTestUpstream(() => {})
  await using gateway = await startTestGateway({
    upstreams: [createTestUpstreamConfig('up', upstream.port, { deadlineMs: 20_000 })],
    routes: [createTestRoute('/a', 'up', { deadlineMs: 20_000 })],
  })
  const { socket } = await openRaw(gateway.port)
  socket.write(get)
  await until('it is under way', () => gateway.link('up').inFlight === 1)
  using ctx = background(gateway.mesh.env).within(100)
  const startedMs = performance.now()
  await Promise.all([gateway.gateway.drain(ctx), gateway.gateway.drain(ctx)])
  expect(performance.now() - startedMs).toBeLessThan(1_000)
  await until('it is cut off', () => socket.closed)
  await gateway.gateway.drain(ctx)
})

test('after disposal no link of the gateway and no timer of it is left', async () => {
  await using upstream = await startTestUpstream((_request, response) => void response.end('fine'))
  const gateway = await startTestGateway({
    upstreams: [createTestUpstreamConfig('up', upstream.port)],
    routes: [createTestRoute('/a', 'up')],
  })
  expect(await sendRaw(gateway.port, get, (all) => all.endsWith('fine'))).toContain('fine')
  await gateway[Symbol.asyncDispose]()
  expect(gateway.link('up').state).toBe('closed')
  expect(gateway.mesh.env.wheel.armed).toBe(0)
})

test('Expect: 100-continue: a server that leaves it to the gateway gives no leave to a body that is refused', async () => {
  await using upstream = await startTestUpstream(
    (request, response) => void request.resume().on('end', () => response.end('END')),
  )
  await using behind = await startTestGateway({
    upstreams: [createTestUpstreamConfig('up', upstream.port)],
    routes: [createTestRoute('/a', 'up', { bodyBytesMax: 10 })],
  })
  const server = createServer()
  server.on('checkContinue', (request, response) => void behind.gateway.handle(request, response, true))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const post = (length: number) =>
    `POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: ${length}\r\nExpect: 100-continue\r\n\r\n`
  const refused = await sendRaw(port, post(11))
  expect(refused).toMatch(/^HTTP\/1.1 413[\s\S]*Connection: close/)
  const { socket, answer } = await openRaw(port)
  socket.write(post(5))
  await until('leave was given', () => answer() === 'HTTP/1.1 100 Continue\r\n\r\n')
  socket.write('hello')
  await until('the answer is here', () => answer().endsWith('END'))
  socket.destroy()
  server.close()
})
