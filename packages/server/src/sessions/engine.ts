// The session service. Sessions live in a store that any number of processes write to; this decides, by the rules of the protocol, what a command
// makes of one, and commits it by compare and set. What it remembers of sessions saves the reading, never the comparing.

import { type Ctx, createId, type Env, type Metrics } from '@ripstop/kernel'
import { deadlineOf } from '@ripstop/protocol/sessions'
import { pause } from '#platform/pause'
import type { Authority, SessionRef, SessionStore } from '#session-stores'
import { SessionCache } from './cache.ts'
import { type CommandDeps, type CommandEnd, CommandRun, notFound } from './commanding.ts'
import { createStored } from './creating.ts'
import { createHeld, createView, type HeldSession, lowerLevel } from './held.ts'
import { createMeters, outcomeOf } from './meters.ts'
import { hasEnded } from './planning.ts'
import { SessionQueue } from './queue.ts'
import type { CommandOptions, CommandResult, NewSession, SessionService, SessionView } from './service.ts'

const CACHE_COUNT_MAX = 20_000
const CACHE_BYTES_MAX = 134_217_728
/** For the way from the socket to the store, parsing and keys: 0.6 ms at the median. All of it is lateness of every fall. */
export const FALL_GRACE_MS = 1

export interface EngineDeps {
  readonly env: Env
  readonly metrics: Metrics
  readonly store: SessionStore
  readonly authority: Authority
  readonly cacheCountMax?: number
  readonly cacheBytesMax?: number
  readonly fallGraceMs?: number
}

export interface SessionEngine extends SessionService {
  /** Tells of deadlines that commits of this process set. */
  watchDeadlines(listener: (deadlineMs: number) => void): Disposable
  /** Reads a session that falls due at `deadlineMs`, where that is not what is remembered of it, so that its command need not. */
  prepare(ctx: Ctx, ref: SessionRef, deadlineMs: number): Promise<void>
  /** How long after a fall it may be committed (EN8). */
  readonly fallGraceMs: number
}

export function createSessionService(deps: EngineDeps): SessionEngine {
  return new Engine(deps)
}

class Engine implements SessionEngine {
  readonly #env: Env
  readonly #store: SessionStore
  readonly #authority: Authority
  readonly #cache: SessionCache
  readonly #queue = new SessionQueue()
  readonly #run: CommandDeps
  readonly #deadlineListeners = new Set<(deadlineMs: number) => void>()
  readonly #nonce: string
  #commands = 0

