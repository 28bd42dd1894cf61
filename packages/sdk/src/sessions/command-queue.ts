// Command queue. What was asked of the session and is not answered yet, in the order in which it was asked; one command is under way
// at a time, so that none overtakes another. Each has an id under which the server does it once, so whatever was not answered is sent
// again: on the next connection, when the server asks for it, or after a while.
// Invariants:
//   CQ1. Every command ends: with the server's answer, or with an error that says whether it may have been sent.
//   CQ2. A command is sent again under the same id only, and never when its time is over, even if this machine slept meanwhile.
//   CQ3. Commands are done in the order in which they were asked.
//   CQ4. At most `WAITING_MAX` wait; a further one is refused at once.
//   CQ5. What the server asks to wait for is sent again ever less often, a few times a second at most, however soon it says.

import { createId, RipstopError } from '@ripstop/kernel'
import type { ServerMessage } from '@ripstop/protocol/sessions'
import type { SessionEnvironment } from './environment.ts'
import { refusalOf } from './refusal.ts'
import type { Place } from './replica.ts'
import type { PendingCommand, SessionCommand } from './session-command.ts'

const WAITING_MAX = 64
const EXPIRE_MS = 30_000
const RESEND_MS = 5_000
const REFUSED_MS_MIN = 100
const REFUSED_MS_MAX = 2_000

export interface CommandOptions {
  /** The same id is done once, also from another client; one is made if none is given. */
  readonly operationId?: string
  /** How long it may wait for an answer; 30 s unless told. */
  readonly expireMs?: number
  /** Only if the session still stands there; else CONFLICT. */
  readonly ifAt?: Place
}

export interface CommandAnswer extends Place {
  readonly operationId: string
  /** `durable`: committed in Postgres. `accepted`: Redis has it. */
  readonly level: 'accepted' | 'durable'
  /** It had been done before. */
  readonly isRepeated: boolean
}

interface Entry extends PendingCommand {
  readonly expiresMonoMs: number
  readonly expiresWallMs: number
  readonly resolve: (answer: CommandAnswer) => void
  readonly reject: (error: RipstopError) => void
  isSent: boolean
  /** Times that the server asked to wait. */
  refusals: number
  /** Its event was told: it is part of the session now, answered or not. */
  seenAt: Place | undefined
  /** Not before; it is under way until then, or the server asked to wait. */
  sendAtMonoMs: number
}

export interface CommandQueueOptions {
  readonly env: SessionEnvironment
  /** False: there is no connection. Throws a RipstopError for a command that can't be sent at all. */
  readonly send: (entry: PendingCommand) => boolean
  /** Is the session, as it is known here, there yet? */
  readonly hasReached: (place: Place) => boolean
  readonly onChange: () => void
}

type Message<T extends ServerMessage['t']> = Extract<ServerMessage, { t: T }>

export interface CommandQueue {
  add(command: SessionCommand, askedMs: number, options: CommandOptions): Promise<CommandAnswer>
  /** There is a connection on which nothing is under way. */
  connected(): void
  disconnected(): void
  acked(message: Message<'ack'>): void
  nacked(message: Message<'nack'>): void
  /** The server made no sense of the last message: of the command under way, if there is one. */
  misunderstood(message: Message<'err'>): void
  /** An event told of an operation. */
  seen(operationId: string, place: Place): void
  fail(createError: (sent: 'no' | 'maybe') => RipstopError): void
  /** What the session does not show yet, in order. */
  pending(): readonly PendingCommand[]
}

export function createCommandQueue(options: CommandQueueOptions): CommandQueue {
  return new Queue(options)
}

class Queue implements CommandQueue {
  readonly #options: CommandQueueOptions
  #waiting: Entry[] = []
  /** Acknowledged; the replica has not got there yet. */
  #acknowledged: (PendingCommand & { readonly place: Place })[] = []
  #isConnected = false
  #cancel = (): void => {}

  constructor(options: CommandQueueOptions) {
    this.#options = options
  }

  add(command: SessionCommand, askedMs: number, options: CommandOptions): Promise<CommandAnswer> {
    const { clock } = this.#options.env
    const { operationId = createId(clock.wallMs()), expireMs = EXPIRE_MS, ifAt } = options
    return new Promise((resolve, reject) => {
      if (this.#waiting.length >= WAITING_MAX) {
        reject(new RipstopError('OVERLOADED', `${WAITING_MAX} commands wait for an answer`, { sent: 'no' }))
        return
      }
      if (this.#waiting.some((entry) => entry.operationId === operationId)) {
        reject(new RipstopError('CONFLICT', `operation ${operationId} is under way`, { sent: 'no' }))
        return
      }
      const expires = { expiresMonoMs: clock.monoMs() + expireMs, expiresWallMs: clock.wallMs() + expireMs }
      const state = { isSent: false, refusals: 0, seenAt: undefined, sendAtMonoMs: 0 }
      this.#waiting.push({ operationId, command, askedMs, ifAt, ...expires, ...state, resolve, reject })
      this.#options.onChange()
      this.#work()
    })
  }

