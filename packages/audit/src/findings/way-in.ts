// How the world gets to a place: the route, message, timer or signal whose handler leads there, found by going backwards through those who call. The nearest of
// what somebody outside can cause comes before what happens by itself.
//   QS15. Every question ends after VISITED_MAX functions; what a function was found to be reached by is kept.

import type { Loc } from '../model/evidence.ts'
import { type BlockRef, type IndexedFile, programOf } from '../program/index.ts'
import type { Repository } from '../repository/repository.ts'
import { type Entry, entriesOf } from '../system/entries.ts'

const VISITED_MAX = 60
const NAME_MAX = 80

/** Undefined: nothing that was found leads there. */
export function waysInto(repository: Pick<Repository, 'facts'>): (loc: Loc) => string | undefined {
  const program = programOf(repository.facts)
  const { byHandler, byFile } = index(entriesOf(repository))
  const kept = new Map<string, Entry | undefined>()
  const search = (start: BlockRef): Entry | undefined => {
    const seen = new Map([[keyOf(start), start]])
    let byItself: Entry | undefined
    for (const fn of seen.values()) {
      const entry = byHandler.get(keyOf(fn))
      if (entry !== undefined && isCaused(entry)) return entry
      byItself = byItself ?? entry
      if (seen.size > VISITED_MAX) continue
      const outer = outerOf(program.file(fn.file), fn.block)
      const callers = program.callers(fn).map(({ file, call }) => {
        return { file, block: program.file(file)?.functionOf(call.block) ?? -1 }
      })
      for (const next of [{ file: fn.file, block: outer }, ...callers])
        if (next.block !== -1 && !seen.has(keyOf(next))) seen.set(keyOf(next), next)
    }
    return byItself
  }
  return ({ file, line }) => {
    const own = program.file(file)
    if (own === undefined) return undefined
    const declared = byFile.get(file)?.find(({ site: { call } }) => call.line === line)
    const block = functionAt(own, line)
    if (block === -1) return wordsOf(declared)
    const key = keyOf({ file, block })
    if (!kept.has(key)) kept.set(key, search({ file, block }))
    return wordsOf(declared ?? kept.get(key))
  }
}

function index(entries: readonly Entry[]): {
  readonly byHandler: ReadonlyMap<string, Entry>
  readonly byFile: ReadonlyMap<string, readonly Entry[]>
} {
  const byHandler = new Map<string, Entry>()
  const byFile = new Map<string, Entry[]>()
  for (const entry of entries) {
    const key = entry.handler === undefined ? undefined : keyOf(entry.handler)
    const known = byHandler.get(key ?? '')
    if (key !== undefined && (known === undefined || (!isCaused(known) && isCaused(entry)))) byHandler.set(key, entry)
    const list = byFile.get(entry.site.file)
    if (list === undefined) byFile.set(entry.site.file, [entry])
    else list.push(entry)
  }
  return { byHandler, byFile }
}

function isCaused({ kind }: Entry): boolean {
  return kind === 'route' || kind === 'consumer'
}

function outerOf(file: IndexedFile | undefined, block: number): number {
  const parent = file?.facts.blocks[block]?.parent ?? -1
  return parent === -1 || file === undefined ? -1 : file.functionOf(parent)
}

/** The innermost function of a line. */
function functionAt({ facts: { blocks } }: IndexedFile, line: number): number {
  let found = -1
  for (const [block, { kind, line: first, endLine }] of blocks.entries()) {
    const known = blocks[found]
    if (kind !== 'function' || first > line || endLine < line) continue
    if (known === undefined || endLine - first <= known.endLine - known.line) found = block
  }
  return found
}

function wordsOf(entry: Entry | undefined): string | undefined {
  if (entry === undefined) return undefined
  const { kind, site } = entry
  const name = entry.name.slice(0, NAME_MAX)
  switch (kind) {
    case 'route':
      return name === '' ? undefined : name
    case 'consumer':
      return name === '' ? 'a message' : `a message of ${name}`
    case 'interval':
    case 'schedule':
      return `a round of the timer at ${site.file}:${site.call.line}`
    case 'signal':
      return name === '' ? 'a signal' : name
    case 'listener':
      return name === '' ? 'an event' : `the event ${name}`
    case 'startup':
      return 'the start'
    case 'shutdown':
      return 'the shutdown'
    case 'middleware':
      return 'any request'
    default:
      return kind satisfies never
  }
}

function keyOf({ file, block }: BlockRef): string {
  return `${block}:${file}`
}
