// The report as JUnit XML, for servers of continuous integration that know nothing else: a suite per category, a case per rule.
//   RE10. A rule fails where it has strong findings that are not suppressed, is skipped where what it found is for review or suppressed, and a rule that broke is an error.
//   RE11. Whatever the texts hold, the document is well-formed: what XML can't hold is left out.

import { CATEGORIES } from '../rules/rule.ts'
import { showPlace } from './figure.ts'
import type { Report, ReportedFinding } from './report.ts'

const PLACES_MAX = 50

export function renderJunit(report: Report): string {
  const suites = CATEGORIES.flatMap((category) => {
    const rules = report.rules.filter((rule) => rule.category === category)
    return rules.length === 0
      ? []
      : [
          suiteOf(
            report,
            category,
            rules.map(({ id }) => id),
          ),
        ]
  })
  return `<?xml version="1.0" encoding="UTF-8"?>\n<testsuites name="ripstop-audit">\n${suites.join('\n')}\n</testsuites>\n`
}

/** RE11. */
export function escapeXml(text: string): string {
  return text
    .toWellFormed()
    .replace(/[^\t\n\r\u0020-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]/gu, '')
    .replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`)
}

type Outcome = 'passed' | 'failed' | 'skipped' | 'broken'

function suiteOf(report: Report, category: string, rules: readonly string[]): string {
  const cases = rules.map((rule) => caseOf(report, rule))
  const count = (outcome: Outcome): number => cases.filter((one) => one.outcome === outcome).length
  return [
    ` <testsuite name="${escapeXml(category)}" tests="${cases.length}" failures="${count('failed')}" errors="${count('broken')}" skipped="${count('skipped')}" timestamp="${escapeXml(report.generatedAt)}">`,
    ...cases.map(({ text }) => text),
    ' </testsuite>',
  ].join('\n')
}

/** RE10. */
function caseOf(report: Report, rule: string): { readonly outcome: Outcome; readonly text: string } {
  const own = report.findings.filter((finding) => finding.rule === rule)
  const strong = own.filter(({ tier, suppressed }) => tier !== 'review' && suppressed === undefined)
  const broken = report.coverage.brokenRules.find((one) => one.rule === rule)
  const wrap = (inner: string): string =>
    `  <testcase classname="ripstop-audit" name="${escapeXml(rule)}">${inner === '' ? '' : `\n   ${inner}\n  `}</testcase>`
  if (broken !== undefined) return { outcome: 'broken', text: wrap(`<error message="${escapeXml(broken.message)}"/>`) }
  if (strong.length > 0) {
    const message = `${strong.length} strong findings`
    return { outcome: 'failed', text: wrap(`<failure message="${message}">${escapeXml(listed(strong))}</failure>`) }
  }
  if (own.length === 0) return { outcome: 'passed', text: wrap('') }
  return { outcome: 'skipped', text: wrap(`<skipped message="${own.length} findings for review or suppressed"/>`) }
}

function listed(findings: readonly ReportedFinding[]): string {
  const lines = findings.flatMap(({ title, severity, evidence }) =>
    evidence.map((seen) => `${showPlace(seen)} ${severity}: ${title}: ${seen.what}`),
  )
  const rest = lines.length - PLACES_MAX
  return [...lines.slice(0, PLACES_MAX), ...(rest > 0 ? [`and ${rest} more`] : [])].join('\n')
}
