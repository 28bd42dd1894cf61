// The session store over one Redis server: everything of a session changes by one script (redis-scripts.ts), and is acknowledged as `accepted`.
// What it writes is drained into Postgres (write-behind.ts), which alone keeps it for long: its log is Postgres's and what is not yet drained.
// Invariants:
//   SR4. A session lives in Redis for as long as it has not ended; when it has, or was deleted, until it is drained and its time to live is over.
//   SR5. The log that is read is complete: what Postgres has, and on from there what only Redis has.
//   SR6. At the bound of what is not drained no session is created; those that there are go on.
//   SR7. Restoring replaces exactly what the caller compared with, or nothing.

import { type Ctx, type Env, type Link, RipstopError } from '@ripstop/kernel'
import type { SessionStatus } from '@ripstop/protocol/sessions'
import type { Redis } from 'ioredis'
import type { LogEntry } from '#session-log'
import { listOperations, markOf } from './operations.ts'
import { countBacklog, resultsOf } from './redis-backlog.ts'
import type { RedisFeed } from './redis-feed.ts'
import { memberOf, refOf, SHARD_KEYS, sessionKeyOf, shardOf } from './redis-keys.ts'
import { readTail } from './redis-log.ts'
import { encodeCommit, encodeDeletion } from './redis-record.ts'
import { createRunIds } from './redis-run.ts'
import { CLAIM, COMMIT, CREATE, REMOVE, RESTORE, runScript } from './redis-scripts.ts'
import {
  type Commit,
  type Committed,
  type Created,
  type DueClaim,
  type DueSession,
  isEnded,
  type LogQuery,
  type SessionRef,
  type SessionStore,
  type StoredSession,
} from './store.ts'

export const ENDED_TTL_MS = 3_600_000
/** What ended is kept for so long even if nothing drains it: a bound, not a plan. Draining shortens it. */
const UNDRAINED_TTL_MS = 7 * 24 * 3_600_000
const BACKLOG_MAX = 1_000_000
const BACKLOG_EVERY_MS = 1_000
const FIELDS = ['epoch', 'version', 'head', 'status', 'deadline', 'body'] as const

export interface RedisStoreDeps {
  readonly env: Env
  readonly link: Link<Redis>
  readonly feed: Pick<RedisFeed, 'watch'>
  /** The log as Postgres has it; undefined: there is only what Redis keeps. */
  readonly archive?: Pick<SessionStore, 'log'> | undefined
  /** How long a session that has ended is kept, once it is drained. */
  readonly endedTtlMs?: number | undefined
  /** Commits that are not drained, over all shards, from which on nothing is created. */
  readonly backlogMax?: number | undefined
}

/** What is there under the name of a session. `deleted`: nothing can be put there. */
export type Found =
  | { readonly kind: 'there'; readonly session: StoredSession }
  | { readonly kind: 'deleted' | 'absent' }

export interface RedisStore extends SessionStore {
  /** As `load`, but tells what was deleted from what is not there. */
  find(ctx: Ctx, ref: SessionRef): Promise<Found>
  /**
   * Puts a session there from elsewhere, in place of what stands at `replacing` (undefined: of nothing), without a line in the log. False: something
   * else is there by now. `operations`: its last ones, as operations.ts encodes them.
   */
  restore(
    ctx: Ctx,
    session: StoredSession,
    replacing: Commit['from'] | undefined,
    operations?: Buffer,
  ): Promise<boolean>
  /** How many commits are not drained. */
  backlog(ctx: Ctx): Promise<number>
}

export function createRedisStore(deps: RedisStoreDeps): RedisStore {
  const { link, feed, endedTtlMs = ENDED_TTL_MS } = deps
  const read = <T>(ctx: Ctx, run: (redis: Redis) => Promise<T>) => link.call(ctx, run, { idempotent: true })
  const refuseAtBound = createBound(deps)
  const runIdOf = createRunIds()
  return {
    level: 'accepted',
    create: async (ctx, session, first) => {
      await refuseAtBound(ctx)
      return link.call(ctx, async (redis) => create(redis, await runIdOf(redis), session, first))
    },
    load: async (ctx, ref) => toSession(ref, await read(ctx, (redis) => readFields(redis, ref, FIELDS))),
    find: (ctx, ref) => read(ctx, (redis) => find(redis, ref)),
    commit: (ctx, wanted) => link.call(ctx, async (redis) => commit(redis, await runIdOf(redis), wanted)),
    findOperation: async (ctx, ref, operationId) => {
      const [version] = await read(ctx, (redis) => readFields(redis, ref, [`op:${operationOf(operationId)}`]))
      return version == null ? undefined : Number(version)
    },
    remove: (ctx, ref) => link.call(ctx, (redis) => remove(redis, ref)),
    log: (ctx, query) => readLog(deps, ctx, query),
    claimDue: (ctx, claim) => claimDue(link, ctx, claim),
    watch: (ref, listener) => feed.watch(ref, listener),
    restore: (ctx, session, replacing, operations = Buffer.alloc(0)) =>
      link.call(ctx, (redis) => restore(redis, { session, replacing, operations, endedTtlMs })),
    backlog: (ctx) => read(ctx, countBacklog),
  }
}

