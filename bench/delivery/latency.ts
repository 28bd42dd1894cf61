// From the sending of a publish to the first byte at the receiver, one event a request, 200 a second.

import { percentile, type Result } from '../statistics.ts'
import { startRipstop } from './ours.ts'
import { pause, type Stand, untilProgress } from './stand.ts'

const PER_SECOND = 200
const WARM_SECONDS_MAX = 10

export interface Part {
  readonly results: readonly Result[]
  readonly notes: readonly string[]
}

export async function latency(stand: Stand, seconds: number): Promise<Part> {
  await using ours = await startRipstop(stand)
  await ours.start()
  const { receiver } = stand
  const warmSeconds = Math.min(WARM_SECONDS_MAX, seconds)
  const warm = PER_SECOND * warmSeconds
  const count = PER_SECOND * seconds
  await receiver.ask('reset', warm + count)
  await ours.publisher.ask('pace', { from: 0, perSecond: PER_SECOND, seconds: warmSeconds, types: ours.types })
  const sentUs = await ours.publisher.ask<Float64Array>('pace', {
    from: warm,
    perSecond: PER_SECOND,
    seconds,
    types: ours.types,
  })
  await untilProgress(receiver, warm + count)
  await pause(100)
  const arrivedUs = await receiver.ask<Float64Array>('arrivals')
  const ms = latenciesMs(sentUs, arrivedUs, warm)
  const [p50, p99] = [percentile(ms, 50), percentile(ms, 99)]
  return {
    results: [
      { what: 'publish to first byte, 200/s, p50', figure: `${p50.toFixed(1)} ms`, asked: '<= 25 ms', met: p50 <= 25 },
      { what: 'its p99', figure: `${p99.toFixed(1)} ms`, asked: '<= 100 ms', met: p99 <= 100 },
    ],
    notes: [`latency: ${count} events, one a request, open loop; max ${percentile(ms, 100).toFixed(1)} ms`],
  }
}

/** Of numbers `from` and up, in the order of sending. Throws if one never came. */
export function latenciesMs(sentUs: Float64Array, arrivedUs: Float64Array, from: number): number[] {
  return Array.from(sentUs, (sent, index) => {
    const arrived = arrivedUs[from + index] ?? 0
    if (arrived === 0) throw new Error(`event ${from + index} never came`)
    return (arrived - sent) / 1_000
  })
}
