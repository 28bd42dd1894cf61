// Paced stage. Latency, bandwidth, slicer and slow drip are one machine: a queue whose head is cut into pieces, each
// with the moment at which it may leave. Only the rule that cuts and dates the next piece differs.
// Invariants:
//   PS1. A piece never leaves before it is due, and never overtakes another.
//   PS2. Healing passes on at once, in order, everything that was held.

import type { Clock, Random } from '@ripstop/kernel'
import { type ConnectionPort, numberOf, type RunningToxic, Stage, type StageOutput } from './stage.ts'

/** The next piece: how many bytes of what is there, when they may leave, and when the piece after them may. */
interface Piece {
  readonly bytes: number
  readonly dueMs: number
  readonly freeMs: number
}
type Pace = (remainingBytes: number, arrivedMs: number, freeMs: number) => Piece

const CHUNK_OVERHEAD_BYTES = 128 // what a queued chunk costs beside its bytes: without it, one-byte chunks had no bound

/** Delays, throttles or slices, by the type of the toxic. */
export function addPacedStage(port: ConnectionPort, toxic: RunningToxic): void {
  const pace = createPace(toxic, port.random)
  port.addStage(toxic.stream, (output) => new PacedStage(output, port.clock, pace))
}

function createPace(toxic: RunningToxic, random: Random): Pace {
  const spread = (attribute: string): number => (random() * 2 - 1) * numberOf(toxic, attribute)
  switch (toxic.type) {
    case 'latency':
      return (remaining, arrivedMs, freeMs) => {
        const delayMs = Math.max(0, numberOf(toxic, 'latency') + spread('jitter'))
        return { bytes: remaining, dueMs: arrivedMs + delayMs, freeMs } // the queue keeps the order, whatever the jitter
      }
    case 'bandwidth':
      return (remaining, arrivedMs, freeMs) => {
        const bytesPerMs = numberOf(toxic, 'rate')
        const bytes = Math.min(remaining, Math.max(1, Math.floor(bytesPerMs * 100)))
        const dueMs = Math.max(arrivedMs, freeMs) + bytes / bytesPerMs // Infinity at a rate of 0: never
        return { bytes, dueMs, freeMs: dueMs }
      }
    case 'slicer':
      return (remaining, arrivedMs, freeMs) => {
        const size = Math.max(1, Math.round(numberOf(toxic, 'average_size') + spread('size_variation')))
        const dueMs = Math.max(arrivedMs, freeMs)
        return { bytes: Math.min(remaining, size), dueMs, freeMs: dueMs + numberOf(toxic, 'delay') / 1000 }
      }
    default: // slow_drip
      return (remaining, arrivedMs, freeMs) => {
        const dueMs = Math.max(arrivedMs, freeMs)
        return {
          bytes: Math.min(remaining, Math.round(numberOf(toxic, 'bytes'))),
          dueMs,
          freeMs: dueMs + numberOf(toxic, 'every_ms'),
        }
      }
  }
}

class PacedStage extends Stage {
  readonly #clock: Clock
  readonly #pace: Pace
  #queue: { rest: Buffer; readonly arrivedMs: number }[] = []
  #head = 0
  #heldBytes = 0
  #next: Piece | undefined
  #freeMs = Number.NEGATIVE_INFINITY
  #ended = false
  #disposed = false
  #cancelWake: (() => void) | undefined

  constructor(output: StageOutput, clock: Clock, pace: Pace) {
    super(output)
    this.#clock = clock
    this.#pace = pace
  }

  override get heldBytes(): number {
    return this.#heldBytes
  }

  override data(chunk: Buffer): void {
    this.#queue.push({ rest: chunk, arrivedMs: this.#clock.monoMs() })
    this.#heldBytes += chunk.length + CHUNK_OVERHEAD_BYTES
    this.#pump(false)
  }

  override end(): void {
    this.#ended = true
    this.#pump(false)
  }

  override updated(): void {
    this.#next = undefined
    this.#pump(false)
  }

  override heal(): boolean {
    this.#pump(true)
    return true
  }

  override dispose(): void {
    this.#disposed = true
    this.#queue = []
    this.#heldBytes = 0
    this.#cancelWake?.()
  }

  #pump(all: boolean): void {
    this.#cancelWake?.()
    this.#cancelWake = undefined
    for (let head = this.#queue[this.#head]; head !== undefined; head = this.#queue[this.#head]) {
      this.#next ??= this.#pace(head.rest.length, head.arrivedMs, this.#freeMs)
      const piece = this.#next
      const waitMs = piece.dueMs - this.#clock.monoMs()
      if (waitMs > 0 && !all) return this.#wakeIn(waitMs)
      this.#next = undefined
      this.#freeMs = piece.freeMs
      this.#release(head, all ? head.rest.length : piece.bytes)
      if (this.#disposed) return
    }
    if (!this.#ended) return
    this.#ended = false // passed on once
    this.output.end()
  }

  #release(head: { rest: Buffer }, bytes: number): void {
    const piece = head.rest.subarray(0, bytes)
    head.rest = head.rest.subarray(bytes)
    this.#heldBytes -= bytes
    if (head.rest.length === 0) {
      this.#heldBytes -= CHUNK_OVERHEAD_BYTES
      this.#head++
      if (this.#head === this.#queue.length || this.#head > 1024) {
        this.#queue = this.#queue.slice(this.#head)
        this.#head = 0
      }
    }
    this.output.data(piece)
  }

  #wakeIn(waitMs: number): void {
    if (waitMs === Number.POSITIVE_INFINITY) return
    this.#cancelWake = this.#clock.schedule(Math.min(Math.ceil(waitMs), 2_147_483_647), () => this.#pump(false))
  }
}
