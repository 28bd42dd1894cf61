// Services that nobody can wait for: no healthcheck in compose, and none in the image.
//   RX4. Jobs, services behind a profile, and images that bring a HEALTHCHECK (their Dockerfile is here, or they are known to) are silent.
//   RX5. Where the image can't be looked into, it is for review.

import type { Repository } from '../../repository/repository.ts'
import { dockerfileOf, imageStages, instructionsOf } from './builds.ts'
import { at, type Rule } from './deployment.ts'
import { bringsHealthcheck } from './images.ts'
import { oncePerPlace, type ServiceIn, seen, standingServices, tierIn } from './projects.ts'

const meta = at({
  id: 'compose-no-healthcheck',
  severity: 'medium',
  title: 'A service has no healthcheck',
  why: 'A process that hangs counts as running: nothing waits for it to be ready, and nothing says that it no longer is.',
  remedy: {
    priority: 'P1',
    text: 'Add a healthcheck that asks what the service is for, with a command that its image contains.',
    effort: 'S',
  },
  sources: ['https://docs.docker.com/reference/compose-file/services/#healthcheck'],
})

/** Whatever the service does. */
const PASSES = /^(CMD(-SHELL)?\s+)?(\/bin\/)?(true|:|exit 0|echo( \w+)?)$/

export const composeNoHealthcheck: Rule = {
  meta,
  *run(repository) {
    const found = standingServices(repository).flatMap((each) => {
      const { service, project } = each
      const isOff =
        service.healthcheck !== undefined && (service.healthcheck.isDisabled || PASSES.test(service.healthcheck.test))
      if (service.healthcheck !== undefined && !isOff) return []
      const image = isOff ? false : imageHas(repository, each)
      if (image === true) return []
      const waiting = [...project.services.values()].filter(({ dependsOn }) => dependsOn.has(service.name))
      const names = waiting.map(({ name }) => name).join(', ')
      return [
        {
          tier: image === undefined ? ('review' as const) : tierIn(project, service.loc),
          cause: `healthchecks of ${service.loc.file}`,
          symbol: service.name,
          component: service.name,
          symptom: `A hanging ${service.name} counts as running${names === '' ? '' : `, and ${names} can't wait for it`}.`,
          rootCause: 'Neither compose nor the image has a healthcheck.',
          evidence: [
            seen(
              service.loc,
              `${service.name} has none${image === undefined ? '; its image could not be looked into' : ', nor has its image'}.`,
            ),
          ],
        },
      ]
    })
    yield* oncePerPlace(found)
  },
}

/** `HEALTHCHECK --interval=5s CMD ["a", "b"]` as `a b`. */
function commandOf(healthcheck: string): string {
  return (/\bCMD\s+([\s\S]*)$/.exec(healthcheck)?.[1] ?? '')
    .replace(/[[\]",]/g, ' ')
    .replace(/\s+/g, ' ')
    .trim()
}

/** Undefined: nothing here says. */
function imageHas(repository: Repository, { service }: ServiceIn): boolean | undefined {
  if (service.build === undefined)
    return service.image === undefined ? undefined : bringsHealthcheck(service.image.value)
  const dockerfile = dockerfileOf(repository, service)
  if (dockerfile === undefined) return undefined
  const stages = imageStages(dockerfile, service.build.target)
  const own = instructionsOf(stages).findLast(({ name }) => name === 'HEALTHCHECK')
  if (own !== undefined) return !/^NONE\b/i.test(own.text.trim()) && !PASSES.test(commandOf(own.text))
  return bringsHealthcheck(stages[0]?.base.value ?? '') ?? false
}
