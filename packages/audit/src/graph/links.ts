// Links while they are collected. Several ways to see one link are one link: the stricter need, the kind that says more, all the evidence.
//   WA9. Every component and every link has evidence with a place; a name that leads to no component makes no link.

import type { Evidence, Loc } from '../model/evidence.ts'
import type { Component, Guarantee, SystemLink } from '../model/graph.ts'
import { type Addresses, mayBeAddress, NOT_CALLED } from './addresses.ts'
import { isStore } from './images.ts'
import type { Part } from './part.ts'

export interface Draft {
  readonly from: string
  readonly to: string
  readonly kind: SystemLink['kind']
  readonly need: SystemLink['need']
  readonly needBecause: string
  readonly sites: readonly Loc[]
  readonly guarantees: readonly Guarantee[]
  readonly evidence: readonly Evidence[]
}

const EVIDENCE_MAX = 12
const SITES_MAX = 60

export function addLink(links: Map<string, SystemLink>, draft: Draft): void {
  const name = `${draft.from} -> ${draft.to}`
  const known = links.get(name)
  if (known === undefined) {
    links.set(name, { name, ...draft, sites: draft.sites.slice(0, SITES_MAX) })
    return
  }
  // Of one need, what was seen in code says more than what is declared.
  const seen = draft.sites.length > 0 ? draft : known
  const stricter = known.need === draft.need ? seen : pick(known, draft)
  links.set(name, {
    ...known,
    kind: known.kind === 'other' ? draft.kind : known.kind,
    need: stricter.need,
    needBecause: stricter.needBecause,
    sites: [...known.sites, ...draft.sites].slice(0, SITES_MAX),
    guarantees: [...known.guarantees, ...draft.guarantees],
    evidence: [...known.evidence, ...draft.evidence].slice(0, EVIDENCE_MAX),
  })
}

/** Hard before soft before unknown. */
function pick(
  a: Pick<Draft, 'need' | 'needBecause'>,
  b: Pick<Draft, 'need' | 'needBecause'>,
): Pick<Draft, 'need' | 'needBecause'> {
  const order = ['hard', 'soft', 'unknown']
  return order.indexOf(a.need) <= order.indexOf(b.need) ? a : b
}

/** WA9: what deployments declare: waiting for another at the start, and addresses of others in the environment. */
export function declaredLinks(
  parts: readonly Part[],
  addresses: Addresses,
): { readonly drafts: readonly Draft[]; readonly outside: readonly Component[] } {
  const outside = new Map<string, Component>()
  const drafts = [...declared(parts, addresses, outside)]
  return { drafts, outside: [...outside.values()] }
}

function* declared(parts: readonly Part[], addresses: Addresses, outside: Map<string, Component>): Iterable<Draft> {
  const byName = new Map(parts.flatMap((part) => part.names.map((name) => [`${part.system}\n${name}`, part])))
  for (const part of parts) {
    for (const wait of part.waits) {
      const target = byName.get(`${part.system}\n${wait.to}`)
      if (target !== undefined && target !== part) yield waiting(part, target, wait)
    }
    // A datastore calls nobody; what is in its environment is a file that it shares with others.
    for (const [name, { value, loc }] of isStore(part.component) ? [] : part.environment) {
      for (const text of value.slice(0, 1_000).split(/[,\s]+/)) {
        if (!mayBeAddress(name, text)) continue
        const found = addresses.find(part, text, 'other')
        if (found?.isOutside === true && (NOT_CALLED.test(name) || name.includes('PUBLIC') || !text.includes('://')))
          continue
        if (found === undefined) continue
        if (found.isOutside && !outside.has(found.to))
          outside.set(
            found.to,
            outsideComponent(found.to, { provenance: 'config', loc, what: `${name} has its address` }),
          )
        const what = `${name} has its address`
        yield {
          from: part.component.name,
          to: found.to,
          kind: found.kind,
          need: 'unknown',
          needBecause: 'it has the address of the other, and no call was seen',
          sites: [],
          guarantees: [],
          evidence: [{ provenance: 'config', loc, what }],
        }
      }
    }
  }
}

function waiting(part: Part, target: Part, { condition, loc }: Part['waits'][number]): Draft {
  const waitsForHealth = condition === 'service_healthy'
  const state = !waitsForHealth ? 'absent' : target.isChecked ? 'present' : 'ineffective'
  const what = `${part.component.name} waits until ${target.component.name} ${waitsForHealth ? 'is healthy' : condition === 'service_started' ? 'is started' : 'has ended well'}`
  return {
    from: part.component.name,
    to: target.component.name,
    kind: target.link,
    need: condition === 'service_started' ? 'unknown' : 'hard',
    needBecause:
      condition === 'service_started'
        ? 'it waits until the other is started, and no call was seen'
        : 'it does not start before the other is ready',
    sites: [],
    guarantees:
      condition === 'service_completed_successfully'
        ? []
        : [{ kind: 'health', state, evidence: [{ provenance: 'config', loc, what }] }],
    evidence: [{ provenance: 'config', loc, what }],
  }
}

/** Something that is called and that nobody here runs. */
export function outsideComponent(name: string, evidence: Evidence): Component {
  return {
    name,
    kind: 'external',
    sources: [],
    image: undefined,
    replicas: undefined,
    isPublished: false,
    owner: undefined,
    guarantees: [],
    evidence: [evidence],
  }
}
