import type { Counter, Metrics } from '@ripstop/kernel'

export interface SocketMeters {
  open: number
  readonly closed: (code: number) => void
  readonly coalesced: Counter
  readonly uncertain: (ms: number) => void
}

/** Others would let a client make a series of its own. */
const CODES: ReadonlySet<number> = new Set([1000, 1001, 1002, 1003, 1005, 1006, 1007, 1008, 1009, 1011, 1012, 1013])
/** A client may claim what it likes. */
const UNCERTAINTY_MS_MAX = 60_000

export function createSocketMeters(metrics: Metrics): SocketMeters {
  const open = metrics.gauge('session_sockets_open', 'WebSockets of live sessions that are open')
  const uncertainty = metrics.histogram(
    'session_client_uncertainty_seconds',
    'How far clients say that their idea of server time may be off',
  )
  const counters = new Map<string, Counter>()
  const meters: SocketMeters = {
    open: 0,
    closed: (given) => {
      const code = CODES.has(given) ? String(given) : 'other'
      let counter = counters.get(code)
      if (counter === undefined) {
        counter = metrics.counter('session_sockets_closed_total', 'WebSockets of live sessions that were closed', {
          code,
        })
        counters.set(code, counter)
      }
      counter.add(1)
    },
    coalesced: metrics.counter(
      'session_sockets_coalesced_total',
      'Times that a slow client was left out, to be told how things stand later',
    ),
    uncertain: (ms) => uncertainty.observe(Math.min(ms, UNCERTAINTY_MS_MAX) / 1_000),
  }
  metrics.collect(() => open.set(meters.open))
  return meters
}
