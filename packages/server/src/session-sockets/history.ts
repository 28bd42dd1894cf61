// What happened to a session since a place, as its log has it: for sockets that come back after longer than a channel remembers.
// Many come back at once, from the same place, when a process dies: each place is read once.
// Invariants:
//   FO7. A history since a place is only given where the log has that very place: of a branch that was left it has not.

import { type Ctx, RipstopError } from '@ripstop/kernel'
import type { SessionEvent, WirePlace } from '@ripstop/protocol/sessions'
import { type LogEntry, type LogLine, readLine } from '#session-log'
import type { SessionRef } from '#session-stores'
import type { SessionService } from '#sessions'
import { isAt, type ToldEvent } from './following.ts'
import type { InTurn } from './in-turn.ts'
import { writeEvent } from './versioned-wire.ts'

export interface HistoryDeps {
  readonly service: Pick<SessionService, 'log'>
  readonly reads: InTurn
  readonly eventsMax: number
}

/** What the log has after `place`; undefined: it has not that place, or more than `eventsMax` after it (FO7). */
export async function entriesSince(
  ctx: Ctx,
  { service, eventsMax }: Omit<HistoryDeps, 'reads'>,
  ref: SessionRef,
  place: WirePlace,
): Promise<readonly LogEntry[] | undefined> {
  const [first, ...rest] = await service.log(ctx, ref, { afterVersion: place.v - 1, limit: eventsMax + 2 })
  const isKnown = first !== undefined && isAt(place, first)
  return isKnown && rest.length <= eventsMax ? rest : undefined
}

export class Histories {
  readonly #deps: HistoryDeps
  readonly #ref: SessionRef
  readonly #reading = new Map<string, Promise<readonly ToldEvent[] | undefined>>()

  constructor(deps: HistoryDeps, ref: SessionRef) {
    this.#deps = deps
    this.#ref = ref
  }

  /** Undefined: it is not to be had; how the session stands will have to do. Never rejects. */
  since(place: WirePlace): Promise<readonly ToldEvent[] | undefined> {
    const key = `${place.e} ${place.v}`
    let reading = this.#reading.get(key)
    if (reading === undefined) {
      reading = this.#read(place)
        .catch(() => undefined)
        .finally(() => this.#reading.delete(key))
      this.#reading.set(key, reading)
    }
    return reading
  }

  async #read(place: WirePlace): Promise<readonly ToldEvent[] | undefined> {
    const entries = await this.#deps.reads((ctx) => entriesSince(ctx, this.#deps, this.#ref, place))
    let from = place
    return entries?.map((entry) => {
      const line = readLine(entry)
      const told = tell(from, line, changeOf(line))
      from = told
      return told
    })
  }
}

export function tell(from: WirePlace, line: LogLine, event: SessionEvent): ToldEvent {
  return { e: line.epoch, v: event.version, atMs: event.atMs, text: writeEvent(from, line, event) }
}

/** Throws for a creation: nothing comes before it, so it continues nothing. */
export function changeOf({ event }: LogLine): SessionEvent {
  if (event.kind === 'created') throw new RipstopError('CONFLICT', 'a session is created once')
  return event
}
