import type { CreatedEndpointWire, EndpointWire, InboundSourceWire } from '@ripstop/protocol'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type FakeMesh, type RunOptions, runCommand, startFakeMesh } from './fake-mesh.fixture.ts'
import { inbound } from './inbound.ts'
import { webhooks } from './webhooks.ts'

let mesh: FakeMesh
beforeEach(async () => {
  mesh = await startFakeMesh()
})
afterEach(() => mesh[Symbol.asyncDispose]())

const run = (argv: readonly string[], options?: RunOptions) => runCommand(webhooks, mesh.url, argv, options)

const ENDPOINT: EndpointWire = {
  endpoint_id: 'ep-1',
  url: 'https://shop.example/hooks',
  description: 'Shop',
  owner: null,
  event_types: ['order.*'],
  filter: null,
  ordering: 'key',
  lanes: 8,
  concurrency: 16,
  rate_per_second: 50,
  deadline_ms: 15_000,
  retry_schedule_ms: [5_000, 300_000],
  backlog_max: 100_000,
  rotates_itself: null,
  header_names: ['x-team'],
  state: 'paused',
  state_reason: 'too loud',
  state_actor: 'key:1',
  state_at: '2026-11-21T12:00:00.000Z',
  next_probe_at: null,
  is_probing: false,
  is_hook: false,
  backlog_full: true,
  health: {
    last_attempt_at: null,
    last_success_at: null,
    failing_since: '2026-11-21T11:00:00.000Z',
    missing_in_a_row: 0,
  },
  filter_errors: { count: 2, last: 'no such field' },
  created_at: '2026-11-21T12:00:00.000Z',
}
const CREATED: CreatedEndpointWire = { ...ENDPOINT, secret: 'whsec_c2VjcmV0' }

