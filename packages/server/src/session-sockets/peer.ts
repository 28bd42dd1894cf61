// A peer: one WebSocket of a session, from its handshake to its end. There may be ten thousand, so a peer has no timer and no closure of
// its own: it is an entry of the kernel's wheel, and its listeners are shared functions that find it on their socket.
// All that is sent goes through `#write`, as whole frames, straight to the connection: nothing is compressed, so ws has no queue of its own that
// could come in between.
// Invariants:
//   WX1. A peer never has more than `unsentBytesMax` unsent: one that reads slowly gets nothing, then how things stand; one that does not read is closed.
//   WX2. A peer that is silent for the time of a ping is cut off, whatever its machine says.
//   WX3. What a peer may send is bounded: size, messages a minute, frames a second, commands under way. Time probes are only bounded by the frames.
//   WX4. Nothing is heard from a peer, or told to it, after its end began.
//   WX5. How long a peer's messages travel is measured by the server alone, from its own pings.

import type { IncomingHttpHeaders } from 'node:http'
import type { Socket } from 'node:net'
import { type Env, TokenBucket, WheelEntry } from '@ripstop/kernel'
import type { WirePlace } from '@ripstop/protocol/sessions'
import type { WebSocket } from 'ws'
import type { Principal } from '#platform/http'
import type { Kept } from '#platform/under-way'
import type { SessionRef } from '#session-stores'
import type { SessionLimits, SessionView } from '#sessions'
import { encodeFrames, encodePing, encodePong, readMoment } from './frames.ts'
import type { SocketMeters } from './meters.ts'
import type { SocketSettings } from './settings.ts'

/** How a peer speaks: SyncKairos's protocol, or ours. */
export interface Dialect {
  readonly isPlain: boolean
  /** Its session is known, and it may speak. */
  readonly entered: (peer: Peer) => void
  readonly received: (peer: Peer, text: string) => void
  /** How things stand, for one that missed what happened. */
  readonly standing: (peer: Peer) => readonly string[]
  /** Undefined: it has no word for it. */
  readonly farewell: (ending: Ending) => string | undefined
}

export interface Ending {
  /** RFC 6455, section 7.4. */
  readonly closeCode: number
  /** An error code, or what else happened. */
  readonly why: string
  /** For people. */
  readonly reason?: string
  /** Come back after that long; undefined: don't. */
  readonly retryMs?: number
  readonly sessionId?: string
}

/** The session that a peer is in, as far as it and its dialect need it. */
export interface Room {
  readonly ref: SessionRef
  /** As it stands here. */
  readonly view: SessionView
  /** Tells what happened since a place, or all, and from then on what happens. */
  readonly subscribe: (peer: Peer, since: WirePlace | undefined) => void
  /** Sends what waits to be told. */
  readonly flush: () => void
  readonly leave: (peer: Peer) => void
}

export interface PeerDeps {
  readonly env: Env
  readonly settings: SocketSettings
  readonly meters: SocketMeters
  /** Of one connection, time probes and pings left out; undefined: only its frames are bounded. */
  readonly messages: SessionLimits['messages']
  /** Is what it showed still good? Asked at each ping; ends it where not. */
  readonly recheck: (peer: Peer) => void
  readonly onDefect: (error: unknown) => void
  /** Its connection is gone. */
  readonly onClosed: (code: number) => void
  /** Server time. */
  readonly nowMs: () => number
}

/**
 * entering: nothing is read from it yet. waiting: it has not asked for events. live: it is told what happens. behind: it is not, as it reads
 * too slowly. ended: its closing handshake goes on.
 */
type Phase = 'entering' | 'waiting' | 'live' | 'behind' | 'ended'

/** Of ws, as of browsers. */
const OPEN = 1
const BEHIND_CHECK_MS = 50
/** How ws closes what breaks the protocol; anything else by 1002. */
const BROKEN: Readonly<Record<string, number>> = {
  WS_ERR_INVALID_UTF8: 1007,
  WS_ERR_TOO_MANY_BUFFERED_PARTS: 1008,
  WS_ERR_UNSUPPORTED_MESSAGE_LENGTH: 1009,
  WS_ERR_UNSUPPORTED_DATA_PAYLOAD_LENGTH: 1009,
}
/** Of the weight of one more round trip. */
const RTT_WEIGHT = 0.25
/** A minimum that is older counts less and less: paths change. */
const RTT_AGING = 1.05
/** What a round trip may take longer than the shortest, by the network's doing rather than the client's. */
const RTT_ALLOWANCE_MS = 100
/** Bursts of messages and frames. */
const FRAMES_BURST_SECONDS = 10

