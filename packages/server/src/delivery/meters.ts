// What the engine counts.

import type { Counter, Histogram, Metrics } from '@ripstop/kernel'
import type { Answer } from './kind.ts'

export interface Meters {
  readonly ended: (kind: string, outcome: Answer['outcome'] | 'dead') => void
  /** Of a first attempt: from when it was due to when it was handed to its kind, in ms. */
  readonly lag: Histogram
  readonly batches: Counter
  readonly repeats: Counter
}

export function createMeters(
  metrics: Metrics,
  read: () => { readonly underWay: number; readonly held: number; readonly shards: number },
): Meters {
  const underWay = metrics.gauge('deliveries_under_way', 'Deliveries sent and not settled yet')
  const held = metrics.gauge('deliveries_in_memory', 'Undone deliveries that are in memory')
  const shards = metrics.gauge('delivery_shards_owned', 'Shards of deliveries that this process owns')
  metrics.collect(() => {
    const now = read()
    underWay.set(now.underWay)
    held.set(now.held)
    shards.set(now.shards)
  })
  const counters = new Map<string, Counter>()
  return {
    ended: (kind, outcome) => {
      const name = `${kind} ${outcome}`
      let counter = counters.get(name)
      if (counter === undefined) {
        counter = metrics.counter('deliveries_total', 'Attempts by what came of them, and dead letters', {
          kind,
          outcome,
        })
        counters.set(name, counter)
      }
      counter.add(1)
    },
    lag: metrics.histogram(
      'delivery_lag_seconds',
      'From the publication of a delivery to the start of its first attempt',
    ),
    batches: metrics.counter('delivery_batches_total', 'Statements that settled deliveries'),
    repeats: metrics.counter('delivery_may_repeat_total', 'Attempts that another owner may have made before'),
  }
}
