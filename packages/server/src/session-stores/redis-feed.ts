// What was committed, as it happens: Redis's channels, one a shard, heard on a connection of their own and only while sessions of theirs are
// watched. A channel loses what is said while nobody hears: whenever that may have been, watchers are told of a gap, and load.
// Invariants:
//   RF1. A watcher hears of every commit that was made after it began to hear, or of a gap after it; it begins with a gap unless the shard was
//        heard already.
//   RF2. A connection that is there but deaf is found out: the link's probe is a message of our own that must come back over its channel.
//   RF3. Watchers of other sessions cost a comparison of names, sessions of shards that nobody watches nothing.

import { type Adapter, type Ctx, createId, type GenerationEvents, type Link, type Mesh } from '@ripstop/kernel'
import type { Redis } from 'ioredis'
import { MEMBER_LENGTH, refOf, SHARD_KEYS, type ShardKeys, shardOf } from './redis-keys.ts'
import { decodeRecord, type StreamRecord } from './redis-record.ts'
import type { FeedMessage, SessionRef } from './store.ts'
import { createWatchers, type Watchers } from './watchers.ts'

const NAME = 'redis.sessions-feed'
const DEADLINE_MS = 1_000

type Listener = (message: FeedMessage) => void

export interface RedisFeedDeps {
  readonly mesh: Mesh
  /** As of the store's own link: this makes a link of its own of it. */
  readonly adapter: Adapter<Redis>
}

export interface RedisFeed {
  /** Start it with `link.start()`. Nothing is called through it: it hears, or it does not. */
  readonly link: Link<Redis>
  watch(ref: SessionRef, listener: Listener): Disposable
}

/** Registers the link `redis.sessions-feed`. */
export function createRedisFeed({ mesh, adapter }: RedisFeedDeps): RedisFeed {
  const hearing = new Hearing()
  const link = mesh.link(
    NAME,
    createHearingAdapter(adapter, hearing, `ripstop:canary:${createId(mesh.env.clock.wallMs())}`),
    { deadlineMs: DEADLINE_MS, critical: false, recoverWithinMs: 1_500 },
    { name: 'redis', kind: 'cache' },
  )
  return { link, watch: (ref, listener) => hearing.watch(ref, listener) }
}

/** What is watched, and the connections that hear of it: more than one while one is renewed. */
class Hearing {
  readonly #watchers = SHARD_KEYS.map(createWatchers)
  readonly #ears = new Map<Redis, Ear>()