  constructor(deps: EngineDeps) {
    const { env, metrics, store, authority, fallGraceMs = FALL_GRACE_MS } = deps
    const { cacheCountMax = CACHE_COUNT_MAX, cacheBytesMax = CACHE_BYTES_MAX } = deps
    this.#env = env
    this.#store = store
    this.#authority = authority
    this.#cache = new SessionCache({ countMax: cacheCountMax, bytesMax: cacheBytesMax })
    const onDeadline = (deadlineMs: number): void => {
      for (const listener of this.#deadlineListeners) listener(deadlineMs)
    }
    const meters = createMeters(metrics, this.#cache)
    this.#run = { env, store, authority, cache: this.#cache, meters, fallGraceMs, onDeadline }
    this.#nonce = createId(env.clock.wallMs()).slice(-12)
  }

  get fallGraceMs(): number {
    return this.#run.fallGraceMs
  }

  async create(
    ctx: Ctx,
    session: NewSession,
    options: Pick<CommandOptions, 'actor' | 'operationId'>,
  ): Promise<{ readonly session: SessionView; readonly isRepeated: boolean }> {
    const { held, isRepeated } = await createStored(this.#run, ctx, session, { ...options, nonce: this.#nextNonce() })
    this.#remember(held)
    if (!isRepeated) this.#run.meters.created.add(1)
    return { session: createView(held), isRepeated }
  }

  async read(ctx: Ctx, ref: SessionRef): Promise<SessionView> {
    const { level } = this.#store
    const stored = await this.#store.load(ctx, ref)
    if (stored === undefined) {
      this.#cache.drop(keyOf(ref))
      throw notFound()
    }
    const held = this.#remember(createHeld(stored, lowerLevel(level, this.#store.level), this.#cache.get(keyOf(ref))))
    if (!this.#isBehind(held)) return createView(held)
    const end = await this.#carryOut(ctx, ref, { kind: 'timeout' }, this.#readingOptions())
    return createView(end.held)
  }

  async prepare(ctx: Ctx, ref: SessionRef, deadlineMs: number): Promise<void> {
    const known = this.#cache.get(keyOf(ref))
    if (known !== undefined && deadlineOf(known.body.state) === deadlineMs) return
    const { level } = this.#store
    const stored = await this.#store.load(ctx, ref)
    if (stored !== undefined) this.#remember(createHeld(stored, lowerLevel(level, this.#store.level), known))
  }

  #readingOptions(): CommandOptions {
    return { receivedMs: this.#authority.nowMs() - this.fallGraceMs, actor: 'clock', operationId: undefined }
  }

  /** Something happened to it that is not in it yet: an outage, or a deadline that nobody can be before any more. */
  #isBehind({ epoch, body: { state } }: HeldSession): boolean {
    if (hasEnded(state)) return false
    if (epoch !== this.#authority.term().epoch) return true
    const deadlineMs = deadlineOf(state)
    return deadlineMs !== undefined && deadlineMs + this.fallGraceMs <= this.#authority.nowMs()
  }

  async command(
    ctx: Ctx,
    ref: SessionRef,
    command: Parameters<SessionService['command']>[2],
    options: CommandOptions,
  ): Promise<CommandResult> {
    const { meters } = this.#run
    const startedMs = this.#env.clock.monoMs()
    try {
      const { held, events, isRepeated } = await this.#carryOut(ctx, ref, command, options)
      meters.commanded(command.kind, isRepeated ? 'repeated' : 'done')
      return { session: createView(held), events, isRepeated }
    } catch (error) {
      meters.commanded(command.kind, outcomeOf(error))
      throw error
    } finally {
      meters.duration.observe((this.#env.clock.monoMs() - startedMs) / 1_000)
    }
  }

  async #carryOut(
    ctx: Ctx,
    ref: SessionRef,
    command: Parameters<SessionService['command']>[2],
    options: CommandOptions,
  ): Promise<CommandEnd> {
    const key = keyOf(ref)
    const run = new CommandRun(this.#run, ctx, { ref, key, command, options, nonce: this.#nextNonce() })
    for (;;) {
      const outcome = await this.#queue.run(ctx, key, options.receivedMs, () => run.run())
      if (outcome.kind === 'end') return outcome
      await pause(ctx, outcome.ms) // EN8: and whoever comes meanwhile goes first
    }
  }

  async remove(ctx: Ctx, ref: SessionRef): Promise<void> {
    await this.#store.remove(ctx, ref)
    this.#cache.drop(keyOf(ref))
  }

  async log(
    ctx: Ctx,
    ref: SessionRef,
    { afterVersion, limit }: { readonly afterVersion: number; readonly limit: number },
  ) {
    const entries = await this.#store.log(ctx, { ...ref, afterVersion, limit })
    // What was deleted keeps its log for a while, and so there may be one without a session.
    if (entries.length === 0 && (await this.#store.load(ctx, ref)) === undefined) throw notFound()
    return entries
  }

  watch(ref: SessionRef, listener: Parameters<SessionService['watch']>[1]): Disposable {
    return this.#store.watch(ref, listener)
  }

  watchDeadlines(listener: (deadlineMs: number) => void): Disposable {
    this.#deadlineListeners.add(listener)
    return { [Symbol.dispose]: () => void this.#deadlineListeners.delete(listener) }
  }

  nowMs(): number {
    return this.#authority.nowMs()
  }

  exactMs(): number {
    return this.#authority.exactMs()
  }

  /** Never what is older than what is remembered: loads outside of the queue may overtake each other. */
  #remember(held: HeldSession): HeldSession {
    const key = keyOf(held.ref)
    const known = this.#cache.get(key)
    const isOlder =
      known !== undefined &&
      (known.epoch > held.epoch || (known.epoch === held.epoch && known.body.state.version > held.body.state.version))
    if (!isOlder) this.#cache.put(key, held)
    return held
  }

  #nextNonce(): string {
    return `${this.#nonce}.${(++this.#commands).toString(36)}`
  }
}

function keyOf({ tenantId, sessionId }: SessionRef): string {
  return `${tenantId}/${sessionId}`
}
