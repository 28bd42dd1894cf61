// The feed of the Postgres store. Watchers of this process hear its own commits at once, and those of others by one loop that follows the log
// while somebody watches: soon again while there is news, less often while there is none.
// Invariants:
//   SP2. A watcher is told of every commit that is made while it watches, by whatever process, in whatever order transactions commit; or,
//        where that can't be known, that it may have missed something.

import { background, type Ctx, type Env, isRipstopError, type Link } from '@ripstop/kernel'
import type { PostgresPool } from '@ripstop/kernel/postgres'
import type { Log } from '#platform/telemetry'
import { readFresh, readSnapshot } from './following-store.ts'
import type { FeedMessage, SessionRef } from './store.ts'
import { createWatchers } from './watchers.ts'

const BUSY_MS = 10
const IDLE_MS = 100
const GROWTH = 1.5
const FAILED_MS_MAX = 1_000
const POLL_DEADLINE_MS = 2_000
/** More than so many rows at once are not read: all are told that they missed something. */
const ROWS_MAX = 5_000
/** With more sessions than these it is cheaper to read of all that happens than to say which. */
const NAMED_MAX = 500

export interface FeedDeps {
  readonly env: Env
  readonly log: Log
  readonly link: Link<PostgresPool>
}

export interface Feed extends AsyncDisposable {
  readonly watch: (ref: SessionRef, hear: (message: FeedMessage) => void) => Disposable
  /** A commit of this process. */
  readonly tell: (message: FeedMessage) => void
}

export function startFeed(deps: FeedDeps): Feed {
  const root = background(deps.env)
  const following = new Following(deps, root)
  const done = following.run()
  return {
    watch: (ref, hear) => following.watch(ref, hear),
    tell: (message) => void following.watchers.tell(message),
    [Symbol.asyncDispose]: async () => {
      root.cancel()
      following.wake()
      await done
    },
  }
}

class Following {
  readonly watchers = createWatchers()
  readonly #deps: FeedDeps
  readonly #root: Ctx
  /** The snapshot up to which all is known; undefined: it does not follow, and whoever watches when it begins may have missed something. */
  #since: string | undefined
  /** Sessions that the poll under way does not ask for: they were not watched when it was sent. */
  readonly #joined = new Set<SessionRef>()
  #waitMs = BUSY_MS
  #failures = 0
  #resume: (() => void) | undefined

  constructor(deps: FeedDeps, root: Ctx) {
    this.#deps = deps
    this.#root = root
  }

  watch(ref: SessionRef, hear: (message: FeedMessage) => void): Disposable {
    if (!this.watchers.has(ref)) this.#joined.add(ref)
    const watch = this.watchers.add(ref, hear)
    if (this.#since === undefined && this.#failures === 0) this.wake()
    return watch
  }

  wake(): void {
    this.#resume?.()
  }

  async run(): Promise<void> {
    while (this.#root.reason === undefined) await this.#wait(await this.#turn())
  }

  /** Gives how long to wait for the next one. */
  async #turn(): Promise<number> {
    if (this.watchers.size === 0) {
      this.#since = undefined
      return Number.POSITIVE_INFINITY
    }
    const { env, log } = this.#deps
    try {
      await this.#poll()
      this.#failures = 0
      return this.#waitMs
    } catch (error) {
      this.#since = undefined
      this.#failures++
      if (this.#root.reason === undefined) tellFailure(log, error, this.#failures)
      return Math.min(FAILED_MS_MAX, IDLE_MS * 2 ** Math.min(this.#failures, 10)) * (0.5 + env.random() / 2)
    }
  }

  async #poll(): Promise<void> {
    const { link } = this.#deps
    const { watchers } = this
    this.#joined.clear()
    using ctx = this.#root.within(POLL_DEADLINE_MS)
    if (this.#since === undefined) {
      this.#since = await readSnapshot(link, ctx)
      this.#waitMs = BUSY_MS
      return watchers.tellGap()
    }
    const { refs } = watchers
    const ids = refs.length > NAMED_MAX ? undefined : refs.map(({ sessionId }) => sessionId)
    const fresh = await readFresh(link, ctx, this.#since, ids, ROWS_MAX)
    this.#since = fresh.snapshot
    if (fresh.isCut) return watchers.tellGap()
    if (ids !== undefined) for (const ref of this.#joined) watchers.tell({ kind: 'gap', ref })
    const news = fresh.messages.filter((message) => watchers.tell(message)).length
    this.#waitMs = news > 0 ? BUSY_MS : Math.min(IDLE_MS, this.#waitMs * GROWTH)
  }

  #wait(ms: number): Promise<void> {
    // Between a turn and the wait after it somebody may have come.
    const isAwaited = ms === Number.POSITIVE_INFINITY && this.watchers.size > 0
    if (this.#root.reason !== undefined || isAwaited) return Promise.resolve()
    return new Promise((resolve) => {
      const cancel = ms === Number.POSITIVE_INFINITY ? undefined : this.#deps.env.clock.schedule(ms, () => this.wake())
      this.#resume = () => {
        this.#resume = undefined
        cancel?.()
        resolve()
      }
    })
  }
}

/** The link tells of its own state: of a row of failures only some are told, ever fewer. */
function tellFailure(log: Log, error: unknown, failures: number): void {
  if ((failures & (failures - 1)) !== 0) return
  const code = isRipstopError(error) ? error.code : 'INTERNAL'
  const why = error instanceof Error ? error.message : String(error)
  log.warn({ event: 'sessions.feed_failed', code, why, failures })
}
