// A lane of the write-behind: some shards, read together and drained by one statement after the other. It remembers where cursors are, and asks
// only at first and when somebody else moved them.

import type { Counter, Ctx, Link, Metrics } from '@ripstop/kernel'
import type { PostgresPool } from '@ripstop/kernel/postgres'
import type { Redis } from 'ioredis'
import type { Log } from '#platform/telemetry'
import { markRecord, type Planned, planBatch, type ReadRecord, type StreamEntry, toRecord } from './drain-batch.ts'
import { type Drained, drain, type Mark, NO_MARK, readCursors } from './drain-store.ts'
import { resultsOf } from './redis-backlog.ts'
import { memberOf, type ShardKeys, sessionKeyOf } from './redis-keys.ts'
import { runScript, SETTLE } from './redis-scripts.ts'
import { ENDED_TTL_MS } from './redis-store.ts'

const KEEP_MS = 600_000
/** Records of a shard that are read at once. It begins with few: what they hold may be large. The bound keeps a batch from holding up the process. */
const COUNT_MIN = 8
const COUNT_MAX = 256
const BYTES_MAX = 262_144

export interface DrainLaneDeps {
  readonly log: Log
  readonly metrics: Metrics
  readonly redis: Link<Redis>
  readonly link: Link<PostgresPool>
  readonly keys: readonly ShardKeys[]
  readonly endedTtlMs?: number | undefined
  readonly keepMs?: number | undefined
}

interface Shard {
  readonly keys: ShardKeys
  /** As Postgres has it. */
  cursor: Mark
  /** The stream does not have the cursor's record: read from the beginning. */
  isAstray: boolean
  /** Of the cursor's record; undefined: Redis is to be told again what is drained. */
  number: number | undefined
  count: number
}

interface Taken {
  readonly shard: Shard
  readonly records: readonly ReadRecord[]
  /** The cursor's own record, if it was found. */
  readonly standing: ReadRecord | undefined
  readonly isFull: boolean
}

export class DrainLane {
  readonly #deps: DrainLaneDeps
  readonly #forks: Counter
  readonly #unreadable: Counter
  /** Undefined: cursors are to be asked for. */
  #shards: readonly Shard[] | undefined

