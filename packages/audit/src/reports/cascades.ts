// Cascades in words: what happens along a critical path once its end is gone, step by step, from what the graph shows of each link. No durations but those that
// code sets.
//   RR2. Every step names what it rests on: a place, or that it was not seen. No number stands in it but one of the graph, with its provenance.

import type { CriticalPath } from '../graph/paths.ts'
import type { Evidence } from '../model/evidence.ts'
import type { Component, Guarantee, GuaranteeKind, SystemGraph, SystemLink } from '../model/graph.ts'
import { showPlace } from './figure.ts'

export interface CascadeStep {
  readonly component: string
  readonly text: string
  readonly provenance: Evidence['provenance']
  readonly loc: Evidence['loc']
}

export interface Cascade {
  readonly components: readonly string[]
  readonly isAssumed: boolean
  readonly steps: readonly CascadeStep[]
}

export function cascadeOf({ components, isAssumed }: CriticalPath, graph: SystemGraph): Cascade {
  const links = new Map(graph.links.map((link) => [link.name, link]))
  const byName = new Map(graph.components.map((component) => [component.name, component]))
  const backwards = components.toReversed()
  const [end = ''] = backwards
  const steps: CascadeStep[] = [endStep(end, byName.get(end))]
  for (const [index, from] of backwards.slice(1).entries()) {
    const to = backwards[index] ?? ''
    const link = links.get(`${from} -> ${to}`)
    if (link !== undefined) steps.push(linkStep(link))
  }
  steps.push(...backStep(backwards, links))
  return { components, isAssumed, steps }
}

function endStep(name: string, component: Component | undefined): CascadeStep {
  const replicas = component?.guarantees.find(({ kind }) => kind === 'replicas')
  const [seen] = replicas?.evidence ?? []
  if (component?.kind === 'external')
    return {
      component: name,
      text: `${name}, which is outside of this system, stops answering.`,
      provenance: 'assumed',
      loc: undefined,
    }
  if (replicas?.state === 'absent' && seen !== undefined)
    return {
      component: name,
      text: `${name} stops. It runs once, so nothing takes over.`,
      provenance: seen.provenance,
      loc: seen.loc,
    }
  return { component: name, text: `${name} stops answering.`, provenance: 'assumed', loc: undefined }
}

function guaranteeOf({ guarantees }: SystemLink, kind: GuaranteeKind): Guarantee | undefined {
  return guarantees.find((one) => one.kind === kind)
}

function linkStep(link: SystemLink): CascadeStep {
  const { from, to, evidence, sites, needBecause } = link
  const [first] = evidence
  if (sites.length === 0) {
    const text = `${from} is without ${to}: ${needBecause}. What it does then is not known.`
    return { component: from, text, provenance: first?.provenance ?? 'assumed', loc: first?.loc }
  }
  const breaker = guaranteeOf(link, 'breaker')
  const onward =
    breaker === undefined
      ? ' No breaker was seen that would stop it from calling on.'
      : breaker.state === 'present'
        ? ''
        : ` Its breaker is ${breaker.state}.`
  const deadline = guaranteeOf(link, 'deadline')
  const [seen] = deadline?.evidence ?? []
  const loc = seen?.loc ?? sites[0]
  return { component: from, text: `${waiting(link, deadline, seen)}${onward}`, provenance: 'static', loc }
}

function waiting(
  { from, to, needBecause }: SystemLink,
  deadline: Guarantee | undefined,
  seen: Evidence | undefined,
): string {
  if (deadline === undefined)
    return `${from} calls ${to} and fails or waits: whether its calls have a deadline was not seen. ${sentence(needBecause)}`
  if (deadline.state !== 'present')
    return `${from} waits: calls of ${to} have no deadline that holds, so what it was asked stays open, and more of it comes.`
  if (seen?.value === undefined) return `${from} gives each call of ${to} up at its deadline. ${sentence(needBecause)}`
  return `${from} gives each call of ${to} up after ${seen.value} ${seen.unit ?? ''} (${seen.provenance}). ${sentence(needBecause)}`
}

function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`
}

/** What the entry shows, and who stays down when the end is back. */
function backStep(backwards: readonly string[], links: ReadonlyMap<string, SystemLink>): readonly CascadeStep[] {
  const entry = backwards.at(-1) ?? ''
  const stuck = backwards.slice(1).flatMap((from, index) => {
    const link = links.get(`${from} -> ${backwards[index] ?? ''}`)
    const own = link === undefined ? undefined : guaranteeOf(link, 'reconnect')
    return own === undefined || own.state === 'present' ? [] : [{ from, seen: own.evidence[0] }]
  })
  return [
    {
      component: entry,
      text: `${entry} is where people come in: they see it fail, or wait.`,
      provenance: 'config',
      loc: undefined,
    },
    ...stuck.map(
      ({ from, seen }): CascadeStep => ({
        component: from,
        text: `Once the rest is back, ${from} stays as it is until it is started again${seen === undefined ? '' : ` (${showPlace(seen)})`}.`,
        provenance: seen?.provenance ?? 'static',
        loc: seen?.loc,
      }),
    ),
  ]
}
