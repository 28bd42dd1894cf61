import type { IncomingHttpHeaders } from 'node:http'
import { connect } from 'node:net'
import { createEnv, RipstopError } from '@ripstop/kernel'
import { dataOf } from '@ripstop/protocol'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { ADMIN, post, sendRaw, startTestServer } from '../../testing/http.ts'
import { until } from '../../testing/processes.ts'
import { withDocuments } from './document-routes.ts'
import { requireScopes } from './principal.ts'
import { type Route, route } from './route.ts'

const greet = route({
  method: 'POST',
  path: '/v1/greetings/{language}',
  summary: 'Greet somebody',
  scopes: ['greet'],
  params: z.strictObject({ language: z.enum(['en', 'de']) }),
  query: z.strictObject({ times: z.coerce.number().int().min(1).max(3).default(1) }),
  body: z.strictObject({ to: z.strictObject({ name: z.string().min(1) }), tags: z.array(z.string()).optional() }),
  response: dataOf(z.object({ text: z.string(), key: z.string().nullable() })),
  status: 201,
  handle: ({ params, query, body, idempotency }) => ({
    body: {
      data: {
        text: `${params.language === 'en' ? 'Hello' : 'Hallo'} ${body.to.name}`.repeat(query.times),
        key: idempotency === undefined ? null : `${idempotency.key} ${idempotency.requestSha256.toString('hex')}`,
      },
    },
  }),
})

const get = (path: string, handle: Route['handle'], more: Partial<Route> = {}): Route => ({
  ...route({
    method: 'GET',
    path,
    summary: 'Look',
    scopes: [],
    response: dataOf(z.unknown()),
    handle: () => ({ body: { data: 1 } }),
  }),
  handle,
  ...more,
})