  watch(ref: SessionRef, listener: Listener): Disposable {
    const keys = shardOf(ref.sessionId)
    const watchers = this.#of(keys)
    const isFirst = watchers.size === 0
    const watch = watchers.add(ref, listener)
    if (isFirst) for (const ear of this.#ears.values()) void ear.hear([keys])
    return {
      [Symbol.dispose]: () => {
        watch[Symbol.dispose]()
        if (watchers.size === 0) for (const ear of this.#ears.values()) ear.leave(keys)
      },
    }
  }

  /** A connection is there: it hears what is watched from when this resolves. */
  async opened(redis: Redis, events: GenerationEvents, canary: string): Promise<void> {
    const ear = new Ear(redis, events, canary, this)
    this.#ears.set(redis, ear)
    await redis.subscribe(canary)
    await ear.hear(SHARD_KEYS.filter((keys) => this.#of(keys).size > 0))
  }

  closed(redis: Redis): void {
    this.#ears.delete(redis)
  }

  prove(redis: Redis, ctx: Ctx): Promise<void> {
    const ear = this.#ears.get(redis)
    return ear === undefined ? Promise.reject(new Error('the connection is not open')) : ear.prove(ctx)
  }

  said(keys: ShardKeys, bytes: Buffer): void {
    const watchers = this.#of(keys)
    if (!watchers.has(refOf(bytes.toString('latin1', 0, MEMBER_LENGTH)))) return
    const record = decodeRecord(bytes.toString())
    if (record !== undefined) watchers.tell(toMessage(record))
  }

  /** All of a shard may have missed something. */
  gap(keys: ShardKeys): void {
    this.#of(keys).tellGap()
  }

  #of({ shard }: ShardKeys): Watchers {
    return this.#watchers[shard] as Watchers
  }
}

function toMessage(record: StreamRecord): FeedMessage {
  if (record.kind === 'deleted') return record
  const { ref, entries } = record
  return { kind: 'entries', ref, from: record.from ?? { epoch: 0, version: 0 }, entries }
}

const KEYS_OF = new Map(SHARD_KEYS.map((keys) => [keys.channel, keys]))

/** One connection that hears. */
class Ear {
  readonly #redis: Redis
  readonly #events: GenerationEvents
  readonly #canary: string
  readonly #hearing: Hearing
  /** Shards that are heard, or are about to be. */
  readonly #heard = new Map<ShardKeys, symbol>()
  #probes = 0
  readonly #awaited = new Map<string, () => void>()

  constructor(redis: Redis, events: GenerationEvents, canary: string, hearing: Hearing) {
    this.#redis = redis
    this.#events = events
    this.#canary = canary
    this.#hearing = hearing
    redis.on('messageBuffer', (channel: Buffer, bytes: Buffer) => this.#said(channel.toString(), bytes))
  }

  /** RF1: once it is confirmed that it hears them, whoever watches is told of a gap. Never rejects: the link is told. */
  async hear(wanted: readonly ShardKeys[]): Promise<void> {
    if (wanted.length === 0) return
    const time = Symbol()
    for (const keys of wanted) this.#heard.set(keys, time)
    try {
      await this.#redis.subscribe(...wanted.map(({ channel }) => channel))
    } catch (error) {
      this.#events.lost(error)
      return
    }
    // Nobody watches one that was left meanwhile; one that was left and wanted again is confirmed for itself.
    for (const keys of wanted) if (this.#heard.get(keys) === time) this.#hearing.gap(keys)
  }

  leave(keys: ShardKeys): void {
    this.#heard.delete(keys)
    this.#redis.unsubscribe(keys.channel).catch((error: unknown) => this.#events.lost(error))
  }

  /** RF2. */
  async prove({ signal }: Ctx): Promise<void> {
    const probe = `${++this.#probes}`
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const over = (): void => reject(signal.reason)
    this.#awaited.set(probe, resolve)
    signal.addEventListener('abort', over)
    try {
      await Promise.all([this.#redis.publish(this.#canary, probe), promise])
    } finally {
      signal.removeEventListener('abort', over)
      this.#awaited.delete(probe)
    }
  }

  #said(channel: string, bytes: Buffer): void {
    const keys = KEYS_OF.get(channel)
    if (keys !== undefined) this.#hearing.said(keys, bytes)
    else if (channel === this.#canary) this.#awaited.get(bytes.toString())?.()
  }
}

/** `adapter`, whose connections subscribe: with RESP3 one that does can be asked other things as well. */
function createHearingAdapter(adapter: Adapter<Redis>, hearing: Hearing, canary: string): Adapter<Redis> {
  return {
    ...adapter,
    open: async (ctx, events) => {
      const redis = await adapter.open(ctx, events)
      const { signal } = ctx
      const over = (): void => adapter.close(redis, 'lost') // what waits for an answer is rejected by that
      signal.addEventListener('abort', over)
      try {
        await hearing.opened(redis, events, canary)
        return redis
      } catch (error) {
        hearing.closed(redis)
        over()
        throw error
      } finally {
        signal.removeEventListener('abort', over)
      }
    },
    probe: async (redis, ctx) => {
      await adapter.probe(redis, ctx)
      await hearing.prove(redis, ctx)
    },
    close: (redis, because) => {
      hearing.closed(redis)
      adapter.close(redis, because)
    },
  }
}
