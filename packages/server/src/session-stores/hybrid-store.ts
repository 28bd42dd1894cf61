// The session store of a process: whichever store has the authority in the present term, and the way from one to the other. While Redis has it,
// a session that Redis does not have, or has from an earlier epoch, is compared with Postgres's copy first, and brought back if that is ahead.
// With Redis gone and the term still Redis's, calls fail as its link says, until the authority has moved.
// Invariants:
//   HY2. Nothing that Postgres acknowledged is lost when Redis comes back: no session is used in Redis that was not compared since.
//   HY3. A call goes to the store of the present term; a commit that was decided in another one changes nothing.
//   HY4. What was deleted in either store is deleted; an id that either knows is taken.
//   HY5. With Postgres away, sessions go on that Redis has kept throughout, with Redis away those that Postgres knows; of others nothing is
//        said that may be wrong.
//   HY6. A watcher is told of a gap whenever an epoch begins, and hears the store of the present term.

import { type Counter, type Ctx, isRipstopError, type Link, type Metrics, RipstopError } from '@ripstop/kernel'
import type { PostgresPool } from '@ripstop/kernel/postgres'
import type { Log } from '#platform/telemetry'
import type { LogEntry } from '#session-log'
import { type Archived, createArchive, type SessionArchive } from './archive-store.ts'
import type { Term } from './authority.ts'
import type { RunningAuthority } from './authority-start.ts'
import { readRow } from './body-store.ts'
import { whichIsAhead } from './copies.ts'
import type { RedisStore } from './redis-store.ts'
import type {
  Commit,
  Committed,
  Created,
  FeedMessage,
  LogQuery,
  SessionRef,
  SessionStore,
  StoredSession,
} from './store.ts'
import '../platform/codes.ts'

/** Somebody else changes it each time: a session is not so busy. */
const TRIES = 8

export interface HybridDeps {
  readonly log: Log
  readonly metrics: Metrics
  readonly authority: Pick<RunningAuthority, 'term' | 'watchTerm' | 'hasKept'>
  /** Undefined: there is none. */
  readonly redis: RedisStore | undefined
  readonly postgres: SessionStore
  /** What `postgres` stands on. */
  readonly link: Link<PostgresPool>
}

export function createHybridStore(deps: HybridDeps): SessionStore {
  const store = new HybridStore(deps)
  return {
    get level() {
      return store.present.level
    },
    create: (ctx, session, first) => store.create(ctx, session, first),
    load: (ctx, ref) => store.load(ctx, ref),
    commit: (ctx, commit) => store.commit(ctx, commit),
    findOperation: (ctx, ref, operationId) => store.present.findOperation(ctx, ref, operationId),
    remove: (ctx, ref) => store.remove(ctx, ref),
    log: (ctx, query) => store.log(ctx, query),
    claimDue: (ctx, claim) => store.present.claimDue(ctx, claim),
    watch: (ref, listener) => store.watch(ref, listener),
  }
}

class HybridStore {
  readonly #deps: HybridDeps
  readonly #archive: SessionArchive
  readonly #restored: Counter
  readonly #superseded: Counter
  readonly #forks: Counter

