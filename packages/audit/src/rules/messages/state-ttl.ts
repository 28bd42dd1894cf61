// State of work that lasts (sagas, workflows, checkpoints) kept with a time to live: work that takes longer forgets where it was.
//   MF11. Found where the key or the function says that it is such state and the expiry is a number of at most a day; silent for locks and caches.

import type { Call, Value } from '../../facts/facts.ts'
import { type Program, programOf } from '../../program/index.ts'
import type { Repository } from '../../repository/repository.ts'
import { callsOf, constantOf, lastName, optionOf, seenAt, symbolOf } from '../queries.ts'
import type { Discovery, Rule } from '../rule.ts'

const LASTING = /saga|workflow|checkpoint|orchestrat|state_?machine/i
const PASSING = /cache|lock|idempot|dedup|rate|throttle|session|token|progress|status_?cache|metrics|heartbeat/i
const SETTING = /^(?:set|setex|psetex)$/i
const SECONDS_MAX = 24 * 60 * 60

export const stateTtl: Rule = {
  meta: {
    id: 'state-ttl',
    category: 'state',
    severity: 'high',
    title: 'State of unfinished work expires',
    why: 'Work that waits for a person, an outage or a slow peer finds nothing when it goes on: it is neither finished nor undone, and what its first steps did stays as it is.',
    remedies: [
      {
        priority: 'P1',
        text: 'Keep the state of unfinished work in a store that does not forget; let it expire only some time after it is finished.',
        effort: 'M',
      },
    ],
    sources: ['Garcia-Molina, Salem: Sagas (1987)', 'Redis documentation: key expiration'],
  },
  *run({ facts: all }: Repository): Iterable<Discovery> {
    const program = programOf(all)
    for (const { facts, call } of callsOf(program, SETTING)) {
      const seconds = secondsOf(program, facts.file, call)
      if (seconds === undefined || seconds <= 0 || seconds > SECONDS_MAX) continue
      const fn = symbolOf(facts, call.block)
      const key = JSON.stringify(call.args[0] ?? '')
      const isLasting = LASTING.test(key) || (LASTING.test(fn) && /persist|save|store|checkpoint/i.test(fn))
      if (!isLasting || PASSING.test(key) || PASSING.test(fn.slice(fn.lastIndexOf('.') + 1))) continue
      yield {
        tier: 'strong',
        evidence: [
          { ...seenAt(facts.file, call, 'state of unfinished work, with an expiry'), value: seconds, unit: 's' },
        ],
        symbol: fn,
        symptom: 'Work that takes longer is forgotten in the middle: neither finished nor undone.',
        rootCause: 'The state expires after a fixed time, whether the work is finished or not.',
      }
    }
  },
}

function secondsOf(program: Program, file: string, call: Call): number | undefined {
  if (!call.callee.text.includes('.')) return undefined
  const name = lastName(call.callee).toLowerCase()
  const number = (value: Value | undefined): number | undefined => {
    const known = value === undefined ? undefined : constantOf(program, file, value)
    return known?.kind === 'number' ? known.value : undefined
  }
  if (name === 'setex') return number(call.args[1])
  if (name === 'psetex') return thousandth(number(call.args[1]))
  if (name !== 'set') return undefined
  const [, , word, amount] = call.args
  if (word?.kind === 'string' && /^ex$/i.test(word.value)) return number(amount)
  if (word?.kind === 'string' && /^px$/i.test(word.value)) return thousandth(number(amount))
  return (
    number(optionOf(call, 'ex') ?? optionOf(call, 'EX')) ??
    thousandth(number(optionOf(call, 'px') ?? optionOf(call, 'PX')))
  )
}

function thousandth(ms: number | undefined): number | undefined {
  return ms === undefined ? undefined : ms / 1000
}
