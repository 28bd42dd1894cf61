// Names of tables and columns as they are compared over schemas, classes and calls, and what a call does with rows.

import type { Value } from '../../facts/facts.ts'

export interface Given {
  readonly column: string
  /** Undefined: it is not seen, as in SQL that is written out. */
  readonly value: Value | undefined
}

export interface RowUse {
  readonly call: number
  /** `count`: how many there are, or the largest. */
  readonly op: 'read' | 'count' | 'create' | 'update' | 'upsert'
  /** As `entityOf` writes it. */
  readonly entity: string
  /** What it is looked up by with `=`, or made of. */
  readonly given: readonly Given[]
  /** Its way of being looked up says that there is one at most. */
  readonly isUnique: boolean
  /** It is looked up by more than `=`: ranges, lists, what is not. */
  readonly isVague: boolean
}

/** `usersRepository`, `UserModel`, `users`, `User`: `user`. */
export function entityOf(name: string): string {
  return (
    name
      .replace(/^[_$]+/, '')
      .replace(/_?(?:models?|repository|repo|collection|dao|table|schema|delegate)$/i, '')
      // `identity` is one.
      .replace(/(?<=[a-z])Entity$|_entity$/, '')
      .replace(/[_-]/g, '')
      .toLowerCase()
      .replace(/ies$/, 'y')
      .replace(/(?:(?<=ss|x|ch|sh)es|(?<!s)s)$/, '')
  )
}

/** `userId`, `user_id`: `userid`; `email__iexact`: `email`. */
export function columnOf(name: string): string {
  return name
    .replace(/__\w+$/, '')
    .replace(/[_-]/g, '')
    .toLowerCase()
}
