// Errors that are caught and vanish: nothing is logged, thrown, returned or remembered, and no comment says why.
// Strong where what was tried is awaited, or has an effect by its name; other calls that leave the process are for review. Silent where nothing is lost: what only tidies up (`close`,
// `unlink`), the reading of a value that has a default already, what itself tells that it went well, pages, and what people start by hand. The ones of a
// file are one finding. Errors that are logged and then told as an answer are in pretended.ts.
//   QL17. Where all that was tried is a cache (by the name of what is asked), its value is asked for elsewhere, or comes again: nothing is lost. What takes out of
//         a cache is not meant: what stays there is wrong.
//   ER15. A `return` in a `finally` discards the error under way, unless a handler before it takes all of them.
//   QK9. A `catch` that answers false or nothing is empty as well, where what was tried has an effect; what somebody keeps of it is for review.
//   QJ26. An empty `.catch` behind a function of the repository that lets no failure out loses nothing.
//   FG1. A handler with anything in it, or a comment that says why it is empty, is not found.

import type { Block, Call, FileFacts } from '../../facts/facts.ts'
import { type Program, programOf } from '../../program/index.ts'
import type { Repository } from '../../repository/repository.ts'
import { type OutboundCalls, outboundOf } from '../../system/outbound.ts'
import { contentsOf } from '../contents.ts'
import { GUARANTEES } from '../guarantees.ts'
import { isByHand, isPage } from '../places.ts'
import { calledFunction, catchesAny, isAsync, isCaught, rejectsAt } from '../promises/rejections.ts'
import { seenAt, symbolOf } from '../queries.ts'
import type { Discovery, Rule } from '../rule.ts'
import { isExplained, isTentative } from './handlers.ts'
import { pretended } from './pretended.ts'
import { unanswered } from './unanswered.ts'

/** What people call with the intention that it may fail. */
const TIDYING =
  /(^|\.)(close|destroy|disconnect|unlink|unlinkSync|rm|rmSync|rmdir|kill|end|quit|stop|abort|cancel|release|unref|unsubscribe|cleanup|removeItem|dispose|terminate|revokeObjectURL|unwatch|clear|clearTimeout|clearInterval|shutdown|rollback|removeListener|off|play|focus|writeText|requestFullscreen|drain|continue_|wait_for_load_state|waitForLoadState|waitForNetworkIdle|wait_for_selector|waitForSelector|answer_callback_query|answerCallbackQuery|answerCbQuery|send_chat_action|sendChatAction)$|(^|\.)(callback|query|callback_query|callbackQuery)\.answer$/
/** What fails by throwing and has no other way to say no. */
const ASKING =
  /(^|\.)(parse|URL|decodeURIComponent|decodeURI|accessSync|access|statSync|existsSync|require|resolve|getItem|setItem|loads)$/
/** What has an effect, by its first word. */
const ACTING =
  /(^|\.)_*(set|save|store|write|publish|send|emit|commit|insert|create|update|upsert|delete|remove|post|put|patch|enqueue|dispatch|notify|charge|refund|process|handle|execute|run|start|connect|register|load|flush|persist)([A-Z_]\w*)?$/

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
        guarantee: GUARANTEES.failures,
      },
    ],
    sources: ['CWE-390: detection of error condition without action'],
  },
  *run(repository: Repository): Iterable<Discovery> {
    const outbound = outboundOf(repository)
    const program = programOf(repository.facts)
    for (const facts of repository.facts.values()) {
      if (isByHand(facts.file) || isPage(facts)) continue
      const full = fullBlocks(facts)
      for (const [index, block] of facts.blocks.entries()) {
        if (block.kind !== 'handler' || full.has(index) || isExplained(facts, block)) continue
        if (!catchesAny(block)) continue // one kind of error, ignored by name: that says why
        const tier = tierOf(facts, block, outbound)
        if (tier !== undefined) yield discovery(facts, block, tier)
      }
      yield* silentCatches(program, facts, full)
      yield* leavingFinally(facts)
    }
    yield* pretended(repository)
    yield* unanswered(repository)
  },
}

/** Blocks in which something happens. */
function fullBlocks({ blocks, calls, assignments, exits }: FileFacts): ReadonlySet<number> {
  const full = new Set<number>()
  for (const { block } of [...calls, ...assignments, ...exits]) full.add(block)
  for (const { parent } of blocks) full.add(parent)
  return full
}

/** Undefined: nothing is lost with it, or what was tried says itself that it went well. */
function tierOf(facts: FileFacts, handler: Block, outbound: OutboundCalls): 'strong' | 'review' | undefined {
  const { calls, assignments, exits } = contentsOf(facts, handler.of ?? -1)
  const tellsSuccess =
    assignments.some(({ value, operator }) => operator === '+=' || (value.kind === 'boolean' && value.value)) ||
    exits.some(({ kind, value }) => kind === 'return' && value?.kind === 'boolean')
  const of = symbolOf(facts, handler.parent)
  if (tellsSuccess || isTentative(of) || OF_CACHE.test(of)) return undefined
  if (calls.some(matters)) return 'strong'
  return calls.some((call) => outbound.at({ file: facts.file, call }) !== undefined) ? 'review' : undefined
}

