// The whole way, with real parts: gateway, Postgres, engine, upstream, and the status that a client polls.

import { type ChildProcess, fork } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import { join } from 'node:path'
import { createId } from '@ripstop/kernel'
import type { DeferredRequestWire } from '@ripstop/protocol'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createSealer } from '#platform/sealing'
import { startTestBed, startTestUpstream, type TestBed, type TestGateway } from '../testing/gateway.ts'
import { ADMIN, startTestServer, type TestServer } from '../testing/http.ts'
import { startTestMesh, type TestMesh } from '../testing/mesh.ts'
import { createTestDatabase, startTestCluster, type TestDatabase } from '../testing/postgres.ts'
import { until } from '../testing/processes.ts'
import { createDefer } from './defer.ts'
import { targetIdOf } from './deferral.ts'
import { createDeferredKind } from './kind.ts'
import { createDeferredRoutes } from './routes.ts'
import { dropOldRequests } from './store.ts'
import { startTestWorker, type WorkerOptions } from './worker.fixture.ts'

const TENANT = '00000000-0000-7000-8000-000000000000'
const OTHER = '00000000-0000-7000-8000-000000000001'
const masterKey = randomBytes(32)
const sealer = createSealer({ keys: [masterKey] })

let open: AsyncDisposableStack
let database: TestDatabase
let mesh: TestMesh
let api: TestServer
/** Who asks the control API. */
let tenantId: string
let listener: RequestListener
let seen: string[]
let port: number

beforeEach(async () => {
  open = new AsyncDisposableStack()
  database = open.use(await createTestDatabase())
  mesh = open.use(await startTestMesh(database.url))
  tenantId = TENANT
  api = open.use(
    await startTestServer({
      routes: createDeferredRoutes({ link: mesh.link }),
      authenticate: () => ({ ...ADMIN, tenantId }),
    }),
  )
  seen = []
  listener = (_request, response) => void response.end('fine')
  const upstream = open.use(
    await startTestUpstream(async (request, response) => {
      const chunks: Buffer[] = []
      for await (const chunk of request) chunks.push(chunk as Buffer)
      const { 'idempotency-key': key = '-', prefer = '-', authorization = '-' } = request.headers
      seen.push(`${request.method} ${request.url} ${key} ${prefer} ${authorization} ${Buffer.concat(chunks)}`.trim())
      listener(request, response)
    }),
  )
  port = upstream.port
})
afterEach(() => open.disposeAsync())

const startGateway = (bed: TestBed = {}): Promise<TestGateway> =>
  startTestBed(open, port, {
    ...bed,
    gateway: {
      authenticate: () => ({ tenantId: TENANT, keyId: 'k1', scopes: [] }),
      defer: createDefer({ link: mesh.link, sealer }),
    },
  })
const startWorker = async (more: Partial<WorkerOptions> = {}) =>
  open.use(await startTestWorker({ url: database.url, port, masterKey, ...more }))

async function send(gateway: TestGateway, init: RequestInit = {}, path = '/a/orders'): Promise<string> {
  const headers = { prefer: 'respond-async', ...(init.headers as Record<string, string>) }
  const response = await fetch(`${gateway.url}${path}`, { method: 'POST', ...init, headers })
  expect(response.status).toBe(202)
  const { data } = (await response.json()) as { data: { id: string; status_url: string } }
  expect(response.headers.get('location')).toBe(data.status_url)
  return data.id
}

const read = async (id: string) => (await api.request(`/v1/deferred/${id}`)).json.data as DeferredRequestWire
const whenOver = (id: string) =>
  until(`${id} is over`, async () => {
    const request = await read(id)
    return request.state === 'waiting' ? undefined : request
  })
const countRows = async (table: string): Promise<number> =>
  Number((await mesh.query<{ n: string }>(`select count(*) as n from ripstop.${table}`))[0]?.n)