describe('endpoints', () => {
  test('one is made with all its settings; its secret is shown once with the note beside it', async () => {
    mesh.on('POST /v1/endpoints', { status: 201, body: { data: CREATED } })
    const argv = [
      'endpoints',
      'create',
      ENDPOINT.url,
      '--type',
      'order.*',
      '--type',
      'refund.paid',
      '--ordering',
      'key',
    ]
    const more = [
      '--lanes',
      '8',
      '--rate',
      '0.5',
      '--deadline',
      '10s',
      '--retry',
      '5s, 5m,1h',
      '--header',
      'X-Team: a:b',
    ]
    const { code, out, error } = await run([...argv, ...more, '--filter', 'event.data.a > 1', '--secret-file', '-'], {
      input: 'whsec_c2VjcmV0\n',
    })
    expect([code, out]).toEqual([0, 'endpoint ep-1\nsecret   whsec_c2VjcmV0\n'])
    expect(error).toBe('Keep the secret now: it is shown this once.\n')
    expect(mesh.seen[0]?.body).toEqual({
      url: ENDPOINT.url,
      event_types: ['order.*', 'refund.paid'],
      filter: 'event.data.a > 1',
      ordering: 'key',
      lanes: 8,
      rate_per_second: 0.5,
      deadline_ms: 10_000,
      retry_schedule_ms: [5_000, 300_000, 3_600_000],
      headers: { 'X-Team': 'a:b' },
      secret: 'whsec_c2VjcmV0',
    })
  })

  test('a creation that is replayed has no secret to show, and says how to get one', async () => {
    mesh.on('POST /v1/endpoints', { status: 201, body: { data: { ...CREATED, secret: null } } })
    const { code, error } = await run(['endpoints', 'create', ENDPOINT.url, '--type', '*', '--json'])
    expect(code).toBe(0)
    expect(error).toContain('Make a new one: ripstop webhooks secrets rotate ep-1')
  })

  test('an update names what changes, and none takes it away', async () => {
    mesh.on('PATCH /v1/endpoints/ep-1', { body: { data: ENDPOINT } })
    const argv = ['endpoints', 'update', 'ep-1', '--filter', 'none', '--rate', 'none', '--description', 'New']
    const { code, out } = await run(argv)
    expect(code).toBe(0)
    expect(mesh.seen[0]?.body).toEqual({ filter: null, rate_per_second: null, description: 'New' })
    for (const line of [
      'state          paused since 2026-11-21 12:00:00Z by key:1: too loud',
      'ordering       by key, 8 lanes',
    ])
      expect(out).toContain(line)
    expect(out).toMatch(/backlog +FULL, at most 100000[\s\S]*headers +x-team/)
    expect(out).toMatch(/filter errors +2, the last: no such field/)
  })

  test('they are listed with how they are, paused, resumed, tested and deleted', async () => {
    const failing = { ...ENDPOINT, state: 'active' }
    mesh.on('GET /v1/endpoints', { body: { data: [failing], next_cursor: null } })
    expect((await run(['endpoints', 'list', '--state', 'active'])).out).toMatch(
      /ep-1 +failing for \d+ [hd], full +never +order\.\*/,
    )
    mesh.on('POST /v1/endpoints/ep-1/pause', { body: { data: ENDPOINT } })
    expect((await run(['endpoints', 'pause', 'ep-1', '--reason', 'too loud'])).out).toContain(
      'what is meant for it waits',
    )
    mesh.on('POST /v1/endpoints/ep-1/resume', { body: { data: failing } })
    expect((await run(['endpoints', 'resume', 'ep-1'])).out).toContain('what waited is sent')
    mesh.on('POST /v1/endpoints/ep-1/test', { status: 202, body: { data: { event_id: 'e-1' } } })
    expect((await run(['endpoints', 'test', 'ep-1'])).out).toContain('ripstop webhooks deliveries list --event e-1')
    mesh.on('DELETE /v1/endpoints/ep-1', { body: { data: ENDPOINT } })
    expect((await run(['endpoints', 'delete', 'ep-1'])).out).toContain('becomes dead letters')
    const done = mesh.seen.map(({ method, url, body }) => [method, url.pathname + url.search, body])
    expect(done).toEqual([
      ['GET', '/v1/endpoints?state=active&limit=50', undefined],
      ['POST', '/v1/endpoints/ep-1/pause', { reason: 'too loud' }],
      ['POST', '/v1/endpoints/ep-1/resume', undefined],
      ['POST', '/v1/endpoints/ep-1/test', undefined],
      ['DELETE', '/v1/endpoints/ep-1', undefined],
    ])
  })

  test.each([
    [['endpoints', 'create', 'https://a'], 'which events?'],
    [['endpoints', 'create', '--type', '*'], 'URL is missing'],
    [['endpoints', 'create', 'https://a', '--type', '*', '--ordering', 'strict'], '--ordering takes key'],
    [['endpoints', 'create', 'https://a', '--type', '*', '--rate', '0'], '--rate takes deliveries a second'],
    [['endpoints', 'create', 'https://a', '--type', '*', '--deadline', '15'], '--deadline takes a duration'],
    [['endpoints', 'create', 'https://a', '--type', '*', '--header', 'x'], '--header takes "Name: value"'],
    [['endpoints', 'create', 'https://a', '--type', '*', '--algorithm', 'v2'], '--algorithm takes v1 or v1a'],
    [['endpoints', 'update', 'ep-1'], 'nothing to change'],
    [['endpoints', 'list', '--state', 'ill'], '--state takes one of active, paused, gone'],
    [['secrets', 'rotate', 'ep-1', '--overlap', '1'], '--overlap takes a duration'],
    [['secrets', 'reveal', 'ep-1'], 'SECRET is missing'],
  ])('%j asks for nothing and says what to write instead', async (argv, told) => {
    const { code, out, error } = await run(argv)
    expect([code, out, mesh.seen.length]).toEqual([2, '', 0])
    expect(error).toContain(told)
  })

  test('--help of a verb with settings tells them all', async () => {
    const { code, out } = await run(['endpoints', 'create', '--help'])
    expect(code).toBe(0)
    for (const name of ['--filter', '--ordering', '--retry', '--header', '--backlog-max']) expect(out).toContain(name)
  })
})

