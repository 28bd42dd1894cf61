// Variables of containers that are taken from a key which the ConfigMap or the Secret of the repository does not have.
//   QM14. Keys that are optional, and those of an object that is not here, are silent.

import { at, type Discovery, type Rule } from './deployment.ts'
import { type Container, containersIn, type KeyRef, keyRefsOf, keysOf } from './kubernetes-environment.ts'
import { seen } from './projects.ts'

const meta = at({
  id: 'kubernetes-key-missing',
  category: 'configuration',
  severity: 'high',
  title: 'A container takes a variable from a key that is not there',
  why: 'Kubernetes does not start a container whose key is missing: it stays at CreateContainerConfigError until somebody adds the key.',
  remedy: { priority: 'P1', text: 'Add the key, name the one that is there, or mark it optional.', effort: 'XS' },
  sources: ['https://kubernetes.io/docs/tasks/configure-pod-container/configure-pod-configmap/'],
})

export const kubernetesKeyMissing: Rule = {
  meta,
  *run(repository) {
    for (const container of containersIn(repository))
      for (const ref of keyRefsOf(container)) {
        const keys = keysOf(repository, container, ref)
        if (keys !== undefined && !keys.has(ref.key)) yield discovery(container, ref, keys)
      }
  },
}

function discovery({ object }: Container, { kind, name, key, path }: KeyRef, keys: ReadonlySet<string>): Discovery {
  const line = object.line(path)
  const has = keys.size === 0 ? 'nothing' : [...keys].slice(0, 6).join(', ')
  return {
    tier: 'strong',
    cause: `${kind} ${name} without ${key}`,
    symbol: `${object.kind} ${object.name}`,
    component: object.name,
    symptom: `${object.name} is never started: its pods stay at CreateContainerConfigError.`,
    rootCause: `${object.name} takes ${key} from the ${kind} ${name}, which has ${has}.`,
    evidence: [seen({ file: object.file, line, endLine: line }, `The ${kind} ${name} has no ${key}, only ${has}.`)],
  }
}
