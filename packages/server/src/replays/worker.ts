// The work on replays: under a lease, a page of each running job in turn, so that a long one holds up no other. A job goes only as fast as
// its endpoint: while that has UNDONE_MAX deliveries undone the job waits, so a replay of millions adds a bounded backlog and what is
// published meanwhile is soon sent, too.
// Invariants:
//   RP2. A job ends with every event or letter that it is about looked at, after any crash, loss of the database or change of worker.
//   RP3. A job makes no deliveries for an endpoint that has UNDONE_MAX undone, and such an endpoint holds up no other's letters.
//   RP4. After a cancellation is answered the job makes no more.

import { background, type Ctx, createId, type Env, isRipstopError, type Link } from '@ripstop/kernel'
import type { PostgresPool } from '@ripstop/kernel/postgres'
import { type createDeliveryReader, deliveriesPart } from '#delivery'
import { readEvents, type StoredEvent } from '#events'
import { pause } from '#platform/pause'
import { type Part, withLease } from '#platform/postgres'
import type { Log } from '#platform/telemetry'
import {
  type EventReplay,
  isOfTypes,
  type LetterReplay,
  parseLetterCursor,
  type ReplayJob,
  writeLetterCursor,
} from './job.ts'
import { listRunning, type Step, takeStep } from './store.ts'

const PAGE_MAX = 1_000
const PAGE_MIN = 16
/** Events are read whole: those of a page take about this at most. */
const PAGE_BYTES = 8_388_608
const PAGE_FIRST = 100
const UNDONE_MAX = 10_000
const JOBS_MAX = 100
const LEASE_MS = 15_000
/** A turn ends well within its lease. */
const TURN_MS = 10_000
const POLL_MS = 1_000
/** While every job waits for its endpoint. */
const WAIT_MS = 500
/** Events show when they commit, and their ids are made before by another clock: those younger than this are left for a moment. */
const SETTLE_MS = 5_000

/** An endpoint as a replay needs it. */
export interface ReplayEndpoint {
  readonly lanes: number
  readonly isOrdered: boolean
  /** Whether its types and its filter let the event through. */
  readonly accepts: (event: StoredEvent) => boolean
  /** Selects a row while the endpoint is as it was read. */
  readonly current: Omit<Part, 'name'>
}

export interface ReplaysDeps {
  readonly env: Env
  readonly link: Link<PostgresPool>
  readonly log: Log
  readonly reader: ReturnType<typeof createDeliveryReader>
  /** Undefined: it is gone for good. */
  readonly findEndpoint: (ctx: Ctx, tenantId: string, endpointId: string) => Promise<ReplayEndpoint | undefined>
  /** Of this instance: one that starts again under its name goes on at once. */
  readonly owner?: string
  readonly undoneMax?: number
  /** For tests. */
  readonly pageMax?: number
  readonly pollMs?: number
  readonly leaseMs?: number
  readonly settleMs?: number
}

type Moved = 'moved' | 'waits'

/** For the `work` role: works until it is disposed of, whatever fails meanwhile. */
export function startReplays(deps: ReplaysDeps): AsyncDisposable {
  const root = background(deps.env)
  const worker = new Worker(deps)
  const working = worker.runForEver(root)
  return {
    [Symbol.asyncDispose]: async () => {
      root.cancel()
      await working
    },
  }
}

class Worker {
  readonly #deps: Required<ReplaysDeps>
  /** How many events the next page of a job has. */
  readonly #pages = new Map<string, number>()

