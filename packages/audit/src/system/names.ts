// Full names. What a path means outside of the repository: `Pool` after `import { Pool } from 'pg'` is `pg.Pool`, whatever it is called here.

import type { FileFacts, Language, Path } from '../facts/facts.ts'
import { isOfLibrary } from '../knowledge/index.ts'
import type { IndexedFile } from '../program/index.ts'

export function family(language: Language): 'javascript' | 'python' {
  return language === 'python' ? 'python' : 'javascript'
}

const IMPORTS = new WeakMap<FileFacts, boolean>()

/** Whether a file imports a library that is known, or what gRPC generates: most don't, and their calls need not be looked at one by one. */
export function importsLibrary(facts: FileFacts): boolean {
  const known =
    IMPORTS.get(facts) ??
    facts.imports.some(
      ({ module, imported }) =>
        isOfLibrary(family(facts.language), module) || module.includes('_pb2_grpc') || imported.includes('_pb2_grpc'),
    )
  IMPORTS.set(facts, known)
  return known
}

/** Undefined: it is not from outside, as far as is seen. */
export function fullName(file: IndexedFile, path: Path): string | undefined {
  if (path.isOwn) return undefined
  const { text, root } = path
  if (root === 'global') return `global.${text}`
  if (root.startsWith('import:')) return joined(moduleOf(root), text, file.facts.language)
  if (root !== 'module' && root !== 'local') return undefined
  return taken(file, path)
}

/** `pg` of `import:pg`, `pg.Pool` of `import:pg#Pool`. */
function moduleOf(root: string): string {
  return root.slice('import:'.length).replace('#', '.')
}

function joined(module: string, text: string, language: Language): string | undefined {
  const dot = text.indexOf('.')
  const rest = dot === -1 ? '' : text.slice(dot)
  const name = `${module}${rest}`
  return language === 'python' ? name : name.replace(/\.default(?=\.|$)/g, '')
}

/** `const { Pool } = pg`, `const get = axios.get`: once, from what is imported. */
function taken(file: IndexedFile, { text, root }: Path): string | undefined {
  if (root !== 'module') return undefined
  const [first = ''] = text.split('.', 1)
  const writes = file.writes(-1, first)
  const [only] = writes
  if (writes.length !== 1 || only?.value.kind !== 'path') return undefined
  const { path } = only.value
  if (!path.root.startsWith('import:') || path.isOwn) return undefined
  const source = joined(moduleOf(path.root), path.text, file.facts.language)
  return source?.endsWith(`.${first}`) === true ? joined(source, text, file.facts.language) : `${source}.${text}`
}
