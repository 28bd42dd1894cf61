// Medians, percentiles and the table of results: what every benchmark prints.

import { writeFileSync } from 'node:fs'
import { loadavg } from 'node:os'
import { join } from 'node:path'

export function median(values: readonly number[]): number {
  return percentile(values, 50)
}

/** Nearest rank. */
export function percentile(values: readonly number[], percent: number): number {
  const sorted = values.toSorted((left, right) => left - right)
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil((percent / 100) * sorted.length) - 1))] ?? Number.NaN
}

export interface Result {
  readonly what: string
  readonly figure: string
  readonly asked: string
  readonly met: boolean
}

/** Prints the results and keeps them for bench/RESULTS.md; those of a `--quick` or `--only` run are no results. */
export function report(name: string, results: readonly Result[], notes: readonly string[] = []): void {
  const lines = results.map(
    ({ what, figure, asked, met }) => `| ${what} | ${figure} | ${asked} | ${met ? 'yes' : 'NO'} |`,
  )
  const head = `### ${name}\n\nCommand: \`npm run bench ${name}\` · Node ${process.versions.node} · load average before ${loadavg()[0]?.toFixed(1)}\n`
  const table = ['| what | reached | asked | met |', '|---|---|---|---|', ...lines].join('\n')
  const text = `${head}\n${table}\n${notes.length === 0 ? '' : `\n${notes.map((note) => `- ${note}`).join('\n')}\n`}`
  process.stdout.write(`\n${text}\n`)
  const isWhole = !process.argv.includes('--quick') && !process.argv.includes('--only')
  if (isWhole) writeFileSync(join(import.meta.dirname, 'results', `${name}.md`), text)
}

/** CPU time of this process that `work` takes, us. */
export async function cpuUs(work: () => Promise<void>): Promise<number> {
  const before = process.cpuUsage()
  await work()
  const used = process.cpuUsage(before)
  return used.user + used.system
}
