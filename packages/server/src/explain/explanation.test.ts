import { describe, expect, test } from 'vitest'
import { explainEvent, explainHanded } from './event-explanation.ts'
import { explain } from './explanation.ts'
import { filterValues } from './filter-values.ts'
import { type Attempt, type Delivery, type Endpoint, type Match, type Situation, span } from './situation.ts'

const NOW = Date.UTC(2026, 10, 22, 12)
const MIN = 60_000

const endpoint: Endpoint = {
  endpointId: 'endpoint-1',
  state: 'active',
  stateReason: undefined,
  stateActor: undefined,
  stateWallMs: NOW - 600 * MIN,
  createdWallMs: NOW - 600 * MIN,
  deletedWallMs: undefined,
  ratePerSecond: undefined,
  isOrdered: false,
  backlogMax: 1_000,
  probeWallMs: undefined,
}
const event = {
  eventId: 'event-1',
  type: 'order.paid',
  publishedWallMs: NOW - 60 * MIN,
  name: { source: 'shop', id: 'order-7' },
}
const attemptOf = (over: Partial<Attempt> = {}): Attempt => ({
  attemptId: 'attempt-1',
  wallMs: NOW - 10 * MIN,
  attempt: 1,
  outcome: 'failed',
  status: null,
  code: null,
  reason: null,
  durationMs: 12,
  receipt: null,
  mayRepeat: false,
  ...over,
})
const waiting: Delivery = {
  deliveryId: '42',
  state: 'waiting',
  attemptsMade: 1,
  dueWallMs: NOW + 30 * MIN,
  isUnowned: false,
  dead: undefined,
  replayId: null,
}
const deadOf = (reason: NonNullable<Delivery['dead']>['reason']): Delivery => ({
  ...waiting,
  state: 'dead',
  attemptsMade: 8,
  dueWallMs: null,
  dead: { reason, status: 500, wallMs: NOW - 5 * MIN },
})
const base: Situation = {
  nowWallMs: NOW,
  endpoint,
  event,
  match: { is: 'match' },
  values: {},
  delivery: undefined,
  attempts: [],
  recent: [],
  undone: 0,
}
const retry = (over: Partial<Attempt>): Partial<Situation> => ({ delivery: waiting, attempts: [attemptOf(over)] })
const dueNow = { ...waiting, attemptsMade: 0, dueWallMs: NOW - 2 * MIN }
const delivered = (over: Partial<Attempt>): Partial<Situation> => ({
  delivery: { ...waiting, state: 'delivered', dueWallMs: null },
  attempts: [attemptOf({ outcome: 'delivered', status: 204, ...over })],
})
const paused: Endpoint = {
  ...endpoint,
  state: 'paused',
  stateActor: 'key:7',
  stateReason: 'maintenance',
  stateWallMs: NOW - 90 * MIN,
}
const noDelivery = (match: Match): Partial<Situation> => ({ match })

