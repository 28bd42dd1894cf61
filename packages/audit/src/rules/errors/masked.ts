// Handlers that make it worse: cleaning up that may fail itself and replaces the error, and a handler that takes a failure after the work for a failure of it.
//   ER8. A ROLLBACK is found only in a handler that needs the error afterwards, where nothing keeps the rollback's own failure from leaving it.
//   QV10. So is one whose handler sends or writes the event of a failure, where the try writes, and then waits for what records the success.
//   ER9. A scope is too broad only where the `try` of an effect also has what records its success, and the handler records a failure.

import type { Call, FileFacts } from '../../facts/facts.ts'
import type { Repository } from '../../repository/repository.ts'
import { outboundOf } from '../../system/outbound.ts'
import { rowUse } from '../concurrency/rows.ts'
import { contentsOf } from '../contents.ts'
import { isCaught } from '../promises/rejections.ts'
import { lastName, seenAt, symbolOf } from '../queries.ts'
import type { Discovery, Rule } from '../rule.ts'
import { type Handled, handlersIn } from './handlers.ts'

export const rollbackMasksError: Rule = {
  meta: {
    id: 'rollback-masks-error',
    category: 'error handling',
    severity: 'low',
    title: 'A rollback that fails replaces the error that it follows',
    why: 'When the connection is what broke, ROLLBACK fails too. Its error leaves the handler instead of the first, so what decides about a retry by the first error never sees it, and the log names the wrong cause.',
    remedies: [
      {
        priority: 'P2',
        text: 'Catch the failure of the rollback by itself, log it, and go on with the first error.',
        effort: 'XS',
      },
    ],
    sources: ['https://node-postgres.com/features/transactions'],
  },
  *run(repository: Repository): Iterable<Discovery> {
    for (const facts of repository.facts.values()) {
      if (facts.language === 'python') continue // an exception there keeps the one before it
      for (const handled of handlersIn(facts)) {
        const rollback = handled.contents.calls.find(
          (call) => isRollback(call) && !isCaught(facts, call.block, handled.index),
        )
        if (rollback === undefined || !needsError(handled, rollback)) continue
        yield {
          tier: 'strong',
          symbol: symbolOf(facts, handled.index),
          cause: `rollbacks that mask errors in ${facts.file}`,
          symptom: 'After a lost connection callers and logs see the failure of the rollback, not the cause.',
          rootCause: 'ROLLBACK is awaited in the handler with nothing that catches its own failure.',
          evidence: [seenAt(facts.file, rollback, 'may fail itself, and then replaces the error')],
        }
      }
    }
  },
}

/** `query('ROLLBACK')`, awaited. */
function isRollback({ callee, args: [first], use }: Call): boolean {
  return (
    use === 'awaited' &&
    /^(query|execute)$/.test(lastName(callee)) &&
    first?.kind === 'string' &&
    /^\s*rollback\s*;?\s*$/i.test(first.value)
  )
}

/** ER8: the error is thrown or read after it. */
function needsError({ block, contents }: Handled, rollback: Call): boolean {
  const name = block.binds ?? ''
  const throwsIt = contents.exits.some(
    ({ kind, line, value }) =>
      kind === 'throw' && line >= rollback.line && JSON.stringify(value ?? null).includes(`"${name}`),
  )
  return name !== '' && throwsIt
}

const SUCCEEDED = /(^|_)(success|succeeded|complete|completed|succeed)$|(Success|Succeeded|Complete|Completed)$/
const FAILED = /(^|_)(fail|failed|failure|error)$|(Fail|Failed|Failure)$/

