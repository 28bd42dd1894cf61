// Exchange. One request from its arrival to the last byte of its answer: passes the guard, asks the upstream through its
// link (deadline, retries, breaker, bulkhead), and hands the answer on as it comes. The link's deadline holds until the
// head of the answer; after that either side may only not fall silent for longer than the idle bound.
// Invariants:
//   EX1. Every exchange ends: by its answer, its deadline, its idle bound or the client leaving; its place is given back
//        once.
//   EX2. What is tried again is what may be: a method that is idempotent by definition, or whose upstream said so; and a
//        body only if all of it is still here.
//   EX3. A client that leaves takes its request back from the upstream.

import type { IncomingMessage, ServerResponse } from 'node:http'
import { type CallOptions, type Ctx, createId, hasCode, isRipstopError, RipstopError } from '@ripstop/kernel'
import type { HttpPool } from '@ripstop/kernel/http'
import type { Dispatcher } from 'undici'
import type { Log } from '#platform/telemetry'
import type { Kept } from '#platform/under-way'
import type { Admission } from './admission.ts'
import { Attempt, type AttemptOwner } from './attempt.ts'
import type { GatewayLimits } from './config.ts'
import { collectChunked, type Defer, idempotencyKeyOf, sendAccepted, tooLongToDefer } from './deferring.ts'
import { type Guard, Passage } from './guard.ts'
import { createRefusal, sendRefusal } from './refusal.ts'
import { collectBody, StreamedBody } from './request-body.ts'
import type { RequestHead } from './request-head.ts'
import { type Route, upstreamPath } from './route.ts'
import { traceIdOf } from './trace.ts'

export interface ExchangeDeps {
  readonly ctx: Ctx
  readonly log: Pick<Log, 'error'>
  readonly guard: Guard
  readonly admission: Admission
  readonly limits: GatewayLimits
  /** Bodies that are kept so that they can be sent again, all together. */
  readonly replay: { bytes: number }
  readonly defer: Defer | undefined
  /** Called once, when the exchange is over. */
  readonly onEnd: (exchange: Exchange) => void
  isDraining(): boolean
}

const IDEMPOTENT: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE'])

type Phase = 'guarding' | 'collecting' | 'asking' | 'answering' | 'over'

export class Exchange implements AttemptOwner, Kept {
  index = 0
  readonly #deps: ExchangeDeps
  readonly #route: Route
  readonly #request: IncomingMessage
  readonly #response: ServerResponse
  readonly #startedMs: number
  readonly #passage = new Passage()
  readonly #ctx: Ctx
  #phase: Phase = 'guarding'
  #hasPlace = false
  #attempt: Attempt | undefined
  #body: Buffer | StreamedBody | undefined
  #keptBytes = 0
  /** The client waits for our leave before it sends its body. */
  #isHeldBack = false
  /** It was us who ended the connection, for want of the rest. */
  #isCut = false
  #quietTicks = 0

  constructor(deps: ExchangeDeps, route: Route, request: IncomingMessage, response: ServerResponse) {
    this.#deps = deps
    this.#route = route
    this.#request = request
    this.#response = response
    this.#startedMs = deps.ctx.env.clock.monoMs()
    this.#ctx = deps.ctx.within(Number.POSITIVE_INFINITY)
  }

