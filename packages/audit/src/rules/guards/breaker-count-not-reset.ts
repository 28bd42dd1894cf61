// Breakers that count failures for ever: success sets the count back only when the breaker had opened, so failures that lie days apart add up until it opens.
//   GD2. A breaker is found only where failures are counted up to a limit, no success while it is closed sets the count back, and no time does.

import type { Assignment, Value } from '../../facts/facts.ts'
import { type IndexedFile, type Program, programOf } from '../../program/index.ts'
import type { Repository } from '../../repository/repository.ts'
import { GUARANTEES } from '../guarantees.ts'
import { seenAt } from '../queries.ts'
import type { Discovery, Rule } from '../rule.ts'

const COUNT =
  /^[_#]*(?:failures?|fails?|errors?|consecutive_?failures?)(?:_?counts?|_?counter)?$|^[_#]*(?:num|count)_?(?:failures|errors)$/i
const RESETTING = /^[_#]*(?:manual_?|force_?)?(?:reset|clear)|constructor|__init__|__post_init__/i

export const breakerCountNotReset: Rule = {
  meta: {
    id: 'breaker-count-not-reset',
    category: 'guards',
    severity: 'medium',
    title: 'A breaker that adds up failures for ever',
    why: 'One failure a day opens it after a week: the guard causes the outage, at a moment when nothing is wrong.',
    remedies: [
      {
        priority: 'P1',
        text: 'Set the count back on success, or count within a window of time.',
        effort: 'XS',
        guarantee: GUARANTEES.breaker,
      },
    ],
    sources: [
      'Nygard, Release It!, 2nd edition, chapter 5: circuit breaker',
      'resilience4j: sliding window of the circuit breaker',
    ],
  },
  *run(repository: Repository): Iterable<Discovery> {
    const program = programOf(repository.facts)
    for (const path of program.files) {
      const file = program.file(path)
      if (file === undefined) continue
      for (const { block, name } of file.facts.classes)
        for (const field of file.written(block)) {
          const found = COUNT.test(field)
            ? discovery(program, path, file, { owner: block, className: name, field })
            : undefined
          if (found !== undefined) yield found
        }
    }
  },
}

interface Counter {
  readonly owner: number
  readonly className: string
  readonly field: string
}

/** GD2. */
function discovery(program: Program, path: string, file: IndexedFile, counter: Counter): Discovery | undefined {
  const writes = file.writes(counter.owner, counter.field)
  const added = writes.find(({ operator }) => operator === '+=')
  const isBreaker =
    /breaker|circuit/i.test(`${counter.className} ${[...file.written(counter.owner)].join(' ')}`) ||
    opensBy(file, counter)
  if (added === undefined || !isBreaker || !isLimit(file, counter)) return undefined
  const others = writes.filter((write) => write !== added && write.operator !== '+=')
  const lowered = others.filter((write) => !isOfNobody(program, path, file, write))
  if (lowered.some((write) => !isHalfOpen(program, path, file, write))) return undefined
  const half = lowered.map((write) => halfBranch(file, write.block)).find((block) => block !== -1)
  const branch = half === undefined ? undefined : file.facts.blocks[half]
  return {
    tier: 'strong',
    evidence: [
      ...(branch === undefined ? [] : [seenAt(path, branch, 'the only success that sets the count back')]),
      seenAt(path, added, 'counted up with every failure'),
    ],
    symbol: `${counter.className}.${counter.field}`,
    symptom: 'Failures that lie far apart add up, and the breaker opens although nothing is wrong.',
    rootCause: `${counter.className} sets ${counter.field} back only once it has opened; a success while it is closed leaves it.`,
  }
}

/** Compared with a limit that opens. */
function isLimit({ facts, classOf }: IndexedFile, { owner, field }: Counter): boolean {
  return facts.blocks.some(({ test }, block) => test !== undefined && classOf(block) === owner && compares(test, field))
}

function opensBy(file: IndexedFile, { owner }: Counter): boolean {
  return file.facts.assignments.some(
    ({ target, value, block }) =>
      target.isOwn && file.classOf(block) === owner && /state$|^_?is_?open$/i.test(target.text) && saysOpen(value),
  )
}

function saysOpen(value: Value): boolean {
  return (
    (value.kind === 'string' && /^open$/i.test(value.value)) ||
    (value.kind === 'path' && /\.OPEN$/i.test(value.path.text))
  )
}

function compares(test: Value, field: string): boolean {
  if (test.kind === 'not') return compares(test.value, field)
  if (test.kind !== 'operation') return false
  if (/^[<>]=?$/.test(test.operator))
    return [test.left, test.right].some((side) => side.kind === 'path' && side.path.isOwn && side.path.text === field)
  return compares(test.left, field) || compares(test.right, field)
}

/** In a constructor, or in what only people call. */
function isOfNobody(program: Program, path: string, file: IndexedFile, { block }: Assignment): boolean {
  const fn = file.functionOf(block)
  if (fn === -1) return true
  const { name = '', fn: facts } = file.facts.blocks[fn] ?? {}
  if (facts?.kind === 'constructor') return true
  return (
    RESETTING.test(name) &&
    program
      .callers({ file: path, block: fn })
      .every((site) => site.file !== path || file.functionOf(site.call.block) === fn)
  )
}

/** Behind a test of being half open; or in a function that is only called behind one. */
function isHalfOpen(program: Program, path: string, file: IndexedFile, { block }: Assignment): boolean {
  if (halfBranch(file, block) !== -1) return true
  const fn = file.functionOf(block)
  const callers = fn === -1 ? [] : program.callers({ file: path, block: fn })
  return callers.length > 0 && callers.every((site) => site.file === path && halfBranch(file, site.call.block) !== -1)
}

function halfBranch({ facts }: IndexedFile, from: number): number {
  for (let at = from; at >= 0; at = facts.blocks[at]?.parent ?? -1) {
    const block = facts.blocks[at]
    if (block?.kind === 'branch' && block.test !== undefined && saysHalf(block.test)) return at
    if (block?.kind === 'function') return -1
  }
  return -1
}

function saysHalf(test: Value): boolean {
  switch (test.kind) {
    case 'string':
      return /half/i.test(test.value)
    case 'path':
      return /half/i.test(test.path.text)
    case 'operation':
      return test.operator !== '!==' && test.operator !== '!=' && (saysHalf(test.left) || saysHalf(test.right))
    default:
      return false
  }
}
