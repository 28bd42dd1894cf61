// A lane: what is in memory of the undone deliveries of one (target, lane), and how far it has been read. What has no key goes in the
// order in which it is due; of a key one at a time, the oldest first, and the key waits until that one is settled. Pure.
// Invariants:
//   LN2. Of a key only one is under way, the oldest in memory, and its successor not before that one is settled as done.
//   LN3. A delivery that is in memory, or was settled while a read was under way, is not taken in again.

import type { Gate, Lease } from './gate.ts'
import type { Delivery } from './kind.ts'
import { Ring } from './ring.ts'
import type { DeliveryRow, Repeats } from './store.ts'

/** A shard that this worker owns, as long as `validUntilMs` is ahead and nobody found it lost. */
export interface OwnedShard {
  readonly shard: number
  readonly epoch: number
  readonly repeats: Repeats | undefined
  /** On the monotonic clock. */
  validUntilMs: number
  /** It is to be given to another worker: nothing is begun any more. */
  isLeaving: boolean
}

/** A delivery in memory. */
export interface Item {
  readonly delivery: Delivery
  readonly lane: Lane
  readonly line: KeyLine | undefined
  readonly message: unknown
  readonly bytes: number
  /** When it became due, on the monotonic clock and on the database's. */
  readonly dueMs: number
  readonly dueUs: number
  startedMs: number
  lease: Lease
  /** An answer to it is on its way to be settled. */
  isEnded: boolean
}

/** What is in memory of a key. */
export interface KeyLine {
  readonly hash: number
  /** At most KEY_ROWS. */
  readonly queue: Item[]
  underWay: boolean
  lastId: number
  /** There is more after `lastId`. */
  hasMore: boolean
  /** Something older than `lastId` came later, or its next is not due yet: when it is empty it is read anew. */
  isStale: boolean
}

/** Rows of a key that are read at once: a hot key needs no round trip for each. */
export const KEY_ROWS = 16
/** Keys that are known to have something new; beyond it all keys are looked at. */
const FRESH_KEYS_MAX = 2_048
export const SCAN_FROM_START = -1

/** The lanes of a target, which share its gate. */
export interface TargetLanes {
  readonly gate: Gate
  readonly kind: string
  readonly lanes: Set<Lane>
  /** Lanes that wait for a permit of the target. */
  readonly waiting: Ring<Lane>
}

export class Lane {
  readonly of: TargetLanes
  readonly number: number
  readonly shard: OwnedShard
  /** Its shard is lost, or nothing is left of it. */
  isDropped = false
  /** In the ring of those that may send, or in one of those that wait for a permit. */
  isQueued = false
  /** Until when it may not send. */
  blockedMs = 0
  /** When the next that is not due yet will be, on the monotonic clock. */
  nextDueMs = Number.POSITIVE_INFINITY
  /** From where it is to be read then. */
  #dueFromUs = Number.POSITIVE_INFINITY
  #dueKeys = false
  underWay = 0
  size = 0
  /** About how many are undone, here and in the table; undefined: not counted yet. */
  undone: number | undefined
  countedMs = Number.NEGATIVE_INFINITY

  /** There may be due rows without a key after (afterUs, afterId). At 0 nothing was read yet, and the first that is known of begins. */
  hasMore = false
  afterUs = 0
  afterId = 0
  /** Keys after this one are still to be looked at; undefined: none. */
  scanAfter: number | undefined
  #scanAgain = false
  readonly freshKeys = new Set<number>()
  readonly lines = new Map<number, KeyLine>()

  readonly #queue = new Ring<Item>()
  readonly #readyLines = new Ring<KeyLine>()
  #keysTurn = false

  constructor(of: TargetLanes, number: number, shard: OwnedShard) {
    this.of = of
    this.number = number
    this.shard = shard
  }

  get targetId(): string {
    return this.of.gate.targetId
  }

  /** Something in it could be sent now. */
  get canSend(): boolean {
    return this.#queue.size > 0 || this.#readyLines.size > 0
  }

  /** There is something to be read for it. */
  get isHungry(): boolean {
    return this.hasMore || this.scanAfter !== undefined || this.freshKeys.size > 0
  }

  /** Nothing is in memory, under way, to be read or awaited. */
  get isIdle(): boolean {
    return this.size === 0 && this.underWay === 0 && !this.isHungry && this.nextDueMs === Number.POSITIVE_INFINITY
  }

  scan(): void {
    if (this.scanAfter === undefined) this.scanAfter = SCAN_FROM_START
    else this.#scanAgain = true
  }

