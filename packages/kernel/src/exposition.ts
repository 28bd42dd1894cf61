// What is counted, as data, and written out as Prometheus reads it (text format 0.0.4). Data can cross to another process, so that one
// answers for several.
// Invariants:
//   MT2. Whoever counts a family, it is written once, with one HELP and one TYPE, its samples together.

/** A family with its series, as they were at one moment; plain data. */
export interface MetricFamily {
  readonly name: string
  readonly help: string
  readonly type: 'counter' | 'gauge' | 'histogram'
  /** Of each series, rendered: `a="1",b="2"`. */
  readonly labels: readonly string[]
  /** Of each series, one after another: one, or of a histogram its buckets and the sum. */
  readonly values: Float64Array
}

/** Families that one process counts. */
export interface MetricSource {
  /** Rendered like a family's; added to every sample, so its names must be no family's own. */
  readonly labels: string
  readonly families: readonly MetricFamily[]
}

export const SECONDS_BOUNDS: readonly number[] = [
  0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30,
]
/** Values of a histogram: its buckets, the one without a bound, the sum. */
export const HISTOGRAM_WIDTH = SECONDS_BOUNDS.length + 2

export function exposeMetrics(sources: readonly MetricSource[]): string {
  const byName = new Map<string, { readonly head: MetricFamily; readonly lines: string[] }>()
  for (const { labels, families } of sources) {
    for (const family of families) {
      let known = byName.get(family.name)
      if (known === undefined) {
        const { name, help, type } = family
        known = { head: family, lines: [`# HELP ${name} ${escaped(help)}`, `# TYPE ${name} ${type}`] }
        byName.set(name, known)
      }
      // One name is one type; two would make a reader refuse all of it.
      if (known.head.type === family.type) writeSamples(known.lines, family, labels)
    }
  }
  return `${[...byName.values()].flatMap(({ lines }) => lines).join('\n')}\n`
}

function writeSamples(lines: string[], { name, type, labels, values }: MetricFamily, more: string): void {
  for (const [place, own] of labels.entries()) {
    const all = more === '' || own === '' ? own + more : `${own},${more}`
    if (type === 'histogram') writeHistogram(lines, name, all, values, place * HISTOGRAM_WIDTH)
    else lines.push(`${name}${braced(all)} ${spell(values[place] as number)}`)
  }
}

function writeHistogram(lines: string[], name: string, labels: string, values: Float64Array, index: number): void {
  const more = labels === '' ? '' : `${labels},`
  let count = 0
  for (let bucket = 0; bucket <= SECONDS_BOUNDS.length; bucket++) {
    count += values[index + bucket] as number
    lines.push(`${name}_bucket{${more}le="${SECONDS_BOUNDS[bucket] ?? '+Inf'}"} ${count}`)
  }
  lines.push(`${name}_sum${braced(labels)} ${spell(values[index + HISTOGRAM_WIDTH - 1] as number)}`)
  lines.push(`${name}_count${braced(labels)} ${count}`)
}

export function renderLabels(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels)
    .map(([name, value]) => `${name}="${escaped(value).replaceAll('"', '\\"')}"`)
    .join(',')
}

function escaped(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')
}

/** As Prometheus spells a number. */
function spell(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return '+Inf'
  return value === Number.NEGATIVE_INFINITY ? '-Inf' : String(value)
}

function braced(labels: string): string {
  return labels === '' ? '' : `{${labels}}`
}
