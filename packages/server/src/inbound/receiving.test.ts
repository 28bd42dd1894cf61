// Inbound webhooks as providers see them: a real server, a real Postgres, signatures by the providers' own recipes.

import { randomBytes } from 'node:crypto'
import type { AuditEntryWire, InboundSourceWire } from '@ripstop/protocol'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startAccess } from '../access/start.ts'
import { DEFAULT_TENANT_ID } from '../access/tenant.ts'
import { type Events, startEvents } from '../events/start.ts'
import type { Principal } from '../platform/http/principal.ts'
import { createSealer } from '../platform/sealing/sealer.ts'
import { ADMIN, post, startTestServer, type TestServer } from '../testing/http.ts'
import { startTestMesh, type TestMesh } from '../testing/mesh.ts'
import { createTestDatabase, type TestDatabase } from '../testing/postgres.ts'
import * as senders from './signing.fixture.ts'
import { createInbound, type InboundDeps } from './start.ts'

const SECRET = 'a-secret-of-a-provider'
const sealer = createSealer({ keys: [randomBytes(32)] })

let database: TestDatabase
let mesh: TestMesh
let events: Events
let server: TestServer
let principal: Principal = { ...ADMIN, tenantId: DEFAULT_TENANT_ID }

async function startServer(options: Partial<InboundDeps> = {}): Promise<TestServer> {
  const { env, link } = mesh
  const inbound = createInbound({ env, mesh: mesh.mesh, link, sealer, publish: events.publish, ...options })
  const access = startAccess({ env, mesh: mesh.mesh, link, mode: 'open', environment: 'development', routeScopes: [] })
  const routes = [...inbound.routes, ...access.routes]
  const started = await startTestServer({ routes, authenticate: () => principal, bodyBytesMax: 500_000 })
  return {
    ...started,
    [Symbol.asyncDispose]: () => started[Symbol.asyncDispose]().then(() => access[Symbol.asyncDispose]()),
  }
}

beforeAll(async () => {
  database = await createTestDatabase()
  mesh = await startTestMesh(database.url)
  events = startEvents({ env: mesh.env, mesh: mesh.mesh, link: mesh.link, consumers: [] })
  server = await startServer()
})

afterAll(async () => {
  await server[Symbol.asyncDispose]()
  await events[Symbol.asyncDispose]()
  await mesh[Symbol.asyncDispose]()
  await database[Symbol.asyncDispose]()
})

let made = 0
async function createSource(scheme: string, secrets = [SECRET], name = `s${++made}`): Promise<InboundSourceWire> {
  const { status, json, text } = await server.request('/v1/inbound-sources', post({ name, scheme, secrets }))
  expect(status, text).toBe(201)
  expect(text).not.toContain(secrets[0])
  return json.data as InboundSourceWire
}

async function send(path: string, headers: Record<string, string>, body: string, to = server) {
  const { status, json, headers: answered } = await to.request(path, { method: 'POST', headers, body })
  return {
    status,
    code: json.error?.code,
    data: json.data as { outcome: string; event_id: string } | undefined,
    json,
    answered,
  }
}

interface EventRow {
  readonly event_id: string
  readonly source: string
  readonly id: string
  readonly type: string
  readonly body: Buffer
}

/** The events of a source, with their data. */
async function eventsOf({ name }: InboundSourceWire) {
  const rows = await mesh.query<EventRow>(
    'select event_id, source, id, type, body from ripstop.events where source = $1 order by event_id',
    [`inbound/${name}`],
  )
  return rows.map(({ body, ...row }) => ({ ...row, data: (JSON.parse(body.toString()) as { data: unknown }).data }))
}

