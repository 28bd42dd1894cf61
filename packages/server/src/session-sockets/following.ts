// Following a session: which of the events that are heard come next, and which can be told again to somebody who comes back.
// Pure; a place is (epoch, version), and the same place is the same session.
// Invariants:
//   FO2. Events are taken only from the place that they continue; what was taken is never taken twice, and a hole is noticed.
//   FO3. What is replayed since a place is everything after it, in order, without a hole; or nothing, where the place is not known.

import type { WirePlace } from '@ripstop/protocol/sessions'

/** One event, ready to be told. */
export interface ToldEvent extends WirePlace {
  readonly atMs: number
  readonly text: string
}

interface Entry {
  readonly epoch: number
  readonly version: number
}

/** `next`: how many entries are to be left out, as they were taken before. */
export type Step =
  | { readonly kind: 'next'; readonly skip: number }
  | { readonly kind: 'old' }
  | { readonly kind: 'gap' }

/** What to do with `entries`, which continue `from`, standing at `place` (FO2). */
export function stepTo(place: WirePlace, from: Entry, entries: readonly Entry[]): Step {
  if (isAt(place, from)) return entries.length === 0 ? { kind: 'old' } : { kind: 'next', skip: 0 }
  const known = entries.findIndex((entry) => isAt(place, entry))
  if (known >= 0) return known === entries.length - 1 ? { kind: 'old' } : { kind: 'next', skip: known + 1 }
  const last = entries.at(-1)
  const isOld = last === undefined || isBeyond(place, { e: last.epoch, v: last.version })
  return isOld ? { kind: 'old' } : { kind: 'gap' }
}

/** Is `place` later than `other`? */
export function isBeyond(place: WirePlace, other: WirePlace): boolean {
  return place.e > other.e || (place.e === other.e && place.v > other.v)
}

export function isAt({ e, v }: WirePlace, { epoch, version }: Entry): boolean {
  return e === epoch && v === version
}

/** A session that is quiet keeps what happened in its last minute; one that is busy, so many characters. */
const KEPT_MS = 60_000
const KEPT_CHARS_MAX = 65_536

/** The last events of a session (FO3). */
export class EventRing {
  readonly #eventsMax: number
  #from: WirePlace
  #events: ToldEvent[] = []
  #chars = 0

  constructor(eventsMax: number, from: WirePlace) {
    this.#eventsMax = eventsMax
    this.#from = from
  }

  push(event: ToldEvent): void {
    this.#events.push(event)
    this.#chars += event.text.length
    for (let oldest = this.#events[0]; oldest !== undefined && this.#isTooMuch(oldest, event); ) {
      this.#events.shift()
      this.#chars -= oldest.text.length
      this.#from = { e: oldest.e, v: oldest.v }
      oldest = this.#events[0]
    }
  }

  /** Remembers `earlier`, which came after `place`, where it leads to what is known and there is room for all: others will ask for it too. */
  extend(place: WirePlace, earlier: readonly ToldEvent[]): void {
    const { e, v } = this.#from
    const joint = earlier.findIndex((event) => event.v === v && event.e === e)
    const added = earlier.slice(0, joint + 1)
    const chars = added.reduce((sum, { text }) => sum + text.length, this.#chars)
    if (joint < 0 || added.length + this.#events.length > this.#eventsMax || chars > KEPT_CHARS_MAX) return
    this.#events.unshift(...added)
    this.#chars = chars
    this.#from = place
  }

  /** The texts of what came after `place`; undefined: it is not known here. */
  since({ e, v }: WirePlace): readonly string[] | undefined {
    if (this.#from.e === e && this.#from.v === v) return this.#events.map(({ text }) => text)
    const known = this.#events.findLastIndex((event) => event.v === v && event.e === e)
    return known < 0 ? undefined : this.#events.slice(known + 1).map(({ text }) => text)
  }

  #isTooMuch(oldest: ToldEvent, newest: ToldEvent): boolean {
    if (oldest === newest) return this.#chars > KEPT_CHARS_MAX
    return this.#events.length > this.#eventsMax || this.#chars > KEPT_CHARS_MAX || newest.atMs - oldest.atMs > KEPT_MS
  }
}
