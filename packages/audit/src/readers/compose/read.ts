// Compose projects of a repository: each file that stands for itself, merged with its includes and extensions; the standard file also together with its override,
// and a file of fragments laid over the standard file beside it. Files that are only fragments are no project of their own.
//   CX6. An include, an extension or an env file that leads nowhere, or round in a circle, is a problem with its line, and the rest is read.
//   CX7. An override makes a project of its own, and the one below it says that it is overridden.
//   CX13. A file of another name (local.yml, compose/orders.yml) is one where it has nothing but what compose knows, every service has an image or a build, and no
//        other draws it in.
//   CX14. A file of which a service waits for one that only the standard file beside it defines is laid over that.

import type { ComposeProject, ComposeService, Located } from '../../repository/configuration.ts'
import { folderOf, join, nameOf, resolveFrom } from '../../repository/paths.ts'
import type { FileIndex } from '../../repository/repository.ts'
import { attempt, type Tell } from '../attempt.ts'
import { readDotenv } from '../dotenv.ts'
import { at, type Entry, entriesOf, type Mapping, readYaml, scalarText, type Tree } from '../yaml.ts'
import { ComposeLoader } from './load.ts'
import { mergeTrees } from './merge.ts'
import { readService } from './service.ts'

const FILE = /^(?:(?:docker|podman)-)?compose(?:[.-][\w.-]+)?\.ya?ml$|[\w-]+[.-](?:docker-)?compose\.ya?ml$/i
const STANDARD = /^(?:(?:docker|podman)-)?compose\.ya?ml$/i
const FILES_MAX = 200
const ROLES_LEFT = new Set(['vendored', 'generated', 'example'])
const YAML = /\.ya?ml$/i
/** Has to be there before a file of another name is parsed. */
const SERVICES = /^services:[ \t]*(?:#.*)?\r?$/m
const KNOWN_AT_TOP = /^(?:version|name|services|volumes|networks|secrets|configs|include|x-[\w.-]+)$/

export function readComposeProjects(files: FileIndex, tell: Tell = () => {}): readonly ComposeProject[] {
  const candidates = files
    .list()
    .filter(
      (file) => !ROLES_LEFT.has(files.role(file) ?? 'other') && (FILE.test(nameOf(file)) || isByContent(files, file)),
    )
    .slice(0, FILES_MAX)
  const all = new Set(candidates)
  const drawn = new Set<string>()
  const projects = candidates.flatMap((file) => attempt(file, tell, () => readFile(files, file, all, drawn)) ?? [])
  return projects.filter(({ file }) => FILE.test(nameOf(file)) || !drawn.has(file))
}

/** CX13. */
function isByContent(files: FileIndex, file: string): boolean {
  if (!YAML.test(file) || /(?:^|\/)\./.test(file)) return false
  const text = files.read(file)
  if (text === undefined || !SERVICES.test(text)) return false
  const [root] = readYaml(file, text).documents
  const services = [...entriesOf(at(root, 'services')).values()]
  return (
    services.length > 0 &&
    [...entriesOf(root).keys()].every((key) => KNOWN_AT_TOP.test(key)) &&
    services.every(({ value }) => at(value, 'image') !== undefined || at(value, 'build') !== undefined)
  )
}

/** What it includes or extends is added to `drawn`. */
function readFile(
  files: FileIndex,
  file: string,
  all: ReadonlySet<string>,
  drawn: Set<string>,
): readonly ComposeProject[] {
  const loader = new ComposeLoader(files, readVariables(files, folderOf(file)), drawn)
  const loaded = loader.load(file)
  if (loaded === undefined) return loader.problems.length === 0 ? [] : [project([file], emptyMap(file), loader, false)]
  const base = standardBeside(file, all)
  if (
    base !== undefined &&
    (isFragment(loaded) || isNamedOverride(file) || restsOn(loaded, new ComposeLoader(files, new Map()).load(base)))
  ) {
    const below = loader.load(base)
    return below === undefined ? [] : [project([base, file], mergeTrees(below, loaded), loader, false)]
  }
  const override = STANDARD.test(nameOf(file)) ? overrideOf(file, all) : undefined
  return [project([file], loaded, loader, override !== undefined)]
}

/** Has it a service that could not start from this file alone? */
function isFragment(tree: Mapping): boolean {
  const services = [...entriesOf(at(tree, 'services')).values()]
  return (
    services.some(({ value }) => at(value, 'image') === undefined && at(value, 'build') === undefined) ||
    services.length === 0
  )
}

/** Waits a service of it for one that only the file below defines? */
function restsOn(tree: Mapping, below: Mapping | undefined): boolean {
  const own = entriesOf(at(tree, 'services'))
  const others = entriesOf(at(below, 'services'))
  return [...own.values()].some(({ value }) =>
    [...entriesOf(at(value, 'depends_on')).keys()].some((name) => !own.has(name) && others.has(name)),
  )
}

function isNamedOverride(file: string): boolean {
  return /\boverride\b/i.test(nameOf(file))
}

/** For an override or fragment: the file that it is laid over. */
function standardBeside(file: string, all: ReadonlySet<string>): string | undefined {
  if (STANDARD.test(nameOf(file))) return undefined
  const names = ['compose.yaml', 'compose.yml', 'docker-compose.yml', 'docker-compose.yaml', 'podman-compose.yml']
  return names.map((name) => join(folderOf(file), name)).find((path) => all.has(path))
}

function overrideOf(file: string, all: ReadonlySet<string>): string | undefined {
  const stem = file.replace(/\.ya?ml$/i, '')
  return [`${stem}.override.yml`, `${stem}.override.yaml`].find((path) => all.has(path))
}

function readVariables(files: FileIndex, folder: string): ReadonlyMap<string, Located<string>> {
  const path = join(folder, '.env')
  const text = files.read(path)
  return text === undefined ? new Map() : readDotenv(path, text)
}

function emptyMap(file: string): Mapping {
  return { kind: 'map', entries: new Map(), loc: { file, line: 1, endLine: 1 }, tag: undefined }
}

function project(files: readonly string[], tree: Tree, loader: ComposeLoader, isOverridden: boolean): ComposeProject {
  const services = new Map<string, ComposeService>()
  for (const [name, entry] of entriesOf(at(tree, 'services')))
    if (entry.value.kind === 'map') services.set(name, readService(name, entry))
  const networks = entriesOf(at(tree, 'networks'))
  const external = [...networks].filter(([, entry]) => isExternal(entry)).map(([name]) => name)
  const problems = [...loader.problems, ...missingEnvFiles(services, loader)]
  return {
    file: files[0] ?? '',
    files,
    isOverridden,
    services,
    volumes: new Set(entriesOf(at(tree, 'volumes')).keys()),
    networks: new Set(networks.keys()),
    externalNetworks: new Set(external),
    unset: loader.unset,
    problems,
  }
}

function isExternal({ value }: Entry): boolean {
  const external = at(value, 'external')
  return external !== undefined && scalarText(external) !== 'false'
}

function missingEnvFiles(services: ReadonlyMap<string, ComposeService>, loader: ComposeLoader): Located<string>[] {
  return [...services.values()].flatMap(({ envFiles }) =>
    envFiles.flatMap(({ value, loc }) => {
      const target = resolveFrom(loc.file, value)
      const isThere = typeof target === 'string' || loader.has(target.path)
      return isThere ? [] : [{ value: `the env file ${value} is not in the repository`, loc }]
    }),
  )
}
