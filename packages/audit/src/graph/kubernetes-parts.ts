// Workloads of Kubernetes as parts; what Services and Ingresses publish, and the environment of containers.

import type { Component, Guarantee } from '../model/graph.ts'
import type { Configuration, KubernetesObject, Located } from '../repository/configuration.ts'
import { isStore, knownOf } from './images.ts'
import type { Part } from './part.ts'
import { folderNamed } from './sources.ts'

const WORKLOADS = new Set(['Deployment', 'StatefulSet', 'DaemonSet', 'ReplicaSet', 'Job', 'CronJob'])
/** A name that a template stands for. */
const UNKNOWN = /template|^$/

export function kubernetesParts(configuration: Configuration): readonly Part[] {
  const { kubernetes } = configuration
  const published = publishedBy(kubernetes)
  return kubernetes
    .filter(({ kind, name }) => WORKLOADS.has(kind) && !UNKNOWN.test(name))
    .map((object) => toPart(object, configuration, published))
}

function toPart(object: KubernetesObject, configuration: Configuration, published: ReadonlySet<string>): Part {
  const { body, kind, name, loc } = object
  const spec = record(body.spec)
  const containers = list(record(record(podTemplate(kind, spec)).spec).containers).map(record)
  const [container = {}] = containers
  const image = typeof container.image === 'string' ? container.image : undefined
  const known = image === undefined ? knownOf('') : knownOf(image)
  const folder =
    folderNamed(name, configuration) ?? folderNamed((image ?? '').split('/').pop()?.split(':')[0] ?? '', configuration)
  const isOfStore = isStore(known)
  const component: Component = {
    name,
    kind: kind === 'Job' || kind === 'CronJob' ? 'job' : known.kind,
    sources: isOfStore || folder === undefined ? [] : [folder],
    image,
    replicas:
      typeof spec.replicas === 'number'
        ? spec.replicas
        : kind === 'Deployment' || kind === 'StatefulSet'
          ? 1
          : undefined,
    isPublished: published.has(name),
    owner: undefined,
    guarantees: guaranteesOf(object, containers, spec, isOfStore),
    evidence: [{ provenance: 'config', loc, what: `a ${kind} of Kubernetes` }],
  }
  return {
    component,
    system: '',
    link: known.link,
    names: [name],
    ports: containers.flatMap(({ ports }) => list(ports).map((port) => String(record(port).containerPort ?? ''))),
    environment: environmentOf(containers, loc),
    waits: [],
    isChecked: containers.some(({ readinessProbe }) => readinessProbe !== undefined),
  }
}

function podTemplate(kind: string, spec: Readonly<Record<string, unknown>>): unknown {
  return kind === 'CronJob' ? record(record(spec.jobTemplate).spec).template : spec.template
}

/** Names of workloads that a Service of type LoadBalancer or NodePort selects, or whose Service an Ingress names. */
function publishedBy(objects: readonly KubernetesObject[]): ReadonlySet<string> {
  const found = new Set<string>()
  for (const { kind, body, name } of objects) {
    const spec = record(body.spec)
    if (kind === 'Service' && (spec.type === 'LoadBalancer' || spec.type === 'NodePort')) {
      found.add(name)
      for (const value of Object.values(record(spec.selector))) if (typeof value === 'string') found.add(value)
    }
    if (kind === 'Ingress')
      for (const rule of list(spec.rules))
        for (const path of list(record(record(rule).http).paths)) {
          const service = record(record(record(path).backend).service).name
          if (typeof service === 'string') found.add(service)
        }
  }
  return found
}

function environmentOf(
  containers: readonly Readonly<Record<string, unknown>>[],
  loc: KubernetesObject['loc'],
): ReadonlyMap<string, Located<string>> {
  const all = new Map<string, Located<string>>()
  for (const { env } of containers)
    for (const entry of list(env)) {
      const { name, value } = record(entry)
      if (typeof name === 'string' && typeof value === 'string') all.set(name, { value, loc })
    }
  return all
}

function guaranteesOf(
  { loc, kind, hidesBlocks }: KubernetesObject,
  containers: readonly Readonly<Record<string, unknown>>[],
  spec: Readonly<Record<string, unknown>>,
  isOfStore: boolean,
): readonly Guarantee[] {
  const say = (name: Guarantee['kind'], holds: boolean, what: string, value?: number): Guarantee => ({
    kind: name,
    state: holds ? 'present' : 'absent',
    evidence: [{ provenance: 'config', loc, what, ...(value === undefined ? {} : { value, unit: 'replicas' }) }],
  })
  // What a block of a template may hold is not said to be absent.
  const seen = (guarantee: Guarantee): readonly Guarantee[] =>
    hidesBlocks && guarantee.state === 'absent' ? [] : [guarantee]
  const isChecked = containers.some(
    ({ readinessProbe, livenessProbe }) => readinessProbe !== undefined || livenessProbe !== undefined,
  )
  const count = typeof spec.replicas === 'number' ? spec.replicas : 1
  const keeps = list(spec.volumeClaimTemplates).length > 0
  return [
    say('restart', true, 'Kubernetes starts it again when it ends'),
    ...seen(say('health', isChecked, isChecked ? 'has a probe' : 'has no probe')),
    ...(kind === 'Deployment' || kind === 'StatefulSet'
      ? [say('replicas', count > 1, 'runs as often as this says', count)]
      : []),
    ...(isOfStore ? seen(say('durability', keeps, keeps ? 'claims a volume' : 'claims no volume of its own')) : []),
  ]
}

function record(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {}
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}