export const catchScopeTooBroad: Rule = {
  meta: {
    id: 'catch-scope-too-broad',
    category: 'error handling',
    severity: 'medium',
    title: 'A failure after the work is taken for a failure of the work',
    why: 'The effect happened; then recording it failed, and the same handler marks it as failed. What looks at the mark does the work again, or undoes what nobody asked to undo.',
    remedies: [
      {
        priority: 'P2',
        text: 'End the try right after the effect; what records success stands behind it, with a handler of its own.',
        effort: 'S',
      },
    ],
    sources: ['CWE-396: declaration of catch for generic exception'],
  },
  *run(repository: Repository): Iterable<Discovery> {
    const outbound = outboundOf(repository)
    for (const facts of repository.facts.values())
      for (const handled of handlersIn(facts)) {
        const tried = contentsOf(facts, handled.tried).calls
        const effect = tried.find((call) => outbound.at({ file: facts.file, call })?.effect === 'write')
        const success = tried.find((call) => effect !== undefined && call.line > effect.line && isWork(call, SUCCEEDED))
        const failure = handled.contents.calls.find((call) => isWork(call, FAILED))
        const [recorded, denied] =
          effect === undefined || success === undefined || failure === undefined
            ? toldBoth(facts, tried, handled)
            : [success, failure]
        if (recorded === undefined || denied === undefined) continue
        if (isCaught(facts, recorded.block, handled.tried)) continue
        yield broad(facts, handled, recorded, denied)
      }
  },
}

/** Work of its own that is waited for, not a log or a counter. */
function isWork({ callee, use }: Call, name: RegExp): boolean {
  return use === 'awaited' && callee.isOwn && name.test(lastName(callee))
}

const TELLS_SUCCESS =
  /(?:^|[._:-])(?:success(?:ful)?|succeeded|completed|processed|reserved|confirmed|charged|paid)$|[a-z](?:Success|Succeeded|Completed|Processed|Reserved|Confirmed|Charged|Paid)$/
const TELLS_FAILURE =
  /(?:^|[._:-])(?:\w+_)?(?:fail(?:ed|ure)|rejected|declined)$|[a-z](?:Failed|Failure|Rejected|Declined)$/
const SENDS = /^(?:publish|emit|send\w*|produce|sendToQueue|insertOne|create|save|push|dispatch)$/
const SUCCESS_HANDLED =
  /^(?:handle|on|mark|process)?_?success\w*$|^(?:mark|on|handle)\w*(?:Success|Succeeded|Completed|Paid)$/i

/** QV10. The event that says that it went well is written or sent behind a write, and the one that says the contrary by the handler of both. */
function toldBoth(
  facts: FileFacts,
  tried: readonly Call[],
  { contents }: Handled,
): readonly [Call | undefined, Call | undefined] {
  const denied = contents.calls.find((call) => SENDS.test(lastName(call.callee)) && says(call, TELLS_FAILURE))
  if (denied === undefined) return [undefined, undefined]
  const effect = tried.find(
    (call) => call.use === 'awaited' && (writesRow(facts, call) || /\.fire$/.test(call.callee.text)),
  )
  const recorded = tried.find(
    (call) =>
      effect !== undefined &&
      call.line > effect.line &&
      call.use === 'awaited' &&
      (SUCCESS_HANDLED.test(lastName(call.callee)) || (writesRow(facts, call) && says(call, TELLS_SUCCESS))),
  )
  return [recorded, denied]
}

const OF_MONGO = /^(?:insert|update|replace)(?:One|Many)$|^find(?:One|ById)AndUpdate$/

function writesRow(facts: FileFacts, call: Call): boolean {
  if (OF_MONGO.test(lastName(call.callee))) return true
  return /^(?:create|update|upsert)$/.test(rowUse(facts, facts.calls.indexOf(call))?.op ?? '')
}

/** In a text that it is given, at its top or in an object. */
function says({ args }: Call, pattern: RegExp): boolean {
  return args.some(
    (arg) =>
      (arg.kind === 'string' && pattern.test(arg.value)) ||
      (arg.kind === 'object' && arg.entries.some(([, value]) => value.kind === 'string' && pattern.test(value.value))),
  )
}

function broad(facts: FileFacts, { index, block }: Handled, success: Call, failure: Call): Discovery {
  return {
    tier: 'strong',
    symbol: symbolOf(facts, index),
    symptom: 'Work that was done is marked as failed, and done again or undone.',
    rootCause: `The handler also catches what ${success.callee.text} throws, and calls ${failure.callee.text} for it.`,
    evidence: [
      seenAt(facts.file, { line: block.line, endLine: block.endLine }, 'marks the work as failed'),
      seenAt(facts.file, success, 'may fail after the work was done'),
    ],
  }
}
