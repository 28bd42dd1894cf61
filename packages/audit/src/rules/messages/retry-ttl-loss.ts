// Retries that expire when they fall due: the copy of the message is stored with its delay as its time to live.
//   MF5. Found where the expiry is the delay and what is stored is the message; silent for marks (`'1'`, true), and where the repository listens to expired keys.

import type { Call, Value } from '../../facts/facts.ts'
import { type Program, programOf } from '../../program/index.ts'
import type { Repository } from '../../repository/repository.ts'
import { GUARANTEES } from '../guarantees.ts'
import { callsOf, lastName, optionOf, seenAt, symbolOf } from '../queries.ts'
import type { Discovery, Rule } from '../rule.ts'

const SETTING = /^(?:set|setex|psetex)$/i
const DELAY = /delay|backoff|retry_?(?:in|after|at)|wait/i
const RETRY = /retr(?:y|ies)|delayed|schedul|postpone|requeue/i
const MARK = /lock|cooldown|throttle|limit|seen|flag|mark|attempts|count/i

export const retryTtlLoss: Rule = {
  meta: {
    id: 'retry-ttl-loss',
    category: 'messages and effects',
    severity: 'critical',
    title: 'A retry expires at the moment it falls due',
    why: 'The only copy of the message is deleted by its own expiry exactly when somebody should take it up again. Every message that fails once is lost.',
    remedies: [
      {
        priority: 'P0',
        text: 'Keep it without an expiry, and the time when it is due beside it: a sorted set by due time, from which it is taken only when its work is done.',
        effort: 'S',
        guarantee: GUARANTEES.delivery,
      },
    ],
    sources: ['Redis documentation: SET, EX; sorted sets as delayed queues'],
  },
  *run({ facts: all }: Repository): Iterable<Discovery> {
    const program = programOf(all)
    for (const { facts, call } of callsOf(program, SETTING)) {
      const ttl = expiryOf(call)
      if (ttl === undefined || !DELAY.test(namesIn(ttl))) continue
      const about = `${symbolOf(facts, call.block)} ${JSON.stringify(call.args[0] ?? '')}`
      const value = storedBy(call)
      const isMessage =
        value !== undefined && value.kind !== 'string' && value.kind !== 'number' && value.kind !== 'boolean'
      if (
        !RETRY.test(about) ||
        MARK.test(JSON.stringify(call.args[0] ?? '')) ||
        !isMessage ||
        listensToExpired(program)
      )
        continue
      yield {
        tier: 'strong',
        evidence: [seenAt(facts.file, call, 'stored with its delay as its time to live')],
        symbol: symbolOf(facts, call.block),
        symptom: 'A message that fails once is not tried again: it is gone when its turn comes.',
        rootCause: 'The time to live of the copy is the delay after which it is to be taken up.',
      }
    }
  },
}

/** `set(k, v, ex=…)`, `setex(k, s, v)`, `set(k, v, 'EX', s)`, `set(k, v, { EX: s })`. */
function expiryOf(call: Call): Value | undefined {
  if (!call.callee.text.includes('.')) return undefined
  const name = lastName(call.callee).toLowerCase()
  if (name === 'setex' || name === 'psetex') return call.args[1]
  if (name !== 'set') return undefined
  for (const option of ['ex', 'px', 'EX', 'PX', 'ttl']) {
    const value = optionOf(call, option)
    if (value !== undefined) return value
  }
  const [, , word, amount] = call.args
  return word?.kind === 'string' && /^p?ex$/i.test(word.value) ? amount : undefined
}

function storedBy({ callee, args, named }: Call): Value | undefined {
  return /^p?setex$/i.test(lastName(callee)) ? args[2] : (args[1] ?? named.find(([name]) => name === 'value')?.[1])
}

function namesIn(value: Value): string {
  if (value.kind === 'path') return value.path.text
  if (value.kind === 'await') return namesIn(value.value)
  return value.kind === 'operation' ? `${namesIn(value.left)} ${namesIn(value.right)}` : ''
}

const SUBSCRIBES = /subscribe$/i

function listensToExpired(program: Program): boolean {
  return callsOf(program, SUBSCRIBES).some(({ call }) => /__key(?:event|space)/.test(JSON.stringify(call.args)))
}
