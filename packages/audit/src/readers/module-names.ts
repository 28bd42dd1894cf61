// Names of modules that a repository gives to its own files: the `paths` and `baseUrl` of a tsconfig, the `imports` of a package.json, and the names of
// packages that others of the workspace import. Where what is built is not in the repository, its sources are meant.
//   CX12. A name stands for files of the repository only where its configuration says so; a package that comes from a registry keeps its name.

import type { ModuleName } from '../repository/configuration.ts'
import { folderOf, join, nameOf, resolveIn } from '../repository/paths.ts'
import type { FileIndex } from '../repository/repository.ts'
import { attempt, type Tell } from './attempt.ts'

const FILES_MAX = 2_000
const COMPILER = /^[jt]sconfig(?:\.[\w-]+)?\.json$/

interface Package {
  readonly file: string
  readonly content: Readonly<Record<string, unknown>>
}

export function readModuleNames(files: FileIndex, tell: Tell = () => {}): readonly ModuleName[] {
  const parsed = (file: string): readonly Package[] => {
    const text = files.read(file)
    const content = text === undefined ? undefined : attempt(file, tell, () => parseJson(text))
    return isRecord(content) ? [{ file, content }] : []
  }
  const read = (pattern: RegExp) =>
    files
      .list()
      .filter((file) => files.role(file) !== 'vendored' && pattern.test(nameOf(file)))
      .slice(0, FILES_MAX)
      .flatMap(parsed)
  const packages = read(/^package\.json$/)
  const compilers = read(COMPILER)
  return [
    ...compilers.flatMap((each) => namesOfCompiler(each)),
    ...compilers.flatMap((each) =>
      extendedBy(each)
        .flatMap(parsed)
        .flatMap((base) => namesOfCompiler(base, folderOf(each.file))),
    ),
    ...packages.flatMap(namesOfImports),
    ...namesOfPackages(packages),
  ]
}

/** What it takes over from a file of the repository that is no such configuration by its name; the others are read anyway. */
function extendedBy({ file, content }: Package): readonly string[] {
  const given = typeof content.extends === 'string' ? [content.extends] : content.extends
  const paths = Array.isArray(given) ? given.filter((path) => typeof path === 'string' && path.startsWith('.')) : []
  return pathsIn(folderOf(file), paths)
    .map((path) => (path.endsWith('.json') ? path : `${path}.json`))
    .filter((path) => !COMPILER.test(nameOf(path)))
}

/** `folder`: of the files that it is for. What it names is told from where it lies itself. */
function namesOfCompiler({ file, content }: Package, folder = folderOf(file)): readonly ModuleName[] {
  const options = content.compilerOptions
  if (!isRecord(options)) return []
  const base = pathIn(folderOf(file), typeof options.baseUrl === 'string' ? options.baseUrl : '.')
  if (base === undefined) return []
  const paths = isRecord(options.paths) ? Object.entries(options.paths) : []
  const named = paths.flatMap(([name, targets]) =>
    Array.isArray(targets) ? [{ folder, name, targets: pathsIn(base, targets) }] : [],
  )
  return typeof options.baseUrl === 'string' ? [...named, { folder, name: '*', targets: [join(base, '*')] }] : named
}

function namesOfImports({ file, content }: Package): readonly ModuleName[] {
  if (!isRecord(content.imports)) return []
  const folder = folderOf(file)
  return Object.entries(content.imports).flatMap(([name, target]) => {
    const paths = pathsIn(folder, isRecord(target) ? Object.values(target) : [target])
    return paths.length === 0 ? [] : [{ folder, name, targets: paths }]
  })
}

function namesOfPackages(packages: readonly Package[]): readonly ModuleName[] {
  const asked = versionsAsked(packages)
  return packages.flatMap(({ file, content }) => {
    const { name, main, source, version } = content
    if (typeof name !== 'string' || !isOfWorkspace(name, version, asked.get(name))) return []
    const folder = folderOf(file)
    const entries = pathsIn(folder, [source, main]).flatMap((path) => [
      path,
      path.replace(/(^|\/)(?:dist|build|lib)\//, '$1src/'),
    ])
    return [
      { folder: '', name, targets: [...entries, join(folder, 'src/index'), join(folder, 'index')] },
      { folder: '', name: `${name}/*`, targets: [join(folder, '*'), join(folder, 'src/*')] },
    ]
  })
}

/** What packages say that they need of each other: by name, every version written. */
function versionsAsked(packages: readonly Package[]): ReadonlyMap<string, readonly string[]> {
  const asked = new Map<string, string[]>()
  for (const { content } of packages)
    for (const key of ['dependencies', 'devDependencies', 'peerDependencies'])
      for (const [name, version] of Object.entries(isRecord(content[key]) ? content[key] : {})) {
        const known = asked.get(name)
        if (known === undefined) asked.set(name, [String(version)])
        else known.push(String(version))
      }
  return asked
}

/** CX12. A service may be called as the library that it uses: `redis`, `postgres`. */
function isOfWorkspace(name: string, version: unknown, asked: readonly string[] = []): boolean {
  if (asked.length === 0) return name.startsWith('@')
  return asked.every(
    (range) => /^(?:workspace:|file:|link:|portal:|\*$)/.test(range) || range.replace(/^[~^]/, '') === version,
  )
}

function pathsIn(folder: string, paths: readonly unknown[]): readonly string[] {
  return paths.flatMap((path) => {
    const found = typeof path === 'string' ? pathIn(folder, path) : undefined
    return found === undefined ? [] : [found]
  })
}

function pathIn(folder: string, path: string): string | undefined {
  const found = resolveIn(folder, path)
  return typeof found === 'string' ? undefined : found.path
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** JSON as compilers read it: with comments, and commas after the last. What is not closed runs to the end, so that a text is gone through once. */
function parseJson(text: string): unknown {
  const plain = text.replace(/"(?:[^"\\]|\\[\s\S])*"?|\/\/[^\n]*|\/\*(?:[^*]|\*(?!\/))*(?:\*\/)?/g, (part) =>
    part.startsWith('"') ? part : ' ',
  )
  return JSON.parse(plain.replace(/"(?:[^"\\]|\\[\s\S])*"?|,(?=\s*[}\]])/g, (part) => (part === ',' ? '' : part)))
}
