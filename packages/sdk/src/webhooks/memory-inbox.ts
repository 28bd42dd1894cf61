// An inbox in memory: for tests, and for effects that may happen again after a restart. At its bound it forgets the id that was
// applied longest ago, which would be applied again if it came again; `forgotten` counts them.
// Invariants:
//   SK7. As long as an id is kept its effect has happened once, however many came at the same time; a failed one is not kept.
//   SK8. No more than `max` ids are kept or under way.

import type { Inbox } from './inbox.ts'
import type { Receipt } from './receipt.ts'
import { WebhookError } from './webhook-error.ts'

export interface MemoryInbox extends Inbox<undefined> {
  readonly size: number
  /** How many ids had to go: raise `max` if it grows within the time that a sender repeats. */
  readonly forgotten: number
}

export function createMemoryInbox({ max = 100_000 }: { readonly max?: number } = {}): MemoryInbox {
  return new BoundedInbox(max)
}

class BoundedInbox implements MemoryInbox {
  readonly #max: number
  /** In the order in which they were applied. */
  readonly #applied = new Set<string>()
  readonly #underWay = new Map<string, Promise<boolean>>()
  #forgotten = 0

  constructor(max: number) {
    if (!(max >= 1)) throw new WebhookError('INBOX_INVALID', 'max must be at least 1')
    this.#max = max
  }

  get size(): number {
    return this.#applied.size
  }

  get forgotten(): number {
    return this.#forgotten
  }

  readonly once = async (id: string, effect: (tx: undefined) => Promise<void>): Promise<Receipt> => {
    for (;;) {
      if (this.#applied.has(id)) return 'duplicate'
      const first = this.#underWay.get(id)
      if (first === undefined) break
      if (await first) return 'duplicate'
    }
    this.#makeRoom()
    const run = this.#run(id, effect)
    this.#underWay.set(
      id,
      run.then(
        () => true,
        () => false,
      ),
    )
    await run
    return 'applied'
  }

  async #run(id: string, effect: (tx: undefined) => Promise<void>): Promise<void> {
    try {
      await Promise.resolve().then(() => effect(undefined)) // never before it is known to be under way
      this.#applied.add(id)
    } finally {
      this.#underWay.delete(id)
    }
  }

  /** Throws INBOX_FULL if everything is under way. */
  #makeRoom(): void {
    if (this.#underWay.size >= this.#max) throw new WebhookError('INBOX_FULL', 'too many webhooks are being applied')
    if (this.#applied.size + this.#underWay.size < this.#max) return
    const [oldest] = this.#applied
    if (oldest !== undefined) this.#applied.delete(oldest)
    this.#forgotten++
  }
}
