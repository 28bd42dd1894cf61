// Facts that are being written: what the readers of all languages have in common.

import type { Assignment, Block, Call, ClassFacts, EnvRead, Exit, FileFacts, Import, Value } from './facts.ts'

/** Texts of source that are kept are cut to this. */
export const TEXT_MAX = 200
/** What strings say is cut to this, so that what is asked of them ends soon. */
export const STRING_MAX = 4_000

export type Growing<T> = { -readonly [K in keyof T]: T[K] }

export class FactsDraft {
  readonly blocks: Growing<Block>[] = []
  readonly calls: Growing<Call>[] = []
  readonly assignments: Assignment[] = []
  readonly exits: Exit[] = []
  readonly imports: Import[] = []
  readonly exports: string[] = []
  readonly classes: ClassFacts[] = []
  readonly envReads: Growing<EnvRead>[] = []
  /** That what is written next is in. */
  block = -1

  seal(about: Pick<FileFacts, 'file' | 'language' | 'lines' | 'comments' | 'brokenAt'>): FileFacts {
    const { blocks, calls, assignments, exits, imports, classes, envReads } = this
    const exports = [...new Set(this.exports)]
    return { ...about, blocks, calls, assignments, exits, imports, exports, classes, envReads }
  }
}

/** `60 * 1000` is a number as good as 60000; undefined: it is none (a power stays, since whether it is one of the attempt matters). */
export function foldNumbers(operator: string, left: Value, right: Value): Value | undefined {
  if (left.kind !== 'number' || right.kind !== 'number') return undefined
  switch (operator) {
    case '*':
      return { kind: 'number', value: left.value * right.value }
    case '+':
      return { kind: 'number', value: left.value + right.value }
    case '-':
      return { kind: 'number', value: left.value - right.value }
    case '/':
      // Infinity is no number of JSON, which facts are kept as.
      return right.value === 0 ? undefined : { kind: 'number', value: left.value / right.value }
    default:
      return undefined
  }
}
