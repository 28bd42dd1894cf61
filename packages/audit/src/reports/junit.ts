// The report as JUnit XML, for servers of continuous integration that know nothing else: a suite per category, a case per rule.
//   RE10. A rule fails where it has strong findings that are not suppressed, is skipped where what it found is for review or suppressed, and a rule that broke is an error.
//   RW8. The whole and every suite are counted, and a case that found something names the file and the line where to look first.
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
  const cases = suites.flatMap((suite) => suite.cases)
  return `<?xml version="1.0" encoding="UTF-8"?>\n<testsuites name="ripstop-audit" ${countsOf(cases)}>\n${suites.map(({ text }) => text).join('\n')}\n</testsuites>\n`
}

/** RE11. */
export function escapeXml(text: string): string {
  return text
    .toWellFormed()
    .replace(/[^\t\n\r\u0020-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]/gu, '')
    .replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`)
}

type Outcome = 'passed' | 'failed' | 'skipped' | 'broken'

interface Case {
  readonly outcome: Outcome
  readonly text: string
}

/** As attributes. Nothing is timed rule by rule, and readers want a number. */
function countsOf(cases: readonly Case[]): string {
  const count = (outcome: Outcome): number => cases.filter((one) => one.outcome === outcome).length
  return `tests="${cases.length}" failures="${count('failed')}" errors="${count('broken')}" skipped="${count('skipped')}" time="0"`
}

function suiteOf(
  report: Report,
  category: string,
  rules: readonly string[],
): { readonly cases: readonly Case[]; readonly text: string } {
  const cases = rules.map((rule) => caseOf(report, rule))
  const text = [
    ` <testsuite name="${escapeXml(category)}" ${countsOf(cases)} timestamp="${escapeXml(report.generatedAt)}">`,
    ...cases.map((one) => one.text),
    ' </testsuite>',
  ].join('\n')
  return { cases, text }
}

/** RE10. */
function caseOf(report: Report, rule: string): Case {
  const own = report.findings.filter((finding) => finding.rule === rule)
  const strong = own.filter(({ tier, suppressed }) => tier !== 'review' && suppressed === undefined)
  const broken = report.coverage.brokenRules.find((one) => one.rule === rule)
  const [place] = (strong[0] ?? own[0])?.evidence ?? []
  const file = place?.loc === undefined ? '' : ` file="${escapeXml(place.loc.file)}" line="${place.loc.line}"`
  const wrap = (inner: string): string =>
    `  <testcase classname="ripstop-audit" name="${escapeXml(rule)}"${file} time="0">${inner === '' ? '' : `\n   ${inner}\n  `}</testcase>`
  if (broken !== undefined) return { outcome: 'broken', text: wrap(`<error message="${escapeXml(broken.message)}"/>`) }
  if (strong.length > 0) {
    const message = `${strong.length} strong ${strong.length === 1 ? 'finding' : 'findings'}: ${strong[0]?.title ?? ''}`
    return {
      outcome: 'failed',
      text: wrap(
        `<failure type="${strong[0]?.severity}" message="${escapeXml(message)}">${escapeXml(listed(strong))}</failure>`,
      ),
    }
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
