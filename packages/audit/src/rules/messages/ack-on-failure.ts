// Messages that are acknowledged although their work failed: in a `finally`, or in a handler of errors that only tells.
//   MF8. Found where what was tried works on the message; silent where the handler is for one kind of error (a message that can't be read will never be), keeps the
//        message somewhere, or throws.
//   MF16. Where the consumer commits offsets by itself, a handler of any error inside of its loop that only tells is the same.
//   QT33. Of a request that came as a message the failure is the answer: where what is tried returns something, and its handler too, a `finally` is silent.

import type { Block, Call } from '../../facts/facts.ts'
import { type IndexedFile, type Program, programOf } from '../../program/index.ts'
import type { Repository } from '../../repository/repository.ts'
import { GUARANTEES } from '../guarantees.ts'
import { callsOf, lastName, seenAt, symbolOf } from '../queries.ts'
import type { Discovery, Rule } from '../rule.ts'
import { ACKNOWLEDGING, isAcknowledging, isTelling } from './acknowledging.ts'

const ANY_ERROR = new Set(['', 'Exception', 'BaseException', 'Error'])
const READING =
  /(?:^|\.)(?:parse|loads|decode|validate|parseAsync|safeParse|model_validate\w*|from_dict|fromJSON|toString)$/i

export const ackOnFailure: Rule = {
  meta: {
    id: 'ack-on-failure',
    category: 'messages and effects',
    severity: 'high',
    title: 'A message whose work failed is acknowledged',
    why: 'The broker forgets the message although nothing was done. An outage of anything that the handler needs turns every message of that time into a line in a log.',
    remedies: [
      {
        priority: 'P1',
        text: 'Acknowledge behind the work, and only there. Give back what failed, a limited number of times, and park it then.',
        effort: 'S',
        guarantee: GUARANTEES.delivery,
      },
    ],
    sources: [
      'RabbitMQ documentation: consumer acknowledgements, negative acknowledgement',
      'CWE-390: detection of error condition without action',
    ],
  },
  *run({ facts: all }: Repository): Iterable<Discovery> {
    const program = programOf(all)
    for (const { file: path, call } of callsOf(program, ACKNOWLEDGING)) {
      const file = program.file(path)
      const what = file !== undefined && isAcknowledging(call) ? acknowledgedAnyway(file, call) : undefined
      if (file === undefined || what === undefined) continue
      yield {
        tier: 'strong',
        evidence: [seenAt(path, call, what)],
        symbol: symbolOf(file.facts, call.block),
        symptom: 'While something that the handler needs is away, messages are taken and lost one by one.',
        rootCause: `The broker is told that it is done, failed or not: ${what}.`,
      }
    }
    for (const path of program.files) {
      const file = program.file(path)
      if (file === undefined || !file.facts.imports.some(({ module }) => /^(?:aiokafka|kafka)\b/.test(module))) continue
      for (const [index, handler] of committedAnyway(program, file))
        yield {
          tier: 'strong',
          evidence: [
            seenAt(path, handler, 'the error is told, and the next message commits the offset behind this one'),
          ],
          symbol: symbolOf(file.facts, index),
          symptom: 'While something that the handler needs is away, messages are taken and lost one by one.',
          rootCause: 'The consumer commits offsets by itself, and the loop goes on behind a message that failed.',
        }
    }
  },
}

/** MF16. Handlers of errors in loops over a consumer that commits by itself, which is its default. */
function* committedAnyway(program: Program, file: IndexedFile): Iterable<readonly [number, Block]> {
  const { facts } = file
  const { blocks, calls, exits } = facts
  for (const [loop, { kind, test, parent }] of blocks.entries()) {
    if (kind !== 'loop' || test?.kind !== 'path') continue
    const made = program.created(facts.file, test.path, parent)?.call
    if (made === undefined || !/(?:^|\.)(?:AIO)?KafkaConsumer$/.test(made.callee.text)) continue
    const commits = made.named.find(([name]) => name === 'enable_auto_commit')?.[1]
    const isGrouped = made.named.some(([name]) => name === 'group_id')
    // Switched off, or by a setting that is not seen.
    if (made.hasSpread || !isGrouped || (commits !== undefined && !(commits.kind === 'boolean' && commits.value)))
      continue
    for (const [index, handler] of blocks.entries()) {
      const tried = blocks[handler.of ?? -1]
      if (handler.kind !== 'handler' || tried?.parent !== loop || !ANY_ERROR.has(handler.name)) continue
      const inside = calls.filter(({ block }) => file.within(block, index))
      const works = calls.some(
        (each) =>
          file.within(each.block, handler.of ?? -1) &&
          each.use !== 'argument' &&
          !isTelling(each) &&
          !READING.test(each.callee.text) &&
          isWork(each),
      )
      const leaves = exits.some(
        ({ kind: how, block }) => /^(?:throw|break|return)$/.test(how) && file.within(block, index),
      )
      if (works && !leaves && inside.every(isTelling)) yield [index, handler]
    }
  }
}

function acknowledgedAnyway(file: IndexedFile, call: Call): string | undefined {
  const { blocks, calls, exits } = file.facts
  for (let at = call.block; at >= 0; at = blocks[at]?.parent ?? -1) {
    const block = blocks[at]
    if (block === undefined || block.kind === 'function' || block.kind === 'branch' || block.kind === 'otherwise')
      return undefined
    if (block.kind !== 'handler' && block.kind !== 'finally') continue
    const tried = block.of ?? -1
    const works = calls.some(
      (each) =>
        file.within(each.block, tried) &&
        each.use !== 'argument' &&
        !isTelling(each) &&
        !isAcknowledging(each) &&
        !READING.test(each.callee.text) &&
        isWork(each),
    )
    if (!works) return undefined
    if (block.kind === 'finally' && isAnswered(file, tried)) return undefined
    if (block.kind === 'finally') return 'it is acknowledged in a finally, failed or not'
    const others = calls.filter((each) => each !== call && file.within(each.block, at))
    const isKept = others.some((each) => !isTelling(each) && !isAcknowledging(each))
    const isThrown = exits.some(({ kind, block: where }) => kind === 'throw' && file.within(where, at))
    if (!ANY_ERROR.has(block.name) || isKept || isThrown) return undefined
    return 'the handler of its errors tells, and acknowledges it'
  }
  return undefined
}

/** QT33. */
function isAnswered({ facts: { blocks, exits } }: IndexedFile, tried: number): boolean {
  const answers = (block: number): boolean =>
    exits.some(
      ({ kind, value, block: at }) =>
        kind === 'return' && at === block && value !== undefined && value.kind !== 'null' && value.kind !== 'boolean',
    )
  return answers(tried) && blocks.some(({ kind, of }, index) => kind === 'handler' && of === tried && answers(index))
}

function isWork({ use, callee }: Call): boolean {
  return (
    use === 'awaited' ||
    /^_*(?:handle|process|dispatch|execute|run|on_?message|callback|send|save|store|insert|update|create|publish|post)/i.test(
      lastName(callee),
    )
  )
}
