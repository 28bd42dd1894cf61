// Variables that a service cannot start without, and that nothing gives it: its source asks for them in a way that throws.
//   RX27. A variable of the image, of an example beside a source that may load it, an env file, the entry script, or one that is asked for first is silent, and so are sources that the image does not run by their imports.

import { resolveFrom } from '../../repository/paths.ts'
import type { Repository } from '../../repository/repository.ts'
import { contextOf, dockerfileOf } from './builds.ts'
import { at, type Discovery, type Rule } from './deployment.ts'
import { unmetIn } from './env-unmet.ts'
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
  // Several services of one folder: which of them runs which source is not known.
  const isShared = [...project.services.values()].some(
    (other) => other.name !== service.name && other.build?.context.value === service.build?.context.value,
  )
  const { names, reads, isCertain } = unmetIn(repository, dockerfile, context, given)
  if (reads.length === 0) return
  yield {
    tier: isShared || !isCertain ? 'review' : tierIn(project, service.loc),
    symbol: service.name,
    component: service.name,
    symptom: `${service.name} does not start, or fails where it first needs ${names.slice(0, 3).join(', ')}.`,
    rootCause: `Nothing sets ${names.slice(0, 6).join(', ')} for ${service.name}.`,
    evidence: [seen(service.environmentLoc, `${service.name} is not given ${names.slice(0, 6).join(', ')}.`), ...reads],
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
