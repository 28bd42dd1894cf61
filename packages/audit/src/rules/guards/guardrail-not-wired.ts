// Guards that exist and stand in nobody's way: a breaker, a limiter, a retry that is created or written, exported, and used by no source of the repository. Tests do not
// count: they prove that it works, not that it is there.
//   GD1. A guard is found only where no file imports it, its own file does not use it, and no index hands it on to users that are not seen. What is created is strong;
//        what is only written may be meant for later, and is for review.
//   QW8. So is a middleware that refuses, a method that wraps what it is given in a guard, and the one object that a module makes and exports, where none of
//        them is used: all of these for review.

import type { Assignment, Block, Call, FileFacts, Value } from '../../facts/facts.ts'
import { type IndexedFile, type Program, programOf } from '../../program/index.ts'
import type { Repository } from '../../repository/repository.ts'
import { GUARANTEES } from '../guarantees.ts'
import { isByHand } from '../places.ts'
import { seenAt } from '../queries.ts'
import type { Discovery, Rule } from '../rule.ts'
import { isLoaded } from './reach.ts'
import { isUnused } from './usage.ts'

const CREATES =
  /(?:^|\.)(?:\w*CircuitBreaker|Breaker|\w*RateLimiter|Limiter|rateLimit|rateLimiter|slowDown|\w*Bulkhead|\w*RetryPolicy|RetryHandler|\w*Throttler|\w*TimeoutPolicy|createRateLimiter|createCircuitBreaker|createRetry\w*)$/
const ABOUT = /retr|timeout|backoff|breaker|limit|bulkhead|idempotency/i
const WRITTEN =
  /^(?:with_?(?:retry|retries|timeout|backoff|circuit_?breaker|rate_?limit|idempotency)|retry_?with_?\w*|\w*circuit_?breaker|\w*rate_?limit(?:er|ing)?(?:_?middleware)?|\w*bulkhead|\w*idempotency_?(?:guard|middleware)|\w*retry_?policy|\w*timeout_?middleware)$/i
/** Before routes: what refuses. */
const REFUSES =
  /(?:Auth(?:entication|orization)?|JWT\w*|Jwt\w*|Compliance|Security|Csrf|CSRF|Permissions?|IPFilter|IpFilter)Middleware$/
const ONE = /^(?:CircuitBreaker|RateLimit(?:er)?|Retry|Bulkhead|Timeout)(?:Manager|Handler|Service|Policy|Executor)$/
const WRAPS = /^_?(?:execute_?|run_?|call_?)?with_?(?:circuit_?breaker|retry|retries|backoff|timeout|rate_?limit)$/i
/** What is given to such a method to be run. */
const WORK =
  /^(?:f|fn|func|function|operation|op|callback|cb|work|task|action|coro\w*|call|callable|request|handler|promise|execute)$/i
/** Shows what a guard is like. */
const SHOWN = /(?:^|\/)(?:examples?|stories)\//

export const guardrailNotWired: Rule = {
  meta: {
    id: 'guardrail-not-wired',
    category: 'guards',
    severity: 'medium',
    title: 'A guard that nobody uses',
    why: 'It is in the repository, in reviews and in documents, so everybody believes that calls are guarded. None goes through it.',
    remedies: [
      {
        priority: 'P1',
        text: 'Put it around the calls that it is for, or remove it; prove with a fault that it acts.',
        effort: 'S',
        guarantee: GUARANTEES.breaker,
      },
    ],
    sources: ['CWE-1164: irrelevant code', 'CWE-693: protection mechanism failure'],
  },
  *run(repository: Repository): Iterable<Discovery> {
    const program = programOf(repository.facts)
    for (const path of program.files) {
      const file = program.file(path)
      if (file === undefined || isByHand(path) || SHOWN.test(path)) continue
      for (const assignment of file.facts.assignments) {
        const call = createdGuard(file, assignment)
        if (call === undefined || isElsewhere(repository, path, assignment.target.text)) continue
        if (isUnused(repository, path, assignment.target.text)) yield created(path, assignment, call)
      }
      for (const [name, block] of [...file.functions, ...file.classes]) {
        const { line = 0, fn } = file.facts.blocks[block] ?? {}
        if (/^use[A-Z]/.test(name)) continue
        const isPublic = fn?.isExported ?? file.facts.exports.includes(name)
        const isGuard = (ABOUT.test(name) && WRITTEN.test(name)) || (fn === undefined && REFUSES.test(name))
        if (isPublic && isGuard && (fn === undefined || fn.decorators.length === 0) && isUnused(repository, path, name))
          yield written(path, name, line)
        else if (fn === undefined && ONE.test(name) && isMadeForNobody(repository, file, name))
          yield written(path, name, line)
      }
      yield* makersOfNobody(repository, program, file)
      for (const { name, line } of methodsOfNobody(program, file)) yield written(path, name, line)
    }
  },
}

