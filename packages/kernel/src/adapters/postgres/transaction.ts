// A transaction on one slot. Until COMMIT is sent, every failure means that nothing was applied: the server rolls back
// what is not committed. From then on only the server's word counts, and without it the outcome is unknown.
// Invariants:
//   QT1. It is over by its ctx even if its function never returns; after that no statement of it is sent.
//   QT2. A failure before COMMIT is `sent: 'no'`; a COMMIT without an answer is `sent: 'maybe'`.
//   QT3. It resolves only if the server said COMMIT: a transaction that it had already given up does not pass for one.

import type { Ctx } from '../../ctx.ts'
import { RipstopError } from '../../errors.ts'
import { asSent, postgresFault } from './fault.ts'
import { overError, type QueryResult, type Slot } from './slot.ts'

/** What a pool and a transaction have in common: code that only asks questions needs no more. */
export interface Queryable {
  /**
   * Runs one statement, with `$1`… for `values` (or several statements, without values: the last one's result). The
   * server's errors about the statement itself come as pg's own; failures of the link as RipstopError with `sent`.
   */
  query<Row>(ctx: Ctx, text: string, values?: readonly unknown[]): Promise<QueryResult<Row>>
}

export class Transaction implements Queryable {
  readonly #slot: Slot
  #over = false
  /** Why a statement in it was given up: nothing can follow on the same connection. */
  #gaveUp: unknown
  #last: Promise<unknown> = Promise.resolve()

  private constructor(slot: Slot) {
    this.#slot = slot
  }

  /** Runs `work` between `begin` and COMMIT. The slot is not clean after a failure. */
  static async run<T>(slot: Slot, ctx: Ctx, begin: string, work: (tx: Queryable) => PromiseLike<T> | T): Promise<T> {
    const transaction = new Transaction(slot)
    let value: T
    try {
      await slot.run(ctx, begin)
      value = await transaction.#work(ctx, work)
    } catch (error) {
      const fault = error instanceof RipstopError ? error : postgresFault(error)
      throw fault === undefined ? error : asSent(fault, 'no')
    } finally {
      transaction.#over = true
    }
    return transaction.#commit(ctx, value)
  }

  query<Row>(ctx: Ctx, text: string, values?: readonly unknown[]): Promise<QueryResult<Row>> {
    // One at a time: a connection answers in order, and a statement must not be sent behind one that was given up.
    const result = this.#last.then(() => {
      if (this.#over) throw new RipstopError('CANCELLED', 'postgres: the transaction is over', { sent: 'no' })
      return this.#slot.run<Row>(ctx, text, values)
    })
    this.#last = result.catch((error) => {
      if (!this.#slot.abandoned) return
      this.#over = true
      this.#gaveUp ??= error
    })
    return result
  }

  /** The function's value, after the statements that it did not await; rejects at once when the ctx is over (QT1). */
  #work<T>(ctx: Ctx, work: (tx: Queryable) => PromiseLike<T> | T): Promise<T> {
    const { signal } = ctx
    return new Promise<T>((resolve, reject) => {
      const over = (): void => {
        this.#over = true
        reject(overError(ctx, 'no'))
      }
      if (signal.aborted) return over()
      signal.addEventListener('abort', over)
      const worked = async (): Promise<T> => {
        const value = await work(this)
        await this.#last
        if (this.#gaveUp !== undefined) throw this.#gaveUp
        return value
      }
      worked()
        .then(resolve, reject)
        .finally(() => signal.removeEventListener('abort', over))
    })
  }

  async #commit<T>(ctx: Ctx, value: T): Promise<T> {
    const { command } = await this.#slot.run(ctx, 'commit')
    if (command === 'COMMIT') return value
    const message = 'postgres: the transaction was rolled back: a statement in it had failed and the function went on'
    throw new RipstopError('PEER_REFUSED', message, { sent: 'no' })
  }
}
