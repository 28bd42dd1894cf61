// The checklist of the architecture review: for each component, each guarantee: yes, no, or not seen, with the evidence.
//   RR4. Yes needs a guarantee that is present with its evidence; what nothing says anything of is not seen, never yes. What does not apply has no mark.

import type { Evidence } from '../model/evidence.ts'
import type { Component, Guarantee, GuaranteeKind, SystemGraph, SystemLink } from '../model/graph.ts'

/** In the order of the columns: of the component itself, then of its links to others. */
export const OWN: readonly GuaranteeKind[] = [
  'restart',
  'health',
  'replicas',
  'durability',
  'shutdown',
  'rate',
  'validation',
]
export const OUTWARD: readonly GuaranteeKind[] = [
  'deadline',
  'retry',
  'breaker',
  'bulkhead',
  'reconnect',
  'idempotency',
  'dead_letters',
]
export const CHECKS: readonly GuaranteeKind[] = [...OWN, ...OUTWARD]

export interface Check {
  readonly kind: GuaranteeKind
  readonly state: 'yes' | 'no' | 'not seen'
  /** Of the guarantee, where it is not simply there or absent: unwired, ineffective, bypassed. */
  readonly word: string
  readonly evidence: readonly Evidence[]
}

export interface CheckedComponent {
  readonly component: string
  readonly checks: readonly Check[]
}

const EVIDENCE_MAX = 3
const STORES = ['database', 'cache', 'queue']

export function checklistOf({ components, links }: SystemGraph): readonly CheckedComponent[] {
  const outward = new Map<string, SystemLink[]>()
  for (const link of links) {
    const known = outward.get(link.from)
    if (known === undefined) outward.set(link.from, [link])
    else known.push(link)
  }
  return components
    .filter(({ kind }) => kind !== 'external')
    .map((component) => ({
      component: component.name,
      checks: CHECKS.filter((kind) => applies(kind, component)).map((kind) =>
        check(kind, component, outward.get(component.name) ?? []),
      ),
    }))
}

function applies(kind: GuaranteeKind, { kind: of }: Component): boolean {
  const isOfStore = STORES.includes(of)
  if (kind === 'durability') return isOfStore
  return !isOfStore || kind === 'restart' || kind === 'health' || kind === 'replicas'
}

/** RR4: of several links the worst is said. */
function check(kind: GuaranteeKind, { guarantees }: Component, links: readonly SystemLink[]): Check {
  const found = [...guarantees, ...(OUTWARD.includes(kind) ? links.flatMap((link) => link.guarantees) : [])].filter(
    (one) => one.kind === kind,
  )
  const wrong = found.find(({ state }) => state !== 'present')
  const chosen: Guarantee | undefined = wrong ?? found[0]
  if (chosen === undefined) return { kind, state: 'not seen', word: '', evidence: [] }
  const evidence = chosen.evidence.slice(0, EVIDENCE_MAX)
  if (wrong === undefined) return { kind, state: 'yes', word: '', evidence }
  return { kind, state: 'no', word: wrong.state === 'absent' ? '' : wrong.state, evidence }
}
