// A small world behind the page: endpoints in every state, deliveries that can be made to happen, dead letters.

import { RipstopError } from '@ripstop/kernel'
import { z } from 'zod'
import { type Route, route } from '#platform/http'
import type { SendEvent } from '../platform/http/event-stream.ts'

type Row = Readonly<Record<string, unknown>>

const anything = z.any()
const NOW_MS = Date.now()
const ago = (ms: number): string => new Date(NOW_MS - ms).toISOString()
const id = (n: number): string => `019a7c3e-5f0e-7cc1-9d7e-${n.toString(16).padStart(12, '0')}`

function endpoint(n: number, url: string, more: Row, health: Row = {}): Row {
  return {
    ...{ endpoint_id: id(n), url, description: '', owner: null, event_types: ['*'], filter: null },
    ...{ state: 'active', state_reason: null, state_actor: null, state_at: ago(86_400_000) },
    ...{ ordering: 'none', rate_per_second: null, backlog_full: false, is_hook: false },
    filter_errors: { count: 0, last: null },
    health: { last_attempt_at: ago(4_000), last_success_at: ago(4_000), failing_since: null, ...health },
    ...more,
  }
}

function createEndpoints(): Row[] {
  return [
    endpoint(1, 'https://hooks.warehouse.example/ripstop/orders', {
      ...{ description: 'Warehouse', owner: 'logistics', ordering: 'key' },
      event_types: ['order.paid', 'order.cancelled'],
    }),
    endpoint(
      2,
      'https://crm.example/api/v2/webhooks/inbound/ripstop',
      { description: 'CRM', event_types: ['customer.*'], filter: 'event.data.country == "NO"' },
      { failing_since: ago(1_440_000), last_success_at: ago(1_500_000) },
    ),
    endpoint(
      3,
      'https://old-partner.example/notify',
      {
        ...{ description: 'Old partner', state: 'gone', state_actor: 'health', backlog_full: true },
        state_reason: 'It answered 410 Gone: whoever lived there has asked for no more. What is meant for it waits.',
      },
      { last_success_at: ago(600_000_000), failing_since: ago(500_000_000) },
    ),
    endpoint(4, 'https://bi.example/ingest', {
      ...{ description: 'Reporting', state: 'paused', rate_per_second: 50 },
      state_reason: 'paused by key:ops: the nightly load is being repeated',
      event_types: ['order.*', 'customer.*', 'refund.*', 'stock.*', 'price.*', 'offer.*'],
    }),
    endpoint(
      5,
      'https://hooks.zapier.example/hooks/catch/1234/abcdef/',
      { is_hook: true, owner: 'key:019a7c3e', event_types: ['order.paid'] },
      { last_attempt_at: null, last_success_at: null },
    ),
  ]
}

export function attempt(n: number, more: Row = {}): Row {
  return {
    attempt_id: id(0x1000 + n),
    delivery_id: String(48_000 + n),
    event_id: id(0x5000 + n),
    endpoint_id: id(1),
    attempt: 1,
    at: ago(n * 1_700),
    outcome: 'delivered',
    status: 204,
    code: null,
    reason: null,
    duration_ms: 23 + ((n * 7) % 40),
    response: null,
    receipt: n % 3 === 0 && more.outcome === undefined ? 'applied' : null,
    may_repeat: false,
    replay_id: null,
    due_at: null,
    ...more,
  }
}

const FAILED = {
  endpoint_id: id(2),
  outcome: 'failed',
  status: 503,
  code: 'PEER_FAILED',
  reason: 'it answered 503',
  attempt: 3,
  response: '{"error":"maintenance"}\n<script>document.title = "broken in"</script>',
}
const UNKNOWN = {
  endpoint_id: id(2),
  outcome: 'unknown',
  status: null,
  code: 'DEADLINE_EXCEEDED',
  reason: 'no answer within 15 s',
  duration_ms: 15_003,
}

const EXPLANATION =
  'Event order.paid of 12:03:11 has not reached CRM yet: the endpoint answered 503 three times in 24 min (last: "maintenance"), so it is tried again at 12:33:11, by the schedule of the endpoint. Nothing is lost; 4 attempts remain over 3 days.'

type Params = Readonly<Record<string, string>>

function get(path: string, give: (params: Params, query: Params) => unknown): Route {
  return route({
    ...{ method: 'GET', path, summary: 'test', scopes: ['webhooks:read'] },
    ...{ params: anything, query: anything, response: anything },
    handle: ({ params, query }) => ({ body: give(params, query) }),
  })
}

function post(path: string, act: (params: Params) => unknown): Route {
  return route({
    ...{ method: 'POST', path, summary: 'test', scopes: ['webhooks:write'] },
    ...{ params: anything, body: anything, response: anything },
    handle: ({ params, idempotency }) => {
      if (idempotency === undefined) throw new RipstopError('BAD_REQUEST', 'no Idempotency-Key')
      return { body: { data: act(params) } }
    },
  })
}