/** QW8. The one that a module makes and exports, and that no source loads. */
function isMadeForNobody(repository: Repository, { facts }: IndexedFile, name: string): boolean {
  const made = facts.calls.filter(({ callee }) => callee.text === name)
  const isExported = facts.assignments.some(
    ({ target, value, block }) =>
      block === 0 &&
      value.kind === 'call' &&
      facts.calls[value.call] === made[0] &&
      (target.text === 'module.exports' || target.text === 'default'),
  )
  return made.length === 1 && isExported && facts.exports.length <= 1 && !isLoaded(repository, facts.file)
}

/** QW8. A method that wraps what it is given in a guard, and that nobody in the repository calls or hands on. */
function* methodsOfNobody(program: Program, { facts, methods }: IndexedFile): Iterable<Block> {
  for (const { block: owner } of facts.classes)
    for (const [name, block] of methods(owner)) {
      const at = facts.blocks[block]
      if (at === undefined || !WRAPS.test(name) || at.fn?.params.some((param) => WORK.test(param)) !== true) continue
      if (program.callsNamed(name).length === 0 && !isHandedOn(facts, name)) yield at
    }
}

function isHandedOn({ calls, assignments, exits }: FileFacts, name: string): boolean {
  const says = (value: Value | undefined): boolean => value?.kind === 'path' && value.path.text.endsWith(name)
  return (
    calls.some(({ args, callee }) => args.some(says) || callee.text.includes(`${name}.`)) ||
    assignments.some(({ value }) => says(value)) ||
    exits.some(({ value }) => says(value))
  )
}

/** QV12. Where guards are made when they are asked for, and nobody asks: none is ever made, and what looks them up finds none. */
function* makersOfNobody(repository: Repository, program: Program, file: IndexedFile): Iterable<Discovery> {
  const { facts } = file
  for (const [owner, block] of file.classes)
    for (const [name, at] of file.methods(block)) {
      const { line = 0, fn } = facts.blocks[at] ?? {}
      const made = facts.calls.find(
        (call) => call.isNew && CREATES.test(call.callee.text) && file.functionOf(call.block) === at,
      )
      if (made === undefined || fn?.kind !== 'method' || fn.decorators.length > 0 || isHandedOn(facts, name)) continue
      if (isAskedFor(program, file, name, new Set()) || !isLoaded(repository, facts.file)) continue
      yield {
        tier: 'strong',
        evidence: [
          seenAt(
            facts.file,
            headOf(facts, block),
            `its guards are made only by ${name} in line ${line}, which nobody calls`,
          ),
        ],
        symbol: `${owner}.${name}`,
        symptom: `No ${made.callee.text} is ever made: nothing that ${owner} is asked about is guarded.`,
        rootCause: `${owner}.${name} makes each ${made.callee.text}, and no source calls it.`,
      }
    }
}

function headOf({ blocks }: FileFacts, block: number): Pick<Block, 'line' | 'endLine'> {
  const line = blocks[block]?.line ?? 1
  return { line, endLine: line }
}

/** Called from anywhere, if not only by methods beside it that nobody calls either. */
function isAskedFor(program: Program, file: IndexedFile, name: string, seen: Set<string>): boolean {
  if (seen.has(name)) return false
  seen.add(name)
  return program.callsNamed(name).some(({ file: path, call }) => {
    const { kind, fn, name: outer } = file.facts.blocks[file.functionOf(call.block)] ?? {}
    const isBeside = path === file.facts.file && call.callee.isOwn && kind === 'function' && fn?.kind === 'method'
    return !isBeside || isHandedOn(file.facts, outer ?? '') || isAskedFor(program, file, outer ?? '', seen)
  })
}

/** Another file has one of the same name: this one was left behind when it moved. */
function isElsewhere({ facts }: Repository, path: string, name: string): boolean {
  for (const [other, { exports, assignments }] of facts)
    if (
      other !== path &&
      exports.includes(name) &&
      assignments.some(({ target, block }) => block === 0 && target.text === name)
    )
      return true
  return false
}

function createdGuard(file: IndexedFile, { target, value, isDeclaration, block }: Assignment): Call | undefined {
  if (
    !isDeclaration ||
    block !== 0 ||
    target.isOwn ||
    target.root !== 'module' ||
    value.kind !== 'call' ||
    target.text === 'default'
  )
    return undefined
  const call = file.facts.calls[value.call]
  return call !== undefined && CREATES.test(call.callee.text) ? call : undefined
}

function created(path: string, assignment: Assignment, { callee }: Call): Discovery {
  const name = assignment.target.text
  return {
    tier: 'strong',
    evidence: [seenAt(path, assignment, `${name} is created, and used by no source`)],
    symbol: name,
    symptom: `Nothing goes through ${name}: what it should guard fails and is hammered as if it were not there.`,
    rootCause: `${name} (${callee.text}) is imported by no file and not used in its own.`,
  }
}

function written(path: string, name: string, line: number): Discovery {
  return {
    tier: 'review',
    severity: 'low',
    evidence: [seenAt(path, { line, endLine: line }, `${name} is written, and used by no source`)],
    cause: `guards that nobody uses in ${path}`,
    symbol: name,
    symptom: `Nothing is guarded by ${name}.`,
    rootCause: `${name} is used by no source of the repository.`,
  }
}
