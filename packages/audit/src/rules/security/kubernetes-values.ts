// Values that manifests of Kubernetes write down: of the environment of containers, of ConfigMaps, and of Secrets in clear or in base64, which hides nothing.
//   QM10. Templates, and values that come from elsewhere, are left out.

import type { Loc } from '../../model/evidence.ts'
import type { KubernetesObject } from '../../repository/configuration.ts'
import type { Repository } from '../../repository/repository.ts'

export interface WrittenValue {
  readonly object: KubernetesObject
  readonly name: string
  readonly value: string
  readonly loc: Loc
}

type Part = Readonly<Record<string, unknown>>
const KINDS = new Set(['Deployment', 'StatefulSet', 'DaemonSet', 'Job'])

export function* writtenInKubernetes({ configuration }: Repository): Iterable<WrittenValue> {
  for (const object of configuration.kubernetes) {
    if (KINDS.has(object.kind)) yield* ofContainers(object)
    if (object.kind === 'ConfigMap') yield* ofMap(object, 'data')
    if (object.kind === 'Secret') {
      yield* ofMap(object, 'stringData')
      for (const each of ofMap(object, 'data')) {
        const value = decoded(each.value)
        if (value !== undefined) yield { ...each, value }
      }
    }
  }
}

function* ofContainers(object: KubernetesObject): Iterable<WrittenValue> {
  const spec = part(part(part(object.body.spec).template).spec)
  for (const kind of ['containers', 'initContainers'] as const) {
    const containers = spec[kind]
    if (!Array.isArray(containers)) continue
    for (const [index, container] of containers.entries()) {
      const { env } = part(container)
      if (!Array.isArray(env)) continue
      for (const [at, each] of env.entries()) {
        const { name, value } = part(each)
        const path = ['spec', 'template', 'spec', kind, index, 'env', at, 'value']
        if (typeof name === 'string' && typeof value === 'string') yield* written(object, name, value, path)
      }
    }
  }
}

function* ofMap(object: KubernetesObject, key: 'data' | 'stringData'): Iterable<WrittenValue> {
  for (const [name, value] of Object.entries(part(object.body[key])))
    if (typeof value === 'string') yield* written(object, name, value, [key, name])
}

function* written(
  object: KubernetesObject,
  name: string,
  value: string,
  path: readonly (string | number)[],
): Iterable<WrittenValue> {
  // What stands for a part of a template; whole files are no value of a variable.
  if (value.includes('\n') || /\btemplate\b|\$[({]/.test(value)) return
  const line = object.line(path)
  yield { object, name, value, loc: { file: object.file, line, endLine: line } }
}

/** Undefined: it is no text. */
function decoded(text: string): string | undefined {
  const clean = Buffer.from(text, 'base64').toString('utf8').trim()
  return clean === '' || /[^\x20-\x7e]/.test(clean) ? undefined : clean
}

function part(value: unknown): Part {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Part) : {}
}
