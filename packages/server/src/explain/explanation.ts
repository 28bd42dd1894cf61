// Why a delivery is where it is, or why there is none: facts in, one paragraph and its evidence out. Pure; what it says is decided here
// and nowhere else. The first cause that holds is told; the facts show the rest.
// Invariants:
//   WY1. Every situation has exactly one cause, and the paragraph says what decided, since when, and what a person can do.
//   WY2. Every sentence that names a fact has that fact, with ids, beside it.

import { factsOf } from './facts.ts'
import { failureOf } from './failure.ts'
import { type Delivery, type Endpoint, type Explanation, type Situation, span, time } from './situation.ts'

/** What decided, and the sentences that tell it. */
type Verdict = readonly [cause: string, ...sentences: string[]]

/** The breaker opens when half of ten calls in ten seconds fail; what it does is known to the sending process alone. */
const BREAKER_CALLS = 10
const BREAKER_WINDOW_MS = 60_000

export function explain(situation: Situation): Explanation {
  const [cause, ...sentences] = verdictOf(situation)
  return { cause, explanation: sentences.join(' '), facts: factsOf(situation) }
}

function verdictOf(situation: Situation): Verdict {
  const { delivery } = situation
  if (delivery === undefined) return missing(situation)
  switch (delivery.state) {
    case 'delivered':
      return delivered(situation)
    case 'discarded':
      return discarded(situation)
    case 'dead':
      return dead(situation, delivery)
    case 'waiting':
      return waiting(situation, delivery)
    default:
      return delivery.state satisfies never
  }
}

// It is done

function delivered({ attempts }: Situation): Verdict {
  const last = attempts.find(({ outcome }) => outcome === 'delivered')
  if (last === undefined) return ['delivered', 'It was delivered; its attempts are older than the retention.']
  const tries = last.attempt === 1 ? 'at the first attempt' : `at attempt ${last.attempt}`
  const first = `It was delivered at ${time(last.wallMs)}, ${tries}: the endpoint answered ${last.status ?? 'with success'} in ${last.durationMs} ms.`
  if (last.receipt === 'applied') return ['delivered', first, "The receiver's signed receipt says that it was applied."]
  if (last.receipt === 'duplicate') {
    return [
      'delivered',
      first,
      "The receiver's signed receipt says that it had been applied before: the same webhook-id came twice.",
    ]
  }
  return ['delivered', first, 'The receiver sent no signed receipt, so what it did with it is not known here.']
}

function discarded({ attempts }: Situation): Verdict {
  const [last] = attempts
  const why = last?.attempt === 0 && last.reason !== null ? `: ${last.reason}` : ''
  return [
    'discarded',
    `It is not tried any more: its dead letter was given up${why}.`,
    'It can be sent again only by a replay of its event.',
  ]
}

function dead({ attempts, endpoint }: Situation, { deliveryId, dead, attemptsMade }: Delivery): Verdict {
  const reason = dead?.reason ?? 'exhausted'
  const redrive = `POST /v1/dead-letters/${deliveryId}/redrive sends it again.`
  const at = dead === undefined ? '' : ` since ${time(dead.wallMs)}`
  const last = attempts.find(({ attempt }) => attempt > 0)
  const why = last === undefined ? '' : ` At the last one ${failureOf(last).words}.`
  switch (reason) {
    case 'exhausted':
      return [
        'dead_exhausted',
        `It is a dead letter${at}: all ${attemptsMade} attempts of the endpoint's schedule failed.${why}`,
        redrive,
      ]
    case 'refused':
      return [
        'dead_refused',
        `It is a dead letter${at}: it failed in a way that another attempt would not mend.${why}`,
        redrive,
      ]
    case 'unknown':
      return [
        'dead_unknown',
        `It is a dead letter${at}: the request went out and no answer came, so it may have arrived.${why}`,
        redrive,
      ]
    case 'deleted':
      return [
        'dead_endpoint_deleted',
        `It is a dead letter${at}: its endpoint was deleted${endpoint.deletedWallMs === undefined ? '' : ` at ${time(endpoint.deletedWallMs)}`} before it was delivered.`,
      ]
    case 'overflow':
      return [
        'dead_overflow',
        `It is a dead letter${at}: when it was published the endpoint had as many undone deliveries as it may (${endpoint.backlogMax}).`,
        `Once it has room, ${redrive}`,
      ]
    case 'expired':
      return [
        'dead_expired',
        `It is a dead letter${at}: it waited longer than undone deliveries are kept, or its event is older than the retention.`,
        redrive,
      ]
    default:
      return reason satisfies never
  }
}

// It waits

function waiting(situation: Situation, delivery: Delivery): Verdict {
  const { endpoint, nowWallMs, attempts } = situation
  const parked = parkedBy(endpoint)
  if (parked !== undefined) return parked
  const last = attempts.find(({ attempt }) => attempt > 0)
  const dueWallMs = delivery.dueWallMs ?? nowWallMs
  if (dueWallMs > nowWallMs) {
    const next = `The next attempt is at ${time(dueWallMs)}, ${span(dueWallMs - nowWallMs)} from now.`
    if (last === undefined) return ['scheduled', 'It was not tried yet.', next]
    return [
      `retry_after_${failureOf(last).kind}`,
      `Attempt ${last.attempt} at ${time(last.wallMs)} failed: ${failureOf(last).words}.`,
      next,
    ]
  }
  return due(situation, delivery, dueWallMs)
}

