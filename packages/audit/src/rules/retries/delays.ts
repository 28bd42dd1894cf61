// What a wait between attempts depends on: the attempt, chance, or nothing.
//   QT31. A limit of time for what is tried (`AbortSignal.timeout`, `socket.setTimeout`) is no wait, although it is called alike.

import type { Call, FileFacts, Value } from '../../facts/facts.ts'
import type { IndexedFile } from '../../program/index.ts'
import { contentsOf } from '../contents.ts'

export const SLEEP = /(^|\.|_)(sleep|delay|wait|usleep|timeout|setTimeout|pause|back_?off)(_?(for|ms|async|seconds))?$/i
/** QT31. */
const LIMITS =
  /(?:^|\.)(?:AbortSignal|asyncio|async_timeout|httpx|urllib3|aiohttp)\.timeout$|\w\.setTimeout$|(?:^|\.)_*(?:with|race|p)[_-]?timeout$/i

/** Whether a call waits. */
export function isWait({ callee }: Call): boolean {
  return (
    SLEEP.test(callee.text) && (!LIMITS.test(callee.text) || /^(?:window|globalThis|global|timers)\./.test(callee.text))
  )
}

const CHANCE = /random|jitter|uniform|randint|randrange|gauss|secrets|crypto/i
const ATTEMPT =
  /(^|[._])_*(attempts?|attempt_?(number|count|no|num|index)|retry|retries|tries|times|retry_?(count|number|attempt|num)|num_?retries|retries_?(made|count)|attempts_?made|reconnect_?attempts?|consecutive_?(failures|errors)|failures|failure_?count|tryCount|retryCount|attemptCount)$/i

/** Every path and call in a value, with names of the function that were given a value once looked through. */
export function partsOf(file: IndexedFile, fn: number, value: Value, depth = 0): readonly Value[] {
  if (depth > 8) return []
  const inside = (...values: readonly Value[]): readonly Value[] => [
    value,
    ...values.flatMap((each) => partsOf(file, fn, each, depth + 1)),
  ]
  switch (value.kind) {
    case 'operation':
      return inside(value.left, value.right)
    case 'not':
    case 'await':
      return inside(value.value)
    case 'call': {
      const call = file.facts.calls[value.call]
      return call === undefined ? [value] : inside(...call.args, ...call.named.map(([, each]) => each))
    }
    case 'list':
      return inside(...value.items)
    case 'path':
      return inside(...boundTo(file, fn, value.path.text, depth))
    default:
      return [value]
  }
}

function boundTo({ facts }: IndexedFile, fn: number, name: string, depth: number): readonly Value[] {
  if (depth > 4 || fn === -1) return []
  return contentsOf(facts, fn)
    .assignments.filter(({ target }) => target.text === name)
    .map(({ value }) => value)
}

export function hasChance(facts: FileFacts, fn: number, parts: readonly Value[]): boolean {
  const named = (text: string): boolean => CHANCE.test(text)
  if (parts.some((part) => part.kind === 'path' && named(part.path.text))) return true
  if (parts.some((part) => part.kind === 'other' && named(part.text))) return true
  if (parts.some((part) => part.kind === 'call' && named(facts.calls[part.call]?.callee.text ?? ''))) return true
  // Anything random in the same function may be what spreads it.
  return fn !== -1 && contentsOf(facts, fn).calls.some(({ callee }) => named(callee.text))
}

/** `2 ** n`, `Math.pow(2, n)`, `1 << n`: a power that grows. */
export function isPower(facts: FileFacts, part: Value): boolean {
  return exponentOf(facts, part) !== undefined
}

/** Undefined: no power. */
export function exponentOf(facts: FileFacts, part: Value): Value | undefined {
  if (part.kind === 'operation' && (part.operator === '**' || part.operator === '<<')) return part.right
  const call = part.kind === 'call' ? facts.calls[part.call] : undefined
  return call !== undefined && /^(Math\.|math\.)?pow$/.test(call.callee.text) ? call.args[1] : undefined
}

export function isAttempt(part: Value): boolean {
  return part.kind === 'path' && ATTEMPT.test(part.path.text)
}

/** `attempt * 1000`. */
export function isMultiple(part: Value): boolean {
  return part.kind === 'operation' && part.operator === '*' && (isAttemptLike(part.left) || isAttemptLike(part.right))
}

function isAttemptLike(value: Value): boolean {
  if (value.kind === 'operation' && value.operator === '+')
    return isAttemptLike(value.left) || isAttemptLike(value.right)
  return isAttempt(value)
}

/** The wait that a call of sleep is given: `sleep(d)`, `setTimeout(f, d)`, `new Promise((r) => setTimeout(r, d))`. */
export function waitOf({ callee, args }: Call): Value | undefined {
  return /(^|\.)setTimeout$/.test(callee.text) && args.length > 1 ? args[1] : args[0]
}