  /** The scan has come to `key`; undefined: to the end. */
  scanned(key: number | undefined): void {
    this.scanAfter = key ?? (this.#scanAgain ? SCAN_FROM_START : undefined)
    if (key === undefined) this.#scanAgain = false
  }

  /** Something is due at `ms`, at `us` of the database's clock; undefined: the oldest of a key. */
  await(ms: number, us: number | undefined): void {
    this.nextDueMs = Math.min(this.nextDueMs, ms)
    if (us === undefined) this.#dueKeys = true
    else this.#dueFromUs = Math.min(this.#dueFromUs, us)
  }

  becameDue(): void {
    this.nextDueMs = Number.POSITIVE_INFINITY
    if (this.#dueKeys) this.scan()
    if (this.#dueFromUs < Number.POSITIVE_INFINITY) this.stepBackTo(this.#dueFromUs, 0)
    this.#dueKeys = false
    this.#dueFromUs = Number.POSITIVE_INFINITY
  }

  /** A row without a key is there that was not: it is read at its place, unless that is still ahead. */
  stepBackTo(dueUs: number, deliveryId: number): void {
    this.hasMore = true
    const isAhead = dueUs > this.afterUs || (dueUs === this.afterUs && deliveryId > this.afterId)
    if (isAhead && this.afterUs > 0) return
    this.afterUs = dueUs
    this.afterId = deliveryId - 1
  }

  stepTo({ due_us, delivery_id }: DeliveryRow): void {
    if (due_us < this.afterUs || (due_us === this.afterUs && delivery_id <= this.afterId)) return
    this.afterUs = due_us
    this.afterId = delivery_id
  }

  /** A row of `key` is there that was not. */
  freshen(key: number, deliveryId: number): void {
    const line = this.lines.get(key)
    if (line === undefined) this.#addFresh(key)
    else if (deliveryId > line.lastId) {
      line.hasMore = true
      this.#askFor(line)
    } else line.isStale = true
  }

  push(item: Item): void {
    this.size++
    const { line } = item
    if (line === undefined) return this.#queue.push(item)
    line.queue.push(item)
    if (!line.underWay && line.queue.length === 1) this.#readyLines.push(line)
  }

  /** The next to be sent, which is under way from now on. */
  shift(): Item | undefined {
    const fromKeys = this.#readyLines.size > 0 && (this.#keysTurn || this.#queue.size === 0)
    this.#keysTurn = !fromKeys
    const item = fromKeys ? this.#shiftLine() : this.#queue.shift()
    if (item === undefined) return undefined
    this.size--
    this.underWay++
    return item
  }

  #shiftLine(): Item | undefined {
    const line = this.#readyLines.shift() as KeyLine
    const item = line.queue.shift()
    line.underWay = item !== undefined
    this.#askFor(line)
    return item
  }

  /** It is not under way any more. Gives what must leave memory: a key whose oldest is to be tried again waits with all of it. */
  ended(item: Item, isDone: boolean): readonly Item[] {
    this.underWay--
    const { line } = item
    if (line === undefined || this.lines.get(line.hash) !== line) return []
    line.underWay = false
    if (!isDone) {
      this.lines.delete(line.hash)
      this.freshKeys.delete(line.hash)
      this.size -= line.queue.length
      return line.queue.splice(0)
    }
    if (line.queue.length > 0) this.#readyLines.push(line)
    else if (!line.hasMore || line.isStale) this.#endLine(line)
    return []
  }

  #endLine(line: KeyLine): void {
    this.lines.delete(line.hash)
    this.freshKeys.delete(line.hash)
    if (line.isStale || line.hasMore) this.#addFresh(line.hash)
  }

  /** Rows after those of the line were read and could not be taken in. */
  gaveBack(line: KeyLine): void {
    line.isStale = true
    this.exhausted(line)
  }

  /** Nothing more was found of a line: it goes as soon as nothing of it is under way. */
  exhausted(line: KeyLine): void {
    line.hasMore = false
    if (!line.underWay && line.queue.length === 0) this.#endLine(line)
  }

  #askFor(line: KeyLine): void {
    if (line.hasMore && line.queue.length <= KEY_ROWS / 2) this.#addFresh(line.hash)
  }

  #addFresh(key: number): void {
    if (this.freshKeys.size < FRESH_KEYS_MAX) this.freshKeys.add(key)
    else if (this.lines.has(key)) (this.lines.get(key) as KeyLine).isStale = true
    else this.scan()
  }

  /** Takes everything out of memory that is not under way; it is read again when the lane may go on. */
  clear(): readonly Item[] {
    const items = this.#queue.drain()
    const hadKeys = this.lines.size > 0 || this.freshKeys.size > 0 || this.scanAfter !== undefined
    this.#readyLines.drain()
    for (const line of this.lines.values()) {
      items.push(...line.queue.splice(0))
      // What is under way keeps its line, so that nothing of its key overtakes it.
      if (line.underWay) line.isStale = true
      else this.lines.delete(line.hash)
    }
    this.freshKeys.clear()
    this.size = 0
    for (const { line, dueUs, delivery } of items) if (line === undefined) this.stepBackTo(dueUs, delivery.deliveryId)
    if (hadKeys) this.scan()
    return items
  }
}
