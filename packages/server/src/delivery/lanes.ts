// All lanes of a worker: who sends next, what is to be read, and the bounds of both. Lanes that can send stand in one ring, so that
// each gets its turn however much another has; a lane that may not send holds no place in memory that one that may could use. Pure.
// Invariants:
//   LN4. Lanes that may send are served in turns; one that hangs or fails takes from the others neither turns, nor memory, nor the last
//        permit.
//   LN5. At most `underWayMax` deliveries are under way or unsettled, and `rowsMax` rows and about `bytesMax` bytes in memory.

import type { Random } from '@ripstop/kernel'
import { Gate, type Leave } from './gate.ts'
import type { Target } from './kind.ts'
import { type Item, type KeyLine, Lane, type OwnedShard, type TargetLanes } from './lane.ts'
import { Ring } from './ring.ts'

/** When a delivery is due again, for us and for the database. */
export interface Due {
  readonly inMs: number
  readonly us: number
}

export interface LaneLimits {
  readonly underWayMax: number
  readonly rowsMax: number
  readonly bytesMax: number
}

/** More lanes than rowsMax / 4, all of them full and hanging, would leave no room until their breakers open. */
const LANE_ROWS_MIN = 4
const LANE_ROWS_MAX = 1_024
/** Below it a read for little room would be a round trip for little. */
const ROOM_MIN = 64
/** How soon it is asked again whether a lease that ran out was renewed. */
const LEASE_AGAIN_MS = 50

export class Lanes {
  /** By delivery id: in memory, under way, or not settled yet. */
  readonly held = new Map<number, Item>()
  /** Lanes with something to read. */
  readonly hungry = new Set<Lane>()
  readonly targets = new Map<string, TargetLanes>()
  underWay = 0
  bytes = 0
  size = 0
  /** When `wake` has something to do. */
  nextWakeMs = Number.POSITIVE_INFINITY
  readonly #limits: LaneLimits
  readonly #random: Random
  readonly #ready = new Ring<Lane>()
  /** They wait until permits of the process are less scarce. */
  readonly #crowded = new Ring<Lane>()
  /** They wait for a time. */
  readonly #timed = new Set<Lane>()
  /** Ids that were settled while a read was under way, which may still show them; undefined: none is. */
  #settledMeanwhile: Set<number> | undefined

  constructor(limits: LaneLimits, random: Random) {
    this.#limits = limits
    this.#random = random
  }

