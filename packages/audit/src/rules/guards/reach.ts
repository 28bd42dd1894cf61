// What a file is part of, at run time: the programs that load it, and all that they load. Two services of one repository that share nothing are two.

import { type Program, programOf } from '../../program/index.ts'
import type { Repository } from '../../repository/repository.ts'

interface Loads {
  readonly down: ReadonlyMap<string, ReadonlySet<string>>
  readonly up: ReadonlyMap<string, ReadonlySet<string>>
  readonly kept: Map<string, ReadonlySet<string>>
}

const LOADS = new WeakMap<Repository['facts'], Loads>()

function loadsOf({ facts }: Repository): Loads {
  const kept = LOADS.get(facts)
  if (kept !== undefined) return kept
  const program = programOf(facts)
  const down = new Map<string, Set<string>>()
  const up = new Map<string, Set<string>>()
  for (const [path, { imports, calls }] of facts) {
    const loaded = imports.flatMap((each) =>
      each.isTypeOnly ? [] : modulesOf(program, path, each.module, each.imported),
    )
    // `app.use(require('./routes'))` binds no name.
    for (const { callee, args } of calls)
      if (callee.text === 'require' && args[0]?.kind === 'string')
        loaded.push(...modulesOf(program, path, args[0].value, '*'))
    for (const found of loaded) {
      if (found === path) continue
      down.set(path, (down.get(path) ?? new Set()).add(found))
      up.set(found, (up.get(found) ?? new Set()).add(path))
    }
  }
  const made = { down, up, kept: new Map() }
  LOADS.set(facts, made)
  return made
}

/** `from package import module` loads both. */
function modulesOf(program: Program, path: string, module: string, imported: string): readonly string[] {
  const own = program.module(path, module)
  const inner =
    path.endsWith('.py') && imported !== '*'
      ? program.module(path, module.endsWith('.') ? `${module}${imported}` : `${module}.${imported}`)
      : undefined
  return [own, inner].filter((each) => each !== undefined)
}

/** All files of the programs that a file is loaded by, itself included. */
export function reachOf(repository: Repository, path: string): ReadonlySet<string> {
  const { down, up, kept } = loadsOf(repository)
  const known = kept.get(path)
  if (known !== undefined) return known
  const above = closure(up, [path])
  const roots = [...above].filter((each) => (up.get(each)?.size ?? 0) === 0)
  const found = closure(down, roots.length === 0 ? [...above] : roots)
  kept.set(path, found)
  return found
}

function closure(edges: ReadonlyMap<string, ReadonlySet<string>>, from: readonly string[]): ReadonlySet<string> {
  const seen = new Set(from)
  for (const each of seen) for (const next of edges.get(each) ?? []) seen.add(next)
  return seen
}

/** Some other source loads it. */
export function isLoaded(repository: Repository, path: string): boolean {
  return (loadsOf(repository).up.get(path)?.size ?? 0) > 0
}
