// The sockets of live sessions, on the one port: `/ws?sessionId=…`. A request is refused by HTTP where this process has no place for it, and by
// closing a WebSocket that was opened where it is the client that is wrong: a page can't see why a handshake failed.
// Invariants:
//   WX7. Whoever may not read a session, or connects too often, is in no channel of it; a token is good for its own session.
//   WX8. There are at most `socketsMax` sockets, `socketsPerSessionMax` of a session; one more costs the one that asked.
//   WX9. A drain takes no more sockets, sends each away with a moment of its own to come back at, and cuts off what is left when its ctx is over.

import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { background, type Ctx, type Env, hasCode, isRipstopError, type Metrics, RipstopError } from '@ripstop/kernel'
import { type RawData, WebSocket, WebSocketServer } from 'ws'
import { mayUse, type Principal } from '#platform/http'
import type { Log } from '#platform/telemetry'
import { permitReading, type SessionLimits, type SessionService } from '#sessions'
import { chooseProtocol, isForSockets, isSessionId, readEntrance } from './entrance.ts'
import { Hub } from './hub.ts'
import { createInTurn } from './in-turn.ts'
import { createSocketMeters, type SocketMeters } from './meters.ts'
import { type Dialect, type Ending, Peer, type PeerDeps } from './peer.ts'
import { createPlainDialect } from './plain.ts'
import { SOCKET_SETTINGS, type SocketSettings } from './settings.ts'
import { createVersionedDialect } from './versioned.ts'

export interface SessionSocketsDeps {
  readonly env: Env
  readonly log: Log
  readonly metrics: Metrics
  readonly service: SessionService
  readonly authenticate: (headers: IncomingHttpHeaders, ctx: Ctx) => Principal | Promise<Principal>
  readonly limits: Pick<SessionLimits, 'connect' | 'command' | 'messages'>
  /** Of whoever sent a request. */
  readonly addressOf: (request: IncomingMessage) => string
  readonly settings?: Partial<SocketSettings>
}

export interface SessionSockets extends AsyncDisposable {
  /** Is it for us? */
  readonly mayUpgrade: (request: IncomingMessage) => boolean
  /** The socket is ours from here, or it is refused. */
  readonly upgrade: (
    request: IncomingMessage,
    socket: Duplex,
    head: Buffer,
    refuse: (error: RipstopError) => void,
  ) => void
  /** Sends all away; resolves when they are gone, at the end of `ctx` at the latest (WX9). Idempotent. */
  readonly drain: (ctx: Ctx) => Promise<void>
}

/** Finds its peer for listeners that all sockets share. */
class SessionWebSocket extends WebSocket {
  peer: Peer | undefined = undefined
}

/** A message comes in few pieces; many small ones would cost more than they carry. */
const FRAGMENTS_MAX = 64
const CHUNKS_MAX = 1_024
const RETRY_MS = 1_000
const SPREAD_MS_MAX = 30_000

export function startSessionSockets(deps: SessionSocketsDeps): SessionSockets {
  return new RunningSockets(deps)
}

class RunningSockets implements SessionSockets {
  readonly #deps: SessionSocketsDeps
  readonly #settings: SocketSettings
  readonly #root: Ctx
  readonly #meters: SocketMeters
  readonly #server: ReturnType<typeof createServer>
  readonly #hub: Hub
  readonly #dialects: { readonly plain: Dialect; readonly versioned: Dialect }
  readonly #peerDeps: PeerDeps
  /** Those who are in no channel yet. */
  readonly #entering = new Set<Peer>()
  #isDraining = false
  #onEmpty: (() => void)[] = []

