// A live session, as a program holds it. Its connection comes back by itself; what is shown goes on in between, since clocks are computed from
// the last event and the server's time. Commands show at once and are taken back if the server refuses them.
// Invariants:
//   SC7. `getSnapshot` gives the same object until something changed, and no object that was given changes.
//   SC8. What was foreseen of a command that is refused, or that ends without an answer, is gone with it.
//   SC9. `remaining` never needs the server: between events it follows from the state and the time.

import { RipstopError } from '@ripstop/kernel'
import {
  clockOf,
  parseServerMessage,
  SESSION_PROTOCOL,
  type ServerMessage,
  type SessionState,
  type SocketRole,
  shownMs,
  TOKEN_PROTOCOL,
} from '@ripstop/protocol/sessions'
import { type CommandAnswer, type CommandOptions, createCommandQueue } from './command-queue.ts'
import { createConnection, socketUrl } from './connection.ts'
import {
  type SessionEnvironment,
  type SessionSocketClass,
  systemEnvironment,
  systemSocketClass,
} from './environment.ts'
import { refusalOf } from './refusal.ts'
import { EMPTY_REPLICA, hasReached, type Place, placeOf, receive } from './replica.ts'
import { foresee, type SessionCommand, toSocketCommand } from './session-command.ts'
import { createTimeSync } from './time-sync.ts'

/** How long the server may take to say how things stand. */
const ASKING_MS_MAX = 10_000

export interface ConnectOptions {
  /** Of the mesh: `https://mesh.example`. */
  readonly url: string
  readonly sessionId: string
  /** A participant's token; a function is asked for one at each connection, as tokens end. */
  readonly token?: string | (() => string | Promise<string>)
  /** Where there is no global one, as in Node before 22: that of `ws`. */
  readonly WebSocket?: SessionSocketClass
  /** Clock, chance and wake-ups, for tests. */
  readonly env?: SessionEnvironment
}

export interface SessionSnapshot {
  /** closed: by `close()`, or because the server said that it is no use (`error`). */
  readonly status: 'connecting' | 'live' | 'reconnecting' | 'closed'
  /** With what is pending; undefined: not known yet. */
  readonly session: SessionState | undefined
  /** Without. */
  readonly confirmed: SessionState | undefined
  readonly place: Place | undefined
  readonly metadata: Readonly<Record<string, unknown>>
  readonly createdMs: number | undefined
  readonly role: SocketRole | undefined
  /** Who this client is; undefined: no participant. */
  readonly participantId: string | undefined
  /** Participants who are there, and how many others are. */
  readonly present: { readonly participantIds: readonly string[]; readonly others: number }
  readonly pending: readonly { readonly operationId: string; readonly command: SessionCommand }[]
  readonly error: RipstopError | undefined
}

/** Its functions may be handed on without it: `useSyncExternalStore(session.subscribe, session.getSnapshot)`. */
export interface LiveSession {
  /** The same object until something changed. */
  readonly getSnapshot: () => SessionSnapshot
  /** Called after each change; gives back what ends it. */
  readonly subscribe: (listener: () => void) => () => void
  /**
   * Done once, in order, also over a connection that breaks meanwhile. Throws what the server answers (NOT_YOUR_TURN,
   * INVALID_STATE_TRANSITION, CONFLICT …); DEADLINE_EXCEEDED: no answer in time, `sent` says whether it may have happened; OVERLOADED: 64 wait
   * already; CANCELLED: closed.
   */
  readonly command: (command: SessionCommand, options?: CommandOptions) => Promise<CommandAnswer>
  /** The server's time, ms with fractions; never goes backwards. Before the first connection, this machine's. */
  readonly now: () => number
  /** How far off that may be; infinite before the first connection. */
  readonly uncertaintyMs: () => number
  /** What a participant's clock shows now, ms; of one that counts up, what it counted. Undefined: not known yet, or no participant. */
  readonly remaining: (participantId: string) => number | undefined
  readonly close: () => void
  [Symbol.dispose](): void
}

/** Throws CONFIG_INVALID. */
export function connectSession(options: ConnectOptions): LiveSession {
  const socketClass = options.WebSocket ?? systemSocketClass()
  if (socketClass === undefined) throw new RipstopError('CONFIG_INVALID', 'there is no WebSocket here: give one')
  return new Client(options, socketUrl(options.url, options.sessionId), socketClass)
}