const CASES: readonly (readonly [cause: string, situation: Partial<Situation>, says: readonly (string | RegExp)[]])[] =
  [
    [
      'delivered',
      delivered({}),
      ['2026-11-22T11:50:00Z', 'first attempt', 'answered 204 in 12 ms', 'no signed receipt'],
    ],
    ['delivered', delivered({ attempt: 3, receipt: 'applied' }), ['at attempt 3', 'it was applied']],
    ['delivered', delivered({ receipt: 'duplicate' }), ['had been applied before']],
    ['delivered', { delivery: { ...waiting, state: 'delivered' } }, ['older than the retention']],
    [
      'discarded',
      {
        delivery: { ...waiting, state: 'discarded' },
        attempts: [attemptOf({ attempt: 0, code: 'CANCELLED', reason: 'discarded by key:7' })],
      },
      ['discarded by key:7', 'replay'],
    ],
    [
      'dead_exhausted',
      { delivery: deadOf('exhausted'), attempts: [attemptOf({ status: 503 })] },
      ['all 8 attempts', 'answered 503', '/v1/dead-letters/42/redrive'],
    ],
    ['dead_refused', { delivery: deadOf('refused') }, ['would not mend', 'redrive']],
    ['dead_unknown', { delivery: deadOf('unknown') }, ['may have arrived', 'redrive']],
    [
      'dead_endpoint_deleted',
      { delivery: deadOf('deleted'), endpoint: { ...endpoint, deletedWallMs: NOW - 6 * MIN } },
      ['deleted at 2026-11-22T11:54:00Z'],
    ],
    ['dead_overflow', { delivery: deadOf('overflow') }, ['1000', 'redrive']],
    ['dead_expired', { delivery: deadOf('expired') }, ['waited longer', 'redrive']],
    [
      'endpoint_paused',
      { delivery: waiting, endpoint: paused },
      ['paused since 2026-11-22T10:30:00Z by key:7 because: maintenance', '/v1/endpoints/endpoint-1/resume'],
    ],
    [
      'endpoint_gone',
      {
        delivery: waiting,
        endpoint: { ...paused, state: 'gone', stateReason: 'it answered 410', probeWallMs: NOW + 5 * MIN },
      },
      ['gone since', 'it answered 410', 'by itself at 2026-11-22T12:05:00Z'],
    ],
    [
      'endpoint_deleted',
      { delivery: waiting, endpoint: { ...endpoint, deletedWallMs: NOW - MIN } },
      ['becomes a dead letter'],
    ],
    [
      'retry_after_failed',
      retry({ status: 503, code: 'PEER_FAILED', reason: 'it answered 503' }),
      ['it answered 503', 'next attempt is at 2026-11-22T12:30:00Z, 30 min from now'],
    ],
    ['retry_after_refused', retry({ status: 404 }), ['it answered 404']],
    ['retry_after_refused', retry({ status: 410 }), ['wants no more']],
    ['retry_after_redirect', retry({ status: 301 }), ['redirects are not followed']],
    [
      'retry_after_dns',
      retry({ code: 'LINK_DOWN', reason: 'no connection: ENOTFOUND' }),
      ['name could not be resolved', 'ENOTFOUND'],
    ],
    [
      'retry_after_tls',
      retry({ code: 'LINK_DOWN', reason: 'no connection: CERT_HAS_EXPIRED' }),
      ['TLS certificate', 'CERT_HAS_EXPIRED'],
    ],
    ['retry_after_connect', retry({ code: 'LINK_DOWN', reason: 'no connection: ECONNREFUSED' }), ['nothing listens']],
    [
      'retry_after_address',
      retry({ code: 'EGRESS_REFUSED', reason: '10.0.0.1 is no public address' }),
      ['not allowed', '10.0.0.1'],
    ],
    ['retry_after_timeout', retry({ code: 'DEADLINE_EXCEEDED', outcome: 'unknown' }), ['no answer came in time']],
    [
      'retry_after_lost',
      retry({ code: 'LINK_LOST', outcome: 'unknown', reason: 'the connection broke' }),
      ['broke before an answer'],
    ],
    ['retry_after_unsigned', retry({ code: 'SEAL_BROKEN' }), ['nothing is sent unsigned']],
    ['retry_after_other', retry({ code: 'INTERNAL' }), ['INTERNAL']],
    ['scheduled', { delivery: { ...waiting, attemptsMade: 0 } }, ['not tried yet']],
    ['no_worker', { delivery: { ...dueNow, isUnowned: true } }, ['no process owns its shard', 'role work']],
    [
      'breaker_open',
      {
        delivery: dueNow,
        recent: Array.from({ length: 10 }, (_, index) =>
          attemptOf({ wallMs: NOW - 5_000, outcome: index < 6 ? 'failed' : 'delivered' }),
        ),
      },
      ['6 of the last 10', 'breaker'],
    ],
    [
      'rate_limited',
      { delivery: dueNow, endpoint: { ...endpoint, ratePerSecond: 5 }, undone: 600 },
      ['takes 5 a second', '600 are undone', '2 min of work'],
    ],
    ['in_order', { delivery: dueNow, endpoint: { ...endpoint, isOrdered: true }, undone: 3 }, ['order by key']],
    ['in_queue', { delivery: dueNow, undone: 3 }, ['one of 3 undone']],
    ['in_queue', { delivery: dueNow, undone: 1 }, ['in a moment']],
    ['event_expired', { event: undefined, match: undefined }, ['older than the retention']],
    [
      'before_endpoint',
      { event: { ...event, publishedWallMs: NOW - 700 * MIN } },
      ['2026-11-22T00:20:00Z', 'created later', '/v1/replays'],
    ],
    ['endpoint_deleted', { endpoint: { ...endpoint, deletedWallMs: NOW - 90 * MIN } }, ['had been deleted']],
    [
      'type_not_subscribed',
      noDelivery({ is: 'other type', eventTypes: ['user.*', 'invoice.paid'] }),
      ['order.paid', 'user.*, invoice.paid', 'settings now'],
    ],
    [
      'filter_no_match',
      { match: { is: 'filtered', filter: 'event.data.amount > 100' }, values: { 'event.data.amount': '99' } },
      ['event.data.amount > 100', 'event.data.amount is 99'],
    ],
    [
      'filter_failed',
      {
        match: { is: 'filter failed', filter: 'event.data.x > 1', error: 'no such key' },
        values: { 'event.data.x': 'not there' },
      },
      ['no such key', 'event.data.x is not there'],
    ],
    ['not_for_endpoint', noDelivery({ is: 'not for it' }), ['not told about itself']],
    ['settings_changed', noDelivery({ is: 'match' }), ['they were others then', 'audit log']],
  ]

