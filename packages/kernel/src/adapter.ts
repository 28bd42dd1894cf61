import type { Ctx } from './ctx.ts'
import type { RipstopError } from './errors.ts'
import type { CloseCause } from './link-state.ts'

/** What an adapter tells its link about a generation, from opening until it is closed. */
export interface GenerationEvents {
  /** The resource is gone (socket closed, pool empty): the link replaces the generation. Safe to call twice. */
  readonly lost: (why: unknown) => void
}

/**
 * The only thing written for a technology. An adapter opens, proves and closes; it never reconnects, retries or queues:
 * the link does. The library's own reconnect must be off.
 */
export interface Adapter<R> {
  /** For the graph and the metrics: `postgres`, `redis`, `http`, `websocket`. */
  readonly kind: string
  /** Where it leads, without credentials: for people. */
  readonly target: string
  /**
   * True where one connection carries every call: losing the generation fails what is under way at once. False for
   * pools whose calls stand alone: they may finish, each bounded by its own deadline.
   */
  readonly sharedFate: boolean
  /** Builds a generation, handshake included. Must stop and clean up after itself when `ctx.signal` aborts. */
  open(ctx: Ctx, events: GenerationEvents): Promise<R>
  /**
   * One real round trip on a slot reserved for it. Throws PEER_WRONG_ROLE if the peer answers but must not be used;
   * any other failure counts as silence.
   */
  probe(resource: R, ctx: Ctx): Promise<void>
  /** Synchronous and final; may meet a broken resource; never throws. */
  close(resource: R, because: CloseCause): void
  /** A failure of the peer or of the way to it, as a RipstopError that says `sent`; undefined: the peer answered. */
  fault(error: unknown): RipstopError | undefined
  /** Pools that renew slot by slot do it here; without it the link renews the whole generation. */
  renew?(resource: R): void
  /** Gauges of a pool, for metrics and the graph. */
  pool?(resource: R): PoolGauges
}

export interface PoolGauges {
  readonly size: number
  readonly inUse: number
  readonly waiting: number
}
