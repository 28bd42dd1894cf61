// Durable delivery end to end: events over HTTP, fanned out, signed and posted to a counting receiver, on a Postgres that syncs.
// Throughput and CPU, latency at a moderate pace, interference of endpoints that hang and fail, and a backlog of a million.
// --quick: small numbers, for development. --only sustained|loaded|latency|interference|backlog.

import { backlog } from './delivery/backlog.ts'
import { interference } from './delivery/interference.ts'
import { latency } from './delivery/latency.ts'
import { startRipstop } from './delivery/ours.ts'
import { measure, type Run, type Stand, startStand } from './delivery/stand.ts'
import { fdatasyncP50Ms, measureForeign } from './machine.ts'
import { scratch } from './processes.ts'
import { type Result, report } from './statistics.ts'

const QUICK = process.argv.includes('--quick')
const only = process.argv.indexOf('--only') + 1
const wanted = (part: string): boolean => only === 0 || process.argv[only] === part
const WARM = QUICK ? 2_000 : 10_000
const results: Result[] = []
const notes: string[] = []

using folder = scratch()
const syncMs = fdatasyncP50Ms(folder.path)
{
  await using stand = await startStand()
  if (wanted('sustained')) await apart('sustained', () => sustained(stand, QUICK ? 20_000 : 300_000))
  if (wanted('loaded')) await apart('loaded', () => loaded(stand, QUICK ? 20_000 : 300_000))
  if (wanted('latency')) await apart('latency', () => keep(latency(stand, QUICK ? 5 : 60)))
  if (wanted('interference'))
    await apart('interference', () => keep(interference(stand, QUICK ? 2 : 10, QUICK ? 2 : 5)))
  if (wanted('backlog')) await apart('backlog', () => keep(backlog(stand, QUICK ? 30_000 : 1_000_000)))
}
report('delivery', results, [
  ...notes,
  `fdatasync p50 ${syncMs.toFixed(2)} ms; receiver, publisher, edge, work and Postgres 18 share the machine; fsync and synchronous_commit on`,
])
process.exit(0)

/** Each part tells what others took from the machine meanwhile. */
async function apart(name: string, run: () => Promise<unknown>): Promise<void> {
  process.stdout.write(`${name} …\n`)
  const foreign = measureForeign()
  await run()
  notes.push(`${name}: foreign CPU ${foreign.stop().toFixed(1)} %`)
}

async function keep(part: Promise<{ readonly results: readonly Result[]; readonly notes: readonly string[] }>) {
  const found = await part
  results.push(...found.results)
  notes.push(...found.notes)
}

function describe(run: Run): string {
  const parts = Object.entries(run.parts).map(([name, us]) => `${name} ${us.toFixed(0)}`)
  return `${run.perSecond.toFixed(0)}/s for ${run.seconds.toFixed(1)} s; us CPU a delivery: ${parts.join(', ')}`
}

async function sustained(stand: Stand, count: number): Promise<void> {
  await using ours = await startRipstop(stand)
  const run = await measure(stand, ours, 'sustained', count, WARM)
  notes.push(`sustained, ${count} events over HTTP in batches of 500, each to one of 8 endpoints: ${describe(run)}`)
  const cpuUs = run.cpuUs - (run.parts.publisher ?? 0)
  results.push(
    {
      what: `sustained end to end, ${count} events of 1 KB`,
      figure: `${run.perSecond.toFixed(0)}/s`,
      asked: '>= 3500/s (goal 5000)',
      met: run.perSecond >= 3_500,
    },
    { what: 'its CPU a delivery', figure: `${cpuUs.toFixed(0)} us`, asked: '<= 250 us', met: cpuUs <= 250 },
    {
      what: 'lost; repeated ids without a takeover',
      figure: `${run.lost}; ${run.repeated}`,
      asked: '0; 0',
      met: run.lost === 0 && run.repeated === 0 && run.strange === 0,
    },
  )
}

async function loaded(stand: Stand, count: number): Promise<void> {
  await using ours = await startRipstop(stand)
  const run = await measure(stand, ours, 'loaded', count, WARM)
  notes.push(`from a loaded table of ${count}: ${describe(run)}; ${run.lost} lost, ${run.repeated} repeated`)
  results.push({
    what: `from a loaded table of ${count}`,
    figure: `${run.perSecond.toFixed(0)}/s`,
    asked: '>= 7000/s',
    met: run.perSecond >= 7_000,
  })
}
