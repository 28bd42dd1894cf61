// Builds that a clone can't do: the context is not in the repository, or the Dockerfile not in the context.
//   RX7. A context inside of the repository that is not there is certain; one beside the repository is for review; one above it, a submodule, a URL or a variable is silent.

import type { ComposeService } from '../../repository/configuration.ts'
import { resolveFrom, resolveIn } from '../../repository/paths.ts'
import type { Repository } from '../../repository/repository.ts'
import { isMade, isRemote } from './builds.ts'
import { at, type Discovery, type Rule } from './deployment.ts'
import { oncePerPlace, seen, servicesOf } from './projects.ts'

const meta = at({
  id: 'compose-build-context-missing',
  severity: 'high',
  title: 'A build context is not in the repository',
  why: 'Whoever has only this repository, a new machine or a pipeline, cannot build the service.',
  remedy: {
    priority: 'P0',
    text: 'Bring the source in (folder or submodule), or name a published image instead of a build.',
    effort: 'S',
  },
  sources: ['https://docs.docker.com/reference/compose-file/build/#context'],
})

export const composeBuildContextMissing: Rule = {
  meta,
  *run(repository) {
    yield* oncePerPlace(servicesOf(repository).flatMap(({ service }) => check(repository, service)))
  },
}

function check(repository: Repository, service: ComposeService): readonly Discovery[] {
  const { build } = service
  if (build === undefined || isRemote(build.context.value)) return []
  const { value, loc } = build.context
  const target = resolveFrom(loc.file, value)
  if (target === 'above') return []
  const shared = {
    symbol: service.name,
    component: service.name,
    symptom: `A fresh clone cannot build ${service.name}.`,
  }
  if (target === 'outside') {
    const evidence = [seen(loc, `The context ${value} lies outside of the repository.`)]
    const cause = `build contexts outside of the repository, ${loc.file}`
    return [
      {
        ...shared,
        tier: 'review',
        severity: 'medium',
        cause,
        rootCause: 'The source of the service is in another repository.',
        evidence,
      },
    ]
  }
  if (!repository.files.has(target.path)) {
    if (isSubmodule(repository, target.path) || isMade(repository, target.path)) return []
    const evidence = [seen(loc, `There is no folder ${target.path}.`)]
    return [{ ...shared, tier: 'strong', rootCause: 'The build context does not exist.', evidence }]
  }
  if (build.dockerfile?.value === '' || build.dockerfile?.value.includes('$')) return []
  const dockerfile = resolveIn(target.path, build.dockerfile?.value ?? 'Dockerfile')
  const isThere = typeof dockerfile === 'string' || repository.files.has(dockerfile.path)
  if (
    isThere ||
    (build.dockerfile === undefined &&
      repository.files.has(`${target.path === '' ? '' : `${target.path}/`}Containerfile`))
  )
    return []
  if (isSubmodule(repository, dockerfile.path)) return []
  const evidence = [seen(build.dockerfile?.loc ?? loc, `There is no file ${dockerfile.path}.`)]
  return [{ ...shared, tier: 'strong', rootCause: 'The Dockerfile of the build does not exist.', evidence }]
}

function isSubmodule({ files }: Repository, path: string): boolean {
  const paths = [...(files.read('.gitmodules') ?? '').matchAll(/^[ \t]*path[ \t]*=(.*)$/gm)].map((match) =>
    (match[1] ?? '').trim(),
  )
  return paths.some((each) => path === each || path.startsWith(`${each}/`))
}
