// Handshake. A WebSocket's opening request on a connection of its own, as undici's handler: it ends in the upstream's bare
// socket, or in an ordinary answer that says why not.

import type { Duplex } from 'node:stream'
import { RipstopError } from '@ripstop/kernel'
import { httpFault } from '@ripstop/kernel/http'
import type { Dispatcher } from 'undici'
import type { ResponseHead } from './response-head.ts'

/** A refusal of the upstream is passed on up to here. */
const ANSWER_BYTES_MAX = 65_536

/** `socket` where the upstream agreed, else `body`. */
export interface Opened {
  readonly head: ResponseHead
  readonly socket: Duplex | undefined
  readonly body: Buffer
}

type Controller = Dispatcher.DispatchController

export class Handshake implements Dispatcher.DispatchHandler {
  /** Rejects with a RipstopError that says `sent`. */
  readonly opened: Promise<Opened>
  readonly #onUnreachable: (why: string) => void
  #resolve!: (opened: Opened) => void
  #reject!: (error: unknown) => void
  #controller: Controller | undefined
  #head: ResponseHead | undefined
  #isUnwanted = false
  readonly #chunks: Buffer[] = []
  #bytes = 0

  constructor(onUnreachable: (why: string) => void) {
    this.#onUnreachable = onUnreachable
    this.opened = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
  }

  /** Nobody waits for it any more. */
  abandon(): void {
    this.#isUnwanted = true
    this.#controller?.abort(new RipstopError('CANCELLED', 'nobody waits for the handshake'))
  }

  onRequestStart(controller: Controller): void {
    if (this.#isUnwanted) throw new RipstopError('CANCELLED', 'nobody waits for the handshake')
    this.#controller = controller
  }

  onRequestUpgrade(controller: Controller, status: number, _headers: object, socket: Duplex): void {
    if (this.#isUnwanted) socket.destroy()
    else this.#resolve({ head: headOf(controller, status, 'Switching Protocols'), socket, body: Buffer.alloc(0) })
  }

  onResponseStart(controller: Controller, status: number, _headers: object, reason?: string): void {
    if (status >= 200) this.#head = headOf(controller, status, reason ?? '')
  }

  onResponseData(controller: Controller, chunk: Buffer): void {
    this.#bytes += chunk.length
    this.#chunks.push(chunk)
    if (this.#bytes <= ANSWER_BYTES_MAX) return
    const message = `it refused the WebSocket with more than ${ANSWER_BYTES_MAX} bytes`
    controller.abort(new RipstopError('PEER_FAILED', message, { sent: 'maybe' }))
  }

  onResponseEnd(): void {
    if (this.#head === undefined) this.#reject(new RipstopError('PEER_FAILED', 'it gave no answer', { sent: 'maybe' }))
    else this.#resolve({ head: this.#head, socket: undefined, body: Buffer.concat(this.#chunks, this.#bytes) })
  }

  onResponseError(_controller: Controller | null, error: Error): void {
    const hasStarted = this.#controller !== undefined
    const fault = httpFault(error, hasStarted) ?? error
    if (!hasStarted && !this.#isUnwanted && fault !== error) this.#onUnreachable(fault.message)
    this.#reject(fault)
  }
}

function headOf(controller: Controller, status: number, reason: string): ResponseHead {
  const raw = (controller.rawHeaders ?? []) as Buffer[] // as HTTP/1 has them
  return { status, reason, raw, connection: '', hasTrailers: false }
}
