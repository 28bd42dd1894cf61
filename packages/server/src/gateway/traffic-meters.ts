// What a route counts. Series are found once and kept: counting is an addition. A label holds only what is bounded: routes
// of the configuration, methods and statuses that exist.

import type { Counter, Histogram, Metrics } from '@ripstop/kernel'

const METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])

export class RouteMeters {
  readonly duration: Histogram
  readonly #metrics: Metrics
  readonly #route: string
  readonly #requests = new Map<string, Counter[]>()
  readonly #limited: Readonly<Record<'ip' | 'key', Counter>>

  constructor(metrics: Metrics, route: string) {
    this.#metrics = metrics
    this.#route = route
    this.duration = metrics.histogram('http_request_duration_seconds', 'Requests, answers included', { route })
    const limited = (by: string): Counter =>
      metrics.counter('rate_limited_total', 'Requests refused for their rate', { route, by })
    this.#limited = { ip: limited('ip'), key: limited('key') }
  }

  answered(method: string, status: number, durationMs: number): void {
    let byStatus = this.#requests.get(method)
    if (byStatus === undefined) {
      byStatus = []
      if (METHODS.has(method)) this.#requests.set(method, byStatus)
    }
    let counter = byStatus[status]
    if (counter === undefined) {
      const labels = { route: this.#route, method: METHODS.has(method) ? method : 'other', status: String(status) }
      counter = this.#metrics.counter('http_requests_total', 'Requests by their answer; 499: the client left', labels)
      byStatus[status] = counter
    }
    counter.add(1)
    this.duration.observe(durationMs / 1_000)
  }

  limited(by: 'ip' | 'key'): void {
    this.#limited[by].add(1)
  }
}
