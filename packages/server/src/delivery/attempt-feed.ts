// Attempts as they happen, for people who watch. One loop in a process asks for all listeners, and only while there are any: what
// was made since the last look, and a little before it, because an id is made before its statement commits, and by another clock.
// It shows what happens; the history (GET /v1/deliveries) is the truth.
// Invariants:
//   DR5. An attempt reaches every listener of its tenant once, also one that commits up to OVERLAP_MS late, and after an outage of
//        the database; it reaches no other tenant's.
//   DR6. At most LISTENERS_MAX listeners, OF_TENANT_MAX of a tenant; a further one is refused with OVERLOADED.
//   DR7. A listener that leaves more than UNREAD_BYTES unread is told `bye` and ended; it holds back no other.

import { background, type Ctx, type Env, isRipstopError, type Link, RipstopError } from '@ripstop/kernel'
import type { PostgresPool } from '@ripstop/kernel/postgres'
import { pause } from '#platform/pause'
import { type AttemptLine, readNewAttempts, wallMsOf } from './reading-store.ts'

const LISTENERS_MAX = 64
const OF_TENANT_MAX = 16
const UNREAD_BYTES = 131_072
const OVERLAP_MS = 5_000
const POLL_MS = 500
const POLL_DEADLINE_MS = 5_000
/** Rows of a look; if there are more, the next one follows at once. */
const BATCH = 500
/** Beyond it the oldest are forgotten, and with them the overlap ends there: at 1,000 attempts a second nothing changes. */
const SEEN_MAX = 5_000
const NOTHING = '00000000-0000-0000-0000-000000000000'

/** Kept for whoever begins to listen while others do: everybody begins a few seconds back. */
const RECENT_MAX = 500

/** What a listener hears. */
export type FeedNews =
  | { readonly type: 'attempt'; readonly line: AttemptLine }
  /** The database can't be asked; what happens meanwhile comes later. */
  | { readonly type: 'interrupted'; readonly code: string }
  | { readonly type: 'bye'; readonly code: 'OVERLOADED' }

export interface FeedListener {
  readonly tenantId: string
  readonly endpointId: string | undefined
  /** Gives how many bytes are unread. Must not throw. */
  readonly hear: (news: FeedNews) => number
}

export interface AttemptFeedDeps {
  readonly env: Env
  readonly link: Link<PostgresPool>
  /** For tests. */
  readonly pollMs?: number
  readonly overlapMs?: number
  readonly seenMax?: number
}

export interface AttemptFeed extends AsyncDisposable {
  /** Throws OVERLOADED (DR6). */
  readonly checkRoom: (tenantId: string) => void
  /** Until the returned function is called. */
  readonly listen: (listener: FeedListener) => () => void
  readonly listeners: () => number
}

interface Feed {
  readonly listeners: Set<FeedListener>
  recent: AttemptLine[]
}

export function startAttemptFeed(deps: AttemptFeedDeps): AttemptFeed {
  const root = background(deps.env)
  const feed: Feed = { listeners: new Set(), recent: [] }
  const { listeners } = feed
  let polling: Promise<void> | undefined
  const poll = async (): Promise<void> => {
    while (root.reason === undefined && listeners.size > 0) await pollWhile(deps, root, feed)
    polling = undefined
  }
  return {
    listeners: () => listeners.size,
    checkRoom: (tenantId) => {
      const ofTenant = [...listeners].filter((listener) => listener.tenantId === tenantId).length
      if (listeners.size < LISTENERS_MAX && ofTenant < OF_TENANT_MAX) return
      throw new RipstopError('OVERLOADED', 'as many listen to deliveries already as may', { retryAfterMs: 10_000 })
    },
    listen: (listener) => {
      listeners.add(listener)
      const sinceWallMs = deps.env.clock.wallMs() - (deps.overlapMs ?? OVERLAP_MS)
      const missed = feed.recent.filter(({ attemptId }) => wallMsOf(attemptId) >= sinceWallMs)
      tell(listeners, [listener], missed)
      polling ??= poll()
      return () => listeners.delete(listener)
    },
    [Symbol.asyncDispose]: async () => {
      root.cancel()
      listeners.clear()
      await polling
    },
  }
}

/** What was seen, oldest first, so that what is dropped at the bound is what is least likely to come again. */
class SeenIds {
  readonly #most: number
  #ids = new Set<string>()
  /** Up to here nothing is looked at any more. */
  floor = NOTHING

  constructor(most: number) {
    this.#most = most
  }

  get ids(): readonly string[] {
    return [...this.#ids]
  }

  add(ids: readonly string[]): void {
    for (const id of ids) this.#ids.add(id)
    if (this.#ids.size <= this.#most) return
    const sorted = [...this.#ids].sort()
    const dropped = sorted.length - Math.ceil(this.#most / 2)
    this.floor = sorted[dropped - 1] ?? this.floor
    this.#ids = new Set(sorted.slice(dropped))
  }
}

/** Ends with the last listener: nothing is asked for nobody. */
async function pollWhile(deps: AttemptFeedDeps, root: Ctx, feed: Feed): Promise<void> {
  const { env, link, pollMs = POLL_MS, overlapMs = OVERLAP_MS, seenMax = SEEN_MAX } = deps
  const { listeners } = feed
  const seen = new SeenIds(seenMax)
  let askedAtDatabase: string | undefined
  let isInterrupted = false
  feed.recent = []
  while (root.reason === undefined && listeners.size > 0) {
    const tenantIds = [...new Set([...listeners].map(({ tenantId }) => tenantId))]
    try {
      using ctx = root.within(POLL_DEADLINE_MS)
      const tail = { askedAtDatabase, overlapMs, seen: seen.ids, floor: seen.floor, limit: BATCH }
      const found = await readNewAttempts(link, ctx, tenantIds, tail)
      seen.add(found.lines.map(({ attemptId }) => attemptId))
      feed.recent = [...feed.recent, ...found.lines].slice(-RECENT_MAX)
      tell(listeners, [...listeners], found.lines)
      isInterrupted = false
      if (found.lines.length === BATCH) continue
      askedAtDatabase = found.askedAtDatabase
    } catch (error) {
      if (root.reason !== undefined) return
      const code = isRipstopError(error) ? error.code : 'INTERNAL'
      if (!isInterrupted)
        for (const listener of [...listeners]) hear(listeners, listener, { type: 'interrupted', code })
      isInterrupted = true
    }
    await pause(root, pollMs * (0.5 + env.random())).catch(() => undefined) // cancelled: the loop ends
  }
}

function tell(listeners: Set<FeedListener>, to: readonly FeedListener[], lines: readonly AttemptLine[]): void {
  for (const line of lines) {
    for (const listener of to) {
      if (listener.tenantId !== line.tenantId) continue
      if (listener.endpointId !== undefined && listener.endpointId !== line.endpointId) continue
      if (listeners.has(listener)) hear(listeners, listener, { type: 'attempt', line })
    }
  }
}

function hear(listeners: Set<FeedListener>, listener: FeedListener, news: FeedNews): void {
  if (listener.hear(news) <= UNREAD_BYTES) return
  listeners.delete(listener)
  listener.hear({ type: 'bye', code: 'OVERLOADED' })
}
