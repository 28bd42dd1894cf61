// Waits that grow with the attempt and have no chance in them: everybody who failed together comes back together, again and again. And waits that were meant to
// grow and are a power of a number. Both are read where the wait is worked out: an assignment to a delay, an argument of a sleep, what a strategy returns.
// A multiple of the attempt counts only in a strategy of reconnecting: in a loop of a few attempts it does little harm. Pages are silent.
//   RG1. A wait is found only where it is worked out from the number of the attempt, in something that is a delay by its name or by what takes it; any chance in
//        its function or in those that call it keeps it silent.
//   RG2. A power whose base and exponent are numbers depends on no attempt, whatever the comment says.

import type { Call, FileFacts, Place, Value } from '../../facts/facts.ts'
import { type IndexedFile, type Program, programOf } from '../../program/index.ts'
import type { Repository } from '../../repository/repository.ts'
import { GUARANTEES } from '../guarantees.ts'
import { isByHand, isPage } from '../places.ts'
import { lastName, seenAt, symbolOf } from '../queries.ts'
import type { Discovery, Rule } from '../rule.ts'
import { exponentOf, hasChance, isAttempt, isMultiple, partsOf, SLEEP, waitOf } from './delays.ts'
import { toldWithoutChance } from './told-libraries.ts'

const DELAY = /delay|back_?off|wait|countdown|sleep|pause|retry_?(after|in|interval|time)|reconnect_?(interval|time)/i
/** Options that take a function of the attempt. */
const STRATEGY =
  /^(retryStrategy|reconnectStrategy|clusterRetryStrategy|retry_strategy|retryDelay|backoffStrategy|getDelay|retryDelayFn|reconnectDelay)$/

const COUNT = /attempt|retr|tries|times|count|fail|^[ikn]$/i

interface Worked extends Place {
  readonly value: Value
}

export const retryNoJitter: Rule = {
  meta: {
    id: 'retry-no-jitter',
    category: 'deadlines and retries',
    severity: 'low',
    title: 'Retries come back all at once: the wait has no jitter',
    why: 'What failed together waits equally long and comes back together. A service that was overloaded is hit by the same wave again, as high as the first.',
    remedies: [
      {
        priority: 'P2',
        text: 'Spread the wait: a random share of the exponential delay (full jitter).',
        effort: 'XS',
        guarantee: GUARANTEES.retry,
      },
    ],
    sources: ['https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/'],
  },
  *run(repository: Repository): Iterable<Discovery> {
    for (const { program, file, worked, fn, parts } of waits(repository)) {
      const { facts } = file
      const isStrategy = STRATEGY.test(facts.blocks[fn]?.name ?? '')
      const grows = parts.some((part) => isGrowing(facts, part) || (isStrategy && isMultiple(part)))
      if (!grows || hasChance(facts, fn, parts) || isSpread(program, file, fn)) continue
      yield unspread(facts, worked)
    }
    const program = programOf(repository.facts)
    for (const path of program.files) {
      const file = isByHand(path) ? undefined : program.file(path)
      if (file !== undefined) for (const at of toldWithoutChance(file)) yield unspread(file.facts, at)
    }
  },
}

function unspread(facts: FileFacts, { line, endLine, block }: Place): Discovery {
  return {
    tier: 'strong',
    symbol: symbolOf(facts, block),
    cause: `waits without jitter in ${facts.file.split('/', 1)[0]}`,
    symptom: 'After an outage all clients come back at the same moments.',
    rootCause: 'The wait depends on the number of the attempt only.',
    evidence: [seenAt(facts.file, { line, endLine }, 'grows with the attempt, the same for everybody')],
  }
}

