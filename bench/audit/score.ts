// `RIPSTOP_CORPUS=folder node bench/audit/score.ts [RULE …]`: what is found and missed of the corpus, row by row, and what else these rules say there.
// In a folder without seed.json: of the judged systems whose trees `<name>-<first 8 of the commit>` are there.

import { join } from 'node:path'
import { systemClock } from '@ripstop/kernel'
import { RULES } from '../../packages/audit/src/rules/index.ts'
import { scan } from '../../packages/audit/src/scan.ts'
import { nameOf, readCorpus, readJudged, type Spot, score } from '../../tests/audit/corpus.ts'

const folder = process.env.RIPSTOP_CORPUS
if (folder === undefined) throw new Error('RIPSTOP_CORPUS names no folder')
const systems = readCorpus(folder) ?? readJudged(folder)
const asked = process.argv.slice(2)
const rules = asked.length === 0 ? RULES : RULES.filter(({ meta }) => asked.includes(meta.id))
const spots = new Map<string, readonly Spot[]>()
for (const system of systems) {
  const { findings, brokenRules } = await scan(join(folder, nameOf(system)), { clock: systemClock, rules })
  for (const { rule, message } of brokenRules) console.log(`BROKEN ${rule}: ${message}`)
  spots.set(
    nameOf(system),
    findings.flatMap(({ rule, tier, evidence }) =>
      evidence.flatMap(({ loc }) => (loc === undefined ? [] : [{ rule, tier, ...loc }])),
    ),
  )
}
const { rows, false: wrong, broken, isExhaustive } = score(systems, spots)
const wanted = rows.filter(({ row }) => asked.length === 0 || asked.includes(row.rule))
for (const { system, row, spot } of wanted)
  console.log(`${spot === undefined ? 'MISSED' : spot.tier.padEnd(6)} ${row.rule} ${system} ${row.file}:${row.line}`)
for (const { rule, tier, system, file, line } of wrong) console.log(`FALSE ${tier} ${rule} ${system} ${file}:${line}`)
for (const { row, system } of broken) console.log(`NEGATIVE ${row.rule} ${system} ${row.file}:${row.line}: ${row.why}`)
const hit = wanted.filter(({ spot }) => spot !== undefined).length
console.log(
  `${hit} of ${wanted.length} rows, ${wrong.length} false in exhaustive pairs, ${broken.length} negatives broken`,
)
const paired = wanted.filter(({ system, row }) => isExhaustive(system, row.rule, row.file))
console.log(`${paired.filter(({ spot }) => spot !== undefined).length} of ${paired.length} rows of exhaustive pairs`)
for (const [system, found] of spots) {
  const own = found.filter(({ rule }) => asked.length === 0 || asked.includes(rule))
  if (asked.length > 0)
    for (const { rule, tier, file, line } of own) console.log(`  ${system} ${tier} ${rule} ${file}:${line}`)
  console.log(`${system}: ${own.length} places`)
}
