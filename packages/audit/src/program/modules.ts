// Modules. Which file of the repository an import means: of TypeScript and JavaScript relative paths, with and without extension, folders by their index, names
// that the configuration gives, and `@/` by the nearest `src`; of Python relative dots, packages from any folder above the importing file,
// and those that the configuration says are taken from elsewhere in the repository. What is installed stays unresolved.

import type { ModuleName } from '../repository/configuration.ts'

const EXTENSIONS = ['.ts', '.tsx', '.mts', '.cts', '.js', '.jsx', '.mjs', '.cjs']

/** Of all files there are: what lies at a path, with or without its extension. */
interface Files {
  readonly all: ReadonlySet<string>
  /** By their path without extension; of several the first that EXTENSIONS names. */
  readonly stems: ReadonlyMap<string, string>
}

/** Gives the file that an import means. Asked millions of times in a large repository: files of one folder share their answers. */
export function createResolver(
  paths: Iterable<string>,
  names: readonly ModuleName[] = [],
): (file: string, module: string) => string | undefined {
  const files = indexPaths(paths)
  const named = indexNames(names.filter(({ language }) => language === undefined))
  const namedOfPython = indexNames(names.filter(({ language }) => language === 'python'))
  const kept = new Map<string, Map<string, string | undefined>>()
  const keptFor = (file: string): Map<string, string | undefined> => {
    // What Python finds must not be the file itself, so there every file has its own.
    const place = isPython(file) ? file : `${folderOf(file)}/`
    const known = kept.get(place) ?? new Map<string, string | undefined>()
    kept.set(place, known)
    kept.set(file, known)
    return known
  }
  return (file, module) => {
    const own = kept.get(file) ?? keptFor(file)
    const known = own.get(module)
    if (known !== undefined || own.has(module)) return known
    const found = isPython(file)
      ? ofPython(files.all, namedOfPython, file, module)
      : ofTypeScript(files, named, file, module)
    own.set(module, found)
    return found
  }
}

function isPython(file: string): boolean {
  return file.endsWith('.py') || file.endsWith('.pyi')
}

function indexPaths(paths: Iterable<string>): Files {
  const all = new Set(paths)
  const stems = new Map<string, string>()
  for (const path of all) {
    const rank = EXTENSIONS.findIndex((extension) => path.endsWith(extension))
    if (rank === -1) continue
    const stem = path.slice(0, -(EXTENSIONS[rank] as string).length)
    const known = stems.get(stem)
    if (known === undefined || EXTENSIONS.findIndex((extension) => known.endsWith(extension)) > rank)
      stems.set(stem, path)
  }
  return { all, stems }
}

/** By the folder that uses them; longer names, which say more, first. */
function indexNames(names: readonly ModuleName[]): ReadonlyMap<string, readonly ModuleName[]> {
  const found = new Map<string, ModuleName[]>()
  for (const name of names) {
    const known = found.get(name.folder)
    if (known === undefined) found.set(name.folder, [name])
    else known.push(name)
  }
  for (const list of found.values()) list.sort((a, b) => b.name.length - a.name.length)
  return found
}

function folderOf(file: string): string {
  const slash = file.lastIndexOf('/')
  return slash === -1 ? '' : file.slice(0, slash)
}

function join(folder: string, path: string): string | undefined {
  const parts = folder === '' ? [] : folder.split('/')
  for (const part of path.split('/')) {
    if (part === '' || part === '.') continue
    if (part !== '..') parts.push(part)
    else if (parts.pop() === undefined) return undefined
  }
  return parts.join('/')
}

/** The folder of a file and those above it; the nearest first. */
function* above(file: string): Iterable<string> {
  for (let folder = folderOf(file); ; folder = folderOf(folder)) {
    yield folder
    if (folder === '') return
  }
}

function ofTypeScript(
  files: Files,
  named: ReadonlyMap<string, readonly ModuleName[]>,
  file: string,
  module: string,
): string | undefined {
  if (module.startsWith('.')) return withExtension(files, join(folderOf(file), module))
  if (named.size > 0)
    for (const folder of above(file))
      for (const name of named.get(folder) ?? []) {
        const found = ofName(name, module, (path) => withExtension(files, path))
        if (found !== undefined && found !== file) return found
      }
  const alias = /^[@~]\/(.+)$/.exec(module)?.[1]
  if (alias === undefined) return undefined
  for (const folder of above(file)) {
    const found = withExtension(files, join(folder, `src/${alias}`)) ?? withExtension(files, join(folder, alias))
    if (found !== undefined) return found
  }
  return undefined
}

function ofName(
  { name, targets }: ModuleName,
  module: string,
  find: (path: string) => string | undefined,
): string | undefined {
  const star = name.indexOf('*')
  if (star === -1 && name !== module) return undefined
  const [before, after] = [name.slice(0, star), name.slice(star + 1)]
  if (
    star !== -1 &&
    !(module.length >= before.length + after.length && module.startsWith(before) && module.endsWith(after))
  )
    return undefined
  const part = star === -1 ? '' : module.slice(before.length, module.length - after.length)
  for (const target of targets) {
    const found = find(target.replace('*', () => part))
    if (found !== undefined) return found
  }
  return undefined
}

function withExtension({ all, stems }: Files, path: string | undefined): string | undefined {
  if (path === undefined) return undefined
  if (all.has(path)) return path
  const stem = path.replace(/\.[cm]?jsx?$/, '')
  return stems.get(path) ?? (stem === path ? undefined : stems.get(stem)) ?? stems.get(`${path}/index`)
}

function ofPython(
  all: ReadonlySet<string>,
  named: ReadonlyMap<string, readonly ModuleName[]>,
  file: string,
  module: string,
): string | undefined {
  const dots = /^\.*/.exec(module)?.[0].length ?? 0
  const path = module.slice(dots).replaceAll('.', '/')
  if (dots > 0) return asPython(all, join(folderOf(file), `${'../'.repeat(dots - 1)}${path}`))
  for (const folder of above(file)) {
    const found = asPython(all, join(folder, path)) ?? asPython(all, join(folder, `src/${path}`))
    if (found !== undefined && found !== file) return found
  }
  if (named.size > 0)
    for (const folder of above(file))
      for (const name of named.get(folder) ?? []) {
        const found = ofName(name, path, (target) => asPython(all, target))
        if (found !== undefined && found !== file) return found
      }
  return undefined
}

function asPython(all: ReadonlySet<string>, path: string | undefined): string | undefined {
  if (path === undefined) return undefined
  // A package hides a module of the same name.
  for (const candidate of [path === '' ? '__init__.py' : `${path}/__init__.py`, `${path}.py`])
    if (all.has(candidate)) return candidate
  return undefined
}
