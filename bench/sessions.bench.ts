// Live sessions: the store, HTTP, fan-out over processes, a crowd, lost updates, timeouts, write-behind, and broadcast, each beside its peer
// where there is one. Real Redis with an append-only file (fsync every second), real Postgres with fsync.
// --quick: small numbers, for development. --only store|http|crossing|crowd|lost|timeouts|drain|broadcast.

import { fdatasyncP50Ms, measureForeign } from './machine.ts'
import { scratch } from './processes.ts'
import { broadcast } from './sessions/broadcast.ts'
import { crossing } from './sessions/crossing.ts'
import { crowd } from './sessions/crowd.ts'
import { drain } from './sessions/drain.ts'
import { httpLatency } from './sessions/http.ts'
import { lostBySeed, lostUpdates } from './sessions/lost.ts'
import { storeThroughput } from './sessions/store-throughput.ts'
import { timeouts } from './sessions/timeouts.ts'
import { type Result, report } from './statistics.ts'

const QUICK = process.argv.includes('--quick')
const only = process.argv.indexOf('--only') + 1
const results: Result[] = []
const notes: string[] = []

interface Found {
  readonly results: readonly Result[]
  readonly notes?: readonly string[]
}

const plain = async (results: Promise<readonly Result[]>): Promise<Found> => ({ results: await results })

const PARTS: Readonly<Record<string, () => Promise<Found>>> = {
  store: () => storeThroughput(QUICK ? 5_000 : 60_000, QUICK ? 1 : 5),
  http: async () => ({
    results: [
      ...(await httpLatency('redis', QUICK ? 500 : 8_000)),
      ...(await httpLatency('postgres', QUICK ? 300 : 3_000)),
    ],
  }),
  crossing: () => plain(crossing(QUICK ? 3 : 30)),
  crowd: () => crowd(QUICK ? 1_000 : 10_000, QUICK ? 5 : 40),
  lost: async () => ({
    results: [
      ...(await lostUpdates('redis', QUICK ? 3 : 60)),
      ...(await lostUpdates('postgres', QUICK ? 3 : 60)),
      ...(await lostBySeed(QUICK ? 3 : 20)),
    ],
  }),
  timeouts: () => timeouts(QUICK ? 1_000 : 10_000),
  drain: () => drain(QUICK ? 5_000 : 150_000),
  broadcast: () => broadcast(QUICK ? 160 : 800, QUICK ? 1 : 5),
}

using folder = scratch()
const syncMs = fdatasyncP50Ms(folder.path)
for (const [name, run] of Object.entries(PARTS)) {
  if (only > 0 && process.argv[only] !== name) continue
  process.stdout.write(`${name} …\n`)
  const foreign = measureForeign()
  const found = await run()
  results.push(...found.results)
  notes.push(...(found.notes ?? []), `${name}: foreign CPU ${foreign.stop().toFixed(1)} %`)
  for (const { what, figure } of found.results) process.stdout.write(`  ${what}: ${figure}\n`)
}
report('sessions', results, [
  ...notes,
  `fdatasync p50 ${syncMs.toFixed(2)} ms; clients, edges, work, Redis 7 and Postgres 18 share the machine's two cores`,
])
process.exit(0)
