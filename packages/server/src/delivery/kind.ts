// What is sent, as the engine sees it. The engine owns when, by whom and how often; a kind (webhooks, deferred requests) owns
// what: it knows the targets, loads the messages, sends one, and adds its own part to the statement that settles a batch.

import type { BreakerLimits, Ctx } from '@ripstop/kernel'
import type { Part } from '#platform/postgres'

/** Where deliveries go, with all that decides when. */
export interface Target {
  readonly targetId: string
  readonly tenantId: string
  /** `parked` keeps what is meant for it until it is active again. */
  readonly state: 'active' | 'parked'
  /** Of one key only the oldest is under way. */
  readonly isOrdered: boolean
  readonly lanes: number
  /** Under way at once, over all lanes. */
  readonly concurrency: number
  readonly ratePerSecond: number | undefined
  readonly deadlineMs: number
  /** The pause before the second attempt, the third …; after the last one it is a dead letter. */
  readonly retryScheduleMs: readonly number[]
  readonly breaker: BreakerLimits
  /** How many may be undone for it, if that is bounded. */
  readonly backlogMax?: number
}

/** One attempt that is to be made. */
export interface Delivery {
  readonly deliveryId: number
  readonly tenantId: string
  readonly targetId: string
  readonly messageId: string
  /** 1 for the first. */
  readonly attempt: number
  /** Another owner may have sent it already, with the same id. */
  readonly mayRepeat: boolean
  readonly replayId: string | undefined
}

/** What came of an attempt. `unknown`: bytes went out, and no answer came. */
export interface Answer {
  readonly outcome: 'delivered' | 'failed' | 'unknown'
  readonly status?: number
  /** Of the error, if there was one. */
  readonly code?: string
  /** For people: why, in a few words, no secrets. */
  readonly reason?: string
  readonly durationMs: number
  /** The beginning of the answer's body. */
  readonly response?: Uint8Array
  readonly receipt?: 'applied' | 'duplicate'
  /**
   * What is to be done about a failed or unknown one: `later` by the schedule, not before `retryAfterMs`;
   * `park` keeps it as it is, because its target is to be parked; `never` makes it a dead letter.
   */
  readonly next?: 'later' | 'park' | 'never'
  readonly retryAfterMs?: number
  /** For the kind's own part of the settling statement. */
  readonly notes?: unknown
}

/** An attempt with its answer and what the engine decided. */
export interface Settled {
  readonly delivery: Delivery
  readonly answer: Answer
  /** Undefined: it was the last. */
  readonly dueInMs: number | undefined
  readonly wallMs: number
}

export interface DeliveryKind<Message = unknown> {
  readonly name: 'webhook' | 'deferred'
  /** As known now; undefined: there is no such target any more. Loads what it does not know. */
  readonly targets: (ctx: Ctx, targetIds: readonly string[]) => Promise<ReadonlyMap<string, Target>>
  /** The messages by id; one that is missing makes its delivery a dead letter. */
  readonly load: (ctx: Ctx, messageIds: readonly string[]) => Promise<ReadonlyMap<string, Message>>
  /** Sends once, within the ctx's deadline. Never rejects: what happened is the answer. A method, so that kinds of any message fit together. */
  send(ctx: Ctx, delivery: Delivery, message: Message): Promise<Answer>
  /**
   * Parts for the statement that settles a batch, which may refer to the part `settled` (delivery_id, target_id, message_id): only what is
   * in it counts, since a batch of an owner that lost its lease settles nothing.
   */
  readonly settle: (batch: readonly Settled[]) => readonly Part[]
  /**
   * About how many deliveries of a target are undone, for those where it moved since the last time; at most once a second. Only lanes that
   * this worker owns are counted: a target's lanes may have several owners.
   */
  readonly backlog?: (ctx: Ctx, undone: ReadonlyMap<string, number>) => Promise<void>
}

/** What is to be sent, when it is published. */
export interface NewDelivery {
  readonly tenantId: string
  readonly kind: DeliveryKind['name']
  readonly targetId: string
  readonly messageId: string
  readonly bytes: number
  /** What lanes and order are chosen by; undefined: any order. */
  readonly key: string | undefined
  readonly lanes: number
  readonly isOrdered: boolean
  readonly replayId?: string
}
