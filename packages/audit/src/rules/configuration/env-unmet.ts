// Variables that what an image runs cannot start without, and that nobody gives it.

import type { FileFacts } from '../../facts/facts.ts'
import type { Evidence } from '../../model/evidence.ts'
import type { Dockerfile } from '../../repository/configuration.ts'
import { folderOf, isBelow } from '../../repository/paths.ts'
import type { Repository } from '../../repository/repository.ts'
import { seenAt } from '../queries.ts'
import { copied, instructionsOf } from './builds.ts'
import { type Required, requiredIn } from './env-required.ts'

const ASIDE =
  /(^|\/)(tests?|scripts?|tools?|migrations?|alembic|examples?|bench\w*|docs?|dev|bin|cli|e2e)\/|(^|\/)(?:tests?|check|seed|e2e)[-_.][^/]*$/i

/** Given by what runs a container, or by what builds a page. */
const PLATFORM =
  /^(?:PORT|HOST|HOSTNAME|PWD|HOME|PATH|USER|TZ|NODE_ENV|CI|KUBERNETES_\w+|AWS_\w+|NEXT_PUBLIC_\w+|VITE_\w+|REACT_APP_\w+|VERCEL\w*|npm_\w+)$/

export interface Unmet {
  readonly names: readonly string[]
  readonly reads: readonly Evidence[]
  /** It does not come up without one of them. */
  readonly isCertain: boolean
}

export function unmetIn(
  repository: Repository,
  dockerfile: Dockerfile,
  context: string,
  given: ReadonlySet<string>,
): Unmet {
  const instructions = instructionsOf(dockerfile.stages)
  const text = instructions.map((each) => each.text).join('\n')
  const inside = copied(repository, instructions, context).flatMap(({ paths }) => paths)
  const own = folderOf(dockerfile.file)
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
  const places = [...missing.values()]
  return {
    names: [...missing.keys()],
    reads: places
      .slice(0, 20)
      .map(({ facts, read }) => seenAt(facts.file, read, `${read.name} is asked for in a way that throws.`)),
    isCertain: places.some(({ read }) => read.isCertain) && !loadsFile(repository, own),
  }
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
