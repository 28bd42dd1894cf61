// From what rules discover to findings: suppressed or not, grouped by cause, with fingerprint and owner, the worst first.
//   FG8. Discoveries of one rule with one cause are one finding with all their places; a suppressed one never hides one that is not, and
//        one for review never makes a strong one weaker.
//   FG9. A rule that throws, or finds more than DISCOVERIES_MAX, costs its own findings; that it did is told.

import { type Finding, SEVERITIES, TIERS } from '../model/finding.ts'
import type { Repository } from '../repository/repository.ts'
import type { Discovery, Rule, RuleMeta } from '../rules/rule.ts'
import { createFingerprints, normalised } from './fingerprint.ts'
import { readOwners } from './owners.ts'
import { readSuppressions, type Suppressed, type SuppressionProblem } from './suppression.ts'

const DISCOVERIES_MAX = 20_000

export interface Found {
  readonly findings: readonly Finding[]
  readonly suppressionProblems: readonly SuppressionProblem[]
  readonly brokenRules: readonly { readonly rule: string; readonly message: string }[]
}

interface Group {
  readonly meta: RuleMeta
  readonly discoveries: Discovery[]
  readonly suppressed: Suppressed | undefined
}

/** Runs the rules. `wallMs`: the day, for suppressions that end. `measure` is put around every rule. */
export function findAll(
  rules: readonly Rule[],
  repository: Repository,
  wallMs: number,
  measure: (rule: string, run: () => void) => void = (_rule, run) => run(),
): Found {
  const suppressions = readSuppressions(repository.files, wallMs)
  const brokenRules: { rule: string; message: string }[] = []
  const groups = new Map<string, Group>()
  for (const { meta, run } of rules) {
    try {
      measure(meta.id, () => {
        let count = 0
        for (const discovery of run(repository)) {
          if (++count > DISCOVERIES_MAX)
            throw new Error(`more than ${DISCOVERIES_MAX} discoveries: the rest is missing`)
          const loc = discovery.evidence[0]?.loc
          const suppressed = loc === undefined ? undefined : suppressions.find(meta.id, loc.file, loc.line)
          addTo(groups, meta, discovery, suppressed, count)
        }
      })
    } catch (error) {
      brokenRules.push({ rule: meta.id, message: error instanceof Error ? error.message.slice(0, 200) : 'unknown' })
    }
  }
  const findings = finish([...groups.values()], repository)
  return { findings, suppressionProblems: suppressions.problems(), brokenRules }
}

/** FG8. */
function addTo(
  groups: Map<string, Group>,
  meta: RuleMeta,
  discovery: Discovery,
  suppressed: Suppressed | undefined,
  count: number,
): void {
  const { cause, tier } = discovery
  const key = JSON.stringify([meta.id, cause ?? count, cause === undefined ? '' : tier, suppressed?.reason ?? null])
  const group = groups.get(key)
  if (group === undefined) groups.set(key, { meta, discoveries: [discovery], suppressed })
  else group.discoveries.push(discovery)
}

function finish(groups: readonly Group[], repository: Repository): readonly Finding[] {
  const fingerprintOf = createFingerprints()
  const ownersOf = readOwners(repository.files)
  const findings = groups.map(({ meta, discoveries, suppressed }): Finding => {
    const first = discoveries[0] as Discovery
    const loc = first.evidence[0]?.loc
    const { cause } = first
    return {
      fingerprint: fingerprintOf({
        rule: meta.id,
        file: cause === undefined ? (loc?.file ?? '') : '',
        symbol: cause === undefined ? first.symbol : '',
        text: cause ?? normalised(repository.files, loc),
      }),
      rule: meta.id,
      severity: first.severity ?? meta.severity,
      tier: first.tier,
      status: 'suspected',
      title: first.title ?? meta.title,
      symptom: first.symptom,
      rootCause: first.rootCause,
      component: first.component,
      link: first.link,
      evidence: discoveries.flatMap(({ evidence }) => evidence),
      reproduction: undefined,
      remedies: meta.remedies,
      owner: loc === undefined ? undefined : ownersOf(loc.file),
      suppressed,
    }
  })
  return findings.sort(worstFirst)
}

export function worstFirst(a: Finding, b: Finding): number {
  return (
    TIERS.indexOf(a.tier) - TIERS.indexOf(b.tier) ||
    SEVERITIES.indexOf(a.severity) - SEVERITIES.indexOf(b.severity) ||
    b.evidence.length - a.evidence.length ||
    compareText(a.rule, b.rule) ||
    compareText(a.evidence[0]?.loc?.file ?? '', b.evidence[0]?.loc?.file ?? '') ||
    (a.evidence[0]?.loc?.line ?? 0) - (b.evidence[0]?.loc?.line ?? 0)
  )
}

function compareText(a: string, b: string): number {
  return a === b ? 0 : a < b ? -1 : 1
}
