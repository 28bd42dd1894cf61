// Exchange. One request and its answer, as undici's handler: the hot path of every webhook, so no stream, and copies of the
// answer only.
// Invariants:
//   EG5. It settles once: with an answer, or with a RipstopError that says whether bytes may have gone out.
//   EG6. Of an answer at most `answerBytesMax` bytes are kept; a longer one is cut, and its connection closed.
//   EG7. One that nobody waits for any more is not sent if it was not under way, and taken back if it was.

import { type Ctx, isRipstopError, RipstopError } from '@ripstop/kernel'
import { httpFault } from '@ripstop/kernel/http'
import type { Dispatcher } from 'undici'
import { refusal } from './destination.ts'

type Controller = Dispatcher.DispatchController

export interface EgressAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly body: Buffer
  /** The answer was longer than `answerBytesMax`. */
  readonly isCut: boolean
}

const EMPTY = Buffer.alloc(0)

/** Whose exchange it is: told once, when it holds no connection any more. */
export interface ExchangeOwner {
  ended(): void
}

export class Exchange implements Dispatcher.DispatchHandler {
  readonly answered: Promise<EgressAnswer>
  readonly #ctx: Ctx
  readonly #bytesMax: number
  readonly #owner: ExchangeOwner
  readonly #onOver: () => void
  #resolve!: (answer: EgressAnswer) => void
  #reject!: (error: RipstopError) => void
  #controller: Controller | undefined
  #status = 0
  #headers: EgressAnswer['headers'] = {}
  #chunks: Buffer[] | undefined
  #bytes = 0
  #isSettled = false
  #isEnded = false

  constructor(ctx: Ctx, bytesMax: number, owner: ExchangeOwner) {
    this.#ctx = ctx
    this.#bytesMax = bytesMax
    this.#owner = owner
    this.answered = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    this.#onOver = () => this.#abandon()
    ctx.signal.addEventListener('abort', this.#onOver, { once: true })
  }

  onRequestStart(controller: Controller): void {
    // Thrown here, undici gives the request up and keeps the connection.
    if (this.#isSettled) throw new RipstopError('CANCELLED', 'nobody waits for the answer')
    this.#controller = controller
  }

  onResponseStart(_controller: Controller, status: number, headers: EgressAnswer['headers']): void {
    this.#status = status
    this.#headers = headers
  }

  onResponseData(controller: Controller, chunk: Buffer): void {
    const room = this.#bytesMax - this.#bytes
    const isCut = chunk.length > room
    // A copy: what arrived is a window into a buffer of 64 KiB, which would be kept with it.
    if (room > 0) {
      const copy = Buffer.from(isCut ? chunk.subarray(0, room) : chunk)
      if (this.#chunks === undefined) this.#chunks = [copy]
      else this.#chunks.push(copy)
      this.#bytes += copy.length
    }
    if (!isCut) return
    this.#succeed(true)
    controller.abort(new RipstopError('CANCELLED', 'the rest of a long answer'))
  }

  onResponseEnd(): void {
    this.#end()
    this.#succeed(false)
  }

  onResponseError(_controller: Controller | null, error: Error): void {
    this.#end()
    if (!this.#isSettled) this.#fail(readFailure(error, this.#controller !== undefined, this.#status))
  }

  #abandon(): void {
    const reason = this.#ctx.reason ?? new RipstopError('DEADLINE_EXCEEDED', 'the deadline passed')
    const hasStarted = this.#controller !== undefined
    this.#fail(withSent(reason, hasStarted, this.#status))
    this.#controller?.abort(reason)
  }

  #succeed(isCut: boolean): void {
    if (!this.#settle()) return
    const chunks = this.#chunks
    const body =
      chunks === undefined ? EMPTY : chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks, this.#bytes)
    this.#resolve({ status: this.#status, headers: this.#headers, body, isCut })
  }

  #fail(error: RipstopError): void {
    if (this.#settle()) this.#reject(error)
  }

  #settle(): boolean {
    if (this.#isSettled) return false
    this.#isSettled = true
    this.#ctx.signal.removeEventListener('abort', this.#onOver)
    return true
  }

  #end(): void {
    if (this.#isEnded) return
    this.#isEnded = true
    this.#owner.ended()
  }
}

/** What a failure of undici's means. `status`: of an answer whose head was here, else 0. */
function readFailure(error: Error, hasStarted: boolean, status: number): RipstopError {
  // The guard's, or our own at the end.
  if (isRipstopError(error)) return error.sent === undefined ? withSent(error, hasStarted, status) : error
  const cause = codeOf(error)
  if (cause === 'UND_ERR_INVALID_ARG' || cause === 'UND_ERR_REQ_CONTENT_LENGTH_MISMATCH') {
    return refusal('request', `the request can't be sent: ${error.message}`, error)
  }
  const fault = httpFault(error, hasStarted)
  // Before a request starts there is but one failure: there is no connection for it. After, there is a rest that nobody
  // listed (EPROTO, EACCES …), and the connection is gone.
  const code = hasStarted ? (fault?.code ?? 'LINK_LOST') : 'LINK_DOWN'
  return new RipstopError(code, fault?.message ?? `the connection failed: ${cause}`, {
    cause: error,
    sent: hasStarted ? 'maybe' : 'no',
    details: { cause, ...(status === 0 ? {} : { status }) },
  })
}

function withSent(reason: RipstopError, hasStarted: boolean, status: number): RipstopError {
  return new RipstopError(reason.code, reason.message, {
    cause: reason,
    sent: hasStarted ? 'maybe' : 'no',
    details: status === 0 ? {} : { status },
  })
}

function codeOf(error: Error): string {
  return 'code' in error && typeof error.code === 'string' ? error.code : error.name
}
