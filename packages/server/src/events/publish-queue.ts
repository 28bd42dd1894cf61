// The queue in front of the publishing statement. While statements are under way what comes collects, and goes together with the next one: under load
// many publishers share one commit, and alone nobody waits.
// Invariants:
//   EV9. At most UNDER_WAY_MAX statements at once, each with at most BATCH_EVENTS_MAX events or those of one publisher; what waits is bounded, and
//        beyond that a publisher is told OVERLOADED at once.
//   EV10. Whoever gave up waiting before their statement began has published nothing.

import { background, type Ctx, type Env, RipstopError } from '@ripstop/kernel'
import { type BatchDeps, type Entry, writeBatch } from './batch.ts'

export const BATCH_EVENTS_MAX = 1_000
const BATCH_BYTES_MAX = 8_388_608
const UNDER_WAY_MAX = 2
const WAITING_EVENTS_MAX = 20_000
const WAITING_BYTES_MAX = 67_108_864
const RETRY_AFTER_MS = 500

interface Job {
  readonly entries: readonly Entry[]
  readonly bytes: number
  readonly settle: (error?: unknown) => void
}

export class PublishQueue implements AsyncDisposable {
  readonly #deps: BatchDeps
  readonly #root: Ctx
  #waiting: Job[] = []
  #waitingEvents = 0
  #waitingBytes = 0
  readonly #underWay = new Set<Promise<void>>()
  #isClosed = false

  constructor(env: Env, deps: BatchDeps) {
    this.#deps = deps
    this.#root = background(env)
  }

  get waitingEvents(): number {
    return this.#waitingEvents
  }

  /** Resolves once every entry has its outcome. Throws OVERLOADED, what the link and the consumers throw, and the ctx's reason. */
  submit(ctx: Ctx, entries: readonly Entry[]): Promise<void> {
    const bytes = entries.reduce((sum, { event }) => sum + event.body.length, 0)
    const isFull =
      this.#waitingEvents > 0 &&
      (this.#waitingEvents + entries.length > WAITING_EVENTS_MAX || this.#waitingBytes + bytes > WAITING_BYTES_MAX)
    if (isFull) {
      const message = 'more events are waiting than can be written'
      return Promise.reject(new RipstopError('OVERLOADED', message, { sent: 'no', retryAfterMs: RETRY_AFTER_MS }))
    }
    if (this.#isClosed) return Promise.reject(new RipstopError('LINK_CLOSED', 'the mesh is stopping', { sent: 'no' }))
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const { signal } = ctx
    const over = (): void => job.settle(this.#overError(job, signal.reason))
    const job: Job = {
      entries,
      bytes,
      settle: (error) => {
        signal.removeEventListener('abort', over)
        if (error === undefined) resolve()
        else reject(error)
      },
    }
    this.#waiting.push(job)
    this.#waitingEvents += entries.length
    this.#waitingBytes += bytes
    if (signal.aborted) over()
    else signal.addEventListener('abort', over, { once: true })
    this.#pump()
    return promise
  }

  /** Takes a job whose publisher gave up out of the queue, if it is still there. */
  #overError(job: Job, reason: unknown): unknown {
    const index = this.#waiting.indexOf(job)
    if (index < 0) return asMaybe(reason)
    this.#waiting.splice(index, 1)
    this.#waitingEvents -= job.entries.length
    this.#waitingBytes -= job.bytes
    return reason
  }

  #pump(): void {
    while (this.#underWay.size < UNDER_WAY_MAX && this.#waiting.length > 0) {
      const running = this.#run(this.#take()).finally(() => {
        this.#underWay.delete(running)
        this.#pump()
      })
      this.#underWay.add(running)
    }
  }

  #take(): readonly Job[] {
    let count = 0
    let events = 0
    let bytes = 0
    for (const job of this.#waiting) {
      const isTooMuch = events + job.entries.length > BATCH_EVENTS_MAX || bytes + job.bytes > BATCH_BYTES_MAX
      if (count > 0 && isTooMuch) break
      count++
      events += job.entries.length
      bytes += job.bytes
    }
    this.#waitingEvents -= events
    this.#waitingBytes -= bytes
    return this.#waiting.splice(0, count)
  }

  /** Never rejects. Not under any publisher's ctx, for it is of many; the link's own deadline bounds it. */
  async #run(jobs: readonly Job[]): Promise<void> {
    try {
      await writeBatch(
        this.#deps,
        this.#root,
        jobs.length === 1 ? (jobs[0]?.entries ?? []) : jobs.flatMap((job) => job.entries),
      )
      for (const job of jobs) job.settle()
    } catch (error) {
      for (const job of jobs) job.settle(job.entries.every((entry) => entry.outcome !== undefined) ? undefined : error)
    }
  }

  /** Takes nothing new; resolves once what was taken is done. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true
    while (this.#underWay.size > 0) await Promise.all(this.#underWay)
    this.#root.cancel()
  }
}

/** The statement goes on without its publisher. */
function asMaybe(reason: unknown): unknown {
  if (!(reason instanceof RipstopError)) return reason
  return new RipstopError(reason.code, reason.message, { cause: reason, details: reason.details, sent: 'maybe' })
}
