// The authority of a process: it beats until it is disposed of, and knows the term, the outages and the time meanwhile.
// Invariants:
//   AY5. A new epoch begins after every interruption of service that was longer than clocks pay for, and tells since when and until when;
//        none begins while anybody was served.
//   AY6. Authority moves to Postgres when nobody has seen Redis for 2 s while Postgres was there, and back when everybody has seen it for as long;
//        twice as long for each time that it was gone lately.

import { background, type Ctx, type Env, type Link, type Mesh, RipstopError } from '@ripstop/kernel'
import type { PostgresPool } from '@ripstop/kernel/postgres'
import type { Redis } from 'ioredis'
import { pause } from '#platform/pause'
import type { Log } from '#platform/telemetry'
import type { Authority, Outage, Term } from './authority.ts'
import { AuthorityBeats } from './authority-beats.ts'
import { createAuthorityLink, showDegradation } from './authority-link.ts'
import { findOutages } from './epoch-store.ts'
import type { Period } from './periods.ts'
import { RedisSighting } from './redis-sight.ts'
import { createServerClock } from './server-clock.ts'

/** Redis gets so long to be there when the process starts, so that the first epoch need not begin without it. */
const FIRST_SIGHT_MS = 1_000
const RENEW_PAUSE_MS = 25

export interface AuthorityDeps {
  readonly env: Env
  readonly log: Log
  readonly mesh: Mesh
  readonly link: Link<PostgresPool>
  /** Undefined: none is configured, and Postgres serves. */
  readonly redis?: Link<Redis> | undefined
  /** Of this process; the same when it starts anew. */
  readonly nodeId: string
  /** False: it serves no sessions itself (the work process): it learns the terms, and begins none [true]. */
  readonly isServing?: boolean
}

export interface RunningAuthority extends Authority, AsyncDisposable {
  /** Tells of every term that this process takes, from the next one on. The listener must not throw. */
  watchTerm(listener: (term: Term) => void): Disposable
  /** Since that epoch Redis has had the authority throughout, and lost nothing: what it has of the session is what there is. */
  hasKept(epoch: number): boolean
}

/** Begins to beat. Waits for nothing: until the first beat was answered, `term` throws NOT_READY. */
export function startAuthority(deps: AuthorityDeps): RunningAuthority {
  const { env, log, mesh, link, redis, nodeId, isServing = true } = deps
  const root = background(env)
  const clock = createServerClock(env)
  const sighting = new RedisSighting({ env, log, redis })
  const listeners = new Set<(term: Term) => void>()
  const hasRedis = redis !== undefined
  const took = (term: Term, before: Term | undefined): void => {
    if (before !== undefined && before.mode !== term.mode) {
      const tell = term.mode === 'redis' ? log.info : log.warn
      tell({ event: 'session.authority_moved', epoch: term.epoch, from: before.mode, to: term.mode })
    }
    for (const listener of listeners) listener(term)
  }
  const began = (period: Period): void => tellBegun(deps, period)
  const beats = new AuthorityBeats(root, { env, log, link, nodeId, isServing, clock, sighting, began, took })
  // A term that this process can't hold (it lacks Redis) is known all the same: what else it does must not wait for sessions.
  const known = (): Term | undefined => beats.held ?? beats.periods.newest
  const shown = createAuthorityLink({ mesh, hasRedis, term: known })
  const isDegraded = (): boolean => hasRedis && beats.held?.mode === 'postgres'
  measure(mesh, () => beats.held, isDegraded)
  const show = async (): Promise<void> => {
    if (known() === undefined) return
    shown.start()
    await showDegradation(shown, root, isDegraded())
  }
  const loop = runBeats(root, beats, redis, show)
  const term = (): Term => {
    if (beats.held !== undefined) return beats.held
    throw new RipstopError('NOT_READY', 'who has the authority over sessions is not known yet', { sent: 'no' })
  }
  return {
    term,
    outagesAfter: (ctx, epoch) => readOutages(link, ctx, beats, epoch, term().epoch),
    renew: (ctx, refused) => renew(ctx, beats, refused),
    nowMs: clock.nowMs,
    exactMs: clock.exactMs,
    hasKept: (epoch) => beats.periods.areContinuous(epoch, term().epoch),
    watchTerm: (listener) => {
      listeners.add(listener)
      return { [Symbol.dispose]: () => void listeners.delete(listener) }
    },
    [Symbol.asyncDispose]: () => {
      root.cancel()
      return loop
    },
  }
}

async function runBeats(
  root: Ctx,
  beats: AuthorityBeats,
  redis: Link<Redis> | undefined,
  show: () => Promise<void>,
): Promise<void> {
  await redis?.whenUp(root.within(FIRST_SIGHT_MS)).catch(() => undefined) // the first look tells
  while (root.reason === undefined) {
    const waitMs = await beats.turn()
    if (root.reason === undefined) await show()
    await pause(root, waitMs).catch(() => undefined) // it is over: the condition of the loop sees it
  }
}

/** What is remembered, else what Postgres says; never of epochs after the one that is held. */
async function readOutages(
  link: Link<PostgresPool>,
  ctx: Ctx,
  { periods }: AuthorityBeats,
  epoch: number,
  lastEpoch: number,
): Promise<readonly Outage[]> {
  return periods.outagesBetween(epoch, lastEpoch) ?? findOutages(link, ctx, epoch, lastEpoch)
}

async function renew(ctx: Ctx, beats: AuthorityBeats, refused: Term): Promise<Term> {
  for (;;) {
    const { held } = beats
    if (held !== undefined && (held.epoch !== refused.epoch || held.mode !== refused.mode)) return held
    ctx.throwIfOver()
    await beats.beat() // the one under way may have begun before the refusal: the next one did not
    if (beats.held?.epoch === refused.epoch) await pause(ctx, RENEW_PAUSE_MS)
  }
}

function tellBegun({ log, mesh }: AuthorityDeps, { epoch, mode, reason, sinceMs, untilMs }: Period): void {
  const fields = { event: 'session.epoch_began', epoch, mode, reason, outageMs: untilMs - sinceMs }
  if (reason === 'first' || reason === 'redis_back') log.info(fields)
  else log.warn(fields)
  mesh.metrics.counter('sessions_epochs_total', 'Epochs of sessions that this process began', { reason }).add(1)
}

function measure(mesh: Mesh, held: () => Term | undefined, isDegraded: () => boolean): void {
  const epoch = mesh.metrics.gauge('sessions_epoch', 'Epoch that sessions are written in')
  const degraded = mesh.metrics.gauge('sessions_degraded', '1 while Postgres serves sessions in place of Redis')
  mesh.metrics.collect(() => {
    epoch.set(held()?.epoch ?? Number.NaN)
    degraded.set(held() === undefined ? Number.NaN : Number(isDegraded()))
  })
}
