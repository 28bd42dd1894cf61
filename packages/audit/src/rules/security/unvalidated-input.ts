// Input that reaches a database as text of a statement: whoever writes the input writes the statement. And bodies that are stored where nothing looks at input:
// see unvalidated-body.ts.
//   SU8. Parameters, tags that escape, casts to numbers, and what does not come from a request in the same function are silent.

import type { Assignment, Call, FileFacts, Value } from '../../facts/facts.ts'
import { programOf } from '../../program/index.ts'
import type { Repository } from '../../repository/repository.ts'
import { contentsOf } from '../contents.ts'
import { callsOf, lastName, seenAt, symbolOf } from '../queries.ts'
import type { Discovery, Rule } from '../rule.ts'
import { unvalidatedBodies } from './unvalidated-body.ts'

const RUNS = new Set(
  'query execute executemany executescript raw $queryRawUnsafe $executeRawUnsafe exec run prepare text read_sql read_sql_query whereRaw orderByRaw havingRaw'.split(
    ' ',
  ),
)
const STATEMENT =
  /^\s*(select\s|insert\s+into|update\s+\S+\s+set|delete\s+from|with\s+\w+\s+as|alter\s|drop\s|create\s|call\s)/i
const REQUEST =
  /^(req|request|ctx|context|c|flask\.request|ctx\.request)\.(body|query|params|headers|cookies|args|form|json|values|GET|POST|query_params|path_params|data|request\.body|files|param|view_args)(\.|$)/

export const unvalidatedInput: Rule = {
  meta: {
    id: 'unvalidated-input',
    category: 'security',
    severity: 'critical',
    title: 'Input becomes part of a statement',
    why: 'Whoever sends the request decides what the statement does: read other rows, change them, drop the table.',
    remedies: [
      {
        priority: 'P0',
        text: 'Pass values as parameters; names of columns only from a list of those allowed.',
        effort: 'S',
      },
      {
        priority: 'P1',
        text: 'Parse every body with a schema before anything uses it, and store only the fields that the schema names.',
        effort: 'M',
      },
    ],
    sources: [
      'https://cwe.mitre.org/data/definitions/89.html',
      'https://cwe.mitre.org/data/definitions/20.html',
      'https://cwe.mitre.org/data/definitions/915.html',
    ],
  },
  *run(repository: Repository): Iterable<Discovery> {
    yield* unvalidatedBodies(repository)
    for (const { facts, call } of callsOf(programOf(repository.facts), RUNS)) {
      const name = inputOf(facts, call)
      if (name === undefined) continue
      yield {
        tier: 'strong',
        symbol: symbolOf(facts, call.block),
        symptom: 'Whoever sends the request decides which statement runs.',
        rootCause: `${name} comes from the request and is put into the text of the statement.`,
        evidence: [seenAt(facts.file, call, `${name} is put into the statement as text.`)],
      }
    }
  },
}

/** What of the request is in the statement; undefined: nothing is seen. */
function inputOf(facts: FileFacts, call: Call): string | undefined {
  const [first] = call.args
  const own = new Scope(facts, call.block)
  const value = first?.kind === 'path' ? own.valueOf(first.path.text) : first
  if (value === undefined) return undefined
  const { begin, put } = partsOf(facts, value)
  if (begin === undefined || !STATEMENT.test(begin)) return undefined
  return put.map((each) => own.requested(each, 0)).find((name) => name !== undefined)
}

/** How a text that is put together begins, and what is put into it. */
function partsOf(
  facts: FileFacts,
  value: Value,
): { readonly begin: string | undefined; readonly put: readonly Value[] } {
  if (value.kind === 'template') return { begin: value.parts.join(' ? '), put: value.values }
  if (value.kind === 'operation' && (value.operator === '+' || value.operator === '%')) {
    const left = value.left.kind === 'string' ? { begin: value.left.value, put: [] } : partsOf(facts, value.left)
    const put = value.right.kind === 'list' ? value.right.items : [value.right]
    return { begin: left.begin, put: [...left.put, ...put] }
  }
  return { begin: undefined, put: [] }
}

/** Names of one function. */
class Scope {
  readonly #facts: FileFacts
  readonly #assignments: readonly Assignment[]

  constructor(facts: FileFacts, block: number) {
    this.#facts = facts
    let fn = block
    while (fn > 0 && facts.blocks[fn]?.kind !== 'function') fn = facts.blocks[fn]?.parent ?? 0
    this.#assignments = fn > 0 ? contentsOf(facts, fn).assignments : []
  }

  valueOf(name: string): Value | undefined {
    const found = this.#assignments.filter(({ target }) => target.text === name)
    return found.length === 1 ? found[0]?.value : undefined
  }

  requested(value: Value, hops: number): string | undefined {
    if (hops > 3) return undefined
    if (value.kind === 'await') return this.requested(value.value, hops + 1)
    if (value.kind === 'operation' && /^(\|\||\?\?|or)$/.test(value.operator))
      return this.requested(value.left, hops + 1) ?? this.requested(value.right, hops + 1)
    if (value.kind === 'path') {
      if (REQUEST.test(`${value.path.text}.`) || REQUEST.test(value.path.text)) return value.path.text
      const [first = ''] = value.path.text.split('.')
      const before = this.valueOf(first)
      return before === undefined || (before.kind === 'path' && before.path.text === first)
        ? undefined
        : this.requested(before, hops + 1)
    }
    if (value.kind !== 'call') return undefined
    const call = this.#facts.calls[value.call]
    // `request.args.get('id')`; one with `type=int` is cast.
    if (call === undefined || call.named.some(([name]) => name === 'type')) return undefined
    return REQUEST.test(call.callee.text) && /^(get|param|get_json|header|getlist)$/.test(lastName(call.callee))
      ? call.callee.text
      : undefined
  }
}
