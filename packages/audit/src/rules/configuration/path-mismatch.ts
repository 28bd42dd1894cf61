// Files that source looks for beside itself and that lie elsewhere in its image: the path is right in a checkout, and leads out of what the image holds.
// The line is that of the path.
//   QM8. JavaScript in an image of Python is silent.
//   RX24. Only source that the image runs as it is, with a layout that is understood, counts; a path that the image, a mount or another stage may hold is silent, and one that
//         is first asked for is for review.

import { posix } from 'node:path'
import type { Call, FileFacts, Value } from '../../facts/facts.ts'
import { folderOf, resolveIn } from '../../repository/paths.ts'
import type { Repository } from '../../repository/repository.ts'
import { lastName, seenAt, symbolOf } from '../queries.ts'
import { baseOf, contextOf, dockerfileOf } from './builds.ts'
import { at, type Discovery, type Rule } from './deployment.ts'
import { parseImage } from './images.ts'
import { type Layout, layoutOf } from './layout.ts'
import { oncePerPlace, type ServiceIn, seen, standingServices } from './projects.ts'

const meta = at({
  id: 'path-mismatch',
  severity: 'high',
  title: 'A file is looked for where the image does not have it',
  why: 'The path leads to the file in a checkout. In the image the folders above the source are others, so it is never found; where the failure is caught, the service runs without what it was for.',
  remedy: {
    priority: 'P1',
    text: 'Take the path from configuration, or copy the file to where the source looks for it; fail at start where it is missing.',
    effort: 'XS',
  },
  sources: ['https://docs.docker.com/reference/dockerfile/#copy'],
})

export const pathMismatch: Rule = {
  meta,
  *run(repository) {
    const climbs = [...climbsOf(repository)]
    if (climbs.length === 0) return
    yield* oncePerPlace(standingServices(repository).flatMap((each) => [...check(repository, each, climbs)]))
  },
}

interface Climb {
  readonly facts: FileFacts
  readonly call: Call
  readonly relative: string
}

/** What is compiled runs elsewhere, so only source that runs as it is counts. */
function* climbsOf({ facts: all }: Repository): Iterable<Climb> {
  for (const facts of all.values()) {
    if (!/\.(js|mjs|cjs|py)$/.test(facts.file)) continue
    let searched: ReadonlySet<number> | undefined
    for (const [index, call] of facts.calls.entries()) {
      const relative = beside(facts, call)
      if (relative === undefined) continue
      searched ??= searchedBy(facts)
      if (!searched.has(index)) yield { facts, call, relative }
    }
  }
}

function* check(repository: Repository, { service }: ServiceIn, climbs: readonly Climb[]): Iterable<Discovery> {
  const context = contextOf(repository, service.build)
  const dockerfile = dockerfileOf(repository, service)
  const layout =
    context === undefined || dockerfile === undefined ? undefined : layoutOf(repository, dockerfile, context, service)
  if (layout === undefined || dockerfile === undefined) return
  const base = baseOf(repository, service)
  for (const { facts, call, relative } of climbs) {
    if (isForeign(base, facts.file)) continue
    const place = layout.placeOf(facts.file)
    const target = place === undefined ? undefined : missing(repository, layout, facts.file, place, relative)
    if (place === undefined || target === undefined) continue
    const isAsked = facts.calls.some(({ callee }) => /^(existsSync|exists|isfile|is_file)$/.test(lastName(callee)))
    yield {
      tier: isAsked ? 'review' : 'strong',
      symbol: symbolOf(facts, call.block),
      component: service.name,
      symptom: `In its image ${service.name} never finds ${target.path}, and what that is for fails or is silently left out.`,
      rootCause: `From ${place} the path leads to ${target.place}, where the image of ${service.name} has nothing.`,
      evidence: [
        seenAt(facts.file, call, `It looks for ${relative} beside itself.`),
        seen(dockerfile.stages.at(-1)?.base.loc ?? service.loc, `In this image the source is ${place}.`),
        ...service.volumes
          .filter(({ target: mounted }) => posix.basename(mounted) === posix.basename(target.path))
          .map(({ loc, target: mounted }) => seen(loc, `It is mounted at ${mounted}.`)),
      ],
    }
  }
}

/** JavaScript that the image of Python only carries along is not run in it; the full images of Node.js have Python too. */
function isForeign(base: string, file: string): boolean {
  return !file.endsWith('.py') && /(^|\/)(python|pypy)$/.test(parseImage(base).name)
}

/** Folders that Python is told to search for modules: that is another rule's. */
function searchedBy({ calls }: FileFacts): ReadonlySet<number> {
  const found = new Set<number>()
  for (const { callee, args } of calls)
    if (callee.text.startsWith('sys.path.')) for (const arg of args) if (arg.kind === 'call') found.add(arg.call)
  return found
}

/** What climbs from the folder of the file: `path.join(__dirname, '../../x')`. */
function beside(facts: FileFacts, { callee, args }: Call): string | undefined {
  if (!/^(path\.)?(join|resolve)$|^os\.path\.join$/.test(callee.text)) return undefined
  const [first, ...rest] = args
  if (first === undefined || !isOwnFolder(facts, first)) return undefined
  const parts = rest.map((each) => (each.kind === 'string' ? each.value : undefined))
  const joined = parts.includes(undefined) ? '' : posix.join(...(parts as readonly string[]), '.')
  return joined.startsWith('../') ? joined : undefined
}

function isOwnFolder({ calls }: FileFacts, value: Value): boolean {
  if (value.kind === 'path') return /^(__dirname|import\.meta\.dirname)$/.test(value.path.text)
  const call = value.kind === 'call' ? calls[value.call] : undefined
  const [inner] = call?.args ?? []
  return call?.callee.text === 'os.path.dirname' && inner?.kind === 'path' && inner.path.text === '__file__'
}

/** It is there in a checkout, and not in the image. */
function missing(
  { files }: Repository,
  layout: Layout,
  file: string,
  place: string,
  relative: string,
): { readonly path: string; readonly place: string } | undefined {
  const here = resolveIn(folderOf(file), relative)
  if (typeof here === 'string' || here.path === '' || !files.has(here.path)) return undefined
  const there = posix.join(posix.dirname(place), relative)
  return there === '/' || layout.mayHave(there) ? undefined : { path: here.path, place: there }
}