describe('once', () => {
  test('DF1, DF4, DF8: a request is stored with its delivery, sent, and its answer can be read', async () => {
    const gateway = await startGateway()
    const headers = { authorization: 'Basic c2VjcmV0', prefer: 'respond-async, wait=3' }
    const id = await send(gateway, { body: 'hello', headers }, '/a/orders?x=1')
    expect(await read(id)).toMatchObject({ id, state: 'waiting', attempts: [], response: null, done_at: null })
    expect([await countRows('deferred_requests'), await countRows('deliveries')]).toEqual([1, 1])
    listener = (_request, response) => {
      response.writeHead(201, { 'content-type': 'text/plain', 'set-cookie': 'a=1', etag: '"1"' })
      response.end('made, grün')
    }
    await startWorker()
    const over = await whenOver(id)
    expect(over).toMatchObject({
      state: 'done',
      upstream: 'up',
      method: 'POST',
      code: null,
      attempts: [{ outcome: 'delivered', status: 201, code: null }],
      response: { status: 201, body: 'made, grün', body_encoding: 'utf8', is_cut: false },
    })
    expect(over.response?.headers).toMatchObject({ 'content-type': 'text/plain', etag: '"1"' })
    expect(over.response?.headers).not.toHaveProperty('set-cookie')
    expect(seen).toEqual(['POST /a/orders?x=1 - wait=3 Basic c2VjcmV0 hello'])
    expect([await countRows('deliveries'), await countRows('dead_letters')]).toEqual([0, 0])
  })

  test('DF5: no header can be read in the database, and another row does not open it', async () => {
    const gateway = await startGateway()
    const id = await send(gateway, { headers: { authorization: 'Bearer top-secret', cookie: 'session=42' } })
    const other = await send(gateway, { headers: { authorization: 'Bearer other-one' } })
    const [row] = await mesh.query<{ text: string }>(
      'select deferred_requests::text as text from ripstop.deferred_requests where request_id = $1',
      [id],
    )
    const bytes = Buffer.from(/\\x([0-9a-f]+)/.exec(row?.text ?? '')?.[1] ?? '', 'hex').toString('latin1')
    expect(`${row?.text} ${bytes}`).not.toMatch(/top-secret|session|bearer/i)
    await mesh.query(
      'update ripstop.deferred_requests set sealed_headers = (select sealed_headers from ripstop.deferred_requests where request_id = $1) where request_id = $2',
      [id, other],
    )
    await startWorker()
    expect(await whenOver(other)).toMatchObject({ state: 'failed', code: 'SEAL_BROKEN' })
    expect(await whenOver(id)).toMatchObject({ state: 'done' }) // not held up by it
    expect(seen).toEqual(['POST /a/orders - - Bearer top-secret'])
  })

  test('DF4: a repetition with the same Idempotency-Key stores nothing; another request with it is refused', async () => {
    const gateway = await startGateway()
    const headers = { 'idempotency-key': 'k1' }
    const all = await Promise.all(Array.from({ length: 10 }, () => send(gateway, { body: 'x', headers })))
    expect(new Set(all).size).toBe(1)
    expect([await countRows('deferred_requests'), await countRows('deliveries')]).toEqual([1, 1])
    const again = await fetch(`${gateway.url}/a/orders`, {
      method: 'POST',
      body: 'x',
      headers: { ...headers, prefer: 'respond-async' },
    })
    expect([again.status, again.headers.get('idempotency-replayed')]).toEqual([202, 'true'])
    const other = await fetch(`${gateway.url}/a/orders`, {
      method: 'POST',
      body: 'y',
      headers: { ...headers, prefer: 'respond-async' },
    })
    expect(other.status).toBe(422)
    await startWorker()
    await whenOver(all[0] as string)
    expect(seen).toEqual(['POST /a/orders k1 - - x'])
  })

  test("another tenant's request is the same as none", async () => {
    const gateway = await startGateway()
    const id = await send(gateway)
    expect((await api.request(`/v1/deferred/${id}`)).status).toBe(200)
    tenantId = OTHER
    const [theirs, none] = [await api.request(`/v1/deferred/${id}`), await api.request(`/v1/deferred/${createId(1)}`)]
    expect([theirs.status, theirs.json.error?.code]).toEqual([404, 'NOT_FOUND'])
    expect(theirs.json.error?.message).toBe(none.json.error?.message)
    expect((await api.request('/v1/deferred/x')).status).toBe(400)
  })
})

