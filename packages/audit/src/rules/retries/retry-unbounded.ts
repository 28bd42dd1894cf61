// Retries without an end, and retries without a pause. A loop counts as one that retries where success leaves it; workers that go on are not meant.
//   RG3. Unbounded: the loop, or the call of itself in a handler, has no limit in count or time. With a wait it may be meant (waiting for a dependency at
//        start): for review where the wait is always the same, silent where it grows.
//   RG4. Without a pause: bounded, what is tried leaves the process, and nothing between two attempts could wait.

import type { Call, FileFacts } from '../../facts/facts.ts'
import { type IndexedFile, type Program, programOf } from '../../program/index.ts'
import type { Repository } from '../../repository/repository.ts'
import { outboundOf } from '../../system/outbound.ts'
import { contentsOf } from '../contents.ts'
import { handlersIn, isLogging } from '../errors/handlers.ts'
import { GUARANTEES } from '../guarantees.ts'
import { isByHand, isPage } from '../places.ts'
import { mayHide, optionOf, seenAt, symbolOf } from '../queries.ts'
import type { Discovery, Rule } from '../rule.ts'
import { isAttempt, isWait, partsOf, waitOf } from './delays.ts'
import { type RetryLoop, retryLoops } from './loops.ts'
import { spinningLoops } from './spinning.ts'

export const retryUnbounded: Rule = {
  meta: {
    id: 'retry-unbounded',
    category: 'deadlines and retries',
    severity: 'high',
    title: 'Something is tried again without an end',
    why: 'While the other side is down the caller never gives up: requests pile up behind it, nobody hears of the failure, and without a pause a whole core and the other side are kept busy.',
    remedies: [
      {
        priority: 'P1',
        text: 'Limit attempts or time, wait longer each time with jitter, then fail.',
        effort: 'S',
        guarantee: GUARANTEES.retry,
      },
    ],
    sources: ['https://sre.google/sre-book/handling-overload/', 'CWE-835: loop with unreachable exit condition'],
  },
  *run(repository: Repository): Iterable<Discovery> {
    const program = programOf(repository.facts)
    for (const facts of repository.facts.values()) {
      const file = program.file(facts.file)
      if (file === undefined || isPage(facts)) continue
      for (const found of retryLoops(file)) {
        if (!found.isEndless || !leavesProcess(repository, facts, found.calls)) continue
        const wait = growthOf(file, found)
        if (wait !== 'grows') yield unbounded(facts, found.loop, wait === 'none' ? 'strong' : 'review')
      }
      yield* recursions(repository, program, file)
      for (const { line, isEndless, name } of decorated(facts)) if (isEndless) yield of(facts, line, name, 'strong')
    }
  },
}

export const retryNoBackoff: Rule = {
  meta: {
    id: 'retry-no-backoff',
    category: 'deadlines and retries',
    severity: 'medium',
    title: 'Attempts follow each other without a pause',
    why: 'All attempts are used up within the same outage, and a service that is overloaded is hit several times as hard.',
    remedies: [
      {
        priority: 'P1',
        text: 'Wait between attempts, longer each time, with jitter.',
        effort: 'XS',
        guarantee: GUARANTEES.retry,
      },
    ],
    sources: ['https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/'],
  },
  *run(repository: Repository): Iterable<Discovery> {
    const program = programOf(repository.facts)
    for (const facts of repository.facts.values()) {
      const file = program.file(facts.file)
      if (file === undefined || isPage(facts)) continue
      for (const found of retryLoops(file)) {
        if (found.isEndless || found.waits.length > 0 || mayWait(facts, found)) continue
        if (!leavesProcess(repository, facts, found.calls)) continue
        const { line } = facts.blocks[found.loop] ?? { line: 1 }
        yield pauseless(facts, line, symbolOf(facts, found.loop))
      }
      for (const { line, isPauseless, name } of decorated(facts)) if (isPauseless) yield pauseless(facts, line, name)
      if (isByHand(facts.file)) continue
      for (const { handler, loop } of spinningLoops(file, (calls) => leavesProcess(repository, facts, calls)))
        yield spins(facts, handler, loop)
    }
  },
}

function pauseless(facts: FileFacts, line: number, symbol: string): Discovery {
  return {
    tier: 'strong',
    symbol,
    symptom: 'An outage of a second uses up all attempts; an overloaded service gets several times the load.',
    rootCause: `${symbol === '' ? 'The module' : symbol} tries again at once.`,
    evidence: [seenAt(facts.file, { line, endLine: line }, 'tries again with nothing in between')],
  }
}

function spins(facts: FileFacts, handler: number, loop: number): Discovery {
  const { line } = facts.blocks[loop] ?? { line: 1 }
  const { line: at, endLine } = facts.blocks[handler] ?? { line, endLine: line }
  return {
    tier: 'strong',
    symbol: symbolOf(facts, loop),
    symptom: 'While what it asks is away it asks as fast as it can, and fills the log and a core with it.',
    rootCause: `The pause stands inside of the try: a failure skips it, is logged in line ${at}, and the loop goes round at once.`,
    evidence: [seenAt(facts.file, { line, endLine }, 'a failure begins the next round with nothing in between')],
  }
}

