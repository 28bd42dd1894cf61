// Work and connections that are marked as failed for good: after the last attempt with no place where such work is kept, or in an error path of a class whose
// way of reconnecting ends in something that is not implemented.

import type { Assignment, Value } from '../../facts/facts.ts'
import type { IndexedFile, Program } from '../../program/index.ts'
import type { Discovery } from '../rule.ts'
import { heldBy } from './guards.ts'
import { nameOf } from './recovery.ts'
import { RECOVERING, stubBelow } from './stubs.ts'

const FAILED = /^(?:failed|dead|abandoned|permanently_failed|given_up)$/
const STATUS = /\.(?:status|state)$/
const QUEUE =
  /(?:^|[._])(?:[lrb]?r?pop|[lr]push|consume|x_?read\w*|enqueue|dequeue|receive_?messages?|nack|basic_\w+)$/i
const KEPT = /dead_?-?letter|dlq|re_?queue|re_?enqueue|replay|reprocess|quarantine|parking|retry_failed|recover/i

export function* stuckEntities(program: Program, path: string, file: IndexedFile): Iterable<Discovery> {
  for (const write of file.facts.assignments) {
    if (!STATUS.test(write.target.text)) continue
    const held = heldBy(write.value)
    const owner = file.classOf(write.block)
    if (typeof held !== 'string' || !FAILED.test(held) || owner === -1) continue
    const found = givenUp(program, path, file, write, owner) ?? unrecovered(program, path, file, write, owner)
    if (found !== undefined) yield found
  }
}

/** Work of a queue, after its last attempt. */
function givenUp(
  program: Program,
  path: string,
  file: IndexedFile,
  write: Assignment,
  owner: number,
): Discovery | undefined {
  const { calls, blocks } = file.facts
  const isQueue = calls.some(({ callee, block }) => file.classOf(block) === owner && QUEUE.test(callee.text))
  if (!isQueue) return undefined
  const isKept = calls.some(({ callee }) => KEPT.test(callee.text)) || blocks.some(({ name }) => KEPT.test(name))
  if (isKept) return undefined
  const fn = file.functionOf(write.block)
  const limit = exhausted(file, write.block) ?? callersLimit(program, path, file, fn)
  if (limit === undefined) return undefined
  return {
    tier: 'strong',
    symbol: `${write.target.text} in ${nameOf(file, fn)}`,
    symptom:
      'Work whose attempts are used up is lost: it was taken from the queue, is marked as failed, and nothing keeps it or takes it up again.',
    rootCause: `${nameOf(file, fn)} marks it as failed after the last attempt; the queue has no dead letters and no way to replay.`,
    evidence: [
      {
        provenance: 'static',
        loc: { file: path, line: write.line, endLine: write.endLine },
        what: 'marked as failed for good',
      },
      { provenance: 'static', loc: { file: path, line: limit, endLine: limit }, what: 'the limit of attempts' },
    ],
  }
}

/** The line of the test of attempts that a block is behind. */
function exhausted(file: IndexedFile, from: number): number | undefined {
  const { blocks } = file.facts
  for (let at = from; at >= 0; at = blocks[at]?.parent ?? -1) {
    const block = blocks[at]
    const tested = block?.kind === 'otherwise' ? blocks[block.of ?? -1] : block?.kind === 'branch' ? block : undefined
    if (tested?.test !== undefined && comparesAttempts(tested.test)) return tested.line
    if (block?.kind === 'function') return undefined
  }
  return undefined
}

function comparesAttempts(test: Value): boolean {
  if (test.kind === 'not') return comparesAttempts(test.value)
  if (test.kind !== 'operation') return false
  if (/^(?:[<>]=?|===?|!==?)$/.test(test.operator))
    return [test.left, test.right].some((side) => side.kind === 'path' && /retr|attempt|tries/i.test(side.path.text))
  return comparesAttempts(test.left) || comparesAttempts(test.right)
}

function callersLimit(program: Program, path: string, file: IndexedFile, fn: number): number | undefined {
  if (fn === -1) return undefined
  for (const site of program.callers({ file: path, block: fn })) {
    const line = site.file === path ? exhausted(file, site.call.block) : undefined
    if (line !== undefined) return line
  }
  return undefined
}

/** A connection that failed, in a class that cannot reconnect although it means to. */
function unrecovered(
  program: Program,
  path: string,
  file: IndexedFile,
  write: Assignment,
  owner: number,
): Discovery | undefined {
  const { blocks } = file.facts
  const fn = file.functionOf(write.block)
  let isOnError = false
  for (let at = write.block; at >= 0 && at !== fn; at = blocks[at]?.parent ?? -1)
    isOnError ||= blocks[at]?.kind === 'handler'
  if (!isOnError) return undefined
  for (const [name, block] of file.methods(owner)) {
    const stub = RECOVERING.test(name) ? stubBelow(program, path, block, new Set()) : undefined
    if (stub === undefined) continue
    return {
      tier: 'strong',
      symbol: `${write.target.text} in ${nameOf(file, fn)}`,
      symptom: 'What failed once stays failed: it is refused from then on, and reconnecting fails every time.',
      rootCause: `${nameOf(file, fn)} marks it as failed; the way back, ${name}, ends in ${stub.name}, which is not implemented.`,
      evidence: [
        {
          provenance: 'static',
          loc: { file: path, line: write.line, endLine: write.endLine },
          what: 'marked as failed',
        },
        {
          provenance: 'static',
          loc: { file: stub.file, line: stub.line, endLine: stub.line },
          what: `${name} ends here: not implemented`,
        },
      ],
    }
  }
  return undefined
}
