// The whole graph, once rules have run: calls in code are joined to what is declared, and findings to the component and the link that they are about, whose
// guarantees they then say something of.
//   GR10. A finding is given the component of its first place and the link of the call that stands there; what a rule said itself is kept where it is a
//         name of the graph, and with both, how to see it happen. Suppressed findings and ones for review change no guarantee.

import { reproductions } from '../findings/reproduction.ts'
import type { Evidence } from '../model/evidence.ts'
import type { Finding } from '../model/finding.ts'
import type { Component, Guarantee, SystemGraph, SystemLink } from '../model/graph.ts'
import { programOf } from '../program/index.ts'
import type { Repository } from '../repository/repository.ts'
import { addressesOf } from './addresses.ts'
import { joinComponents } from './build.ts'
import { linksOfCalls } from './calls.ts'
import { claimOf, settle } from './claims.ts'
import { entryGuarantees } from './entry-guarantees.ts'
import { addLink, declaredLinks } from './links.ts'
import { type Membership, membershipOf } from './membership.ts'
import { partsOf } from './parts.ts'
import { type StartOrder, startOrderOf } from './start-order.ts'

export interface Completed {
  readonly graph: SystemGraph
  readonly findings: readonly Finding[]
  readonly start: StartOrder
}

export function completeGraph(repository: Repository, found: readonly Finding[]): Completed {
  const parts = partsOf(repository.configuration, repository.files)
  const addresses = addressesOf(parts, fallbacksOf(repository))
  const membership = membershipOf(parts.map(({ component }) => component))
  const program = programOf(repository.facts)
  const code = linksOfCalls(repository, program, parts, addresses, membership)
  const entered = entryGuarantees(repository, program, membership)
  const links = new Map<string, SystemLink>()
  const declared = declaredLinks(parts, addresses)
  for (const draft of [...declared.drafts, ...code.drafts]) addLink(links, draft)
  const components = joinComponents(parts, declared.outside, code.outside)
  const names = new Set(components.map(({ name }) => name))
  const reproduce = reproductions(repository)
  const findings = found.map((finding) => {
    const placed = place(finding, names, links, code.byLine, membership)
    return { ...placed, reproduction: reproduce(placed, links.get(placed.link ?? '')?.to) }
  })
  return {
    findings,
    start: startOrderOf(parts, links),
    graph: claim(findings, components, [...links.values()], entered),
  }
}

/** What code uses where a variable is not set: the first that is told. */
function fallbacksOf({ facts }: Repository): ReadonlyMap<string, string> {
  const found = new Map<string, string>()
  for (const { envReads } of facts.values())
    for (const { name, fallback } of envReads)
      if (fallback?.kind === 'string' && !found.has(name)) found.set(name, fallback.value)
  return found
}

/** GR10. */
function place(
  finding: Finding,
  names: ReadonlySet<string>,
  links: ReadonlyMap<string, SystemLink>,
  byLine: ReadonlyMap<string, string>,
  membership: Membership,
): Finding {
  const places = finding.evidence.flatMap(({ loc }) => loc ?? [])
  const [first] = places
  const said = finding.component !== undefined && names.has(finding.component) ? finding.component : undefined
  const lies = first === undefined ? undefined : membership.ofPlace(first)
  // Two systems may each have a component of that name: the place says which.
  const isLying = lies?.startsWith(`${finding.component} (`) === true
  const component = isLying ? lies : (said ?? lies)
  const seen = places.map(({ file, line }) => byLine.get(`${file}:${line}`)).find((name) => name !== undefined)
  const link = finding.link !== undefined && links.has(finding.link) ? finding.link : seen
  return { ...finding, component: component ?? links.get(link ?? '')?.from, link }
}

function claim(
  findings: readonly Finding[],
  components: readonly Component[],
  links: readonly SystemLink[],
  entered: ReadonlyMap<string, readonly Guarantee[]>,
): SystemGraph {
  const claims = new Map([...entered].map(([name, own]) => [name, [...own]]))
  for (const { rule, title, rootCause, tier, suppressed, component, link, evidence } of findings) {
    const claimed = claimOf(rule, `${title} ${rootCause}`)
    const about = link ?? component
    if (claimed === undefined || about === undefined || tier === 'review' || suppressed !== undefined) continue
    const [kind, state] = claimed
    const known = claims.get(about) ?? []
    claims.set(about, known)
    known.push({ kind, state, evidence: evidence.slice(0, 3).map((one): Evidence => ({ ...one, source: rule })) })
  }
  const settled = <T extends { readonly name: string; readonly guarantees: readonly Guarantee[] }>(one: T): T => ({
    ...one,
    guarantees: settle([...one.guarantees, ...(claims.get(one.name) ?? [])]),
  })
  return { components: components.map(settled), links: links.map(settled) }
}
