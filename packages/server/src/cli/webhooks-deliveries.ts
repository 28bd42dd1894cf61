// Deliveries in the terminal: what was tried, what waits, and why one did not arrive.

import type { DeliveryAttemptWire, DeliveryDetailWire, WhyWire } from '@ripstop/protocol'
import { formatAge, formatTime, parseMoment, parseNumber } from './moments.ts'
import { formatTable, toPlain } from './terminal.ts'
import { verb, WrongUse } from './verbs.ts'

const OUTCOMES = ['waiting', 'delivered', 'failed', 'unknown', 'parked']

export const deliveryVerbs = [
  verb({
    usage: 'deliveries list [--endpoint ID] [--event ID] [--outcome failed] [--since 2h] [--limit 50]',
    summary: `attempts, newest first; --outcome ${OUTCOMES.join('|')}`,
    options: {
      endpoint: { type: 'string' },
      event: { type: 'string' },
      outcome: { type: 'string' },
      since: { type: 'string' },
      limit: { type: 'string', default: '50' },
    },
    run: async ({ mesh, values, show }) => {
      const { outcome, since } = values
      if (outcome !== undefined && !OUTCOMES.includes(outcome))
        throw new WrongUse(`--outcome takes one of ${OUTCOMES.join(', ')}`)
      if (outcome === 'waiting' && values.endpoint === undefined && values.event === undefined)
        throw new WrongUse('--outcome waiting needs --endpoint ID or --event ID')
      const found = await mesh.list<DeliveryAttemptWire>('/v1/deliveries', parseNumber('--limit', values.limit), {
        endpoint_id: values.endpoint,
        event_id: values.event,
        outcome,
        since: since === undefined ? undefined : parseMoment('--since', since),
      })
      show(found, () => formatAttempts(found))
      return 0
    },
  }),
  verb({
    usage: 'deliveries show ID',
    summary: 'one delivery with its attempts',
    run: async ({ mesh, words: [id = ''], show }) => {
      const delivery = await mesh.read<DeliveryDetailWire>(`/v1/deliveries/${encodeURIComponent(id)}`)
      show(delivery, () => formatDelivery(delivery))
      return 0
    },
  }),
  verb({
    usage: 'why [DELIVERY] [--event ID [--endpoint ID] [--source /shop]] [--facts]',
    summary:
      'why a delivery did or did not arrive, in one paragraph; or what became of an event, for all endpoints or one; --facts: read from what',
    options: {
      event: { type: 'string' },
      endpoint: { type: 'string' },
      source: { type: 'string' },
      facts: { type: 'boolean' },
    },
    run: async ({ mesh, values, words: [id], show }) => {
      const { event, endpoint, source, facts } = values
      if ((id === undefined) === (event === undefined))
        throw new WrongUse('why what? Write the id of a delivery, or --event ID')
      if (event === undefined && (endpoint ?? source) !== undefined)
        throw new WrongUse('--endpoint and --source go with --event')
      const why =
        event === undefined
          ? await mesh.read<WhyWire>(`/v1/deliveries/${encodeURIComponent(id ?? '')}/why`)
          : await mesh.read<WhyWire>(`/v1/events/${encodeURIComponent(event)}/why`, { endpoint_id: endpoint, source })
      show(why, () => [toPlain(why.explanation), ...(facts === true ? ['', formatFacts(why)] : [])].join('\n'))
      return 0
    },
  }),
]

export function formatAttempts(attempts: readonly DeliveryAttemptWire[]): string {
  if (attempts.length === 0) return 'none'
  const rows = attempts.map((attempt) => [
    formatTime(attempt.at),
    attempt.delivery_id,
    attempt.endpoint_id,
    attempt.event_id,
    `#${attempt.attempt}`,
    attempt.outcome,
    attempt.duration_ms === null ? '' : `${attempt.duration_ms} ms`,
    describeAnswer(attempt),
    attempt.due_at === null ? '' : `next ${formatTime(attempt.due_at)}`,
  ])
  return formatTable([['AT', 'DELIVERY', 'ENDPOINT', 'EVENT', 'TRY', 'OUTCOME', 'TOOK', 'ANSWER', ''], ...rows])
}

/** What came back, in few words. */
export function describeAnswer({
  status,
  code,
  reason,
  receipt,
  may_repeat: mayRepeat,
}: Pick<DeliveryAttemptWire, 'status' | 'code' | 'reason' | 'receipt' | 'may_repeat'>): string {
  const parts = [status, code, reason, receipt, mayRepeat ? 'may repeat' : null]
  return toPlain(parts.filter((part) => part !== null).join(' '))
}

function formatDelivery(delivery: DeliveryDetailWire): string {
  const { dead } = delivery
  const facts = [
    ['delivery', delivery.delivery_id],
    ['event', delivery.event_id],
    ['endpoint', delivery.endpoint_id],
    ['state', delivery.state],
    ['attempts', String(delivery.attempts_made)],
    ['next', formatTime(delivery.due_at)],
    ['dead', dead === null ? '' : [dead.reason, dead.code, dead.status, formatAge(dead.at)].filter(Boolean).join(' ')],
    ['replay', delivery.replay_id ?? ''],
  ]
  return `${formatTable(facts.filter(([, value]) => value !== ''))}\n\n${formatAttempts(delivery.attempts)}`
}

function formatFacts({ cause, facts }: WhyWire): string {
  const rows = facts.map(({ at, what, evidence }) => [
    at === null ? 'now' : formatTime(at),
    what,
    Object.entries(evidence)
      .map(([name, value]) => `${name}=${value}`)
      .join(' '),
  ])
  return `cause: ${cause}\n${formatTable(rows)}`
}
