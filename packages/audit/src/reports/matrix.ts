// The failure propagation matrix: for each component how it may fail, what goes down with it, what holds today, and what would. Ways to fail are those that
// findings show, and the two that every needed component has: it is gone, or it does not answer.
//   RR8. Only what stops a component takes down those who need it; a wrong answer or an open door stops nobody.
//   RR1. A row says nothing that is not in the graph or in a finding: its guarantees are those of the links into the component, its remedy that of the rule or
//        of the guarantee that is missing.

import type { BlastRadius } from '../graph/blast-radius.ts'
import { claimOf } from '../graph/claims.ts'
import type { Effort, Priority } from '../model/finding.ts'
import type { GuaranteeKind, GuaranteeState, SystemGraph, SystemLink } from '../model/graph.ts'
import type { Category } from '../rules/rule.ts'
import { effortOf, priorityOf } from './plan.ts'
import { PROPOSALS } from './proposals.ts'
import type { ReportedFinding } from './reported.ts'

export interface MatrixRow {
  readonly component: string
  readonly mode: string
  /**
   * stops: it does its work no more. wrong: it goes on, and what it says or keeps is wrong. exposed: it goes on, and others get in. unguarded: nothing happens
   * until something else fails.
   */
  readonly effect: 'stops' | 'wrong' | 'exposed' | 'unguarded'
  /** Fingerprints of the findings that show it; none: it follows from the graph. */
  readonly fingerprints: readonly string[]
  readonly takesDown: readonly string[]
  readonly isAssumed: boolean
  /** Guarantees against it, with their states. */
  readonly current: readonly {
    readonly kind: GuaranteeKind
    readonly state: GuaranteeState
    readonly links: readonly string[]
  }[]
  readonly proposed: { readonly text: string; readonly guarantee?: string }
  readonly priority: Priority
  readonly effort: Effort
}

const EFFECTS: Partial<Readonly<Record<Category, MatrixRow['effect']>>> = {
  'deadlines and retries': 'stops',
  'permanent failure': 'stops',
  guards: 'stops',
  bounds: 'stops',
  lifecycle: 'stops',
  deployment: 'stops',
  configuration: 'stops',
  'error handling': 'wrong',
  concurrency: 'wrong',
  'messages and effects': 'wrong',
  state: 'wrong',
  security: 'exposed',
}
/** Rules that are not as their category. */
const EXCEPTIONS: readonly (readonly [rule: RegExp, effect: MatrixRow['effect']])[] = [
  [/ttl-loss|no-429|shutdown/, 'wrong'],
  [/blocking|deadlock|unhandled-|fatal|crash|reconnect|breaker-|hard-dependency/, 'stops'],
  [
    /^retry-|client-per-request|^health-|-no-healthcheck$|probes|limits$|rate-limit|^guard|config-unused|not-rate|env-unused|-tag$/,
    'unguarded',
  ],
]

/** RR8. Undefined: it is no way to fail. */
export function effectOf({ category, rule }: ReportedFinding): MatrixRow['effect'] | undefined {
  return EXCEPTIONS.find(([words]) => words.test(rule))?.[1] ?? EFFECTS[category]
}

/** What is said where nobody else goes down. */
export const NOTHING_ELSE = {
  stops: 'nobody else that was seen',
  wrong: 'nobody: it goes on, and is wrong',
  exposed: 'nobody: others get in',
  unguarded: 'nobody by itself: what would hold is missing',
} as const

const AGAINST_SILENCE: readonly GuaranteeKind[] = ['deadline', 'breaker', 'bulkhead']
const AGAINST_LOSS: readonly GuaranteeKind[] = ['breaker', 'fallback', 'retry', 'reconnect']

export function matrixOf(
  graph: SystemGraph,
  radii: readonly BlastRadius[],
  findings: readonly ReportedFinding[],
): readonly MatrixRow[] {
  const into = groupBy(graph.links, ({ to }) => to)
  const own = groupBy(
    findings.filter(({ suppressed, tier }) => suppressed === undefined && tier !== 'review'),
    ({ component }) => component ?? '',
  )
  const rows = radii.flatMap((radius) => {
    const links = into.get(radius.component) ?? []
    return [...fromGraph(radius, links), ...fromFindings(radius, own.get(radius.component) ?? [])]
  })
  return rows.sort((a, b) => a.priority.localeCompare(b.priority) || b.takesDown.length - a.takesDown.length)
}