describe('what providers send becomes events', () => {
  test('IB3: Stripe: its id, its type, once however often it comes', async () => {
    const source = await createSource('stripe')
    const body = JSON.stringify({ id: 'evt_1', type: 'invoice.paid', data: { object: { amount: 5 } } })
    const first = await send(source.path, senders.stripe(SECRET, body), body)
    expect([first.status, first.data?.outcome]).toEqual([200, 'published'])
    const again = await send(source.path, senders.stripe(SECRET, body, senders.nowSeconds() - 60), body)
    expect([again.status, again.data]).toEqual([200, { outcome: 'duplicate', event_id: first.data?.event_id }])
    expect(await eventsOf(source)).toEqual([
      {
        event_id: first.data?.event_id,
        source: `inbound/${source.name}`,
        id: 'evt_1',
        type: `${source.name}.invoice.paid`,
        data: JSON.parse(body),
      },
    ])
  })

  test('IB3: of many at the same time one is published', async () => {
    const source = await createSource('stripe')
    const body = JSON.stringify({ id: 'evt_race', type: 'x' })
    const answers = await Promise.all(
      Array.from({ length: 12 }, () => send(source.path, senders.stripe(SECRET, body), body)),
    )
    expect(answers.map(({ data }) => data?.outcome).sort()).toEqual([...Array(11).fill('duplicate'), 'published'])
    expect(new Set(answers.map(({ data }) => data?.event_id)).size).toBe(1)
    expect(await eventsOf(source)).toHaveLength(1)
  })

  test('GitHub: delivery, event, and a form with a payload', async () => {
    const source = await createSource('github')
    const body = '{"action":"opened","number":7}'
    expect((await send(source.path, senders.github(SECRET, body, 'pull_request', 'd-1'), body)).data?.outcome).toBe(
      'published',
    )
    expect((await send(source.path, senders.github(SECRET, body, 'pull_request', 'd-1'), body)).data?.outcome).toBe(
      'duplicate',
    )
    const form = `payload=${encodeURIComponent(body)}`
    const headers = {
      ...senders.github(SECRET, form, 'ping', 'd-2'),
      'content-type': 'application/x-www-form-urlencoded',
    }
    expect((await send(source.path, headers, form)).data?.outcome).toBe('published')
    expect((await eventsOf(source)).map(({ id, type, data }) => [id, type, data])).toEqual([
      ['d-1', `${source.name}.pull_request`, JSON.parse(body)],
      ['d-2', `${source.name}.ping`, JSON.parse(body)],
    ])
  })

  test('Shopify: the id of the event, and else that of the webhook', async () => {
    const source = await createSource('shopify')
    const body = '{"id":820982911946154508,"email":"é@example.com"}'
    const refused = await send(source.path, senders.shopify(SECRET, body), body)
    expect([refused.status, refused.code]).toEqual([422, 'EVENT_INVALID']) // readers of JSON would change that number
    const fine = '{"email":"é@example.com"}'
    expect((await send(source.path, senders.shopify(SECRET, fine, 'e-2'), fine)).data?.outcome).toBe('published')
    const { 'x-shopify-event-id': _, ...rest } = senders.shopify(SECRET, fine)
    expect((await send(source.path, { ...rest, 'x-shopify-webhook-id': 'w-1' }, fine)).data?.outcome).toBe('published')
    expect((await eventsOf(source)).map(({ id, type }) => [id, type])).toEqual([
      ['e-2', `${source.name}.orders/create`],
      ['w-1', `${source.name}.orders/create`],
    ])
  })

  test('Slack: the challenge is answered, events and slash commands are published', async () => {
    const source = await createSource('slack')
    const challenge = JSON.stringify({ type: 'url_verification', token: 't', challenge: '3eZbrw1aB' })
    const answered = await send(source.path, senders.slack(SECRET, challenge), challenge)
    expect([answered.status, answered.json]).toMatchObject([
      200,
      { challenge: '3eZbrw1aB', data: { outcome: 'challenge' } },
    ])
    expect((await send(source.path, senders.slack('wrong-secret', challenge), challenge)).code).toBe(
      'SIGNATURE_INVALID',
    )
    const event = JSON.stringify({ type: 'event_callback', event_id: 'Ev1', event: { type: 'app_mention', ts: '1.2' } })
    expect((await send(source.path, senders.slack(SECRET, event), event)).data?.outcome).toBe('published')
    expect(
      (await send(source.path, { ...senders.slack(SECRET, event), 'x-slack-retry-num': '1' }, event)).data?.outcome,
    ).toBe('duplicate')
    const form = 'command=%2Fweather&text=94070&trigger_id=1.2'
    const t = senders.nowSeconds()
    const headers = senders.slack(SECRET, form, t, 'application/x-www-form-urlencoded')
    expect((await send(source.path, headers, form)).data?.outcome).toBe('published')
    expect((await send(source.path, headers, form)).data?.outcome).toBe('duplicate')
    expect(
      (await send(source.path, senders.slack(SECRET, form, t - 1, 'application/x-www-form-urlencoded'), form)).data
        ?.outcome,
    ).toBe('published')
    const found = await eventsOf(source)
    expect(found.map(({ type }) => type)).toEqual(
      ['app_mention', 'slash_command', 'slash_command'].map((type) => `${source.name}.${type}`),
    )
    expect(found[1]?.data).toEqual({ command: '/weather', text: '94070', trigger_id: '1.2' })
  })

  test('Standard Webhooks: HMAC and Ed25519, a type that no event may have, bodies that are no object', async () => {
    const hmac = `whsec_${randomBytes(32).toString('base64')}`
    const seed = randomBytes(32)
    const { publicKey, secret } = await keyPair(seed)
    const source = await createSource('standard', [hmac, publicKey])
    const body = '{"type":"user created!","data":{}}'
    expect((await send(source.path, senders.standard(hmac, body, 'msg_1'), body)).data?.outcome).toBe('published')
    expect((await send(source.path, senders.standardAsymmetric(secret, body, 'msg_2'), body)).data?.outcome).toBe(
      'published',
    )
    expect((await send(source.path, senders.standard(hmac, '[1]', 'msg_3'), '[1]')).data?.outcome).toBe('published')
    expect((await send(source.path, senders.standard(hmac, '', 'msg_4'), '')).data?.outcome).toBe('published')
    expect((await eventsOf(source)).map(({ id, type, data }) => [id, type, data])).toEqual([
      ['msg_1', `${source.name}.user_created_`, JSON.parse(body)],
      ['msg_2', `${source.name}.user_created_`, JSON.parse(body)],
      ['msg_3', `${source.name}.event`, [1]],
      ['msg_4', `${source.name}.event`, null],
    ])
  })
})

