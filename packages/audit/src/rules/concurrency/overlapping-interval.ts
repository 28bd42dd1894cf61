// Timers that start the next round while the last one still runs: setInterval with an async function, and cron every minute or oftener, where nothing keeps
// rounds apart.
//   CU9. A function that tests a flag which it sets itself, holds a lock, or waits for nothing is silent; so is what runs in a browser, and Python's schedulers,
//        which start no second round by themselves.
//   QV8. A round whose calls all have deadlines that end before the next one begins, as far as both are seen, is silent; what it does for each of many counts as without.
//   CU10. Strong where a round leaves the process; where what it waits for is not seen it is for review.

import type { Call, Value } from '../../facts/facts.ts'
import { type BlockRef, type IndexedFile, type Program, programOf } from '../../program/index.ts'
import type { Repository } from '../../repository/repository.ts'
import { type Entry, entriesOf } from '../../system/entries.ts'
import { outboundOf } from '../../system/outbound.ts'
import { isPage } from '../places.ts'
import { constantOf, lastName, optionOf, seenAt, symbolOf } from '../queries.ts'
import type { Discovery, Rule } from '../rule.ts'
import { bodyOf, holds } from './flow.ts'
import { isGuarded } from './guarded.ts'
import { runsAlone } from './places.ts'
import { callsWithin } from './reach.ts'

const DEPTH_MAX = 2
/** A round that takes longer than this has another fault. */
const RARE_MS = 3_600_000

export const overlappingInterval: Rule = {
  meta: {
    id: 'overlapping-interval',
    category: 'concurrency',
    severity: 'medium',
    title: 'A timer starts the next round while the last one still runs',
    why: 'When what a round waits for gets slow, rounds pile up: the same rows are worked on twice, connections run out, and the slow system gets more load the slower it is.',
    remedies: [
      {
        priority: 'P2',
        text: 'Set the timer again when a round has ended, or leave a round out while one runs.',
        effort: 'XS',
      },
    ],
    sources: ['https://nodejs.org/api/timers.html', 'CWE-362'],
  },
  *run(repository: Repository): Iterable<Discovery> {
    const program = programOf(repository.facts)
    for (const entry of entriesOf(repository)) {
      const file = program.file(entry.site.file)
      if (file === undefined || entry.handler === undefined || !repeats(entry, file) || runsAlone(entry.site.file))
        continue
      if (isWrapped(program, entry)) continue
      const round = new Round(repository, program, entry.handler)
      if (!round.isAsync || round.isKeptApart || round.endsWithin(everyMs(program, entry))) continue
      const { site } = entry
      yield {
        tier: round.asks ? 'strong' : 'review',
        symbol: symbolOf(file.facts, site.call.block),
        cause: round.asks ? `timers of ${site.file}` : 'timers that wait for something',
        symptom: 'When a round takes longer than the interval a second one runs beside it, then a third.',
        rootCause: `The ${entry.kind} starts an async function and does not wait for it, and nothing in it notices that one is running.`,
        evidence: [seenAt(site.file, site.call, 'started here, again and again')],
      }
    }
  },
}

function repeats({ kind, framework, name, site: { call } }: Entry, { facts }: IndexedFile): boolean {
  if (facts.language === 'python' || isPage(facts)) return false
  if (kind === 'interval') {
    const every = call.args[1]
    return lastName(call.callee) === 'setInterval' && !(every?.kind === 'number' && every.value >= RARE_MS)
  }
  const waits = ['noOverlap', 'waitForCompletion', 'protect'].some((option) => optionOf(call, option) !== undefined)
  return (
    kind === 'schedule' && !waits && /^(?:node-)?cron$|nest/.test(framework) && (isOften(name) || isNamedOften(call))
  )
}

/** Undefined: not known. */
function everyMs(program: Program, { kind, site: { file, call } }: Entry): number | undefined {
  const given = kind === 'interval' ? call.args[1] : undefined
  const value = given === undefined ? undefined : constantOf(program, file, given)
  return value?.kind === 'number' ? value.value : undefined
}