  /** `expectsContinue`: the client waits for our leave to send its body. */
  async run(expectsContinue: boolean): Promise<void> {
    this.#response.on('close', () => this.#end())
    this.#isHeldBack = expectsContinue
    try {
      this.#enter()
      await this.#deps.guard.pass(this.#request, this.#request.socket, this.#route, this.#passage, this.#ctx)
      const head = this.#passage.head as RequestHead
      if (this.#phase !== 'guarding') return // the client left meanwhile
      if (head.prefersAsync && (await this.#defer(head))) return
      if (this.#isHeldBack) this.#continue()
      if (head.bodyBytes !== 0 && !(await this.#takeBody(head.bodyBytes))) return
      this.#phase = 'asking'
      const { upstream } = this.#route
      const attempt = await upstream.link.call(this.#ctx, (pool) => this.#ask(pool, head), this.#callOptions(head))
      this.#ctx[Symbol.dispose]()
      this.#phase = 'answering'
      this.progressed()
      attempt.release(this.#response, this.#answerHeaders())
    } catch (error) {
      this.#refuse(error)
    }
  }

  /** One of the ticks by which silence is counted; after `ticksMax` quiet ones it is over. */
  tick(ticksMax: number): void {
    // Asking is bounded by the call's own deadline.
    if (this.#phase === 'asking' || ++this.#quietTicks <= ticksMax) return
    if (this.#phase === 'collecting') this.#refuse(new RipstopError('REQUEST_TIMEOUT', 'the body stopped coming'))
    else this.broke()
  }

  /** The process is about to end. */
  abort(): void {
    this.#cut()
  }

  /** @internal */
  interim(status: number, headers: Readonly<Record<string, string | string[] | undefined>>): void {
    const response = this.#response
    if (response.headersSent || this.#request.httpVersionMinor === 0) return
    try {
      if (status === 102) response.writeProcessing()
      else if (status === 103 && headers.link !== undefined) response.writeEarlyHints({ link: headers.link })
    } catch {
      // A hint that can't be written is no reason to fail the request.
    }
  }

  /** @internal */
  leftQueue(): void {
    this.#route.upstream.queued--
  }

  /** @internal */
  unreachable(why: string): void {
    this.#route.upstream.link.suspect(why)
  }

  /** @internal */
  progressed(): void {
    this.#quietTicks = 0
  }

  /** @internal */
  broke(): void {
    this.#isCut = true
    this.#cut()
  }

  #enter(): void {
    if (this.#deps.isDraining()) throw new RipstopError('LINK_CLOSED', 'this process is shutting down', { sent: 'no' })
    this.#hasPlace = this.#deps.admission.enter(this.#route.upstream.requests)
    if (this.#hasPlace) return
    throw new RipstopError('OVERLOADED', 'this process has more requests than it can take', {
      sent: 'no',
      retryAfterMs: 1_000,
    })
  }

  #continue(): void {
    this.#isHeldBack = false
    this.#response.writeContinue()
  }

  /** False: the exchange was over before the body was here. */
  async #takeBody(bodyBytes: number | undefined): Promise<boolean> {
    const { limits, replay } = this.#deps
    if (bodyBytes === undefined || bodyBytes > limits.replayBytes || replay.bytes + bodyBytes > limits.replayBytesAll) {
      this.#body = this.#createStream()
      return true
    }
    this.#phase = 'collecting'
    this.#keptBytes = bodyBytes
    replay.bytes += bodyBytes
    this.#body = await collectBody(this.#request, bodyBytes, () => this.progressed())
    return this.#phase === 'collecting'
  }

  #createStream(): StreamedBody {
    const { bodyBytesMax } = this.#route.config
    return new StreamedBody(this.#request, {
      bytesMax: bodyBytesMax,
      onProgress: () => this.progressed(),
      onTooLarge: () =>
        this.#ctx.cancel(new RipstopError('PAYLOAD_TOO_LARGE', `the body is longer than ${bodyBytesMax} bytes`)),
    })
  }

  #callOptions(head: RequestHead): CallOptions<Attempt> {
    if (this.#body instanceof StreamedBody) return this.#route.once
    const method = this.#request.method ?? ''
    if (IDEMPOTENT.has(method)) return this.#route.repeatable
    if (!this.#route.config.upstreamIdempotent) return this.#route.once
    // A repeated request must be recognized by the upstream, so it never goes without a key.
    if (!head.hasIdempotencyKey) head.headers.push('Idempotency-Key', createId(this.#ctx.env.clock.wallMs()))
    return this.#route.repeatable
  }

  /** True: it is stored, and answered so. False: it goes on as any other. */
  async #defer(head: RequestHead): Promise<boolean> {
    const { defer, guard } = this.#deps
    if (defer === undefined) return false
    const principal = this.#passage.principal ?? (await guard.identify(this.#request, this.#ctx))
    if (principal === undefined) return false
    if (this.#phase !== 'guarding') return true // the client left meanwhile
    const method = this.#request.method ?? ''
    const { config, upstream } = this.#route
    const deferrable = {
      tenantId: principal.tenantId,
      upstream: upstream.name,
      method,
      path: upstreamPath(this.#route, this.#request.url ?? '/'),
      headers: head.headers,
      repeatable: IDEMPOTENT.has(method) ? 'by method' : config.upstreamIdempotent ? 'by key' : 'no',
      deadlineMs: config.deadlineMs,
      idempotencyKey: idempotencyKeyOf(head.headers),
    } as const
    const body = head.bodyBytes === 0 ? undefined : await this.#takeWhole(head.bodyBytes)
    if (this.#isAnswered()) return true
    this.#phase = 'asking' // bounded by the call that stores it; a client that leaves gives it up
    const deferred = await defer(this.#ctx, { ...deferrable, body })
    if (this.#isAnswered()) return true
    this.#phase = 'answering'
    this.progressed()
    sendAccepted(this.#response, deferred, this.#answerHeaders())
    return true
  }

  /** Reads all of a body that is to be stored. */
  async #takeWhole(bodyBytes: number | undefined): Promise<Buffer> {
    const { limits, replay } = this.#deps
    const bytesMax = Math.min(limits.deferBytes, this.#route.config.bodyBytesMax)
    if (bodyBytes !== undefined && bodyBytes > bytesMax) throw tooLongToDefer(bytesMax)
    const keptBytes = bodyBytes ?? bytesMax
    if (replay.bytes + keptBytes > limits.replayBytesAll)
      throw new RipstopError('OVERLOADED', 'this process holds more bodies than it can take', { retryAfterMs: 1_000 })
    this.#phase = 'collecting'
    this.#keptBytes = keptBytes
    replay.bytes += keptBytes
    if (this.#isHeldBack) this.#continue()
    const progressed = (): void => this.progressed()
    if (bodyBytes !== undefined) return collectBody(this.#request, bodyBytes, progressed)
    return collectChunked(this.#request, bytesMax, progressed)
  }

  /** It was refused meanwhile, or the client left. */
  #isAnswered(): boolean {
    return this.#phase === 'over' || this.#response.headersSent
  }

  #ask(pool: HttpPool, head: RequestHead): Promise<Attempt> {
    const { upstream } = this.#route
    this.#attempt?.replace()
    if (upstream.queued >= upstream.queuedMax) {
      throw new RipstopError('OVERLOADED', 'too many requests wait for a connection', {
        sent: 'no',
        retryAfterMs: 1_000,
      })
    }
    upstream.queued++
    const attempt = new Attempt(this)
    this.#attempt = attempt
    const options: Dispatcher.DispatchOptions = {
      path: upstreamPath(this.#route, this.#request.url ?? '/'),
      method: this.#request.method ?? 'GET',
      headers: head.headers,
      body: this.#body ?? null,
      headersTimeout: 0, // the call's deadline
      bodyTimeout: 0, // the idle bound
    }
    pool.dispatch(options, attempt)
    return attempt.answered
  }

  #answerHeaders(): string[] {
    const headers = this.#passage.answerHeaders()
    if (this.#deps.isDraining()) headers.push('Connection', 'close')
    return headers
  }

  #refuse(error: unknown): void {
    if (this.#phase === 'over') return
    this.#attempt?.abandon()
    if (this.#response.headersSent || hasCode(error, 'CANCELLED')) return this.#cut()
    this.#phase = 'answering'
    this.progressed()
    const traceparent = this.#passage.head?.traceparent
    const traceId = traceparent === undefined ? undefined : traceIdOf(traceparent)
    if (!isRipstopError(error))
      this.#deps.log.error({ event: 'gateway.failed', route: this.#route.path, traceId, error })
    const refusal = createRefusal(error, {
      upstream: this.#route.upstream.name,
      ...(traceId === undefined ? {} : { traceId }),
    })
    const mustClose = this.#isHeldBack || hasCode(error, 'REQUEST_TIMEOUT')
    sendRefusal(this.#request, this.#response, refusal, this.#answerHeaders(), mustClose)
  }

  /** Ends the connection in a way that no client can take for the end of an answer. */
  #cut(): void {
    const { socket } = this.#request
    // A pipelined request that still waits for its turn to answer hears nothing of the end of its connection.
    if (socket.destroyed) this.#end()
    // Without a length or chunks the end of the connection is the end of the body: only a reset says otherwise.
    else if (this.#request.httpVersionMinor === 0 && this.#response.headersSent) socket.resetAndDestroy()
    else socket.destroy()
  }

  #end(): void {
    if (this.#phase === 'over') return
    const { upstream, meters } = this.#route
    const isAsking = this.#phase === 'asking' || this.#phase === 'guarding'
    if (isAsking) this.#ctx.cancel(new RipstopError('CANCELLED', 'the client left'))
    else this.#ctx[Symbol.dispose]()
    this.#phase = 'over'
    this.#attempt?.abandon()
    if (this.#body instanceof StreamedBody) this.#body.destroy()
    if (this.#hasPlace) this.#deps.admission.leave(upstream.requests)
    this.#deps.replay.bytes -= this.#keptBytes
    const broken = this.#isCut ? 502 : 499
    const status = this.#response.writableFinished ? this.#response.statusCode : broken
    meters.answered(this.#request.method ?? '', status, this.#deps.ctx.env.clock.monoMs() - this.#startedMs)
    this.#deps.onEnd(this)
  }
}
