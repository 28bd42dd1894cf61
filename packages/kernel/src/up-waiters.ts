import type { UpWaiter } from './call.ts'
import type { Ctx } from './ctx.ts'
import type { RipstopError } from './errors.ts'

/** Who waits for a link to come up. Whoever is told may make others leave: they are asked for one by one. */
export class UpWaiters {
  readonly #waiters = new Set<UpWaiter>()

  get count(): number {
    return this.#waiters.size
  }

  add(waiter: UpWaiter): void {
    this.#waiters.add(waiter)
  }

  leave(waiter: UpWaiter): void {
    this.#waiters.delete(waiter)
  }

  up(): void {
    for (const waiter of [...this.#waiters]) if (this.#waiters.delete(waiter)) waiter.up()
  }

  closed(): void {
    for (const waiter of [...this.#waiters]) if (this.#waiters.delete(waiter)) waiter.closed()
  }

  /** Resolves at the next `up`; rejects when `caller` is over, or with `closedError()` if the link is closed first. */
  async wait(caller: Ctx, closedError: () => RipstopError): Promise<void> {
    using ctx = caller.within(Number.POSITIVE_INFINITY) // a child: no timer of it outlives the wait
    const { signal } = ctx
    if (signal.aborted) throw signal.reason
    await new Promise<void>((resolve, reject) => {
      const waiter: UpWaiter = { up: resolve, closed: () => reject(closedError()) }
      const over = (): void => {
        this.#waiters.delete(waiter)
        reject(signal.reason)
      }
      signal.addEventListener('abort', over, { once: true })
      this.#waiters.add(waiter)
    })
  }
}
