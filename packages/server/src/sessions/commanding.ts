// One command, from its turn in the queue to its end: what the session is, what follows from the command, the commit, and whatever can come
// between. Nothing is locked while it is decided; whoever commits first on a state has it, and everybody else decides anew on what is there then.
// Invariants:
//   EN2. What is acknowledged was committed, on the very state that it was decided on.
//   EN3. Only a commit may rest on what is remembered: before anybody is refused, or told that nothing changed, the session is loaded.
//   EN6. A command whose commit has an unknown outcome is done at most once: it is tried again only after its session was loaded and the commit
//        was not found there, by its hash; where that can't be done the failure that is thrown says `sent: 'maybe'`.
//   EN7. An operation that was done before is answered as repeated, also where its command would be refused by now.
//   EN8. No clock falls in the log before FALL_GRACE_MS after it fell: a command that was received before reaches its engine meanwhile, in whichever
//        process, and wins. Nobody holds the session while waiting for that.

import { type Ctx, type Env, isRipstopError, RipstopError } from '@ripstop/kernel'
import type { Command, SessionEvent } from '@ripstop/protocol/sessions'
import { pause } from '#platform/pause'
import type { AckLevel, Authority, Commit, SessionRef, SessionStore, StoredSession, Term } from '#session-stores'
import type { SessionCache } from './cache.ts'
import { createHeld, createView, type HeldSession, lowerLevel } from './held.ts'
import type { EngineMeters } from './meters.ts'
import { createCommit, hasEnded, lastFallMs, type Plan, planCommand } from './planning.ts'
import type { CommandOptions } from './service.ts'

/** How often a command is decided in vain before its caller is told. */
const ROUNDS_MAX = 12
/** Pages of deadlines that one command settles: a day of turns of a second. */
const PAGES_MAX = 400
const JITTER_MS_MAX = 32
/** Unknown outcomes are looked into for about so long: a restart of the store. */
const LOOKS_MAX = 8
const LOOK_MS = 25
const RETRY_AFTER_MS = 200
/** Timers are set in whole ms: half of one is not waited for. */
const TIMER_MS = 0.5
const NOTHING: readonly never[] = []

type Committed = Awaited<ReturnType<SessionStore['commit']>>

export interface CommandDeps {
  readonly env: Env
  readonly store: SessionStore
  readonly authority: Authority
  readonly cache: SessionCache
  readonly meters: EngineMeters
  readonly fallGraceMs: number
  /** A session was committed that falls due then. */
  readonly onDeadline: (deadlineMs: number) => void
}

export interface CommandEnd {
  readonly kind: 'end'
  readonly held: HeldSession
  readonly events: readonly SessionEvent[]
  readonly isRepeated: boolean
}

/** It is too early: come back then, and let others go first. */
interface CommandWait {
  readonly kind: 'wait'
  readonly ms: number
}

/** A commit that may have been made. */
interface Lost {
  readonly commit: Commit
  readonly plan: Plan
  readonly error: RipstopError
}

export interface AskedCommand {
  readonly ref: SessionRef
  readonly key: string
  readonly command: Command
  readonly options: CommandOptions
  readonly nonce: string
}

export class CommandRun {
  readonly #deps: CommandDeps
  readonly #ctx: Ctx
  readonly #asked: AskedCommand
  /** What was loaded since it has its turn; anything else is only remembered. */
  #loaded: HeldSession | undefined
  #mustLoad = false
  #rounds = 0
  #pages = 0
  #looks = 0
  #lost: readonly Lost[] = NOTHING
  /** What was committed on the way, beside the command itself. */
  #settled: readonly SessionEvent[] = NOTHING

  constructor(deps: CommandDeps, ctx: Ctx, asked: AskedCommand) {
    this.#deps = deps
    this.#ctx = ctx
    this.#asked = asked
  }

