// The part of a session's log that Redis has: its records name the one before them, so that they are found from the last one backwards, however
// much of other sessions lies between. What the session as it stands rests on is found so, and nothing that was superseded.

import type { Ctx, Link } from '@ripstop/kernel'
import type { Redis } from 'ioredis'
import type { LogEntry } from '#session-log'
import { memberOf, sessionKeyOf, shardOf } from './redis-keys.ts'
import { decodeRecord } from './redis-record.ts'
import { runScript, WALK } from './redis-scripts.ts'
import type { LogQuery } from './store.ts'

/** Records of one step, 2 us of Redis each. */
const STEP = 64
/** What is in Postgres too is walked if it is so near: whoever comes back asks for a few entries, and Postgres is spared. */
const NEAR = 512

export interface Tail {
  /** After `afterVersion`, without a gap up to the last one: all that are not drained, and before them what is near. */
  readonly entries: readonly LogEntry[]
  /** From which version on nobody else need be asked. */
  readonly since: number
}

export async function readTail(link: Link<Redis>, ctx: Ctx, query: LogQuery): Promise<Tail> {
  const { afterVersion } = query
  const reversed: LogEntry[] = []
  let at = ''
  let lowest = Number.POSITIVE_INFINITY
  do {
    const from = at
    const step = await link.call(ctx, (redis) => walk(redis, query, from), { idempotent: true })
    for (const entry of step.reversed) {
      lowest = entry.version
      if (entry.version > afterVersion) reversed.push(entry)
    }
    at = step.next
    const isWanted = isAfter(at, step.drained) || lowest - afterVersion <= NEAR
    if (!isWanted) break
  } while (at !== '' && lowest > afterVersion + 1)
  return { entries: reversed.toReversed(), since: lowest }
}

interface Step {
  readonly drained: string
  /** Empty: there is nothing before. */
  readonly next: string
  readonly reversed: readonly LogEntry[]
}

async function walk(redis: Redis, query: LogQuery, at: string): Promise<Step> {
  const keys = shardOf(query.sessionId)
  const session = sessionKeyOf(keys, memberOf(query))
  const answer = await runScript<string[]>(redis, WALK, [session, keys.log, keys.drained], [at, STEP])
  const [drained = '', next = '', ...found] = answer
  const records = found.flatMap((text, place) => (place % 2 === 0 ? [] : [decodeRecord(text)]))
  const reversed = records.flatMap((record) => (record?.kind === 'commit' ? record.entries.toReversed() : []))
  return { drained: drained.split(' ')[0] ?? '', next, reversed }
}

/** Of ids in a stream; the empty one is before all. */
function isAfter(id: string, other: string): boolean {
  const [ms = 0, sequence = 0] = id.split('-').map(Number)
  const [otherMs = 0, otherSequence = 0] = other.split('-').map(Number)
  return ms > otherMs || (ms === otherMs && sequence > otherSequence)
}
