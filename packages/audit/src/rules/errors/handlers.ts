// Handlers: what one does with the error that it catches.

import type { Block, Call, Exit, FileFacts, Value } from '../../facts/facts.ts'
import { type Contents, contentsOf } from '../contents.ts'

/** A logger at the beginning, or a call that says by its own name that it writes a log; `_handle_error` is none. */
const LOGGING =
  /(^|\.)_*(log|logger|logging|console|print|pprint|traceback|sentry\w*|Sentry|stderr|stdout)(\.|$)|(^|\.)_*(log_?[a-zA-Z]*|warn|warning|info|debug|error|exception|critical|fatal|trace|verbose|captureException|capture_exception|print_exc|format_exc|echo)$/
/** What only shapes the text of a log. */
const SHAPING =
  /(^|\.)(str|repr|type|String|JSON\.stringify|toString|format|join|isinstance|len|now|utcnow|isoformat|Date|getLogger|split|toISOString|inspect)$/

export function isLogging(facts: FileFacts, { callee, on }: Call): boolean {
  if (LOGGING.test(callee.text) || SHAPING.test(callee.text)) return true
  const before = facts.calls[on]
  return before !== undefined && callee.text.startsWith('()') && LOGGING.test(before.callee.text)
}

export interface Handled {
  readonly block: Block
  readonly index: number
  readonly contents: Contents
  /** Index of its `try`. */
  readonly tried: number
}

const KEPT = new WeakMap<FileFacts, readonly Handled[]>()

export function handlersIn(facts: FileFacts): readonly Handled[] {
  const kept = KEPT.get(facts)
  if (kept !== undefined) return kept
  const found: Handled[] = []
  for (const [index, block] of facts.blocks.entries())
    if (block.kind === 'handler')
      found.push({ block, index, contents: contentsOf(facts, index), tried: block.of ?? -1 })
  KEPT.set(facts, found)
  return found
}

/** What is left behind is put away, whatever becomes of the error. */
const PUTTING_AWAY = /(?:^|\.)(?:rollback|close|aclose|release|dispose)$/

/** It only writes a log and puts away what was open, or nothing at all: no call, no assignment and no branch that could be handling. */
export function onlyLogs(facts: FileFacts, { contents }: Handled): boolean {
  const { calls, assignments, exits } = contents
  return (
    assignments.length === 0 &&
    calls.every((call) => isLogging(facts, call) || PUTTING_AWAY.test(call.callee.text)) &&
    exits.every(({ kind }) => kind !== 'throw' && kind !== 'yield')
  )
}

export type Emptiness = 'nothing' | 'no items' | 'false'

/** Undefined: it says something. */
export function emptinessOf(value: Value | undefined): Emptiness | undefined {
  if (value === undefined) return 'nothing'
  switch (value.kind) {
    case 'null':
      return 'nothing'
    case 'list':
      return value.items.length === 0 && !value.hasSpread ? 'no items' : undefined
    case 'object':
      return !value.hasSpread && value.entries.every(isEmptyEntry) ? 'no items' : undefined
    case 'string':
      return value.value === '' ? 'nothing' : undefined
    case 'number':
      return value.value === 0 ? 'nothing' : undefined
    case 'boolean':
      return value.value ? undefined : 'false'
    default:
      return undefined
  }
}

/** `{ total: 0, items: [] }` is what is answered where there is nothing; a `status` tells. */
function isEmptyEntry([name, value]: readonly [string, Value]): boolean {
  const empty = emptinessOf(value)
  return empty !== undefined && empty !== 'false' && !/^(?:errors?|status|state|ok|success|message|reason)$/i.test(name)
}

/** The one way out of a handler; undefined: it has several, or none. */
export function onlyExit({ contents }: Handled): Exit | undefined {
  return contents.exits.length === 1 ? contents.exits[0] : undefined
}

/** A comment in it that says why; in Python, where nothing closes it, also behind its last line. */
export function isExplained(
  { comments, language }: FileFacts,
  { line, endLine }: Pick<Block, 'line' | 'endLine'>,
): boolean {
  const last = language === 'python' ? endLine + 1 : endLine
  return comments.some((comment) => comment.line >= line && comment.line <= last && comment.text.trim() !== '')
}

const MEANT =
  /best[ -]?effort|non[ -]?(?:fatal|critical)|(?:fail\w*|errors?) (?:is|are) (?:only |just )?(?:logged|ignored)|never (?:throws|raises|fails)/i
const LINES_ABOVE = 6

/** The name of the error (`catch (_error)`), or what is written over the function or at its beginning, says that it may fail. */
export function isMeant({ comments, blocks }: FileFacts, fn: number, handler: Block): boolean {
  const { line = 0 } = blocks[fn] ?? {}
  if (handler.binds?.startsWith('_') === true) return true
  return comments.some((each) => each.line >= line - LINES_ABOVE && each.line <= line + 2 && MEANT.test(each.text))
}

/** A name that says that it may fail, or that the answer is about failing. */
const TENTATIVE =
  /(^|[._])_*(try|maybe|safe|safely|best_?effort|attempt|optional|is|has|can|check|ping|probe|test|verify|validate|exists|health\w*|status|detect|guess|warm\w*|prefetch|cleanup|clean|close|stop|shutdown|disconnect|dispose|destroy|teardown|del|exit|aexit)(_|[A-Z]|$)|health|_safe(ly)?$|OrNull$|_or_(none|null|default)$|Safe(ly)?$/

export function isTentative(name: string): boolean {
  return TENTATIVE.test(name)
}