async function keyPair(seed: Buffer): Promise<{ publicKey: string; secret: string }> {
  const { createPrivateKey, createPublicKey } = await import('node:crypto')
  const der = Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), seed])
  const jwk = createPublicKey(createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })).export({ format: 'jwk' })
  const raw = Buffer.from(jwk.x ?? '', 'base64url')
  return {
    publicKey: `whpk_${raw.toString('base64')}`,
    secret: `whsk_${Buffer.concat([seed, raw]).toString('base64')}`,
  }
}

describe('what is not believed', () => {
  test('IB1, IB2: forged, replayed, unsigned: a typed refusal, and nothing is published', async () => {
    const source = await createSource('stripe')
    const body = JSON.stringify({ id: 'evt_bad', type: 'x' })
    const refused = async (headers: Record<string, string>, sent = body) => {
      const { status, code } = await send(source.path, headers, sent)
      return [status, code]
    }
    expect(await refused(senders.stripe('some-other-secret', body))).toEqual([401, 'SIGNATURE_INVALID'])
    expect(await refused(senders.stripe(SECRET, body), `${body} `)).toEqual([401, 'SIGNATURE_INVALID'])
    expect(await refused({ 'content-type': 'application/json' })).toEqual([401, 'SIGNATURE_INVALID'])
    expect(await refused(senders.stripe(SECRET, body, senders.nowSeconds() - 400))).toEqual([401, 'TIMESTAMP_REFUSED'])
    expect(await refused(senders.stripe(SECRET, body, senders.nowSeconds() + 400))).toEqual([401, 'TIMESTAMP_REFUSED'])
    expect(await eventsOf(source)).toEqual([])
  })

  test('IB4: the body of a request that nobody signed is not read, and one that was signed and is no JSON is told so', async () => {
    const source = await createSource('github')
    const garbage = Buffer.from([0xff, 0xfe, 0x00]).toString('latin1')
    expect((await send(source.path, senders.github('some-other-secret', garbage), garbage)).code).toBe(
      'SIGNATURE_INVALID',
    )
    expect((await send(source.path, senders.github(SECRET, '{"a":'), '{"a":')).code).toBe('BAD_REQUEST')
    const form = 'payload=%7B'
    const headers = { ...senders.github(SECRET, form), 'content-type': 'application/x-www-form-urlencoded' }
    expect((await send(source.path, headers, form)).code).toBe('BAD_REQUEST')
    const long = `"${'x'.repeat(300_000)}"`
    expect((await send(source.path, senders.github(SECRET, long), long)).code).toBe('PAYLOAD_TOO_LARGE')
    const unknown = '/v1/inbound/019a7c3e-5f0e-7cc1-9d7e-0a4b6f2d1c33'
    expect((await send(unknown, senders.github(SECRET, '{}'), '{}')).code).toBe('NOT_FOUND')
    expect((await send('/v1/inbound/github', senders.github(SECRET, '{}'), '{}')).code).toBe('BAD_REQUEST')
  })

  test('IB4: each source is bounded for itself, and all unknown ones together', async () => {
    await using bounded = await startServer({ perSecond: 1 })
    const [flooded, calm] = [await createSource('github'), await createSource('github')]
    const headers = senders.github(SECRET, '{}')
    const codes: (string | undefined)[] = []
    for (let round = 0; round < 4; round++)
      codes.push((await send(flooded.path, { ...headers, 'x-hub-signature-256': 'x' }, '{}', bounded)).code)
    expect(codes.slice(0, 2)).toEqual(['SIGNATURE_INVALID', 'SIGNATURE_INVALID'])
    expect(codes).toContain('RATE_LIMITED')
    const unknown = (digit: number) => `/v1/inbound/019a7c3e-5f0e-7cc1-9d7e-0a4b6f2d1c3${digit}`
    expect((await send(unknown(0), headers, '{}', bounded)).code).toBe('NOT_FOUND') // the flooded source took a place of its own
    const answers = [await send(unknown(1), headers, '{}', bounded), await send(unknown(2), headers, '{}', bounded)]
    expect(answers.at(-1)?.code).toBe('RATE_LIMITED')
    expect(Number(answers.at(-1)?.answered.get('retry-after'))).toBeGreaterThan(0)
    const { code } = await send(flooded.path, headers, '{}', bounded)
    expect(code).toBe('RATE_LIMITED')
    await until(async () => (await send(calm.path, headers, '{}', bounded)).status === 200)
  })

  test('IB3: with Postgres away there is no success', async () => {
    const source = await createSource('github')
    const body = '{"n":1}'
    expect((await send(source.path, senders.github(SECRET, body, 'push', 'ok'), body)).status).toBe(200)
    await using broken = await startServer({
      publish: () =>
        Promise.reject(Object.assign(new Error('away'), { code: 'LINK_DOWN', details: {}, http: 503, sent: 'no' })),
    })
    const answer = await send(source.path, senders.github(SECRET, body, 'push', 'lost'), body, broken)
    expect(answer.status).toBeGreaterThanOrEqual(500)
    expect((await eventsOf(source)).map(({ id }) => id)).toEqual(['ok'])
  })
})

