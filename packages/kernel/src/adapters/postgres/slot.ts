// A slot: one connection to Postgres, and whether it is fit to be used again. It runs one statement at a time, bounded by
// the ctx of whoever asked; a statement that was given up is cancelled at the server before the slot is used again.
// Invariants:
//   QS1. A statement settles by its ctx, and with LINK_LOST as soon as its socket is gone.
//   QS2. A slot is clean only if the server said ReadyForQuery to everything it was sent, outside a transaction, and no
//        cancel is on its way. What can't be made clean in time is destroyed (L6).

import type { Client } from 'pg'
import type { Ctx } from '../../ctx.ts'
import { RipstopError } from '../../errors.ts'
import { requestCancel } from './cancel-request.ts'
import type { OpenConnection } from './connection.ts'
import { asSent, sqlStateOf } from './fault.ts'
import { formatHost, type PostgresSettings } from './settings.ts'

export interface QueryResult<Row> {
  readonly rows: Row[]
  /** Rows that were read or changed; 0 where the statement has no such count. */
  readonly rowCount: number
}

/** A result as pg gives it: a text of several statements has one each. */
interface RawResult {
  readonly rows: unknown[]
  readonly rowCount: number | null
  readonly command: string
}

type Finish = (error: unknown, result?: RawResult | RawResult[]) => void

/** Hears that the connection broke by itself: not when it is destroyed here. */
export type SlotLost = (slot: Slot, why: RipstopError) => void

export class Slot {
  readonly openedAtMs: number
  /** It is to be closed when it comes back: a younger one has taken its place. */
  retiring = false
  readonly #settings: PostgresSettings
  readonly #connection: OpenConnection
  readonly #client: Client
  #onLost: SlotLost | undefined
  /** Statements sent for which the server has not yet said ReadyForQuery. */
  #unanswered = 0
  /** A statement was given up and may still run at the server. */
  #abandoned = false
  #lost: RipstopError | undefined
  /** Of the statement under way. */
  #finish: Finish | undefined
  #whenReady: (() => void) | undefined

