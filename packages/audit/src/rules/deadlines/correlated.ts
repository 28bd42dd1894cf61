// Remote calls over messages: somebody keeps a future under an id, sends a message with that id, and waits until the answer with the same id comes. If it never
// comes (the consumer is gone, the message was dropped), nobody ends the wait, and what is kept under the id stays.
//   DN14. Found where one function makes the future, keeps it, sends, and waits for the bare future; a timer anywhere in the file, or a limit around the wait,
//         keeps it silent.

import type { Call, Value } from '../../facts/facts.ts'
import type { IndexedFile } from '../../program/index.ts'
import { lastName } from '../queries.ts'

const FUTURE = /(?:^|\.)(?:create_future|Future)$/
const SENDS = /\.(?:publish|basic_publish|send|send_json|send_text|send_message|sendToQueue|emit|postMessage|write)$/
const LIMITS = /(?:^|\.)(?:wait_for|timeout|timeout_at|fail_after|move_on_after|call_later|setTimeout|setInterval)$/

/** The places that wait. */
export function unlimitedAnswers(file: IndexedFile): readonly Pick<Call, 'line' | 'endLine' | 'block'>[] {
  const { calls, language } = file.facts
  const makes = (call: Call): boolean =>
    language === 'python' ? FUTURE.test(call.callee.text) : call.isNew && call.callee.text === 'Promise'
  const made = calls.filter(makes)
  if (made.length === 0 || calls.some(({ callee }) => LIMITS.test(callee.text))) return []
  return made.flatMap((call) => (language === 'python' ? waitedFor(file, call) : keptResolver(file, call)) ?? [])
}

/** `future = loop.create_future()`, `self.futures[id] = future`, publish, `await future`. */
function waitedFor(file: IndexedFile, { target, block }: Call): Pick<Call, 'line' | 'endLine' | 'block'> | undefined {
  const { assignments, exits, calls } = file.facts
  if (target === undefined || target.isOwn) return undefined
  const fn = file.functionOf(block)
  const isHere = (at: { readonly block: number }): boolean => file.functionOf(at.block) === fn
  const is = (value: Value | undefined): boolean =>
    value?.kind === 'path' && !value.path.isOwn && value.path.text === target.text
  const isKept = assignments.some((each) => isHere(each) && each.target.text.endsWith('[]') && is(each.value))
  if (!isKept || !calls.some((each) => isHere(each) && SENDS.test(each.callee.text))) return undefined
  return [...assignments, ...exits].find((each) => isHere(each) && each.value?.kind === 'await' && is(each.value.value))
}

/** `new Promise((resolve) => { pending.set(id, resolve); channel.sendToQueue(…) })`. */
function keptResolver(file: IndexedFile, call: Call): Call | undefined {
  const { blocks, calls } = file.facts
  const [given] = call.args
  if (given?.kind !== 'function' || !/^(?:returned|awaited)$/.test(call.use)) return undefined
  const resolve = blocks[given.block]?.fn?.params[0]
  const inside = calls.filter(({ block }) => file.within(block, given.block))
  const mentions = (value: Value): boolean =>
    (value.kind === 'path' && value.path.text === resolve) ||
    (value.kind === 'object' && value.entries.some(([, each]) => mentions(each)))
  const isKept = inside.some((each) => lastName(each.callee) === 'set' && each.args.some(mentions))
  return isKept && inside.some((each) => SENDS.test(each.callee.text)) ? call : undefined
}