function fromGraph(radius: BlastRadius, links: readonly SystemLink[]): readonly MatrixRow[] {
  if (links.length === 0 || radius.takesDown.length === 0) return []
  const { component, takesDown, isAssumed } = radius
  const row = (mode: string, kinds: readonly GuaranteeKind[], fallback: GuaranteeKind): MatrixRow => {
    const current = guaranteesOf(links, kinds)
    const missing =
      kinds.find((kind) => current.some((one) => one.kind === kind && one.state !== 'present')) ?? fallback
    const { text, guarantee, priority, effort } = PROPOSALS[missing]
    const proposed = guarantee === undefined ? { text } : { text, guarantee }
    return {
      component,
      mode,
      effect: 'stops',
      fingerprints: [],
      takesDown,
      isAssumed,
      current,
      proposed,
      priority,
      effort,
    }
  }
  const isHeard = links.some(({ sites }) => sites.length > 0)
  return [
    row('it is gone: stopped, restarted or not reachable', AGAINST_LOSS, 'fallback'),
    ...(isHeard ? [row('it is there and does not answer', AGAINST_SILENCE, 'deadline')] : []),
  ]
}

function guaranteesOf(links: readonly SystemLink[], kinds: readonly GuaranteeKind[]): MatrixRow['current'] {
  const found = new Map<string, { kind: GuaranteeKind; state: GuaranteeState; links: string[] }>()
  for (const { name, guarantees } of links)
    for (const { kind, state } of guarantees) {
      if (!kinds.includes(kind)) continue
      const key = `${kind} ${state}`
      const known = found.get(key) ?? { kind, state, links: [] }
      found.set(key, known)
      known.links.push(name)
    }
  return [...found.values()]
}

/** One row of each rule. */
function fromFindings(radius: BlastRadius, findings: readonly ReportedFinding[]): readonly MatrixRow[] {
  const { component, isAssumed } = radius
  return [...groupBy(findings, ({ rule }) => rule).values()].flatMap((own): readonly MatrixRow[] => {
    const first = own[0] as ReportedFinding
    const effect = effectOf(first)
    if (effect === undefined) return []
    const [remedy] = first.remedies
    const text = remedy?.text ?? 'No remedy is known.'
    const claim = claimOf(first.rule, `${first.title} ${first.rootCause}`)
    return [
      {
        component,
        mode: first.title,
        effect,
        fingerprints: own.map(({ fingerprint }) => fingerprint),
        takesDown: effect === 'stops' ? radius.takesDown : [],
        isAssumed,
        current: claim === undefined ? [] : [{ kind: claim[0], state: claim[1], links: linksOf(own) }],
        proposed: remedy?.guarantee === undefined ? { text } : { text, guarantee: remedy.guarantee },
        priority: priorityOf(first),
        effort: effortOf(first),
      },
    ]
  })
}

function linksOf(findings: readonly ReportedFinding[]): readonly string[] {
  return [...new Set(findings.flatMap(({ link }) => link ?? []))]
}

/** A row as it is shown: of several components, where all else is the same. */
export interface JoinedRow extends Omit<MatrixRow, 'component'> {
  readonly components: readonly string[]
}

export function joinRows(rows: readonly MatrixRow[]): readonly JoinedRow[] {
  const alike = ({ mode, effect, takesDown, isAssumed, current, proposed, priority, effort }: MatrixRow): string => {
    const states = current.map(({ kind, state }) => `${kind} ${state}`)
    return JSON.stringify([mode, effect, takesDown, isAssumed, states, proposed, priority, effort])
  }
  return [...groupBy(rows, alike).values()].map((own) => {
    const { component: _, ...first } = own[0] as MatrixRow
    const fingerprints = own.flatMap((row) => row.fingerprints)
    return { ...first, fingerprints, components: own.map(({ component }) => component) }
  })
}

export function groupBy<T>(list: readonly T[], keyOf: (one: T) => string): ReadonlyMap<string, readonly T[]> {
  const groups = new Map<string, T[]>()
  for (const one of list) {
    const key = keyOf(one)
    const known = groups.get(key)
    if (known === undefined) groups.set(key, [one])
    else known.push(one)
  }
  return groups
}