export const retryConstantBackoff: Rule = {
  meta: {
    id: 'retry-constant-backoff',
    category: 'deadlines and retries',
    severity: 'low',
    title: 'A backoff that is meant to grow is a constant',
    why: 'Every attempt waits equally long: too long for the first, too short for an outage.',
    remedies: [{ priority: 'P2', text: 'Raise to the number of the attempt, with a cap and jitter.', effort: 'XS' }],
    sources: ['https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/'],
  },
  *run(repository: Repository): Iterable<Discovery> {
    for (const { file, worked, parts } of waits(repository)) {
      const { facts } = file
      const power = parts.find((part) => exponentOf(facts, part)?.kind === 'number')
      if (power?.kind !== 'operation' || power.left.kind !== 'number') continue
      if (parts.some((part) => isAttempt(part) || isGrowing(facts, part))) continue
      yield {
        tier: 'strong',
        symbol: symbolOf(facts, worked.block),
        symptom: 'The wait between attempts never grows.',
        rootCause: 'The delay is a power of two numbers; the attempt is not in it.',
        evidence: [
          seenAt(facts.file, { line: worked.line, endLine: worked.endLine }, 'a power without the attempt in it'),
        ],
      }
    }
  },
}

function isGrowing(facts: FileFacts, part: Value): boolean {
  const exponent = exponentOf(facts, part)
  return exponent !== undefined && leaves(exponent).some((leaf) => leaf.kind === 'path' && COUNT.test(leaf.path.text))
}

function leaves(value: Value): readonly Value[] {
  return value.kind === 'operation' ? [...leaves(value.left), ...leaves(value.right)] : [value]
}

interface Wait {
  readonly program: Program
  readonly file: IndexedFile
  readonly worked: Worked
  readonly fn: number
  readonly parts: readonly Value[]
}

/** RG1: where waits are worked out, each line once. */
function* waits(repository: Repository): Iterable<Wait> {
  const program = programOf(repository.facts)
  for (const facts of repository.facts.values()) {
    const file = program.file(facts.file)
    if (file === undefined || isByHand(facts.file) || isPage(facts) || !mentions(facts)) continue
    const lines = new Set<number>()
    for (const worked of workedOut(file)) {
      if (lines.has(worked.line)) continue
      lines.add(worked.line)
      const fn = file.functionOf(worked.block)
      // Only what stands here: where a name was worked out is a place of its own.
      const parts = partsOf(file, -1, worked.value)
      yield { program, file, worked, fn, parts }
    }
  }
}

/** Powers and products are few; most files have none. */
function mentions({ blocks, calls, assignments }: FileFacts): boolean {
  return (
    assignments.some(({ target }) => DELAY.test(target.text)) ||
    calls.some(({ callee, named }) => SLEEP.test(callee.text) || named.some(([name]) => name === 'countdown')) ||
    blocks.some(({ name }) => DELAY.test(name) || STRATEGY.test(name))
  )
}

function* workedOut(file: IndexedFile): Iterable<Worked> {
  const { facts, functionOf } = file
  for (const { target, value, line, endLine, block } of facts.assignments)
    if (DELAY.test(lastName(target))) yield { value, line, endLine, block }
  for (const { kind, value, line, endLine, block } of facts.exits) {
    const name = facts.blocks[functionOf(block)]?.name ?? ''
    if (kind === 'return' && value !== undefined && (DELAY.test(name) || STRATEGY.test(name)))
      yield { value, line, endLine, block }
  }
  for (const call of facts.calls) {
    const { line, endLine, block } = call
    const value = waitGiven(call)
    if (value !== undefined) yield { value, line, endLine, block }
  }
}

function waitGiven(call: Call): Value | undefined {
  if (SLEEP.test(call.callee.text)) return waitOf(call)
  return call.named.find(([name]) => name === 'countdown')?.[1]
}

/** Who calls what works out the wait may spread it. */
function isSpread(program: Program, { facts }: IndexedFile, fn: number): boolean {
  if (fn === -1) return false
  return program.callers({ file: facts.file, block: fn }).some((site) => {
    const of = program.file(site.file)
    return of !== undefined && hasChance(of.facts, of.functionOf(site.call.block), [])
  })
}