/** Measured now and then: a creation costs nothing more for it, and the bound may be passed by what is created in a second. */
function createBound({ env, link, backlogMax = BACKLOG_MAX }: RedisStoreDeps): (ctx: Ctx) => Promise<void> {
  let measured = 0
  let measureAtMs = Number.NEGATIVE_INFINITY
  return async (ctx) => {
    const nowMs = env.clock.monoMs()
    if (nowMs >= measureAtMs) {
      measureAtMs = nowMs + BACKLOG_EVERY_MS
      measured = await link.call(ctx, countBacklog, { idempotent: true })
    }
    if (measured < backlogMax) return
    throw new RipstopError('BACKLOG_FULL', `${measured} commits of sessions are not in Postgres yet`, {
      sent: 'no',
      retryAfterMs: BACKLOG_EVERY_MS,
      details: { backlog: measured, backlogMax },
    })
  }
}

/** What all scripts that write a session say of it; empty: there is none. */
function describe(session: StoredSession): { readonly deadline: number | ''; readonly due: number | '' } {
  const deadline = session.deadlineMs ?? ''
  return { deadline, due: isEnded(session.status) ? '' : deadline }
}

/** Of the same length whatever ids look like, and as Postgres keeps it; empty: there is none. */
function operationOf(id: string | undefined): string {
  return id === undefined ? '' : markOf(id).toString('hex')
}

async function create(redis: Redis, runId: string, session: StoredSession, first: LogEntry): Promise<Created> {
  const { epoch, version, head, status, body } = session
  const keys = shardOf(session.sessionId)
  const member = memberOf(session)
  const { deadline, due } = describe(session)
  const [kind] = await runScript<[Created['kind']]>(
    redis,
    CREATE,
    [keys.epoch, keys.run, sessionKeyOf(keys, member), keys.log, keys.added, keys.due],
    [epoch, runId, version, head, status, deadline, body, encodeCommit(session, [first], undefined), member, due],
  )
  return { kind }
}

type Answer =
  | readonly ['committed' | 'fenced' | 'missing']
  | readonly ['repeated', version: string]
  | readonly ['conflict', fields: readonly string[]]

async function commit(redis: Redis, runId: string, { from, to, entries, operationId }: Commit): Promise<Committed> {
  const keys = shardOf(to.sessionId)
  const member = memberOf(to)
  const { deadline, due } = describe(to)
  const answer = await runScript<Answer>(
    redis,
    COMMIT,
    [keys.epoch, keys.run, sessionKeyOf(keys, member), keys.log, keys.added, keys.due],
    [
      ...[
        to.epoch,
        runId,
        to.version,
        to.head,
        to.status,
        deadline,
        to.body,
        encodeCommit(to, entries, from),
        member,
        due,
      ],
      ...[from.epoch, from.version, operationOf(operationId), keys.channel, isEnded(to.status) ? UNDRAINED_TTL_MS : ''],
    ],
  )
  switch (answer[0]) {
    case 'committed':
    case 'fenced':
    case 'missing':
      return { kind: answer[0] }
    case 'repeated':
      return { kind: 'repeated', version: Number(answer[1]) }
    case 'conflict':
      return { kind: 'conflict', current: toSession(to, answer[1]) as StoredSession }
    default:
      return answer satisfies never
  }
}

async function remove(redis: Redis, ref: SessionRef): Promise<boolean> {
  const keys = shardOf(ref.sessionId)
  const member = memberOf(ref)
  const scriptKeys = [sessionKeyOf(keys, member), keys.log, keys.added, keys.due]
  const args = [encodeDeletion(ref), member, keys.channel, UNDRAINED_TTL_MS]
  return (await runScript<number>(redis, REMOVE, scriptKeys, args)) === 1
}

function readFields(redis: Redis, ref: SessionRef, fields: readonly string[]): Promise<(string | null)[]> {
  return redis.hmget(sessionKeyOf(shardOf(ref.sessionId), memberOf(ref)), ...fields)
}

