// For tests and simulations only: a peer that does what a script says, and the link to it on a fake clock.

import type { Adapter, GenerationEvents } from '../adapter.ts'
import { background, type Ctx, type Env } from '../ctx.ts'
import { createEnv } from '../env.ts'
import { isRipstopError, RipstopError, type Sent } from '../errors.ts'
import type { GuaranteesInput } from '../guarantees.ts'
import { createSeededRandom } from '../ids.ts'
import type { Link } from '../link.ts'
import type { CloseCause } from '../link-state.ts'
import { Mesh } from '../mesh.ts'
import { createFakeClock, type FakeClock, settle } from './index.ts'

/** What the peer does when it is asked for something. */
export type Answer =
  | { readonly does: 'answer'; readonly afterMs: number }
  | { readonly does: 'fail'; readonly afterMs: number; readonly error: unknown }
  | { readonly does: 'hang' }
  | { readonly does: 'throw'; readonly error: unknown }

export const ANSWER: Answer = { does: 'answer', afterMs: 0 }
export const HANG: Answer = { does: 'hang' }

/** A failure of the way to the peer, as a socket library would throw it. */
export class WireError extends Error {
  readonly sent: Sent
  constructor(sent: Sent, message = 'the wire broke') {
    super(message)
    this.sent = sent
  }
}

/** An answer of the peer that its caller won't like: it proves nothing bad about the way there. */
export class AnswerError extends Error {}

/** One generation of the scripted resource. */
export class Connection {
  readonly number: number
  readonly events: GenerationEvents
  /** Half-open: nothing that is asked over it is ever answered. */
  dead = false
  /** A probe over it was answered. */
  proven = false
  probesUnderWay = 0
  closedBecause: CloseCause | undefined = undefined

  constructor(number: number, events: GenerationEvents) {
    this.number = number
    this.events = events
  }
}

export class ScriptedPeer implements Adapter<Connection> {
  readonly kind = 'scripted'
  readonly target = 'nowhere'
  sharedFate = true
  /** Does it stop when the signal tells it to, as adapters must? A wicked one doesn't. */
  obedient = false
  onOpen: () => Answer = () => ANSWER
  onProbe: () => Answer = () => ANSWER
  /** Runs inside `close`, where a library may call back at once. */
  onClose: (connection: Connection) => void = () => {}
  readonly live = new Set<Connection>()
  /** Opened and closed in all; what was opened must be closed exactly once. */
  opened = 0
  closed = 0
  closedTwice = 0
  opens = 0
  probes = 0
  /** The most probes at once over one connection. */
  probesUnderWayMost = 0
  readonly #env: Env

  constructor(env: Env) {
    this.#env = env
  }

  async open(ctx: Ctx, events: GenerationEvents): Promise<Connection> {
    const number = ++this.opens
    await this.ask(this.onOpen(), ctx)
    const connection = new Connection(number, events)
    this.opened++
    this.live.add(connection)
    return connection
  }

  async probe(connection: Connection, ctx: Ctx): Promise<void> {
    this.probes++
    connection.probesUnderWay++
    this.probesUnderWayMost = Math.max(this.probesUnderWayMost, connection.probesUnderWay)
    try {
      await this.ask(this.onProbe(), ctx, connection, true)
      connection.proven = true
    } finally {
      connection.probesUnderWay--
    }
  }

  close(connection: Connection, because: CloseCause): void {
    if (connection.closedBecause !== undefined) this.closedTwice++
    connection.closedBecause = because
    this.closed++
    this.live.delete(connection)
    this.onClose(connection)
  }

  fault(error: unknown): RipstopError | undefined {
    if (!(error instanceof WireError)) return undefined
    return new RipstopError('PEER_FAILED', error.message, { cause: error, sent: error.sent })
  }

