// Stage. One toxic at work on one direction of one connection: bytes come in, and are passed on, held or dropped.

import type { Clock, Random } from '@ripstop/kernel'
import type { Direction, Toxic } from './toxics.ts'

/** What comes after a stage: the next stage or, at last, the socket. */
export interface StageOutput {
  readonly data: (chunk: Buffer) => void
  readonly end: () => void
}

/** What a toxic may do with the connection that it took hold of. */
export interface ConnectionPort {
  readonly clock: Clock
  readonly random: Random
  /** Puts a stage at the end of one direction. */
  readonly addStage: (direction: Direction, make: (output: StageOutput) => Stage) => void
  /** Sends what is on its way, then closes both sides (FIN). Nothing more is read. */
  readonly finish: () => void
  /** Resets both sides (RST); what the client was already sent leaves first if `flush`. */
  readonly reset: (flush?: boolean) => void
  /** From here on nothing passes, in either direction and for ever, though both sides stay open. */
  readonly swallow: () => void
  /** Bytes that a stage dropped, for the statistics. */
  readonly countDropped: (bytes: number) => void
  /** Sends these bytes to the upstream on a connection of their own and throws the answer away. */
  readonly sendCopy: (request: Buffer, method: string) => void
}

/** A toxic as it runs: the stages read its attributes at every step, so that an update takes effect at once. */
export interface RunningToxic extends Toxic {
  toxicity: number
  attributes: Toxic['attributes']
  /** Responses or requests seen over all connections, for `every`. */
  seen: number
}

export function numberOf(toxic: RunningToxic, attribute: string): number {
  const value = toxic.attributes[attribute]
  return typeof value === 'number' ? value : 0
}

export abstract class Stage {
  protected readonly output: StageOutput

  constructor(output: StageOutput) {
    this.output = output
  }

  abstract data(chunk: Buffer): void

  /** The sender has ended its stream. */
  end(): void {
    this.output.end()
  }

  /** What it holds, overhead included; counts against the bound of its pipe. */
  get heldBytes(): number {
    return 0
  }

  /**
   * The toxic was removed: passes on what it holds and turns transparent. False: it is in the middle of a message; it
   * is transparent for the next and wants to be asked again before it is taken out.
   */
  heal(): boolean {
    return true
  }

  /** The attributes were changed. */
  updated(): void {}

  /** The connection is over: lets go of timers and bytes. */
  dispose(): void {}
}