describe('the control API', () => {
  test('a request reaches its handler as its schemas say, and the answer comes in the envelope', async () => {
    await using api = await startTestServer({ routes: [greet] })
    const answer = await api.request('/v1/greetings/de?times=2', post({ to: { name: 'Ada' } }))
    expect([answer.status, answer.json.data]).toEqual([201, { text: 'Hallo AdaHallo Ada', key: null }])
    expect(answer.headers.get('content-type')).toBe('application/json; charset=utf-8')
    expect(answer.headers.get('x-content-type-options')).toBe('nosniff')
    expect(answer.headers.get('content-security-policy')).toContain("default-src 'none'")
    expect(answer.headers.get('traceparent')).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/)
    expect(answer.headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/)
  })

  test('HA1: every problem of every part is reported together, by the name that the client wrote', async () => {
    await using api = await startTestServer({ routes: [greet] })
    const body = { to: { name: '', surname: 'x' }, tags: ['a', 7], more: 1 }
    const answer = await api.request('/v1/greetings/fr?times=9&limit=1', post(body))
    expect([answer.status, answer.json.error?.code]).toEqual([400, 'BAD_REQUEST'])
    const problems = answer.json.error?.details?.problems as { field: string }[]
    expect(problems.map(({ field }) => field).sort()).toEqual(
      [
        'body.more',
        'body.tags[1]',
        'body.to.name',
        'body.to.surname',
        'params.language',
        'query.limit',
        'query.times',
      ].sort(),
    )
    const missing = await api.request('/v1/greetings/en', post({}))
    expect(missing.json.error?.message).toBe('body.to is required')
  })

  test.each([
    ['an unknown route', '/v1/nothing', {}, 404, 'NOT_FOUND'],
    [
      'an unknown route with a body nobody reads',
      '/v1/nothing',
      { method: 'POST', headers: { 'content-type': 'text/plain' }, body: 'x' },
      404,
      'NOT_FOUND',
    ],
    ['a wrong method', '/v1/greetings/en', { method: 'PUT' }, 405, 'METHOD_NOT_ALLOWED'],
    ['a path that cannot be decoded', '/v1/greetings/%zz', post({}), 400, 'BAD_REQUEST'],
    ['a path of endless parts', `/v1/greetings/${'x'.repeat(500)}`, post({}), 400, 'BAD_REQUEST'],
    ['bad JSON', '/v1/greetings/en', { ...post({}), body: '{"to": oops}' }, 400, 'BAD_REQUEST'],
    ['cut-off JSON', '/v1/greetings/en', { ...post({}), body: '{"to": {' }, 400, 'BAD_REQUEST'],
    ['no body', '/v1/greetings/en', { method: 'POST' }, 400, 'BAD_REQUEST'],
    ['an empty JSON body', '/v1/greetings/en', { ...post({}), body: '' }, 400, 'BAD_REQUEST'],
    ['null', '/v1/greetings/en', { ...post({}), body: 'null' }, 400, 'BAD_REQUEST'],
    ['bad UTF-8', '/v1/greetings/en', { ...post({}), body: Buffer.from([0x22, 0xff, 0xfe, 0x22]) }, 400, 'BAD_REQUEST'],
    [
      'a polluted prototype',
      '/v1/greetings/en',
      { ...post({}), body: '{"to":{"name":"a"},"__proto__":{"x":1}}' },
      400,
      'BAD_REQUEST',
    ],
    [
      'a body of the wrong type',
      '/v1/greetings/en',
      { method: 'POST', headers: { 'content-type': 'text/plain' }, body: 'hi' },
      415,
      'UNSUPPORTED_MEDIA_TYPE',
    ],
    [
      'a body that is too large',
      '/v1/greetings/en',
      post({ to: { name: 'x'.repeat(20_000) } }),
      413,
      'PAYLOAD_TOO_LARGE',
    ],
    ['an endless nesting', '/v1/greetings/en', { ...post({}), body: '['.repeat(9_000) }, 400, 'BAD_REQUEST'],
    [
      'an Idempotency-Key with a space',
      '/v1/greetings/en',
      post({ to: { name: 'a' } }, { 'idempotency-key': 'a b' }),
      400,
      'BAD_REQUEST',
    ],
  ] as const)('HA1: %s gets a typed error', async (_, path, init, status, code) => {
    await using api = await startTestServer({ routes: [greet] })
    const answer = await api.request(path, init as RequestInit)
    expect([answer.status, answer.json.error?.code]).toEqual([status, code])
    expect(answer.json.error?.message).not.toBe('')
    expect(Object.keys(answer.json)).toEqual(['error'])
    // The server goes on.
    expect((await api.request('/v1/greetings/en', post({ to: { name: 'Ada' } }))).status).toBe(201)
  })

  test('HA1: a wrong method is told the right ones, HEAD included', async () => {
    const look = get('/v1/greetings/{language}', () => ({ body: { data: 1 } }))
    await using api = await startTestServer({ routes: [greet, look] })
    const answer = await api.request('/v1/greetings/en', { method: 'DELETE' })
    expect(answer.headers.get('allow')).toBe('GET, HEAD, POST')
    const head = await api.request('/v1/greetings/en', { method: 'HEAD' })
    expect([head.status, head.text]).toEqual([200, ''])
  })

  test('HA3: what nobody foresaw tells the trace id and nothing else, and is logged once with its cause', async () => {
    const broken = get('/v1/broken', () => {
      throw new Error('connect to postgres://user:hunter2@db')
    })
    await using api = await startTestServer({ routes: [broken] })
    const answer = await api.request('/v1/broken')
    const traceId = answer.headers.get('traceparent')?.split('-')[1]
    expect([answer.status, answer.json.error]).toEqual([
      500,
      { code: 'INTERNAL', message: 'something went wrong on our side', details: { trace_id: traceId } },
    ])
    expect(answer.text).not.toContain('hunter2')
    expect(api.log.lines.filter(({ event }) => event === 'http.defect')).toHaveLength(1)
  })

  test('HA3: an answer that breaks its schema is a defect', async () => {
    const lying = route({
      method: 'GET',
      path: '/v1/lie',
      summary: 'Lie',
      scopes: [],
      response: dataOf(z.number()),
      handle: () => ({ body: { data: 'x' as unknown as number } }),
    })
    await using api = await startTestServer({ routes: [lying] })
    expect((await api.request('/v1/lie')).json.error?.code).toBe('INTERNAL')
  })

  test('a failure says when to come back, in the body and in Retry-After', async () => {
    const down = get('/v1/down', () => {
      throw new RipstopError('LINK_DOWN', 'link postgres.main is down', { retryAfterMs: 1_234.5 })
    })
    await using api = await startTestServer({ routes: [down] })
    const answer = await api.request('/v1/down')
    expect([answer.status, answer.headers.get('retry-after'), answer.json.error?.retry_after_ms]).toEqual([
      503,
      '2',
      1_235,
    ])
  })

  test('nothing of a body is read for a stranger: credentials and scopes come first', async () => {
    const authenticate = (headers: IncomingHttpHeaders) => {
      if (headers['x-api-key'] !== 'good') throw new RipstopError('UNAUTHENTICATED', 'no key')
      return { tenantId: 't', actor: 'key:1', keyId: '1', scopes: ['look'] }
    }
    await using api = await startTestServer({ routes: [greet], authenticate })
    const stranger = await api.request('/v1/greetings/en', { ...post({}), body: 'not json' })
    expect([stranger.status, stranger.json.error?.code]).toEqual([401, 'UNAUTHENTICATED'])
    expect(stranger.headers.get('www-authenticate')).toContain('Bearer')
    const poor = await api.request('/v1/greetings/en', { ...post({}, { 'x-api-key': 'good' }), body: 'not json' })
    expect([poor.status, poor.json.error?.details]).toEqual([403, { missing_scopes: ['greet'] }])
    expect(() => requireScopes({ tenantId: 't', actor: 'a', keyId: '1', scopes: ['admin'] }, ['greet'])).not.toThrow()
  })

  test('an Idempotency-Key reaches the handler with what the request must be the same in', async () => {
    await using api = await startTestServer({ routes: [greet] })
    const keyOf = async (path: string, name: string) => {
      const answer = await api.request(path, post({ to: { name } }, { 'idempotency-key': 'k-1' }))
      return (answer.json.data as { key: string }).key
    }
    const first = await keyOf('/v1/greetings/en', 'Ada')
    expect(first).toMatch(/^k-1 [0-9a-f]{64}$/)
    expect(await keyOf('/v1/greetings/en', 'Ada')).toBe(first)
    expect(await keyOf('/v1/greetings/en', 'Bob')).not.toBe(first)
    expect(await keyOf('/v1/greetings/de', 'Ada')).not.toBe(first)
  })

  test('HA2: the handler hears at once that the client went away', async () => {
    const heard = Promise.withResolvers<string>()
    const entered = Promise.withResolvers<void>()
    const slow = get('/v1/slow', ({ ctx }) => {
      entered.resolve()
      return new Promise((_, reject) => {
        ctx.signal.addEventListener('abort', () => {
          heard.resolve((ctx.signal.reason as RipstopError).code)
          reject(ctx.signal.reason)
        })
      })
    })
    await using api = await startTestServer({ routes: [slow] })
    const socket = connect(api.server.port, '127.0.0.1')
    socket.write('GET /v1/slow HTTP/1.1\r\nHost: localhost\r\n\r\n')
    await entered.promise
    socket.destroy()
    expect(await heard.promise).toBe('CANCELLED')
    await until('the request is counted as given up', () =>
      api.metrics.text().includes('route="/v1/slow",status="499"'),
    )
  })

  test('HA4: a request is timed by its last byte, also where its key had to be looked up meanwhile', async () => {
    const env = createEnv()
    const begun = Promise.withResolvers<void>()
    const timed = route({
      method: 'POST',
      path: '/v1/timed',
      summary: 'Tell when it came',
      scopes: [],
      body: z.strictObject({}).optional(),
      response: dataOf(z.number()),
      handle: ({ receivedMonoMs }) => ({ body: { data: env.clock.monoMs() - receivedMonoMs } }),
    })
    const authenticate = async () => {
      begun.resolve()
      await new Promise((resolve) => setTimeout(resolve, 120))
      return ADMIN
    }
    await using api = await startTestServer({ routes: [timed], env, authenticate })
    const ageOf = (answer: string): number => Number(/"data":([\d.]+)/.exec(answer)?.[1])
    const head = 'POST /v1/timed HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n'
    // The look-up is ours to pay for: all of it was there before.
    expect(ageOf(await sendRaw(api.server.port, `${head}Content-Length: 2\r\n\r\n{}`))).toBeGreaterThan(100)
    expect(ageOf(await sendRaw(api.server.port, `${head}Content-Length: 0\r\n\r\n`))).toBeGreaterThan(100)
    const socket = connect(api.server.port, '127.0.0.1')
    socket.write(`${head}Content-Length: 2\r\n\r\n`)
    let answer = ''
    socket.on('data', (bytes) => {
      answer += String(bytes)
    })
    await begun.promise
    await new Promise((resolve) => setTimeout(resolve, 300))
    socket.write('{}')
    await new Promise((resolve) => socket.once('close', resolve))
    expect(ageOf(answer)).toBeLessThan(100)
  })

  test('what is gone answers 204 without a body, and headers set on the way are on every answer', async () => {
    const gone = get(
      '/v1/gone/{name}',
      ({ params, setHeader, address }) => {
        setHeader('X-Said', address)
        if ((params as { name: string }).name === 'not') throw new RipstopError('CONFLICT', 'it is there')
        return { body: null as never }
      },
      { method: 'DELETE', status: 204, params: z.strictObject({ name: z.string() }) },
    )
    await using api = await startTestServer({ routes: [gone], addressOf: () => '192.0.2.7' })
    const answer = await api.request('/v1/gone/it', { method: 'DELETE' })
    expect([answer.status, answer.text, answer.headers.get('x-said')]).toEqual([204, '', '192.0.2.7'])
    expect(answer.headers.get('content-type')).toBeNull()
    const refused = await api.request('/v1/gone/not', { method: 'DELETE' })
    expect([refused.status, refused.headers.get('x-said')]).toEqual([409, '192.0.2.7'])
  })

  test('HA2: a request ends at its deadline', async () => {
    const slow = get(
      '/v1/slow',
      ({ ctx }) => new Promise((_, reject) => ctx.signal.addEventListener('abort', () => reject(ctx.signal.reason))),
    )
    await using api = await startTestServer({ routes: [slow], deadlineMs: 50 })
    const answer = await api.request('/v1/slow')
    expect([answer.status, answer.json.error?.code]).toEqual([504, 'DEADLINE_EXCEEDED'])
  })

  test('a trace is continued if it is valid, and begun anew if it is not', async () => {
    await using api = await startTestServer({
      routes: [get('/v1/look', ({ traceId }) => ({ body: { data: traceId } }))],
    })
    const traceOf = async (traceparent: string) => {
      const answer = await api.request('/v1/look', { headers: { traceparent, 'x-request-id': 'mine-1' } })
      expect(answer.headers.get('x-request-id')).toBe('mine-1')
      expect(answer.headers.get('traceparent')).toContain(String(answer.json.data))
      expect(answer.headers.get('traceparent')).not.toBe(traceparent)
      return answer.json.data
    }
    const trace = '4bf92f3577b34da6a3ce929d0e0e4736'
    const given = `${trace}-00f067aa0ba902b7-01`
    expect(await traceOf(`00-${given}`)).toBe(trace)
    expect(await traceOf(`01-${given}-more`)).toBe(trace)
    for (const broken of [
      `ff-${given}`,
      `00-${given}-more`,
      `00-${'0'.repeat(32)}-00f067aa0ba902b7-01`,
      'x',
      `00-${trace.toUpperCase()}-00f067aa0ba902b7-01`,
    ]) {
      expect(await traceOf(broken)).not.toBe(trace)
    }
  })

  test('pages of allowed origins may read answers, preflights included; others get no permission', async () => {
    const origin = 'https://app.example.com'
    await using api = await startTestServer({ routes: [greet], allowedOrigins: [origin], mode: 'keys' })
    const preflight = await api.request('/v1/greetings/en', {
      method: 'OPTIONS',
      headers: { origin, 'access-control-request-method': 'POST' },
    })
    expect([preflight.status, preflight.headers.get('access-control-allow-origin')]).toEqual([204, origin])
    expect(preflight.headers.get('access-control-allow-headers')).toContain('Idempotency-Key')
    const foreign = await api.request('/v1/greetings/en', {
      ...post({ to: { name: 'a' } }, { origin: 'https://evil.example' }),
    })
    expect([foreign.status, foreign.headers.get('access-control-allow-origin')]).toEqual([201, null])
  })

  test('a deprecated route says so, until when, and where to go', async () => {
    const deprecated = { since: '2026-01-01', sunset: '2027-01-01', instead: '/v2/look' }
    await using api = await startTestServer({
      routes: [get('/v1/look', () => ({ body: { data: 1 } }), { deprecated })],
    })
    const { headers } = await api.request('/v1/look')
    expect(headers.get('deprecation')).toBe('@1767225600')
    expect(headers.get('sunset')).toBe('Fri, 01 Jan 2027 00:00:00 GMT')
    expect(headers.get('link')).toBe('</v2/look>; rel="successor-version"')
  })

  test('the API describes itself, as data and as a page without scripts', async () => {
    await using api = await startTestServer({ routes: withDocuments([greet], '1.2.3') })
    const document = JSON.parse((await api.request('/openapi.json')).text)
    expect(document.openapi).toBe('3.1.0')
    expect(Object.keys(document.paths)).toEqual(['/docs', '/openapi.json', '/v1/greetings/{language}'])
    const operation = document.paths['/v1/greetings/{language}'].post
    expect(operation.parameters.map(({ name }: { name: string }) => name)).toEqual([
      'language',
      'times',
      'Idempotency-Key',
    ])
    expect(operation.responses['201'].content['application/json'].schema.properties.data.properties.text).toEqual({
      type: 'string',
    })
    const page = await api.request('/docs')
    expect(page.text).toContain('Greet somebody')
    expect(page.text).not.toMatch(/<script|https?:\/\/(?!localhost)/)
    expect(page.headers.get('content-security-policy')).toMatch(/script-src 'none'; style-src 'sha256-/)
  })

  test('a foreign Host is refused over the wire too, with the typed error', async () => {
    await using api = await startTestServer({ routes: [greet] })
    const answer = await sendRaw(
      api.server.port,
      'GET /livez HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n',
    )
    expect(answer).toMatch(/^HTTP\/1.1 421 /)
    expect(answer).toContain('"HOST_REFUSED"')
  })
})