  /** Until its end, or until it has to wait; then it is to be run again. Only while it has its turn. */
  async run(): Promise<CommandEnd | CommandWait> {
    this.#loaded = undefined
    for (;;) {
      try {
        const outcome = await this.#attempt()
        if (outcome !== undefined) return outcome
      } catch (error) {
        if (this.#lost.length > 0) await this.#lookAgain(error)
        else throw error
      }
    }
  }

  /** Undefined: once more. */
  async #attempt(): Promise<CommandEnd | CommandWait | undefined> {
    const { authority, store } = this.#deps
    const { command, options, ref } = this.#asked
    const term = authority.term()
    const held = this.#remembered(term) ?? (await this.#load())
    if (this.#lost.length > 0) {
      const landed = await this.#findLanded(held)
      if (landed !== undefined) return landed
    }
    if (held.epoch > term.epoch) return this.#renew(term)
    const isBehind = held.epoch < term.epoch && !hasEnded(held.body.state)
    const outages = isBehind ? await authority.outagesAfter(this.#ctx, held.epoch) : NOTHING
    const plan = planCommand(held, command, options, outages)
    const isCommit = plan.events.length > 0
    if (held !== this.#loaded && (plan.refused !== undefined || !isCommit)) {
      this.#mustLoad = true // EN3
      return undefined
    }
    if (plan.refused !== undefined && options.operationId !== undefined) {
      const version = await store.findOperation(this.#ctx, ref, options.operationId)
      if (version !== undefined) return this.#repeated(version, held)
    }
    return isCommit ? this.#commit(held, plan, term) : this.#conclude(held, plan)
  }

  #remembered({ epoch }: Term): HeldSession | undefined {
    if (this.#mustLoad) return undefined
    const held = this.#deps.cache.get(this.#asked.key)
    return held?.epoch === epoch || held === this.#loaded ? held : undefined
  }

  async #commit(held: HeldSession, plan: Plan, term: Term): Promise<CommandEnd | CommandWait | undefined> {
    const { authority, store, fallGraceMs } = this.#deps
    const fallMs = lastFallMs(plan)
    if (fallMs !== undefined) {
      const waitMs = fallMs + fallGraceMs - authority.exactMs()
      if (waitMs > TIMER_MS) return { kind: 'wait', ms: waitMs }
    }
    const { options, nonce } = this.#asked
    const at = { epoch: term.epoch, nowMs: authority.nowMs(), level: store.level }
    const { commit, next } = createCommit(held, plan, options, nonce, at)
    let committed: Committed
    try {
      committed = await store.commit(this.#ctx, commit)
    } catch (error) {
      return this.#failed(error, commit, plan)
    }
    switch (committed.kind) {
      case 'committed':
        return this.#committed(held, next, commit, plan)
      case 'repeated':
        return this.#repeated(committed.version, await this.#load())
      case 'conflict':
        return this.#conflict(committed.current, at.level)
      case 'fenced':
        return this.#renew(term)
      case 'missing':
        this.#deps.cache.drop(this.#asked.key)
        throw notFound()
      default:
        return committed satisfies never
    }
  }

  #committed(held: HeldSession, next: HeldSession, { to }: Commit, plan: Plan): CommandEnd | undefined {
    const { cache, meters, authority, onDeadline } = this.#deps
    cache.put(this.#asked.key, next)
    this.#loaded = next
    if (held.epoch !== to.epoch) meters.recovered.add(1)
    for (const event of plan.events) if (event.kind === 'expired') meters.fell(authority.exactMs() - event.atMs)
    if (to.deadlineMs !== undefined) onDeadline(to.deadlineMs)
    return this.#conclude(next, plan)
  }

  #conclude(held: HeldSession, { events, refused, isSettled }: Plan): CommandEnd | undefined {
    if (!isSettled) {
      if (++this.#pages > PAGES_MAX) throw tooSlow('it has more deadlines to settle than one command may')
      this.#settled = [...this.#settled, ...events]
      return undefined
    }
    if (refused === 'moved') throw conflict(held, 'the session does not stand where it was expected')
    if (refused !== undefined) throw refused
    return this.#end(held, events, false)
  }

  #end(held: HeldSession, events: readonly SessionEvent[], isRepeated: boolean): CommandEnd {
    const all = this.#settled.length === 0 ? events : [...this.#settled, ...events]
    return { kind: 'end', held, events: all, isRepeated }
  }

  async #load(): Promise<HeldSession> {
    const { store } = this.#deps
    const { level } = store
    const stored = await store.load(this.#ctx, this.#asked.ref)
    if (stored !== undefined) return this.#adopt(stored, lowerLevel(level, store.level))
    this.#deps.cache.drop(this.#asked.key)
    this.#lost = NOTHING // it was deleted: whether that was done before is all the same
    throw notFound()
  }

  #adopt(stored: StoredSession, level: AckLevel): HeldSession {
    const { cache } = this.#deps
    const { key } = this.#asked
    const held = createHeld(stored, level, cache.get(key))
    cache.put(key, held)
    this.#loaded = held
    this.#mustLoad = false
    return held
  }

