// For tests: a server of one live session that speaks `ripstop.v1` over real sockets, with a clock of its own and faults on demand.

import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { systemClock } from '@ripstop/kernel'
import {
  apply,
  type ClientMessage,
  type Command,
  createSession,
  decide,
  parseClientMessage,
  SESSION_PROTOCOL,
  type ServerMessage,
  type SessionEvent,
  type SessionRules,
  type SessionState,
} from '@ripstop/protocol/sessions'
import { type WebSocket, WebSocketServer } from 'ws'

export const ALICE = '00000000-0000-7000-8000-00000000000a'
export const BOB = '00000000-0000-7000-8000-00000000000b'
export const SESSION_ID = '00000000-0000-7000-8000-000000000001'

const control = { mainMs: 60_000, increment: { kind: 'none' }, overtime: { kind: 'none' }, stages: [] } as const
const RULES: SessionRules = {
  mode: 'per_participant',
  participants: [ALICE, BOB].map((participantId) => ({ participantId, groupId: undefined, control })),
  onTimeout: 'end',
  maxTimeMs: undefined,
  lag: undefined,
}

interface Logged {
  readonly epoch: number
  readonly from: { readonly e: number; readonly v: number }
  readonly event: SessionEvent
  readonly operationId: string | undefined
}

/** True: the message was dealt with. */
type Hook = (message: ClientMessage, socket: WebSocket) => boolean

export class SessionServer implements AsyncDisposable {
  readonly #server: WebSocketServer
  readonly #operations = new Map<string, { e: number; v: number }>()
  #log: Logged[] = []
  #state: SessionState
  #epoch = 1
  /** What its clock is ahead of the real one. */
  aheadMs = 5_000_000
  hook: Hook = () => false
  /** By token; no token: the owner. */
  identify: (token: string | undefined) => { r: 'owner' | 'participant' | 'spectator'; p?: number } = () => ({
    r: 'owner',
  })
  subscriptions: Extract<ClientMessage, { t: 'sub' }>[] = []
  probes = 0
  /** Commands that came in, repetitions too. */
  commands: string[] = []
  readonly tokens: (string | undefined)[] = []
  /** So many commands are done, and the connection breaks before the answer. */
  losesAnswers = 0
  #lostEvents = 0

