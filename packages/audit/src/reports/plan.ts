// The plan: what to do first, and what waits for it. Effort is the class that each rule states, summed at the top of its class: an assumption, shown as
// one. Findings for review are decided before anything is planned for them.
//   RE3. A finding is in one phase at most, a suppressed one in none, and a phase waits only for phases before it.
//   RR7. A phase is made of tasks, one of each rule, with its owners; a task waits only for tasks of the plan.

import { EFFORTS, type Effort, type Finding, PRIORITIES, type Priority } from '../model/finding.ts'
import type { Figure } from './figure.ts'

/** Hours at the top of a class; XL has none, and counts as two of L. */
export const EFFORT_HOURS: Readonly<Record<Effort, number>> = { XS: 1, S: 4, M: 16, L: 40, XL: 80 }

const BRIEF_CHARS = 120

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
  readonly tasks: readonly Task[]
}

export interface Task {
  readonly rule: string
  readonly text: string
  readonly guarantee?: string
  readonly fingerprints: readonly string[]
  readonly components: readonly string[]
  /** From CODEOWNERS; empty: unassigned. */
  readonly owners: readonly string[]
  readonly effort: Figure
  /** Rules whose tasks come first: what this one builds on. */
  readonly after: readonly string[]
}

/** What a remedy builds on: waiting for health needs a health that is true, repeating needs effects that may be repeated, a breaker counts what has a deadline. */
const BUILDS_ON: readonly (readonly [rule: RegExp, on: RegExp])[] = [
  [/^compose-depends-/, /^(compose-no-healthcheck|compose-healthcheck-|health-)/],
  [/^(k8s-)?single-replica|replica/, /^(state-in-memory|rate-limit-in-memory)/],
  [/^retry-|^no-429/, /^missing-idempotency/],
  [/breaker|guardrail/, /timeout|deadline/],
  [/^(no-dlq|message-no-redelivery)/, /^missing-idempotency/],
  [/^compose-env-|^compose-default-secret/, /^(hardcoded-secret|default-secret)/],
]

export function priorityOf({ remedies, severity }: Finding): Priority {
  return remedies[0]?.priority ?? (severity === 'critical' ? 'P0' : severity === 'high' ? 'P1' : 'P2')
}

export function effortOf({ remedies }: Finding): Effort {
  return remedies[0]?.effort ?? 'M'
}

/** A remedy's first sentence; of a long one what stands before its colon, or whole clauses, as many as a line takes. */
export function briefly(text: string): string {
  const [sentence = ''] = /^.{8,}?[.;](?=\s|$)/.exec(text) ?? [text]
  if (sentence.length <= BRIEF_CHARS) return sentence.replace(/[.;]$/, '.')
  const line = sentence.slice(0, BRIEF_CHARS)
  const upTo = (mark: string, charsMin: number): readonly string[] =>
    line
      .split(mark)
      .map((_, at, parts) => parts.slice(0, at).join(mark))
      .filter((text) => text.length >= charsMin && text.split('(').length === text.split(')').length)
  const [before] = upTo(': ', BRIEF_CHARS / 5)
  return `${before ?? upTo(', ', BRIEF_CHARS / 3).at(-1) ?? line.slice(0, line.lastIndexOf(' '))} …`
}

/** RE3. Phases without findings are left out. */
export function planOf(findings: readonly Finding[]): readonly Phase[] {
  const open = findings.filter(({ tier, suppressed }) => tier !== 'review' && suppressed === undefined)
  const rules = [...new Set(open.map(({ rule }) => rule))]
  const phases: Phase[] = []
  for (const priority of PRIORITIES) {
    const own = open.filter((finding) => priorityOf(finding) === priority)
    if (own.length === 0) continue
    phases.push({
      priority,
      title: TITLES[priority],
      after: phases.map((phase) => phase.priority),
      fingerprints: own.map(({ fingerprint }) => fingerprint),
      effort: effortFigure(own),
      tasks: rules.flatMap((rule) => {
        const list = own.filter((finding) => finding.rule === rule)
        return list.length === 0 ? [] : [taskOf(rule, list, rules)]
      }),
    })
  }
  return phases
}

function effortFigure(findings: readonly Finding[]): Figure {
  return {
    value: findings.reduce((sum, finding) => sum + EFFORT_HOURS[effortOf(finding)], 0),
    unit: 'hours at most',
    provenance: 'assumed',
    source: `the effort class of each rule (${EFFORTS.map((effort) => `${effort} ${EFFORT_HOURS[effort]} h`).join(', ')}), once per finding`,
  }
}

/** RR7. */
function taskOf(rule: string, findings: readonly Finding[], rules: readonly string[]): Task {
  const [remedy] = findings[0]?.remedies ?? []
  const known = <T>(list: readonly (T | undefined)[]): readonly T[] => [
    ...new Set(list.filter((one) => one !== undefined)),
  ]
  const builtOn = BUILDS_ON.filter(([own]) => own.test(rule)).map(([, on]) => on)
  return {
    rule,
    text: remedy?.text ?? 'No remedy is known.',
    ...(remedy?.guarantee === undefined ? {} : { guarantee: remedy.guarantee }),
    fingerprints: findings.map(({ fingerprint }) => fingerprint),
    components: known(findings.map(({ component }) => component)),
    owners: known(findings.map(({ owner }) => owner)),
    effort: effortFigure(findings),
    after: rules.filter((other) => other !== rule && builtOn.some((on) => on.test(other))),
  }
}
