// Do an endpoint that hangs and one that fails slow a hundred healthy ones? In each half 102 endpoints get events at the same
// pace; in the halves `beside` two of them misbehave, in the others all are healthy. Every half makes its two anew, so that
// nothing is left of the one before. The pairs of two healthy halves (A/A) show the noise.

import { median, percentile } from '../statistics.ts'
import { latenciesMs, type Part } from './latency.ts'
import { type Ripstop, startRipstop } from './ours.ts'
import { pause, query, type Stand } from './stand.ts'

const HEALTHY = 100
const PER_SECOND = 306 // three a second for each of the 102
const SETTLE_MS = 500
const EMPTY_MS = 60_000
const ARRIVE_MS = 10_000

interface Half {
  readonly p50Ms: number
  readonly p99Ms: number
}

export async function interference(stand: Stand, pairs: number, seconds: number): Promise<Part> {
  await using ours = await startRipstop(stand, HEALTHY)
  await ours.start()
  const [port, other] = await stand.receiver.ask<number[]>('listen', 2)
  const half = (hanging: string, failing: string): Promise<Half> =>
    runHalf(stand, ours, seconds, [`http://127.0.0.1:${port}/${hanging}`, `http://127.0.0.1:${other}/${failing}`])
  await half('ok', 'ok') // warming up
  const quiet: Half[] = []
  const again: Half[] = []
  const beside: Half[] = []
  for (let pair = 0; pair < pairs; pair++) {
    quiet.push(await half('ok', 'ok'))
    again.push(await half('ok', 'ok'))
    beside.push(await half('hang', 'fail'))
  }
  return judge(quiet, again, beside, pairs, seconds)
}

async function runHalf(stand: Stand, ours: Ripstop, seconds: number, urls: readonly string[]): Promise<Half> {
  const extra = ['bench.x0', 'bench.x1']
  const ids: string[] = []
  for (const [index, url] of urls.entries())
    ids.push(await ours.createEndpoint({ url, event_types: [extra[index] ?? ''], deadline_ms: 1_000, concurrency: 64 }))
  await pause(SETTLE_MS)
  const count = PER_SECOND * seconds
  await stand.receiver.ask('reset', count)
  const types = [...ours.types, ...extra]
  const sentUs = await ours.publisher.ask<Float64Array>('pace', { from: 0, perSecond: PER_SECOND, seconds, types })
  const isHealthy = (_: number, n: number): boolean => n % types.length < HEALTHY
  const arrivedUs = await arrivals(stand, isHealthy)
  const ms = latenciesMs(sentUs.filter(isHealthy), arrivedUs, 0)
  for (const id of ids) await ours.deleteEndpoint(id)
  const endMs = performance.now() + EMPTY_MS
  while ((await ours.undone()) > 0) {
    if (performance.now() > endMs) throw new Error('what was meant for deleted endpoints is still there')
    await pause(100)
  }
  await query(ours.databaseUrl, 'truncate ripstop.dead_letters')
  return { p50Ms: percentile(ms, 50), p99Ms: percentile(ms, 99) }
}

/** Of the healthy ones, once all have come. */
async function arrivals(stand: Stand, isHealthy: (_: number, n: number) => boolean): Promise<Float64Array> {
  const endMs = performance.now() + ARRIVE_MS
  for (;;) {
    const arrivedUs = (await stand.receiver.ask<Float64Array>('arrivals')).filter(isHealthy)
    if (!arrivedUs.includes(0) || performance.now() > endMs) return arrivedUs
    await pause(100)
  }
}

function judge(
  quiet: readonly Half[],
  again: readonly Half[],
  beside: readonly Half[],
  pairs: number,
  seconds: number,
): Part {
  const ratios = (halves: readonly Half[], pick: keyof Half): number[] =>
    halves.map((each, pair) => each[pick] / (quiet[pair]?.[pick] ?? 1))
  const p50 = median(ratios(beside, 'p50Ms'))
  const p99 = median(ratios(beside, 'p99Ms'))
  const spread = [percentile(ratios(again, 'p99Ms'), 0), percentile(ratios(again, 'p99Ms'), 100)] as const
  const ms = (halves: readonly Half[], pick: keyof Half): string => median(halves.map((each) => each[pick])).toFixed(1)
  return {
    results: [
      {
        what: 'p50 of 100 healthy endpoints beside one that hangs and one that fails',
        figure: `${p50.toFixed(3)}x`,
        asked: '<= 1.05x',
        met: p50 <= 1.05,
      },
      {
        what: 'their p99',
        figure: `${p99.toFixed(2)}x`,
        asked: `within the control's ${spread[0].toFixed(2)} to ${spread[1].toFixed(2)}`,
        met: p99 <= spread[1],
      },
    ],
    notes: [
      `interference: medians over ${pairs} interleaved pairs of ${seconds} s at ${PER_SECOND}/s; A/A control p50 ${median(ratios(again, 'p50Ms')).toFixed(3)}x; p50 ${ms(quiet, 'p50Ms')} and ${ms(beside, 'p50Ms')} ms, p99 ${ms(quiet, 'p99Ms')} and ${ms(beside, 'p99Ms')} ms`,
    ],
  }
}
