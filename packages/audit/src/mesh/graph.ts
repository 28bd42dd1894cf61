// A running mesh as a graph of the auditor: its settings are guarantees that are present or absent, known from its configuration.

import type { Evidence } from '../model/evidence.ts'
import type { Component, Guarantee, GuaranteeKind, SystemGraph, SystemLink } from '../model/graph.ts'
import type { MeshGraph, MeshLink } from './wire.ts'

const KINDS: readonly SystemLink['kind'][] = ['http', 'grpc', 'postgres', 'redis', 'websocket']

export function graphOfMesh(mesh: MeshGraph): SystemGraph {
  const components = mesh.components.map(
    ({ name, kind }): Component => ({
      name,
      kind,
      sources: [],
      image: undefined,
      replicas: undefined,
      isPublished: false,
      owner: undefined,
      guarantees: [],
      evidence: [seen('measured', `${name} is a part of the running mesh`)],
    }),
  )
  const links = new Map<string, SystemLink>()
  for (const use of mesh.uses) {
    for (const link of mesh.links) {
      if (link.name !== use.link) continue
      const short = `${use.component} -> ${link.to}`
      const name = links.has(short) ? `${short} (${link.name}, ${link.process})` : short
      links.set(name, linkOf(name, use, link))
    }
  }
  return { components, links: [...links.values()] }
}

function linkOf(name: string, { component, need }: MeshGraph['uses'][number], link: MeshLink): SystemLink {
  return {
    name,
    from: component,
    to: link.to,
    kind: KINDS.find((kind) => kind === link.kind) ?? 'other',
    need,
    needBecause: 'the mesh says so',
    sites: [],
    evidence: [seen('measured', `${link.name} of process ${link.process} leads to ${link.target}`)],
    guarantees: guaranteesOf(link),
  }
}

function guaranteesOf({ name, guarantees }: MeshLink): readonly Guarantee[] {
  const { retry, breaker, bulkhead, rate, fallback } = guarantees
  const claim = (kind: GuaranteeKind, isPresent: boolean, what: string, value?: number, unit?: string): Guarantee => ({
    kind,
    state: isPresent ? 'present' : 'absent',
    evidence: [
      { ...seen('config', `${name}: ${what}`), ...(value === undefined || unit === undefined ? {} : { value, unit }) },
    ],
  })
  return [
    claim('deadline', true, 'longest call', guarantees.deadline_ms, 'ms'),
    claim('retry', retry.attempts > 1, 'attempts in all', retry.attempts, 'attempts'),
    claim('breaker', breaker !== null, breaker === null ? 'no breaker' : 'a breaker'),
    claim('bulkhead', true, 'calls at once', bulkhead.concurrent, 'calls'),
    claim('queue_bound', true, 'calls that may wait', bulkhead.queue, 'calls'),
    claim('reconnect', true, 'connects again by itself'),
    ...(rate === null ? [] : [claim('rate', true, 'calls in a second', rate.per_second, 'calls')]),
    ...(fallback === null ? [] : [claim('fallback', true, `instead of it: ${fallback}`)]),
  ]
}

export function seen(provenance: Evidence['provenance'], what: string): Evidence {
  return { provenance, loc: undefined, what, source: 'GET /v1/mesh/graph' }
}
