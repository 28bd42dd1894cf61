// What happens with an event in the very statement that publishes it. A consumer looks at events before they are written and gives
// parts for that statement; so there is no moment at which an event is there and what follows from it is not.

import type { Ctx, RipstopError } from '@ripstop/kernel'
import type { Part } from '#platform/postgres'

/** A valid event that is about to be written. */
export interface NewEvent {
  readonly eventId: string
  readonly tenantId: string
  readonly source: string
  readonly id: string
  readonly type: string
  readonly typeVersion: number | undefined
  readonly subject: string | undefined
  readonly key: string | undefined
  readonly occurredWallMs: number
  /** CloudEvents 1.0, structured JSON: what receivers get. */
  readonly body: Buffer
  /** The parsed body, for filters. */
  readonly event: Readonly<Record<string, unknown>>
}

/** What a consumer wants to happen together with the events. */
export interface Plan {
  /** May refer to the part `fresh` (event_id): the events that are really written, without repetitions. */
  readonly parts: readonly Part[]
  /** How many deliveries each event gets, by its place. */
  readonly fanOut: readonly number[]
  /** Events that must not be published now, by their place: a publisher over HTTP is told; in the outbox nothing is refused. */
  readonly refused: ReadonlyMap<number, RipstopError>
  /** Selects a row if what the plan relied on still holds; without a row nothing is written, and the plan is made anew. */
  readonly current: Part
}

export interface EventConsumer {
  readonly name: string
  /** `mayRefuse`: false for the outbox, whose events were accepted by their own commit. */
  readonly plan: (ctx: Ctx, events: readonly NewEvent[], mayRefuse: boolean) => Promise<Plan>
}
