// How consumers say that a message is done, and what is work on it: shared by the rules of messages.

import type { Call, FileFacts, Value } from '../../facts/facts.ts'
import { isOfPart } from '../../facts/values.ts'
import { lastName } from '../queries.ts'

/** What says so to a broker. */
export const ACKNOWLEDGING = [
  ...['ack', 'basic_ack', 'basicAck', 'xack', 'xAck', 'acknowledge', 'complete_message', 'completeMessage'],
  ...['deleteMessage', 'delete_message', 'DeleteMessageCommand'],
]
const NAMES = new Set(ACKNOWLEDGING)
const TELLING =
  /(?:^|\.)(?:log\w*|debug|info|warn\w*|error|exception|critical|trace|print|inc|observe|increment|captureException|capture_exception|record_exception|setStatus|set_status|toString|stringify|dumps|str|repr|String|Error|time|now)$|^console\./i

/** Says so to the broker: `channel.ack(m)`, `xack`, an SQS delete. */
export function isAcknowledging({ callee }: Call): boolean {
  const name = lastName(callee)
  return NAMES.has(name) && (callee.text.includes('.') || name === 'DeleteMessageCommand')
}

/** Only tells somebody, or makes a text or an error. */
export function isTelling({ callee }: Call): boolean {
  return TELLING.test(callee.text) || /Error$|Exception$/.test(callee.text)
}

/** Whether a value has one of these names in it. */
export function mentions(facts: FileFacts, value: Value, names: ReadonlySet<string>, depth = 0): boolean {
  if (depth > 8) return false
  const inner = (each: Value): boolean => mentions(facts, each, names, depth + 1)
  switch (value.kind) {
    case 'path':
      return !value.path.isOwn && names.has(value.path.text.split('.', 1)[0] ?? '')
    case 'call': {
      const call = facts.calls[value.call]
      return call !== undefined && callMentions(facts, call, names, depth + 1)
    }
    case 'other':
      return [...value.text.matchAll(/(?<![.\w])[A-Za-z_]\w*/g)].some(([word]) => names.has(word))
    default:
      return isOfPart(value, inner)
  }
}

export function callMentions(
  facts: FileFacts,
  { callee, args, named }: Call,
  names: ReadonlySet<string>,
  depth = 0,
): boolean {
  if (!callee.isOwn && callee.text.includes('.') && names.has(callee.text.split('.', 1)[0] ?? '')) return true
  return (
    args.some((arg) => mentions(facts, arg, names, depth)) ||
    named.some(([, value]) => mentions(facts, value, names, depth))
  )
}