describe('retries', () => {
  const failing = (
    times: number,
    fail: (request: IncomingMessage, response: ServerResponse) => void,
  ): RequestListener => {
    let failures = 0
    return (request, response) => {
      if (++failures <= times) fail(request, response)
      else response.end('fine')
    }
  }
  const reset = (request: IncomingMessage) => void request.socket.resetAndDestroy()
  const answer = (status: number) => (_request: IncomingMessage, response: ServerResponse) => {
    response.statusCode = status
    response.end('no')
  }

  test('DF3: what is idempotent by its method is sent again until it is answered', async () => {
    const gateway = await startGateway()
    listener = failing(2, reset)
    await startWorker()
    const id = await send(gateway, { method: 'PUT', body: 'x' })
    const over = await whenOver(id)
    expect([over.state, over.response?.body, seen.length]).toEqual(['done', 'fine', 3])
    expect(over.attempts.map(({ outcome }) => outcome)).toEqual(['unknown', 'unknown', 'delivered'])
  })

  test('DF3: a POST whose answer was lost is `unknown`, and is not sent again', async () => {
    const gateway = await startGateway()
    listener = failing(1, reset)
    await startWorker()
    const over = await whenOver(await send(gateway, { body: 'x' }))
    expect(over).toMatchObject({
      state: 'unknown',
      code: 'LINK_LOST',
      response: null,
      attempts: [{ outcome: 'unknown' }],
    })
    const failed = await whenOver(await send(gateway, { body: 'y' }))
    expect([failed.state, seen.length]).toEqual(['done', 2])
    listener = failing(1, answer(503))
    const refused = await whenOver(await send(gateway, { body: 'z' }))
    expect(refused).toMatchObject({ state: 'failed', code: 'PEER_FAILED', response: { status: 503, body: 'no' } })
    expect(seen).toHaveLength(3)
  })

  test('DF3: where the upstream takes a POST twice it is sent again, always with the same key', async () => {
    const gateway = await startGateway({ route: { upstreamIdempotent: true } })
    listener = failing(2, reset)
    await startWorker()
    const id = await send(gateway, { body: 'x' })
    expect((await whenOver(id)).state).toBe('done')
    expect(seen).toEqual(Array(3).fill(`POST /a/orders ${id} - - x`)) // the request's id, since the client sent none
    seen.length = 0
    listener = failing(1, answer(504))
    expect((await whenOver(await send(gateway, { body: 'y', headers: { 'idempotency-key': 'mine' } }))).state).toBe(
      'done',
    )
    expect(seen).toEqual(Array(2).fill('POST /a/orders mine - - y'))
  })

  test('DF3: a POST that was refused for the rate is sent again; after the last pause it has failed, with the last answer', async () => {
    const gateway = await startGateway()
    listener = failing(1, answer(429))
    await startWorker()
    expect((await whenOver(await send(gateway, { body: 'x' }))).attempts.map(({ status }) => status)).toEqual([
      429, 200,
    ])
    listener = failing(99, answer(502))
    const over = await whenOver(await send(gateway, { method: 'DELETE' }))
    expect(over).toMatchObject({ state: 'failed', code: 'PEER_FAILED', response: { status: 502, body: 'no' } })
    expect(over.attempts).toHaveLength(4)
    expect(await countRows('dead_letters')).toBe(1)
  })

  test('DF6: a long answer is cut at the bound, and bytes that are no text come as base64', async () => {
    const gateway = await startGateway()
    listener = (_request, response) => response.end('x'.repeat(200_000))
    await startWorker()
    const long = await whenOver(await send(gateway))
    expect([long.state, long.response?.is_cut, long.response?.body.length]).toEqual(['done', true, 10_000])
    listener = (_request, response) => response.end(Buffer.from([0xff, 0x00, 0x31]))
    const bytes = await whenOver(await send(gateway))
    expect(bytes.response).toMatchObject({ body: '/wAx', body_encoding: 'base64', is_cut: false })
    listener = (_request, response) => {
      const more = (): void => {
        while (!response.destroyed && response.write('y'.repeat(16_384)));
        if (!response.destroyed) response.once('drain', more)
      }
      more()
    }
    expect((await whenOver(await send(gateway))).response).toMatchObject({ status: 200, is_cut: true })
  })

  test('DF9: an upstream that no worker knows keeps its requests waiting, and one that does sends them', async () => {
    const ignorant = createDeferredKind({ env: mesh.env, link: mesh.link, sealer, upstreams: [], responseBytesMax: 1 })
    const targets = await ignorant.targets(mesh.ctx, [targetIdOf('up')])
    expect(targets.get(targetIdOf('up'))?.state).toBe('parked') // not gone, which would make dead letters of them
    const gateway = await startGateway()
    const id = await send(gateway)
    const defer = createDefer({ link: mesh.link, sealer })
    const known = {
      tenantId: TENANT,
      upstream: 'other',
      method: 'GET',
      path: '/known',
      headers: [],
      body: undefined,
    } as const
    const { requestId } = await defer(mesh.ctx, {
      ...known,
      repeatable: 'by method',
      deadlineMs: 1_000,
      idempotencyKey: undefined,
    })
    await using stranger = await startTestWorker({ url: database.url, port, masterKey, upstreams: ['other'] })
    expect((await whenOver(requestId)).state).toBe('done')
    expect((await read(id)).state).toBe('waiting')
    expect(seen).toEqual(['GET /known - - -'])
    await stranger[Symbol.asyncDispose]()
    await startWorker()
    expect((await whenOver(id)).state).toBe('done')
  })
})