describe('sources', () => {
  test('IB6: a source is made, read, listed and deleted, its secrets sealed; every change has its line', async () => {
    const source = await createSource('shopify', [SECRET, 'another-secret'], 'shop')
    expect(source).toMatchObject({
      name: 'shop',
      scheme: 'shopify',
      secrets: 2,
      path: `/v1/inbound/${source.source_id}`,
      last_received_at: null,
    })
    const [row] = await mesh.query<{ sealed_secrets: Buffer[] }>(
      'select sealed_secrets from ripstop.inbound_sources where source_id = $1',
      [source.source_id],
    )
    expect(row?.sealed_secrets).toHaveLength(2)
    expect(Buffer.concat(row?.sealed_secrets ?? []).includes(SECRET)).toBe(false)
    await send(source.path, senders.shopify(SECRET, '{}'), '{}')
    const at = `/v1/inbound-sources/${source.source_id}`
    const read = await server.request(at)
    expect(read.text).not.toContain(SECRET)
    expect(read.json.data).toEqual({ ...source, last_received_at: expect.any(String) })
    const listed = await server.request('/v1/inbound-sources?limit=2')
    expect(listed.json.data).toContainEqual(read.json.data)
    expect((await server.request(at, { method: 'DELETE' })).status).toBe(200)
    expect((await server.request(at, { method: 'DELETE' })).json.error?.code).toBe('NOT_FOUND')
    expect((await send(source.path, senders.shopify(SECRET, '{}', 'e-9'), '{}')).code).toBe('NOT_FOUND')
    const audit = (await server.request('/v1/audit?limit=200')).json.data as AuditEntryWire[]
    const lines = audit.filter(({ resource }) => resource === `inbound_source:${source.source_id}`)
    expect(lines.map(({ action }) => action)).toEqual(['inbound_source.delete', 'inbound_source.create'])
    expect(JSON.stringify(audit)).not.toContain(SECRET)
    expect(audit.some(({ actor, action }) => actor === 'inbound:shop' && action === 'event.publish')).toBe(true)
  })

  test('IB5: other secrets hold at once; with both nothing is missed meanwhile', async () => {
    const source = await createSource('github')
    const at = `/v1/inbound-sources/${source.source_id}`
    const patch = (secrets: readonly string[]) => server.request(at, { ...post({ secrets }), method: 'PATCH' })
    let delivery = 0
    const outcomes = async (): Promise<(string | undefined)[]> => {
      const sent = [SECRET, 'the-new-secret'].map((secret) =>
        send(source.path, senders.github(secret, '{}', 'push', `rotation-${++delivery}`), '{}'),
      )
      return (await Promise.all(sent)).map(({ data, code }) => data?.outcome ?? code)
    }
    expect(await outcomes()).toEqual(['published', 'SIGNATURE_INVALID'])
    expect((await patch([SECRET, 'the-new-secret'])).json.data).toMatchObject({ secrets: 2 })
    expect(await outcomes()).toEqual(['published', 'published'])
    expect((await patch(['the-new-secret'])).status).toBe(200)
    expect(await outcomes()).toEqual(['SIGNATURE_INVALID', 'published'])
    expect((await patch(['short'])).json.error?.code).toBe('BAD_REQUEST')
    expect((await patch([])).json.error?.code).toBe('BAD_REQUEST')
  })

  test('names are taken once, secrets fit their scheme, and a repetition under one key makes one source', async () => {
    await createSource('github', [SECRET], 'taken')
    const create = (body: object, headers = {}) => server.request('/v1/inbound-sources', post(body, headers))
    const wish = { name: 'taken', scheme: 'github', secrets: [SECRET] }
    expect((await create(wish)).json.error?.code).toBe('CONFLICT')
    const wrong = await create({ ...wish, name: 'std', scheme: 'standard' })
    expect([wrong.json.error?.code, wrong.text.includes(SECRET)]).toEqual(['BAD_REQUEST', false])
    expect(wrong.json.error?.details?.problems).toEqual([
      { field: 'body.secrets[0]', problem: 'must be whsec_ and base64 of 24 to 64 bytes, or whpk_ and base64 of 32' },
    ])
    for (const name of ['Shop', '1shop', 'a b', '', 'x'.repeat(64)])
      expect((await create({ ...wish, name })).status, name).toBe(400)
    const key = { 'idempotency-key': 'make-it-once' }
    const [first, second] = [await create({ ...wish, name: 'once' }, key), await create({ ...wish, name: 'once' }, key)]
    expect([first.json.data, second.headers.get('idempotency-replayed')]).toEqual([second.json.data, 'true'])
  })

  test('IB6: what another tenant has is not there', async () => {
    const source = await createSource('github')
    const own = principal
    const [other] = await mesh.query<{ tenant_id: string }>(
      `insert into ripstop.tenants (tenant_id, name) values (gen_random_uuid(), 'other') returning tenant_id`,
    )
    principal = { ...own, tenantId: other?.tenant_id ?? '' }
    try {
      const at = `/v1/inbound-sources/${source.source_id}`
      expect((await server.request(at)).json.error?.code).toBe('NOT_FOUND')
      expect((await server.request(at, { method: 'DELETE' })).json.error?.code).toBe('NOT_FOUND')
      expect((await server.request(at, { ...post({ secrets: [SECRET] }), method: 'PATCH' })).json.error?.code).toBe(
        'NOT_FOUND',
      )
      expect((await server.request('/v1/inbound-sources')).json.data).toEqual([])
      const theirs = await createSource('github', [SECRET], source.name) // names are each tenant's own
      await send(theirs.path, senders.github(SECRET, '{}', 'push', 'same'), '{}')
    } finally {
      principal = own
    }
    expect((await send(source.path, senders.github(SECRET, '{}', 'push', 'same'), '{}')).data?.outcome).toBe(
      'published',
    )
    const rows = await mesh.query<{ tenant_id: string }>(
      `select tenant_id from ripstop.events where source = $1 and id = 'same' order by event_id`,
      [`inbound/${source.name}`],
    )
    expect(rows.map(({ tenant_id: tenantId }) => tenantId)).toEqual([other?.tenant_id, DEFAULT_TENANT_ID])
  })
})

async function until(look: () => Promise<boolean>): Promise<void> {
  const endMs = performance.now() + 10_000
  while (!(await look())) {
    if (performance.now() > endMs) throw new Error('waited in vain')
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}
