// What links survive: every fault on every kind of link, ours beside the client library alone, in the same harness and
// run. Each client makes a call every 50 ms; measured are the time from the heal (an independent probe is answered) to the
// first success, and the calls that never settled. Stands work side by side, each with a server and a proxy of its own.
// For a part of it: FAULTS_ONLY=redis/half_open, FAULTS_REPEATS, FAULTS_LIBRARY_REPEATS, FAULTS_WINDOW_MS.

import { appendFileSync } from 'node:fs'
import { loadavg } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { type CellResult, FAULTS, type Fault, runCell } from './faults/cell.ts'
import { CONNECT, DEADLINE_MS, LIBRARY, type Side } from './faults/contestants.ts'
import { type Kind, startStand } from './faults/stands.ts'
import { median, percentile, type Result, report } from './statistics.ts'

const KINDS: readonly Kind[] = ['postgres', 'redis', 'http', 'websocket']
const SIDES: readonly Side[] = ['ours', 'library']
const REPEATS: Readonly<Record<Side, number>> = {
  ours: Number(process.env.FAULTS_REPEATS ?? 12),
  library: Number(process.env.FAULTS_LIBRARY_REPEATS ?? 2),
}
const WINDOW_MS = Number(process.env.FAULTS_WINDOW_MS ?? 15_000)
const CHOSEN = process.env.FAULTS_ONLY ?? ''
const STANDS: Readonly<Record<Side, number>> = { ours: 2, library: 1 }

interface Cell {
  readonly kind: Kind
  readonly side: Side
  readonly fault: Fault
  readonly results: CellResult[]
}

const cells: readonly Cell[] = KINDS.flatMap((kind) =>
  SIDES.flatMap((side) => FAULTS.map((fault) => ({ kind, side, fault, results: [] }))),
).filter(({ kind, fault }) => `${kind}/${fault.name}`.startsWith(CHOSEN))

const startedMs = performance.now()
const loadBefore = loadavg()[0] ?? 0
const stalls = monitorEventLoopDelay({ resolution: 5 })
stalls.enable()
const lanes = KINDS.flatMap((kind) => SIDES.map((side) => runLane(kind, side)))
await Promise.allSettled(lanes) // whatever went wrong in one, every server is gone before it is told
await Promise.all(lanes)
stalls.disable()
const minutes = (performance.now() - startedMs) / 60_000
report('faults', createResults(), [
  `each cell ${REPEATS.ours} times for ours, ${REPEATS.library} times for a library, a fresh client each; a call every 50 ms; ours with the kernel's defaults and a deadline of ${DEADLINE_MS} ms, libraries as shipped`,
  'pg.Pool, ioredis (with its offline queue) and undici Pool (no bound on connections) have no deadline by default; ws reconnects nothing itself: the loop beside it connects again 1 s after a close and fails the calls under way',
  `NEVER: no success within ${WINDOW_MS / 1_000} s of the heal; hung: not settled then, the youngest 1.2 s after it was made`,
  `the slowest call of ours settled ${slowest('ours').toFixed(0)} ms after it was made (deadline ${DEADLINE_MS})`,
  `calls made after the first success that failed all the same: ours ${total('ours', 'relapsed')} of ${total('ours', 'calls')} calls, libraries ${total('library', 'relapsed')} of ${total('library', 'calls')}`,
  `the harness's event loop stalled for ${(stalls.max / 1e6).toFixed(0)} ms at worst, ${(stalls.percentile(99.9) / 1e6).toFixed(0)} ms at p99.9; load average ${loadBefore.toFixed(1)} before, ${loadavg()[0]?.toFixed(1)} after; ${minutes.toFixed(1)} minutes on ${navigator.hardwareConcurrency} cores shared with others`,
])
const table = renderCells()
process.stdout.write(table)
appendFileSync(join(import.meta.dirname, 'results', 'faults.md'), table)
process.exit(0) // what a library still waits for would keep it alive

/** All repeats of one client's cells, shared out over its stands. */
async function runLane(kind: Kind, side: Side): Promise<void> {
  const mine = cells.filter((cell) => cell.kind === kind && cell.side === side)
  const left = Array.from({ length: REPEATS[side] }, () => mine).flat()
  const work = async (): Promise<void> => {
    await using stand = await startStand(kind)
    for (let cell = left.shift(); cell !== undefined; cell = left.shift()) {
      const result = await runCell(stand, CONNECT[side][kind], cell.fault, WINDOW_MS)
      cell.results.push(result)
      const recovered = show(result.recoveredMs ?? Number.POSITIVE_INFINITY)
      const name = side === 'ours' ? `${kind}, ours` : LIBRARY[kind]
      process.stdout.write(`${name}, ${cell.fault.name}: ${recovered}, ${result.hung} of ${result.calls} hung\n`)
    }
  }
  await Promise.all(Array.from({ length: Math.min(STANDS[side], left.length) }, work))
}

