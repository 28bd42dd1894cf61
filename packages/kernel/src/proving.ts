// Opening and probing a generation, each under its own deadline: the two steps by which a link proves that it is up (L2).
// After a stall of our own event loop a silent probe gets its time once more: timers fire before sockets are read, and a
// stalled process must not condemn its peers.

import type { Adapter, GenerationEvents } from './adapter.ts'
import type { Ctx } from './ctx.ts'
import { RipstopError } from './errors.ts'
import { WheelEntry } from './timer-wheel.ts'

/** A loop that was late by this much may have answers in its sockets that it has not read yet. */
const STALL_MS = 50

/** Calls a function when due: for the few timers of a link. */
export class TimerEntry extends WheelEntry {
  readonly #fire: () => void
  constructor(fire: () => void) {
    super()
    this.#fire = fire
  }
  override onDue(): void {
    this.#fire()
  }
}

/**
 * Opens a generation. Rejects by `ctx`'s deadline or cancel even if the adapter ignores it; a resource that comes too
 * late is handed to `discard`, so nothing leaks.
 */
export function openResource<R>(
  adapter: Adapter<R>,
  ctx: Ctx,
  events: GenerationEvents,
  discard: (resource: R) => void,
): Promise<R> {
  return new Promise((resolve, reject) => {
    let over = false
    const fail = (error: unknown): void => {
      over = true
      ctx[Symbol.dispose]()
      reject(error)
    }
    ctx.signal.addEventListener('abort', () => fail(ctx.signal.reason), { once: true })
    attempt(() => adapter.open(ctx, events)).then((resource) => {
      if (over) return discard(resource)
      ctx[Symbol.dispose]()
      resolve(resource)
    }, fail)
  })
}

/** One probe. Rejects when no answer came within `deadlineMs`, counted once more after a stall of our own loop. */
export function probeResource<R>(adapter: Adapter<R>, resource: R, parent: Ctx, deadlineMs: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const ctx = parent.within(2 * deadlineMs)
    const { wheel, clock } = ctx.env
    let patient = true
    const timer = new TimerEntry(() => {
      const spared = patient && wheel.stallMs > STALL_MS
      patient = false
      if (spared) return wheel.arm(timer, clock.monoMs() + deadlineMs)
      const error = new RipstopError('DEADLINE_EXCEEDED', `no answer to a probe within ${deadlineMs} ms`)
      ctx.cancel(error)
      reject(error)
    })
    wheel.arm(timer, clock.monoMs() + deadlineMs)
    const end = (): void => {
      wheel.disarm(timer)
      ctx[Symbol.dispose]()
    }
    attempt(() => adapter.probe(resource, ctx)).then(
      () => {
        end()
        resolve()
      },
      (error) => {
        end()
        reject(error)
      },
    )
  })
}

/** An adapter that throws instead of rejecting is treated alike. */
async function attempt<T>(ask: () => Promise<T>): Promise<T> {
  return ask()
}
