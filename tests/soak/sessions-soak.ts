// A soak of live sessions, on each store: players with a ledger drive sessions through three processes while a seed's random faults
// meet processes, Postgres and Redis. After each round every session must take commands again; at the end ledger, log, chain and state
// must agree. Writes docs/proof/sessions.md.
// SOAK_MINUTES [10] for both stores together, SEED [a random one, which is printed].

import { mkdirSync, writeFileSync } from 'node:fs'
import { loadavg } from 'node:os'
import { join } from 'node:path'
import { createSeededRandom } from '@ripstop/kernel'
import type { Verdict } from '../sessions/checker.ts'
import { type Rig, type StoreName, startRig } from '../sessions/rig.ts'
import { createTroubles } from '../sessions/troubles.ts'

const MINUTE_MS = 60_000
const ROOT = join(import.meta.dirname, '..', '..')
const STORES: readonly StoreName[] = ['postgres', 'redis']

const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 1_000_000))
const minutes = Number(process.env.SOAK_MINUTES ?? 10)
if (!Number.isInteger(seed) || !(minutes > 0)) {
  process.stderr.write('SEED must be a whole number, SOAK_MINUTES a number above 0\n')
  process.exit(2)
}

interface Round {
  readonly what: string
  readonly recoveredMs: number
}

interface Outcome extends Verdict {
  readonly store: StoreName
  readonly rounds: readonly Round[]
  readonly unanswered: number
  readonly refused: ReadonlyMap<string, number>
}

say(`sessions soak: ${minutes} min, SEED=${seed}`)
const startedMs = performance.now()
const outcomes: Outcome[] = []
for (const store of STORES) outcomes.push(await run(store))
const verdict = render(outcomes)
say(verdict)
mkdirSync(join(ROOT, 'docs', 'proof'), { recursive: true })
writeFileSync(join(ROOT, 'docs', 'proof', 'sessions.md'), verdict)
const hasPassed = outcomes.every(({ problems }) => problems.length === 0)
say(`sessions soak: ${hasPassed ? 'PASSED' : 'FAILED'} (SEED=${seed})`)
process.exit(hasPassed ? 0 : 1)

function say(text: string): void {
  process.stdout.write(`${text}\n`)
}

async function run(store: StoreName): Promise<Outcome> {
  await using rig = await startRig({ seed, store })
  await rig.recover()
  const problems: string[] = []
  const rounds = await breakAndHeal(rig, problems)
  const settled = await rig.settle()
  for (const mesh of rig.meshes) {
    const defects = mesh.logs().match(/.*"event":"(?:\w+\.defect|log\.dropped)".*|.*(?:unhandled|uncaught).*/gi) ?? []
    problems.push(...defects.slice(0, 5).map((line) => `logged: ${line.slice(0, 300)}`))
  }
  problems.push(...settled.problems)
  for (const problem of problems.slice(0, 50)) say(`  ${problem}`)
  if (problems.length > 0) keepLogs(rig)
  const { unanswered, refused } = rig.players
  return { ...settled, store, problems, rounds, unanswered: unanswered(), refused }
}

function keepLogs({ meshes, store }: Rig): void {
  const state = join(ROOT, '.ripstop')
  mkdirSync(state, { recursive: true })
  const file = join(state, `sessions-soak-${store}-${seed}.log`)
  writeFileSync(file, meshes.map((mesh, place) => `--- mesh ${place + 1}\n${mesh.logs()}`).join('\n'))
  say(`what the meshes said is in ${file}`)
}

