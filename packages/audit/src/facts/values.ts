// What lies in a value, for walks that ask whether something is anywhere in it (what a call or a function holds is the walk's own question), and the call that none is.

import type { Value } from './facts.ts'

/** Is it so of any value that this one is put together from? Its parts only, not itself. */
export function isOfPart(value: Value, is: (part: Value) => boolean): boolean {
  switch (value.kind) {
    case 'object':
      return value.entries.some(([, each]) => is(each)) || (value.spreads ?? []).some(is)
    case 'list':
      return value.items.some(is)
    case 'template':
      return value.values.some(is)
    case 'not':
    case 'await':
      return is(value.value)
    case 'operation':
      return is(value.left) || is(value.right)
    default:
      return false
  }
}

/** What stands for a call that nobody wrote: an entry that a decorator declares, a client that a framework gives. */
export const UNWRITTEN = {
  args: [],
  named: [],
  hasSpread: false,
  isNew: false,
  use: 'dropped',
  on: -1,
  target: undefined,
} as const