/** `fields` as FIELDS names them. */
function toSession({ tenantId, sessionId }: SessionRef, fields: readonly (string | null)[]): StoredSession | undefined {
  const [epoch, version, head, status, deadline, body] = fields
  if (epoch == null) return undefined
  return {
    tenantId,
    sessionId,
    epoch: Number(epoch),
    version: Number(version),
    head: head ?? '',
    body: body ?? '',
    status: status as SessionStatus,
    deadlineMs: deadline ? Number(deadline) : undefined,
  }
}

async function find(redis: Redis, ref: SessionRef): Promise<Found> {
  const fields = await readFields(redis, ref, [...FIELDS, 'deleted'])
  const session = toSession(ref, fields)
  if (session !== undefined) return { kind: 'there', session }
  return { kind: fields.at(-1) == null ? 'absent' : 'deleted' }
}

interface Restoring {
  readonly session: StoredSession
  readonly replacing: Commit['from'] | undefined
  readonly operations: Buffer
  readonly endedTtlMs: number
}

async function restore(redis: Redis, { session, replacing, operations, endedTtlMs }: Restoring): Promise<boolean> {
  const { epoch, version, head, status, body } = session
  const keys = shardOf(session.sessionId)
  const member = memberOf(session)
  const { deadline, due } = describe(session)
  const args = [
    ...[replacing?.epoch ?? '', replacing?.version ?? '', epoch, version, head, status, deadline, body, member, due],
    isEnded(status) ? endedTtlMs : '',
    ...listOperations(operations).flatMap(({ mark, version }) => [mark.toString('hex'), version]),
  ]
  return (await runScript<number>(redis, RESTORE, [sessionKeyOf(keys, member), keys.due], args)) === 1
}

async function readLog({ link, archive }: RedisStoreDeps, ctx: Ctx, query: LogQuery): Promise<readonly LogEntry[]> {
  const { afterVersion, limit } = query
  // The tail first: what is drained between the two reads is in both, what it was before is in none.
  const tail = await readTail(link, ctx, query)
  if (tail.since <= afterVersion + 1 || archive === undefined) return tail.entries.slice(0, limit)
  const archived = await archive.log(ctx, query)
  // The tail is what the session rests on: what Postgres has in its place is the same, or superseded.
  const before = archived.filter(({ version }) => version < tail.since)
  return [...before, ...tail.entries].slice(0, limit)
}

/** Two steps, since a claim must not take more than its limit over all shards; the second one only if anything is due. */
async function claimDue(
  link: Link<Redis>,
  ctx: Ctx,
  { nowMs, leaseMs, limit }: DueClaim,
): Promise<readonly DueSession[]> {
  const due = await link.call(ctx, (redis) => peekDue(redis, nowMs, limit), { idempotent: true })
  if (due.length === 0) return []
  return await link.call(ctx, (redis) => claimMembers(redis, due, nowMs, nowMs + leaseMs))
}

interface DueMember {
  readonly member: string
  readonly dueMs: number
}

/** The earliest of all shards. */
async function peekDue(redis: Redis, nowMs: number, limit: number): Promise<readonly DueMember[]> {
  const pipeline = redis.pipeline()
  for (const { due } of SHARD_KEYS) pipeline.zrangebyscore(due, '-inf', nowMs, 'WITHSCORES', 'LIMIT', 0, limit)
  const due = (await resultsOf<string[]>(pipeline)).flatMap(toMembers)
  return due.toSorted((a, b) => a.dueMs - b.dueMs).slice(0, limit)
}

function toMembers(flat: readonly string[]): readonly DueMember[] {
  const members: DueMember[] = []
  for (let at = 0; at < flat.length; at += 2) members.push({ member: flat[at] ?? '', dueMs: Number(flat[at + 1]) })
  return members
}

async function claimMembers(
  redis: Redis,
  wanted: readonly DueMember[],
  nowMs: number,
  untilMs: number,
): Promise<readonly DueSession[]> {
  const shards = Map.groupBy(wanted, ({ member }) => shardOf(refOf(member).sessionId))
  const claims = [...shards].map(([keys, of]) => {
    const members = of.map(({ member }) => member)
    const sessions = members.map((member) => sessionKeyOf(keys, member))
    return runScript<string[]>(redis, CLAIM, [keys.due, ...sessions], [nowMs, untilMs, ...members])
  })
  const claimed = (await Promise.all(claims)).flatMap(toMembers)
  return claimed.map(({ member, dueMs }) => ({ ...refOf(member), deadlineMs: dueMs }))
}