  /** The lane, made if it is not there. */
  open(targetId: string, number: number, kind: string, shard: OwnedShard): Lane {
    let of = this.targets.get(targetId)
    if (of === undefined) {
      of = { gate: new Gate(targetId, this.#random), kind, lanes: new Set(), waiting: new Ring() }
      this.targets.set(targetId, of)
    }
    for (const lane of of.lanes) if (lane.number === number && lane.shard === shard) return lane
    const lane = new Lane(of, number, shard)
    of.lanes.add(lane)
    this.size++
    return lane
  }

  *all(): Iterable<Lane> {
    for (const { lanes } of this.targets.values()) yield* lanes
  }

  /** How many rows a lane may have in memory: all have their share. */
  get laneRowsMax(): number {
    const { rowsMax, underWayMax } = this.#limits
    const share = Math.floor((rowsMax - underWayMax) / Math.max(1, this.size))
    return Math.max(LANE_ROWS_MIN, Math.min(LANE_ROWS_MAX, share))
  }

  /** Rows that may still be read. */
  get room(): number {
    return this.bytes >= this.#limits.bytesMax ? 0 : Math.max(0, this.#limits.rowsMax - this.held.size)
  }

  /** Something is to be read, and there is room for it. */
  get isHungry(): boolean {
    const roomMin = Math.min(ROOM_MIN, this.laneRowsMax / 2)
    return this.hungry.size > 0 && (this.room >= roomMin || this.held.size === 0)
  }

  /** Lanes that took more than their share when they were few give it back, if others need room. */
  makeRoom(): void {
    if (this.hungry.size === 0 || this.isHungry) return
    const { laneRowsMax } = this
    for (const lane of this.all()) {
      if (lane.size <= laneRowsMax) continue
      this.release(lane)
      this.feed(lane)
    }
  }

  /** The lane has something new to be read; it will be, once it is low. */
  feed(lane: Lane): void {
    if (lane.isDropped || !lane.isHungry || lane.blockedMs > 0 || lane.size > this.laneRowsMax / 2) return
    if (lane.of.gate.isActive && !lane.shard.isLeaving) this.hungry.add(lane)
  }

  /** From here to `readEnded` settled ids are remembered: the read's snapshot may show them. */
  readBegan(): void {
    this.#settledMeanwhile = new Set()
  }

  readEnded(): void {
    this.#settledMeanwhile = undefined
  }

  /** A row that was read may be taken in (LN3). */
  isNew(deliveryId: number): boolean {
    return !this.held.has(deliveryId) && this.#settledMeanwhile?.has(deliveryId) !== true
  }

  put(item: Item): void {
    const { lane } = item
    if (lane.isDropped) return
    this.held.set(item.delivery.deliveryId, item)
    this.bytes += item.bytes
    lane.push(item)
    this.#queue(lane)
  }

  #queue(lane: Lane): void {
    if (lane.isQueued || lane.isDropped || !lane.canSend || lane.blockedMs > 0) return
    lane.isQueued = true
    this.#ready.push(lane)
  }

  /** The next to be sent, under way from now on; undefined: nothing may be sent now. */
  take(nowMs: number): Item | undefined {
    if (this.underWay >= this.#limits.underWayMax) return undefined
    for (let left = this.#ready.size; left > 0; left--) {
      const lane = this.#ready.shift() as Lane
      lane.isQueued = false
      if (lane.isDropped || !lane.canSend) continue
      const item = this.#takeOf(lane, nowMs)
      if (item === undefined) continue
      this.#queue(lane)
      this.feed(lane)
      return item
    }
    return undefined
  }

  #takeOf(lane: Lane, nowMs: number): Item | undefined {
    const { shard, of } = lane
    if (shard.isLeaving) return this.release(lane)
    if (shard.validUntilMs <= nowMs) return this.#block(lane, nowMs + LEASE_AGAIN_MS)
    // No target may have more permits than are left for all others: there is always one for whoever has none.
    const permitsLeft = this.#limits.underWayMax - this.underWay
    const leave = of.gate.ask(nowMs, permitsLeft)
    if (leave.is !== 'given') return this.#wait(lane, leave, nowMs, permitsLeft)
    const item = lane.shift() as Item
    item.lease = leave.lease
    item.startedMs = nowMs
    this.underWay++
    return item
  }

  #wait(lane: Lane, leave: Exclude<Leave, { is: 'given' }>, nowMs: number, permitsLeft: number): undefined {
    switch (leave.is) {
      case 'permit':
        lane.isQueued = true
        if (lane.of.gate.underWay >= permitsLeft) this.#crowded.push(lane)
        else lane.of.waiting.push(lane)
        return
      case 'parked':
        return this.release(lane)
      case 'later':
        if (leave.isLong) this.release(lane)
        return this.#block(lane, nowMs + leave.inMs)
      default:
        leave satisfies never
    }
  }

