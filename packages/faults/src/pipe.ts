// Pipe. One direction of one connection: bytes from one socket through a chain of stages into the other socket.
// What the stages hold and what the destination has not yet taken is counted together; at the bound the source is no
// longer read, so that a slow side slows the other one, as without a proxy.
// Invariants:
//   PI1. A pipe holds at most BUFFER_MAX bytes and one read more; at the bound the source waits, nothing is dropped.
//   PI2. Bytes leave in the order in which they came, also when a stage is added, updated or taken out.
//   PI3. A swallowed pipe passes nothing any more, whatever is removed later.

import type { RunningToxic, Stage, StageOutput } from './stage.ts'

/** Bytes that one direction may hold, stages and socket together, before its source waits. */
export const BUFFER_MAX = 1_048_576

/** The two sockets, as the pipe sees them. */
export interface PipeEnds {
  readonly write: (chunk: Buffer) => void
  readonly end: () => void
  /** Written and not yet taken by the kernel. */
  readonly unsentBytes: () => number
  readonly setReading: (reading: boolean) => void
}

interface Link {
  readonly toxic: RunningToxic
  readonly stage: Stage
  healing: boolean
}

export class Pipe {
  readonly #ends: PipeEnds
  #links: Link[] = []
  #reading = true
  #over = false
  passedBytes = 0
  droppedBytes = 0

  constructor(ends: PipeEnds) {
    this.#ends = ends
  }

  add(toxic: RunningToxic, make: (output: StageOutput) => Stage): void {
    const output: StageOutput = {
      data: (chunk) => this.#deliver(this.#links.indexOf(link) + 1, chunk),
      end: () => this.#deliverEnd(this.#links.indexOf(link) + 1),
    }
    const link: Link = { toxic, stage: make(output), healing: false }
    this.#links.push(link)
  }

  /** The source sent `chunk`. */
  receive(chunk: Buffer): void {
    if (this.#over) {
      this.droppedBytes += chunk.length
      return
    }
    this.#takeOutHealed()
    this.#deliver(0, chunk)
    this.balance()
  }

  /** The source sent its end. */
  receiveEnd(): void {
    if (!this.#over) this.#deliverEnd(0)
  }

  /** Stops or starts reading by what is held. Called when anything moved. */
  balance(): void {
    if (this.#over) return
    const heldBytes = this.heldBytes
    const reading = this.#reading ? heldBytes < BUFFER_MAX : heldBytes <= BUFFER_MAX / 2
    if (reading === this.#reading) return
    this.#reading = reading
    this.#ends.setReading(reading)
  }

  get heldBytes(): number {
    return this.#links.reduce((sum, { stage }) => sum + stage.heldBytes, this.#ends.unsentBytes())
  }

  heal(toxic: RunningToxic): void {
    for (const link of this.#links) if (link.toxic === toxic) link.healing = true
    this.#takeOutHealed()
    this.balance()
  }

  updated(toxic: RunningToxic): void {
    for (const link of [...this.#links]) if (link.toxic === toxic) link.stage.updated()
  }

  /** Nothing passes from here on; the source is read, so that it notices nothing, and dropped (PI3). */
  swallow(): void {
    if (this.#over) return
    this.dispose()
    this.#ends.setReading(true)
  }

  /** The connection is over. */
  dispose(): void {
    this.#over = true
    for (const { stage } of this.#links) stage.dispose()
    this.#links = []
  }

  #deliver(index: number, chunk: Buffer): void {
    if (this.#over || chunk.length === 0) return
    const link = this.#links[index]
    if (link !== undefined) return link.stage.data(chunk)
    this.passedBytes += chunk.length
    this.#ends.write(chunk)
    this.balance()
  }

  #deliverEnd(index: number): void {
    if (this.#over) return
    const link = this.#links[index]
    if (link !== undefined) link.stage.end()
    else this.#ends.end()
  }

  #takeOutHealed(): void {
    for (const link of this.#links.filter(({ healing }) => healing)) {
      // It passes on what it holds while it is still in its place, and only then leaves (PI2).
      if (link.stage.heal()) this.#links = this.#links.filter((other) => other !== link)
    }
  }
}