  constructor(deps: SessionSocketsDeps) {
    const { env, log, service, limits } = deps
    this.#deps = deps
    const settings = { ...SOCKET_SETTINGS, ...deps.settings }
    const root = background(env)
    const meters = createSocketMeters(deps.metrics)
    this.#settings = settings
    this.#root = root
    this.#meters = meters
    const nowMs = (): number => service.nowMs()
    const plain = createPlainDialect({ nowMs })
    const versioned = createVersionedDialect({ env, log, meters, settings, service, root, limits })
    this.#dialects = { plain, versioned }
    const reads = createInTurn({ root, limitMs: settings.answerMs, waitingMax: settings.socketsMax })
    this.#hub = new Hub({ env, log, settings, service, plain, reads })
    const recheck = (peer: Peer): void => this.#recheck(peer)
    const onDefect = (error: unknown): void => log.error({ event: 'session-sockets.defect', error })
    const onClosed = (code: number): void => this.#closed(code)
    this.#peerDeps = { env, settings, meters, messages: limits.messages, nowMs, recheck, onDefect, onClosed }
    this.#server = createServer(settings)
  }

  mayUpgrade(request: IncomingMessage): boolean {
    return isForSockets(request) && request.headers.upgrade?.toLowerCase() === 'websocket'
  }

  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer, refuse: (error: RipstopError) => void): void {
    const refusal = this.#refusal()
    if (refusal !== undefined) return refuse(refusal)
    this.#server.handleUpgrade(request, socket, head, (ws) => this.#opened(ws, request, socket as Socket))
  }

  async drain(ctx: Ctx): Promise<void> {
    this.#isDraining = true
    const peers = [...this.#entering, ...this.#hub.list()]
    const spreadMs = Math.min(SPREAD_MS_MAX, Math.max(RETRY_MS, peers.length))
    for (const peer of peers) {
      const retryMs = RETRY_MS / 4 + this.#deps.env.random() * spreadMs
      peer.end({ closeCode: 1001, why: 'DRAINING', reason: 'Server shutting down', retryMs })
    }
    if (this.#meters.open > 0) {
      await new Promise<void>((resolve) => {
        this.#onEmpty.push(resolve)
        if (ctx.signal.aborted) resolve()
        else ctx.signal.addEventListener('abort', () => resolve(), { once: true })
      })
    }
    for (const peer of peers) peer.cutOff()
    this.#hub.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const over = this.#root.within(0)
    over.cancel(new RipstopError('CANCELLED', 'the sockets are disposed of'))
    await this.drain(over)
    this.#root.cancel(new RipstopError('CANCELLED', 'the sockets are disposed of'))
  }

  /** Undefined: there is a place for one more (WX8). */
  #refusal(): RipstopError | undefined {
    const options = { sent: 'no', retryAfterMs: RETRY_MS } as const
    if (this.#isDraining) return new RipstopError('LINK_CLOSED', 'this process is shutting down', options)
    if (this.#meters.open < this.#settings.socketsMax) return undefined
    return new RipstopError('OVERLOADED', 'this process has more sockets than it can carry', options)
  }

  #opened(ws: SessionWebSocket, request: IncomingMessage, socket: Socket): void {
    const dialect = ws.protocol === '' ? this.#dialects.plain : this.#dialects.versioned
    const peer = new Peer(this.#peerDeps, ws, socket, dialect)
    ws.peer = peer
    // Nothing is read from it before it is known who it is.
    ws.pause()
    listen(ws)
    this.#meters.open++
    this.#entering.add(peer)
    void this.#admit(peer, request)
      .catch((error: unknown) => peer.end(this.#endingOf(error)))
      .finally(() => this.#entering.delete(peer))
  }

  async #admit(peer: Peer, request: IncomingMessage): Promise<void> {
    const { sessionId, headers } = readEntrance(request)
    const wrongId = sessionId === '' ? 'Missing sessionId parameter' : 'Invalid sessionId format'
    if (!isSessionId(sessionId)) return peer.end({ closeCode: 1008, why: 'BAD_REQUEST', reason: wrongId })
    using ctx = this.#root.within(this.#settings.answerMs)
    const principal = await this.#deps.authenticate(headers, ctx)
    peer.principal = principal
    peer.address = this.#deps.addressOf(request)
    const ref = permitReading(principal, sessionId.toLowerCase())
    if (!mayUse(principal, 'sessions:read')) throw new RipstopError('FORBIDDEN', 'this needs sessions:read')
    await this.#deps.limits.connect({ principal, address: peer.address })
    if (peer.isOver) return
    const channel = this.#hub.open(ref)
    await channel.ready()
    if (peer.isOver) return
    if (channel.size >= this.#settings.socketsPerSessionMax) {
      throw new RipstopError('OVERLOADED', 'this session has more sockets than it may', { retryAfterMs: RETRY_MS })
    }
    channel.join(peer)
    // What ends by itself is not asked about again; a key may be revoked.
    if (principal.keyId !== undefined) peer.credential = headers
    peer.enter(channel)
  }

  #endingOf(error: unknown): Ending {
    if (!isRipstopError(error)) {
      this.#deps.log.error({ event: 'session-sockets.defect', error })
      return { closeCode: 1011, why: 'INTERNAL', retryMs: this.#retryMs(RETRY_MS) }
    }
    const { code, retry, retryAfterMs } = error
    if (retry) return { closeCode: 1013, why: code, retryMs: this.#retryMs(retryAfterMs ?? RETRY_MS) }
    return { closeCode: 1008, why: code }
  }

  /** Those who were refused together don't come back together. */
  #retryMs(ms: number): number {
    return ms * (1 + this.#deps.env.random())
  }

  #recheck(peer: Peer): void {
    if (peer.credential === undefined) return
    const refused = (error: unknown): void => {
      // Where nobody can tell it stays: what it watches is kept from nobody by closing it.
      if (hasCode(error, 'UNAUTHENTICATED')) peer.end({ closeCode: 1008, why: error.code })
    }
    try {
      const principal = this.#deps.authenticate(peer.credential, this.#root.within(this.#settings.answerMs))
      if (principal instanceof Promise) void principal.catch(refused)
    } catch (error) {
      refused(error)
    }
  }

  #closed(code: number): void {
    this.#meters.open--
    this.#meters.closed(code)
    if (this.#meters.open > 0) return
    for (const empty of this.#onEmpty.splice(0)) empty()
  }
}

function createServer({ messageBytesMax, closeMs }: SocketSettings) {
  const options = {
    noServer: true,
    clientTracking: false,
    // A context of its own for each socket would cost more than ten times all the rest.
    perMessageDeflate: false,
    // Ours knows how much is unsent.
    autoPong: false,
    maxPayload: messageBytesMax,
    maxFragments: FRAGMENTS_MAX,
    maxBufferedChunks: CHUNKS_MAX,
    closeTimeout: closeMs,
    WebSocket: SessionWebSocket,
    handleProtocols: (offered: Set<string>) => chooseProtocol(offered) ?? false,
  }
  return new WebSocketServer(options)
}

// Shared by all sockets: a closure for each would be a fifth of what a socket costs.

function listen(ws: SessionWebSocket): void {
  ws.on('message', onMessage)
  ws.on('ping', onPing)
  ws.on('pong', onPong)
  ws.on('close', onClose)
  ws.on('error', onError)
}

function onMessage(this: WebSocket, data: RawData, isBinary: boolean): void {
  ;(this as SessionWebSocket).peer?.onMessage(data as Buffer, isBinary) // `nodebuffer`, the default
}

function onPing(this: WebSocket, payload: Buffer): void {
  ;(this as SessionWebSocket).peer?.onPing(payload)
}

function onPong(this: WebSocket, payload: Buffer): void {
  ;(this as SessionWebSocket).peer?.onPong(payload)
}

function onClose(this: WebSocket, code: number): void {
  ;(this as SessionWebSocket).peer?.onClosed(code)
}

function onError(this: WebSocket, error: Error): void {
  ;(this as SessionWebSocket).peer?.onBroken(error)
}
