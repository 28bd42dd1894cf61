// Asking the upstream: one request, and as much of its answer as is kept. What is longer is cut, not refused: the answer came.
// Invariants:
//   DF6. No more than the bound of an answer is held, however long it is; an endless one is taken for what came of it.

import type { Ctx, RipstopError } from '@ripstop/kernel'
import { type HttpPool, httpFault } from '@ripstop/kernel/http'
import type { Dispatcher } from 'undici'
import type { Headers } from './deferral.ts'

export interface Question {
  readonly method: string
  readonly path: string
  /** Names and values by turns. */
  readonly headers: string[]
  readonly body: Buffer | undefined
}

export interface UpstreamAnswer {
  readonly status: number
  readonly headers: Headers
  readonly body: Buffer
  readonly isCut: boolean
}

/** Rejects with a RipstopError that says `sent`. */
export function ask(pool: HttpPool, ctx: Ctx, question: Question, bytesMax: number): Promise<UpstreamAnswer> {
  const { method, path, headers, body } = question
  return new Promise((resolve, reject) => {
    const reader = new AnswerReader(ctx, bytesMax, resolve, reject)
    if (!reader.begin()) return
    // Both timeouts are the call's deadline.
    const options = { path, method, headers, body: body ?? null, headersTimeout: 0, bodyTimeout: 0 }
    pool.dispatch(options as Dispatcher.DispatchOptions, reader)
  })
}

class AnswerReader implements Dispatcher.DispatchHandler {
  readonly #ctx: Ctx
  readonly #bytesMax: number
  readonly #resolve: (answer: UpstreamAnswer) => void
  readonly #reject: (error: unknown) => void
  readonly #abandon: () => void
  #controller: Dispatcher.DispatchController | undefined
  #status = 0
  #headers: Headers = {}
  #chunks: Buffer[] = []
  #bytes = 0

  constructor(ctx: Ctx, bytesMax: number, resolve: (answer: UpstreamAnswer) => void, reject: (error: unknown) => void) {
    this.#ctx = ctx
    this.#bytesMax = bytesMax
    this.#resolve = resolve
    this.#reject = reject
    this.#abandon = () => this.#fail(ctx.signal.reason)
  }

  /** False: it is over before it began. */
  begin(): boolean {
    const { signal } = this.#ctx
    if (signal.aborted) this.#reject(signal.reason)
    else signal.addEventListener('abort', this.#abandon, { once: true })
    return !signal.aborted
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller
    if (this.#ctx.signal.aborted) controller.abort(this.#ctx.signal.reason)
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number, headers: Headers): void {
    this.#status = status
    this.#headers = headers
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#bytes += chunk.length
    this.#chunks.push(chunk)
    if (this.#bytes <= this.#bytesMax) return
    this.#finish()
    controller.abort(new Error('the rest of the answer is not kept'))
  }

  onResponseEnd(): void {
    this.#finish()
  }

  onResponseError(_controller: Dispatcher.DispatchController | null, error: Error): void {
    this.#end()
    this.#reject(httpFault(error, this.#controller !== undefined) ?? error) // without effect after an answer
  }

  #finish(): void {
    this.#end()
    const body = Buffer.concat(this.#chunks, Math.min(this.#bytes, this.#bytesMax))
    this.#chunks = []
    this.#resolve({ status: this.#status, headers: this.#headers, body, isCut: this.#bytes > this.#bytesMax })
  }

  #fail(reason: RipstopError): void {
    this.#end()
    this.#reject(reason)
    this.#controller?.abort(reason)
  }

  #end(): void {
    this.#ctx.signal.removeEventListener('abort', this.#abandon)
  }
}
