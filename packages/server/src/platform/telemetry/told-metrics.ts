// What the other processes of the mesh count, as they told it last. One process answers for all: each tells what it counts every
// TELL_EVERY_MS, whether or not somebody asks, since that costs it less than being asked would.
// Invariants:
//   HM1. A process that has told nothing for FRESH_MS is not told of any more: it is gone, or hangs.

import { type Env, exposeMetrics, type MetricFamily, type Metrics } from '@ripstop/kernel'

/** What a process counts; its name is of letters alone. */
export interface ProcessMetrics {
  readonly process: string
  readonly families: readonly MetricFamily[]
}

export const TELL_EVERY_MS = 5_000
/** Two tellings may be lost or late. */
export const FRESH_MS = 3 * TELL_EVERY_MS
/** Of a process: 20 times what it has by itself, and some 1 MB as structured clone. */
export const SERIES_TOLD_MAX = 5_000

export class ToldMetrics {
  readonly #clock: Env['clock']
  /** As many as there are roles. */
  readonly #told = new Map<string, { readonly metrics: ProcessMetrics; readonly atMs: number }>()

  constructor(clock: Env['clock']) {
    this.#clock = clock
  }

  hear(metrics: ProcessMetrics): void {
    this.#told.set(metrics.process, { metrics, atMs: this.#clock.monoMs() })
  }

  /** What we count ourselves and what the others told, each sample with the name of its process. */
  expose(own: ProcessMetrics): string {
    const sinceMs = this.#clock.monoMs() - FRESH_MS
    for (const [process, { atMs }] of this.#told) if (atMs < sinceMs) this.#told.delete(process)
    const all = [own, ...[...this.#told.values()].map(({ metrics }) => metrics)]
    return exposeMetrics(all.map(({ process, families }) => ({ labels: `process="${process}"`, families })))
  }
}

/** Tells at once and then every TELL_EVERY_MS, until the returned function is called. */
export function tellMetrics(
  { clock }: Env,
  metrics: Metrics,
  tell: (families: readonly MetricFamily[]) => void,
): () => void {
  let cancel: () => void
  const turn = (): void => {
    tell(metrics.read(SERIES_TOLD_MAX))
    cancel = clock.schedule(TELL_EVERY_MS, turn)
  }
  turn()
  return () => cancel()
}
