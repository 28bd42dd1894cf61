// Errors that are caught and vanish: nothing is logged, thrown, returned or remembered, and no comment says why.
// Strong where what was tried is awaited, or has an effect by its name. A handler that only tidies up (`close`, `unlink`), or guards the reading of a value
// that has a default already, may well be meant: those are for review. The ones of a file are one finding.
//   FG1. A handler with anything in it, or a comment that says why it is empty, is not found.

import type { Block, Call, FileFacts } from '../../facts/facts.ts'
import type { Repository } from '../../repository/repository.ts'
import type { Discovery, Rule } from '../rule.ts'

/** What people call with the intention that it may fail. */
const TIDYING =
  /(^|\.)(close|destroy|disconnect|unlink|unlinkSync|rm|rmSync|rmdir|kill|end|quit|stop|abort|cancel|release|unref|unsubscribe|cleanup|removeItem|dispose|terminate|revokeObjectURL|unwatch|clear|clearTimeout|clearInterval|shutdown|rollback|removeListener|off|play|focus|writeText|requestFullscreen)$/
/** What fails by throwing and has no other way to say no. */
const ASKING =
  /(^|\.)(parse|URL|decodeURIComponent|decodeURI|accessSync|access|statSync|existsSync|require|resolve|getItem|setItem|loads)$/
/** What has an effect, by its first word. */
const ACTING =
  /(^|\.)_*(set|save|store|write|publish|send|emit|commit|insert|create|update|upsert|delete|remove|post|put|patch|push|enqueue|dispatch|notify|charge|refund|process|handle|execute|run|start|connect|register|load|flush|persist|add)([A-Z_]\w*)?$/
/** Started by people, who see what it does. */
const BY_HAND = /(^|\/)(scripts|tools|bin|dev[\w-]*)\//
const ANY_ERROR = new Set(['', 'Exception', 'BaseException', 'Error'])

export const swallowedError: Rule = {
  meta: {
    id: 'swallowed-error',
    category: 'error handling',
    severity: 'medium',
    title: 'An error is caught and vanishes',
    why: 'Whoever called can not tell that it failed: an outage looks like success or like an empty answer, nothing is retried, and nothing is in the logs when someone looks for the cause.',
    remedies: [
      {
        priority: 'P2',
        text: 'Handle the failure that is expected and rethrow the rest; where it may be ignored, count it and say why in a comment.',
        effort: 'XS',
        guarantee: 'link.call(…) of @ripstop/kernel: every failure has a code, is counted and reaches its caller',
      },
    ],
    sources: ['CWE-390: detection of error condition without action'],
  },
  *run(repository: Repository): Iterable<Discovery> {
    for (const facts of repository.facts.values()) {
      const full = fullBlocks(facts)
      for (const [index, block] of facts.blocks.entries()) {
        if (block.kind !== 'handler' || full.has(index) || isExplained(facts, block)) continue
        if (!ANY_ERROR.has(block.name)) continue // one kind of error, ignored by name: that says why
        yield discovery(facts, block, tierOf(facts, block))
      }
      yield* silentCatches(facts, full)
    }
  },
}

/** Blocks in which something happens. */
function fullBlocks({ blocks, calls, assignments, exits }: FileFacts): ReadonlySet<number> {
  const full = new Set<number>()
  for (const { block } of [...calls, ...assignments, ...exits]) full.add(block)
  for (const { parent } of blocks) full.add(parent)
  return full
}

/** FG1. */
function isExplained({ comments }: FileFacts, { line, endLine }: Block): boolean {
  return comments.some((comment) => comment.line >= line && comment.line <= endLine && comment.text.trim() !== '')
}

function tierOf({ blocks, calls }: FileFacts, handler: Block): 'strong' | 'review' {
  const tried = handler.of ?? -1
  const inside = calls.filter(({ block }) => isInside(blocks, block, tried))
  return inside.some(matters) ? 'strong' : 'review'
}

function isInside(blocks: readonly Block[], inner: number, outer: number): boolean {
  for (let at = inner; at !== -1; at = blocks[at]?.parent ?? -1) if (at === outer) return true
  return false
}

function matters({ callee, use, isNew }: Call): boolean {
  if (TIDYING.test(callee.text) || ASKING.test(callee.text)) return false
  return use === 'awaited' || (!isNew && ACTING.test(callee.text))
}

/** `promise.catch(() => {})`. */
function* silentCatches(facts: FileFacts, full: ReadonlySet<number>): Iterable<Discovery> {
  for (const call of facts.calls) {
    const [handler] = call.args
    if (!/(^|\.)catch$/.test(call.callee.text) || call.args.length !== 1 || handler?.kind !== 'function') continue
    const block = facts.blocks[handler.block]
    if (block === undefined || full.has(handler.block) || isExplained(facts, { ...block, line: call.line })) continue
    const before = facts.calls[call.on]
    // What has a `catch` is a promise: waiting for it is what `await` is elsewhere.
    yield discovery(facts, block, before !== undefined && matters({ ...before, use: 'awaited' }) ? 'strong' : 'review')
  }
}

function discovery(facts: FileFacts, block: Block, tier: 'strong' | 'review'): Discovery {
  const symbol = symbolOf(facts, block)
  const loc = { file: facts.file, line: block.line, endLine: block.endLine }
  return {
    tier: BY_HAND.test(facts.file) ? 'review' : tier,
    evidence: [{ provenance: 'static', loc, what: 'a handler with nothing in it, and nothing that says why' }],
    symbol,
    cause: `empty handlers of ${facts.file}`,
    symptom: `A failure in ${symbol === '' ? 'this module' : symbol} is taken for success.`,
    rootCause: 'The handler of the error is empty.',
  }
}

function symbolOf({ blocks }: FileFacts, block: Block): string {
  const names: string[] = []
  for (let at = block.parent; at !== -1; at = blocks[at]?.parent ?? -1) {
    const { kind, name } = blocks[at] as Block
    if ((kind === 'function' || kind === 'class') && name !== '') names.unshift(name)
  }
  return names.join('.')
}