/** A world, its routes, and its levers. */
export interface World {
  readonly done: string[]
  readonly routes: readonly Route[]
  readonly happen: (row: Row) => void
  readonly streams: () => number
}

export function createWorld(): World {
  const endpoints = createEndpoints()
  const done: string[] = []
  const senders = new Set<SendEvent>()
  return {
    done,
    happen: (row) => {
      for (const send of senders) send({ id: String(row.attempt_id), event: 'attempt', data: row })
    },
    streams: () => senders.size,
    routes: [
      ...createEndpointRoutes(endpoints, done),
      ...createDeliveryRoutes(),
      ...createDeadLetterRoutes(done),
      route({
        ...{ method: 'GET', path: '/v1/deliveries/stream', summary: 'test', scopes: ['webhooks:read'] },
        response: 'text/event-stream',
        handle: () => ({
          body: (send) => {
            senders.add(send)
            send({ id: '0', event: 'hello', data: {} })
            return () => senders.delete(send)
          },
        }),
      }),
    ],
  }
}

function createEndpointRoutes(endpoints: Row[], done: string[]): readonly Route[] {
  const setState = (state: string) => (params: Params) => {
    done.push(`${state} ${params.endpoint_id}`)
    const place = endpoints.findIndex(({ endpoint_id: known }) => known === params.endpoint_id)
    endpoints[place] = { ...endpoints[place], state, state_reason: state === 'active' ? null : 'paused by a test' }
    return endpoints[place]
  }
  return [
    get('/v1/endpoints', () => ({ data: endpoints, next_cursor: null })),
    post('/v1/endpoints/{endpoint_id}/pause', setState('paused')),
    post('/v1/endpoints/{endpoint_id}/resume', setState('active')),
  ]
}

function createDeliveryRoutes(): readonly Route[] {
  const attempts = Array.from({ length: 24 }, (_, n) => attempt(n, n % 5 === 1 ? FAILED : n % 11 === 3 ? UNKNOWN : {}))
  const types = ['order.paid', 'customer.changed', 'order.cancelled']
  return [
    get('/v1/events/{event_id}', ({ event_id: of = '' }) => ({
      data: { type: types[Number.parseInt(of.slice(-2), 16) % 3] },
    })),
    get('/v1/deliveries', (_params, { endpoint_id: to, outcome }) => {
      if (outcome !== 'waiting')
        return { data: attempts.filter((one) => to === undefined || one.endpoint_id === to), next_cursor: null }
      if (to === id(3)) return { data: Array(200), next_cursor: 'more' }
      return { data: Array(to === id(4) ? 31 : 0), next_cursor: null }
    }),
    get('/v1/deliveries/{delivery_id}', ({ delivery_id: of = '' }) => ({
      data: {
        ...{ delivery_id: of, event_id: id(0x5001), endpoint_id: id(2), attempts_made: 3, due_at: ago(-540_000) },
        ...{ state: of.startsWith('47') ? 'dead' : 'waiting', dead: null, replay_id: null, last_attempt: null },
        attempts: [
          attempt(1, { ...FAILED, due_at: ago(-540_000) }),
          attempt(500, { ...UNKNOWN, attempt: 2 }),
          attempt(800, { ...FAILED, attempt: 1, response: null }),
        ],
      },
    })),
    get('/v1/deliveries/{delivery_id}/why', () => ({
      data: {
        cause: 'failed_and_waits',
        explanation: EXPLANATION,
        facts: [
          { at: ago(1_440_000), what: 'The first attempt failed.', evidence: { status: '503', attempt: '1' } },
          { at: null, what: 'The endpoint is active.', evidence: { endpoint_id: id(2) } },
        ],
      },
    })),
  ]
}

function createDeadLetterRoutes(done: string[]): readonly Route[] {
  let dead: readonly Row[] = [7, 8, 9].map((n) => ({
    ...{ delivery_id: String(47_000 + n), event_id: id(0x4000 + n), endpoint_id: id(3), reason: 'exhausted' },
    ...{ code: 'PEER_FAILED', status: 500, attempts_made: 8, dead_at: ago(n * 3_600_000), replay_id: null },
  }))
  const redrive = ({ delivery_id: of }: Params): Row => {
    done.push(`redrive ${of ?? 'all'}`)
    dead = dead.filter(({ delivery_id: known }) => of !== undefined && known !== of)
    return { delivery_id: of, state: 'waiting', replay_id: id(99), done: 3 }
  }
  return [
    get('/v1/dead-letters', () => ({ data: dead, next_cursor: null })),
    get('/v1/replays/{replay_id}', () => ({ data: { replay_id: id(99), state: 'done', done: 3 } })),
    post('/v1/dead-letters/redrive', (params) => ({ ...redrive(params), state: 'running', done: 1 })),
    post('/v1/dead-letters/{delivery_id}/redrive', redrive),
  ]
}
