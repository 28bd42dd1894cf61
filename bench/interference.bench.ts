// Does one hanging upstream slow a healthy one? Ten interleaved pairs: the healthy route's latency while the other route is
// idle (control) and while it is full of requests that hang; and the same between two idle halves (A/A), for the noise.

import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { load, scratch, startMesh, startUpstream } from './processes.ts'
import { median, percentile, report } from './statistics.ts'

const PAIRS = 10
const SECONDS = 2
const HANGING = 300

const hang: Server = createServer((request, response) => {
  if (request.url === '/health') response.end('ok')
  // else: never
})
await new Promise<void>((resolve) => hang.listen(0, '127.0.0.1', resolve))
const hangPort = (hang.address() as AddressInfo).port

using folder = scratch()
await using upstream = await startUpstream(folder.path)
await using mesh = await startMesh(
  folder.path,
  `upstreams:
  healthy: { url: 'http://127.0.0.1:${upstream.port}' }
  hanging: { url: 'http://127.0.0.1:${hangPort}', probe: { path: /health }, deadline_ms: 2000, bulkhead: { concurrent: 64, queue: 64 } }
routes:
  - { path: /healthy, upstream: healthy, rate_limit: { per_minute: 100000000 } }
  - { path: /hanging, upstream: hanging, rate_limit: { per_minute: 100000000 } }
`,
  '/healthy',
)
const base = `http://127.0.0.1:${mesh.port}`

const quiet: { readonly p50Ms: number; readonly p99Ms: number }[] = []
const again: typeof quiet = []
const beside: typeof quiet = []
load(`${base}/healthy`, 8, 2)
for (let pair = 0; pair < PAIRS; pair++) {
  quiet.push(load(`${base}/healthy`, 8, SECONDS))
  again.push(load(`${base}/healthy`, 8, SECONDS))
  const stop = keepHanging()
  await new Promise((resolve) => setTimeout(resolve, 300))
  beside.push(load(`${base}/healthy`, 8, SECONDS))
  await stop()
}
hang.closeAllConnections()
hang.close()

const ratios = (left: typeof quiet, pick: 'p50Ms' | 'p99Ms'): number[] =>
  left.map((each, pair) => each[pick] / (quiet[pair]?.[pick] ?? 1))
const p50 = median(ratios(beside, 'p50Ms'))
const p99 = median(ratios(beside, 'p99Ms'))
const spread = [percentile(ratios(again, 'p99Ms'), 0), percentile(ratios(again, 'p99Ms'), 100)] as const
report(
  'interference',
  [
    {
      what: 'p50 of the healthy route beside a hanging one',
      figure: `${p50.toFixed(3)}x`,
      asked: '<= 1.05x',
      met: p50 <= 1.05,
    },
    {
      what: 'its p99',
      figure: `${p99.toFixed(2)}x`,
      asked: `within the control's ${spread[0].toFixed(2)} to ${spread[1].toFixed(2)}`,
      met: p99 >= spread[0] && p99 <= spread[1],
    },
  ],
  [
    `medians over ${PAIRS} interleaved pairs of ${SECONDS} s; A/A control p50 ${median(ratios(again, 'p50Ms')).toFixed(3)}x; up to ${HANGING} requests kept hanging`,
  ],
)
process.exit(0)

/** Requests that hang, replaced as the gateway gives them up; the returned function stops and waits for the last. */
function keepHanging(): () => Promise<void> {
  const stopping = new AbortController()
  const workers = Array.from({ length: HANGING }, async () => {
    while (!stopping.signal.aborted) {
      try {
        const response = await fetch(`${base}/hanging`, { signal: stopping.signal })
        await response.arrayBuffer()
        await new Promise((resolve) => setTimeout(resolve, 200)) // a client that heard Retry-After
      } catch {
        // stopped
      }
    }
  })
  return async () => {
    stopping.abort()
    await Promise.all(workers)
  }
}
