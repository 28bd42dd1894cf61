// Loops that go on for ever and pause only where all went well: the pause stands inside the `try`, so that what fails is tried again at once, as fast as the machine can.
//   QL2. Found where the loop has no end, every pause of it stands in the `try` behind what leaves the process, and the handler of any error does nothing but log.

import type { Call, FileFacts } from '../../facts/facts.ts'
import type { IndexedFile } from '../../program/index.ts'
import { contentsOf } from '../contents.ts'
import { onlyLogs } from '../errors/handlers.ts'
import { catchesAny } from '../promises/rejections.ts'
import { SLEEP } from './delays.ts'

export interface Spinning {
  readonly handler: number
  readonly loop: number
}

/** `leaves`: whether calls leave the process. */
export function* spinningLoops(file: IndexedFile, leaves: (calls: readonly Call[]) => boolean): Iterable<Spinning> {
  const { facts } = file
  for (const [index, block] of facts.blocks.entries()) {
    const { of: tried = -1 } = block
    const loop = facts.blocks[tried]?.parent ?? -1
    if (block.kind !== 'handler' || !catchesAny(block) || !isEndless(facts, loop)) continue
    const handled = { block, index, contents: contentsOf(facts, index), tried }
    if (!onlyLogs(facts, handled) || handled.contents.exits.some(({ kind }) => kind !== 'continue')) continue
    const pauses = contentsOf(facts, loop).calls.filter(isPause)
    const first = Math.min(...pauses.map(({ line }) => line))
    // A pause at the beginning is one for failures too.
    const before = contentsOf(facts, tried).calls.filter((call) => call.line < first && !isPause(call))
    if (pauses.length === 0 || !pauses.every((call) => file.within(call.block, tried)) || !leaves(before)) continue
    yield { handler: index, loop }
  }
}

function isPause({ callee }: Call): boolean {
  return SLEEP.test(callee.text) && !/(?:^|\.)timeout$/i.test(callee.text)
}

/** `while True`, `while self.running`: nothing is counted in its test. */
function isEndless({ blocks }: FileFacts, loop: number): boolean {
  const { kind, test, binds = '' } = blocks[loop] ?? {}
  if (kind !== 'loop' || binds !== '') return false
  if (test === undefined || test.kind === 'boolean') return true
  return (
    test.kind === 'path' &&
    /(?:^|[._])_*(?:is_?)?(?:running|active|alive|enabled|started|listening)$/i.test(test.path.text)
  )
}
