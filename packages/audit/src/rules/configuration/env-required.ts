// Variables of the environment that a process cannot come up without: it throws, or ends the process, where one is not there, as it comes up. A mere `!` says only that whoever wrote it counts on the variable.
//   OS3. What has a fallback, is asked about first, or is caught is not required. A list of names counts only where the same function looks each of them up and throws.

import type { EnvRead, FileFacts, Place, Value } from '../../facts/facts.ts'
import { programOf } from '../../program/index.ts'
import type { Repository } from '../../repository/repository.ts'
import { trafficOf } from '../../system/traffic.ts'
import { contentsOf } from '../contents.ts'
import { enclosing, lastName } from '../queries.ts'

export interface Required extends Pick<Place, 'line' | 'endLine'> {
  readonly name: string
  /** The process cannot come up without. */
  readonly isCertain: boolean
}

const NAME = /^[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+$/
const LOOKS_UP =
  /(?:process\.env|os\.environ)\s*\[\s*\w+\s*\]|(?:getenv|environ\.get)\(\s*\w+\s*[,)]|\b\w+ (?:not )?in (?:os\.environ|process\.env)\b/
const ENDS = /^(?:process\.exit|sys\.exit|exit)$/

/** What is called as a process comes up may also make what requests run: only names of starting count. */
const STARTING =
  /^_*(?:main|run|lifespan|bootstrap|start|init|set_?up|configure|validate|check|load|assert|ensure|create_?app|connect|get_?(?:settings|config)|require)/i

const KEPT = new WeakMap<FileFacts, readonly Required[]>()

export function requiredIn(repository: Repository, facts: FileFacts): readonly Required[] {
  const kept = KEPT.get(facts) ?? [...find(repository, facts)]
  KEPT.set(facts, kept)
  return kept
}

function* find(repository: Repository, facts: FileFacts): Iterable<Required> {
  if (facts.envReads.length === 0 && !mayLookUp(facts)) return
  const lines = (repository.files.read(facts.file) ?? '').split('\n')
  const starts = startsIn(repository, facts)
  for (const read of facts.envReads) {
    const certain = read.fallback === undefined ? certainty(facts, read, lines, starts) : undefined
    if (certain !== undefined) yield { name: read.name, line: read.line, endLine: read.endLine, isCertain: certain }
  }
  yield* listed(facts, lines, starts)
  yield* asked(repository, facts, starts)
}

/** Whether a block runs as the process comes up. */
type Starts = (block: number) => boolean

function startsIn(repository: Repository, { file }: FileFacts): Starts {
  const own = programOf(repository.facts).file(file)
  return (block) => {
    const fn = own?.functionOf(block) ?? -1
    if (fn === -1) return true
    const traffic = trafficOf(repository)
    if (!STARTING.test(own?.facts.blocks[fn]?.name ?? '')) return false
    return traffic.runs({ file, block: fn }, 'startup') && !traffic.runs({ file, block: fn }, 'traffic')
  }
}

/** Undefined: it is not required. */
function certainty(facts: FileFacts, read: EnvRead, lines: readonly string[], starts: Starts): boolean | undefined {
  if (enclosing(facts, read.block, ['try', 'handler', 'finally', 'loop']) !== -1) return undefined
  const line = lines[read.line - 1] ?? ''
  const fn = functionOf(facts, read.block)
  // What only some requests need may be left out on purpose.
  if (!starts(read.block)) return undefined
  if (refuses(facts, fn, read, line)) return true
  if (enclosing(facts, read.block, ['branch', 'otherwise']) !== -1) return undefined
  if (facts.language !== 'python')
    return fn === 0 && new RegExp(`process\\.env(?:\\.${read.name}|\\[['"]${read.name}['"]\\])!`).test(line)
      ? false
      : undefined
  if (new RegExp(`environ\\[\\s*["']${read.name}["']\\s*\\](?!\\s*=[^=])`).test(line)) return true
  return isSetting(facts, read, line) ? true : undefined
}

function functionOf({ blocks }: FileFacts, block: number): number {
  let at = block
  while (at > 0 && blocks[at]?.kind !== 'function') at = blocks[at]?.parent ?? 0
  return at
}

/** `if (!process.env.X) throw …`, or the same of the name that it was bound to. */
function refuses(facts: FileFacts, fn: number, read: EnvRead, line: string): boolean {
  const bound = contentsOf(facts, fn).assignments.find(
    (each) => each.line === read.line && !each.target.text.includes('.') && line.includes(read.name),
  )?.target.text
  return contentsOf(facts, fn).blocks.some((block) => {
    const { kind, test, line: at } = facts.blocks[block] ?? {}
    if (kind !== 'branch' || test === undefined || at === undefined || at < read.line || !throwsIn(facts, block))
      return false
    const absent = absentIn(test)
    return absent.some(
      (name) => name === bound || (new RegExp(`(?:^|\\.)${read.name}$`).test(name) && at === read.line),
    )
  })
}

/** Names whose absence alone makes a test hold: `!a`, `a is None`, each of `!a || !b`. */
function absentIn(test: Value): readonly string[] {
  if (test.kind === 'not') return nameOf(test.value)
  if (test.kind !== 'operation') return []
  if (/^(?:\|\||or)$/.test(test.operator)) return [...absentIn(test.left), ...absentIn(test.right)]
  return /^(?:===?|is)$/.test(test.operator) && test.right.kind === 'null' ? nameOf(test.left) : []
}

function nameOf(value: Value): readonly string[] {
  return value.kind === 'path' ? [value.path.text] : []
}

function throwsIn(facts: FileFacts, block: number): boolean {
  const { exits, calls } = contentsOf(facts, block)
  return (
    exits.some((exit) => exit.kind === 'throw' && exit.block === block) ||
    calls.some((call) => call.block === block && ENDS.test(call.callee.text))
  )
}

/** A field without value of a settings class that the module makes, and that no file fills. */
function isSetting(facts: FileFacts, { block }: EnvRead, line: string): boolean {
  const owner = facts.classes.find((each) => each.block === block)
  if (owner === undefined || !owner.bases.some((base) => /(?:^|\.)BaseSettings$/.test(base)) || /Alias/.test(line))
    return false
  const own = contentsOf(facts, block)
  const isFilled =
    own.calls.some(({ named }) => named.some(([name]) => name === 'env_file' || name === 'secrets_dir')) ||
    facts.assignments.some(({ target }) => target.text === 'env_file' || target.text === 'secrets_dir')
  const isMade = facts.calls.some(
    (call) =>
      call.callee.text === owner.name &&
      call.args.length + call.named.length === 0 &&
      functionOf(facts, call.block) === 0,
  )
  return !isFilled && isMade
}

function mayLookUp({ assignments, calls }: FileFacts): boolean {
  return (
    assignments.some(({ value }) => namesOf(value).length > 0) ||
    calls.some(({ args }) => args[0]?.kind === 'string' && NAME.test(args[0].value))
  )
}

function namesOf(value: Value): readonly string[] {
  if (value.kind !== 'list' || value.hasSpread) return []
  const names = value.items.flatMap((item) => (item.kind === 'string' && NAME.test(item.value) ? [item.value] : []))
  return names.length === value.items.length ? names : []
}

/** `const REQUIRED = ['A', 'B']`, each of which is looked up where something throws. */
function* listed(facts: FileFacts, lines: readonly string[], starts: Starts): Iterable<Required> {
  for (const { target, value, line, endLine, block } of facts.assignments) {
    const names = namesOf(value)
    if (names.length === 0 || !/requir|mandatory|must/i.test(target.text) || /optional/i.test(target.text)) continue
    const users = facts.blocks.flatMap(({ kind, line: from, endLine: to }, at) => {
      if (kind !== 'function' && kind !== 'module') return []
      const text = lines.slice(from - 1, to).join('\n')
      return LOOKS_UP.test(text) &&
        text.includes(target.text) &&
        contentsOf(facts, at).blocks.some((each) => throwsIn(facts, each))
        ? [at]
        : []
    })
    const inner = users.at(-1)
    if (inner === undefined || enclosing(facts, block, ['try']) !== -1) continue
    if (starts(inner)) for (const name of names) yield { name, line, endLine, isCertain: true }
  }
}

/** `required('X')` of the repository's own, which throws. */
function* asked(repository: Repository, facts: FileFacts, starts: Starts): Iterable<Required> {
  const program = programOf(repository.facts)
  for (const call of facts.calls) {
    const [first, second] = call.args
    if (first?.kind !== 'string' || !NAME.test(first.value) || second !== undefined || call.named.length > 0) continue
    if (!/env|requir|must|mandatory/i.test(lastName(call.callee))) continue
    if (enclosing(facts, call.block, ['try', 'branch', 'otherwise']) !== -1) continue
    const target = program.target({ file: facts.file, call })
    const of = target === undefined ? undefined : program.file(target.file)?.facts
    if (target === undefined || of === undefined || (of.blocks[target.block]?.fn?.params.length ?? 0) === 0) continue
    const { line, endLine } = of.blocks[target.block] ?? { line: 0, endLine: 0 }
    const text = (repository.files.read(target.file) ?? '')
      .split('\n')
      .slice(line - 1, endLine)
      .join('\n')
    const throwing = contentsOf(of, target.block).blocks.some(
      (each) =>
        of.blocks[each]?.kind === 'branch' &&
        throwsIn(of, each) &&
        absentIn(of.blocks[each]?.test ?? NOTHING).length > 0,
    )
    if (throwing && starts(call.block) && LOOKS_UP.test(text))
      yield { name: first.value, line: call.line, endLine: call.endLine, isCertain: true }
  }
}

const NOTHING: Value = { kind: 'null' }