describe('kill -9', () => {
  async function startProcess(): Promise<ChildProcess> {
    const argv = [database.url, String(port), masterKey.toString('base64'), createId(Date.now())]
    const child = fork(join(import.meta.dirname, 'worker.fixture.ts'), argv)
    open.defer(() => void child.kill('SIGKILL'))
    await once(child, 'message')
    return child
  }

  test('DF7: the worker is killed while its requests are at the upstream: what must not be repeated is not, all else is done', async () => {
    const gateway = await startGateway()
    const held: ServerResponse[] = []
    listener = (_request, response) => void held.push(response)
    const child = await startProcess()
    const posts = await Promise.all(Array.from({ length: 5 }, (_, index) => send(gateway, { body: `post ${index}` })))
    const puts = await Promise.all(
      Array.from({ length: 5 }, (_, index) => send(gateway, { method: 'PUT', body: `put ${index}` })),
    )
    await until('all are at the upstream', () => held.length === 10)
    child.kill('SIGKILL')
    await once(child, 'exit')
    const late = await Promise.all(Array.from({ length: 5 }, (_, index) => send(gateway, { body: `late ${index}` })))
    listener = (_request, response) => void response.end('fine')
    await startWorker()
    const states = async (ids: readonly string[]) => (await Promise.all(ids.map(whenOver))).map(({ state }) => state)
    expect(await states(posts)).toEqual(Array(5).fill('unknown'))
    expect(await states(puts)).toEqual(Array(5).fill('done'))
    expect(await states(late)).toEqual(Array(5).fill('done')) // never sent before, although they may have been
    const times = (kind: string) =>
      Array.from({ length: 5 }, (_, index) => seen.filter((line) => line.endsWith(`${kind} ${index}`)).length)
    expect([times('post'), times('put'), times('late')]).toEqual([Array(5).fill(1), Array(5).fill(2), Array(5).fill(1)])
    const [post] = await Promise.all(posts.map(read))
    expect(post).toMatchObject({ code: 'LINK_LOST', attempts: [{ outcome: 'unknown', status: null }] })
  }, 60_000)
})

describe('without Postgres', () => {
  test('DF1: a request is refused with a typed 503, also before there is a schema; what is not deferred passes', async () => {
    await using cluster = await startTestCluster()
    await using own = await startTestMesh(cluster.url)
    const gateway = await startTestBed(open, port, {
      gateway: {
        authenticate: () => ({ tenantId: TENANT, keyId: 'k1', scopes: [] }),
        defer: createDefer({ link: own.link, sealer }),
      },
    })
    await cluster.kill('SIGKILL')
    await until('the link knows', () => own.link.state !== 'up')
    const response = await fetch(`${gateway.url}/a`, {
      method: 'POST',
      body: 'x',
      headers: { prefer: 'respond-async' },
    })
    const { error } = (await response.json()) as { error: { code: string; message: string; retry_after_ms: number } }
    expect([response.status, error.code, response.headers.get('location')]).toEqual([503, 'NOT_READY', null])
    expect(error.message).toContain('could not be stored')
    expect(error.retry_after_ms).toBeGreaterThan(0)
    expect((await fetch(`${gateway.url}/a`, { method: 'POST', body: 'x' })).status).toBe(200) // the way through stays open
    expect(seen).toEqual(['POST /a - - - x'])
  }, 60_000)
})

test('a day of requests is dropped when it is older than the retention, unless something of it is still to be sent', async () => {
  const gateway = await startGateway()
  const day = 86_400_000
  const oldId = createId(Date.now() - 40 * day)
  const from = new Date(Date.now() - 40 * day).toISOString().slice(0, 10)
  await mesh.query(`create table ripstop.deferred_requests_${from.replaceAll('-', '')} partition of ripstop.deferred_requests
    for values from (ripstop.least_id_at('${from}T00:00:00Z')) to (ripstop.least_id_at(timestamptz '${from}T00:00:00Z' + interval '1 day'))`)
  await mesh.query(
    `insert into ripstop.deferred_requests (request_id, tenant_id, upstream, method, path, sealed_headers, is_repeatable, deadline_ms)
     values ($1, $2, 'up', 'GET', '/', '', true, 1000)`,
    [oldId, TENANT],
  )
  await mesh.query(
    `insert into ripstop.deliveries (tenant_id, kind, target_id, shard, message_id, bytes)
     values ($2, 'deferred', $1, 0, $1, 0)`,
    [oldId, TENANT],
  )
  const recent = await send(gateway)
  const drop = async () => {
    const { text, values } = dropOldRequests(7 * day)
    const [row] = await mesh.query<{ deleted: number }>(`with held as (select 1) ${text}`, values)
    return row?.deleted
  }
  expect(await drop()).toBe(0)
  expect((await read(oldId)).state).toBe('waiting')
  await mesh.query('delete from ripstop.deliveries where message_id = $1', [oldId])
  expect([await drop(), await drop()]).toEqual([1, 0])
  expect((await api.request(`/v1/deferred/${oldId}`)).status).toBe(404)
  expect((await read(recent)).state).toBe('waiting')
})
