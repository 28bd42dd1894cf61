import { createHash } from 'node:crypto'
import { dataOf } from '@ripstop/protocol'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { post, startTestServer } from '../../testing/http.ts'
import { createOpenApi } from './openapi.ts'
import { fingerprintOf, route } from './route.ts'

const take = route({
  method: 'POST',
  path: '/v1/hooks/{name}',
  summary: 'Take a hook',
  scopes: 'public',
  takes: 'raw',
  bodyBytesMax: 2_000,
  params: z.strictObject({ name: z.string() }),
  response: dataOf(z.unknown()),
  handle: ({ raw, idempotency, body, params }) => ({
    body: {
      data: {
        name: params.name,
        sha256: createHash('sha256')
          .update(raw?.bytes ?? '')
          .digest('hex'),
        type: raw?.headers['content-type'] ?? null,
        isUnread: body === undefined,
        fingerprint: idempotency?.requestSha256.toString('hex') ?? null,
      },
    },
  }),
})

const readJson = route({
  method: 'POST',
  path: '/v1/raw-json',
  summary: 'Read it later',
  scopes: 'public',
  takes: 'raw',
  response: dataOf(z.unknown()),
  handle: ({ raw }) => ({ body: { data: raw?.json() ?? 'nothing' } }),
})

const parsed = route({
  method: 'POST',
  path: '/v1/parsed',
  summary: 'As ever',
  scopes: 'public',
  body: z.strictObject({ a: z.number() }),
  response: dataOf(z.unknown()),
  handle: ({ body, raw }) => ({ body: { data: [body, raw === undefined] } }),
})

const sha256 = (bytes: string | Buffer): string => createHash('sha256').update(bytes).digest('hex')

describe('raw bodies', () => {
  const bodies: readonly (readonly [string, string | undefined, Buffer])[] = [
    ['JSON, spaces and all', 'application/json; charset=utf-8', Buffer.from('{ "a" : 1 }\n')],
    ['JSON that is none', 'application/json', Buffer.from('{"a":')],
    ['a form', 'application/x-www-form-urlencoded', Buffer.from('token=x&payload=%7B%7D')],
    ['bytes that are no text', 'application/octet-stream', Buffer.from([0, 255, 254, 13, 10])],
    ['a type that nobody knows', 'application/cloudevents+json', Buffer.from('{}')],
    ['nothing', undefined, Buffer.alloc(0)],
  ]
  test.each(bodies)('%s comes as it was sent, under its own bound, with its key', async (_what, type, body) => {
    await using api = await startTestServer({ routes: [take, parsed] })
    const headers: Record<string, string> = {
      'idempotency-key': 'k1',
      ...(type === undefined ? {} : { 'content-type': type }),
    }
    const { status, json } = await api.request('/v1/hooks/a', { method: 'POST', headers, body: new Uint8Array(body) })
    expect([status, json.data]).toEqual([
      200,
      {
        name: 'a',
        sha256: sha256(body),
        type: type ?? null,
        isUnread: true,
        fingerprint: fingerprintOf('POST', '/v1/hooks/a', body).toString('hex'),
      },
    ])
  })

  test('the bound holds, and other routes take JSON alone, as ever', async () => {
    await using api = await startTestServer({ routes: [take, parsed] })
    const long = { method: 'POST', headers: { 'content-type': 'text/plain' }, body: 'x'.repeat(2_001) }
    expect((await api.request('/v1/hooks/a', long)).json.error?.code).toBe('PAYLOAD_TOO_LARGE')
    expect((await api.request('/v1/parsed', { ...long, body: '{"a":1}' })).json.error?.code).toBe(
      'UNSUPPORTED_MEDIA_TYPE',
    )
    expect((await api.request('/v1/parsed', post({ a: 1 }))).json.data).toEqual([{ a: 1 }, true])
    expect((await api.request('/v1/hooks/a', { method: 'GET' })).json.error?.code).toBe('METHOD_NOT_ALLOWED')
  })

  test('JSON is read when the handler asks for it, and what breaks is the client’s mistake', async () => {
    await using api = await startTestServer({ routes: [readJson] })
    const send = (body: string) =>
      api.request('/v1/raw-json', { method: 'POST', headers: { 'content-type': 'text/x' }, body })
    expect((await send('[1]')).json.data).toEqual([1])
    expect((await send('')).json.data).toBe('nothing')
    expect((await send('{')).json.error?.code).toBe('BAD_REQUEST')
  })

  test('the document says that any bytes are taken', () => {
    const operation = createOpenApi([take], '1').paths['/v1/hooks/{name}']?.post
    expect(operation?.requestBody).toEqual({ required: true, content: { '*/*': { schema: {} } } })
  })
})
