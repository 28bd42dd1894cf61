// Programs: what is loaded together with a file, by its imports and by what imports it; and whether any of it hears the signal that ends a process.
//   QJ4. What is required in the middle of an expression is loaded like what is imported.

import type { FileFacts, Value } from '../../facts/facts.ts'
import { type Program, programOf } from '../../program/index.ts'
import { folderOf, isBelow } from '../../repository/paths.ts'
import type { Repository } from '../../repository/repository.ts'
import { lastName } from '../queries.ts'

/** They hear it for whoever loads them. */
const HEARING_MODULES =
  /graceful|^@godaddy\/terminus$|exit-hook|signal-exit|close-with-grace|lightship|^death$|^aiohttp\.web$|^uvicorn$|^gunicorn|^hypercorn|^bentoml|^@apollo\/server\/standalone$|^apollo-server$/
const SIGNAL = /(^|\.)SIGTERM$/
/** Does the program of a file hear the signal? What a package of the repository may do counts for whoever imports it. */
export function hearsTermination(repository: Repository, file: string): boolean {
  const program = programOf(repository.facts)
  const packages = packagesThatHear(repository)
  const isHeard = (path: string): boolean => {
    const facts = repository.facts.get(path)
    return facts !== undefined && (hears(facts) || facts.imports.some(({ module }) => packages.has(packageOf(module))))
  }
  // What it imports says it most often; who imports it is dearer to know.
  return (
    [...reach([file], (path) => importedBy(repository, program, path))].some(isHeard) ||
    [...loadedWith(repository, program, file)].some(isHeard)
  )
}

function packageOf(module: string): string {
  return module
    .split('/')
    .slice(0, module.startsWith('@') ? 2 : 1)
    .join('/')
}

const PACKAGES = new WeakMap<Repository, ReadonlySet<string>>()

/** Names of the packages of the repository in which something hears the signal: imports do not lead into them. */
function packagesThatHear(repository: Repository): ReadonlySet<string> {
  const kept = PACKAGES.get(repository)
  if (kept !== undefined) return kept
  const hearing = [...repository.facts.values()].filter(hears).map(({ file }) => file)
  const names = new Set<string>()
  for (const { file } of repository.configuration.manifests) {
    const folder = folderOf(file)
    if (folder === '' || !file.endsWith('package.json') || !hearing.some((path) => isBelow(path, folder))) continue
    const name = /"name"\s*:\s*"([^"]+)"/.exec(repository.files.read(file) ?? '')?.[1]
    if (name !== undefined) names.add(name)
  }
  PACKAGES.set(repository, names)
  return names
}

function hears({ calls, imports }: FileFacts): boolean {
  if (imports.some(({ module }) => HEARING_MODULES.test(module))) return true
  return calls.some(({ callee, args }) => {
    const name = lastName(callee)
    if (name === 'enableShutdownHooks' || name === 'add_signal_handler') return true
    // A name that is computed may be that of any signal.
    if (/^process\.(on|once|addListener|prependListener)$/.test(callee.text))
      return args[0]?.kind !== 'string' || args[0].value === 'SIGTERM'
    return name !== 'kill' && args.some(isSignal)
  })
}

function isSignal(value: Value): boolean {
  if (value.kind === 'string') return value.value === 'SIGTERM'
  if (value.kind === 'path') return SIGNAL.test(value.path.text)
  return value.kind === 'list' && value.items.some(isSignal)
}

const FILES_MAX = 5_000

/** Everything that those import who import it, and so on; with it itself. */
function loadedWith(repository: Repository, program: Program, file: string): ReadonlySet<string> {
  const importers = importersOf(repository, program)
  const up = reach([file], (path) => importers.get(path) ?? [])
  return reach([...up], (path) => importedBy(repository, program, path))
}

function importedBy({ facts }: Repository, program: Program, path: string): readonly string[] {
  const own = facts.get(path)
  return own === undefined
    ? []
    : loadedBy(own).flatMap(({ module, imported }) => modulesOf(program, path, module, imported))
}

interface Loaded {
  readonly module: string
  readonly imported: string
}

/** QJ4. Also what is loaded without a name of its own: `{ shutdown: require('./shutdown') }`, `require('./bot')`. */
function loadedBy({ imports, calls }: FileFacts): readonly Loaded[] {
  const required = calls.flatMap(({ callee, args: [module] }) =>
    callee.text === 'require' && module?.kind === 'string' ? [{ module: module.value, imported: '*' }] : [],
  )
  return [...imports.filter(({ isTypeOnly }) => !isTypeOnly), ...required]
}

function reach(from: readonly string[], next: (path: string) => readonly string[]): ReadonlySet<string> {
  const seen = new Set(from)
  for (const path of seen) {
    if (seen.size > FILES_MAX) break
    for (const other of next(path)) seen.add(other)
  }
  return seen
}

const IMPORTERS = new WeakMap<Repository, ReadonlyMap<string, readonly string[]>>()

function importersOf(repository: Repository, program: Program): ReadonlyMap<string, readonly string[]> {
  const kept = IMPORTERS.get(repository)
  if (kept !== undefined) return kept
  const found = new Map<string, string[]>()
  for (const [path, facts] of repository.facts)
    for (const { module, imported } of loadedBy(facts)) {
      for (const target of modulesOf(program, path, module, imported)) {
        const list = found.get(target)
        if (list === undefined) found.set(target, [path])
        else list.push(path)
      }
    }
  IMPORTERS.set(repository, found)
  return found
}

/** `from package import module` names two. */
function modulesOf(program: Program, path: string, module: string, imported: string): readonly string[] {
  const whole = program.module(path, module)
  const inner = path.endsWith('.py')
    ? program.module(path, module.endsWith('.') ? `${module}${imported}` : `${module}.${imported}`)
    : undefined
  return [whole, inner].filter((each) => each !== undefined)
}
