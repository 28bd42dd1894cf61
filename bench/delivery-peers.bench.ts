// The same work for all: N jobs of 1 KB, each one POST to a counting receiver, its completion recorded. Ours (published
// over HTTP in batches, each event to one of eight signed endpoints) beside pg-boss, graphile-worker and BullMQ as their docs
// configure them for throughput, and beside a batched SKIP LOCKED loop. CPU of every process but the receiver counts.
// --quick: few jobs, one round. --only NAME. PEERS_JOBS, PEERS_ROUNDS.

import { startRipstop } from './delivery/ours.ts'
import { PEERS, type PeerName } from './delivery/peers.ts'
import { type Contestant, measure, type Run, type Shape, type Stand, startPeer, startStand } from './delivery/stand.ts'
import { fdatasyncP50Ms, measureForeign } from './machine.ts'
import { scratch } from './processes.ts'
import { median, report } from './statistics.ts'

const QUICK = process.argv.includes('--quick')
const ONLY = process.argv[process.argv.indexOf('--only') + 1]
const JOBS = Number(process.env.PEERS_JOBS ?? (QUICK ? 5_000 : 50_000))
const WARM = QUICK ? 2_000 : 10_000
const ROUNDS = Number(process.env.PEERS_ROUNDS ?? (QUICK ? 1 : 3))
const SHAPES: readonly Shape[] = ['sustained', 'loaded']
const LIBRARIES: readonly PeerName[] = ['pg-boss', 'graphile-worker', 'bullmq']

type Name = 'ripstop' | PeerName
const all: readonly Name[] = ['ripstop', ...(Object.keys(PEERS) as PeerName[])]
const names = process.argv.includes('--only') ? all.filter((name) => name === ONLY) : all

using folder = scratch()
const syncMs = fdatasyncP50Ms(folder.path)
const foreign = measureForeign()
const runs = new Map<string, Run[]>()
{
  await using stand = await startStand()
  for (let round = 0; round < ROUNDS; round++) {
    for (const shape of SHAPES) {
      for (const name of names) {
        const run = await runOnce(stand, name, shape)
        runs.set(`${name} ${shape}`, [...(runs.get(`${name} ${shape}`) ?? []), run])
        process.stdout.write(
          `${name}, ${shape}: ${run.perSecond.toFixed(0)}/s, ${run.cpuUs.toFixed(0)} us CPU, ${run.lost} lost, ${run.repeated} repeated\n`,
        )
      }
    }
  }
}
const foreignPercent = foreign.stop()

async function runOnce(stand: Stand, name: Name, shape: Shape): Promise<Run> {
  await using contestant: Contestant = name === 'ripstop' ? await startRipstop(stand) : await startPeer(stand, name)
  return await measure(stand, contestant, shape, JOBS, WARM)
}

function figure(name: Name, shape: Shape, pick: (run: Run) => number): number {
  return median((runs.get(`${name} ${shape}`) ?? []).map(pick))
}

const perCpu = (name: Name, shape: Shape): number => figure(name, shape, ({ perCpuSecond }) => perCpuSecond)
const describe = (name: Name): string =>
  SHAPES.map((shape) => {
    const cpuUs = figure(name, shape, (run) => run.cpuUs).toFixed(0)
    const names = Object.keys(runs.get(`${name} ${shape}`)?.[0]?.parts ?? {})
    const parts = names.map((part) => `${part} ${figure(name, shape, (run) => run.parts[part] ?? 0).toFixed(0)}`)
    return `${shape} ${figure(name, shape, (run) => run.perSecond).toFixed(0)}/s, ${cpuUs} us CPU (${parts.join(', ')})`
  }).join('; ')

const results = SHAPES.flatMap((shape) => {
  const best = LIBRARIES.toSorted((left, right) => perCpu(right, shape) - perCpu(left, shape))[0] ?? 'pg-boss'
  const overBest = perCpu('ripstop', shape) / perCpu(best, shape)
  const overLoop = perCpu('ripstop', shape) / perCpu('skip locked loop', shape)
  return [
    {
      what: `${shape}: deliveries a CPU second, over the best library (${best})`,
      figure: `${overBest.toFixed(2)}x`,
      asked: '>= 3x',
      met: overBest >= 3,
    },
    {
      what: `${shape}: deliveries a CPU second, over the batched SKIP LOCKED loop`,
      figure: `${overLoop.toFixed(2)}x`,
      asked: '>= 1.7x',
      met: overLoop >= 1.7,
    },
  ]
})
const every = [...runs.values()].flat()
const wrong = every.reduce((total, { lost, repeated, strange }) => total + lost + repeated + strange, 0)
report(
  'delivery-peers',
  [...results, { what: 'lost or repeated, all contestants', figure: String(wrong), asked: '0', met: wrong === 0 }],
  [
    ...names.map((name) => `${name}: ${describe(name)}`),
    `medians of ${ROUNDS} interleaved rounds of ${JOBS} jobs of 1 KB, after ${WARM} to warm up; sustained: loaded in batches of 1,000 while it works; loaded: the table is full first, only the draining counts`,
    'CPU: publisher or loader, workers and the whole of Postgres or Redis; without the receiver. One Postgres 18, fsync and synchronous_commit on, a fresh database a run',
    'pg-boss 12.38: insert in batches, batchSize 200, localConcurrency 4, burstWhenBatchFull, a batch settled at once. graphile-worker 0.18: addJobs, concurrentJobs 64, localQueue 500, completeJobBatchDelay 0 (its performance page). BullMQ 6.7: addBulk, concurrency 64, removeOnComplete, AOF synced every second (weaker than what the others promise). Loop: claims 200 under a lease, deletes and logs 200 in one statement, 4 loops',
    'ours also signs, checks the address, keeps the event, the attempt and the fan-out, and takes the events over HTTP with keys and validation; nothing durable: the posts alone, from memory',
    `fdatasync p50 ${syncMs.toFixed(2)} ms; foreign CPU ${foreignPercent.toFixed(0)} %`,
  ],
)
process.exit(0)
