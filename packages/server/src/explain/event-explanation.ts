// What became of an event as a whole, and of what was handed to the outbox. Pure.

import { type Explanation, type Fact, span, time } from './situation.ts'

export interface EventDelivery {
  readonly deliveryId: string
  readonly endpointId: string
  readonly state: 'waiting' | 'parked' | 'delivered' | 'dead' | 'discarded'
  readonly replayId: string | null
}

export interface EventSituation {
  readonly eventId: string
  readonly type: string | undefined
  readonly publishedWallMs: number
  readonly name: { readonly source: string; readonly id: string } | undefined
  readonly deliveries: readonly EventDelivery[]
}

const SHOWN_MAX = 50

export function explainEvent({ eventId, type, publishedWallMs, name, deliveries }: EventSituation): Explanation {
  const counts = new Map<EventDelivery['state'], number>()
  for (const { state } of deliveries) counts.set(state, (counts.get(state) ?? 0) + 1)
  const told = [...counts].map(([state, count]) => `${count} ${state}`).join(', ')
  const first = `It was published at ${time(publishedWallMs)}${type === undefined ? '' : ` as ${type}`}.`
  const sentences =
    deliveries.length === 0
      ? [
          'No endpoint wanted it, so no delivery was made.',
          `Ask with ?endpoint_id= why one did not: its types, its filter, or its age.`,
        ]
      : [
          `It has ${deliveries.length} ${deliveries.length === 1 ? 'delivery' : 'deliveries'}: ${told}.`,
          whatNext(counts),
        ]
  const facts: Fact[] = [{ wallMs: publishedWallMs, what: 'the event was published', evidence: { event_id: eventId } }]
  if (name !== undefined) {
    const what = `its publisher named it ${name.id}: whatever is published under that name again is a repetition of it, and goes nowhere`
    facts.push({ wallMs: publishedWallMs, what, evidence: { event_id: eventId, source: name.source, id: name.id } })
  }
  for (const { deliveryId, endpointId, state, replayId } of deliveries.slice(0, SHOWN_MAX)) {
    const evidence = {
      delivery_id: deliveryId,
      endpoint_id: endpointId,
      ...(replayId === null ? {} : { replay_id: replayId }),
    }
    facts.push({ wallMs: undefined, what: `a delivery is ${state}`, evidence })
  }
  return { cause: causeOf(counts), explanation: [first, ...sentences].filter((text) => text !== '').join(' '), facts }
}

/** The worst of them. */
function causeOf(counts: ReadonlyMap<EventDelivery['state'], number>): string {
  const order = ['dead', 'discarded', 'parked', 'waiting', 'delivered'] as const
  return order.find((state) => counts.has(state)) ?? 'nobody_wanted_it'
}

function whatNext(counts: ReadonlyMap<EventDelivery['state'], number>): string {
  if (counts.has('dead'))
    return 'GET /v1/deliveries/{id}/why tells of each; POST /v1/dead-letters/{id}/redrive sends a dead one again.'
  if (counts.has('parked') || counts.has('waiting')) return 'GET /v1/deliveries/{id}/why tells what each waits for.'
  return ''
}

/** What `ripstop.publish` gave a number for. */
export type Handed =
  | { readonly is: 'waiting'; readonly outboxId: string; readonly createdWallMs: number }
  | {
      readonly is: 'rejected'
      readonly outboxId: string
      readonly createdWallMs: number
      readonly rejectedWallMs: number
      readonly code: string
      readonly problems: readonly { readonly field: string; readonly problem: string }[]
    }

export function explainHanded(handed: Handed, nowWallMs: number): Explanation {
  const { outboxId, createdWallMs } = handed
  const facts: Fact[] = [
    { wallMs: createdWallMs, what: 'it was put into the outbox', evidence: { outbox_id: outboxId } },
  ]
  if (handed.is === 'waiting') {
    const explanation = `It waits in the outbox since ${time(createdWallMs)} (${span(nowWallMs - createdWallMs)}): the relay of a process with the role work takes it from there in order.`
    return { cause: 'in_outbox', explanation, facts }
  }
  const { rejectedWallMs, code, problems } = handed
  for (const { field, problem } of problems.slice(0, SHOWN_MAX)) {
    facts.push({
      wallMs: rejectedWallMs,
      what: `${field} ${problem}`.trim(),
      evidence: { outbox_id: outboxId, code, field },
    })
  }
  const said = problems.slice(0, 3).map(({ field, problem }) => `${field} ${problem}`.trim())
  const why = said.length === 0 ? '' : `: ${said.join('; ')}`
  const explanation = `It never became an event: at ${time(rejectedWallMs)} it was rejected with ${code}${why}. It is kept; mend the type or the publisher, then POST /v1/rejected-events/${outboxId}/redrive.`
  return { cause: `rejected_${code.toLowerCase()}`, explanation, facts }
}
