// Routes that read a whole table: no filter, no limit. For review, since a table may be one that stays small; one finding for a component.
//   BD12. Found where the handler of a route, or a function that it leads to through the layers below it, reads all rows with neither a condition nor a limit.
//   QT4. A `findAll` of the repository's own is no query: what it does is looked at where it does it.
//   QV7. Of Drizzle it is a selection from a table with nothing behind it and nothing counted, in a file that imports it.
//   QJ20. A model is also known by the folder that it is imported from, a collection by its name.

import type { Call, FileFacts, Value } from '../../facts/facts.ts'
import type { Evidence } from '../../model/evidence.ts'
import { programOf } from '../../program/index.ts'
import type { Repository } from '../../repository/repository.ts'
import { callsWithin, reachedOf } from '../concurrency/reach.ts'
import { lastName, mayHide, seenAt } from '../queries.ts'
import type { Discovery, Rule } from '../rule.ts'
import { isServed } from './served.ts'
import { readsWhole } from './whole-tables.ts'

const BOUNDING =
  /^(?:limit|take|first|last|paginate|slice|offset|skip|where|filter|filter_by|group_by|count|scalar|one|one_or_none|fetchmany|cursor|stream|yield_per|distinct|join|with_only_columns)$/
const SELECT_ALL = /^\s*select\s+(?:\*|[\w.,\s"`]+)\s+from\s+["`\w.]+\s*(?:order\s+by\s+[\w.,\s"`]+)?;?\s*$/i
/** Of Mongoose and TypeORM, by how their models and repositories are named. */
const MODEL = /(?:^|\.)(?:[A-Z]\w*|\w*(?:[mM]odel|[rR]epo(?:sitory)?|[cC]oll(?:ection)?))\.find$/
const MODEL_FILE = /^import:\.[^#]*\/(?:models?|schemas?|entities)\//i
const PLACES_MAX = 12
/** Through a service and a repository. */
const DEPTH_MAX = 3

export const unboundedQuery: Rule = {
  meta: {
    id: 'unbounded-query',
    category: 'bounds',
    severity: 'medium',
    title: 'A route reads a whole table',
    why: 'It is fast while the table is small. Every answer grows with it: memory, time and the connection that is held meanwhile, until a request that always worked ends the process.',
    remedies: [
      {
        priority: 'P2',
        text: 'Read a page at a time, with a limit that the client can lower and not lift.',
        effort: 'S',
      },
    ],
    sources: [
      'CWE-770: allocation of resources without limits or throttling',
      'Nygard: Release It!, unbounded result sets',
    ],
  },
  *run(repository: Repository): Iterable<Discovery> {
    const program = programOf(repository.facts)
    const found = new Map<string, Evidence[]>()
    const seen = new Set<Call>()
    for (const [key, { entry, depth }] of reachedOf(repository)) {
      const [path = '', block = ''] = key.split('\n')
      const file = program.file(path)
      if (entry.kind !== 'route' || depth > DEPTH_MAX || file === undefined || !isServed(path)) continue
      for (const index of callsWithin(repository, { file: path, block: Number(block) })) {
        const call = file.facts.calls[index] as Call
        if (seen.has(call) || !readsAll(file.facts, call)) continue
        seen.add(call)
        // QT4.
        if (program.target({ file: path, call }) !== undefined) continue
        const component = path.split('/').slice(0, 2).join('/')
        const list = found.get(component) ?? []
        found.set(component, list)
        if (list.length < PLACES_MAX) list.push(seenAt(path, call, 'all rows, without a condition or a limit'))
      }
    }
    for (const [component, evidence] of found)
      yield {
        tier: 'review',
        evidence,
        cause: `whole tables in ${component}`,
        symbol: component,
        symptom: 'Routes get slower and need more memory as tables grow.',
        rootCause: 'Rows are read without a condition or a limit where a request asks for them.',
      }
  },
}

function readsAll(facts: FileFacts, call: Call): boolean {
  const name = lastName(call.callee)
  if (facts.language === 'python')
    return (name === 'all' && call.args.length === 0 && readsAllPython(facts, call)) || readsWhole(facts, call)
  if (name === 'from') return isOfDrizzle(facts, call) && !isCut(facts, call)
  // On what another call gave: a scope, which may well be a condition.
  if (call.on !== -1) return false
  if (name === 'findMany' || name === 'findAll') return !mayHide(call) && isUnfiltered(call.args[0]) && isOfTable(call)
  if (name === 'find' && (MODEL.test(call.callee.text) || (MODEL_FILE.test(call.callee.root) && isOfName(call))))
    return !mayHide(call) && isWhole(call.args[0]) && !isCut(facts, call)
  const [first] = call.args
  return name === 'query' && call.args.length === 1 && first?.kind === 'string' && SELECT_ALL.test(first.value)
}

/** QV7. `db.select().from(orders)`. */
function isOfDrizzle({ calls, imports }: FileFacts, { callee, args: [table], on }: Call): boolean {
  const select = calls[on]
  return (
    callee.text === '().from' &&
    table?.kind === 'path' &&
    select?.args.every((arg) => arg.kind === 'object' && arg.entries.every(([, { kind }]) => kind === 'path')) ===
      true &&
    /\.select(?:Distinct)?$/.test(select.callee.text) &&
    imports.some(({ module }) => /^drizzle-orm(?:\/|$)/.test(module))
  )
}

/** QJ20. `question.find({})` of what a file of models exports. */
function isOfName({ callee }: Call): boolean {
  return callee.text.split('.').length === 2
}

/** `Model.find()`, `Model.find({})`, `repository.find({ relations })`. */
function isWhole(options: Value | undefined): boolean {
  if (options?.kind !== 'object' || options.hasSpread) return options === undefined
  return options.entries.every(([name]) => /^(?:relations|order|select|cache)$/.test(name))
}

/** Behind it a limit, a page, or a cursor is asked for. */
function isCut({ calls }: FileFacts, call: Call): boolean {
  let at = calls.indexOf(call)
  for (let hops = 0; at !== -1 && hops < 10; hops++) {
    const on = at
    at = calls.findIndex((next) => next.on === on)
    if (at !== -1 && BOUNDING.test(lastName((calls[at] as Call).callee))) return true
  }
  return false
}

function isOfTable({ callee }: Call): boolean {
  return callee.text.split('.').length >= 2
}

function isUnfiltered(options: Value | undefined): boolean {
  if (options === undefined) return true
  if (options.kind !== 'object' || options.hasSpread) return false
  return !options.entries.some(([name]) => /^(?:where|take|limit|first|cursor|skip|offset)$/.test(name))
}

/** `db.query(X).all()`, `db.execute(select(X)).scalars().all()`. */
function readsAllPython({ calls }: FileFacts, call: Call): boolean {
  let at: Call | undefined = calls[call.on]
  let isQuery = false
  for (let hops = 0; at !== undefined && hops < 10; hops++) {
    const name = lastName(at.callee)
    if (BOUNDING.test(name)) return false
    if (name === 'query' && at.args.length === 1 && at.args[0]?.kind === 'path') isQuery = true
    const statement = /^(?:execute|scalars|exec)$/.test(name) ? at.args[0] : undefined
    if (statement !== undefined) {
      const selected = statement.kind === 'call' ? calls[statement.call] : undefined
      if (selected?.callee.text !== 'select') return false
      isQuery = true
    }
    at = calls[at.on]
  }
  return isQuery
}
