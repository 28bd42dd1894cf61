// The evidence beside a paragraph.

import { failureOf } from './failure.ts'
import { type Attempt, type Fact, type Situation, time } from './situation.ts'

/** What is known, in the order of time; what holds now comes last. */
export function factsOf({ event, endpoint, delivery, attempts, undone, values }: Situation): readonly Fact[] {
  const { endpointId, state, stateWallMs, stateActor, stateReason } = endpoint
  const facts: Fact[] = [fact(endpoint.createdWallMs, 'the endpoint was created', { endpoint_id: endpointId })]
  if (event !== undefined) {
    facts.push(fact(event.publishedWallMs, `the event was published, type ${event.type}`, { event_id: event.eventId }))
    if (event.name !== undefined) {
      const { source, id } = event.name
      const what = `its publisher named it ${id}: whatever is published under that name again is a repetition of it, and goes nowhere`
      facts.push(fact(event.publishedWallMs, what, { event_id: event.eventId, source, id }))
    }
  }
  for (const attempt of attempts) facts.push(factOf(attempt))
  if (delivery?.dead !== undefined) {
    const { reason, wallMs } = delivery.dead
    facts.push(fact(wallMs, `it became a dead letter: ${reason}`, { delivery_id: delivery.deliveryId, reason }))
  }
  const by = stateActor === undefined ? '' : ` by ${stateActor}`
  facts.push(
    fact(stateWallMs, `the endpoint is ${state}${by}${stateReason === undefined ? '' : `: ${stateReason}`}`, {
      endpoint_id: endpointId,
      state,
    }),
  )
  if (endpoint.deletedWallMs !== undefined)
    facts.push(fact(endpoint.deletedWallMs, 'the endpoint was deleted', { endpoint_id: endpointId }))
  facts.sort((one, two) => (one.wallMs ?? 0) - (two.wallMs ?? 0))
  if (delivery !== undefined) {
    const { deliveryId, dueWallMs, replayId } = delivery
    const evidence = { delivery_id: deliveryId, ...(replayId === null ? {} : { replay_id: replayId }) }
    facts.push(
      fact(
        undefined,
        dueWallMs === null ? `it is ${delivery.state}` : `it is ${delivery.state}, due at ${time(dueWallMs)}`,
        evidence,
      ),
    )
  }
  if (Object.keys(values).length > 0) facts.push(fact(undefined, 'what the filter looked at', values))
  facts.push(fact(undefined, 'undone deliveries of the endpoint', { undone: String(undone) }))
  return facts
}

function factOf(attempt: Attempt): Fact {
  const { attemptId, status, code, outcome, wallMs, receipt } = attempt
  const evidence = {
    attempt_id: attemptId,
    ...(status === null ? {} : { status: String(status) }),
    ...(code === null ? {} : { code }),
    ...(receipt === null ? {} : { receipt }),
  }
  if (attempt.attempt === 0) return fact(wallMs, attempt.reason ?? 'a person decided', evidence)
  const said =
    outcome === 'delivered'
      ? `delivered, it answered ${status ?? 'with success'}`
      : `${outcome}, ${failureOf(attempt).words}`
  const again = attempt.mayRepeat ? '; another process may have sent it before, with the same webhook-id' : ''
  return fact(wallMs, `attempt ${attempt.attempt}: ${said}${again}`, evidence)
}

function fact(wallMs: number | undefined, what: string, evidence: Readonly<Record<string, string>>): Fact {
  return { wallMs, what, evidence }
}