/** QL17. `cache.get`, `self.page_cache.set_json`, `await write_cache(…)`, `cache_page(…)`. */
const OF_CACHE =
  /(?:^|\.)\w*cache\w*\.(?:get|set|mget|mset|setex|put|add|fetch|load|store|read|write|warm)\w*$|(?:^|\.)_*(?:get|set|read|write|load|store|save|put|fetch|warm)(?:_\w+)*_?cached?(?:_\w+)?$|(?:^|\.)_*(?:get|set|read|write|load|store|save|put|fetch|warm)\w*Cached?$|(?:^|\.)_*cache_(?!delete|del|clear|invalid|evict|remove)\w+$/i

function matters({ callee, use, isNew }: Call): boolean {
  if (TIDYING.test(callee.text) || ASKING.test(callee.text) || OF_CACHE.test(callee.text)) return false
  return use === 'awaited' || (!isNew && ACTING.test(callee.text))
}

/** ER15. */
function* leavingFinally(facts: FileFacts): Iterable<Discovery> {
  const { file, blocks, exits } = facts
  for (const { kind, block, line, endLine } of exits) {
    const { kind: where, of = -1 } = blocks[block] ?? {}
    if (kind !== 'return' || where !== 'finally') continue
    // Where a handler takes every error first, none is under way.
    if (blocks.some((each) => each.kind === 'handler' && each.of === of && catchesAny(each))) continue
    yield {
      tier: 'strong',
      symbol: symbolOf(facts, block),
      cause: `finally that returns in ${file}`,
      symptom: 'Any error of what was tried vanishes here, and the caller is told that all went well.',
      rootCause: 'A return in a finally discards the error that is under way.',
      evidence: [seenAt(file, { line, endLine }, 'it returns from a finally')],
    }
  }
}

/** QK9. `() => false`, `() => null`. */
function saysNothing(facts: FileFacts, fn: number): boolean {
  const { calls, assignments, exits } = contentsOf(facts, fn)
  const [only] = exits
  return (
    calls.length + assignments.length === 0 &&
    exits.length === 1 &&
    only?.value !== undefined &&
    (only.value.kind === 'null' || (only.value.kind === 'boolean' && !only.value.value))
  )
}

/** Within a handler it only tidies up after what failed. */
function isMending({ blocks }: FileFacts, from: number): boolean {
  for (let at = from; at > 0 && blocks[at]?.kind !== 'function'; at = blocks[at]?.parent ?? -1)
    if (blocks[at]?.kind === 'handler' || blocks[at]?.kind === 'finally') return true
  return false
}

function isKept({ target, use }: Call): boolean {
  return target !== undefined || (use !== 'awaited' && use !== 'dropped')
}

/** QJ26. What looks after all of its failures itself has none left. */
function neverRejects(program: Program, { file }: FileFacts, call: Call): boolean {
  const meant = calledFunction(program, { file, call })
  if (meant === undefined || !isAsync(program, meant) || rejectsAt(program, meant) !== undefined) return false
  const own = program.file(meant.file)?.facts
  // That it waits with a handler shows that somebody thought of it.
  return (
    own !== undefined &&
    contentsOf(own, meant.block).calls.some(
      ({ use, block, callee }) =>
        use === 'awaited' && (isCaught(own, block, meant.block) || /(^|\.)catch$/.test(callee.text)),
    )
  )
}

/** `promise.catch(() => {})`. */
function* silentCatches(program: Program, facts: FileFacts, full: ReadonlySet<number>): Iterable<Discovery> {
  for (const call of facts.calls) {
    const [handler] = call.args
    if (!/(^|\.)catch$/.test(call.callee.text) || call.args.length !== 1 || handler?.kind !== 'function') continue
    const block = facts.blocks[handler.block]
    const isEmpty = !full.has(handler.block)
    if (
      block === undefined ||
      !(isEmpty || saysNothing(facts, handler.block)) ||
      isExplained(facts, { ...block, line: call.line })
    )
      continue
    const before = facts.calls[call.on]
    // What has a `catch` is a promise: waiting for it is what `await` is elsewhere.
    if (before === undefined || !matters({ ...before, use: 'awaited' }) || neverRejects(program, facts, before))
      continue
    if (isEmpty) yield discovery(facts, block, 'strong')
    // What it answers instead may be looked at.
    else if (ACTING.test(before.callee.text) && !isMending(facts, call.block))
      yield discovery(facts, block, isKept(call) ? 'review' : 'strong')
  }
}

function discovery(facts: FileFacts, block: Block, tier: 'strong' | 'review'): Discovery {
  const symbol = symbolOf(facts, block.parent)
  const loc = { file: facts.file, line: block.line, endLine: block.endLine }
  return {
    tier,
    evidence: [{ provenance: 'static', loc, what: 'a handler with nothing in it, and nothing that says why' }],
    symbol,
    cause: `empty handlers of ${facts.file}`,
    symptom: `A failure in ${symbol === '' ? 'this module' : symbol} is taken for success.`,
    rootCause: 'The handler of the error is empty.',
  }
}
