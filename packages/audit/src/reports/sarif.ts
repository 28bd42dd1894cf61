// The report as SARIF 2.1.0, for GitHub code scanning and editors. GitHub takes 25,000 results of a run and shows 5,000, takes 1,000 places of a result
// and shows 100 (docs of code scanning, read 2026-11).
//   RE8. One result per finding, known by its fingerprint, so that a moved line opens no new alert.
//   RW7. GitHub knows an alert by `primaryLocationLineHash` alone and shows further places only where the message links to them: both are there. A severity is
//        shown where a rule is of security.
//   RE9. Beyond GitHub's limits the least severe are left out; how many is said in the file itself and to the caller.

import type { Evidence } from '../model/evidence.ts'
import { SEVERITIES } from '../model/finding.ts'
import type { RuleMeta } from '../rules/rule.ts'
import { brokenIn } from './coverage.ts'
import { showPlace } from './figure.ts'
import type { Report, ReportedFinding } from './report.ts'

export const RESULTS_MAX = 5_000
export const PLACES_MAX = 100

const LEVELS = { critical: 'error', high: 'error', medium: 'warning', low: 'note' } as const

/** In the middle of GitHub's bands; for the others, its words. */
const SCORES = { critical: '9.5', high: '8.0', medium: '5.5', low: '2.0' } as const
const PROBLEMS = { critical: 'error', high: 'error', medium: 'warning', low: 'recommendation' } as const
/** Links to further places in a message; the others are in the file. */
const LINKED_MAX = 9

export interface RenderedSarif {
  readonly text: string
  readonly truncated: string | undefined
}

export function renderSarif(report: Report): RenderedSarif {
  const ranked = report.findings.toSorted((a, b) => rank(a) - rank(b))
  const shown = ranked.slice(0, RESULTS_MAX)
  const cut = ranked.length - shown.length
  const places = shown.reduce((sum, { evidence }) => sum + Math.max(0, evidence.length - PLACES_MAX), 0)
  const words: string[] = []
  if (cut > 0)
    words.push(`${cut} of ${ranked.length} findings are left out, the least severe: GitHub shows ${RESULTS_MAX}`)
  if (places > 0) words.push(`${places} places are left out: GitHub shows ${PLACES_MAX} of a finding`)
  const truncated = words.length === 0 ? undefined : words.join('; ')
  const ids = new Map(report.rules.map(({ id }, index) => [id, index]))
  const log = {
    $schema: 'https://json.schemastore.org/sarif-2.1.0.json',
    version: '2.1.0',
    runs: [
      {
        tool: { driver: { name: 'ripstop-audit', version: report.tool.version, rules: report.rules.map(ruleOf) } },
        automationDetails: { id: 'ripstop-audit/' },
        columnKind: 'utf16CodeUnits',
        invocations: [
          {
            executionSuccessful: brokenIn(report.coverage).length === 0,
            toolExecutionNotifications: notifications(report, truncated),
          },
        ],
        results: shown.map((finding) => resultOf(finding, ids)),
      },
    ],
  }
  return { text: `${JSON.stringify(log, undefined, 1)}\n`, truncated }
}

/** RE9: what is suppressed goes first, then what is for review, then the slight. */
function rank({ suppressed, tier, severity }: ReportedFinding): number {
  return (suppressed === undefined ? 0 : 100) + (tier === 'review' ? 10 : 0) + SEVERITIES.indexOf(severity)
}

function ruleOf({ id, title, why, category, severity, remedies }: RuleMeta): object {
  return {
    id,
    name: id.replace(/(^|-)(\w)/g, (_, _dash, letter: string) => letter.toUpperCase()),
    shortDescription: { text: title },
    fullDescription: { text: why },
    help: { text: [why, ...remedies.map(({ priority, text }) => `${priority}: ${text}`)].join('\n\n') },
    defaultConfiguration: { level: LEVELS[severity] },
    properties: {
      tags: category === 'security' ? ['security'] : ['reliability', category],
      precision: 'high',
      // Of what is of security GitHub shows this in the place of the level.
      ...(category === 'security'
        ? { 'security-severity': SCORES[severity] }
        : { 'problem.severity': PROBLEMS[severity] }),
    },
  }
}

/** RE8. */
function resultOf(finding: ReportedFinding, ids: ReadonlyMap<string, number>): object {
  const [first, ...more] = finding.evidence.filter(({ loc }) => loc !== undefined).slice(0, PLACES_MAX)
  const index = ids.get(finding.rule)
  return {
    ruleId: finding.rule,
    ...(index === undefined ? {} : { ruleIndex: index }),
    level: finding.tier === 'review' ? 'note' : LEVELS[finding.severity],
    message: { text: messageOf(finding, more) },
    locations: first === undefined ? [] : [placeOf(first)],
    ...(more.length === 0 ? {} : { relatedLocations: more.map((seen, at) => ({ id: at + 1, ...placeOf(seen) })) }),
    partialFingerprints: {
      primaryLocationLineHash: `${finding.fingerprint}:1`,
      'ripstopFingerprint/v1': finding.fingerprint,
    },
    ...(finding.suppressed === undefined
      ? {}
      : { suppressions: [{ kind: 'external', status: 'accepted', justification: finding.suppressed.reason }] }),
    properties: { tier: finding.tier, severity: finding.severity, status: finding.status },
  }
}

/** RW7. What is ours are the links alone: brackets of others' texts are none. */
function messageOf({ title, symptom, rootCause, remedies }: ReportedFinding, more: readonly Evidence[]): string {
  const doing = remedies[0] === undefined ? '' : ` ${remedies[0].text}`
  const text = `${title}. ${symptom} ${rootCause}${doing}`.replace(/[[\]\\]/g, '\\$&')
  if (more.length === 0) return text
  const linked = more
    .slice(0, LINKED_MAX)
    .map((seen, at) => `[${showPlace(seen).replace(/[[\]\\]/g, '\\$&')}](${at + 1})`)
  const rest = more.length - linked.length
  return `${text} Also: ${linked.join(', ')}${rest > 0 ? ` and ${rest} more` : ''}.`
}

function placeOf({ loc, what }: Evidence): object {
  const { file = '', line = 1, endLine = 1 } = loc ?? {}
  return {
    physicalLocation: {
      artifactLocation: { uri: file.split('/').map(encodeURIComponent).join('/'), uriBaseId: '%SRCROOT%' },
      region: { startLine: line, endLine: Math.max(line, endLine) },
    },
    message: { text: what },
  }
}

function notifications({ coverage }: Report, truncated: string | undefined): readonly object[] {
  const say = (level: string, text: string): object => ({ level, message: { text } })
  return [
    ...(truncated === undefined ? [] : [say('warning', truncated)]),
    ...(coverage.unread.length === 0 ? [] : [say('note', `${coverage.unread.length} files were not read`)]),
    ...brokenIn(coverage).map((what) => say('error', what)),
  ]
}
