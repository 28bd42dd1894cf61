// Variables that what a container runs cannot start without, and that its manifest does not give it.
//   QM12. Only an image that one Dockerfile of the repository makes counts. Of several manifests of one workload, one that gives it is enough.

import type { Dockerfile } from '../../repository/configuration.ts'
import { folderOf, nameOf } from '../../repository/paths.ts'
import type { Repository } from '../../repository/repository.ts'
import { buildsOf } from './builds.ts'
import { at, type Discovery, type Rule } from './deployment.ts'
import { unmetIn } from './env-unmet.ts'
import { type Container, containersIn, environmentOf, part } from './kubernetes-environment.ts'
import { seen } from './projects.ts'

const meta = at({
  id: 'kubernetes-env-unset',
  category: 'configuration',
  severity: 'high',
  title: 'A container is not given a variable that it cannot start without',
  why: 'The source throws where the variable is not there. In this cluster it never comes up, or is restarted for ever.',
  remedy: { priority: 'P1', text: 'Set it in the manifest, from a Secret where it is one.', effort: 'XS' },
  sources: ['https://12factor.net/config'],
})

export const kubernetesEnvUnset: Rule = {
  meta,
  *run(repository) {
    const all = [...containersIn(repository)]
    for (const container of all) yield* check(repository, container, all)
  },
}

function* check(repository: Repository, container: Container, all: readonly Container[]): Iterable<Discovery> {
  const { object, name } = container
  const dockerfile = dockerfileFor(repository, container)
  if (dockerfile === undefined || isInjected(container)) return
  const given = new Set<string>()
  for (const other of all) {
    if (other.object.name !== object.name || other.name !== name) continue
    const names = environmentOf(repository, other)
    if (names === undefined) return
    for (const each of names) given.add(each)
  }
  const [build] = buildsOf(repository, dockerfile)
  const context = build?.folder ?? folderOf(dockerfile.file)
  const { names, reads, isCertain } = unmetIn(repository, dockerfile, context, given)
  if (names.length === 0) return
  const line = object.line(container.path)
  const what = `${name} is not given ${names.slice(0, 6).join(', ')}.`
  yield {
    tier: isCertain ? 'strong' : 'review',
    symbol: `${object.kind} ${object.name}`,
    component: object.name,
    symptom: `${object.name} does not start, or fails where it first needs ${names.slice(0, 3).join(', ')}.`,
    rootCause: `No manifest sets ${names.slice(0, 6).join(', ')} for ${name}.`,
    evidence: [seen({ file: object.file, line, endLine: line }, what), ...reads],
  }
}

/** By the name that a service of Compose gives its image, by its service, or by its folder; undefined: none, or several. */
function dockerfileFor(repository: Repository, { image, name }: Container): Dockerfile | undefined {
  const last = shortOf(image)
  if (last === '' || /template|\$/.test(image)) return undefined
  const fits = repository.configuration.dockerfiles.filter((dockerfile) => {
    const builds = buildsOf(repository, dockerfile)
    const names = [
      nameOf(folderOf(dockerfile.file)),
      ...builds.flatMap(({ service }) => [service.name, shortOf(service.image?.value ?? '')]),
    ].filter((each) => each !== '')
    return names.some((each) => each === last || (each === name && last.endsWith(`-${each}`)))
  })
  return fits.length === 1 ? fits[0] : undefined
}

function shortOf(image: string): string {
  return (image.split('@')[0]?.split('/').at(-1) ?? '').split(':')[0] ?? ''
}

/** Secrets that an agent writes into the pod are not in the manifest. */
function isInjected({ object, container }: Container): boolean {
  const notes = part(part(part(part(object.body.spec).template).metadata).annotations)
  return (
    Object.keys(notes).some((key) => /vault|secrets?-inject|doppler|infisical/i.test(key)) ||
    container.command !== undefined
  )
}
