// A backlog of a million: what the work process weighs while it drains it, how fast it drains beside a small table, and how
// long a clean restart in the middle takes to its first delivery.

import { rssMb } from '../processes.ts'
import type { Part } from './latency.ts'
import { startRipstop } from './ours.ts'
import { measure, pause, type Stand, untilProgress } from './stand.ts'

const SAMPLE_MS = 200
/** Of the backlog: drained before the restart, and where the rate is taken. */
const RESTART_AT = 0.2
const RATE_FROM = 0.3
const RATE_TO = 0.9

export async function backlog(stand: Stand, count: number): Promise<Part> {
  const smallCount = Math.min(50_000, Math.ceil(count / 5))
  let smallPerSecond: number
  {
    await using small = await startRipstop(stand)
    smallPerSecond = (await measure(stand, small, 'loaded', smallCount, Math.ceil(smallCount / 5))).perSecond
  }
  await using ours = await startRipstop(stand)
  const { receiver } = stand
  await receiver.ask('reset', count)
  const loadMs = await timed(() => ours.load(0, count))
  const firstMs = await timed(async () => {
    await ours.start()
    await untilProgress(receiver, 1)
  })
  let peakMb = 0
  const sampler = setInterval(() => {
    ours
      .workPid()
      .then((pid) => {
        if (pid > 0) peakMb = Math.max(peakMb, rssMb(pid))
      })
      .catch(() => {}) // it ended while we looked: the restart
  }, SAMPLE_MS)
  await untilProgress(receiver, Math.round(count * RESTART_AT))
  await ours.stopWork()
  const before = await receiver.ask<number>('progress')
  const restartMs = await timed(async () => {
    await ours.start()
    await untilProgress(receiver, before + 1)
  })
  await untilProgress(receiver, Math.round(count * RATE_FROM))
  const from = { atMs: performance.now(), done: await receiver.ask<number>('progress') }
  await untilProgress(receiver, Math.round(count * RATE_TO))
  const to = { atMs: performance.now(), done: await receiver.ask<number>('progress') }
  await untilProgress(receiver, count)
  clearInterval(sampler)
  while ((await ours.undone()) > 0) await pause(SAMPLE_MS)
  const { lost, repeated } = await receiver.ask<{ lost: number; repeated: number }>('totals', count)
  const perSecond = ((to.done - from.done) / (to.atMs - from.atMs)) * 1_000
  const ratio = perSecond / smallPerSecond
  return {
    results: [
      {
        what: `RSS of the work process, backlog of ${count}`,
        figure: `${peakMb.toFixed(0)} MB`,
        asked: '<= 300 MB',
        met: peakMb <= 300,
      },
      {
        what: `drain rate beside a table of ${smallCount}`,
        figure: `${ratio.toFixed(2)} (${perSecond.toFixed(0)}/s beside ${smallPerSecond.toFixed(0)}/s)`,
        asked: '>= 0.80',
        met: ratio >= 0.8,
      },
      {
        what: 'clean restart to first delivery',
        figure: `${(restartMs / 1_000).toFixed(2)} s`,
        asked: '<= 2 s',
        met: restartMs <= 2_000,
      },
      { what: 'lost; repeated', figure: `${lost}; ${repeated}`, asked: '0; 0', met: lost === 0 && repeated === 0 },
    ],
    notes: [
      `backlog: ${count} events published over HTTP with no work process in ${(loadMs / 1_000).toFixed(0)} s; from its first start to the first delivery ${(firstMs / 1_000).toFixed(2)} s`,
    ],
  }
}

async function timed(run: () => Promise<unknown>): Promise<number> {
  const startedMs = performance.now()
  await run()
  return performance.now() - startedMs
}