  /** Does what the answer says, over a connection unless that is dead by then; `obey` gives up when `ctx` is over. */
  ask(answer: Answer, ctx: Ctx, over?: Connection, obey = this.obedient): Promise<void> {
    if (answer.does === 'throw') throw answer.error
    return new Promise((resolve, reject) => {
      if (obey) ctx.signal.addEventListener('abort', () => reject(ctx.signal.reason), { once: true })
      if (answer.does === 'hang') return
      const end = (): void => {
        if (over?.dead === true) return
        if (answer.does === 'fail') reject(answer.error)
        else resolve()
      }
      if (answer.afterMs === 0) end()
      else this.#env.clock.schedule(answer.afterMs, end)
    })
  }

  /** The newest live connection. */
  get current(): Connection {
    const connection = [...this.live].at(-1)
    if (connection === undefined) throw new Error('the peer has no connection')
    return connection
  }
}

export interface TestLink {
  readonly clock: FakeClock
  readonly env: Env
  readonly mesh: Mesh
  readonly peer: ScriptedPeer
  readonly link: Link<Connection>
  readonly root: Ctx
  /** Starts the link and lets it come up. */
  readonly up: () => Promise<void>
}

export const TEST_DEADLINE_MS = 1_000

/** A link over a scripted peer on a fake clock. Without `random` chance always says one half. */
export function createTestLink(
  guarantees: Partial<GuaranteesInput> = {},
  options: { readonly seed?: number; readonly clock?: FakeClock } = {},
): TestLink {
  const clock = options.clock ?? createFakeClock()
  const random = options.seed === undefined ? () => 0.5 : createSeededRandom(options.seed)
  const env = createEnv({ clock, random })
  const mesh = new Mesh(env)
  const peer = new ScriptedPeer(env)
  const link = mesh.link('scripted.main', peer, { deadlineMs: TEST_DEADLINE_MS, ...guarantees })
  const root = background(env)
  const up = async (): Promise<void> => {
    link.start()
    await settle()
  }
  return { clock, env, mesh, peer, link, root, up }
}

/** How a call ended: its value, or the code and `sent` of its error. */
export interface Outcome {
  readonly value?: unknown
  readonly code?: string | undefined
  readonly sent?: Sent | undefined
  readonly error?: unknown
  readonly atMs: number
}

/** Watches a promise without ever leaving a rejection unhandled. `outcome()` is undefined until it settled. */
export function watch(promise: Promise<unknown>, clock: FakeClock): () => Outcome | undefined {
  let outcome: Outcome | undefined
  promise.then(
    (value) => {
      outcome = { value, atMs: clock.monoMs() }
    },
    (error: unknown) => {
      const ours = isRipstopError(error)
      outcome = {
        code: ours ? error.code : undefined,
        sent: ours ? error.sent : undefined,
        error,
        atMs: clock.monoMs(),
      }
    },
  )
  return () => outcome
}

/** A call whose attempts get these answers in turn; the last one repeats. */
export function ask(bench: TestLink, answers: readonly Answer[], ran: { attempts: number } = { attempts: 0 }) {
  return (connection: Connection, ctx: Ctx): Promise<string> => {
    const answer = answers[Math.min(ran.attempts, answers.length - 1)] as Answer
    ran.attempts++
    return bench.peer.ask(answer, ctx, connection).then(() => 'answered')
  }
}

export interface Leftovers {
  readonly inFlight: number
  readonly waiting: number
  readonly oldestOverdueMs: number
  readonly armed: number
}

/** What calls have left behind: permits, waiters, and timers (the link's own included). */
export function leftovers(bench: TestLink): Leftovers {
  const { inFlight, waiting, oldestOverdueMs } = bench.link.snapshot()
  return { inFlight, waiting, oldestOverdueMs, armed: bench.env.wheel.armed }
}

/** Nothing but so many timers of the link itself. */
export function onlyTimers(armed: number): Leftovers {
  return { inFlight: 0, waiting: 0, oldestOverdueMs: 0, armed }
}
