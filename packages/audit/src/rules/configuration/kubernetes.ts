// Deployments that one lost node, one hanging process or one hungry neighbour takes down: a single replica, no probes, no limits.
//   RX23. Templates whose replicas, probes or resources may stand in what was left out, an autoscaler on the same name, jobs and init containers are silent.

import type { KubernetesObject } from '../../repository/configuration.ts'
import { folderOf } from '../../repository/paths.ts'
import type { Repository } from '../../repository/repository.ts'
import { at, type Deployment, type Discovery, type Rule } from './deployment.ts'
import { seen } from './projects.ts'

type Part = Readonly<Record<string, unknown>>

const WORKLOADS = new Set(['Deployment', 'StatefulSet', 'DaemonSet'])
const DEVELOPMENT = /(^|[/.\-_])(dev|development|local|minikube|kind|k3d|staging|sandbox)([/.\-_]|$)/i
const OVERLAY = /(^|\/)(overlays?|patches?)(\/|-|\.)|patch[\w-]*\.ya?ml$/i

export const kubernetesSingleReplica = rule(
  {
    id: 'kubernetes-single-replica',
    severity: 'medium',
    title: 'A deployment has a single replica',
    why: 'Every rollout with Recreate, every drained node and every crash is an outage of the whole service.',
    remedy: {
      priority: 'P2',
      text: 'Two replicas or more with a disruption budget, or an autoscaler; first make sure that state is not in the process.',
      effort: 'S',
    },
    sources: ['https://kubernetes.io/docs/concepts/workloads/pods/disruptions/'],
  },
  (object, repository) => {
    const spec = part(object.body.spec)
    if (object.kind !== 'Deployment' || (object.hidesBlocks && spec.replicas === undefined)) return []
    if ((spec.replicas ?? 1) !== 1 || isScaled(object, repository)) return []
    const what =
      spec.replicas === undefined
        ? `${object.name} says nothing of replicas, which means one.`
        : `${object.name} has one replica.`
    return [[object.line(['spec', 'replicas']), what]]
  },
)

export const kubernetesMissingProbes = rule(
  {
    id: 'kubernetes-missing-probes',
    severity: 'medium',
    title: 'A container has no readiness probe',
    why: 'It gets traffic as soon as its process runs, and keeps it while it hangs.',
    remedy: {
      priority: 'P1',
      text: 'A readinessProbe that asks what the service needs to answer, a livenessProbe that asks only itself.',
      effort: 'S',
    },
    sources: ['https://kubernetes.io/docs/concepts/configuration/liveness-readiness-startup-probes/'],
  },
  (object) =>
    containersOf(object).flatMap(({ container, path }) => {
      if (container.readinessProbe !== undefined || !Array.isArray(container.ports)) return []
      const also =
        container.livenessProbe === undefined ? 'neither a readiness nor a liveness probe' : 'no readiness probe'
      return [[object.line(path), `${String(container.name ?? object.name)} has ${also}.`]]
    }),
)

export const kubernetesMissingLimits = rule(
  {
    id: 'kubernetes-missing-limits',
    severity: 'medium',
    title: 'A container has no memory limit',
    why: 'What leaks takes the memory of its neighbours, and the kernel chooses whom to kill.',
    remedy: { priority: 'P2', text: 'Set requests, and a limit on memory.', effort: 'XS' },
    sources: ['https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/'],
  },
  (object, repository) =>
    containersOf(object).flatMap(({ container, path }) => {
      const limits = part(part(container.resources).limits)
      const hasRange = repository.configuration.kubernetes.some(
        ({ kind, namespace }) => kind === 'LimitRange' && namespace === object.namespace,
      )
      if (limits.memory !== undefined || hasRange) return []
      return [[object.line(path), `${String(container.name ?? object.name)} has no limit on memory.`]]
    }),
)

type Check = (object: KubernetesObject, repository: Repository) => readonly (readonly [line: number, what: string])[]

function rule(deployment: Deployment, check: Check): Rule {
  const meta = at(deployment)
  return {
    meta,
    *run(repository) {
      for (const object of repository.configuration.kubernetes) {
        // Overlays are laid over a base that says the rest.
        if (!WORKLOADS.has(object.kind) || OVERLAY.test(object.file)) continue
        for (const [line, what] of check(object, repository)) yield discovery(object, deployment, line, what)
      }
    },
  }
}

function discovery(object: KubernetesObject, { id, why }: Deployment, line: number, what: string): Discovery {
  return {
    tier: DEVELOPMENT.test(object.file) ? 'review' : 'strong',
    cause: `${id} of ${folderOf(object.file)}`,
    symbol: `${object.kind} ${object.name}`,
    component: object.name,
    symptom: why,
    rootCause: what,
    evidence: [seen({ file: object.file, line, endLine: line }, what)],
  }
}

function containersOf(
  object: KubernetesObject,
): readonly { readonly container: Part; readonly path: readonly (string | number)[] }[] {
  const containers = part(part(part(object.body.spec).template).spec).containers
  // In a template a block may have been left out whole.
  if (!Array.isArray(containers) || object.hidesBlocks) return []
  return containers.map((container, index) => ({
    container: part(container),
    path: ['spec', 'template', 'spec', 'containers', index],
  }))
}

function part(value: unknown): Part {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Part) : {}
}

function isScaled({ kind, name }: KubernetesObject, { configuration }: Repository): boolean {
  return configuration.kubernetes.some((other) => {
    const target = part(part(other.body.spec).scaleTargetRef)
    return (
      (other.kind === 'HorizontalPodAutoscaler' || other.kind === 'ScaledObject') &&
      target.name === name &&
      (target.kind ?? 'Deployment') === kind
    )
  })
}
