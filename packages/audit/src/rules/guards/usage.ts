// Who uses a name. A name of a module is used elsewhere only by files that import it: by its name, with all else, or as a part of its module; what is handed on by
// an index is meant for users that are not seen.

import { type Program, programOf } from '../../program/index.ts'
import type { Repository } from '../../repository/repository.ts'

interface Importers {
  /** Files that import something of this name, wherever from. */
  readonly byName: ReadonlyMap<string, ReadonlySet<string>>
  /** Files that import all of a file. */
  readonly whole: ReadonlyMap<string, ReadonlySet<string>>
  /** Files that others hand on. */
  readonly handedOn: ReadonlySet<string>
}

const KEPT = new WeakMap<Repository['facts'], Importers>()

function importersOf({ facts }: Repository): Importers {
  const kept = KEPT.get(facts)
  if (kept !== undefined) return kept
  const program = programOf(facts)
  const byName = new Map<string, Set<string>>()
  const whole = new Map<string, Set<string>>()
  const handedOn = new Set<string>()
  const add = (map: Map<string, Set<string>>, key: string, path: string): void => {
    map.set(key, (map.get(key) ?? new Set()).add(path))
  }
  for (const [path, { imports }] of facts)
    for (const { imported, local, module } of imports) {
      add(byName, imported === 'default' ? local : imported, path)
      const isAll = imported === '*' || imported === 'default'
      const target = isAll ? program.module(path, module) : partOf(program, path, module, imported)
      if (target === undefined) continue
      add(whole, target, path)
      if (isAll && local === '') handedOn.add(target)
    }
  const made = { byName, whole, handedOn }
  KEPT.set(facts, made)
  return made
}

/** `from package import module`. */
function partOf(program: Program, path: string, module: string, imported: string): string | undefined {
  return path.endsWith('.py')
    ? program.module(path, module.endsWith('.') ? `${module}${imported}` : `${module}.${imported}`)
    : undefined
}

/** A word of a text, as often as it is there; at most two. */
function timesIn(text: string, name: string): number {
  let found = 0
  for (let at = text.indexOf(name); at !== -1 && found < 2; at = text.indexOf(name, at + name.length))
    if (!/[\w$]/.test(text[at - 1] ?? ' ') && !/[\w$]/.test(text[at + name.length] ?? ' ')) found++
  return found
}

/** Nobody in the repository's sources uses what a file declares under this name at this line. */
export function isUnused(repository: Repository, file: string, name: string): boolean {
  const { byName, whole, handedOn } = importersOf(repository)
  const importers = [...(byName.get(name) ?? [])].filter((path) => path !== file)
  if (handedOn.has(file) || importers.some((path) => isSaidIn(repository, path, name))) return false
  const own = repository.files.read(file)
  if (own === undefined || timesIn(withoutDeclarations(own, name), name) > 0) return false
  for (const path of whole.get(file) ?? []) {
    const text = repository.files.read(path)
    if (text === undefined || timesIn(text, name) > 0) return false
  }
  return true
}

/** Statements that only bring names in; those of Python with their brackets. */
const BRINGING =
  /^[ \t]*import\b[^'"\n;(]{0,200}(?:\{[^}]{0,2000}\})?[^'"\n;(]{0,200}['"][^'"\n]*['"]|^[ \t]*(?:from[ \t]+\S+[ \t]+)?import[ \t]+(?:\([^)]{0,4000}\)|[^\n]*)|^[ \t]*(?:const|let|var)\b[^=\n]{0,200}=[ \t]*require\([^)\n]*\)/gm

/** QW8. What is imported and then not used, or in a comment only, is not used. An index imports for others. */
function isSaidIn({ files }: Repository, path: string, name: string): boolean {
  const text = files.read(path)
  if (text === undefined || /(?:^|\/)(?:__init__\.py|index\.[cm]?[jt]sx?)$/.test(path)) return true
  return text
    .replace(BRINGING, '')
    .split('\n')
    .some((line) => timesIn(line.replace(/^\s*(?:#|\/\/|\*|\/\*).*$|\s(?:#|\/\/).*$/, ''), name) > 0)
}

/** Lines that say the name without using it: its declaration, lists of exports, comments. */
function withoutDeclarations(text: string, name: string): string {
  const declares = new RegExp(
    `^\\s*(?:export\\s+)?(?:default\\s+)?(?:async\\s+)?(?:const|let|var|def|class|function|abstract class)\\s+${escaped(name)}\\b|^${escaped(name)}\\s*(?::[^=]*)?=[^=]|^\\s*(?:#|//|\\*|/\\*)|^\\s*(?:export\\s*\\{|__all__|["']${escaped(name)}["'],?\\s*$)|^export default ${escaped(name)};?$`,
  )
  const kept: string[] = []
  for (const line of text.split('\n')) if (line.includes(name) && !declares.test(line)) kept.push(line)
  return kept.join('\n')
}

function escaped(name: string): string {
  return name.replace(/[^\w]/g, '\\$&')
}
