// Guards that stop nothing, because what they throw is caught by the same function and only logged.
//   ER6. Found only where the throw stands behind a test, in the `try` of a handler for any error that does nothing but log, and the function is one that
//        checks: by its name, or because start-up calls it. A handler that answers, sets, or throws on is control flow, and silent.
//   QL12. The guards may be functions that are called in the `try`: what they refuse with is caught by its own name and dropped, and the function goes on to more.

import type { Call, Exit, FileFacts, Place } from '../../facts/facts.ts'
import { type IndexedFile, type Program, programOf } from '../../program/index.ts'
import type { Repository } from '../../repository/repository.ts'
import { contentsOf } from '../contents.ts'
import { isPage } from '../places.ts'
import { catchesAny, handlersOf } from '../promises/rejections.ts'
import { lastName, seenAt, symbolOf } from '../queries.ts'
import type { Discovery, Rule } from '../rule.ts'
import { countedOut } from './counted-out.ts'
import { freshLocks } from './fresh-locks.ts'
import { type Handled, handlersIn, onlyLogs } from './handlers.ts'

const CHECKING =
  /(^|[._])_*(check|verify|validate|ensure|assert|require|guard|enforce|authorize|authenticate|confirm)(_|[A-Z]|$)/

export const guardCannotFire: Rule = {
  meta: {
    id: 'guard-cannot-fire',
    category: 'guards',
    severity: 'high',
    title: 'A guard that can never stop anything',
    why: 'It throws where it should, and the same function catches that and goes on. Everybody reads the guard and believes in it.',
    remedies: [
      {
        priority: 'P1',
        text: 'Move the test out of the try, or let the handler throw on what the guard threw.',
        effort: 'XS',
      },
    ],
    sources: ['CWE-390: detection of error condition without action', 'CWE-754: improper check for unusual conditions'],
  },
  *run(repository: Repository): Iterable<Discovery> {
    const program = programOf(repository.facts)
    for (const facts of repository.facts.values()) {
      const file = program.file(facts.file)
      if (file === undefined || isPage(facts)) continue
      yield* ofLoops(facts)
      yield* ofLocks(facts)
      for (const handled of handlersIn(facts)) {
        const thrown = guardIn(file, handled)
        if (thrown !== undefined) yield discovery(facts, handled, thrown)
        const called = calledGuard(program, file, handled)
        if (called !== undefined) yield discovery(facts, handled, called)
      }
    }
  },
}

function* ofLocks(facts: FileFacts): Iterable<Discovery> {
  for (const block of freshLocks(facts)) {
    const symbol = symbolOf(facts, block.parent)
    yield {
      tier: 'strong',
      symbol,
      symptom: 'What should run alone runs as often at a time as it is called.',
      rootCause: 'The lock is made where it is taken: everybody who comes has one of their own.',
      evidence: [seenAt(facts.file, { line: block.line, endLine: block.line }, 'made and taken in one')],
    }
  }
}

function* ofLoops(facts: FileFacts): Iterable<Discovery> {
  for (const { branch, block, count, most } of countedOut(facts)) {
    const symbol = symbolOf(facts, block)
    yield {
      tier: 'strong',
      symbol,
      symptom: `When ${symbol === '' ? 'the loop' : symbol} has used up its attempts it ends as if all were well: nobody is told.`,
      rootCause: `${count} is below ${most} wherever the loop runs, so the test for the last attempt never holds.`,
      evidence: [seenAt(facts.file, { line: branch.line, endLine: branch.line }, 'can not hold inside of the loop')],
    }
  }
}

/** ER6. */
function guardIn(file: IndexedFile, handled: Handled): Exit | undefined {
  const { facts, functionOf } = file
  const fn = functionOf(handled.index)
  if (!catchesAny(handled.block) || !onlyLogs(facts, handled) || handled.contents.exits.length > 0) return undefined
  // A handler before it that throws on may be the guard's own.
  if (handlersOf(facts, handled.tried).some((each) => each !== handled.index && throws(facts, each))) return undefined
  if (fn === -1 || !CHECKING.test(facts.blocks[fn]?.name ?? '') || answers(facts, fn)) return undefined
  return contentsOf(facts, handled.tried).exits.find(
    ({ kind, block, value }) => kind === 'throw' && value?.kind === 'call' && isBehindTest(facts, block, handled.tried),
  )
}

const REFUSING =
  /(?:^|\.)(?:HTTPException|PermissionDenied|NotAuthenticated|AuthenticationFailed|Unauthorized|Forbidden|\w*(?:Unauthorized|Forbidden|Auth\w*|Permission\w*)(?:Error|Exception))$/

/** QL12. */
function calledGuard(program: Program, { facts, functionOf }: IndexedFile, handled: Handled): Call | undefined {
  const { block, contents, tried } = handled
  if (!REFUSING.test(block.name) || contents.exits.length > 0 || !onlyLogs(facts, handled)) return undefined
  const fn = functionOf(handled.index)
  const last = facts.blocks[handled.index]?.endLine ?? 0
  const goesOn = contentsOf(facts, fn).calls.some(({ line }) => line > last)
  if (fn === -1 || !goesOn) return undefined
  return contentsOf(facts, tried).calls.find((call) => {
    const target = CHECKING.test(lastName(call.callee)) ? program.target({ file: facts.file, call }) : undefined
    const own = target === undefined ? undefined : program.file(target.file)?.facts
    return (
      own !== undefined &&
      contentsOf(own, target?.block ?? -1).exits.some(
        ({ kind, value }) =>
          kind === 'throw' &&
          value?.kind === 'call' &&
          lastName((own.calls[value.call] as Call).callee) === block.name.slice(block.name.lastIndexOf('.') + 1),
      )
    )
  })
}

function throws(facts: FileFacts, handler: number): boolean {
  return contentsOf(facts, handler).exits.some(({ kind }) => kind === 'throw')
}

/** One whose answer tells what it found stops by that. */
function answers(facts: FileFacts, fn: number): boolean {
  return contentsOf(facts, fn).exits.some(
    ({ kind, value }) => kind === 'return' && value !== undefined && value.kind !== 'null',
  )
}

/** Directly in the `try`, behind a test of its own; one in a handler or a `try` within is caught there first. */
function isBehindTest({ blocks }: FileFacts, from: number, tried: number): boolean {
  let isTested = false
  for (let at = from; at > 0 && at !== tried; at = blocks[at]?.parent ?? -1) {
    const kind = blocks[at]?.kind
    if (kind === 'try' || kind === 'handler' || kind === 'loop') return false
    isTested ||= kind === 'branch' || kind === 'otherwise'
  }
  return isTested
}

function discovery(facts: FileFacts, { index, block }: Handled, thrown: Pick<Place, 'line' | 'endLine'>): Discovery {
  const symbol = symbolOf(facts, index)
  return {
    tier: 'strong',
    symbol,
    symptom: `${symbol} never stops anything: what it forbids goes on.`,
    rootCause: `What ${symbol} throws is caught by its own handler, which only logs.`,
    evidence: [
      seenAt(facts.file, { line: block.line, endLine: block.line }, 'catches what the guard throws, and only logs'),
      seenAt(facts.file, { line: thrown.line, endLine: thrown.endLine }, 'the guard'),
    ],
  }
}
