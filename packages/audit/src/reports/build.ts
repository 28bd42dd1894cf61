// From a scan to the report: grade, top ten, plan, and which component a finding belongs to.
//   RE4. The grade counts strong and confirmed findings that are not suppressed, and nothing else; where neither sources nor configuration were
//        read there is none.
//   RE5. The top ten are open, strong before review, severe before slight; among equals every rule comes once before one comes twice, then what takes more
//        down with it.

import { basename } from 'node:path'
import { type BlastRadius, blastRadii } from '../graph/blast-radius.ts'
import { type Completed, completeGraph } from '../graph/complete.ts'
import { criticalPaths, singlePoints } from '../graph/paths.ts'
import type { StartOrder } from '../graph/start-order.ts'
import { type Finding, SEVERITIES, type Severity, TIERS } from '../model/finding.ts'
import type { SystemGraph } from '../model/graph.ts'
import { Parts } from '../parts.ts'
import type { Scan } from '../scan.ts'
import { cascadeOf } from './cascades.ts'
import { type CategoryState, categoriesOf } from './categories.ts'
import { checklistOf } from './checklist.ts'
import { configurationCount, coverageOf } from './coverage.ts'
import { type Figure, figure, NOT_MEASURABLE } from './figure.ts'
import { matrixOf } from './matrix.ts'
import { permanentStatesOf } from './permanent.ts'
import { planOf } from './plan.ts'
import { type Grade, REPORT_FORMAT, REPORT_VERSION, type Report } from './report.ts'
import type { ReportedFinding } from './reported.ts'
import { serviceLevelsOf } from './service-levels.ts'

const TOP = 10
const NO_START: StartOrder = { waves: [], circle: [], weak: [], unordered: [] }
const BY_RULES = 'rules over what was read'

/** `completed`: of what is no repository, and so has a graph already. */
export function buildReport(scanned: Scan, version: string, completed?: Completed): Report {
  const { repository, rules, wallMs } = scanned
  const parts = new Parts(scanned.brokenParts)
  const categories = new Map(rules.map(({ meta }) => [meta.id, meta.category]))
  const declared: Completed = { graph: repository.graph, findings: scanned.findings, start: NO_START }
  const complete = (): Completed => completed ?? completeGraph(repository, scanned.findings)
  const { graph, findings: placed, start } = parts.run('graph of what is called', complete, declared)
  const findings = placed.map((finding): ReportedFinding => {
    return { ...finding, category: categories.get(finding.rule) ?? 'configuration' }
  })
  const radii = parts.run('blast radius', () => blastRadii(graph), [])
  const states = categoriesOf(scanned, findings)
  const open = findings.filter(({ suppressed }) => suppressed === undefined)
  const strong = open.filter(({ tier }) => tier !== 'review')
  const count = (severity: Severity): number => strong.filter((finding) => finding.severity === severity).length
  const found = (value: number): Figure => figure(value, 'findings', 'static', BY_RULES)
  const wasRead = repository.facts.size + configurationCount(repository) + repository.graph.components.length > 0
  const grade = wasRead ? gradeOf(count) : null
  return {
    format: REPORT_FORMAT,
    version: REPORT_VERSION,
    tool: { name: 'ripstop-audit', version },
    generatedAt: new Date(wallMs).toISOString(),
    name: basename(repository.root),
    grade,
    gradeBecause: becauseOf(grade, states, count),
    figures: {
      strong: found(strong.length),
      review: found(open.length - strong.length),
      suppressed: found(findings.length - open.length),
      rules: figure(rules.length, 'rules', 'static', 'this version'),
      critical: found(count('critical')),
      high: found(count('high')),
      medium: found(count('medium')),
      low: found(count('low')),
    },
    findings,
    topTen: topTenOf(open, radii),
    plan: planOf(findings),
    serviceLevels: serviceLevelsOf(findings),
    categories: states,
    rules: rules.map(({ meta }) => meta),
    graph,
    blastRadii: radii,
    matrix: parts.run('matrix', () => matrixOf(graph, radii, findings), []),
    ...parts.run('cascades', () => cascadesOf(graph), { cascades: [], hasMoreCascades: true }),
    singlePoints: parts.run('single points', () => singlePoints(graph, radii), []),
    permanentStates: permanentStatesOf(findings),
    startOrder: start,
    checklist: parts.run('checklist', () => checklistOf(graph), []),
    // Last, when it is known what broke.
    coverage: coverageOf(scanned, parts.broken),
  }
}

function cascadesOf(graph: SystemGraph): Pick<Report, 'cascades' | 'hasMoreCascades'> {
  const { paths, isWhole } = criticalPaths(graph)
  return { cascades: paths.map((path) => cascadeOf(path, graph)), hasMoreCascades: !isWhole }
}

export const GRADE_MEANS: Readonly<Record<Grade, string>> = {
  A: 'no strong finding',
  B: 'strong findings, none of them high or critical',
  C: 'one to four high, none critical',
  D: 'five high or more, or one or two critical',
  E: 'three critical or more',
}

/** What was counted, and what that means; a grade that rests on few categories says so. */
function becauseOf(
  grade: Grade | null,
  states: readonly CategoryState[],
  count: (severity: Severity) => number,
): string {
  if (grade === null) return `${NOT_MEASURABLE}: nothing was read that rules know`
  const blind = states.filter(({ state }) => state === NOT_MEASURABLE).map(({ category }) => category)
  const counts = SEVERITIES.flatMap((severity) => (count(severity) === 0 ? [] : [`${count(severity)} ${severity}`]))
  const counted = counts.length === 0 ? '' : `${counts.join(', ')} (static); `
  const means = `${counted}${grade} means ${GRADE_MEANS[grade]}`
  return blind.length === 0 ? means : `${means}; not looked at: ${blind.join(', ')}`
}

/** RE4. */
export function gradeOf(count: (severity: Severity) => number): Grade {
  if (count('critical') >= 3) return 'E'
  if (count('critical') > 0 || count('high') >= 5) return 'D'
  if (count('high') > 0) return 'C'
  return SEVERITIES.some((severity) => count(severity) > 0) ? 'B' : 'A'
}

/** RE5. */
function topTenOf(open: readonly ReportedFinding[], radii: readonly BlastRadius[]): readonly string[] {
  const reach = new Map(radii.map(({ component, takesDown }) => [component, takesDown.length]))
  const reachOf = ({ component }: Finding): number => reach.get(component ?? '') ?? 0
  const rank = ({ tier, severity }: Finding): number =>
    TIERS.indexOf(tier) * SEVERITIES.length + SEVERITIES.indexOf(severity)
  const times = new Map<string, number>()
  const counted = open
    .toSorted((a, b) => rank(a) - rank(b) || reachOf(b) - reachOf(a) || b.evidence.length - a.evidence.length)
    .map((finding) => {
      const time = (times.get(finding.rule) ?? 0) + 1
      times.set(finding.rule, time)
      return { finding, time }
    })
  const ranked = counted.sort((a, b) => rank(a.finding) - rank(b.finding) || a.time - b.time)
  return ranked.slice(0, TOP).map(({ finding }) => finding.fingerprint)
}
