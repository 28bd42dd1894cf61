// A soak of durable delivery: publishers with a ledger, receivers with inboxes that misbehave, and random faults of a seed on
// the processes, on Postgres and on the receivers; beside them kill -9 of a work process at random moments. After each round
// everything must flow again; at the end ledger, inboxes and database must agree. Writes docs/proof/delivery.md.
// SOAK_MINUTES [10], SOAK_KILLS [50], SEED [a random one, which is printed].

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { loadavg } from 'node:os'
import { join } from 'node:path'
import { createFaultSchedule } from '@ripstop/faults'
import { createSeededRandom } from '@ripstop/kernel'
import type { Verdict } from '../delivery/checker.ts'
import { type Rig, startRig } from '../delivery/rig.ts'
import { createTroubles, FAULTS, type FaultName, TARGETS, type TargetName } from '../delivery/troubles.ts'
import { until } from '../mesh/harness.ts'

const MINUTE_MS = 60_000
/** A breaker of an endpoint pauses for a minute at most, then its retries are due. */
const RECOVERED_MS = 120_000
const MEMORY_MAX_BYTES = 300_000_000
const ROOT = join(import.meta.dirname, '..', '..')

const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 1_000_000))
const minutes = Number(process.env.SOAK_MINUTES ?? 10)
const killsWanted = Number(process.env.SOAK_KILLS ?? 50)
if (!Number.isInteger(seed) || !(minutes > 0) || !Number.isInteger(killsWanted)) {
  process.stderr.write('SEED and SOAK_KILLS must be whole numbers, SOAK_MINUTES a number above 0\n')
  process.exit(2)
}

interface Round {
  readonly what: readonly string[]
  readonly recoveredMs: number
}

interface Outcome extends Verdict {
  readonly drainedMs: number
  readonly rounds: readonly Round[]
  readonly kills: number
  readonly unanswered: number
}

say(`delivery soak: ${minutes} min, ${killsWanted} kills, SEED=${seed}`)
const startedMs = performance.now()
const outcome = await run()
for (const problem of outcome.problems.slice(0, 50)) say(`  ${problem}`)
const verdict = render(outcome)
say(verdict)
mkdirSync(join(ROOT, 'docs', 'proof'), { recursive: true })
writeFileSync(join(ROOT, 'docs', 'proof', 'delivery.md'), verdict)
say(`delivery soak: ${outcome.problems.length === 0 ? 'PASSED' : 'FAILED'} (SEED=${seed})`)
process.exit(outcome.problems.length === 0 ? 0 : 1)

function say(text: string): void {
  process.stdout.write(`${text}\n`)
}

async function run(): Promise<Outcome> {
  await using rig = await startRig({ seed })
  await rig.recover()
  const problems: string[] = []
  const killer = startKiller(rig, problems)
  const rounds = await breakAndHeal(rig, killer, problems)
  await killer.finish()
  const { unanswered } = rig.publishers
  const settled = await rig.settle()
  for (const mesh of [rig.a, rig.b]) {
    const defects = mesh?.logs().match(/.*"event":"(?:\w+\.defect|log\.dropped)".*|.*(?:unhandled|uncaught).*/gi) ?? []
    problems.push(...defects.slice(0, 5).map((line) => `logged: ${line.slice(0, 300)}`))
  }
  problems.push(...settled.problems)
  if (problems.length > 0) keepLogs(rig)
  return { ...settled, problems, rounds, kills: killer.count(), unanswered: unanswered() }
}

function keepLogs({ a, b }: Rig): void {
  const state = join(ROOT, '.ripstop')
  mkdirSync(state, { recursive: true })
  const file = join(state, `delivery-soak-${seed}.log`)
  writeFileSync(file, `${a.logs()}\n--- B\n${b?.logs() ?? ''}`)
  say(`what the meshes said is in ${file}`)
}

/** Stops early if a mesh is gone: nothing that follows would mean anything. */
async function breakAndHeal(rig: Rig, killer: Killer, problems: string[]): Promise<readonly Round[]> {
  const troubles = createTroubles(rig)
  const rounds: Round[] = []
  const events = createFaultSchedule({
    seed,
    faults: FAULTS,
    targets: TARGETS,
    durationMs: minutes * MINUTE_MS,
    holdMs: [500, 6_000],
  })
  const endMs = performance.now() + minutes * MINUTE_MS
  let what: string[] = []
  let ended: string | undefined
  for (const [name, mesh] of Object.entries({ A: rig.a, B: rig.b }))
    void mesh?.exited.then(() => {
      ended ??= `mesh ${name} ended by itself: ${mesh.logs().slice(-500)}`
    })
  // Healing and recovering take as long as they take: the order is the schedule's, the clock is not.
  let beforeMs = 0
  for (const event of events) {
    const isNewRound = what.length === 0 && event.action === 'inject'
    if (isNewRound && performance.now() > endMs) break
    if (ended !== undefined) {
      problems.push(ended)
      break
    }
    const dueMs = performance.now() + Math.min(event.atMs - beforeMs, 6_000)
    beforeMs = event.atMs
    await until('the time has come', () => performance.now() >= dueMs, 10_000)
    if (event.action === 'check') {
      const round = await checkRound(rig, killer, what, problems)
      rounds.push(round)
      say(`round ${event.round}: ${what.join(', ')}: flowing ${round.recoveredMs.toFixed(0)} ms after the last heal`)
      what = []
      continue
    }
    const fault = event.fault as FaultName
    const trouble = troubles[event.target as TargetName]
    if (event.action === 'inject') {
      what.push(`${event.target}: ${trouble.describe(fault)}`)
      await trouble.inject(fault)
    } else await trouble.heal(fault)
  }
  return rounds
}

