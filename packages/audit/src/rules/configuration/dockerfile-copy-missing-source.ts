// COPY of what is not there: the image can't be built.
//   RX18. A source that exists in any folder that it may be built in, that a build makes or a .gitignore names is silent.
//   QR11. A source that leads above the folder of the build is taken from its root.
//   QM1. Where compose says what is built in which folder, each of those builds has to find it, in the stages that it makes; of a source with variables the folders before the first one.
//   RX19. Of `--from` another stage only what that stage cannot have made is reported: the folder of public files of a Next.js application that has none.

import type { Dockerfile } from '../../repository/configuration.ts'
import { join, resolveIn } from '../../repository/paths.ts'
import type { Repository } from '../../repository/repository.ts'
import {
  buildsOf,
  type Copy,
  contextsOf,
  imageStages,
  instructionsOf,
  isInContext,
  isMade,
  madeStages,
  parseCopy,
} from './builds.ts'
import { at, type Discovery, type Rule } from './deployment.ts'
import { seen } from './projects.ts'

const meta = at({
  id: 'dockerfile-copy-missing-source',
  severity: 'high',
  title: 'A build copies what is not there',
  why: 'COPY fails on a source that does not exist: the image cannot be built from a clone.',
  remedy: { priority: 'P0', text: 'Commit the source, or drop the COPY.', effort: 'XS' },
  sources: ['https://docs.docker.com/reference/dockerfile/#copy'],
})

export const dockerfileCopyMissingSource: Rule = {
  meta,
  *run(repository) {
    for (const dockerfile of repository.configuration.dockerfiles) {
      const role = repository.files.role(dockerfile.file)
      if (role !== 'test' && role !== 'example') yield* check(repository, dockerfile)
    }
  },
}

function* check(repository: Repository, dockerfile: Dockerfile): Generator<Discovery> {
  const { folders, isKnown } = contextsOf(repository, dockerfile)
  const builds = buildsOf(repository, dockerfile).map((build) => ({
    ...build,
    made: madeStages(dockerfile, build.target),
  }))
  for (const stage of dockerfile.stages) {
    const here = isKnown ? builds.filter(({ made }) => made.has(stage)) : []
    for (const instruction of stage.instructions) {
      const copy = parseCopy(instruction)
      if (copy === undefined || (isKnown && here.length === 0)) continue
      const lacks = (folder: string, source: string) => !mayBeThere(repository, folder, source)
      const missing =
        copy.from === undefined
          ? copy.sources.flatMap((source) => {
              const fixed = isKnown ? fixedOf(source) : source
              if (!isFile(fixed)) return []
              const lacking = here.find(({ folder }) => lacks(folder, fixed))
              const isMissing = isKnown ? lacking !== undefined : folders.every((folder) => lacks(folder, fixed))
              return isMissing ? [{ source, lacking }] : []
            })
          : missingFromStage(repository, dockerfile, copy, folders).map((source) => ({ source, lacking: undefined }))
      for (const { source, lacking } of missing)
        yield {
          tier: isKnown ? 'strong' : 'review',
          cause: `sources that are not there, ${dockerfile.file}`,
          symbol: `${dockerfile.file} ${source}`,
          symptom: 'The image cannot be built.',
          rootCause: `${source} does not exist where it is copied from.`,
          evidence: [
            seen(instruction.loc, `It copies ${source}, which is not there.`),
            ...(lacking?.service.build === undefined
              ? []
              : [seen(lacking.service.build.context.loc, `${lacking.service.name} is built in this folder.`)]),
          ],
        }
    }
  }
}

/** Of a source with variables the folders before the first one; '' where it has none. */
function fixedOf(source: string): string {
  if (!source.includes('$')) return source
  const before = source.slice(0, source.indexOf('$'))
  return before.slice(0, before.lastIndexOf('/') + 1).replace(/\/+$/, '')
}

/** Nothing that is put together at build time or fetched. */
function isFile(source: string): boolean {
  // A wildcard that matches nothing is taken for nothing.
  return source !== '' && source !== '.' && !/[$`*?[]|^[a-z+]+:\/\/|^git@/.test(source)
}

function mayBeThere(repository: Repository, folder: string, source: string): boolean {
  if (source.replace(/^\.?\/+/, '') === '' || source === '.') return true
  const target = resolveIn(folder, source.replace(/^(?:\/|\.\.\/)+/, ''))
  return isInContext(repository, folder, source) || (typeof target !== 'string' && isMade(repository, target.path))
}

function missingFromStage(
  repository: Repository,
  dockerfile: Dockerfile,
  copy: Copy,
  folders: readonly string[],
): readonly string[] {
  const index = dockerfile.stages.findIndex(
    ({ name }, at) => name?.toLowerCase() === copy.from?.toLowerCase() || String(at) === copy.from,
  )
  if (index === -1) return []
  const before = { ...dockerfile, stages: dockerfile.stages.slice(0, index + 1) }
  const steps = instructionsOf(imageStages(before, undefined))
  const made = steps.filter(({ name }) => name === 'RUN').some(({ text }) => /\bpublic\b/.test(text))
  const copies = steps.map(parseCopy).filter((each) => each !== undefined)
  const isWhole = copies.some(
    ({ sources, from }) => from === undefined && sources.some((source) => source === '.' || source === './'),
  )
  const isNext = (folder: string) =>
    repository.configuration.manifests.some(
      ({ file, dependencies }) => file === join(folder, 'package.json') && dependencies.has('next'),
    )
  return copy.sources.filter(
    (source) =>
      /(^|\/)public\/?$/.test(source) &&
      isWhole &&
      !made &&
      folders.some(isNext) &&
      folders.every((folder) => !repository.files.has(join(folder, 'public'))),
  )
}