  private constructor(server: WebSocketServer) {
    this.#server = server
    this.#state = createSession(RULES, this.nowMs())
    server.on('connection', (socket, request) => this.#accept(socket, request.headers['sec-websocket-protocol'] ?? ''))
  }

  static async start(): Promise<SessionServer> {
    const handleProtocols = (): string => SESSION_PROTOCOL
    const server = new WebSocketServer({ host: '127.0.0.1', port: 0, path: '/ws', handleProtocols })
    await once(server, 'listening')
    return new SessionServer(server)
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  get state(): SessionState {
    return this.#state
  }

  get sockets(): ReadonlySet<WebSocket> {
    return this.#server.clients
  }

  nowMs(): number {
    return systemClock.wallMs() + this.aheadMs
  }

  /** Somebody else's command, or one of a client's. Throws what the reducer refuses. */
  command(command: Command, operationId?: string): void {
    const { events, refused } = decide(this.#state, command, Math.floor(this.nowMs()))
    for (const [index, event] of events.entries()) {
      const isOwn = index === events.length - 1 && refused === undefined
      this.#add({ epoch: this.#epoch, from: this.#place, event, operationId: isOwn ? operationId : undefined })
    }
    if (refused !== undefined) throw refused
  }

  /** The next `count` events reach nobody. */
  loseEvents(count: number): void {
    this.#lostEvents += count
  }

  /** A new epoch begins; with `lost`, so many events of the old one never were. */
  beginEpoch(lost = 0): void {
    const kept = this.#log.slice(0, this.#log.length - lost)
    this.#log = kept
    this.#state = kept.map(({ event }) => event).reduce(apply, createSession(RULES, this.#state.atMs))
    const from = this.#place
    this.#epoch++
    const [sinceMs, untilMs] = [this.#state.atMs, Math.floor(this.nowMs())]
    const event = decide(this.#state, { kind: 'recover', sinceMs, untilMs }, untilMs).events.at(-1) as SessionEvent
    this.#add({ epoch: this.#epoch, from, event, operationId: undefined })
  }

  terminateAll(): void {
    for (const socket of this.sockets) socket.terminate()
  }

  tellAll(message: ServerMessage | string): void {
    const text = typeof message === 'string' ? message : JSON.stringify(message)
    for (const socket of this.sockets) socket.send(text)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.terminateAll()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  get #place(): { readonly e: number; readonly v: number } {
    return { e: this.#log.at(-1)?.epoch ?? 1, v: this.#state.version }
  }

  #add(logged: Logged): void {
    this.#log.push(logged)
    this.#state = apply(this.#state, logged.event)
    if (this.#lostEvents > 0) this.#lostEvents--
    else this.tellAll(toMessage(logged))
  }

  #accept(socket: WebSocket, header: string): void {
    const token = header
      .split(',')
      .map((name) => name.trim())
      .find((name) => name.startsWith('ripstop.token.'))
      ?.slice(14)
    this.tokens.push(token)
    socket.on('error', () => {}) // clients are cut off on purpose
    socket.on('message', (data) => {
      const receivedMs = this.nowMs()
      const message = parseClientMessage(String(data))
      if (message === undefined) throw new Error(`the client said ${String(data)}`)
      if (message.t === 'sub') this.subscriptions.push(message)
      if (message.t === 'cmd') this.commands.push(message.op)
      if (message.t === 'p') this.probes++
      if (!this.hook(message, socket)) this.#answer(message, socket, receivedMs, token)
    })
  }

  #answer(message: ClientMessage, socket: WebSocket, receivedMs: number, token: string | undefined): void {
    const tell = (answer: ServerMessage): void => socket.send(JSON.stringify(answer))
    switch (message.t) {
      case 'p':
        return tell({ t: 'p', i: message.i, c0: message.c0, s1: receivedMs, s2: this.nowMs() })
      case 'sub':
        tell({ t: 'hi', ...this.identify(token), s: this.nowMs(), ...this.#place })
        for (const answer of this.#catchUp(message.since)) tell(answer)
        return
      case 'cmd':
        return this.#tellAnswer(this.#obey(message, this.identify(token)), socket)
      default:
        message satisfies never
    }
  }

  #tellAnswer(answer: ServerMessage, socket: WebSocket): void {
    if (this.losesAnswers > 0) socket.terminate()
    else socket.send(JSON.stringify(answer))
    this.losesAnswers = Math.max(0, this.losesAnswers - 1)
  }

  #catchUp(since: { readonly e: number; readonly v: number } | undefined): readonly ServerMessage[] {
    const { e, v } = this.#place
    if (since?.e === e && since.v === v) return []
    const next = since === undefined ? -1 : this.#log.findIndex(({ from }) => from.e === since.e && from.v === since.v)
    if (next >= 0) return this.#log.slice(next).map(toMessage)
    const snapshot = { t: 'snap', e, v, st: this.#state, md: { title: 'final' }, at: 1, lvl: 'durable' } as const
    return since === undefined ? [snapshot] : [{ t: 'resync', e, why: 'branch' }, snapshot]
  }

  #obey(message: Extract<ClientMessage, { t: 'cmd' }>, who: { r: string; p?: number }): ServerMessage {
    const { op, c, v } = message
    if (this.#operations.has(op)) return { t: 'ack', op, ...this.#place, lvl: 'durable', rep: true }
    try {
      if (v !== undefined && v !== this.#state.version) return { t: 'nack', op, code: 'CONFLICT', msg: 'elsewhere' }
      this.command(c.kind === 'switch' && who.p !== undefined ? { ...c, by: who.p } : c, op)
      this.#operations.set(op, this.#place)
      return { t: 'ack', op, ...this.#place, lvl: 'durable' }
    } catch (error) {
      const { code, message: msg } = error as { code: string; message: string }
      return { t: 'nack', op, code, msg }
    }
  }
}

function toMessage({ epoch, from, event, operationId }: Logged): ServerMessage {
  const of = operationId === undefined ? {} : { o: operationId }
  return { t: 'ev', e: epoch, pe: from.e, pv: from.v, d: event, ...of }
}