/** By itself, or in what it calls. */
function leavesProcess(repository: Repository, facts: FileFacts, calls: readonly Call[], isInner = false): boolean {
  const outbound = outboundOf(repository)
  if (calls.some((call) => outbound.at({ file: facts.file, call }) !== undefined)) return true
  if (isInner) return false
  const program = programOf(repository.facts)
  return calls.some((call) => {
    const meant = program.target({ file: facts.file, call })
    const of = meant === undefined ? undefined : program.file(meant.file)?.facts
    return (
      of !== undefined && meant !== undefined && leavesProcess(repository, of, contentsOf(of, meant.block).calls, true)
    )
  })
}

/** RG3. */
function growthOf(file: IndexedFile, { waits, loop, handler }: RetryLoop): 'none' | 'same' | 'grows' {
  const { facts } = file
  if (waits.length === 0)
    return contentsOf(facts, handler).calls.some((call) => !isLogging(facts, call)) ? 'grows' : 'none'
  const changed = new Set(contentsOf(facts, loop).assignments.map(({ target }) => target.text))
  const grows = waits.some((call) => {
    const value = waitOf(call)
    const parts = value === undefined ? [] : partsOf(file, -1, value)
    return parts.some(
      (part) => part.kind === 'call' || isAttempt(part) || (part.kind === 'path' && changed.has(part.path.text)),
    )
  })
  return grows ? 'grows' : 'same'
}

/** What is called besides may wait. */
function mayWait(facts: FileFacts, { loop, tried }: RetryLoop): boolean {
  const inside = new Set(contentsOf(facts, tried).calls)
  return contentsOf(facts, loop).calls.some(
    (call) => !inside.has(call) && !isLogging(facts, call) && call.use !== 'tested',
  )
}

interface Decorated {
  readonly line: number
  readonly name: string
  readonly isEndless: boolean
  readonly isPauseless: boolean
}

/** `@retry` of tenacity: without `stop` it never gives up, without `wait` it never waits. */
function* decorated({ blocks }: FileFacts): Iterable<Decorated> {
  for (const { name, fn } of blocks)
    for (const call of fn?.decorators ?? []) {
      if (
        !/^import:tenacity(#retry)?$/.test(call.callee.root) ||
        !/(^|\.)retry$/.test(call.callee.text) ||
        mayHide(call)
      )
        continue
      const says = (option: string): boolean => optionOf(call, option) !== undefined
      yield {
        line: call.line,
        name,
        isEndless: !says('stop') && !says('retry_error_callback'),
        isPauseless: !says('wait'),
      }
    }
}

function unbounded(facts: FileFacts, block: number, tier: 'strong' | 'review'): Discovery {
  const { line } = facts.blocks[block] ?? { line: 1 }
  return of(facts, line, symbolOf(facts, block), tier)
}

function of(facts: FileFacts, line: number, symbol: string, tier: 'strong' | 'review'): Discovery {
  return {
    tier,
    symbol,
    symptom: 'While the other side is down, its caller hangs for ever.',
    rootCause: `${symbol === '' ? 'The module' : symbol} goes round until it succeeds.`,
    evidence: [seenAt(facts.file, { line, endLine: line }, 'nothing but success ends it')],
  }
}

/** A function that calls itself in the handler of its own failure, with what it was given and without a test. */
function* recursions(repository: Repository, program: Program, file: IndexedFile): Iterable<Discovery> {
  const { facts, functionOf } = file
  for (const { index, contents, tried } of handlersIn(facts)) {
    const fn = functionOf(index)
    if (fn === -1) continue
    const again = contents.calls.find(
      (call) =>
        call.block === index &&
        (call.use === 'returned' || call.use === 'awaited') &&
        call.args.every(isSame(facts, fn)) &&
        program.target({ file: facts.file, call })?.block === fn &&
        program.target({ file: facts.file, call })?.file === facts.file,
    )
    if (again === undefined) continue
    const isLimited = contentsOf(facts, fn).blocks.some(
      (each) => facts.blocks[each]?.kind === 'branch' && each !== index && isBefore(facts, each, index),
    )
    if (isLimited || !leavesProcess(repository, facts, contentsOf(facts, tried).calls)) continue
    const waits = contents.calls.some(isWait)
    yield unbounded(facts, index, waits ? 'review' : 'strong')
  }
}

function isSame(facts: FileFacts, fn: number): (value: Call['args'][number]) => boolean {
  const params = facts.blocks[fn]?.fn?.params ?? []
  return (value) => value.kind === 'path' && params.includes(value.path.text)
}

/** A test in the handler itself, or anything that the function asks before, may limit it. */
function isBefore(facts: FileFacts, branch: number, handler: number): boolean {
  const line = facts.blocks[branch]?.line ?? 0
  return line <= (facts.blocks[handler]?.endLine ?? 0)
}