describe('secrets and orphans', () => {
  const secret = {
    ...{ secret_id: 's-1', endpoint_id: 'ep-1', algorithm: 'v1a', public_key: 'whpk_a', is_present: true },
    ...{
      signs_until: null,
      is_unread: false,
      created_at: '2026-01-01T00:00:00.000Z',
      too_old_at: '2026-04-01T00:00:00.000Z',
    },
  }

  test('a rotation shows the new secret once; the output is the secret alone', async () => {
    mesh.on('POST /v1/endpoints/ep-1/secrets', {
      status: 201,
      body: { data: { secret_id: 's-2', secret: 'whsec_bmV3' } },
    })
    const { out, error } = await run(['secrets', 'rotate', 'ep-1', '--overlap', '24h'])
    expect([out, error]).toEqual(['whsec_bmV3\n', 'Keep the secret now: it is shown this once.\n'])
    expect(mesh.seen[0]?.body).toEqual({ overlap_ms: 86_400_000 })
  })

  test('ages are listed, and stale ones with what to do', async () => {
    mesh.on('GET /v1/endpoints/ep-1/secrets', { body: { data: [secret], next_cursor: null } })
    expect((await run(['secrets', 'list', 'ep-1'])).out).toMatch(
      /s-1 +v1a +present +\d+ d ago +too old 2026-04-01 .* whpk_a/,
    )
    const stale = { ...secret, url: 'https://a', is_too_old: true, rotates_itself: false, what_to_do: 'Rotate it.' }
    mesh.on('GET /v1/webhooks/secrets/stale', { body: { data: [stale], next_cursor: null } })
    expect((await run(['secrets', 'stale'])).out).toBe(
      'ep-1  https://a\n  v1a, TOO OLD since 2026-04-01 00:00:00Z. Rotate it.\n',
    )
  })

  test('orphans are told with every reason, what to do, and when they go by themselves', async () => {
    const orphan = {
      ...{
        endpoint_id: 'ep-1',
        url: 'https://a',
        owner: null,
        what_to_do: 'Delete it.',
        deleted_at: secret.too_old_at,
      },
      reasons: [{ reason: 'no_success', explanation: 'No success in 14 days.', since: null }],
    }
    mesh.on('GET /v1/webhooks/orphans', { body: { data: [orphan], next_cursor: null } })
    expect((await run(['orphans', '--days', '7'])).out).toBe(
      'ep-1  https://a\n  no_success: No success in 14 days.\n  Delete it. It is deleted by itself 2026-04-01 00:00:00Z.\n',
    )
    expect(mesh.seen[0]?.url.search).toBe('?days=7&limit=50')
  })
})

describe('inbound sources', () => {
  const runInbound = (argv: readonly string[], options?: RunOptions) => runCommand(inbound, mesh.url, argv, options)
  const id = '019a7c3e-5f0e-7cc1-9d7e-0a4b6f2d1c33'
  const source: InboundSourceWire = {
    source_id: id,
    tenant_id: 'tenant-1',
    name: 'billing',
    scheme: 'stripe',
    path: `/v1/inbound/${id}`,
    secrets: 1,
    created_at: ENDPOINT.created_at,
    last_received_at: null,
  }

  test('one is made with a secret that no list of processes shows, listed by name, given new secrets and deleted', async () => {
    mesh.on('POST /v1/inbound-sources', { status: 201, body: { data: source } })
    mesh.on('GET /v1/inbound-sources', { body: { data: [source], next_cursor: null } })
    mesh.on(`PATCH /v1/inbound-sources/${id}`, { body: { data: { ...source, secrets: 2 } } })
    mesh.on(`DELETE /v1/inbound-sources/${id}`, { body: { data: source } })
    const argv = ['create', 'billing', '--scheme', 'stripe', '--secret-file', '-']
    const made = await runInbound(argv, { input: 'whsec_x\n' })
    expect([made.code, made.out]).toEqual([
      0,
      `source billing sends to POST /v1/inbound/${id}; its events are of the types billing.*\n`,
    ])
    expect(mesh.seen[0]?.body).toEqual({ name: 'billing', scheme: 'stripe', secrets: ['whsec_x'] })
    expect((await runInbound(['list'])).out).toMatch(/billing +stripe +never +\/v1\/inbound\/019a/)
    const changed = await runInbound(['secrets', 'billing', '--secret-file', '-'], { input: 'whsec_y\nwhsec_x\n' })
    expect(changed.out).toBe('source billing is checked with 2 secrets\n')
    expect(mesh.seen.at(-1)?.body).toEqual({ secrets: ['whsec_y', 'whsec_x'] })
    expect((await runInbound(['delete', 'billing'])).code).toBe(0)
    expect((await runInbound(['delete', id])).code).toBe(0)
  })

  test.each([
    [['create', 'billing', '--scheme', 'paypal'], '--scheme takes one of standard, stripe'],
    [['create', 'billing', '--scheme', 'stripe'], '--secret-file FILE is missing'],
    [['create', 'billing', '--scheme', 'stripe', '--secret-file', '-'], '- holds no secret'],
  ])('%j asks for nothing and says what to write instead', async (argv, told) => {
    const { code, error } = await runInbound(argv)
    expect([code, error]).toEqual([2, expect.stringContaining(told)])
    expect(mesh.seen).toEqual([])
  })

  test('a name that nobody has is not found', async () => {
    mesh.on('GET /v1/inbound-sources', { body: { data: [source], next_cursor: null } })
    await expect(runInbound(['delete', 'unknown'])).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })
})