  constructor(deps: ReplaysDeps) {
    this.#deps = {
      owner: createId(deps.env.clock.wallMs()),
      undoneMax: UNDONE_MAX,
      pageMax: PAGE_MAX,
      pollMs: POLL_MS,
      leaseMs: LEASE_MS,
      settleMs: SETTLE_MS,
      ...deps,
    }
  }

  async runForEver(root: Ctx): Promise<void> {
    const { env, link, log, owner, leaseMs, pollMs } = this.#deps
    while (root.reason === undefined) {
      try {
        using ctx = root.within(Math.min(TURN_MS, (leaseMs * 2) / 3))
        await withLease(link, ctx, { name: 'replays', owner, leaseMs }, ({ fence }) => this.#runTurn(ctx, fence))
      } catch (error) {
        if (root.reason !== undefined) return
        const code = isRipstopError(error) ? error.code : 'INTERNAL'
        const why = error instanceof Error ? error.message : String(error)
        if (code !== 'DEADLINE_EXCEEDED') log.warn({ event: 'replays.failed', code, why })
      }
      await pause(root, pollMs * (0.5 + env.random())).catch(() => undefined) // cancelled: the loop ends
    }
  }

  /** Until nothing runs, or the time is nearly over: no statement is to be cut short by it. */
  async #runTurn(ctx: Ctx, fence: Part): Promise<void> {
    const { link, env } = this.#deps
    const marginMs = ctx.remainingMs / 4
    let after: string | undefined
    let hasMoved = false
    while (ctx.remainingMs > marginMs) {
      const jobs = await listRunning(link, ctx, after, JOBS_MAX)
      if (jobs.length === 0 && after === undefined) return this.#pages.clear()
      for (const job of jobs) {
        if (ctx.remainingMs <= marginMs) return
        hasMoved = (await this.#step(ctx, fence, job)) === 'moved' || hasMoved
      }
      after = jobs.length < JOBS_MAX ? undefined : jobs.at(-1)?.replayId
      if (after !== undefined) continue
      if (!hasMoved) await pause(ctx, WAIT_MS * (0.5 + env.random()))
      hasMoved = false
    }
  }

  #step(ctx: Ctx, fence: Part, job: ReplayJob): Promise<Moved> {
    return job.what === 'events' ? this.#stepEvents(ctx, fence, job) : this.#stepLetters(ctx, fence, job)
  }

  async #stepEvents(ctx: Ctx, fence: Part, job: EventReplay): Promise<Moved> {
    const { link, env, reader, findEndpoint, undoneMax, settleMs } = this.#deps
    const { tenantId, endpointId, selector } = job
    const endpoint = await findEndpoint(ctx, tenantId, endpointId)
    if (endpoint === undefined) {
      return this.#take(ctx, fence, {
        job,
        cursor: job.cursor,
        state: 'cancelled',
        gates: [],
        parts: [],
        counted: undefined,
      })
    }
    const undone = await reader.countUndone(ctx, [endpointId], undoneMax)
    if ((undone.get(endpointId) ?? 0) >= undoneMax) return 'waits'
    const limit = Math.min(this.#pages.get(job.replayId) ?? PAGE_FIRST, this.#deps.pageMax)
    const settledWallMs = env.clock.wallMs() - settleMs
    const events = await readEvents(link, ctx, {
      tenantId,
      after: job.cursor,
      sinceWallMs: selector.sinceWallMs,
      untilWallMs: Math.min(selector.untilWallMs, settledWallMs),
      limit,
    })
    const isAll = events.length < limit
    if (isAll && events.length === 0 && selector.untilWallMs > settledWallMs) return 'waits'
    this.#pages.set(job.replayId, nextPage(events))
    const wanted = await this.#choose(ctx, job, endpoint, events)
    const made = deliveriesPart(
      wanted.map((event) => toDelivery(job, endpoint, event)),
      'due',
    )
    const state = isAll && selector.untilWallMs <= settledWallMs ? 'done' : 'running'
    const cursor = events.at(-1)?.eventId ?? job.cursor
    const gates = [{ ...endpoint.current, name: 'as_known' }]
    return this.#take(ctx, fence, { job, cursor, state, gates, parts: [made], counted: made.name })
  }

  async #choose(
    ctx: Ctx,
    { tenantId, endpointId, selector }: EventReplay,
    endpoint: ReplayEndpoint,
    events: readonly StoredEvent[],
  ): Promise<readonly StoredEvent[]> {
    const fitting = events.filter((event) => isOfTypes(event.type, selector.types) && endpoint.accepts(event))
    if (selector.only === 'all' || fitting.length === 0) return fitting
    const ids = fitting.map(({ eventId }) => eventId)
    const undelivered = await this.#deps.reader.findUndelivered(ctx, tenantId, endpointId, ids)
    return fitting.filter(({ eventId }) => undelivered.has(eventId))
  }

  async #stepLetters(ctx: Ctx, fence: Part, job: LetterReplay): Promise<Moved> {
    const { reader, undoneMax, pageMax } = this.#deps
    const { tenantId, endpointId, selector } = job
    const { after, hasLeft } = parseLetterCursor(job.cursor)
    // What dies again after it was sent again is not of this job.
    const untilWallMs = Math.min(selector.untilWallMs ?? Number.POSITIVE_INFINITY, job.createdWallMs)
    const filter = { endpointId, reason: selector.reason, sinceWallMs: selector.sinceWallMs, untilWallMs }
    const undoneOf = (ids: readonly string[]) => reader.countUndone(ctx, ids, undoneMax)
    if (endpointId !== undefined && ((await undoneOf([endpointId])).get(endpointId) ?? 0) >= undoneMax) return 'waits'
    const { lines, next } = await reader.readDeadLetters(ctx, tenantId, filter, { after, limit: pageMax })
    const undone = await undoneOf([...new Set(lines.map((letter) => letter.endpointId))])
    const isFull = (id: string): boolean => (undone.get(id) ?? 0) >= undoneMax
    const ids = lines.filter((letter) => !isFull(letter.endpointId)).map(({ deliveryId }) => deliveryId)
    const leaves = hasLeft || ids.length < lines.length
    const isPassOver = next === undefined
    const isDone = isPassOver && !leaves
    const cursor = writeLetterCursor({ after: next, hasLeft: leaves && !isPassOver })
    const state = isDone ? 'done' : 'running'
    const parts = reader.redriveParts(tenantId, ids, 'due')
    const moved = await this.#take(ctx, fence, { job, cursor, state, gates: [], parts, counted: 'redriven' })
    const hasNothing = ids.length === 0 || isPassOver
    return hasNothing && !isDone ? 'waits' : moved
  }

  async #take(ctx: Ctx, fence: Part, step: Step): Promise<Moved> {
    const { link, log } = this.#deps
    const isTaken = await takeStep(link, ctx, fence, step)
    const { job, state } = step
    if (isTaken && state !== 'running') log.info({ event: 'replay.ended', replayId: job.replayId, state })
    return isTaken ? 'moved' : 'waits'
  }
}

function nextPage(events: readonly StoredEvent[]): number {
  if (events.length === 0) return PAGE_MAX
  const bytes = events.reduce((sum, { body }) => sum + body.length, 0) / events.length
  return Math.max(PAGE_MIN, Math.min(PAGE_MAX, Math.floor(PAGE_BYTES / Math.max(1, bytes))))
}

function toDelivery(
  { tenantId, endpointId, replayId }: EventReplay,
  { lanes, isOrdered }: ReplayEndpoint,
  event: StoredEvent,
) {
  const { eventId, key, body } = event
  return {
    tenantId,
    kind: 'webhook',
    targetId: endpointId,
    messageId: eventId,
    bytes: body.length,
    key,
    lanes,
    isOrdered,
    replayId,
  } as const
}
