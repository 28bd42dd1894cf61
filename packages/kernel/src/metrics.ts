// Metrics in slabs: every series is an index into one Float64Array, its labels rendered once when it is made, so that
// counting costs an addition (5 ns; prom-client's labelled inc costs 0.3 us) and a scrape is one pass.
// Invariants:
//   MT1. A family holds at most SERIES_MAX series; the last is `overflow="true"`, which all further ones share, so no
//        caller can grow memory through a label.
//   MT3. A gauge that is NaN is not known, and not told.
//   MT4. What is read of them has at most as many series as were asked for, and says how many it leaves out.

import { exposeMetrics, HISTOGRAM_WIDTH, type MetricFamily, renderLabels, SECONDS_BOUNDS } from './exposition.ts'

export type Labels = Readonly<Record<string, string>>

export const SERIES_MAX = 2_000

interface Family {
  readonly name: string
  readonly help: string
  readonly type: MetricFamily['type']
  readonly series: Map<string, number> // rendered labels -> index of its first value
}

export interface Counter {
  readonly add: (count: number) => void
}
export interface Gauge {
  /** NaN: it is not known. */
  readonly set: (value: number) => void
}

export class Histogram {
  readonly #metrics: Metrics
  readonly #index: number
  /** @internal */
  constructor(metrics: Metrics, index: number) {
    this.#metrics = metrics
    this.#index = index
  }
  /** Seconds, as Prometheus has it. */
  observe(seconds: number): void {
    const values = this.#metrics.values
    let bucket = 0
    while (bucket < SECONDS_BOUNDS.length && seconds > (SECONDS_BOUNDS[bucket] as number)) bucket++
    const index = this.#index
    values[index + bucket] = (values[index + bucket] as number) + 1
    const sum = index + HISTOGRAM_WIDTH - 1
    values[sum] = (values[sum] as number) + seconds
  }
}

export class Metrics {
  /** @internal Replaced when it grows: read it anew at each use. */
  values = new Float64Array(1_024)
  #used = 0
  readonly #families = new Map<string, Family>()
  readonly #collectors: (() => void)[] = []

  counter(name: string, help: string, labels: Labels = {}): Counter {
    const index = this.#series(name, help, 'counter', labels, 1)
    return {
      add: (count) => {
        this.values[index] = (this.values[index] as number) + count
      },
    }
  }

  gauge(name: string, help: string, labels: Labels = {}): Gauge {
    const index = this.#series(name, help, 'gauge', labels, 1)
    return {
      set: (value) => {
        this.values[index] = value
      },
    }
  }

  /** In seconds, with bounds from 0.5 ms to 30 s. */
  histogram(name: string, help: string, labels: Labels = {}): Histogram {
    return new Histogram(this, this.#series(name, help, 'histogram', labels, HISTOGRAM_WIDTH))
  }

  /** Runs before every scrape, to set gauges that are read rather than counted. */
  collect(collector: () => void): void {
    this.#collectors.push(collector)
  }

  /** All there is, in the order of its making; beyond `seriesMax` series, the last ones are left out (MT4). */
  read(seriesMax = Number.POSITIVE_INFINITY): readonly MetricFamily[] {
    for (const collector of this.#collectors) collector()
    let left = seriesMax
    let leftOut = 0
    const families: MetricFamily[] = []
    for (const family of this.#families.values()) {
      const series = [...family.series].filter(
        ([, index]) => family.type !== 'gauge' || !Number.isNaN(this.values[index]),
      )
      const told = series.slice(0, left)
      left -= told.length
      leftOut += series.length - told.length
      if (told.length > 0) families.push(this.#copied(family, told))
    }
    if (leftOut > 0) families.push({ ...LEFT_OUT, values: Float64Array.of(leftOut) })
    return families
  }

  /** The whole exposition, text format 0.0.4. */
  text(): string {
    return exposeMetrics([{ labels: '', families: this.read() }])
  }

  #copied({ name, help, type }: Family, series: readonly (readonly [labels: string, index: number])[]): MetricFamily {
    const width = type === 'histogram' ? HISTOGRAM_WIDTH : 1
    const values = new Float64Array(series.length * width)
    for (const [place, [, index]] of series.entries()) {
      for (let value = 0; value < width; value++) values[place * width + value] = this.values[index + value] as number
    }
    return { name, help, type, labels: series.map(([labels]) => labels), values }
  }

  #series(name: string, help: string, type: Family['type'], labels: Labels, width: number): number {
    let family = this.#families.get(name)
    if (family === undefined) {
      family = { name, help, type, series: new Map() }
      this.#families.set(name, family)
    }
    // Another type is of another width: it would write over its neighbours in the slab.
    if (family.type !== type) throw new Error(`metric ${name} is a ${family.type}, not a ${type}`)
    const rendered = family.series.size < SERIES_MAX - 1 ? render(labels) : render(labels, family)
    const known = family.series.get(rendered)
    if (known !== undefined) return known
    const index = this.#used
    this.#used += width
    if (this.#used > this.values.length) {
      const grown = new Float64Array(Math.max(this.values.length * 2, this.#used))
      grown.set(this.values)
      this.values = grown
    }
    family.series.set(rendered, index)
    return index
  }
}

const LEFT_OUT = {
  name: 'metrics_series_left_out',
  help: 'Series that this process counts and does not tell: they are too many',
  type: 'gauge',
  labels: [''],
} as const

function render(labels: Labels, full?: Family): string {
  const rendered = renderLabels(labels)
  return full === undefined || full.series.has(rendered) ? rendered : 'overflow="true"'
}