  #block(lane: Lane, untilMs: number): undefined {
    lane.blockedMs = untilMs
    this.hungry.delete(lane)
    this.#timed.add(lane)
    this.nextWakeMs = Math.min(this.nextWakeMs, untilMs)
  }

  /** What it has in memory makes place for others; it is read again when it may send. */
  release(lane: Lane): undefined {
    this.#forget(lane.clear())
    this.hungry.delete(lane)
  }

  #forget(items: readonly Item[]): void {
    for (const { delivery, bytes } of items) {
      this.held.delete(delivery.deliveryId)
      this.bytes -= bytes
    }
  }

  /** It was answered; undefined: that tells nothing about its target. */
  answered(item: Item, passed: boolean | undefined, nowMs: number): void {
    const { of } = item.lane
    if (of.gate.answered(item.lease, passed, nowMs)) for (const lane of of.lanes) this.#unblock(lane)
    this.#requeueOne(of.waiting)
  }

  #requeueOne(waiting: Ring<Lane>): void {
    for (let lane = waiting.shift(); lane !== undefined; lane = waiting.shift()) {
      lane.isQueued = false
      this.#queue(lane)
      if (lane.isQueued) return
    }
  }

  /** It is settled: its permit is free. `due`: it will be due again. */
  settled(item: Item, due: Due | undefined, nowMs: number): void {
    const { lane } = item
    this.#ended(item, due === undefined)
    if (due !== undefined) this.await(lane, due.inMs, item.line === undefined ? due.us : undefined, nowMs)
    else if (lane.undone !== undefined) lane.undone = Math.max(0, lane.undone - 1)
    this.feed(lane)
    this.#queue(lane)
  }

  /** Its shard is lost: whoever has it now decides. */
  lost(item: Item): void {
    this.#ended(item, false)
  }

  #ended(item: Item, isDone: boolean): void {
    this.underWay--
    this.#forget([item])
    this.#settledMeanwhile?.add(item.delivery.deliveryId)
    this.#forget(item.lane.ended(item, isDone))
    this.#requeueOne(this.#crowded)
  }

  /** Something of the lane is due in `ms`: from `us` on, or, undefined, the oldest of a key. */
  await(lane: Lane, ms: number, us: number | undefined, nowMs: number): void {
    if (lane.isDropped) return
    lane.await(nowMs + Math.max(1, ms), us)
    this.#timed.add(lane)
    this.nextWakeMs = Math.min(this.nextWakeMs, lane.nextDueMs)
  }

  /** Wakes the lanes whose time has come. */
  wake(nowMs: number): void {
    let nextMs = Number.POSITIVE_INFINITY
    for (const lane of this.#timed) {
      if (lane.nextDueMs <= nowMs) lane.becameDue()
      if (lane.blockedMs <= nowMs) this.#unblock(lane)
      const laneMs = Math.min(lane.nextDueMs, lane.blockedMs > 0 ? lane.blockedMs : Number.POSITIVE_INFINITY)
      if (lane.isDropped || laneMs === Number.POSITIVE_INFINITY) this.#timed.delete(lane)
      else nextMs = Math.min(nextMs, laneMs)
    }
    this.nextWakeMs = nextMs
  }

  #unblock(lane: Lane): void {
    lane.blockedMs = 0
    this.#queue(lane)
    this.feed(lane)
  }

  /** What is known of a target now. */
  know(targetId: string, target: Target | undefined, nowMs: number): void {
    const of = this.targets.get(targetId)
    if (of === undefined) return
    const wasActive = of.gate.isActive
    of.gate.become(target, nowMs)
    if (of.gate.isActive === wasActive) return
    for (const lane of of.lanes) {
      if (wasActive) this.release(lane)
      else this.feed(lane)
    }
  }

  /** A line for a key that is not in memory. */
  openLine(lane: Lane, hash: number): KeyLine {
    const line = { hash, queue: [], underWay: false, lastId: 0, hasMore: false, isStale: false }
    lane.lines.set(hash, line)
    return line
  }

  /** Takes a lane out: its shard went to another worker, or it is idle. What is under way stays held until it is settled. */
  drop(lane: Lane): void {
    this.release(lane)
    lane.isDropped = true
    this.#timed.delete(lane)
    lane.of.lanes.delete(lane)
    this.size--
  }

  /** Drops lanes that have nothing, and targets that nothing is left of. */
  tidy(nowMs: number): void {
    for (const [targetId, { gate, lanes }] of this.targets) {
      for (const lane of [...lanes]) if (lane.isIdle) this.drop(lane)
      if (lanes.size === 0 && gate.underWay === 0 && !gate.isHeld(nowMs)) this.targets.delete(targetId)
    }
  }
}