/** `const poll = single(async () => …)`: whoever wraps a function that a timer calls does so to keep its rounds apart. */
function isWrapped(program: Program, { site: { file, call } }: Entry): boolean {
  const given = call.args[0]
  return given?.kind === 'path' && constantOf(program, file, given).kind === 'call'
}

/** `* * * * *` and with seconds. */
function isOften(expression: string): boolean {
  const fields = expression.trim().split(/\s+/)
  if (fields.length === 6) return !/^\d+$/.test(fields[0] ?? '')
  return fields.length === 5 && fields[0] === '*' && fields[1] === '*'
}

/** `CronExpression.EVERY_10_SECONDS` of Nest. */
function isNamedOften({ args: [given] }: Call): boolean {
  return given?.kind === 'path' && /^CronExpression\.EVERY_(?:SECOND|\d+_SECONDS|MINUTE)$/.test(given.path.text)
}

/** One round of a timer, with the functions of the repository that it calls. */
class Round {
  isAsync = false
  isKeptApart = false
  leaves = false
  /** What its calls may take at most, one after the other; undefined: none has a deadline of its own. */
  #boundMs: number | undefined
  readonly #seen = new Set<string>()

  constructor(repository: Repository, program: Program, handler: BlockRef) {
    this.#read(repository, program, handler, 0)
  }

  /** Something outside, with a deadline or without. */
  get asks(): boolean {
    return this.leaves || this.#boundMs !== undefined
  }

  /** QV8. */
  endsWithin(everyMs: number | undefined): boolean {
    return !this.leaves && this.#boundMs !== undefined && this.#boundMs < (everyMs ?? Number.POSITIVE_INFINITY)
  }

  #read(repository: Repository, program: Program, ref: BlockRef, depth: number, isRepeated = false): void {
    const file = program.file(ref.file)
    const key = `${ref.file} ${ref.block}`
    if (file === undefined || this.#seen.has(key) || depth > DEPTH_MAX) return
    this.#seen.add(key)
    if (marksItself(file, ref.block) || isGuarded(program, repository.files, file, ref.block, 2))
      this.isKeptApart = true
    const { calls } = file.facts
    for (const index of callsWithin(repository, ref)) {
      const call = calls[index]
      if (call === undefined) continue
      if (call.use === 'awaited') this.isAsync = true
      if (/^(?:clearInterval|clearTimeout)$/.test(call.callee.text)) this.isKeptApart ||= depth === 0
      const outbound = outboundOf(repository).at({ file: ref.file, call })
      const isMany = isRepeated || isInLoop(file, call.block, ref.block)
      if (outbound !== undefined && /^(?:awaited|returned|chained)$/.test(call.use)) {
        if (outbound.deadline.state !== 'present' || isMany) this.leaves = true
        else this.#boundMs = (this.#boundMs ?? 0) + (outbound.deadline.ms ?? 0)
      }
      const target = program.target({ file: ref.file, call })
      if (target !== undefined) this.#read(repository, program, target, depth + 1, isMany)
    }
  }
}

function isInLoop({ facts: { blocks } }: IndexedFile, block: number, fn: number): boolean {
  for (let at = block; at >= 0 && at !== fn; at = blocks[at]?.parent ?? -1) if (blocks[at]?.kind === 'loop') return true
  return false
}

/** It tests what it sets itself: `if (this.running) return; this.running = true`. */
function marksItself(file: IndexedFile, fn: number): boolean {
  const { blocks } = file.facts
  const body = bodyOf(file, fn)
  const own = new Set(body.assignments.filter(({ isDeclaration }) => isDeclaration).map(({ target }) => target.text))
  const set = new Set(
    body.assignments.flatMap(({ target }) =>
      !target.isOwn && own.has(target.text.split('.', 1)[0] as string) ? [] : [`${target.isOwn} ${target.text}`],
    ),
  )
  const isSet = (value: Value): boolean => value.kind === 'path' && set.has(`${value.path.isOwn} ${value.path.text}`)
  return body.branches.some((branch) => {
    const test = blocks[branch]?.test
    return test !== undefined && holds(file.facts, test, isSet)
  })
}
