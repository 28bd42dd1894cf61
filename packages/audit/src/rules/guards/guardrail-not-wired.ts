// Guards that exist and stand in nobody's way: a breaker, a limiter, a retry that is created or written, exported, and used by no source of the repository. Tests do not
// count: they prove that it works, not that it is there.
//   GD1. A guard is found only where no file imports it, its own file does not use it, and no index hands it on to users that are not seen. What is created is strong;
//        what is only written may be meant for later, and is for review.

import type { Assignment, Call } from '../../facts/facts.ts'
import { type IndexedFile, programOf } from '../../program/index.ts'
import type { Repository } from '../../repository/repository.ts'
import { GUARANTEES } from '../guarantees.ts'
import { isByHand } from '../places.ts'
import { seenAt } from '../queries.ts'
import type { Discovery, Rule } from '../rule.ts'
import { isUnused } from './usage.ts'

const CREATES =
  /(?:^|\.)(?:\w*CircuitBreaker|Breaker|\w*RateLimiter|Limiter|rateLimit|rateLimiter|slowDown|\w*Bulkhead|\w*RetryPolicy|RetryHandler|\w*Throttler|\w*TimeoutPolicy|createRateLimiter|createCircuitBreaker|createRetry\w*)$/
const ABOUT = /retr|timeout|backoff|breaker|limit|bulkhead|idempotency/i
const WRITTEN =
  /^(?:with_?(?:retry|retries|timeout|backoff|circuit_?breaker|rate_?limit|idempotency)|retry_?with_?\w*|\w*circuit_?breaker|\w*rate_?limit(?:er|ing)?(?:_?middleware)?|\w*bulkhead|\w*idempotency_?(?:guard|middleware)|\w*retry_?policy|\w*timeout_?middleware)$/i
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
        if (
          isPublic &&
          ABOUT.test(name) &&
          WRITTEN.test(name) &&
          (fn === undefined || fn.decorators.length === 0) &&
          isUnused(repository, path, name)
        )
          yield written(path, name, line)
      }
    }
  },
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
    rootCause: `${name} is exported and imported by no file.`,
  }
}