describe('why', () => {
  test.each(CASES)('WY1: %s', (cause, over, says) => {
    const { cause: told, explanation } = explain({ ...base, ...over })
    expect(told).toBe(cause)
    for (const part of says)
      expect(explanation).toMatch(
        typeof part === 'string' ? new RegExp(part.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')) : part,
      )
    expect(explanation).not.toMatch(/undefined|null|NaN|\s{2}/)
    expect(explanation).toMatch(/^[A-Z].*\.$/)
  })

  test('WY2: times, ids and values that the paragraph names are among the facts, in the order of time', () => {
    for (const [, over] of CASES) {
      const situation = { ...base, ...over }
      const { facts } = explain(situation)
      const text = JSON.stringify(facts)
      expect(text).not.toMatch(/undefined|NaN/)
      expect(text).toContain(endpoint.endpointId)
      for (const { attemptId } of situation.attempts) expect(text).toContain(attemptId)
      for (const [path, value] of Object.entries(situation.values)) expect(text).toContain(`"${path}":"${value}"`)
      if (situation.event !== undefined) expect(text).toContain(situation.event.eventId)
      if (situation.delivery !== undefined) expect(text).toContain(`"delivery_id":"42"`)
      const times = facts.flatMap(({ wallMs }) => (wallMs === undefined ? [] : [wallMs]))
      expect(times).toEqual([...times].sort((one, two) => one - two))
    }
  })

  test('WY2: a name that the publisher gave, and an attempt that another process may have made, are told', () => {
    const { facts } = explain({ ...base, ...delivered({ mayRepeat: true }) })
    expect(facts.map(({ what }) => what).join('\n')).toMatch(/named it order-7.*repetition/)
    expect(facts.map(({ what }) => what).join('\n')).toMatch(/another process may have sent it before/)
    expect(facts.find(({ what }) => what.includes('order-7'))?.evidence).toMatchObject({
      source: 'shop',
      id: 'order-7',
    })
  })

  test('WY1: an event as a whole is told by the worst of its deliveries', () => {
    const of = (...states: ('waiting' | 'parked' | 'delivered' | 'dead' | 'discarded')[]) =>
      explainEvent({
        ...event,
        deliveries: states.map((state, index) => ({
          deliveryId: String(index),
          endpointId: 'e',
          state,
          replayId: null,
        })),
      })
    expect(
      [
        of(),
        of('delivered'),
        of('delivered', 'waiting'),
        of('waiting', 'parked'),
        of('delivered', 'dead', 'waiting'),
      ].map(({ cause }) => cause),
    ).toEqual(['nobody_wanted_it', 'delivered', 'waiting', 'parked', 'dead'])
    expect(of('delivered', 'delivered', 'dead').explanation).toContain('3 deliveries: 2 delivered, 1 dead')
    expect(of('delivered').facts).toHaveLength(3)
  })

  test('WY1: what was handed to the outbox waits there, or was rejected by its schema', () => {
    expect(explainHanded({ is: 'waiting', outboxId: '7', createdWallMs: NOW - 5 * MIN }, NOW)).toMatchObject({
      cause: 'in_outbox',
      explanation: expect.stringContaining('since 2026-11-22T11:55:00Z (5 min)'),
    })
    const rejected = explainHanded(
      {
        is: 'rejected',
        outboxId: '7',
        createdWallMs: NOW - 5 * MIN,
        rejectedWallMs: NOW - 4 * MIN,
        code: 'EVENT_INVALID',
        problems: [{ field: '/data/amount', problem: 'must be number' }],
      },
      NOW,
    )
    expect(rejected).toMatchObject({
      cause: 'rejected_event_invalid',
      explanation: expect.stringMatching(/\/data\/amount must be number.*\/v1\/rejected-events\/7\/redrive/),
    })
    expect(rejected.facts.at(-1)).toMatchObject({
      what: '/data/amount must be number',
      evidence: { field: '/data/amount' },
    })
  })
})

test('what a filter looked at is read from the event, not from the functions', () => {
  const event = { data: { amount: 99, name: 'x'.repeat(100), tags: ['a'] } }
  expect(
    filterValues(
      'event.data.amount > 100 && event.data.name.startsWith("a") || event.data.other.thing == 1 || "a" in event.data.tags',
      event,
    ),
  ).toEqual({
    'event.data.amount': '99',
    'event.data.name': `"${'x'.repeat(79)}…`,
    'event.data.other.thing': 'not there',
    'event.data.tags': '["a"]',
  })
})

test('spans are told in the unit that fits', () => {
  expect([0, 1_500, 90_000, 300_000, 7_200_000, 400_000_000].map(span)).toEqual([
    '0 s',
    '2 s',
    '90 s',
    '5 min',
    '2 h',
    '5 d',
  ])
})