function parkedBy({
  state,
  stateReason,
  stateActor,
  stateWallMs,
  probeWallMs,
  deletedWallMs,
  endpointId,
}: Endpoint): Verdict | undefined {
  if (deletedWallMs !== undefined) {
    return ['endpoint_deleted', `Its endpoint was deleted at ${time(deletedWallMs)}: it becomes a dead letter soon.`]
  }
  if (state === 'active') return undefined
  const by = `since ${time(stateWallMs)}${stateActor === undefined ? '' : ` by ${stateActor}`}${stateReason === undefined ? '' : ` because: ${stateReason}`}`
  const probe = probeWallMs === undefined ? '' : ` The mesh tries it again by itself at ${time(probeWallMs)}.`
  return [
    state === 'paused' ? 'endpoint_paused' : 'endpoint_gone',
    `It is kept, and not sent: its endpoint is ${state} ${by}.${probe}`,
    `POST /v1/endpoints/${endpointId}/resume sends it.`,
  ]
}

/** Its time has come, and it was not sent yet. */
function due(
  { endpoint, nowWallMs, recent, undone, attempts }: Situation,
  delivery: Delivery,
  dueWallMs: number,
): Verdict {
  const overdue = `It is due since ${time(dueWallMs)} (${span(nowWallMs - dueWallMs)}) and was not sent yet`
  if (delivery.isUnowned) {
    return [
      'no_worker',
      `${overdue}: no process owns its shard.`,
      'Start a process with the role work, or look why it does not run.',
    ]
  }
  const lately = recent.slice(0, BREAKER_CALLS).filter(({ wallMs }) => nowWallMs - wallMs < BREAKER_WINDOW_MS)
  const failed = lately.filter(({ outcome }) => outcome !== 'delivered').length
  if (lately.length >= BREAKER_CALLS && failed * 2 >= lately.length) {
    return [
      'breaker_open',
      `${overdue}: ${failed} of the last ${lately.length} attempts to its endpoint failed, so its breaker lets through only a few.`,
      'It opens again as soon as the endpoint answers; no attempt is used up meanwhile.',
    ]
  }
  const { ratePerSecond } = endpoint
  if (ratePerSecond !== undefined && undone > ratePerSecond) {
    return [
      'rate_limited',
      `${overdue}: its endpoint takes ${ratePerSecond} a second, and ${undone} are undone, which is ${span((undone / ratePerSecond) * 1_000)} of work.`,
      'Raise rate_per_second if the receiver bears it.',
    ]
  }
  if (endpoint.isOrdered && undone > 1 && attempts.length === 0) {
    return [
      'in_order',
      `${overdue}: its endpoint keeps order by key, so it waits for those of its key before it; ${undone} are undone in all.`,
    ]
  }
  if (undone > 1)
    return [
      'in_queue',
      `${overdue}: it is one of ${undone} undone of its endpoint, which are sent as fast as the endpoint answers.`,
    ]
  return ['in_queue', `${overdue}: it is sent in a moment.`]
}

// There is none

function missing(situation: Situation): Verdict {
  const { event, endpoint, match, values, nowWallMs } = situation
  if (event === undefined) {
    return [
      'event_expired',
      'Nothing is known of this delivery any more: its event and its attempts are older than the retention.',
    ]
  }
  const published = `the event was published at ${time(event.publishedWallMs)}`
  const replay = 'POST /v1/replays sends events of the past.'
  if (event.publishedWallMs < endpoint.createdWallMs) {
    return [
      'before_endpoint',
      `No delivery was made: ${published}, and the endpoint was created later, at ${time(endpoint.createdWallMs)}.`,
      replay,
    ]
  }
  if (endpoint.deletedWallMs !== undefined && endpoint.deletedWallMs <= event.publishedWallMs) {
    return [
      'endpoint_deleted',
      `No delivery was made: ${published}, after the endpoint had been deleted at ${time(endpoint.deletedWallMs)}.`,
    ]
  }
  switch (match?.is) {
    case 'other type':
      return [
        'type_not_subscribed',
        `No delivery was made: its type is ${event.type}, and the endpoint subscribes to ${listed(match.eventTypes)}.`,
        'This is by its settings now; the audit log says whether they were others then.',
      ]
    case 'filtered':
      return [
        'filter_no_match',
        `No delivery was made: the endpoint's filter ${match.filter} is not true for this event${looked(values)}.`,
        'This is by its settings now; the audit log says whether they were others then.',
      ]
    case 'filter failed':
      return [
        'filter_failed',
        `No delivery was made: the endpoint's filter ${match.filter} could not be told for this event (${match.error})${looked(values)}.`,
        'Correct the filter, then replay.',
      ]
    case 'not for it':
      return [
        'not_for_endpoint',
        'No delivery was made: an endpoint is not told about itself, and a test goes to the tested endpoint alone.',
      ]
    case undefined:
    case 'match':
      return [
        'settings_changed',
        `No delivery is there: by its settings now the endpoint would get this event; ${published}, ${span(nowWallMs - event.publishedWallMs)} ago, so they were others then, or what was delivered is older than the retention.`,
        `The audit log tells of changes. ${replay}`,
      ]
    default:
      return match satisfies never
  }
}

function listed(patterns: readonly string[]): string {
  const shown = patterns.slice(0, 10).join(', ')
  return patterns.length > 10 ? `${shown} and ${patterns.length - 10} more` : shown
}

function looked(values: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(values).map(([path, value]) => `${path} is ${value}`)
  return pairs.length === 0 ? '' : `: ${pairs.join(', ')}`
}
