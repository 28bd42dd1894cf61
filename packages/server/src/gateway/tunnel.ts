// Tunnel. A WebSocket that passes through: the same guard, link, breaker and deadline as any request until the upstream
// has agreed, then two sockets and nothing in between. Bytes are not looked at, so a tunnel can't be closed politely in
// the middle of a frame: at the end both sides get a FIN and come back to another process.
// Invariants:
//   TU1. Whichever side ends or breaks, the other is ended too, and the tunnel's place is given back once.
//   TU2. A side that takes nothing for the idle bound while bytes wait for it, or that does not end after the other one
//        has, is cut off.

import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { type CallOptions, type Ctx, hasCode, isRipstopError, RipstopError } from '@ripstop/kernel'
import type { HttpPool } from '@ripstop/kernel/http'
import type { Log } from '#platform/telemetry'
import type { Kept } from '#platform/under-way'
import type { Admission } from './admission.ts'
import { type Guard, Passage } from './guard.ts'
import { Handshake, type Opened } from './handshake.ts'
import { createRefusal, sendRawRefusal } from './refusal.ts'
import type { RequestHead } from './request-head.ts'
import { createResponseHeaders } from './response-head.ts'
import { type Route, upstreamPath } from './route.ts'
import { traceIdOf } from './trace.ts'

export interface TunnelDeps {
  readonly ctx: Ctx
  readonly log: Pick<Log, 'error'>
  readonly guard: Guard
  readonly admission: Admission
  readonly onEnd: (tunnel: Tunnel) => void
  isDraining(): boolean
}

const KEEP_ALIVE_MS = 30_000
/** Well-behaved clients send nothing before they have an answer. */
const EARLY_BYTES_MAX = 65_536

export class Tunnel implements Kept {
  index = 0
  readonly #deps: TunnelDeps
  readonly #route: Route
  readonly #request: IncomingMessage
  readonly #client: Socket
  readonly #ctx: Ctx
  readonly #startedMs: number
  readonly #passage = new Passage()
  #upstream: Socket | undefined
  #handshake: Handshake | undefined
  #hasPlace = false
  /** What the client sent before the upstream had agreed. */
  #early: Buffer[] = []
  #earlyBytes = 0
  #isOver = false
  #isEnding = false
  #quietTicks = 0
  #bytesMoved = 0

  constructor(deps: TunnelDeps, route: Route, request: IncomingMessage, client: Socket) {
    this.#deps = deps
    this.#route = route
    this.#request = request
    this.#client = client
    this.#ctx = deps.ctx.within(Number.POSITIVE_INFINITY)
    this.#startedMs = deps.ctx.env.clock.monoMs()
  }