export class Peer extends WheelEntry implements Kept {
  index = 0
  readonly dialect: Dialect
  readonly #deps: PeerDeps
  readonly #ws: WebSocket
  readonly #socket: Socket
  #phase: Phase = 'entering'
  room: Room | undefined = undefined
  /** Who is behind it. */
  principal: Principal | undefined = undefined
  /** Where it connects from. */
  address = ''
  /** What it showed, where that may be withdrawn. */
  credential: IncomingHttpHeaders | undefined = undefined
  /** The client's place is being looked up. */
  isSubscribing = false
  commandsUnderWay = 0
  readonly #frames: TokenBucket
  #messages: TokenBucket | undefined = undefined
  #heardMs: number
  #pingedMs = 0
  #isPinged = false
  #rttMs = -1
  #rttMinMs = -1
  #behindSinceMs = 0
  #endedWith: number | undefined = undefined

  constructor(deps: PeerDeps, ws: WebSocket, socket: Socket, dialect: Dialect) {
    super()
    this.#deps = deps
    this.#ws = ws
    this.#socket = socket
    this.dialect = dialect
    this.#heardMs = deps.env.clock.monoMs()
    const { framesPerSecond } = deps.settings
    this.#frames = new TokenBucket(
      { perSecond: framesPerSecond, burst: framesPerSecond * FRAMES_BURST_SECONDS },
      this.#heardMs,
    )
  }

  /** Its end began, on either side. */
  get isOver(): boolean {
    return this.#phase === 'ended' || this.#ws.readyState !== OPEN
  }

  /** Its session is known: from here it is heard. */
  enter(room: Room): void {
    if (this.isOver) return
    this.room = room
    this.#phase = 'waiting'
    this.#ping()
    this.#arm(this.#deps.settings.subscribeMs)
    this.dialect.entered(this)
    this.#ws.resume()
  }

  /** It is told `texts`, and from here whatever happens. */
  goLive(texts: readonly string[]): void {
    if (this.isOver || this.#phase === 'entering') return
    if (texts.length > 0) this.#write(encodeFrames(texts))
    if (this.isOver) return
    const wasLive = this.#phase === 'live'
    this.#phase = 'live'
    if (!wasLive) this.#armPulse(this.#deps.env.random())
  }

  /** It asked anew: it hears nothing until it is told from where it stands. */
  goQuiet(): void {
    if (this.#phase !== 'live' && this.#phase !== 'behind') return
    this.#phase = 'waiting'
    this.#arm(this.#deps.settings.subscribeMs)
  }

  /** What everybody of the session is told: left out where it reads too slowly (WX1). */
  deliver(frames: Buffer): void {
    if (this.#phase !== 'live' || this.isOver) return
    if (this.#socket.writableLength <= this.#deps.settings.behindBytes) {
      this.#socket.write(frames)
      return
    }
    this.#phase = 'behind'
    this.#behindSinceMs = this.#deps.env.clock.monoMs()
    this.#deps.meters.coalesced.add(1)
    this.#arm(BEHIND_CHECK_MS)
  }

  /** An answer. */
  send(text: string): void {
    this.#write(encodeFrames([text]))
  }

  /** Says why, and begins the closing handshake; idempotent (WX4). */
  end(ending: Ending): void {
    if (this.isOver) return
    const word = this.dialect.farewell(ending)
    if (word !== undefined) this.#socket.write(encodeFrames([word]))
    this.#over()
    this.#endedWith = ending.closeCode
    this.#ws.close(ending.closeCode, ending.reason ?? ending.why)
    // It may be waiting for its session to be known, and would not hear the client's closing frame.
    this.#ws.resume()
  }

  /** Ends it without a word. */
  cutOff(): void {
    this.#over()
    this.#ws.terminate()
  }

  // Called by the shared listeners of its socket.

  /** Undefined: a message that is not to be looked at. */
  onMessage(data: Buffer, isBinary: boolean): void {
    if (!this.#mayHear()) return
    if (isBinary) this.end({ closeCode: 1003, why: 'BAD_REQUEST', reason: 'text only' })
    else this.#guarded(() => this.dialect.received(this, data.toString()))
  }

  onPing(payload: Buffer): void {
    if (this.#mayHear()) this.#write(encodePong(payload))
  }

  onPong(payload: Buffer): void {
    if (!this.#mayHear() || !this.#isPinged || readMoment(payload) !== this.#pingedMs) return
    this.#isPinged = false
    const rttMs = this.#heardMs - this.#pingedMs
    this.#rttMs = this.#rttMs < 0 ? rttMs : this.#rttMs + RTT_WEIGHT * (rttMs - this.#rttMs)
    this.#rttMinMs = this.#rttMinMs < 0 ? rttMs : Math.min(rttMs, this.#rttMinMs * RTT_AGING)
  }

  /** It broke the protocol; ws has said so, and closes. */
  onBroken({ code = '' }: Error & { readonly code?: string }): void {
    this.#endedWith ??= BROKEN[code] ?? (code.startsWith('WS_ERR') ? 1002 : undefined)
    this.#over()
  }

  onClosed(code: number): void {
    this.#over()
    this.#deps.onClosed(this.#endedWith ?? code)
  }

  /** A message that counts; false: there were too many (WX3). */
  takeMessage(): boolean {
    const { env, messages } = this.#deps
    if (messages === undefined) return true
    const nowMs = env.clock.monoMs()
    const { count, windowMs } = messages
    this.#messages ??= new TokenBucket({ perSecond: (count * 1_000) / windowMs, burst: count }, nowMs)
    return this.#messages.take(nowMs) === 0
  }

  /** What a round trip to it takes, in whole ms (WX5). A pong that was held back counts little: the shortest bounds it. */
  get lagMs(): number {
    return this.#rttMs < 0 ? 0 : Math.round(Math.min(this.#rttMs, this.#rttMinMs + RTT_ALLOWANCE_MS))
  }

  /** One more measurement, where none is under way. */
  measure(): void {
    if (!this.#isPinged) this.#ping()
  }

  override onDue(): void {
    this.#guarded(() => this.#due())
  }

  #due(): void {
    switch (this.#phase) {
      case 'entering':
      case 'ended':
        return
      case 'waiting':
        if (this.isSubscribing) return this.#arm(this.#deps.settings.subscribeMs)
        return this.end({ closeCode: 1008, why: 'REQUEST_TIMEOUT', reason: 'nothing was asked for' })
      case 'live':
        return this.#pulse()
      case 'behind':
        return this.#lookBehind()
      default:
        return this.#phase satisfies never
    }
  }

  /** A defect ends the socket, not the process. */
  #guarded(work: () => void): void {
    try {
      work()
    } catch (error) {
      this.#deps.onDefect(error)
      this.end({ closeCode: 1011, why: 'INTERNAL', retryMs: this.#deps.settings.answerMs })
    }
  }

  #mayHear(): boolean {
    if (this.isOver) return false
    this.#heardMs = this.#deps.env.clock.monoMs()
    if (this.#frames.take(this.#heardMs) === 0) return true
    this.end({ closeCode: 1008, why: 'RATE_LIMIT_EXCEEDED', reason: 'too many messages' })
    return false
  }

  #write(frames: Buffer): void {
    if (this.isOver) return
    const unsent = this.#socket.writableLength
    if (unsent > 0 && unsent + frames.length > this.#deps.settings.unsentBytesMax) return this.#endSlow()
    this.#socket.write(frames)
  }

  #endSlow(): void {
    this.end({ closeCode: 1013, why: 'OVERLOADED', reason: 'it reads too slowly', retryMs: this.#deps.settings.pingMs })
  }

  /** All was sent: it is told how things stand, and goes on from there. */
  #lookBehind(): void {
    if (this.#socket.writableLength === 0) {
      // While it is still left out: what waits is part of how things stand.
      this.room?.flush()
      return this.goLive(this.dialect.standing(this))
    }
    if (this.#deps.env.clock.monoMs() - this.#behindSinceMs > this.#deps.settings.behindMs) return this.#endSlow()
    this.#arm(BEHIND_CHECK_MS)
  }

  /** Is it still there, and still allowed to be (WX2)? */
  #pulse(): void {
    const { env, settings, nowMs, recheck } = this.#deps
    const expiresMs = this.principal?.session?.expiresMs
    if (expiresMs !== undefined && expiresMs <= nowMs()) {
      return this.end({ closeCode: 1008, why: 'UNAUTHENTICATED', reason: 'the token has expired' })
    }
    recheck(this)
    if (this.isOver) return
    const silentMs = env.clock.monoMs() - this.#pingedMs
    // A pulse may come early, for an expiry: then its ping is still on its way.
    if (!this.#isPinged) this.#ping()
    else if (silentMs >= settings.pingMs / 2 && this.#heardMs < this.#pingedMs) return this.cutOff()
    else if (silentMs >= settings.pingMs / 2) this.#ping()
    this.#armPulse(1)
  }

  #ping(): void {
    this.#pingedMs = this.#deps.env.clock.monoMs()
    this.#isPinged = true
    this.#write(encodePing(this.#pingedMs))
  }

  /** `share` of the time of a ping, or when its token ends. */
  #armPulse(share: number): void {
    const expiresMs = this.principal?.session?.expiresMs
    const leftMs = expiresMs === undefined ? Number.POSITIVE_INFINITY : Math.max(0, expiresMs - this.#deps.nowMs())
    // The second half only, so that the first ping was answered by then.
    const pingMs = this.#deps.settings.pingMs * (0.5 + share / 2)
    this.#arm(Math.min(pingMs, leftMs))
  }

  #arm(ms: number): void {
    const { wheel, clock } = this.#deps.env
    wheel.arm(this, clock.monoMs() + ms)
  }

  #over(): void {
    if (this.#phase === 'ended') return
    this.#phase = 'ended'
    this.#deps.env.wheel.disarm(this)
    this.room?.leave(this)
    this.room = undefined
  }
}
