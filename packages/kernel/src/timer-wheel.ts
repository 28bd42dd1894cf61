// Timer wheel. One clock timer carries every deadline, backoff and heartbeat of the kernel: arming and disarming are
// a few pointer writes (a setTimeout and clearTimeout pair costs 0.35 us on Node 24, an AbortSignal.timeout 2.3 us).
// A hashed wheel with linked slots: Varghese & Lauck, "Hashed and Hierarchical Timing Wheels", SOSP 1987, scheme 6.
// The clock timer sleeps until the earliest entry's tick, so an idle wheel wakes nobody.
// Invariants:
//   T1. An armed entry fires exactly once, never before it is due, unless it is disarmed first; one that throws stops
//       no other.
//   T2. It fires within two ticks plus the stall of the event loop after it is due.
//   T3. With nothing armed no clock timer is left: what has been drained keeps no process alive.
//   T4. An entry that arms itself again while it fires can't keep the sweep from ending.

import type { Clock } from './clock.ts'

const TICK_MS = 10
const SLOTS = 512 // later entries wait in their slot for a later revolution
/** The longest sleep. A clock timer of weeks would overflow setTimeout's 32 bits and fire at once. */
const REVOLUTION_MS = TICK_MS * SLOTS

/** Something that can be armed. It is its own list node, so that arming allocates nothing. */
export abstract class WheelEntry {
  /** @internal */ wheelDueMs = 0
  /** @internal */ wheelPrevious: WheelEntry | undefined = undefined
  /** @internal */ wheelNext: WheelEntry | undefined = undefined
  /** Called once when due, outside any list: it may arm itself or others again. */
  abstract onDue(nowMs: number): void
}

class SlotHead extends WheelEntry {
  constructor() {
    super()
    this.wheelPrevious = this
    this.wheelNext = this
  }
  override onDue(): void {}
}

export class TimerWheel {
  readonly #clock: Clock
  readonly #slots: readonly SlotHead[] = Array.from({ length: SLOTS }, () => new SlotHead())
  readonly #taken = new SlotHead() // what the sweep took off a slot and has not looked at yet
  #armed = 0
  #sweptTick: number
  #wakeMs = Number.POSITIVE_INFINITY
  #cancelWake: (() => void) | undefined
  #stallMs = 0

  constructor(clock: Clock) {
    this.#clock = clock
    this.#sweptTick = Math.floor(clock.monoMs() / TICK_MS)
  }

  /** How many entries are armed. */
  get armed(): number {
    return this.#armed
  }

  /** How late the last wake-up was: the measured stall of the event loop, ms. */
  get stallMs(): number {
    return this.#stallMs
  }

  /** Arms `entry` to fire at `dueMs` (monotonic). Arming an armed entry moves it. */
  arm(entry: WheelEntry, dueMs: number): void {
    if (entry.wheelNext !== undefined) this.disarm(entry)
    entry.wheelDueMs = dueMs
    const dueTick = Math.floor(dueMs / TICK_MS)
    const tick = dueTick > this.#sweptTick ? dueTick : this.#sweptTick + 1
    append(this.#slots[tick % SLOTS] as SlotHead, entry)
    this.#armed++
    const wakeMs = (tick + 1) * TICK_MS
    if (wakeMs < this.#wakeMs) this.#wakeAt(wakeMs)
  }

  /** Disarms `entry`; harmless if it is not armed. */
  disarm(entry: WheelEntry): void {
    if (entry.wheelNext === undefined) return
    unlink(entry)
    // The clock timer is left alone: moving it would cost more than the one needless wake-up it may cause. Only the last
    // entry takes it along (T3); while a link is up its heartbeat is armed, so calls never are the last.
    if (--this.#armed > 0) return
    this.#cancelWake?.()
    this.#cancelWake = undefined
    this.#wakeMs = Number.POSITIVE_INFINITY
  }

  #wakeAt(wakeMs: number): void {
    this.#cancelWake?.()
    const nowMs = this.#clock.monoMs()
    // Never in the past: an entry that was due before it was armed must not look like a stall of the loop.
    this.#wakeMs = Math.min(Math.max(wakeMs, nowMs), nowMs + REVOLUTION_MS)
    this.#cancelWake = this.#clock.schedule(Math.ceil(this.#wakeMs - nowMs), () => this.#sweep())
  }

  #sweep(): void {
    const nowMs = this.#clock.monoMs()
    this.#stallMs = Math.max(0, nowMs - this.#wakeMs)
    this.#cancelWake = undefined
    this.#wakeMs = Number.POSITIVE_INFINITY
    const nowTick = Math.floor(nowMs / TICK_MS)
    const first = Math.max(this.#sweptTick + 1, nowTick - SLOTS + 1)
    const defects: unknown[] = []
    this.#sweptTick = nowTick // what is armed meanwhile goes to a later slot (T4)
    for (let tick = first; tick <= nowTick; tick++)
      this.#fireSlot(this.#slots[tick % SLOTS] as SlotHead, nowMs, defects)
    this.#sweptTick = nowTick - 1 // the running tick may still hold entries that are due before it ends
    if (this.#armed > 0) this.#wakeForEarliest(nowTick)
    if (defects.length > 0) throw defects[0]
  }

  /** Takes the slot's list as a whole and its entries one by one: onDue may arm, move or disarm any of them. */
  #fireSlot(head: SlotHead, nowMs: number, defects: unknown[]): void {
    if (head.wheelNext === head) return
    const taken = this.#taken
    const first = head.wheelNext as WheelEntry
    const last = head.wheelPrevious as WheelEntry
    taken.wheelNext = first
    first.wheelPrevious = taken
    taken.wheelPrevious = last
    last.wheelNext = taken
    head.wheelNext = head
    head.wheelPrevious = head
    for (let entry = taken.wheelNext as WheelEntry; entry !== taken; entry = taken.wheelNext as WheelEntry) {
      if (entry.wheelDueMs > nowMs) {
        unlink(entry)
        append(head, entry)
        continue
      }
      this.disarm(entry)
      try {
        entry.onDue(nowMs)
      } catch (error) {
        defects.push(error)
      }
    }
  }

  #wakeForEarliest(nowTick: number): void {
    for (let tick = nowTick; tick < nowTick + SLOTS; tick++) {
      const head = this.#slots[tick % SLOTS] as SlotHead
      for (let entry = head.wheelNext as WheelEntry; entry !== head; entry = entry.wheelNext as WheelEntry) {
        if (Math.floor(entry.wheelDueMs / TICK_MS) <= tick) return this.#earlier((tick + 1) * TICK_MS)
      }
    }
    this.#earlier((nowTick + SLOTS) * TICK_MS)
  }

  #earlier(wakeMs: number): void {
    if (wakeMs < this.#wakeMs) this.#wakeAt(wakeMs)
  }
}

function append(head: SlotHead, entry: WheelEntry): void {
  const last = head.wheelPrevious as WheelEntry
  entry.wheelPrevious = last
  entry.wheelNext = head
  last.wheelNext = entry
  head.wheelPrevious = entry
}

function unlink(entry: WheelEntry): void {
  const previous = entry.wheelPrevious as WheelEntry
  const next = entry.wheelNext as WheelEntry
  previous.wheelNext = next
  next.wheelPrevious = previous
  entry.wheelNext = undefined
  entry.wheelPrevious = undefined
}
