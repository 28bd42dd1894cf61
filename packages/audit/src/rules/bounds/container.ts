// What is known of a container, and of what is done to it.

import type { Call, Place, Value } from '../../facts/facts.ts'

export interface Container {
  readonly file: string
  readonly scope: 'module' | 'field' | 'closure'
  /** Block of its class or function; -1: the module. */
  readonly owner: number
  readonly name: string
  readonly at: Place
  /** What is in it has a bound of its own. */
  readonly holdsBounded: boolean
  /** A key that is asked for comes into being: `defaultdict`. */
  readonly hasDefault: boolean
}

export interface Use extends Place {
  readonly file: string
  /**
   * grow: a key or an item more; fill: something that is in it grows; take: something is taken out, or it begins anew; trim: something that is in it shrinks, or its size is
   * compared; size: its own size is compared; hand: it is given to a function.
   */
  readonly how: 'grow' | 'fill' | 'take' | 'trim' | 'size' | 'hand'
  /** grow: the key, or the item of a list. */
  readonly key?: Value
  readonly isKeyed?: boolean
  /** fill and trim: which field of what is in it. */
  readonly part?: string
  /** hand: the call, and which argument it is. take: the call, where it is one. */
  readonly call?: Call
  readonly arg?: number
}

export interface Uses {
  readonly container: Container
  readonly uses: Use[]
}
