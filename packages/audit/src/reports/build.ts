// From a scan to the report: grade, top ten, plan, and which component a finding belongs to.
//   RE4. The grade counts strong and confirmed findings that are not suppressed, and nothing else; where neither sources nor configuration were
//        read there is none.
//   RE5. The top ten are open, strong before review, severe before slight; among equals every rule comes once before one comes twice, then what takes more
//        down with it.

import { basename } from 'node:path'
import { type BlastRadius, blastRadii } from '../graph/blast-radius.ts'
import { type Finding, SEVERITIES, type Severity, TIERS } from '../model/finding.ts'
import type { SystemGraph } from '../model/graph.ts'
import type { FileIndex, Repository } from '../repository/repository.ts'
import type { Scan } from '../scan.ts'
import { type Figure, figure } from './figure.ts'
import { planOf } from './plan.ts'
import type { Report, ReportedFinding } from './report.ts'
import { type Coverage, type Grade, REPORT_FORMAT, REPORT_VERSION } from './report.ts'

const TOP = 10
const BY_RULES = 'rules over what was read'

export function buildReport(scanned: Scan, version: string): Report {
  const { repository, rules, wallMs } = scanned
  const categories = new Map(rules.map(({ meta }) => [meta.id, meta.category]))
  const findings = scanned.findings.map((finding): ReportedFinding => {
    const component = finding.component ?? componentOf(repository.graph, finding.evidence[0]?.loc?.file)
    return { ...finding, component, category: categories.get(finding.rule) ?? 'configuration' }
  })
  const radii = blastRadii(repository.graph)
  const open = findings.filter(({ suppressed }) => suppressed === undefined)
  const strong = open.filter(({ tier }) => tier !== 'review')
  const count = (severity: Severity): number => strong.filter((finding) => finding.severity === severity).length
  const found = (value: number): Figure => figure(value, 'findings', 'static', BY_RULES)
  const wasRead = repository.facts.size + configurationCount(repository) > 0
  const grade = wasRead ? gradeOf(count) : null
  return {
    format: REPORT_FORMAT,
    version: REPORT_VERSION,
    tool: { name: 'ripstop-audit', version },
    generatedAt: new Date(wallMs).toISOString(),
    name: basename(repository.root),
    grade,
    gradeBecause: grade === null ? 'not measurable here: nothing was read that rules know' : GRADE_MEANS[grade],
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
    rules: rules.map(({ meta }) => meta),
    graph: repository.graph,
    blastRadii: radii,
    coverage: coverageOf(scanned),
  }
}

export const GRADE_MEANS: Readonly<Record<Grade, string>> = {
  A: 'no strong finding',
  B: 'strong findings, none of them high or critical',
  C: 'high ones, fewer than five, and none critical',
  D: 'five high ones or more, or one or two critical',
  E: 'three critical findings or more',
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

/** The component whose folder the file is in; the deepest of them. A folder that is the root says nothing unless it is the only one. */
function componentOf({ components }: SystemGraph, file: string | undefined): string | undefined {
  if (file === undefined) return undefined
  const folders = components.flatMap(({ name, folder }) => {
    const clean = folder?.replace(/^\.\//, '').replace(/\/+$/, '')
    return clean === undefined ? [] : [{ name, folder: clean === '.' ? '' : clean }]
  })
  const fitting = folders.filter(({ folder }) => folder !== '' && file.startsWith(`${folder}/`))
  const deepest = Math.max(0, ...fitting.map(({ folder }) => folder.length))
  const [only, another] = fitting.length > 0 ? fitting.filter(({ folder }) => folder.length === deepest) : folders
  return another === undefined && (only?.folder === '' || fitting.length > 0) ? only?.name : undefined
}

function configurationCount({ configuration }: Repository): number {
  const { compose, kubernetes, dockerfiles, envFiles, manifests, schemas, openapi } = configuration
  return (
    compose.length +
    kubernetes.length +
    dockerfiles.length +
    envFiles.size +
    manifests.length +
    schemas.length +
    openapi.length
  )
}

function coverageOf({ repository, brokenRules, suppressionProblems }: Scan): Coverage {
  const { facts, configuration, files, unread } = repository
  const lines = new Map<string, { files: number; lines: number }>()
  for (const { language, lines: own } of facts.values()) {
    const known = lines.get(language) ?? { files: 0, lines: 0 }
    lines.set(language, { files: known.files + 1, lines: known.lines + own })
  }
  const counted = (value: number, unit: string): Figure => figure(value, unit, 'static', 'counted while reading')
  const kinds: readonly (readonly [string, number])[] = [
    ['compose projects', configuration.compose.length],
    ['Kubernetes objects', configuration.kubernetes.length],
    ['Dockerfiles', configuration.dockerfiles.length],
    ['environment files', configuration.envFiles.size],
    ['manifests', configuration.manifests.length],
    ['tables and collections', configuration.schemas.length],
    ['OpenAPI documents', configuration.openapi.length],
  ]
  return {
    languages: [...lines].map(([language, own]) => ({
      language,
      files: counted(own.files, 'files'),
      lines: counted(own.lines, 'lines'),
    })),
    configuration: kinds.flatMap(([kind, own]) => (own > 0 ? [{ kind, files: counted(own, 'read') }] : [])),
    leftOut: leftOutOf(files, counted),
    unread,
    brokenRules,
    suppressionProblems,
  }
}

function leftOutOf(files: FileIndex, counted: (value: number, unit: string) => Figure): Coverage['leftOut'] {
  return (['test', 'example', 'generated', 'vendored'] as const).flatMap((role) => {
    const own = files.list(role).length
    return own > 0 ? [{ role, files: counted(own, 'files') }] : []
  })
}