/** One or two faults at a time, each once before any comes again. */
async function breakAndHeal(rig: Rig, problems: string[]): Promise<readonly Round[]> {
  const random = createSeededRandom(seed)
  const troubles = createTroubles(rig)
  const rounds: Round[] = []
  const endMs = performance.now() + (minutes * MINUTE_MS) / STORES.length
  let bag = shuffled(troubles, random)
  while (performance.now() < endMs && problems.length === 0) {
    if (bag.length < 2) bag = [...bag, ...shuffled(troubles, random)]
    const chosen = bag.splice(0, random() < 0.3 ? 2 : 1)
    const what = chosen.map((trouble) => trouble.what).join(', ')
    for (const trouble of chosen) await trouble.inject()
    await pause(500 + 5_500 * random())
    for (const trouble of chosen.toReversed()) await trouble.heal()
    try {
      const recoveredMs = await rig.recover()
      rounds.push({ what, recoveredMs })
      say(`${rig.store}: ${what}: every session served ${recoveredMs.toFixed(0)} ms after the last heal`)
    } catch (error) {
      problems.push(`${what}: ${error instanceof Error ? error.message : String(error)}`)
    }
    await pause(1_000 * random())
  }
  return rounds
}

function shuffled<T>(list: readonly T[], random: () => number): T[] {
  return list
    .map((item) => ({ item, at: random() }))
    .sort((one, other) => one.at - other.at)
    .map(({ item }) => item)
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

function render(found: readonly Outcome[]): string {
  const isGood = found.every(({ problems }) => problems.length === 0)
  return [
    '# Proof: live sessions under faults',
    '',
    `Verdict: **${isGood ? 'PASSED' : 'FAILED'}**. Written by \`SEED=${seed} SOAK_MINUTES=${minutes} npm run soak sessions\` (${((performance.now() - startedMs) / MINUTE_MS).toFixed(1)} minutes, Node ${process.versions.node}, load average ${loadavg()[0]?.toFixed(1)} at the end).`,
    '',
    'Three meshes on one Postgres (and one Redis with an append-only file, fsync every second); players over HTTP repeat each command under its',
    'operation id until it is answered, and keep a ledger; half of the sessions have turns of a second, so that deadlines race commands all the time.',
    'The checker compares ledger, log and state: every acknowledged command is in the log, no operation twice, versions without a gap, the chain of',
    'hashes whole, time never backwards, no fork, the replay equal to the state, no read older than one before it.',
    '',
    ...found.flatMap(renderStore),
  ].join('\n')
}

function renderStore(found: Outcome): readonly string[] {
  const worst = found.rounds.toSorted((one, other) => other.recoveredMs - one.recoveredMs)
  const seconds = (ms = Number.NaN): string => `${(ms / 1_000).toFixed(1)} s`
  const median = worst[Math.floor(worst.length / 2)]?.recoveredMs
  const tally = new Map<string, number>()
  for (const { what } of found.rounds) for (const each of what.split(', ')) tally.set(each, (tally.get(each) ?? 0) + 1)
  const rows: readonly (readonly [string, string | number])[] = [
    ['commands acknowledged', found.acknowledged],
    ['requests without an answer that says what became of them, repeated', found.unanswered],
    ['refusals', [...found.refused].map(([code, times]) => `${code} ${times}`).join(', ') || 'none'],
    ['entries of the logs', found.entries],
    ['of them timeouts', found.timeouts],
    ['of them outages that clocks were credited for', found.recovered],
    [
      'of them superseded after a recovery (and acknowledged as accepted)',
      `${found.superseded} (${found.supersededAcknowledged})`,
    ],
    ['rounds of random faults', found.rounds.length],
    ['every session served again after the last heal of a round, median', seconds(median)],
    ['the same, worst', `${seconds(worst[0]?.recoveredMs)} (${worst[0]?.what ?? 'none'})`],
    ['lost, done twice, gaps, broken chains, forks, stale reads, state other than its replay', found.problems.length],
  ]
  return [
    `## Store: ${found.store}`,
    '',
    '| what | count |',
    '|---|---|',
    ...rows.map(([what, value]) => `| ${what} | ${value} |`),
    '',
    ...(found.problems.length === 0 ? [] : ['Problems:', '', ...found.problems.map((each) => `- ${each}`), '']),
    'Faults that were injected:',
    '',
    ...[...tally].sort().map(([what, count]) => `- ${what}: ${count}`),
    '',
  ]
}
