// Streams whose messages are delivered once and never again: a group of Redis streams reads only what is new (`>`), and nothing takes over what was delivered and never
// acknowledged. Where the consumer's name changes at each start, not even the same consumer could.
//   MF4. Silent where anything in the repository claims or reads what is pending.

import type { Call, FileFacts, Value } from '../../facts/facts.ts'
import type { Evidence } from '../../model/evidence.ts'
import { type IndexedFile, programOf } from '../../program/index.ts'
import type { Repository } from '../../repository/repository.ts'
import { GUARANTEES } from '../guarantees.ts'
import { callsOf, seenAt, symbolOf } from '../queries.ts'
import type { Discovery, Rule } from '../rule.ts'

const READING = ['xreadgroup', 'xReadGroup']
const CLAIMING = [
  ...['xautoclaim', 'xAutoClaim', 'xclaim', 'xClaim', 'xpending', 'xPending', 'xpending_range', 'xPendingRange'],
  ...['xAutoClaimJustId', 'xClaimJustId'],
]
/** What is another at each start. */
const CHANGING = /(?:^|[._])(?:id|getpid|uuid\d|randomUUID|nanoid|random|token_hex|now|time)$/i

export const messageNoRedelivery: Rule = {
  meta: {
    id: 'message-no-redelivery',
    category: 'messages and effects',
    severity: 'high',
    title: 'A message whose work failed is never delivered again',
    why: 'The stream remembers that it was delivered and not acknowledged, and waits for somebody to ask. Nobody does: what failed once, or was under way in a crash, stays there for ever.',
    remedies: [
      {
        priority: 'P1',
        text: 'Claim what is pending for too long (XAUTOCLAIM) in the same loop, count deliveries, and park what fails too often. Give each consumer a name that stays.',
        effort: 'S',
        guarantee: GUARANTEES.delivery,
      },
    ],
    sources: ['Redis documentation: streams, recovering from permanent failures', 'Redis documentation: XAUTOCLAIM'],
  },
  *run({ facts: all }: Repository): Iterable<Discovery> {
    const program = programOf(all)
    for (const { call } of callsOf(program, CLAIMING)) if (call.callee.text.includes('.')) return
    const readers = [...callsOf(program, READING)].filter(({ call }) => call.callee.text.includes('.'))
    // It reads its own pending ones, or what it reads is not seen.
    if (readers.some(({ call }) => !JSON.stringify([call.args, call.named]).includes('">"'))) return
    for (const { file: path, call } of readers) {
      const file = program.file(path)
      if (file === undefined) continue
      const { facts } = file
      const name = changingName(file, call)
      yield {
        tier: 'strong',
        evidence: [
          seenAt(facts.file, call, "only what is new ('>') is read, and nothing claims what is pending"),
          ...(name === undefined ? [] : [name]),
        ],
        symbol: symbolOf(facts, call.block),
        symptom: 'A message whose handler failed, or that was under way in a crash, is never worked on again.',
        rootCause: `Nothing asks for what was delivered and not acknowledged${name === undefined ? '' : ', and the name that it was delivered to is another at each start'}.`,
      }
    }
  },
}

function changingName(file: IndexedFile, { args, named, block }: Call): Evidence | undefined {
  const { facts } = file
  const isOptions = args[0]?.kind === 'string' && args[0].value.toUpperCase() === 'GROUP'
  const given = named.find(([name]) => name === 'consumername')?.[1] ?? args[isOptions ? 2 : 1]
  if (given === undefined) return undefined
  const fn = file.functionOf(block)
  const written =
    given.kind === 'path'
      ? facts.assignments.find(
          ({ target, block: at }) =>
            target.text === given.path.text &&
            target.isOwn === given.path.isOwn &&
            (target.isOwn || target.root === 'module' || file.functionOf(at) === fn),
        )
      : undefined
  const value = written?.value ?? given
  if (!isChanging(facts, value, 0)) return undefined
  const at = written ?? { line: 0, endLine: 0 }
  return written === undefined ? undefined : seenAt(facts.file, at, 'the name of the consumer is another at each start')
}

function isChanging(facts: FileFacts, value: Value, depth: number): boolean {
  if (depth > 4) return false
  if (value.kind === 'template') return value.values.some((each) => isChanging(facts, each, depth + 1))
  if (value.kind === 'operation')
    return isChanging(facts, value.left, depth + 1) || isChanging(facts, value.right, depth + 1)
  if (value.kind === 'path') return value.path.text === 'process.pid'
  const call = value.kind === 'call' ? facts.calls[value.call] : undefined
  return (
    call !== undefined &&
    (CHANGING.test(call.callee.text) || call.args.some((arg) => isChanging(facts, arg, depth + 1)))
  )
}