async function checkRound(rig: Rig, killer: Killer, what: readonly string[], problems: string[]): Promise<Round> {
  await killer.pause()
  let recoveredMs = Number.POSITIVE_INFINITY
  try {
    recoveredMs = await rig.recover(RECOVERED_MS)
    const bloat = await findBloat(rig)
    if (bloat !== undefined) problems.push(`${what.join(', ')}: ${bloat}`)
  } catch (error) {
    problems.push(`${what.join(', ')}: ${error instanceof Error ? error.message : String(error)}`)
  }
  killer.resume()
  return { what, recoveredMs }
}

async function findBloat({ a, b }: Rig): Promise<string | undefined> {
  for (const mesh of [a, b]) {
    const pid = await mesh?.pidOf('work')
    if (pid === undefined) continue
    try {
      const kb = Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0)
      if (kb * 1_024 > MEMORY_MAX_BYTES) return `work process ${pid} holds ${(kb / 1_024).toFixed(0)} MB`
    } catch {
      // It was killed while we looked.
    }
  }
  return undefined
}

interface Killer {
  count(): number
  /** Resolves when none is under way. */
  pause(): Promise<void>
  resume(): void
  /** Goes on until there were as many as wanted. */
  finish(): Promise<void>
}

/** kill -9 of one or the other work process, at random moments. */
function startKiller(rig: Rig, problems: readonly string[]): Killer {
  const random = createSeededRandom(seed + 7)
  const everyMs = (minutes * MINUTE_MS) / Math.max(1, killsWanted) / 2
  let count = 0
  let isPaused = false
  let isFinishing = false
  let resting: Promise<void> = Promise.resolve()
  const running = (async () => {
    while (!isFinishing || (count < killsWanted && problems.length === 0)) {
      const dueMs = performance.now() + everyMs * 2 * random()
      await until('the next kill', () => performance.now() > dueMs, everyMs * 3 + 1_000)
      if (isPaused) continue
      resting = rig.killWork(random() < 0.5 ? rig.a : (rig.b ?? rig.a)).then((isKilled) => {
        if (isKilled) count++
      })
      await resting
    }
  })()
  return {
    count: () => count,
    pause: async () => {
      isPaused = true
      await resting
    },
    resume: () => {
      isPaused = false
    },
    finish: async () => {
      isFinishing = true
      isPaused = false
      await running
    },
  }
}

function render(found: Outcome): string {
  const worst = found.rounds.toSorted((one, other) => other.recoveredMs - one.recoveredMs)
  const seconds = (ms: number): string => (Number.isFinite(ms) ? `${(ms / 1_000).toFixed(1)} s` : 'NEVER')
  const median = worst[Math.floor(worst.length / 2)]?.recoveredMs ?? Number.NaN
  const rows: readonly (readonly [string, string | number])[] = [
    ['published and acknowledged (HTTP and outbox)', found.published],
    ['requests and transactions without an answer, repeated by their publisher', found.unanswered],
    ['applied at three receivers', found.applied],
    ['messages on the wire beyond the first of each (same webhook-id)', found.repeated],
    ['attempts recorded', found.attempts],
    ['of them marked as possible repetitions after a takeover', found.mayRepeat],
    ['rounds of random faults', found.rounds.length],
    ['kill -9 of a work process at random moments beside them', found.kills],
    ['flowing again after the last heal of a round, median', seconds(median)],
    ['the same, worst', `${seconds(worst[0]?.recoveredMs ?? Number.NaN)} (${worst[0]?.what.join(', ') ?? 'none'})`],
    ['drained after the end of publishing', seconds(found.drainedMs)],
    ['lost, applied twice, out of order, orphans, settled twice, left over', found.problems.length],
  ]
  const tally = new Map<string, number>()
  for (const each of found.rounds.flatMap(({ what }) => what)) tally.set(each, (tally.get(each) ?? 0) + 1)
  return [
    '# Proof: durable delivery under faults',
    '',
    `Verdict: **${found.problems.length === 0 ? 'PASSED' : 'FAILED'}**. Written by \`SEED=${seed} SOAK_MINUTES=${minutes} SOAK_KILLS=${killsWanted} npm run soak delivery\` (${((performance.now() - startedMs) / MINUTE_MS).toFixed(1)} minutes, Node ${process.versions.node}, load average ${loadavg()[0]?.toFixed(1)} at the end).`,
    '',
    'Two meshes on one Postgres; publishers over HTTP and in SQL transactions of their own (a tenth of which roll back) keep a ledger; three',
    'receivers (one unordered, one ordered by key, one ordered by key in four lanes) check signatures and keep an inbox. The checker compares',
    'ledger, inboxes and database: every id applied exactly once, keys in order, nothing rolled back applied, no event without its deliveries,',
    'no delivery settled twice, nothing left in outbox, queue or dead letters.',
    '',
    '| what | count |',
    '|---|---|',
    ...rows.map(([what, value]) => `| ${what} | ${value} |`),
    '',
    ...(found.problems.length === 0 ? [] : ['## Problems', '', ...found.problems.map((each) => `- ${each}`), '']),
    '## Faults that were injected',
    '',
    ...[...tally].sort().map(([what, count]) => `- ${what}: ${count}`),
    '',
  ].join('\n')
}
