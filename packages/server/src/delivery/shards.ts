// The shards that this worker owns. A lease lasts leaseMs of the database's clock from its renewal; here it is counted on the
// monotonic clock from before the renewal was sent, so that ours is over before anyone may claim it, however slow the answer was.
// A renewal that comes too late takes the lease up again if nobody claimed the shard meanwhile: its epoch says so.
// Shares are fair: each of the workers that were seen within a lease has at most its part, rounded up.
// Invariants:
//   DS3. A shard is sent from only while its lease, counted so, lasts; a process that was frozen past it sends nothing on.
//   DS4. Shards of a worker that is gone are owned again after a lease and a turn; a worker that starts anew under its old id has its
//        own back at once.
//   DS5. A shard is let go to another worker only when nothing of it is under way or unsettled; only then is it said to repeat nothing.

import type { OwnedShard } from './lane.ts'
import { SHARDS } from './placing.ts'
import type { Claimed, Renewed } from './shard-store.ts'

/** For clocks that run apart within a lease: a thousandth is twenty times what a bad one does. */
const SAFETY = 0.999

export class Shards {
  readonly owned = new Map<number, OwnedShard>()
  readonly #leaseMs: number
  #workers = 1

  constructor(leaseMs: number) {
    this.#leaseMs = leaseMs
  }

  get share(): number {
    return Math.ceil(SHARDS / this.#workers)
  }

  /** How many more this worker may claim. */
  get wanted(): number {
    return Math.max(0, this.share - this.owned.size)
  }

  /** Held and not leaving: what is read. */
  get numbers(): readonly number[] {
    return [...this.owned.values()].filter(({ isLeaving }) => !isLeaving).map(({ shard }) => shard)
  }

  /** Takes over the answer of a renewal that was sent at `sentMs` for `asked`; gives the shards that are lost. */
  renewed(asked: readonly OwnedShard[], { shards, workers }: Renewed, sentMs: number): readonly OwnedShard[] {
    const kept = new Set(shards)
    const lost: OwnedShard[] = []
    for (const shard of asked) {
      if (kept.has(shard.shard)) shard.validUntilMs = sentMs + this.#leaseMs * SAFETY
      else {
        this.owned.delete(shard.shard)
        lost.push(shard)
      }
    }
    this.#workers = workers
    this.#shed()
    return lost
  }

  /** More than its share: the last ones are to leave. Fewer: those that were to leave stay. */
  #shed(): void {
    let place = 0
    for (const shard of this.owned.values()) shard.isLeaving = ++place > this.share
  }

  claimed(claimed: readonly Claimed[], sentMs: number): readonly OwnedShard[] {
    return claimed.map(({ shard, epoch, repeats }) => {
      const owned = { shard, epoch, repeats, validUntilMs: sentMs + this.#leaseMs * SAFETY, isLeaving: false }
      this.owned.set(shard, owned)
      return owned
    })
  }

  released(shards: readonly OwnedShard[]): void {
    for (const { shard } of shards) this.owned.delete(shard)
  }

  /** A completion was refused: another worker has it. */
  lost(shard: OwnedShard): void {
    if (this.owned.get(shard.shard) === shard) this.owned.delete(shard.shard)
    shard.validUntilMs = Number.NEGATIVE_INFINITY
  }
}
