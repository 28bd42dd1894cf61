// Lost updates: what is read, changed and written back whole, so that of two writers at once one is overwritten; and changes that never reach the store at all.
// Silent where a lock, a script, a transaction that locks, or a version in the condition keeps writers apart.
//   CU4. A key of Redis that is written with what was made of its own value is found, unless the value goes out as it was read.
//   CU7. A call that leaves out the version that its method takes for this very purpose is found, where the caller has read the thing before.

import type { Call, Value } from '../../facts/facts.ts'
import { type BlockRef, type IndexedFile, type Program, programOf } from '../../program/index.ts'
import type { Repository } from '../../repository/repository.ts'
import { lastName, seenAt, symbolOf } from '../queries.ts'
import type { Discovery, Rule } from '../rule.ts'
import { bodiesOf, bodyOf, controlsOf, derived, holds, isFrom, knownOf } from './flow.ts'
import { isGuarded } from './guarded.ts'
import { changedInPlace } from './json-column.ts'
import { isStarting, runsAlone } from './places.ts'
import { countedRows } from './row-update.ts'
import { usesOf } from './uses.ts'

export const lostUpdate: Rule = {
  meta: {
    id: 'lost-update',
    category: 'concurrency',
    severity: 'high',
    title: 'What was read is changed and written back whole',
    why: 'Of two writers that read the same value both write theirs: the second overwrites what the first was told is saved. Nothing fails, nothing is logged, and a balance, a counter or a list is wrong from then on.',
    remedies: [
      {
        priority: 'P1',
        text: 'Let the store change the value (increment, $inc, F(), a script), or write with the version that was read in the condition and try again when nobody was hit.',
        effort: 'S',
      },
    ],
    sources: ['CWE-362', 'Berenson et al., A Critique of ANSI SQL Isolation Levels, 1995: P4 lost update'],
  },
  *run(repository: Repository): Iterable<Discovery> {
    const program = programOf(repository.facts)
    const versioned = versionedMethods(program)
    for (const path of program.files) {
      const file = program.file(path)
      if (file === undefined || runsAlone(path)) continue
      for (const fn of bodiesOf(file).keys()) {
        if (fn === -1 || isStarting(file, fn)) continue
        yield* rewrittenKeys(repository, program, file, fn)
        yield* countedRows(repository, program, file, fn)
        yield* changedInPlace(repository, file, fn)
        yield* withoutVersion(program, file, fn, versioned)
      }
    }
  },
}

/** CU4. */
function* rewrittenKeys(repository: Repository, program: Program, file: IndexedFile, fn: number): Iterable<Discovery> {
  const { keys } = usesOf(program, file, fn)
  if (keys.length < 2 || keys.some(({ op }) => op === 'script' || op === 'claim')) return
  for (const write of keys) {
    const read = keys.findLast(({ op, key, call }) => op === 'read' && key === write.key && call < write.call)
    const call = file.facts.calls[write.call]
    if (write.op !== 'write' || write.key === '' || read === undefined || call === undefined) continue
    const names = derived(file, fn, read.call)
    const is = isFrom(read.call, names)
    if (write.value === undefined || !holds(file.facts, write.value, is)) continue
    // Where nothing was read it is a cache that is filled.
    const known = knownOf(file, controlsOf(file, fn, call.block, call.line), is)
    if (known.some(({ standing }) => standing === 'absent')) continue
    if (!isChanged(file, fn, write.value, read.call, names) || isGuarded(program, repository.files, file, fn)) continue
    const line = file.facts.calls[read.call]?.line ?? call.line
    yield {
      tier: 'strong',
      cause: `keys of ${file.facts.file}`,
      symbol: symbolOf(file.facts, fn),
      symptom: 'Of two changes at once one is overwritten, and both callers are told that theirs is saved.',
      rootCause:
        'The value of the key is read, changed in the program and set again, with nothing that notices a change in between.',
      evidence: [
        seenAt(file.facts.file, { line: call.line, endLine: call.endLine }, 'written back whole'),
        seenAt(file.facts.file, { line, endLine: line }, 'read here'),
      ],
    }
  }
}

const CHANGING = /\.(?:push|append|add|update|splice|unshift|extend|filter|concat|pop|remove|set|delete|assign)$/

