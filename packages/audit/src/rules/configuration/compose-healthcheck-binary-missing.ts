// Healthchecks that can't run: their command is not in the image. The service is unhealthy for ever, and what waits for it never starts.
//   QM3. A package that brings a command of another name brings it.
//   RX12. Only images are judged whose base is known; a package, a copied binary or a download in any of its stages that names the command is silent.

import type { Loc } from '../../model/evidence.ts'
import type { DockerStage } from '../../repository/configuration.ts'
import type { Repository } from '../../repository/repository.ts'
import { dockerfileOf, imageStages, instructionsOf } from './builds.ts'
import { at, type Discovery, type Rule } from './deployment.ts'
import { BROUGHT_BY, binariesOf, PROBED } from './images.ts'
import { oncePerPlace, type ServiceIn, seen, servicesOf } from './projects.ts'

const meta = at({
  id: 'compose-healthcheck-binary-missing',
  severity: 'high',
  title: 'A healthcheck calls a command that its image does not have',
  why: 'The check fails whatever the service does: it is unhealthy for ever, and whoever waits for service_healthy never starts.',
  remedy: {
    priority: 'P0',
    text: 'Check with what the image has (node -e, python -c, wget in alpine), or install the command.',
    effort: 'XS',
  },
  sources: ['https://docs.docker.com/reference/dockerfile/#healthcheck'],
})

export const composeHealthcheckBinaryMissing: Rule = {
  meta,
  *run(repository) {
    yield* oncePerPlace(servicesOf(repository).flatMap((each) => check(repository, each)))
    yield* oncePerPlace(
      repository.configuration.dockerfiles.flatMap((dockerfile) => {
        if (repository.files.role(dockerfile.file) === 'test') return []
        const stages = imageStages(dockerfile, undefined)
        const own = instructionsOf(stages).findLast(({ name }) => name === 'HEALTHCHECK')
        const command = /\bCMD\s+([\s\S]*)$/.exec(own?.text ?? '')?.[1]
        return own === undefined || command === undefined
          ? []
          : report(missing(command, stages), dockerfile.file, own.loc, stages)
      }),
    )
  },
}

function check(repository: Repository, { service }: ServiceIn): readonly Discovery[] {
  const { healthcheck } = service
  if (healthcheck === undefined || healthcheck.isDisabled || healthcheck.test === '') return []
  const dockerfile = dockerfileOf(repository, service)
  const isBuilt = service.build !== undefined
  if (isBuilt && dockerfile === undefined) return []
  const base = { value: service.image?.value ?? '', loc: service.loc }
  const stages =
    dockerfile === undefined
      ? [{ name: undefined, base, instructions: [] }]
      : imageStages(dockerfile, service.build?.target)
  return report(missing(healthcheck.test, stages), service.name, healthcheck.loc, stages)
}

function report(
  binary: string | undefined,
  symbol: string,
  loc: Loc,
  stages: readonly DockerStage[],
): readonly Discovery[] {
  const base = stages[0]?.base
  if (binary === undefined || base === undefined) return []
  return [
    {
      tier: 'strong',
      cause: `${binary} in ${base.value}`,
      symbol,
      component: symbol,
      symptom: `${symbol} is unhealthy for ever, and what waits for its health never starts.`,
      rootCause: `${base.value} has no ${binary}, and nothing installs it.`,
      evidence: [
        seen(loc, `The check runs ${binary}.`),
        seen(base.loc, `The image stands on ${base.value}, which has none.`),
      ],
    },
  ]
}

/** The first command of the check that no stage brings; undefined: all are there, or nobody can tell. */
function missing(test: string, stages: readonly DockerStage[]): string | undefined {
  const there = binariesOf(stages[0]?.base.value ?? '')
  if (there === undefined) return undefined
  const made = instructionsOf(stages).filter(({ name }) => name === 'RUN' || name === 'COPY' || name === 'ADD')
  const commands = test
    .replace(/^CMD(-SHELL)?\s+/, '')
    .replace(/[[\]",]/g, ' ')
    .split(/&&|\|\||[;|]/)
  // Where one fails and another stands in, the last decides.
  const isEither = /\|\|\s*(?!exit|false|kill)/.test(test)
  const called = commands.map((command) => command.trim().split(/\s+/, 1)[0] ?? '').filter((name) => PROBED.has(name))
  const absent = called.filter((name) => !there.has(name) && !made.some(({ text }) => bringing(name).test(text)))
  return isEither && absent.length < called.length ? undefined : absent[0]
}

function bringing(name: string): RegExp {
  const others = BROUGHT_BY[name]
  return new RegExp(`(^|[\\s/"=])(?:${name}${others === undefined ? '' : `|${others}`})(\\d|[\\s;"=-]|$)`)
}
