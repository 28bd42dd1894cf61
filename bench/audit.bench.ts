// The auditor on the corpus of confirmed findings: what it finds, what it says wrongly, and how fast it reads; beside ESLint and dclint on the same files.
// RIPSTOP_CORPUS names a folder that is not part of the repository: `seed.json`, a tree for each of its systems, trees of the fixing commits, and
// `large-typescript` (a million lines of anybody's TypeScript).

import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { MENDED, nameOf, readCorpus, type Score, type Spot, score } from '../tests/audit/corpus.ts'
import { type PeerScore, scorePeers } from './audit/peers.ts'
import { audit, type Run } from './audit/run.ts'
import { measureForeign } from './machine.ts'
import { median, type Result, report } from './statistics.ts'

const ROUNDS = 3
const STUCK = 'permanent-failure-state'
const folder = process.env.RIPSTOP_CORPUS
const systems = readCorpus(folder)
if (folder === undefined || systems === undefined)
  throw new Error(
    'RIPSTOP_CORPUS has to name a folder with seed.json and the trees of its systems: see tests/audit/corpus.ts',
  )

const foreign = measureForeign()
const spots = new Map<string, readonly Spot[]>()
for (const system of systems) spots.set(nameOf(system), (await audit(join(folder, nameOf(system)))).spots)
const scored = score(systems, spots)
const results: Result[] = [...judged(scored), ...(await mended(folder)), ...(await speeds(folder))]
const peers = await scorePeers(folder, systems)
report('audit', results, [
  ...notesOf(scored, peers),
  `rules with rows in the corpus, found of rows: ${byRule(scored)}`,
  `places named in all, strong and for review: ${[...spots].map(([name, own]) => `${name} ${own.filter(({ tier }) => tier === 'strong').length} and ${own.filter(({ tier }) => tier === 'review').length}`).join('; ')}`,
  `foreign CPU ${foreign.stop().toFixed(1)} %`,
])

function percent(part: number, whole: number): string {
  return `${((100 * part) / Math.max(1, whole)).toFixed(1)} % (${part} of ${whole})`
}

function judged({ rows, false: wrong, broken, isExhaustive }: Score): readonly Result[] {
  const paired = rows.filter(({ system, row }) => isExhaustive(system, row.rule, row.file))
  const found = paired.filter(({ spot }) => spot !== undefined).length
  const all = rows.filter(({ spot }) => spot !== undefined).length
  const stuck = rows.filter(({ system, row }) => system.startsWith('zen-') && row.rule === STUCK)
  const stuckFound = stuck.filter(({ spot }) => spot !== undefined).length
  return [
    {
      what: 'exhaustive pairs, precision',
      figure: percent(found, found + wrong.length),
      asked: '>= 95 %',
      met: found >= 0.95 * (found + wrong.length),
    },
    {
      what: 'exhaustive pairs, recall',
      figure: percent(found, paired.length),
      asked: '>= 90 %',
      met: found >= 0.9 * paired.length,
    },
    { what: 'all rows, recall', figure: percent(all, rows.length), asked: '>= 70 %', met: all >= 0.7 * rows.length },
    { what: 'negatives at which something is said', figure: `${broken.length}`, asked: '0', met: broken.length === 0 },
    {
      what: 'permanent failure states of the third seed',
      figure: `${stuckFound} of ${stuck.length}`,
      asked: '6 of 6',
      met: stuckFound === 6,
    },
  ]
}

async function mended(corpus: string): Promise<readonly Result[]> {
  let [looked, said] = [0, 0]
  for (const [tree, files] of Object.entries(MENDED)) {
    if (!existsSync(join(corpus, tree))) continue
    looked++
    const { spots: found } = await audit(join(corpus, tree))
    said += found.filter(({ rule, file }) => rule === STUCK && files.some((one) => file.endsWith(one))).length
  }
  return [
    {
      what: `the same in ${looked} trees that mended them`,
      figure: `${said}`,
      asked: '0',
      met: looked === 4 && said === 0,
    },
  ]
}

