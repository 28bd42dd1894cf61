// Service levels, target against actual. An audit that only reads has no actual value: each level says so, and what would have to be measured. A value comes in only
// with measured evidence of a finding that names the level.
//   RR6. No level has an actual value without measured evidence.

import type { Finding } from '../model/finding.ts'
import type { Figure } from './figure.ts'

export interface ServiceLevel {
  readonly name: string
  /** Null: the repository states none. */
  readonly target: Figure | null
  readonly actual: Figure | null
  /** What would have to be measured. */
  readonly needs: string
}

const LEVELS: readonly (readonly [name: string, unit: RegExp, needs: string])[] = [
  ['availability', /availab|uptime/i, 'answers and failures at the entries, over weeks'],
  ['latency, 95th percentile', /latency|p95/i, 'durations at the entries, under the load of a busy hour'],
  ['delivery of messages', /deliver/i, 'what was accepted against what was applied, by id'],
  ['freshness of copies', /fresh|lag/i, 'the age of what readers see'],
  ['integrity of data', /integrity|duplicate/i, 'records against a ledger'],
  ['time to recover', /recover|mttr/i, 'an experiment that breaks each link and heals it'],
]

export function serviceLevelsOf(findings: readonly Finding[]): readonly ServiceLevel[] {
  const measured = findings
    .flatMap(({ evidence }) => evidence)
    .filter(({ provenance, value }) => provenance === 'measured' && value !== undefined)
  return LEVELS.map(([name, words, needs]) => {
    const found = measured.find(({ what }) => words.test(what))
    const actual =
      found?.value === undefined
        ? null
        : {
            value: found.value,
            unit: found.unit ?? '',
            provenance: found.provenance,
            source: found.source ?? found.what,
          }
    return { name, target: null, actual, needs }
  })
}
