// Containers of Kubernetes with what their environment is made of: values, and keys of the ConfigMaps and Secrets of the repository.
//   QM13. Only an object of the same namespace that lies with the workload counts. A ConfigMap or a Secret that something else makes or completes (a generator, an operator, a script) has keys that are not seen, and so has a template.

import type { KubernetesObject } from '../../repository/configuration.ts'
import { folderOf, isBelow } from '../../repository/paths.ts'
import type { Repository } from '../../repository/repository.ts'

type Part = Readonly<Record<string, unknown>>
type Path = readonly (string | number)[]

/** Of a workload as it stands in a file. */
export interface Container {
  readonly object: KubernetesObject
  readonly name: string
  readonly image: string
  readonly container: Part
  readonly path: Path
}

const WORKLOADS = new Set(['Deployment', 'StatefulSet', 'DaemonSet', 'Job', 'CronJob'])
/** What is laid over a base that says the rest, or made from what is not here. */
const PARTIAL = /(^|\/)(overlays?|patches?|templates|charts?)(\/|-|\.)|patch[\w-]*\.ya?ml$/i

export function* containersIn({ configuration }: Repository): Iterable<Container> {
  for (const object of configuration.kubernetes) {
    if (!WORKLOADS.has(object.kind) || object.hidesBlocks || PARTIAL.test(object.file)) continue
    const way =
      object.kind === 'CronJob' ? ['spec', 'jobTemplate', 'spec', 'template', 'spec'] : ['spec', 'template', 'spec']
    const spec = way.reduce<Part>((at, key) => part(at[key]), object.body)
    for (const kind of ['initContainers', 'containers'])
      for (const [index, each] of list(spec[kind]).entries())
        yield {
          object,
          name: text(each.name),
          image: text(each.image),
          container: each,
          path: [...way, kind, index],
        }
  }
}

/** One variable that is taken from a key. */
export interface KeyRef {
  readonly kind: 'ConfigMap' | 'Secret'
  readonly name: string
  readonly key: string
  readonly path: Path
}

export function* keyRefsOf({ container, path }: Container): Iterable<KeyRef> {
  for (const [index, each] of list(container.env).entries())
    for (const [field, kind] of REFS) {
      const ref = part(part(each.valueFrom)[`${field}KeyRef`])
      const [name, key] = [text(ref.name), text(ref.key)]
      if (ref.optional !== true && name !== '' && key !== '')
        yield { kind, name, key, path: [...path, 'env', index, 'valueFrom', `${field}KeyRef`, 'key'] }
    }
}

const REFS = [
  ['configMap', 'ConfigMap'],
  ['secret', 'Secret'],
] as const

/** Names that it is given; undefined: more are given than is seen. */
export function environmentOf(repository: Repository, container: Container): ReadonlySet<string> | undefined {
  const names = new Set(list(container.container.env).map(({ name }) => text(name)))
  for (const each of list(container.container.envFrom)) {
    const prefix = text(each.prefix)
    for (const [field, kind] of REFS) {
      const name = text(part(each[`${field}Ref`]).name)
      if (name === '') continue
      const keys = keysOf(repository, container, { kind, name })
      if (keys === undefined) return undefined
      for (const key of keys) names.add(prefix + key)
    }
  }
  return names
}

/** QM13. Undefined: it is not here, or not all of it. */
export function keysOf(
  repository: Repository,
  { object: workload }: Container,
  { kind, name }: Pick<KeyRef, 'kind' | 'name'>,
): ReadonlySet<string> | undefined {
  const named = repository.configuration.kubernetes.filter((object) => object.name === name)
  const own = named.filter((object) => object.kind === kind)
  const isMade = named.some((object) =>
    /^(ExternalSecret|SealedSecret|VaultStaticSecret|Certificate)$/.test(object.kind),
  )
  if (own.length === 0 || isMade || isMadeElsewhere(repository, name)) return undefined
  const isNear = own.some(
    ({ file, namespace }) =>
      (namespace ?? 'default') === (workload.namespace ?? 'default') &&
      (isBelow(file, folderOf(workload.file)) || isBelow(workload.file, folderOf(file))),
  )
  if (!isNear) return undefined
  if (own.some(({ hidesBlocks, file }) => hidesBlocks || PARTIAL.test(file))) return undefined
  return new Set(
    own.flatMap(({ body }) => [body.data, body.stringData, body.binaryData].flatMap((each) => Object.keys(part(each)))),
  )
}

/** By a script, a workflow, or the generator of a kustomization. */
function isMadeElsewhere({ files }: Repository, name: string): boolean {
  return files.list().some((file) => {
    if (
      !/\.(sh|bash|ps1|mk|md)$|(^|\/)(Makefile|justfile|kustomization\.ya?ml)$|(^|\/)\.github\/.*\.ya?ml$/i.test(file)
    )
      return false
    const written = files.read(file)
    return (
      written?.includes(name) === true &&
      /create\s+(?:secret|configmap|cm)\b|(?:secret|configMap)Generator/.test(written)
    )
  })
}

export function part(value: unknown): Part {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Part) : {}
}

export function list(value: unknown): readonly Part[] {
  return Array.isArray(value) ? value.map(part) : []
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : ''
}
