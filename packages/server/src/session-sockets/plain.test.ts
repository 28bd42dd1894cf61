import { expect, test } from 'vitest'
import { createBench, createLimits, startTestSockets, TestClient } from './sockets.fixture.ts'

interface PlainMessage {
  readonly type: string
  readonly [field: string]: unknown
}

async function startPlain(messages = 100) {
  const bench = createBench()
  const ref = await bench.create()
  const at = await startTestSockets(bench, { limits: createLimits(messages) })
  const connect = () => new TestClient<PlainMessage>(`${at.url}?sessionId=${ref.sessionId}`)
  return { bench, ref, at, connect }
}

test('WC1: a client of SyncKairos is greeted, told every state, synced when it reconnects, and told of the end', async () => {
  const { bench, ref, at, connect } = await startPlain()
  await using _ = at
  const { sessionId } = ref
  using client = connect()
  using other = connect()
  await other.hears({ type: 'CONNECTED' })
  const timestamp = expect.any(Number)
  expect(await client.hears({ type: 'CONNECTED' })).toEqual({ type: 'CONNECTED', sessionId, timestamp })
  expect(client.ws.protocol).toBe('')
  await bench.command(ref, { kind: 'start' })
  await bench.command(ref, { kind: 'pause' })
  client.say({ type: 'PING' })
  expect(await client.hears({ type: 'PONG' })).toEqual({ type: 'PONG', timestamp })
  client.say({ type: 'RECONNECT', sessionId, last_known_version: 1, reconnect_attempt: 3 })
  const state = expect.objectContaining({ session_id: sessionId, version: 3, status: 'paused' })
  const payload = { session_id: sessionId, full_state: state, version: 3, server_time_ms: timestamp }
  expect(await client.hears({ type: 'STATE_SYNC' })).toEqual({
    type: 'STATE_SYNC',
    sessionId,
    timestamp,
    state,
    payload,
  })
  expect(await client.hears({ type: 'RECONNECT_ACK' })).toMatchObject({ success: true, message: expect.any(String) })
  await bench.service.remove(bench.root, ref)
  for (const one of [client, other]) {
    expect(await one.ended()).toEqual({ code: 1000, reason: 'Session deleted' })
    const updates = one.heard.filter(({ type }) => type === 'STATE_UPDATE')
    expect(updates).toEqual([
      { type: 'STATE_UPDATE', sessionId, timestamp, state: expect.objectContaining({ version: 2, status: 'running' }) },
      { type: 'STATE_UPDATE', sessionId, timestamp, state },
    ])
    expect(one.heard.at(-1)).toEqual({ type: 'SESSION_DELETED', sessionId, timestamp })
  }
})

test('WC2: what nobody understands is answered by ERROR, too many messages by 1008, and PING is not counted', async () => {
  const { at, connect } = await startPlain(3)
  await using _ = at
  using client = connect()
  await client.hears({ type: 'CONNECTED' })
  client.say('not JSON')
  client.say('null')
  client.say({ type: 'MOVE' })
  for (let i = 0; i < 50; i++) client.say({ type: 'PING' })
  client.say({ type: 'RECONNECT' })
  expect(await client.ended()).toEqual({ code: 1008, reason: 'Too many messages' })
  expect(client.heard.filter(({ type }) => type === 'PONG')).toHaveLength(50)
  expect(client.heard.filter(({ type }) => type === 'ERROR').map(({ code }) => code)).toEqual([
    'BAD_REQUEST',
    'BAD_REQUEST',
    'BAD_REQUEST',
    'RATE_LIMIT_EXCEEDED',
  ])
})
