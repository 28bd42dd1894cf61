// Waiting without a bound while a lock is held: for a queue, an event, a semaphore or a future of the process, or for another service. With a lock held it is
// certain that others wait as well.
//   DN9. A worker that waits for its next job, outside of any lock, does what it is for.

import type { Call, Value } from '../../facts/facts.ts'
import { type IndexedFile, programOf } from '../../program/index.ts'
import type { Repository } from '../../repository/repository.ts'
import { isBounded } from '../../system/bounded.ts'
import { outboundOf } from '../../system/outbound.ts'
import { GUARANTEES } from '../guarantees.ts'
import { lastName, seenAt, symbolOf } from '../queries.ts'
import type { Discovery, Rule } from '../rule.ts'
import { BOUNDED_BY_MINUTES, isByHandFile } from './surroundings.ts'

export const unboundedWait: Rule = {
  meta: {
    id: 'unbounded-wait',
    category: 'deadlines and retries',
    severity: 'high',
    title: 'A wait without end, while a lock is held',
    why: 'Whoever waits without a bound for something that does not come waits for ever; holding a lock, everybody else who needs the lock waits too, even those who could give back what is waited for.',
    remedies: [
      {
        priority: 'P1',
        text: 'Wait outside of the lock, and with a timeout (asyncio.wait_for, acquire(timeout=…), result(timeout=…)); answer "busy" when it ends.',
        effort: 'S',
        guarantee: GUARANTEES.bulkhead,
      },
    ],
    sources: [
      'CWE-667: improper locking',
      'CWE-833: deadlock',
      'https://docs.python.org/3/library/asyncio-queue.html#asyncio.Queue.get',
    ],
  },
  *run(repository: Repository): Iterable<Discovery> {
    const program = programOf(repository.facts)
    const outbound = outboundOf(repository)
    for (const path of program.files) {
      const file = program.file(path)
      if (file === undefined || isByHandFile(repository, file.facts)) continue
      const locked = lockedBlocks(file)
      if (locked.size === 0) continue
      for (const call of file.facts.calls) {
        if (!isUnderLock(file, call, locked)) continue
        const sent = outbound.at({ file: path, call })
        const isEndless = sent?.deadline.state === 'absent' && !BOUNDED_BY_MINUTES.has(sent.library)
        const what = isEndless ? `an answer (${sent.library})` : waitedFor(file, call)
        if (what === undefined || isBounded(file, call)) continue
        yield discovery(file, call, what)
      }
    }
  },
}

const LOCK = /(?:^|[._])(?:\w*lock|\w*mutex)$/i
const EXCLUSIVE = /(?:^|[._])(?:\w*lock|\w*mutex)\.(?:runExclusive|withLock|acquire|use|run)$/i

/** Blocks that run with a lock held: of `with lock`, functions that are given to `mutex.runExclusive(…)`. */
function lockedBlocks({ facts: { blocks, calls } }: IndexedFile): ReadonlySet<number> {
  const found = new Set<number>()
  for (const [index, { kind, test }] of blocks.entries())
    if (kind === 'with' && test?.kind === 'path' && LOCK.test(test.path.text)) found.add(index)
  for (const { callee, args } of calls)
    if (EXCLUSIVE.test(callee.text)) for (const arg of args) if (arg.kind === 'function') found.add(arg.block)
  return found
}

function isUnderLock({ facts: { blocks } }: IndexedFile, { block }: Call, locked: ReadonlySet<number>): boolean {
  for (let at = block; at !== -1; at = blocks[at]?.parent ?? -1) {
    if (locked.has(at)) return true
    if (blocks[at]?.kind === 'function') return false
  }
  return false
}

const MAKERS: Readonly<Record<string, RegExp>> = {
  'a queue': /(?:^|\.)(?:Queue|LifoQueue|PriorityQueue|SimpleQueue|JoinableQueue)$/,
  'an event': /(?:^|\.)(?:Event|Barrier)$/,
  'a semaphore': /(?:^|\.)(?:Semaphore|BoundedSemaphore)$/,
}
const METHODS: Readonly<Record<string, RegExp>> = {
  'a queue': /^(?:get|join)$/,
  'an event': /^wait$/,
  'a semaphore': /^acquire$/,
}

/** Conditions are waited for under their own lock, which the wait gives back. */
function waitedFor(file: IndexedFile, call: Call): string | undefined {
  const { text, isOwn } = call.callee
  const dot = text.lastIndexOf('.')
  if (dot === -1 || call.args.length > 0 || call.named.length > 0 || call.hasSpread) return undefined
  const method = lastName(call.callee)
  if (method === 'result') return isForeignFuture(file, call, text.slice(0, dot)) ? 'a future' : undefined
  const receiver = text.slice(0, dot)
  const owner = isOwn ? file.classOf(call.block) : -1
  for (const [what, maker] of Object.entries(MAKERS)) {
    if (METHODS[what]?.test(method) !== true) continue
    const isMade = file.writes(owner, receiver).some(({ value }) => {
      const made = callOf(file, value)
      return made !== undefined && maker.test(made.callee.text)
    })
    if (isMade) return what
  }
  return undefined
}

function callOf(file: IndexedFile, value: Value): Call | undefined {
  return value.kind === 'call' ? file.facts.calls[value.call] : undefined
}

/** `asyncio.run_coroutine_threadsafe(…).result()`. */
function isForeignFuture(file: IndexedFile, call: Call, receiver: string): boolean {
  const on = file.facts.calls[call.on]
  const made =
    receiver === '()'
      ? on
      : file.facts.calls.find(
          ({ target, block }) => target?.text === receiver && file.functionOf(block) === file.functionOf(call.block),
        )
  return made !== undefined && /(?:^|\.)run_coroutine_threadsafe$/.test(made.callee.text)
}

function discovery({ facts }: IndexedFile, call: Call, what: string): Discovery {
  return {
    tier: 'strong',
    evidence: [seenAt(facts.file, call, `Waits for ${what} without a timeout, with a lock held.`)],
    symbol: symbolOf(facts, call.block),
    symptom:
      'When what is waited for does not come, everything that needs the lock stops until the process is restarted.',
    rootCause: `The wait for ${what} has no bound, and it happens inside of a lock.`,
  }
}