  constructor(settings: PostgresSettings, connection: OpenConnection, openedAtMs: number) {
    this.#settings = settings
    this.#connection = connection
    this.#client = connection.client
    this.openedAtMs = openedAtMs
    connection.client.on('error', (error) => this.#lose(error))
    connection.client.connection.on('readyForQuery', () => this.#ready())
    connection.socket.on('close', () => this.#lose('the peer closed it'))
    if (connection.socket.destroyed) this.#lose('the peer closed it')
  }

  /** Fit to be used again (QS2). */
  get clean(): boolean {
    return (
      this.#lost === undefined &&
      this.#unanswered === 0 &&
      !this.#abandoned &&
      this.#client.getTransactionStatus() === 'I'
    )
  }

  /** A statement was given up, and `settle` has not cleaned up after it. */
  get abandoned(): boolean {
    return this.#abandoned
  }

  onLost(listener: SlotLost): void {
    this.#onLost = listener
    if (this.#lost !== undefined) listener(this, this.#lost)
  }

  /** Runs a statement; the result carries the command's tag too. Rejects with a RipstopError or the server's own error. */
  run<Row>(ctx: Ctx, text: string, values?: readonly unknown[]): Promise<QueryResult<Row> & { command: string }> {
    return new Promise((resolve, reject) => {
      const { signal } = ctx
      if (this.#lost !== undefined) return reject(asSent(this.#lost, 'no'))
      if (signal.aborted) return reject(overError(ctx, 'no'))
      const over = (): void => {
        this.#abandoned = true
        finish(overError(ctx, 'maybe'))
      }
      const finish: Finish = (error, result) => {
        this.#finish = undefined
        signal.removeEventListener('abort', over)
        if (result === undefined) reject(error)
        else resolve(toResult(result))
      }
      signal.addEventListener('abort', over)
      this.#finish = finish
      this.#unanswered++
      // Always unnamed: no statement stays prepared, so a pooler may give each transaction another connection.
      this.#client.query(text, values === undefined ? [] : (values as unknown[]), (error: unknown, result: unknown) => {
        // pg may call twice: when it could not encode a value, and again when the server is ready after that.
        if (this.#finish === finish) this.#answered(finish, error, result)
      })
    })
  }

  /**
   * Makes the slot clean again: cancels what was given up and rolls back what was left open. False: that failed or took
   * longer than `ctx` allows, and the slot is destroyed.
   */
  async settle(ctx: Ctx): Promise<boolean> {
    if (this.#lost !== undefined) return false
    try {
      if (this.#abandoned) {
        const { host, cancelKey } = this.#connection
        await Promise.all([requestCancel(this.#settings, host, cancelKey, ctx), this.#answeredAll(ctx)])
        this.#abandoned = false
      }
      await this.#answeredAll(ctx)
      if (this.#client.getTransactionStatus() !== 'I') {
        await this.run(ctx, 'rollback')
        await this.#answeredAll(ctx)
      }
      if (this.clean) return true
    } catch {
      // Whatever it was, the slot is of no use: the caller is told so.
    }
    this.destroy()
    return false
  }

  /** Ends the connection at once; a statement under way fails. Harmless when it is gone. */
  destroy(): void {
    this.#onLost = undefined
    this.#connection.socket.destroy()
    this.#lose('it was closed here')
  }

  #answered(finish: Finish, error: unknown, result: unknown): void {
    if (error === null || error === undefined) return finish(undefined, result as RawResult | RawResult[])
    // Anything but the server's word with a dead socket under it is the loss of the connection, whatever pg calls it.
    if (sqlStateOf(error) === undefined && this.#connection.socket.destroyed) return this.#lose(error)
    finish(error)
  }

  #ready(): void {
    if (this.#unanswered > 0) this.#unanswered--
    if (this.#unanswered === 0) this.#whenReady?.()
  }

  /** Resolves once the server is ready for the next statement; rejects by `ctx` or when the connection is lost. */
  #answeredAll(ctx: Ctx): Promise<void> {
    if (this.#lost !== undefined) return Promise.reject(this.#lost)
    if (this.#unanswered === 0) return Promise.resolve()
    const { signal } = ctx
    if (signal.aborted) return Promise.reject(signal.reason)
    return new Promise((resolve, reject) => {
      const end = (): void => {
        this.#whenReady = undefined
        signal.removeEventListener('abort', end)
        if (this.#lost !== undefined) reject(this.#lost)
        else if (this.#unanswered > 0) reject(signal.reason)
        else resolve()
      }
      this.#whenReady = end
      signal.addEventListener('abort', end)
    })
  }

  #lose(cause: unknown): void {
    if (this.#lost !== undefined) return
    const said = cause instanceof Error ? cause.message : String(cause)
    const message = `postgres: the connection to ${formatHost(this.#connection.host)} was lost: ${said}`
    this.#lost = new RipstopError('LINK_LOST', message, { cause, sent: 'maybe' })
    this.#connection.socket.destroy()
    this.#finish?.(this.#lost)
    this.#whenReady?.()
    this.#onLost?.(this, this.#lost)
  }
}

/** The ctx is over: `maybe` once the statement was sent. */
export function overError(ctx: Ctx, sent: 'no' | 'maybe'): RipstopError {
  const reason = ctx.reason
  const code = reason?.code ?? 'DEADLINE_EXCEEDED'
  const message = sent === 'no' ? 'before it was sent' : 'while the statement was under way'
  return new RipstopError(code, `postgres: ${reason?.message ?? 'the deadline passed'}, ${message}`, {
    cause: reason,
    sent,
  })
}

function toResult<Row>(raw: RawResult | RawResult[]): QueryResult<Row> & { command: string } {
  const last = Array.isArray(raw) ? raw.at(-1) : raw
  return { rows: (last?.rows ?? []) as Row[], rowCount: last?.rowCount ?? 0, command: last?.command ?? '' }
}