class Client implements LiveSession {
  readonly #env: SessionEnvironment
  readonly #token: ConnectOptions['token']
  readonly #connection: ReturnType<typeof createConnection>
  readonly #timeSync: ReturnType<typeof createTimeSync>
  readonly #queue: ReturnType<typeof createCommandQueue>
  readonly #listeners = new Set<() => void>()
  readonly #stopWaking: () => void
  #cancelAsking = (): void => {}
  #replica = EMPTY_REPLICA
  #status: SessionSnapshot['status'] = 'connecting'
  /** Where the session stood when the server was asked. */
  #target: Place | undefined
  #role: SocketRole | undefined
  #by: number | undefined
  #present: Extract<ServerMessage, { t: 'pres' }> = { t: 'pres', p: [], n: 0 }
  #error: RipstopError | undefined
  #snapshot: SessionSnapshot | undefined

  constructor({ env = systemEnvironment, token }: ConnectOptions, url: string, socketClass: SessionSocketClass) {
    this.#env = env
    this.#token = token
    this.#queue = createCommandQueue({
      env,
      send: ({ operationId: op, command, ifAt }) => {
        const state = this.#replica.known?.state as SessionState
        const at = ifAt === undefined ? {} : { e: ifAt.epoch, v: ifAt.version }
        return this.#send({ t: 'cmd', op, c: toSocketCommand(state, command), ...at })
      },
      hasReached: (place) => hasReached(this.#replica, place),
      onChange: () => this.#changed(),
    })
    this.#timeSync = createTimeSync({
      env,
      send: (probe) => this.#send({ t: 'p', ...probe }),
      onSilence: () => this.#connection.drop(),
    })
    this.#connection = createConnection({
      env,
      url,
      socketClass,
      protocols: () => this.#protocols(),
      onOpen: () => {
        this.#subscribe()
        this.#timeSync.begin()
      },
      onMessage: (text) => this.#received(text),
      onDown: () => this.#down(),
    })
    this.#stopWaking = env.onWake(() => {
      if (this.#status === 'live') this.#timeSync.begin()
      else this.#connection.hurry()
    })
  }

  readonly getSnapshot = (): SessionSnapshot => {
    this.#snapshot ??= this.#createSnapshot()
    return this.#snapshot
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  readonly command = (command: SessionCommand, options: CommandOptions = {}): Promise<CommandAnswer> => {
    if (this.#status !== 'closed') return this.#queue.add(command, this.now(), options)
    return Promise.reject(this.#error ?? new RipstopError('CANCELLED', 'the session was closed', { sent: 'no' }))
  }

  readonly now = (): number => {
    const { clock } = this.#env
    const monoMs = clock.monoMs()
    const { estimator } = this.#timeSync
    return estimator.uncertaintyMs(monoMs) === Number.POSITIVE_INFINITY ? clock.wallMs() : estimator.nowMs(monoMs)
  }

  readonly uncertaintyMs = (): number => {
    return this.#timeSync.estimator.uncertaintyMs(this.#env.clock.monoMs())
  }

  readonly remaining = (participantId: string): number | undefined => {
    const { session } = this.getSnapshot()
    return session === undefined ? undefined : remainingMs(session, participantId, this.now())
  }

  readonly close = (): void => {
    this.#end(undefined)
  };

  [Symbol.dispose](): void {
    this.close()
  }

  async #protocols(): Promise<string[]> {
    const token = typeof this.#token === 'function' ? await this.#token() : this.#token
    return token === undefined ? [SESSION_PROTOCOL] : [SESSION_PROTOCOL, TOKEN_PROTOCOL + token]
  }

  #send(message: object): boolean {
    return this.#connection.send(JSON.stringify(message))
  }

  #subscribe(): void {
    const place = placeOf(this.#replica)
    // Events that are under way already are part of the answer.
    this.#replica = { ...this.#replica, isAsking: true }
    this.#cancelAsking()
    this.#cancelAsking = this.#env.clock.schedule(ASKING_MS_MAX, () => this.#connection.drop())
    this.#send(place === undefined ? { t: 'sub' } : { t: 'sub', since: { e: place.epoch, v: place.version } })
  }

  #received(text: string): void {
    const message = parseServerMessage(text)
    switch (message?.t) {
      case undefined:
        return // of a later version of the protocol
      case 'p':
        return this.#timeSync.answered(message.i, message.s1, message.s2)
      case 'ack':
        return this.#queue.acked(message)
      case 'nack':
        return this.#queue.nacked(message)
      case 'err':
        return this.#queue.misunderstood(message)
      case 'bye':
        return this.#dismissed(message)
      case 'pres':
        this.#present = message
        return this.#changed()
      case 'hi':
        this.#cancelAsking()
        this.#role = message.r
        this.#by = message.p
        this.#target = { epoch: message.e, version: message.v }
        return this.#follow(message)
      case 'ev':
        if (message.o !== undefined) this.#queue.seen(message.o, { epoch: message.e, version: message.d.version })
        return this.#follow(message)
      case 'snap':
      case 'resync':
        return this.#follow(message)
      default:
        return message satisfies never
    }
  }

  #follow(message: Parameters<typeof receive>[1]): void {
    const { replica, mustAsk } = receive(this.#replica, message)
    this.#replica = replica
    if (mustAsk) this.#subscribe()
    if (this.#target !== undefined && hasReached(replica, this.#target) && this.#status !== 'live') {
      this.#status = 'live'
      this.#queue.connected()
    }
    this.#changed()
  }

  #dismissed({ code, retryMs }: Extract<ServerMessage, { t: 'bye' }>): void {
    const error = refusalOf(code, `the server ended it: ${code}`)
    const isTokenOver = code === 'UNAUTHENTICATED' && typeof this.#token === 'function' && this.#status === 'live'
    if (retryMs !== undefined || error.retry || isTokenOver) return this.#connection.drop(retryMs)
    this.#end(error)
  }

  #down(): void {
    this.#cancelAsking()
    this.#timeSync.pause()
    this.#queue.disconnected()
    this.#target = undefined
    if (this.#status === 'live') this.#status = 'reconnecting'
    this.#present = { t: 'pres', p: [], n: 0 }
    this.#changed()
  }

  #end(error: RipstopError | undefined): void {
    if (this.#status === 'closed') return
    this.#status = 'closed'
    this.#error = error
    this.#stopWaking()
    this.#cancelAsking()
    this.#timeSync.pause()
    this.#connection.close()
    this.#queue.disconnected()
    this.#queue.fail((sent) => {
      const { code, message } = error ?? { code: 'CANCELLED' as const, message: 'the session was closed' }
      return new RipstopError(code, message, { sent, ...(error === undefined ? {} : { details: error.details }) })
    })
    this.#changed()
  }

  #changed(): void {
    this.#snapshot = undefined
    for (const listener of [...this.#listeners]) {
      try {
        listener()
      } catch (error) {
        // A defect of the program: it is to show as one, and not to break the session.
        this.#env.clock.schedule(0, () => {
          throw error
        })
      }
    }
  }

  #createSnapshot(): SessionSnapshot {
    const { known } = this.#replica
    const confirmed = known?.state
    const pending = this.#queue.pending()
    const idOf = (place: number): string | undefined => confirmed?.rules.participants[place]?.participantId
    return Object.freeze({
      status: this.#status,
      session: confirmed === undefined ? undefined : foresee(confirmed, pending, { role: this.#role, by: this.#by }),
      confirmed,
      place: known?.place,
      metadata: known?.metadata ?? {},
      createdMs: known?.createdMs,
      role: this.#role,
      participantId: this.#by === undefined ? undefined : idOf(this.#by),
      present: { participantIds: this.#present.p.map(idOf).filter((id) => id !== undefined), others: this.#present.n },
      pending: pending.map(({ operationId, command }) => ({ operationId, command })),
      error: this.#error,
    })
  }
}

function remainingMs(state: SessionState, participantId: string, nowMs: number): number | undefined {
  const { rules, active, turnBeforeMs, turnSinceMs } = state
  const place = rules.participants.findIndex((participant) => participant.participantId === participantId)
  if (place < 0) return undefined
  const at = clockOf(rules, place)
  const [clock, owner] = [state.clocks[at], rules.participants[at]]
  if (clock === undefined || owner === undefined) return undefined
  const isRunning = active !== undefined && clockOf(rules, active) === at
  const sinceMs = turnSinceMs === undefined ? 0 : Math.max(0, nowMs - turnSinceMs)
  return shownMs(owner.control, clock, isRunning ? turnBeforeMs + sinceMs : 0)
}
