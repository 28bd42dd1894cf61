// What a service is built from: its Dockerfile, the stages that its image is made of, and the folders that a Dockerfile is built in.
//   QW5. What is copied from a folder that a variable names is known where compose gives the variable, or the Dockerfile itself; what is mounted counts as well.

import { readDockerfile } from '../../readers/dockerfile.ts'
import { interpolate } from '../../readers/interpolation.ts'
import type {
  ComposeBuild,
  ComposeService,
  Dockerfile,
  DockerInstruction,
  DockerStage,
} from '../../repository/configuration.ts'
import { folderOf, join, resolveFrom, resolveIn } from '../../repository/paths.ts'
import { isWithin, parsePattern } from '../../repository/pattern.ts'
import type { Repository } from '../../repository/repository.ts'
import { SKIPPED_FOLDERS } from '../../repository/roles.ts'

/** Of the build context, as a folder of the repository; undefined: it is none, or not there. */
export function contextOf(repository: Repository, build: ComposeBuild | undefined): string | undefined {
  if (build === undefined || isRemote(build.context.value)) return undefined
  const target = resolveFrom(build.context.loc.file, build.context.value)
  return typeof target === 'string' || !repository.files.has(target.path) ? undefined : target.path
}

export function isRemote(context: string): boolean {
  return /^([a-z+]+:\/\/|git@|github\.com\/)|\.git(#|$)/.test(context) || context.includes('$') || context === ''
}

export function dockerfileOf(repository: Repository, service: ComposeService): Dockerfile | undefined {
  const context = contextOf(repository, service.build)
  const named = service.build?.dockerfile?.value ?? 'Dockerfile'
  if (context === undefined || named === '') return undefined
  const target = resolveIn(context, named)
  if (typeof target === 'string') return undefined
  const known = repository.configuration.dockerfiles.find(({ file }) => file === target.path)
  const text = known === undefined ? repository.files.read(target.path) : undefined
  return known ?? (text === undefined ? undefined : readDockerfile(target.path, text))
}

/** The public image that a service runs or is built on; '' where nothing says. */
export function baseOf(repository: Repository, service: ComposeService): string {
  if (service.build === undefined) return service.image?.value ?? ''
  const dockerfile = dockerfileOf(repository, service)
  return dockerfile === undefined ? '' : (imageStages(dockerfile, service.build.target)[0]?.base.value ?? '')
}

/** The stage that becomes the image and those it stands on, the lowest first. */
export function imageStages(dockerfile: Dockerfile, target: string | undefined): readonly DockerStage[] {
  const { stages } = dockerfile
  const chain: DockerStage[] = []
  let here = target === undefined ? stages.at(-1) : stages.find(({ name }) => sameName(name, target))
  while (here !== undefined && !chain.includes(here)) {
    chain.unshift(here)
    const below = here.base.value
    const before = stages.indexOf(here)
    here = stages.slice(0, before).find(({ name }) => sameName(name, below))
  }
  return chain
}

function sameName(name: string | undefined, other: string): boolean {
  return name?.toLowerCase() === other.toLowerCase()
}

export function instructionsOf(stages: readonly DockerStage[]): readonly DockerInstruction[] {
  return stages.flatMap(({ instructions }) => instructions)
}

/** One service that is built from a Dockerfile. */
export interface Build {
  readonly folder: string
  readonly target: string | undefined
  readonly service: ComposeService
}

export function buildsOf(repository: Repository, dockerfile: Dockerfile): readonly Build[] {
  return repository.configuration.compose.flatMap(({ services }) =>
    [...services.values()].flatMap((service) => {
      const folder = contextOf(repository, service.build)
      return folder === undefined || dockerfileOf(repository, service)?.file !== dockerfile.file
        ? []
        : [{ folder, target: service.build?.target, service }]
    }),
  )
}

/** Those that a build of `target` makes: what its image stands on, and what is copied from. */
export function madeStages(dockerfile: Dockerfile, target: string | undefined): ReadonlySet<DockerStage> {
  const { stages } = dockerfile
  const made = new Set<DockerStage>()
  const add = (stage: DockerStage): void => {
    if (made.has(stage)) return
    made.add(stage)
    const before = stages.slice(0, stages.indexOf(stage))
    const froms = stage.instructions.map((each) => parseCopy(each)?.from)
    for (const [index, other] of before.entries())
      if (sameName(other.name, stage.base.value) || froms.some((from) => isNamed(other, index, from))) add(other)
  }
  for (const stage of imageStages(dockerfile, target)) add(stage)
  return made
}

function isNamed({ name }: DockerStage, index: number, from: string | undefined): boolean {
  return from !== undefined && (sameName(name, from) || from === String(index))
}

/** Folders that it may be built in: those that compose files name, else its own and all above it. */
export function contextsOf(
  repository: Repository,
  dockerfile: Dockerfile,
): { readonly folders: readonly string[]; readonly isKnown: boolean } {
  const folders = new Set(buildsOf(repository, dockerfile).map(({ folder }) => folder))
  if (folders.size > 0) return { folders: [...folders], isKnown: true }
  let folder = folderOf(dockerfile.file)
  const above = [folder]
  while (folder !== '') {
    folder = folderOf(folder)
    above.push(folder)
  }
  return { folders: above, isKnown: false }
}

export interface Copy {
  readonly sources: readonly string[]
  readonly target: string
  readonly from: string | undefined
}

/** Undefined: no COPY of files. */
export function parseCopy({ name, text }: DockerInstruction): Copy | undefined {
  if ((name !== 'COPY' && name !== 'ADD') || text.includes('<<')) return undefined
  const from = /--from=(\S+)/.exec(text)?.[1]
  const rest = text.replace(/^(--\S+\s+)+/, '').trim()
  const words = rest.startsWith('[')
    ? [...rest.matchAll(/"((?:[^"\\]|\\.)*)"/g)].map((match) => match[1] ?? '')
    : rest.split(/\s+/)
  return words.length < 2 ? undefined : { sources: words.slice(0, -1), target: words.at(-1) ?? '', from }
}