  constructor(deps: HybridDeps) {
    this.#deps = deps
    this.#archive = createArchive(deps.link)
    const { metrics } = deps
    this.#restored = metrics.counter('sessions_restored_total', 'Sessions brought back into Redis from Postgres')
    this.#superseded = metrics.counter(
      'sessions_superseded_total',
      'Sessions of which Postgres went on before all that Redis had accepted',
    )
    this.#forks = metrics.counter(
      'sessions_forks_total',
      'Entries that were there with another hash: two authorities wrote',
    )
  }

  get present(): SessionStore {
    return this.#of(this.#deps.authority.term())
  }

  #of({ mode }: Term): SessionStore {
    return mode === 'postgres' ? this.#deps.postgres : this.#redis
  }

  /** A process without Redis can't serve while the others do by it. */
  get #redis(): RedisStore {
    const { redis } = this.#deps
    if (redis !== undefined) return redis
    throw new RipstopError('NOT_READY', 'sessions are in Redis, and this process has none', { sent: 'no' })
  }

  async create(ctx: Ctx, session: StoredSession, first: LogEntry): Promise<Created> {
    const term = this.#deps.authority.term()
    if (session.epoch !== term.epoch) return { kind: 'fenced' } // HY3
    if (term.mode === 'redis') {
      // Redis forgets what ended and was drained, and may have lost more. With Postgres away the id, a UUID, is taken on trust.
      const row = await unlessAway(readRow(this.#deps.link, ctx, session))
      if (row !== undefined) return { kind: 'exists' }
    }
    return this.#of(term).create(ctx, session, first)
  }

  async load(ctx: Ctx, ref: SessionRef): Promise<StoredSession | undefined> {
    const { authority, postgres } = this.#deps
    for (let tries = 0; tries < TRIES; tries++) {
      const term = authority.term()
      if (term.mode === 'postgres') {
        const session = await postgres.load(ctx, ref)
        if (session === undefined) await this.#refuseUnknown(ctx, ref)
        return session
      }
      const found = await this.#redis.find(ctx, ref)
      if (found.kind === 'deleted') return undefined
      const inRedis = found.kind === 'there' ? found.session : undefined
      if (inRedis !== undefined && this.#isSettled(inRedis, term)) return inRedis
      const settled = await this.#settle(ctx, inRedis, await this.#archive.find(ctx, ref))
      if (settled !== 'again') return settled
    }
    throw new RipstopError('SESSION_BUSY', 'the session was brought back by several at once', { sent: 'no' })
  }

  /** SR5: the log of a copy that was not compared may be that of a branch that was left. */
  async log(ctx: Ctx, query: LogQuery): Promise<readonly LogEntry[]> {
    const term = this.#deps.authority.term()
    if (term.mode === 'redis') {
      const found = await this.#redis.find(ctx, query)
      if (found.kind === 'there' && !this.#isSettled(found.session, term)) await this.load(ctx, query)
    }
    return this.#of(term).log(ctx, query)
  }

  /** What Redis has is what there is: it was compared in this epoch, or Redis lost nothing and nobody else served since it was (HY5). */
  #isSettled({ epoch }: StoredSession, term: Term): boolean {
    return epoch >= term.epoch || this.#deps.authority.hasKept(epoch)
  }

  async commit(ctx: Ctx, commit: Commit): Promise<Committed> {
    const { from, to } = commit
    for (let tries = 1; ; tries++) {
      const term = this.#deps.authority.term()
      if (to.epoch !== term.epoch) return { kind: 'fenced' } // HY3
      const result = await this.#of(term).commit(ctx, commit)
      if (term.mode === 'postgres') {
        if (result.kind === 'missing') await this.#refuseUnknown(ctx, to)
        return result
      }
      const isUnsettled = result.kind === 'conflict' && !this.#isSettled(result.current, term)
      if (!isUnsettled && result.kind !== 'missing') return result
      // Redis has none, or one of an earlier epoch: what there is is known after a comparison.
      const current = await this.load(ctx, to)
      if (current === undefined) return { kind: 'missing' }
      const isThere = current.epoch === from.epoch && current.version === from.version
      if (!isThere || tries === TRIES) return { kind: 'conflict', current }
    }
  }

  async remove(ctx: Ctx, ref: SessionRef): Promise<boolean> {
    const { authority, postgres, redis } = this.#deps
    if (authority.term().mode === 'postgres') {
      const isRemoved = await postgres.remove(ctx, ref)
      // Redis may have the authority again without our knowing it yet.
      const isRemovedThere = redis !== undefined && (await unlessAway(redis.remove(ctx, ref)))
      if (!isRemoved && isRemovedThere === undefined) await this.#refuseUnknown(ctx, ref)
      return isRemoved || isRemovedThere === true
    }
    if (await this.#redis.remove(ctx, ref)) return true
    // Redis may have lost it: what Postgres has is brought back, to be deleted.
    return (await this.load(ctx, ref)) !== undefined && (await this.#redis.remove(ctx, ref))
  }

  /** HY5: what was not drained yet Postgres does not know, and it is there again when Redis is. Throws NOT_READY. */
  async #refuseUnknown(ctx: Ctx, ref: SessionRef): Promise<void> {
    const { redis, link } = this.#deps
    if (redis === undefined) return
    const found = await unlessAway(redis.find(ctx, ref))
    if (found?.kind === 'absent' || found?.kind === 'deleted') return
    if ((await readRow(link, ctx, ref)) !== undefined) return // it was deleted in Postgres
    throw new RipstopError('NOT_READY', 'Redis may have this session, and Postgres serves in its place', { sent: 'no' })
  }

  /** HY6. */
  watch(ref: SessionRef, listener: (message: FeedMessage) => void): Disposable {
    const { authority, postgres } = this.#deps
    // While no term is known nothing is committed here that there was to hear of; the first one tells of a gap.
    let heard = isKnown(authority) ? this.present.watch(ref, listener) : postgres.watch(ref, listener)
    const terms = authority.watchTerm((term) => {
      heard[Symbol.dispose]()
      heard = this.#of(term).watch(ref, listener)
      listener({ kind: 'gap', ref })
    })
    return {
      [Symbol.dispose]: () => {
        terms[Symbol.dispose]()
        heard[Symbol.dispose]()
      },
    }
  }

  /** Brings Redis's copy to where the one that is ahead stands. `again`: somebody else did something meanwhile. */
  async #settle(
    ctx: Ctx,
    inRedis: StoredSession | undefined,
    archived: Archived,
  ): Promise<StoredSession | undefined | 'again'> {
    if (archived.kind !== 'there') {
      if (archived.kind === 'absent') return inRedis // it is not drained yet, or there is none
      if (inRedis !== undefined) await this.#redis.remove(ctx, inRedis) // HY4
      return undefined
    }
    const { session, operations } = archived
    const ahead = inRedis === undefined ? 'postgres' : whichIsAhead(inRedis, session)
    if (ahead === 'redis' || ahead === 'same') return inRedis
    if (inRedis !== undefined && ahead === 'fork') await this.#tellFork(ctx, session, inRedis)
    if (inRedis !== undefined && ahead === 'postgres') await this.#tellSuperseded(ctx, session, inRedis)
    if (!(await this.#redis.restore(ctx, session, inRedis, operations))) return 'again'
    this.#restored.add(1)
    return session
  }

  /** What Redis accepted last was not drained when Postgres went on without it: it is kept, but it is no part of the session any more. */
  async #tellSuperseded(ctx: Ctx, kept: StoredSession, { epoch, version, head }: StoredSession): Promise<void> {
    const { tenantId, sessionId } = kept
    const [entry] = await this.#archive.log(ctx, { tenantId, sessionId, afterVersion: version - 1, limit: 1 })
    if (entry?.hash === head) return
    this.#superseded.add(1)
    this.#deps.log.warn({ event: 'session.superseded', tenantId, sessionId, epoch, version, byEpoch: kept.epoch })
  }

  async #tellFork(ctx: Ctx, kept: StoredSession, other: StoredSession): Promise<void> {
    const { tenantId, sessionId, epoch, version, head: keptHash } = kept
    const query = { tenantId, sessionId, afterVersion: version - 1, limit: 1 }
    const otherHash = other.head
    const otherText = (await this.#redis.log(ctx, query)).find(({ hash }) => hash === otherHash)?.text ?? ''
    await this.#archive.addFork(ctx, { tenantId, sessionId, epoch, version, keptHash, otherHash, otherText })
    this.#forks.add(1)
    this.#deps.log.error({ event: 'session.forked', tenantId, sessionId, epoch, version, keptHash, otherHash })
  }
}

function isKnown(authority: HybridDeps['authority']): boolean {
  try {
    return authority.term().epoch > 0
  } catch {
    return false
  }
}

/** Undefined where the peer can't be reached. */
async function unlessAway<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer
  } catch (error) {
    if (isRipstopError(error) && error.code !== 'CANCELLED') return undefined
    throw error
  }
}