  connected(): void {
    this.#isConnected = true
    const [first] = this.#waiting
    if (first !== undefined) first.sendAtMonoMs = 0
    this.#work()
  }

  disconnected(): void {
    this.#isConnected = false
  }

  acked({ op, e: epoch, v: version, lvl: level, rep }: Message<'ack'>): void {
    const entry = this.#take(op)
    if (entry === undefined) return
    const { operationId, command, askedMs, ifAt } = entry
    this.#acknowledged.push({ operationId, command, askedMs, ifAt, place: entry.seenAt ?? { epoch, version } })
    // A server that tells of no events can't make this grow.
    if (this.#acknowledged.length > WAITING_MAX) this.#acknowledged.shift()
    entry.resolve({ operationId, epoch, version, level, isRepeated: rep === true })
    this.#changed()
  }

  nacked({ op, code, msg, retryMs }: Message<'nack'>): void {
    if (retryMs !== undefined) {
      const entry = this.#waiting.find(({ operationId }) => operationId === op)
      if (entry !== undefined) this.#putOff(entry, retryMs)
      return this.#work()
    }
    const entry = this.#take(op)
    if (entry === undefined) return
    entry.reject(refusalOf(code, msg, { details: { operationId: op } }))
    this.#changed()
  }

  misunderstood({ code, msg }: Message<'err'>): void {
    const [first] = this.#waiting
    if (first?.isSent === true) this.nacked({ t: 'nack', op: first.operationId, code, msg })
  }

  seen(operationId: string, place: Place): void {
    const entry = this.#waiting.find((waiting) => waiting.operationId === operationId)
    if (entry !== undefined) entry.seenAt = place
  }

  fail(createError: (sent: 'no' | 'maybe') => RipstopError): void {
    this.#cancel()
    const entries = this.#waiting
    this.#waiting = []
    this.#acknowledged = []
    for (const { reject, isSent } of entries) reject(createError(isSent ? 'maybe' : 'no'))
  }

  pending(): readonly PendingCommand[] {
    const { hasReached } = this.#options
    this.#acknowledged = this.#acknowledged.filter(({ place }) => !hasReached(place))
    return [...this.#acknowledged, ...this.#waiting.filter(({ seenAt }) => seenAt === undefined || !hasReached(seenAt))]
  }

  /** The server knows when its store may be back, in ms: asking each time would soon spend what a client may ask (CQ5). */
  #putOff(entry: Entry, retryMs: number): void {
    const { clock, random } = this.#options.env
    const mostMs = Math.min(REFUSED_MS_MAX, REFUSED_MS_MIN * 2 ** entry.refusals++)
    entry.sendAtMonoMs = clock.monoMs() + Math.max(retryMs, mostMs * (0.5 + 0.5 * random()))
  }

  #take(operationId: string): Entry | undefined {
    const index = this.#waiting.findIndex((entry) => entry.operationId === operationId)
    return index < 0 ? undefined : this.#waiting.splice(index, 1)[0]
  }

  #changed(): void {
    this.#options.onChange()
    this.#work()
  }

  /** Ends what is over, sends what is next, and comes back when there is something to do. */
  #work(): void {
    const { clock } = this.#options.env
    this.#cancel()
    const nowMs = clock.monoMs()
    if (this.#expire(nowMs, clock.wallMs())) this.#options.onChange()
    const [first] = this.#waiting
    if (this.#isConnected && first !== undefined && first.sendAtMonoMs <= nowMs) this.#send(first, nowMs)
    const [next] = this.#waiting
    if (next === undefined) return
    const expiresMs = Math.min(...this.#waiting.map(({ expiresMonoMs }) => expiresMonoMs))
    const sendMs = this.#isConnected ? next.sendAtMonoMs : Number.POSITIVE_INFINITY
    this.#cancel = clock.schedule(Math.max(0, Math.min(expiresMs, sendMs) - nowMs), () => this.#work())
  }

  #send(entry: Entry, nowMs: number): void {
    entry.sendAtMonoMs = nowMs + RESEND_MS
    try {
      if (this.#options.send(entry)) entry.isSent = true
    } catch (error) {
      this.#take(entry.operationId)
      entry.reject(error as RipstopError)
      this.#options.onChange()
    }
  }

  /** Time that this machine slept counts, on whichever clock it shows (CQ2). */
  #expire(nowMonoMs: number, nowWallMs: number): boolean {
    const isOver = (entry: Entry): boolean => entry.expiresMonoMs <= nowMonoMs || entry.expiresWallMs <= nowWallMs
    const over = this.#waiting.filter(isOver)
    this.#waiting = this.#waiting.filter((entry) => !over.includes(entry))
    for (const { operationId, isSent, seenAt, resolve, reject } of over) {
      // It happened, and only the acknowledgement is missing: `accepted` is the least that it can be.
      if (seenAt !== undefined) resolve({ operationId, ...seenAt, level: 'accepted', isRepeated: false })
      else
        reject(
          new RipstopError('DEADLINE_EXCEEDED', 'the server did not answer in time', {
            sent: isSent ? 'maybe' : 'no',
            details: { operationId },
          }),
        )
    }
    return over.length > 0
  }
}
