// Which folders and files are whose, as far as Dockerfiles, commands and names tell.

import type { Configuration, Dockerfile } from '../repository/configuration.ts'
import { folderOf, nameOf, resolveIn } from '../repository/paths.ts'
import type { FileIndex } from '../repository/repository.ts'

const WORDS_MAX = 40

/** Folders and files of source that COPY and ADD take from the context; nothing where they take all of it. */
export function copiedInto({ stages }: Dockerfile, context: string, files: FileIndex): readonly string[] {
  const found: string[] = []
  for (const { name, text } of stages.flatMap(({ instructions }) => instructions)) {
    if ((name !== 'COPY' && name !== 'ADD') || /--from=/.test(text)) continue
    const words = text
      .replace(/[[\]",]/g, ' ')
      .split(/\s+/)
      .filter((word) => word !== '' && !word.startsWith('--') && word !== name)
    for (const word of words.slice(0, -1).slice(0, WORDS_MAX)) {
      const resolved = resolveIn(context, word)
      if (typeof resolved === 'string' || resolved.path === context || /[*?$]/.test(word)) continue
      found.push(resolved.path)
    }
  }
  return found.filter((path) => holdsSource(path, files))
}

const HOLDING = new WeakMap<FileIndex, ReadonlySet<string>>()

/** It is source, or a folder with some in it. */
export function holdsSource(path: string, files: FileIndex): boolean {
  const kept = HOLDING.get(files)
  if (kept !== undefined) return kept.has(path)
  const all = new Set<string>()
  for (const file of files.list('source')) for (let at = file; at !== '' && !all.has(at); at = folderOf(at)) all.add(at)
  HOLDING.set(files, all)
  return all.has(path)
}

/** What a command starts: `node a/b.js`, `python -m a.b`, `uvicorn a.b:app`: the file, and its folder where that is not the context itself. */
export function startedBy(command: string, context: string, files: FileIndex): readonly string[] {
  const words = command
    .replace(/[[\]",']/g, ' ')
    .split(/\s+/)
    .filter((word) => word !== '')
    .slice(0, WORDS_MAX)
  for (const word of words) {
    const dotted = /^([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)(?::\w+)?$/.exec(word)?.[1]
    const isFile = /\.([cm]?[jt]s|py)$/.test(word)
    const paths = isFile ? [word] : dotted === undefined ? [] : modulePaths(dotted)
    for (const path of paths) {
      const resolved = resolveIn(context, path.replace(/^\/(app|src|code|usr\/src\/app)\//, ''))
      if (typeof resolved === 'string' || !files.has(resolved.path)) continue
      const folder = folderOf(resolved.path)
      return folder === context ? [resolved.path] : [resolved.path, folder]
    }
  }
  return []
}

function modulePaths(dotted: string): readonly string[] {
  const path = dotted.replaceAll('.', '/')
  return [`${path}.py`, `${path}/__main__.py`, `${path}/__init__.py`]
}

const KEPT = new WeakMap<Configuration, ReadonlyMap<string, readonly string[]>>()

/** The only folder with a Dockerfile or a manifest that has this name. */
export function folderNamed(name: string, configuration: Configuration): string | undefined {
  const kept = KEPT.get(configuration) ?? byName(configuration)
  KEPT.set(configuration, kept)
  const found = kept.get(plainName(name)) ?? []
  return found.length === 1 ? found[0] : undefined
}

export function plainName(name: string): string {
  return name.toLowerCase().replace(/[^a-z0-9]/g, '')
}

function byName({ dockerfiles, manifests }: Configuration): ReadonlyMap<string, readonly string[]> {
  const folders = new Set([...dockerfiles, ...manifests].map(({ file }) => folderOf(file)))
  const names = new Map<string, string[]>()
  for (const folder of folders) {
    if (folder === '') continue
    const key = plainName(nameOf(folder))
    const known = names.get(key)
    if (known === undefined) names.set(key, [folder])
    else known.push(folder)
  }
  return names
}
