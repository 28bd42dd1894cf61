// What calls get of an HTTP link. `request` is for ordinary API calls: everything bounded, JSON both ways. `dispatch`
// hands undici's own handler through, for whoever streams (the gateway): a stream in between costs a third of the whole
// request.

import type { Client, Dispatcher, Pool } from 'undici'
import type { PoolGauges } from '../../adapter.ts'
import type { Ctx } from '../../ctx.ts'
import { RipstopError } from '../../errors.ts'
import { httpFault } from './fault.ts'

export interface HttpRequest {
  readonly method: Dispatcher.HttpMethod
  /** With its query, already encoded. */
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
  /** Sent as JSON. Give this or `body`, not both. */
  readonly json?: unknown
  readonly body?: string | Uint8Array
  /** Longest answer that is taken, bytes [1 MiB]; a longer one fails with PEER_FAILED. */
  readonly answerBytesMax?: number
}

export interface HttpAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly body: Buffer
  readonly text: () => string
  /** Throws PEER_FAILED if it is not JSON. */
  readonly json: () => unknown
}

const ANSWER_BYTES_MAX = 1_048_576

export class HttpPool {
  readonly #pool: Pool
  readonly #createClient: () => Client
  readonly #alone = new Set<Client>()
  /** @internal The connection reserved for probes. */
  readonly probes: Client

  /** @internal Made by the adapter. */
  constructor(pool: Pool, createClient: () => Client) {
    this.#pool = pool
    this.#createClient = createClient
    this.probes = createClient()
  }

  /** undici's dispatch. The handler must not throw. */
  dispatch(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): void {
    this.#pool.dispatch(options, handler)
  }

  /** The same on a fresh connection of its own, outside of the pool's bound: for upgrades, which keep the connection. */
  dispatchAlone(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): void {
    const client = this.#createClient()
    this.#alone.add(client)
    client.dispatch(options, handler)
    client.close(() => this.#alone.delete(client))
  }

  /** One request, one answer, whatever its status (see `failedAnswer`). Rejects with a RipstopError that says `sent`. */
  request(ctx: Ctx, request: HttpRequest): Promise<HttpAnswer> {
    return new Promise((resolve, reject) => {
      const exchange = new Collector(ctx, request.answerBytesMax ?? ANSWER_BYTES_MAX, resolve, reject)
      if (!exchange.begin()) return
      const json = request.json !== undefined
      const headers = json ? { 'content-type': 'application/json', ...request.headers } : request.headers
      const body = json ? JSON.stringify(request.json) : request.body
      this.dispatch(
        { method: request.method, path: request.path, headers: headers ?? {}, ...(body === undefined ? {} : { body }) },
        exchange,
      )
    })
  }

  /** @internal */
  close(atOnce: boolean): void {
    const ignore = (): void => {} // what is closed has nobody left to tell
    this.probes.destroy().catch(ignore)
    if (!atOnce) return void this.#pool.close().catch(ignore)
    this.#pool.destroy().catch(ignore)
    for (const client of this.#alone) client.destroy().catch(ignore)
  }

  /** @internal */
  gauges(): PoolGauges {
    const { connected, running, pending } = this.#pool.stats
    return { size: connected, inUse: running, waiting: pending }
  }
}

/** What a call's `failed` option makes of an answer: a 5xx or 429 is a failure of the peer, all else is its answer. */
export function failedAnswer({ status, headers }: Pick<HttpAnswer, 'status' | 'headers'>): RipstopError | undefined {
  if (status < 500 && status !== 429) return undefined
  const seconds = Number(headers['retry-after'])
  return new RipstopError('PEER_FAILED', `the peer answered ${status}`, {
    sent: 'maybe',
    details: { status },
    ...(seconds > 0 && seconds <= 86_400 ? { retryAfterMs: seconds * 1_000 } : {}),
  })
}

class Collector implements Dispatcher.DispatchHandler {
  readonly #ctx: Ctx
  readonly #bytesMax: number
  readonly #resolve: (answer: HttpAnswer) => void
  readonly #reject: (error: unknown) => void
  readonly #abandon: () => void
  readonly #chunks: Buffer[] = []
  #bytes = 0
  #controller: Dispatcher.DispatchController | undefined
  #status = 0
  #headers: HttpAnswer['headers'] = {}

  constructor(ctx: Ctx, bytesMax: number, resolve: (answer: HttpAnswer) => void, reject: (error: unknown) => void) {
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

  onResponseStart(_controller: Dispatcher.DispatchController, status: number, headers: HttpAnswer['headers']): void {
    this.#status = status
    this.#headers = headers
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#bytes += chunk.length
    this.#chunks.push(chunk)
    if (this.#bytes <= this.#bytesMax) return
    const message = `the answer is longer than ${this.#bytesMax} bytes`
    this.#fail(new RipstopError('PEER_FAILED', message, { sent: 'maybe' }))
  }

  onResponseEnd(): void {
    this.#end()
    const body = Buffer.concat(this.#chunks, this.#bytes)
    const text = (): string => body.toString('utf8')
    this.#resolve({ status: this.#status, headers: this.#headers, body, text, json: () => parseJson(text()) })
  }

  onResponseError(_controller: Dispatcher.DispatchController | null, error: Error): void {
    this.#end()
    this.#reject(httpFault(error, this.#controller !== undefined) ?? error)
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

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new RipstopError('PEER_FAILED', 'the answer is not JSON', { cause, sent: 'maybe' })
  }
}