  /** `head`: what the client sent after its request. */
  async run(head: Buffer): Promise<void> {
    this.#client.on('error', () => {}) // close follows
    this.#client.once('close', () => this.abort())
    if (this.#client.destroyed) return this.abort()
    this.#keepEarly(head)
    // It has to be read, or nobody would notice that the client left.
    this.#client.on('data', this.#keepEarly)
    this.#client.once('end', this.#leftEarly)
    try {
      this.#enter()
      if (!this.#route.config.websocket) throw new RipstopError('BAD_REQUEST', 'this path takes no WebSockets')
      await this.#deps.guard.pass(this.#request, this.#client, this.#route, this.#passage, this.#ctx)
      const requestHead = this.#passage.head as RequestHead
      const options: CallOptions<Opened> = {
        idempotent: true, // an opening request that failed has opened nothing
        deadlineMs: this.#route.config.deadlineMs,
        failed: ({ head: { status } }) =>
          status >= 502 && status <= 504
            ? new RipstopError('PEER_FAILED', `the upstream answered ${status}`, { sent: 'maybe' })
            : undefined,
      }
      const { link } = this.#route.upstream
      const opened = await link.call(this.#ctx, (pool) => this.#ask(pool, requestHead), options)
      this.#answer(opened)
    } catch (error) {
      this.#refuse(error)
    }
  }

  /** One of the ticks by which silence is counted (TU2). */
  tick(ticksMax: number): void {
    const upstream = this.#upstream
    const moved = this.#client.bytesWritten + (upstream?.bytesWritten ?? 0)
    const isStuck = this.#isEnding || this.#client.writableNeedDrain || upstream?.writableNeedDrain === true
    const hasMoved = moved !== this.#bytesMoved
    this.#bytesMoved = moved
    this.#quietTicks = isStuck && !hasMoved ? this.#quietTicks + 1 : 0
    if (this.#quietTicks > ticksMax) this.abort()
  }

  /** Ends both sides, so that what is on its way still arrives. */
  finish(): void {
    this.#isEnding = true
    this.#client.end()
    this.#upstream?.end()
  }

  /** Cuts both sides off. */
  abort(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#ctx.cancel(new RipstopError('CANCELLED', 'the tunnel is over'))
    this.#handshake?.abandon()
    this.#client.destroy()
    this.#upstream?.destroy()
    if (this.#hasPlace) this.#deps.admission.leave(this.#route.upstream.tunnels)
    this.#deps.onEnd(this)
  }

  readonly #keepEarly = (chunk: Buffer): void => {
    this.#early.push(chunk)
    this.#earlyBytes += chunk.length
    if (this.#earlyBytes > EARLY_BYTES_MAX) this.#client.pause()
  }

  readonly #leftEarly = (): void => this.abort()

  #enter(): void {
    if (this.#deps.isDraining()) throw new RipstopError('LINK_CLOSED', 'this process is shutting down', { sent: 'no' })
    this.#hasPlace = this.#deps.admission.enter(this.#route.upstream.tunnels)
    if (this.#hasPlace) return
    throw new RipstopError('OVERLOADED', 'this process has more WebSockets than it can carry', {
      sent: 'no',
      retryAfterMs: 1_000,
    })
  }

  #ask(pool: HttpPool, { headers }: RequestHead): Promise<Opened> {
    const { link } = this.#route.upstream
    this.#handshake?.abandon()
    const handshake = new Handshake((why) => link.suspect(why))
    this.#handshake = handshake
    const path = upstreamPath(this.#route, this.#request.url ?? '/')
    const { deadlineMs } = this.#route.config
    pool.dispatchAlone({ path, method: 'GET', headers, upgrade: 'websocket', headersTimeout: deadlineMs }, handshake)
    return handshake.opened
  }

  #answer({ head, socket, body }: Opened): void {
    this.#handshake = undefined
    if (this.#isOver) {
      socket?.destroy()
      return
    }
    this.#count(head.status)
    const headers = [...createResponseHeaders(head, false), ...this.#passage.answerHeaders()]
    if (socket === undefined) {
      this.#isEnding = true
      // The answer is whole: its length says so, whatever said it before.
      const rest = headers.filter((_, index, all) => all[index - (index % 2)]?.toLowerCase() !== 'content-length')
      sendRawRefusal(this.#client, { status: head.status, headers: rest, body }, [
        'Content-Length',
        String(body.length),
      ])
      return
    }
    const lines = ['HTTP/1.1 101 Switching Protocols', 'Connection: Upgrade', 'Upgrade: websocket']
    for (let index = 0; index < headers.length; index += 2) lines.push(`${headers[index]}: ${headers[index + 1]}`)
    this.#client.write(`${lines.join('\r\n')}\r\n\r\n`, 'latin1')
    this.#join(socket)
  }

  #join(duplex: Duplex): void {
    const upstream = duplex as Socket // HTTP/1 gives its own socket
    const client = this.#client
    this.#upstream = upstream
    for (const socket of [client, upstream]) {
      socket.setTimeout(0)
      socket.setNoDelay(true)
      socket.setKeepAlive(true, KEEP_ALIVE_MS)
      socket.once('end', () => {
        this.#isEnding = true
      })
    }
    upstream.on('error', () => {}) // close follows
    upstream.once('close', () => this.#closed(client))
    client.off('data', this.#keepEarly)
    client.off('end', this.#leftEarly)
    for (const chunk of this.#early) upstream.write(chunk)
    this.#early = []
    client.pipe(upstream)
    upstream.pipe(client)
    if (this.#deps.isDraining()) this.finish()
  }

  /** One side is closed: what it sent still goes out to the other, then that is over too. */
  #closed(other: Socket): void {
    this.#isEnding = true
    if (other.writableLength === 0) this.abort()
    else other.end()
  }

  #refuse(error: unknown): void {
    if (this.#isOver) return
    this.#handshake?.abandon()
    if (hasCode(error, 'CANCELLED')) return this.abort()
    const traceparent = this.#passage.head?.traceparent
    const traceId = traceparent === undefined ? undefined : traceIdOf(traceparent)
    if (!isRipstopError(error))
      this.#deps.log.error({ event: 'gateway.failed', route: this.#route.path, traceId, error })
    const refusal = createRefusal(error, {
      upstream: this.#route.upstream.name,
      ...(traceId === undefined ? {} : { traceId }),
    })
    this.#isEnding = true
    this.#count(refusal.status)
    sendRawRefusal(this.#client, refusal, this.#passage.answerHeaders())
  }

  #count(status: number): void {
    this.#route.meters.answered('GET', status, this.#deps.ctx.env.clock.monoMs() - this.#startedMs)
  }
}