/** Medians of a few runs, each a process of its own. */
async function speeds(corpus: string): Promise<readonly Result[]> {
  const results: Result[] = []
  const large = join(corpus, 'large-typescript')
  if (existsSync(large)) {
    const lines = (countLines(large, /\.[cm]?[jt]sx?$/) / 1e6).toFixed(2)
    const cold = await rounds(() => audit(large))
    results.push(timed(`${lines} M lines of TypeScript, tests included, cold`, cold, 10_000))
    const cache = mkdtempSync(join(tmpdir(), 'ripstop-audit-bench-'))
    await audit(large, cache)
    results.push(timed('the same, warm, nothing changed', await rounds(() => audit(large, cache)), 1_500))
    results.push(timed('the same, warm, one file changed', await rounds(() => auditChanged(large, cache)), 1_500))
    rmSync(cache, { recursive: true })
  }
  const zen = readdirSync(corpus).find((name) => name.startsWith('zen-3748c84e'))
  if (zen !== undefined) {
    const lines = (countLines(join(corpus, zen), /\.(py|[cm]?[jt]sx?|ya?ml|json|sql|md)$/) / 1e6).toFixed(2)
    results.push(
      timed(`${lines} M lines mixed (the third seed), cold`, await rounds(() => audit(join(corpus, zen))), 25_000),
    )
  }
  return results
}

async function rounds(run: () => Promise<Run>): Promise<readonly Run[]> {
  const runs: Run[] = []
  for (let round = 0; round < ROUNDS; round++) runs.push(await run())
  return runs
}

/** A comment more in a file of its own, which the next round changes again. */
async function auditChanged(large: string, cache: string): Promise<Run> {
  const file = join(large, 'ripstop-bench-change.ts')
  writeFileSync(file, `export const changed = ${performance.now()}\n`)
  try {
    return await audit(large, cache)
  } finally {
    rmSync(file)
  }
}

function timed(what: string, runs: readonly Run[], limitMs: number): Result {
  const wallMs = median(runs.map((run) => run.wallMs))
  const peakMb = Math.max(...runs.map((run) => run.peakMb))
  return {
    what,
    figure: `${(wallMs / 1000).toFixed(1)} s, ${peakMb.toFixed(0)} MB`,
    asked: `<= ${limitMs / 1000} s, <= 600 MB`,
    met: wallMs <= limitMs && peakMb <= 600,
  }
}

function countLines(root: string, pattern: RegExp): number {
  let lines = 0
  for (const entry of readdirSync(root, { recursive: true, withFileTypes: true }))
    if (entry.isFile() && pattern.test(entry.name))
      lines += readFileSync(join(entry.parentPath, entry.name), 'latin1').split('\n').length
  return lines
}

function notesOf({ rows, false: wrong, broken }: Score, peers: readonly PeerScore[]): readonly string[] {
  return [
    ...peers.map(({ name, files, messages, rows: theirs, near, right }) => {
      const inFiles = name === 'dclint' ? /compose[^/]*\.ya?ml$/ : /\.[cm]?[jt]sx?$/
      const ours = rows.filter(({ row, spot }) => inFiles.test(basename(row.file)) && spot !== undefined).length
      return `${name} on the ${files} files that have rows: ${messages} messages, ${near} at the lines of ${theirs} rows, ${right} of them for the right reason; ours: ${ours}`
    }),
    ...wrong.map(
      ({ rule, system, file, line }) => `wrongly said in an exhaustive pair: ${rule} ${system} ${file}:${line}`,
    ),
    ...broken.map(({ system, row }) => `said at a negative: ${row.rule} ${system} ${row.file}:${row.line}`),
  ]
}

function byRule({ rows }: Score): string {
  const counts = new Map<string, [found: number, all: number]>()
  for (const { row, spot } of rows) {
    const [found, all] = counts.get(row.rule) ?? [0, 0]
    counts.set(row.rule, [found + (spot === undefined ? 0 : 1), all + 1])
  }
  return [...counts].map(([rule, [found, all]]) => `${rule} ${found}/${all}`).join(', ')
}