function createResults(): Result[] {
  const kinds = (['fail-stop', 'silent'] as const).filter((kind) => cells.some(({ fault }) => fault.kind === kind))
  return kinds.flatMap((kind) => {
    const of = (side: Side): readonly CellResult[] =>
      resultsOf((cell) => cell.side === side && cell.fault.kind === kind)
    const ours = of('ours')
    const limitMs = kind === 'fail-stop' ? 1_000 : 1_500
    const times = ours.map(({ recoveredMs }) => recoveredMs ?? Number.POSITIVE_INFINITY)
    const reached = percentile(times, kind === 'fail-stop' ? 99 : 100)
    const hung = sum(ours, 'hung')
    return [
      {
        what: `${kind} faults: calls that never settled`,
        figure: `${hung} of ${sum(ours, 'calls')}`,
        asked: '0',
        met: hung === 0,
      },
      {
        what: `${kind} faults: recovered after the heal, ${kind === 'fail-stop' ? 'p99' : 'the slowest'} of ${times.length}`,
        figure: `${show(reached)} (median ${show(median(times))}, max ${show(percentile(times, 100))})`,
        asked: `<= ${limitMs} ms`,
        met: reached <= limitMs,
      },
      { what: `${kind} faults, the libraries alone`, figure: describe(of('library')), asked: 'beside it', met: true },
    ]
  })
}

function show(ms: number): string {
  return Number.isFinite(ms) ? `${ms.toFixed(0)} ms` : 'NEVER'
}

function describe(results: readonly CellResult[]): string {
  const never = results.filter(({ recoveredMs }) => recoveredMs === undefined).length
  const slowestMs = Math.max(0, ...timesOf(results))
  return `${sum(results, 'hung')} of ${sum(results, 'calls')} calls hung; NEVER recovered in ${never} of ${results.length}, else within ${show(slowestMs)}`
}

function renderCells(): string {
  const row = (texts: readonly string[]): string => `| ${texts.join(' | ')} |`
  const rows = KINDS.flatMap((kind) =>
    SIDES.map((side) => {
      const name = side === 'ours' ? `${kind}, ours` : `${kind}, ${LIBRARY[kind]}`
      const texts = FAULTS.map((fault) =>
        renderCell(resultsOf((cell) => cell.kind === kind && cell.side === side && cell.fault === fault)),
      )
      return row([name, ...texts])
    }),
  )
  return [
    '\nms from the heal to the first success, median / max; calls hung in all repeats, if any\n',
    row(['link, client', ...FAULTS.map(({ name }) => name)]),
    `|---|${FAULTS.map(() => '---|').join('')}`,
    ...rows,
    '',
  ].join('\n')
}

function renderCell(results: readonly CellResult[]): string {
  if (results.length === 0) return ''
  const times = timesOf(results)
  const never = results.length - times.length
  const took = `${median(times).toFixed(0)} / ${percentile(times, 100).toFixed(0)}`
  const hung = sum(results, 'hung')
  const parts = [
    never > 0 ? `**NEVER** ${never} of ${results.length}` : '',
    times.length > 0 ? took : '',
    hung > 0 ? `**${hung} hung**` : '',
  ]
  return parts.filter((part) => part !== '').join('; ')
}

function resultsOf(wanted: (cell: Cell) => boolean): readonly CellResult[] {
  return cells.filter(wanted).flatMap(({ results }) => results)
}

function timesOf(results: readonly CellResult[]): number[] {
  return results.map(({ recoveredMs }) => recoveredMs).filter((ms) => ms !== undefined)
}

function sum(results: readonly CellResult[], what: 'calls' | 'hung' | 'relapsed'): number {
  return results.reduce((total, result) => total + result[what], 0)
}

function total(side: Side, what: 'calls' | 'hung' | 'relapsed'): number {
  return sum(
    resultsOf((cell) => cell.side === side),
    what,
  )
}

function slowest(side: Side): number {
  return Math.max(0, ...resultsOf((cell) => cell.side === side).map(({ slowestMs }) => slowestMs))
}
