// The plan: what to do first, and what waits for it. Effort is the class that each rule states, summed at the top of its class: an assumption, shown as
// one. Findings for review are decided before anything is planned for them.
//   RE3. A finding is in one phase at most, a suppressed one in none, and a phase waits only for phases before it.

import { EFFORTS, type Effort, type Finding, PRIORITIES, type Priority } from '../model/finding.ts'
import type { Figure } from './figure.ts'

/** Hours at the top of a class; XL has none, and counts as two of L. */
export const EFFORT_HOURS: Readonly<Record<Effort, number>> = { XS: 1, S: 4, M: 16, L: 40, XL: 80 }

const TITLES: Readonly<Record<Priority, string>> = {
  P0: 'Stop what is lost now',
  P1: 'Make failures end by themselves',
  P2: 'Make failures visible',
  P3: 'Keep it so',
}

export interface Phase {
  readonly priority: Priority
  readonly title: string
  /** Priorities of the phases that it waits for. */
  readonly after: readonly Priority[]
  readonly fingerprints: readonly string[]
  readonly effort: Figure
}

export function priorityOf({ remedies, severity }: Finding): Priority {
  return remedies[0]?.priority ?? (severity === 'critical' ? 'P0' : severity === 'high' ? 'P1' : 'P2')
}

export function effortOf({ remedies }: Finding): Effort {
  return remedies[0]?.effort ?? 'M'
}

/** RE3. Phases without findings are left out. */
export function planOf(findings: readonly Finding[]): readonly Phase[] {
  const open = findings.filter(({ tier, suppressed }) => tier !== 'review' && suppressed === undefined)
  const phases: Phase[] = []
  for (const priority of PRIORITIES) {
    const own = open.filter((finding) => priorityOf(finding) === priority)
    if (own.length === 0) continue
    const hours = own.reduce((sum, finding) => sum + EFFORT_HOURS[effortOf(finding)], 0)
    phases.push({
      priority,
      title: TITLES[priority],
      after: phases.map((phase) => phase.priority),
      fingerprints: own.map(({ fingerprint }) => fingerprint),
      effort: {
        value: hours,
        unit: 'hours at most',
        provenance: 'assumed',
        source: `the effort class of each rule (${EFFORTS.map((effort) => `${effort} ${EFFORT_HOURS[effort]} h`).join(', ')}), once per finding`,
      },
    })
  }
  return phases
}
