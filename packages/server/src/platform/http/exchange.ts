// Exchange. One request on its way through the control API: what it is traced by, until when it may take, and what is
// counted when it is over, however it ends.

import type { IncomingMessage, ServerResponse } from 'node:http'
import { type Ctx, createId, type Env, type Metrics, RipstopError } from '@ripstop/kernel'
import type { Principal } from './principal.ts'
import type { Route } from './route.ts'
import { traceOf } from './trace.ts'

export interface Exchange {
  readonly ctx: Ctx
  readonly traceId: string
  readonly requestId: string
  readonly response: ServerResponse
  /** When the last byte of the request came in, on the monotonic clock. */
  receivedMonoMs: number
  /** The whole request came at once. */
  isWhole: boolean
  route: Route | undefined
  principal: Principal | undefined
  body: Buffer | undefined
}

export interface ExchangeDeps {
  readonly env: Env
  readonly metrics: Metrics
  readonly root: Ctx
  readonly deadlineMs: number
}

const REQUEST_ID = /^[A-Za-z0-9._-]{1,64}$/

/** Begins an exchange. Its ctx is cancelled when the client goes away and let go when the answer is out. */
export function beginExchange(deps: ExchangeDeps, request: IncomingMessage, response: ServerResponse): Exchange {
  const { env, metrics } = deps
  const startedMs = env.clock.monoMs()
  const { traceId, traceparent } = traceOf(single(request.headers.traceparent))
  const given = single(request.headers['x-request-id'])
  const exchange: Exchange = {
    ctx: deps.root.within(deps.deadlineMs),
    traceId,
    requestId: given !== undefined && REQUEST_ID.test(given) ? given : createId(env.clock.wallMs()),
    response,
    receivedMonoMs: startedMs,
    isWhole: false,
    route: undefined,
    principal: undefined,
    body: undefined,
  }
  // What came with the head has been parsed by then; what came later is timed when it is read.
  setImmediate(() => {
    exchange.isWhole = request.complete
  })
  response.setHeader('Traceparent', traceparent)
  response.setHeader('X-Request-Id', exchange.requestId)
  response.once('close', () => {
    if (!response.writableFinished) exchange.ctx.cancel(new RipstopError('CANCELLED', 'the client went away'))
    exchange.ctx[Symbol.dispose]()
    const labels = {
      method: exchange.route?.method ?? 'other',
      route: exchange.route?.path ?? 'none',
      status: String(response.headersSent ? response.statusCode : 499),
    }
    metrics.counter('http_requests_total', 'Requests by route, method and status', labels).add(1)
    if (exchange.route?.response === 'text/event-stream') return // as long as its client likes
    metrics
      .histogram('http_request_duration_seconds', 'From the head of the request to the end of the answer', {
        route: labels.route,
      })
      .observe((env.clock.monoMs() - startedMs) / 1000)
  })
  return exchange
}

function single(header: string | readonly string[] | undefined): string | undefined {
  return typeof header === 'string' ? header : undefined
}
