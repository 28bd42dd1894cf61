import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { connect } from 'node:net'
import { background, createEnv } from '@ripstop/kernel'
import { describe, expect, test } from 'vitest'
import { sendRaw, startTestServer } from '../../testing/http.ts'
import { until } from '../../testing/processes.ts'
import { EventStreams, type SendEvent, UNREAD_BYTES_MAX } from './event-stream.ts'
import { route } from './route.ts'

function createFeed() {
  const senders = new Set<SendEvent>()
  const events = route({
    method: 'GET',
    path: '/events',
    summary: 'Events',
    scopes: [],
    response: 'text/event-stream',
    handle: ({ lastEventId }) => ({
      body: (send) => {
        if (lastEventId !== undefined) send({ id: '0', event: 'resumed', data: { after: lastEventId } })
        senders.add(send)
        return () => senders.delete(send)
      },
    }),
  })
  return { events, senders }
}

const HEAD = 'GET /events HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: 7\r\n\r\n'

describe('event streams', () => {
  test('a client gets events as they happen, and what it last saw comes to the handler', async () => {
    const feed = createFeed()
    await using api = await startTestServer({ routes: [feed.events] })
    const received = sendRaw(api.server.port, HEAD, 20_000)
    await until('it is subscribed', () => feed.senders.size === 1)
    for (const send of feed.senders) send({ id: '8', event: 'transition', data: { link: 'a', why: 'two\nlines' } })
    using ctx = background(createEnv()).within(5_000)
    await api.server.close(ctx)
    const text = await received
    expect(text).toContain('Content-Type: text/event-stream')
    expect(text).toContain('id: 0\nevent: resumed\ndata: {"after":"7"}\n\n')
    expect(text).toContain('id: 8\nevent: transition\ndata: {"link":"a","why":"two\\nlines"}\n\n')
    expect(feed.senders.size).toBe(0)
  })

  test('HE1: a client that does not read is dropped at the bound, and the others get everything', {
    timeout: 20_000,
  }, async () => {
    const feed = createFeed()
    await using api = await startTestServer({ routes: [feed.events] })
    const slow = connect(api.server.port, '127.0.0.1', () => slow.write(HEAD)).on('error', () => {})
    await until('the slow one is subscribed', () => feed.senders.size === 1)
    slow.pause()
    const [slowSend] = feed.senders
    const quick = sendRaw(api.server.port, HEAD, 20_000)
    await until('the quick one is subscribed', () => feed.senders.size === 2)
    const data = 'x'.repeat(16_384)
    // What the kernel's own socket buffers hold comes before our bound: a few MB on loopback.
    await until('the slow one is dropped', () => {
      for (const send of feed.senders) if (send === slowSend) send({ id: '1', event: 'bulk', data })
      return slowSend === undefined || !feed.senders.has(slowSend)
    })
    expect(feed.senders.size).toBe(1)
    for (const send of feed.senders) send({ id: '2', event: 'after', data: 'all is well' })
    using ctx = background(createEnv()).within(5_000)
    await api.server.close(ctx)
    expect(await quick).toContain('all is well')
    expect(api.metrics.text()).toContain('http_event_streams_dropped_total 1')
    expect(UNREAD_BYTES_MAX).toBeLessThan(1_000_000)
    slow.destroy()
  })

  test('HE2, HE3: streams beyond the bound are refused, a stream ends at its age, and heartbeats come in between', async () => {
    const env = createEnv()
    const streams = new EventStreams({ env, streamsMax: 1, heartbeatMs: 30, ageMsMax: 100 })
    let subscriptions = 0
    const start = () => {
      subscriptions++
      return () => void subscriptions--
    }
    const refusals: unknown[] = []
    const server = createServer((_, response) => {
      try {
        streams.open(response, {}, start)
      } catch (error) {
        refusals.push(error)
        response.end()
      }
    }).listen(0, '127.0.0.1')
    await until('it listens', () => server.listening)
    const { port } = server.address() as AddressInfo
    const request = 'GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n'
    const first = sendRaw(port, request, 20_000)
    await until('the first is open', () => streams.size === 1)
    await sendRaw(port, request, 20_000)
    expect(refusals).toMatchObject([{ code: 'OVERLOADED' }])
    expect(await first).toContain(': still here')
    expect([streams.size, subscriptions]).toEqual([0, 0])
    server.close()
  })

  test('HE3: a last event ends the stream, and the sender learns how much is unread', async () => {
    const feed = createFeed()
    await using api = await startTestServer({ routes: [feed.events] })
    const received = sendRaw(api.server.port, HEAD, 20_000)
    await until('it is subscribed', () => feed.senders.size === 1)
    const [send] = feed.senders
    expect(send?.({ id: '1', event: 'bulk', data: 'x'.repeat(1_000) })).toBeTypeOf('number')
    send?.({ id: '2', event: 'bye', data: {}, isLast: true })
    expect(feed.senders.size).toBe(0)
    expect(await received).toContain('event: bye')
  })

  test('HE3: a client that goes away ends its subscription', async () => {
    const feed = createFeed()
    await using api = await startTestServer({ routes: [feed.events] })
    const socket = connect(api.server.port, '127.0.0.1', () => socket.write(HEAD))
    await until('it is subscribed', () => feed.senders.size === 1)
    socket.destroy()
    await until('it is gone', () => feed.senders.size === 0)
  })

  test('HEAD on a stream answers and ends', async () => {
    await using api = await startTestServer({ routes: [createFeed().events] })
    expect((await api.request('/events', { method: 'HEAD' })).status).toBe(200)
  })
})