  async #conflict(current: StoredSession, level: AckLevel): Promise<CommandEnd | undefined> {
    const { env, meters } = this.#deps
    meters.conflicts.add(1)
    const held = this.#adopt(current, level)
    const landed = await this.#findLanded(held)
    if (landed !== undefined) return landed
    if (++this.#rounds >= ROUNDS_MAX) throw conflict(held, 'others change this session at the same time')
    const mostMs = Math.min(JITTER_MS_MAX, 2 ** (this.#rounds - 1))
    if (this.#rounds > 1) await pause(this.#ctx, mostMs * env.random())
    return undefined
  }

  async #renew(term: Term): Promise<undefined> {
    if (++this.#rounds >= ROUNDS_MAX) throw tooSlow('the authority changes too often')
    await this.#deps.authority.renew(this.#ctx, term)
    this.#mustLoad = true
    return undefined
  }

  #repeated(version: number, held: HeldSession): CommandEnd {
    const own = this.#lost.find(({ commit, plan }) => plan.isDone && commit.to.version === version)
    this.#lost = NOTHING
    return this.#end(held, own?.plan.events ?? NOTHING, own === undefined)
  }

  /** The commit failed; was it made? */
  #failed(error: unknown, commit: Commit, plan: Plan): never {
    if (!isRipstopError(error) || error.sent !== 'no') this.#deps.cache.drop(this.#asked.key)
    if (mayHaveBeenDone(error)) this.#lost = [...this.#lost, { commit, plan, error }]
    throw error
  }

  /** EN6. What can't be found out now may be in a moment: the store is starting again. */
  async #lookAgain(error: unknown): Promise<void> {
    const { env } = this.#deps
    this.#mustLoad = true
    if (!isRipstopError(error) || ++this.#looks > LOOKS_MAX) throw unknownOutcome(this.#lost, error)
    try {
      await pause(this.#ctx, LOOK_MS * 2 ** (this.#looks - 1) * (0.5 + env.random() / 2))
    } catch {
      throw unknownOutcome(this.#lost, error) // its time is over
    }
  }

  /** Which of the commits that may have been made was made. Undefined: none, so far; those that still can be are kept in mind. */
  async #findLanded(held: HeldSession): Promise<CommandEnd | undefined> {
    const { version } = held.body.state
    for (const lost of this.#lost) {
      const { from, to } = lost.commit
      if (held.epoch === from.epoch && version === from.version) continue // it may come yet, and then before any other
      const hash = to.version === version ? held.head : await this.#hashAt(to.version, version)
      this.#lost = this.#lost.filter((other) => other !== lost)
      if (hash !== to.head) continue
      if (lost.plan.isDone) return this.#end(held, lost.plan.events, false)
      this.#settled = [...this.#settled, ...lost.plan.events]
    }
    return undefined
  }

  async #hashAt(version: number, lastVersion: number): Promise<string | undefined> {
    if (version > lastVersion) return undefined
    const query = { ...this.#asked.ref, afterVersion: version - 1, limit: 1 }
    return (await this.#deps.store.log(this.#ctx, query))[0]?.hash
  }
}

/** And is worth another look. */
export function mayHaveBeenDone(error: unknown): error is RipstopError {
  return isRipstopError(error) && error.retry && error.sent === 'maybe'
}

export function notFound(): RipstopError {
  return new RipstopError('SESSION_NOT_FOUND', 'there is no such session')
}

export function conflict(held: HeldSession, message: string): RipstopError {
  return new RipstopError('CONFLICT', message, { details: { current: createView(held) }, sent: 'no' })
}

function tooSlow(message: string): RipstopError {
  return new RipstopError('SESSION_BUSY', message, { sent: 'no', retryAfterMs: RETRY_AFTER_MS })
}

function unknownOutcome(lost: readonly Lost[], cause: unknown): RipstopError {
  const error = (lost.at(-1) as Lost).error
  return new RipstopError(error.code, 'whether it was done is not known', {
    cause,
    details: error.details,
    sent: 'maybe',
    ...(error.retryAfterMs === undefined ? {} : { retryAfterMs: error.retryAfterMs }),
  })
}