/** Something of what was read, and is written, was written to, mixed with something new, or counted on. */
function isChanged(file: IndexedFile, fn: number, written: Value, read: number, names: ReadonlySet<string>): boolean {
  const { facts } = file
  const is = isFrom(read, names)
  const isMixed = (value: Value): boolean =>
    (value.kind === 'object' &&
      ((value.spreads ?? []).some(is) || value.entries.some(([, each]) => isCounted(each)))) ||
    isCounted(value) ||
    (value.kind === 'template' && value.values.some(is)) ||
    (value.kind === 'call' && CHANGING.test(facts.calls[value.call]?.callee.text ?? '') && is(value))
  const isCounted = (value: Value): boolean =>
    value.kind === 'operation' && /^[+-]$/.test(value.operator) && holds(facts, value, is)
  const { assignments, calls } = bodyOf(file, fn)
  const changed = new Set<string>()
  const isOfChanged = (value: Value): boolean =>
    value.kind === 'path' && !value.path.isOwn && changed.has(value.path.text.split('.', 1)[0] as string)
  for (const index of calls) {
    const call = facts.calls[index] as Call
    const [first = ''] = call.callee.text.split('.', 1)
    if (CHANGING.test(call.callee.text) && names.has(first)) changed.add(first)
  }
  for (const { target, value, operator } of assignments) {
    const [first = '', ...rest] = target.text.split('.')
    if (target.isOwn) continue
    const isWritten = names.has(first) && (rest.length > 0 || operator !== '=')
    if (isWritten || holds(facts, value, isMixed) || holds(facts, value, isOfChanged)) changed.add(first)
  }
  return holds(facts, written, isMixed) || holds(facts, written, isOfChanged)
}

const VERSION = /^_?(?:expected|if|base|known|prev(?:ious)?)_?(?:version|revision|rev|etag|seq|match)$/i

interface Versioned {
  readonly ref: BlockRef
  readonly at: number
  readonly param: string
}

/** Methods that take a version and can do without, by name; a name that two have is not among them. */
function versionedMethods(program: Program): ReadonlyMap<string, Versioned> {
  const found = new Map<string, Versioned | undefined>()
  for (const path of program.files) {
    const file = program.file(path)
    for (const [block, { kind, name, fn }] of (file?.facts.blocks ?? []).entries()) {
      if (kind !== 'function' || fn === undefined || name === '') continue
      const params = fn.params.filter((each) => each !== 'self' && each !== 'cls')
      const at = params.findIndex((each) => VERSION.test(each))
      if (at > 0 && at === params.length - 1)
        found.set(name, found.has(name) ? undefined : { ref: { file: path, block }, at, param: params[at] as string })
    }
  }
  return new Map([...found].flatMap(([name, each]) => (each === undefined ? [] : [[name, each]])))
}

/** CU7. */
function* withoutVersion(
  program: Program,
  file: IndexedFile,
  fn: number,
  versioned: ReadonlyMap<string, Versioned>,
): Iterable<Discovery> {
  if (versioned.size === 0) return
  const { facts } = file
  const { calls } = bodyOf(file, fn)
  for (const index of calls) {
    const call = facts.calls[index] as Call
    const method = versioned.get(lastName(call.callee))
    if (method === undefined || call.hasSpread || call.args.length > method.at || call.args.length === 0) continue
    if (call.named.some(([name]) => name === method.param) || call.callee.text === lastName(call.callee)) continue
    const target = program.target({ file: facts.file, call })
    if (target !== undefined && (target.file !== method.ref.file || target.block !== method.ref.block)) continue
    const owner = call.callee.text.slice(0, call.callee.text.lastIndexOf('.'))
    const read = calls.find((at) => {
      const before = facts.calls[at] as Call
      if (
        at >= index ||
        !before.callee.text.startsWith(`${owner}.`) ||
        !/^(?:get|find|load|read|fetch)/i.test(lastName(before.callee))
      )
        return false
      const is = isFrom(at, derived(file, fn, at))
      return (
        call.args.slice(1).some((arg) => holds(facts, arg, is)) ||
        call.named.some(([, value]) => holds(facts, value, is))
      )
    })
    if (read === undefined) continue
    yield {
      tier: 'strong',
      cause: `${lastName(call.callee)} of ${method.ref.file} without ${method.param}`,
      symbol: symbolOf(facts, fn),
      symptom: 'Of two changes at once the second overwrites the first, and nobody is told.',
      rootCause: `${lastName(call.callee)} checks ${method.param} where it is given, and it is not given here, although the thing was read before.`,
      evidence: [
        seenAt(facts.file, call, `called without ${method.param}`),
        seenAt(facts.file, facts.calls[read] as Call, 'read here'),
      ],
    }
  }
}
