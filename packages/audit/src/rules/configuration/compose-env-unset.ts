// Variables that a service cannot start without, and that nothing gives it: its source asks for them in a way that throws.
//   RX27. A variable of the image, of an example beside a source that may load it, an env file, the entry script, or one that is asked for first is silent, and so are sources that the image does not run by their imports.

import type { FileFacts } from '../../facts/facts.ts'
import { folderOf, isBelow, resolveFrom } from '../../repository/paths.ts'
import type { Repository } from '../../repository/repository.ts'
import { seenAt } from '../queries.ts'
import { contextOf, copied, dockerfileOf, instructionsOf } from './builds.ts'
import { at, type Discovery, type Rule } from './deployment.ts'
import { type Required, requiredIn } from './env-required.ts'
import { oncePerPlace, type ServiceIn, seen, standingServices, tierIn } from './projects.ts'

const meta = at({
  id: 'compose-env-unset',
  category: 'configuration',
  severity: 'high',
  title: 'A service is not given a variable that it cannot start without',
  why: 'The source throws where the variable is not there. With this project it never comes up, or fails on the first use.',
  remedy: { priority: 'P1', text: 'Set it in the project, with a guard (:?) where it is a secret.', effort: 'XS' },
  sources: ['https://12factor.net/config'],
})

const ASIDE =
  /(^|\/)(tests?|scripts?|tools?|migrations?|alembic|examples?|bench\w*|docs?|dev|bin|cli|e2e)\/|(^|\/)(?:tests?|check|seed|e2e)[-_.][^/]*$/i

/** Given by what runs a container, or by what builds a page. */
const PLATFORM =
  /^(?:PORT|HOST|HOSTNAME|PWD|HOME|PATH|USER|TZ|NODE_ENV|CI|KUBERNETES_\w+|AWS_\w+|NEXT_PUBLIC_\w+|VITE_\w+|REACT_APP_\w+|VERCEL\w*|npm_\w+)$/

export const composeEnvUnset: Rule = {
  meta,
  *run(repository) {
    yield* oncePerPlace(standingServices(repository).flatMap((each) => [...check(repository, each)]))
  },
}

function* check(repository: Repository, { project, service }: ServiceIn): Iterable<Discovery> {
  const context = contextOf(repository, service.build)
  const dockerfile = dockerfileOf(repository, service)
  if (context === undefined || dockerfile === undefined || project.isOverridden) return
  const given = givenTo(repository, service)
  if (given === undefined) return
  const instructions = instructionsOf(dockerfile.stages)
  const text = instructions.map((each) => each.text).join('\n')
  const inside = copied(repository, instructions, context).flatMap(({ paths }) => paths)
  const own = folderOf(dockerfile.file)
  // Several services of one folder: which of them runs which source is not known.
  const isShared = [...project.services.values()].some(
    (other) => other.name !== service.name && other.build?.context.value === service.build?.context.value,
  )
  const missing = new Map<string, { readonly facts: FileFacts; readonly read: Required }>()
  for (const [file, facts] of repository.facts) {
    if (!isBelow(file, own) || ASIDE.test(file) || !inside.some((path) => isBelow(file, path))) continue
    if (isOfAnother(repository, file, own)) continue
    for (const read of requiredIn(repository, facts))
      if (
        !given.has(read.name) &&
        !PLATFORM.test(read.name) &&
        !text.includes(read.name) &&
        !mayBeLoaded(repository, own, read.name)
      )
        if (missing.get(read.name)?.read.isCertain !== true) missing.set(read.name, { facts, read })
  }
  if (missing.size === 0) return
  const places = [...missing.values()]
  const isCertain = places.some(({ read }) => read.isCertain) && !loadsFile(repository, own)
  yield {
    tier: isShared || !isCertain ? 'review' : tierIn(project, service.loc),
    symbol: service.name,
    component: service.name,
    symptom: `${service.name} does not start, or fails where it first needs ${[...missing.keys()].slice(0, 3).join(', ')}.`,
    rootCause: `Nothing sets ${[...missing.keys()].slice(0, 6).join(', ')} for ${service.name}.`,
    evidence: [
      seen(service.environmentLoc, `${service.name} is not given ${[...missing.keys()].slice(0, 6).join(', ')}.`),
      ...places
        .slice(0, 20)
        .map(({ facts, read }) => seenAt(facts.file, read, `${read.name} is asked for in a way that throws.`)),
    ],
  }
}

/** Names that it has; undefined: there are more that are not seen. */
function givenTo({ configuration }: Repository, service: ServiceIn['service']): ReadonlySet<string> | undefined {
  const names = new Set(service.environment.keys())
  for (const { value, loc } of service.envFiles) {
    const target = resolveFrom(loc.file, value)
    const file = typeof target === 'string' ? undefined : configuration.envFiles.get(target.path)
    if (file === undefined) return undefined
    for (const name of file.keys()) names.add(name)
  }
  return names
}

/** Another image is built in a folder between: it is that one's source. */
function isOfAnother({ configuration }: Repository, file: string, own: string): boolean {
  return configuration.dockerfiles.some((other) => {
    const folder = folderOf(other.file)
    return folder !== own && isBelow(folder, own) && isBelow(file, folder)
  })
}

/** An example of a file that is loaded beside the source names it: whoever runs it writes one. */
function mayBeLoaded({ configuration }: Repository, own: string, name: string): boolean {
  return [...configuration.envFiles].some(([file, values]) => folderOf(file) === own && values.has(name))
}

/** A file of variables may lie in the image, and nobody commits it. */
function loadsFile({ facts }: Repository, own: string): boolean {
  return [...facts.values()].some(
    ({ file, imports }) => isBelow(file, own) && imports.some(({ module }) => /^dotenv(?:[/-]|$)/.test(module)),
  )
}
