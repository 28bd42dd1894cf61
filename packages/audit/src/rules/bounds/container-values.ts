// Values that containers are made of: which of them begin empty and grow, and which have a bound of their own.

import type { FileFacts, Value } from '../../facts/facts.ts'
import type { IndexedFile } from '../../program/index.ts'

const CONTAINERS = /^(?:Map|Set|Array|dict|list|set|defaultdict|OrderedDict|Counter|deque|collections\.\w+)$/
const BOUNDED = /maxlen|maxsize/

/** BD1. */
export function isContainer({ calls }: FileFacts, value: Value): boolean {
  if (value.kind === 'list') return value.items.length === 0 && !value.hasSpread
  if (value.kind === 'object')
    return (
      !value.hasSpread &&
      (value.entries.length === 0 ||
        value.entries.every(([, each]) => each.kind !== 'object' && isContainer({ calls } as FileFacts, each)))
    )
  const call = value.kind === 'call' ? calls[value.call] : undefined
  if (call === undefined || !CONTAINERS.test(call.callee.text)) return false
  if (call.named.some(([name]) => BOUNDED.test(name))) return false
  if (/deque$/.test(call.callee.text)) return call.args.length < 2
  return call.args.length === 0 || /defaultdict$/.test(call.callee.text) || isEmptyList(call.args[0])
}

/** `defaultdict(lambda: deque(maxlen=100))`. */
export function isMakerOfBounded({ calls, exits }: FileFacts, value: Value): boolean {
  const maker = value.kind === 'call' ? calls[value.call]?.args[0] : undefined
  if (maker?.kind !== 'function') return false
  return exits.some(({ block, value: made }) => {
    const call = block === maker.block && made?.kind === 'call' ? calls[made.call] : undefined
    return call !== undefined && (call.named.some(([name]) => BOUNDED.test(name)) || !CONTAINERS.test(call.callee.text))
  })
}

export function isBoundedValue({ calls }: FileFacts, value: Value): boolean {
  return value.kind === 'call' && calls[value.call]?.named.some(([name]) => BOUNDED.test(name)) === true
}

function isEmptyList(value: Value | undefined): boolean {
  return value?.kind === 'null' || (value?.kind === 'list' && value.items.length === 0)
}

/** Within a branch whose test says so. */
export function isBehindTest({ blocks }: FileFacts, from: number, isSo: (test: Value) => boolean): boolean {
  for (let at = from; at >= 0; at = blocks[at]?.parent ?? -1) {
    const each = blocks[at]
    if (each?.kind === 'function') return false
    if (each?.kind === 'branch' && each.test !== undefined && isSo(each.test)) return true
  }
  return false
}

/** The last name among the steps into a container. */
export function partOf(steps: readonly string[]): string {
  return steps.filter((step) => step !== '[]').at(-1) ?? ''
}

export function isOfConstructor(file: IndexedFile, block: number): boolean {
  const fn = file.functionOf(block)
  return fn === -1 || file.facts.blocks[fn]?.fn?.kind === 'constructor'
}
