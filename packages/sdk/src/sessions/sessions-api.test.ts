import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { systemClock } from '@ripstop/kernel'
import { afterEach, expect, test } from 'vitest'
import { createSessionsApi, type SessionsApi } from './index.ts'

interface Seen {
  readonly what: string
  readonly key: string | undefined
  readonly authorization: string | undefined
  readonly body: string
}

type Answer = (response: ServerResponse) => void
const say =
  (status: number, body: unknown): Answer =>
  (response) => {
    response.statusCode = status
    response.end(typeof body === 'string' ? body : JSON.stringify(body))
  }
const cutOff: Answer = (response) => response.destroy()

const cleanups: (() => void)[] = []
afterEach(() => {
  for (const clean of cleanups.splice(0)) clean()
})

/** A server that gives these answers, one after the other, the last for ever. */
async function serve(...answers: readonly Answer[]): Promise<{ readonly api: SessionsApi; readonly seen: Seen[] }> {
  const seen: Seen[] = []
  const read = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const { 'idempotency-key': key, authorization } = request.headers
    seen.push({
      what: `${request.method} ${request.url}`,
      key: key as string | undefined,
      authorization,
      body: String(Buffer.concat(chunks)),
    })
    answers[Math.min(seen.length, answers.length) - 1]?.(response)
  }
  const server = createServer((request, response) => void read(request, response)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  cleanups.push(
    () => server.closeAllConnections(),
    () => server.close(),
  )
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const env = { clock: systemClock, random: () => 0.01 }
  return { api: createSessionsApi({ url, apiKey: 'rs_key', deadlineMs: 1_000, env }), seen }
}

test('what is called is what is sent, and data is what comes back', async () => {
  const { api, seen } = await serve(say(200, { data: { session_id: 's' } }))
  expect(await api.get('a/b')).toEqual({ session_id: 's' })
  await api.create({ sync_mode: 'global', participants: [], total_time_ms: 1_000 })
  await api.command('s', 'switch', { next_participant_id: 'p' }, { idempotencyKey: 'mine' })
  await api.command('s', 'pause')
  await api.createToken('s', { role: 'spectator' })
  expect(seen.map(({ what }) => what)).toEqual([
    'GET /v1/sessions/a%2Fb',
    'POST /v1/sessions',
    'POST /v1/sessions/s/switch',
    'POST /v1/sessions/s/pause',
    'POST /v1/sessions/s/tokens',
  ])
  expect(new Set(seen.map(({ authorization }) => authorization))).toEqual(new Set(['Bearer rs_key']))
  expect([seen[0]?.key, seen[2]?.key, seen[2]?.body]).toEqual([undefined, 'mine', '{"next_participant_id":"p"}'])
})

test('SC10: what failed is repeated under the same key', async () => {
  const { api, seen } = await serve(
    cutOff,
    say(502, '<html>bad gateway</html>'),
    say(503, { error: { code: 'SESSION_BUSY', message: 'later', retry_after_ms: 30 } }),
    say(200, { data: { version: 2 } }),
  )
  expect(await api.command('s', 'start')).toEqual({ version: 2 })
  expect([seen.length, new Set(seen.map(({ key }) => key)).size, seen[0]?.key]).toEqual([4, 1, expect.any(String)])
})

test('what the server refuses is thrown at once, by its code', async () => {
  const { api, seen } = await serve(
    say(409, { error: { code: 'CONFLICT', message: 'elsewhere', details: { version: 7 } } }),
    say(418, { error: { code: 'TEAPOT', message: 'of a later version' } }),
    say(404, 'nothing here'),
  )
  await expect(api.command('s', 'pause')).rejects.toMatchObject({ code: 'CONFLICT', details: { version: 7 } })
  await expect(api.get('s')).rejects.toMatchObject({ code: 'PEER_REFUSED', details: { code: 'TEAPOT' } })
  await expect(api.get('s')).rejects.toMatchObject({ code: 'PEER_REFUSED', details: { status: 404 } })
  expect(seen).toHaveLength(3)
})

test('SC10: it ends within its deadline, whatever the server does', async () => {
  const silent = await serve(() => {})
  await expect(silent.api.get('s')).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED', sent: 'maybe' })
  const patient = await serve(
    say(429, { error: { code: 'RATE_LIMIT_EXCEEDED', message: 'in an hour', retry_after_ms: 3_600_000 } }),
  )
  await expect(patient.api.get('s')).rejects.toMatchObject({ code: 'RATE_LIMIT_EXCEEDED', retryAfterMs: 3_600_000 })
  const failing = await serve(cutOff)
  await expect(failing.api.command('s', 'start')).rejects.toMatchObject({ code: 'LINK_LOST', sent: 'maybe' })
  expect([patient.seen.length, failing.seen.length]).toEqual([1, 5])
})

test('deleting answers nothing', async () => {
  const { api } = await serve(say(204, ''))
  await expect(api.remove('s')).resolves.toBeUndefined()
})