const NO_ARGUMENTS: ReadonlyMap<string, string> = new Map()

/** QW5. With what the build is given for its variables, or what they fall back to; undefined: nothing says what they are. */
function filled(
  source: string,
  instructions: readonly DockerInstruction[],
  args: ReadonlyMap<string, string>,
): string | undefined {
  if (!source.includes('$')) return source
  const fallback = (name: string): string | undefined => {
    const declared = instructions.find((each) => each.name === 'ARG' && each.text.startsWith(`${name}=`))
    return declared?.text.slice(name.length + 1).replace(/^(["'])(.*)\1$/, '$2')
  }
  const { text, unset } = interpolate(source, (name) => args.get(name) ?? fallback(name))
  return unset.length > 0 ? undefined : text
}

/** Folders and files of the context that end in the image as they are. */
export function copied(
  repository: Repository,
  instructions: readonly DockerInstruction[],
  context: string,
  args: ReadonlyMap<string, string> = NO_ARGUMENTS,
) {
  return instructions.flatMap((instruction) => {
    const copy = parseCopy(instruction)
    if (copy === undefined || copy.from !== undefined) return []
    const paths = copy.sources.flatMap((written) => {
      const source = filled(written, instructions, args)
      if (source === undefined) return []
      const target = resolveIn(context, source.replace(/^\/+/, '') || '.')
      return typeof target === 'string' || !repository.files.has(target.path) ? [] : [target.path]
    })
    return paths.length === 0 ? [] : [{ instruction, paths }]
  })
}

/** Does `source`, wildcards and all, name something in `folder`? */
export function isInContext(repository: Repository, folder: string, source: string): boolean {
  // A way up ends at the root of the context.
  const clean = source.replace(/^(?:\/|\.\.\/)+/, '')
  const target = resolveIn(folder, clean)
  if (typeof target === 'string') return false
  if (!/[*?[]/.test(clean)) return repository.files.has(target.path)
  // A class of letters is taken as there: it is rare, and a wrong word about it costs more than silence.
  const pattern = clean.includes('[') ? undefined : parsePattern(`/${join(folder, clean.replace(/^\.\//, ''))}`)
  return pattern === undefined || repository.files.list().some((file) => isWithin(pattern, file))
}

const BUILT = new Set([
  'dist',
  'build',
  'target',
  'out',
  'bin',
  'node_modules',
  '.next',
  'publish',
  'coverage',
  'static',
])

/** It lies where nobody looked, a .gitignore names it, or it bears a name that builds give to what they make: nobody can say that it is missing. */
export function isMade({ files }: Repository, path: string): boolean {
  if (
    path.split('/').some((segment) => BUILT.has(segment) || SKIPPED_FOLDERS.has(segment)) ||
    /\.(jar|war|whl|tgz|zip)$/.test(path)
  )
    return true
  for (let folder = folderOf(path); ; folder = folderOf(folder)) {
    const lines = files.read(join(folder, '.gitignore'))?.split('\n') ?? []
    const inside = folder === '' ? path : path.slice(folder.length + 1)
    let isIgnored = false
    for (const pattern of lines.map(parsePattern))
      if (pattern !== undefined && (isWithin(pattern, inside) || isWithin(pattern, `${inside}/x`)))
        isIgnored = !pattern.isNegated
    if (isIgnored || folder === '') return isIgnored
  }
}