  constructor(deps: DrainLaneDeps) {
    this.#deps = deps
    const { metrics } = deps
    this.#forks = metrics.counter(
      'sessions_forks_total',
      'Entries that were there with another hash: two authorities wrote',
    )
    this.#unreadable = metrics.counter(
      'sessions_write_behind_unreadable_total',
      'Records in Redis that no session wrote',
    )
  }

  /** Another process may move the cursors from now on. */
  forget(): void {
    this.#shards = undefined
  }

  /** Whatever it was: it may have been too much at once. */
  failed(): void {
    for (const shard of this.#shards ?? []) {
      shard.count = Math.max(1, shard.count >> 1)
      shard.number = undefined
    }
  }

  /** Drains what there is, up to a bound; true: there may be more. */
  async turn(ctx: Ctx): Promise<boolean> {
    const { link } = this.#deps
    this.#shards ??= await this.#open(ctx)
    const shards = this.#shards
    const read = await this.#read(ctx, shards)
    const plan = planBatch(read.map(({ shard, records }) => ({ shard: shard.keys.shard, from: shard.cursor, records })))
    const drained = plan.last.size === 0 ? { isDone: true, forks: [] } : await drain(link, ctx, plan.batch)
    if (!drained.isDone) {
      this.forget()
      return true
    }
    this.#tell(plan, drained)
    await this.#settle(ctx, read, plan)
    return read.some(({ isFull }) => isFull)
  }

  async #open(ctx: Ctx): Promise<readonly Shard[]> {
    const { link, keys } = this.#deps
    const cursors = await readCursors(
      link,
      ctx,
      keys.map(({ shard }) => shard),
    )
    return keys.map((of) => {
      const cursor = cursors.get(of.shard) ?? NO_MARK
      return { keys: of, cursor, isAstray: false, number: undefined, count: COUNT_MIN }
    })
  }

  /** From the cursors on, their own records included: that they are there is the proof that nothing is missed (WB7). */
  async #read(ctx: Ctx, shards: readonly Shard[]): Promise<readonly Taken[]> {
    const ask = (redis: Redis) => {
      const pipeline = redis.pipeline()
      for (const { keys, cursor, isAstray, count } of shards) {
        const from = isAstray || cursor.id === '' ? '-' : cursor.id
        pipeline.xrange(keys.log, from, '+', 'COUNT', count + 1)
      }
      return resultsOf<StreamEntry[]>(pipeline)
    }
    const answers = await this.#deps.redis.call(ctx, ask, { idempotent: true })
    return shards.map((shard, place) => this.#take(shard, answers[place] ?? []))
  }

  #take(shard: Shard, entries: readonly StreamEntry[]): Taken {
    const { cursor, keys, isAstray } = shard
    const found = entries.map(toRecord)
    const [first] = found
    const isFull = adapt(shard, found)
    if (cursor.id === '' || isAstray) return { shard, records: found, standing: undefined, isFull }
    if (first !== undefined && first.id === cursor.id && markRecord(first).hash === cursor.hash) {
      return { shard, records: found.slice(1), standing: first, isFull }
    }
    shard.isAstray = true
    const { log } = this.#deps
    log.warn({ event: 'session.stream_replaced', shard: keys.shard, cursor: cursor.id, found: first?.id })
    return { shard, records: [], standing: undefined, isFull: true }
  }

  #tell({ unreadable }: Planned, { forks }: Drained): void {
    const { log } = this.#deps
    this.#forks.add(forks.length)
    for (const fork of forks) log.error({ event: 'session.forked', ...fork })
    this.#unreadable.add(unreadable.length)
    for (const record of unreadable) log.error({ event: 'session.record_unreadable', ...record })
  }

  /** Redis is told how far it is drained, and forgets what it need not keep. */
  async #settle(ctx: Ctx, read: readonly Taken[], plan: Planned): Promise<void> {
    const { redis, keepMs = KEEP_MS, endedTtlMs = ENDED_TTL_MS } = this.#deps
    const ended = Map.groupBy(plan.ended, ({ shard }) => shard)
    const settled = read.flatMap(({ shard, standing }) => {
      const { keys } = shard
      const last = plan.last.get(keys.shard)
      if (last !== undefined) Object.assign(shard, { cursor: markRecord(last), isAstray: false, number: undefined })
      const record = last ?? (shard.number === undefined ? standing : undefined)
      if (record === undefined) return []
      const over = last === undefined ? [] : (ended.get(keys.shard) ?? [])
      return [
        { shard, record, keys: [keys.drained, keys.log, ...over.map((place) => sessionKeyOf(keys, memberOf(place)))] },
      ]
    })
    if (settled.length === 0) return
    const run = (client: Redis) =>
      Promise.all(
        settled.map(({ record: { id, number }, keys }) => {
          const keptFrom = `${Math.max(0, Number.parseInt(id, 10) - keepMs)}-0`
          return runScript(client, SETTLE, keys, [`${id} ${number}`, keptFrom, endedTtlMs])
        }),
      )
    await redis.call(ctx, run, { idempotent: true })
    for (const { shard, record } of settled) shard.number = record.number
  }
}

/** More at once while it goes well; true: there is more than was read. */
function adapt(shard: Shard, found: readonly ReadRecord[]): boolean {
  const isFull = found.length > shard.count
  const bytes = found.reduce((sum, { text }) => sum + text.length, 0)
  if (bytes > BYTES_MAX) shard.count = Math.max(1, shard.count >> 1)
  else if (isFull) shard.count = Math.min(COUNT_MAX, 2 * shard.count)
  return isFull
}
