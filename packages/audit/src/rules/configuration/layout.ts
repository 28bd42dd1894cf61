// Where files of the repository lie in an image: COPY by COPY, with the working directory that holds there, and what a compose service mounts over it.

import { posix } from 'node:path'
import type { ComposeService, Dockerfile } from '../../repository/configuration.ts'
import { isBelow, nameOf, resolveFrom, resolveIn } from '../../repository/paths.ts'
import type { Repository } from '../../repository/repository.ts'
import { imageStages, instructionsOf, parseCopy } from './builds.ts'

export interface Layout {
  /** Of a file of the repository; undefined: it is not in the image. */
  placeOf(file: string): string | undefined
  /** May something lie there: copied, mounted, or made by what runs while the image is built? */
  mayHave(place: string): boolean
}

interface Placed {
  readonly path: string
  readonly place: string
}

/** Undefined: something of it is not understood (variables, wildcards). */
export function layoutOf(
  repository: Repository,
  dockerfile: Dockerfile,
  context: string,
  service: ComposeService,
): Layout | undefined {
  const placed: Placed[] = []
  const fromElsewhere: string[] = []
  let workdir = '/'
  for (const instruction of instructionsOf(imageStages(dockerfile, service.build?.target))) {
    if (instruction.name === 'WORKDIR')
      workdir = posix.resolve(workdir, instruction.text.trim().replace(/^["']|["']$/g, ''))
    const copy = parseCopy(instruction)
    if (copy === undefined) continue
    if (/[$*?]/.test(copy.target)) return undefined
    const target = posix.resolve(workdir, copy.target)
    if (copy.from !== undefined) fromElsewhere.push(target)
    else placed.push(...copiesOf(repository, context, copy.sources, target, copy.target.endsWith('/')))
  }
  for (const { source, target, isBind, loc } of service.volumes) {
    const from = source === undefined || !isBind ? undefined : resolveFrom(loc.file, source)
    if (from === undefined || typeof from === 'string') fromElsewhere.push(target)
    else placed.unshift({ path: from.path, place: target })
  }
  return {
    placeOf: (file) => {
      const found = placed.find(({ path }) => isBelow(file, path))
      return found === undefined ? undefined : posix.join(found.place, file.slice(found.path.length))
    },
    mayHave: (place) =>
      placed.some(({ path, place: at }) =>
        place === at ? true : isBelow(place, at) && repository.files.has(posix.join(path, place.slice(at.length))),
      ) || fromElsewhere.some((at) => isBelow(place, at) || isBelow(at, place)),
  }
}

function copiesOf(
  { files }: Repository,
  context: string,
  sources: readonly string[],
  target: string,
  isFolder: boolean,
): readonly Placed[] {
  return sources.flatMap((source) => {
    const clean = source.replace(/^\/+/, '') || '.'
    const found = /[*?[$]/.test(clean) ? 'outside' : resolveIn(context, clean)
    if (typeof found === 'string' || !files.has(found.path)) return []
    const isFile = files.role(found.path) !== undefined
    return [
      {
        path: found.path,
        place: isFile && (isFolder || sources.length > 1) ? posix.join(target, nameOf(found.path)) : target,
      },
    ]
  })
}
