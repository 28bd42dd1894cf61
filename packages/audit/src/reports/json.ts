// The report as JSON, and back. What is read back may have been written by hand or by another version: it is checked before it is believed.
//   RE6. What was written is read back as it was; anything that is no report of this version is refused with AUDIT_REPORT_INVALID.

import { auditError } from '../codes.ts'
import { REPORT_FORMAT, REPORT_VERSION, type Report } from './report.ts'

export function renderJson(report: Report): string {
  return `${JSON.stringify(report, undefined, 2)}\n`
}

/** As much of a report as comparing needs. */
export interface PastReport {
  readonly findings: readonly Pick<
    Report['findings'][number],
    'fingerprint' | 'rule' | 'title' | 'tier' | 'severity' | 'evidence' | 'suppressed'
  >[]
}

/** RE6. */
export function parseReport(text: string, name: string): PastReport {
  let body: unknown
  try {
    body = JSON.parse(text)
  } catch (cause) {
    throw auditError('AUDIT_REPORT_INVALID', `${name} is no JSON`, { cause })
  }
  const { format, version, findings } = (body ?? {}) as Partial<Report>
  if (format !== REPORT_FORMAT || !Array.isArray(findings))
    throw auditError('AUDIT_REPORT_INVALID', `${name} is no report of ripstop-audit`)
  if (version !== REPORT_VERSION)
    throw auditError('AUDIT_REPORT_INVALID', `${name} has version ${String(version)}, this reads ${REPORT_VERSION}`)
  const broken = findings.findIndex((finding: unknown) => !isPast(finding))
  if (broken !== -1) throw auditError('AUDIT_REPORT_INVALID', `${name}: finding ${broken + 1} is incomplete`)
  return { findings }
}

function isPast(finding: unknown): boolean {
  if (typeof finding !== 'object' || finding === null) return false
  const { fingerprint, rule, title, tier, severity, evidence } = finding as Readonly<Record<string, unknown>>
  const texts = [fingerprint, rule, title, tier, severity]
  return texts.every((text) => typeof text === 'string') && Array.isArray(evidence)
}
