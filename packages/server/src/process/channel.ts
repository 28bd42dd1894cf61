// The way to the supervisor. A process without one (started by hand, or orphaned) has nobody to serve and stops.

import { type Env, hasCode, isRipstopError } from '@ripstop/kernel'
import type { ProcessGraph } from '#health'
import { type ProcessMetrics, ToldMetrics } from '#platform/telemetry'
import type { FromProcess, ToProcess } from '#supervisor'

export interface Channel {
  readonly send: (message: FromProcess) => void
  /** Hears where the database is, now and whenever it moves. */
  readonly onDatabase: (listener: (url: string) => void) => void
  /** The graphs of the supervisor and of the other processes, as last heard. */
  readonly otherGraphs: () => readonly ProcessGraph[]
  /** What this process counts and what the others do, as last heard, as Prometheus reads it. */
  readonly exposeMetrics: (own: ProcessMetrics) => string
  /** Tells the supervisor if `done` fails in a way that starting again won't mend. */
  readonly refuseWith: (done: Promise<void>) => void
  /** Resolves when the supervisor says stop, or is gone. */
  readonly stopped: Promise<string>
}

export function openChannel({ clock }: Env): Channel {
  const stopping = Promise.withResolvers<string>()
  let databaseUrl: string | undefined
  let hearDatabase: ((url: string) => void) | undefined
  const metrics = new ToldMetrics(clock)
  let graphs: readonly ProcessGraph[] = []
  const send = (message: FromProcess): void => {
    // A closed channel has no reader; that it closed is heard as `disconnect`.
    if (process.connected) process.send?.(message, undefined, undefined, () => undefined)
  }
  process.on('message', (message: ToProcess) => {
    switch (message.type) {
      case 'ping':
        send({ type: 'pong', id: message.id })
        return
      case 'database':
        databaseUrl = message.url
        hearDatabase?.(message.url)
        return
      case 'graphs':
        graphs = message.graphs
        return
      case 'metrics':
        metrics.hear(message.metrics)
        return
      case 'stop':
        stopping.resolve('stop')
        return
      default:
        message satisfies never
    }
  })
  process.once('disconnect', () => stopping.resolve('the supervisor is gone'))
  // Ctrl-C reaches every process of the terminal; the supervisor decides what it means and in which order we stop.
  process.on('SIGINT', () => undefined)
  process.on('SIGTERM', () => stopping.resolve('SIGTERM'))
  return {
    send,
    onDatabase: (listener) => {
      hearDatabase = listener
      if (databaseUrl !== undefined) listener(databaseUrl)
    },
    otherGraphs: () => graphs,
    exposeMetrics: (own) => metrics.expose(own),
    refuseWith: (done) => {
      done.catch((error) => {
        if (!isRipstopError(error) || error.retry || hasCode(error, 'CANCELLED')) return
        send({ type: 'refused', code: error.code, message: error.message })
        stopping.resolve(error.code)
      })
    },
    stopped: process.connected ? stopping.promise : Promise.resolve('no supervisor'),
  }
}
