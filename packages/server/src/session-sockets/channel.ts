// A channel: one session in this process, for all of its sockets. It watches the session once, keeps how it stands and what happened last, and
// tells all sockets with the same bytes. What it hears may come twice, late, or not at all: it follows places (following.ts), waits a moment for
// what is missing, then asks the service.
// Invariants:
//   FO4. However many sockets a session has, it is watched and loaded once, and an event is written once for each dialect.
//   FO5. A socket that subscribed is told every event from its place on, without a hole and once, or all of the session anew.
//   FO6. What happens within one turn of the event loop goes to a socket in one write.

import { type Ctx, type Env, hasCode, isRipstopError, RipstopError } from '@ripstop/kernel'
import { apply, type WirePlace } from '@ripstop/protocol/sessions'
import type { Log } from '#platform/telemetry'
import { type Kept, UnderWay } from '#platform/under-way'
import { type LogEntry, readLine } from '#session-log'
import type { FeedMessage, SessionRef } from '#session-stores'
import type { SessionService, SessionView } from '#sessions'
import { Alarm } from './alarm.ts'
import { EventRing, isAt, isBeyond, stepTo } from './following.ts'
import { encodeFrames } from './frames.ts'
import { changeOf, entriesSince, Histories, tell } from './history.ts'
import type { InTurn } from './in-turn.ts'
import type { Ending, Peer, Room } from './peer.ts'
import type { PlainDialect } from './plain.ts'
import type { SocketSettings } from './settings.ts'
import { placeOf, writeHi, writeMessage, writePresence, writeSnapshot } from './versioned-wire.ts'

export interface ChannelDeps {
  readonly env: Env
  readonly log: Log
  readonly settings: SocketSettings
  readonly service: Pick<SessionService, 'read' | 'log' | 'watch' | 'nowMs'>
  readonly plain: Pick<PlainDialect, 'update'>
  readonly reads: InTurn
  /** It has something to tell: `flush` is to be called within this turn of the event loop. */
  readonly onNews: (channel: Channel) => void
  readonly onEnd: (channel: Channel) => void
}

type Entries = Extract<FeedMessage, { kind: 'entries' }>

/** How long what is missing may take to come by itself: another process's event, heard by another way. */
const MISSING_MS = 25
const RELOAD_RETRY_MS = 500
/** What was heard too early; the oldest is left out, so that what comes last shows the hole, which is asked for. */
const EARLY_MAX = 64

export class Channel implements Room, Kept {
  index = 0
  readonly ref: SessionRef
  readonly #deps: ChannelDeps
  readonly #peers = new UnderWay<Peer>()
  readonly #watching: Disposable
  #view: SessionView | undefined
  #ring: EventRing | undefined
  #loading: Promise<void> | undefined
  /** It may have missed something that was not read since. */
  #hasGap = false
  #early: Entries[] = []
  #versioned: string[] = []
  #plain: string[] = []
  #isDirty = false
  #isOver = false
  #presenceTold = ''
  #missing: Alarm | undefined
  #presence: Alarm | undefined
  #linger: Alarm | undefined
  #histories: Histories | undefined

  constructor(deps: ChannelDeps, ref: SessionRef) {
    this.#deps = deps
    this.ref = ref
    this.#watching = deps.service.watch(ref, (message) => this.#hear(message))
  }

  get size(): number {
    return this.#peers.size
  }

  get view(): SessionView {
    if (this.#view === undefined) throw new RipstopError('NOT_READY', 'the session is not loaded yet')
    return this.#view
  }

  list(): readonly Peer[] {
    return this.#peers.list()
  }

  /** Resolves when it is known how the session stands. Throws what reading it throws. */
  async ready(): Promise<void> {
    if (this.#view !== undefined) return
    this.#loading ??= this.#deps
      .reads((ctx) => this.#read(ctx))
      .then((view) => this.#begin(view))
      .finally(() => {
        this.#loaded()
        this.#lingerIfEmpty()
      })
    await this.#loading
  }

  /** Throws SESSION_NOT_FOUND if it is over. */
  join(peer: Peer): void {
    if (this.#isOver) throw new RipstopError('SESSION_NOT_FOUND', 'the session was deleted')
    this.#peers.add(peer)
    this.#linger?.clear()
    this.#presenceChanged()
  }

  leave(peer: Peer): void {
    this.#peers.remove(peer)
    this.#presenceChanged()
    this.#lingerIfEmpty()
  }

  subscribe(peer: Peer, since: WirePlace | undefined): void {
    if (peer.isSubscribing) return
    peer.goQuiet()
    const known = since === undefined ? undefined : this.#ring?.since(since)
    if (known !== undefined) return this.#open(peer, known)
    if (since === undefined || since.v === 0) return this.#open(peer, [writeSnapshot(this.view)])
    peer.isSubscribing = true
    void this.#replay(peer, since).finally(() => {
      peer.isSubscribing = false
    })
  }

  /** One write to each socket (FO6). */
  flush(): void {
    this.#isDirty = false
    const { versioned, plain } = this.#takeNews()
    if (versioned === undefined && plain === undefined) return
    for (const peer of this.#peers.list()) {
      const frames = peer.dialect.isPlain ? plain : versioned
      if (frames !== undefined) peer.deliver(frames)
    }
  }

  /** Ends all of its sockets, and itself. */
  end(ending?: Ending): void {
    if (this.#isOver) return
    this.flush()
    this.#isOver = true
    this.#watching[Symbol.dispose]()
    for (const alarm of [this.#missing, this.#presence, this.#linger]) alarm?.clear()
    this.#deps.onEnd(this)
    if (ending !== undefined) for (const peer of this.#peers.list()) peer.end(ending)
  }

  #hear(message: FeedMessage): void {
    if (this.#isOver) return
    switch (message.kind) {
      case 'deleted':
        return this.#deleted()
      case 'gap':
        this.#hasGap = true
        return this.#reloadIn(0)
      case 'entries':
        if (this.#view === undefined || this.#loading !== undefined) return this.#keepEarly(message)
        if (!this.#take(message)) return
        this.#takeEarly()
        // What was missing has come by itself.
        if (this.#early.length === 0 && this.#ring !== undefined && !this.#hasGap) this.#missing?.clear()
        return
      default:
        return message satisfies never
    }
  }

  /** True: it stands elsewhere since. */
  #take(message: Entries): boolean {
    const step = stepTo(placeOf(this.view), message.from, message.entries)
    switch (step.kind) {
      case 'old':
        return false
      case 'gap':
        this.#keepEarly(message)
        this.#reloadIn(MISSING_MS)
        return false
      case 'next':
        return this.#apply(message.entries.slice(step.skip))
      default:
        return step satisfies never
    }
  }

  #keepEarly(message: Entries): void {
    if (this.#early.length === EARLY_MAX) this.#early.shift()
    this.#early.push(message)
  }

  /** What came too early may be next by now. */
  #takeEarly(): void {
    if (this.#view === undefined || this.#isOver) return
    for (let hasMoved = this.#early.length > 0; hasMoved; ) {
      const early = this.#early
      this.#early = []
      hasMoved = false
      for (const message of early) hasMoved = this.#take(message) || hasMoved
    }
  }

  /** False: they can't be understood, and how the session stands is asked for. */
  #apply(entries: readonly LogEntry[]): boolean {
    try {
      for (const entry of entries) this.#applyOne(entry)
      if (entries.length > 0) this.#tellPlain()
      return true
    } catch (error) {
      // Of a later version of the reducer, or a defect.
      this.#deps.log.error({ event: 'session-sockets.event_unusable', sessionId: this.ref.sessionId, error })
      this.#ring = undefined
      this.#reloadIn(RELOAD_RETRY_MS)
      return false
    }
  }

  #applyOne(entry: LogEntry): void {
    const line = readLine(entry)
    const event = changeOf(line)
    const told = tell(placeOf(this.view), line, event)
    this.#view = { ...this.view, epoch: line.epoch, state: apply(this.view.state, event) }
    this.#ring?.push(told)
    this.#tellVersioned(told.text)
  }

  #tellVersioned(...texts: readonly string[]): void {
    this.#versioned.push(...texts)
    this.#news()
  }

  /** How it stands now: once for all that was committed, or missed, together. */
  #tellPlain(): void {
    if (!this.#peers.list().some(({ dialect }) => dialect.isPlain)) return
    const text = this.#deps.plain.update(this.view)
    const chars = this.#plain.reduce((sum, { length }) => sum + length, text.length)
    // The last one says it all: of a large session in a hurry nobody is sent more than one that is slow would be.
    if (chars > this.#deps.settings.behindBytes) this.#plain = []
    this.#plain.push(text)
    this.#news()
  }

  #takeNews(): { readonly versioned: Buffer | undefined; readonly plain: Buffer | undefined } {
    const versioned = this.#versioned.length === 0 ? undefined : encodeFrames(this.#versioned)
    const plain = this.#plain.length === 0 ? undefined : encodeFrames(this.#plain)
    if (versioned !== undefined) this.#versioned = []
    if (plain !== undefined) this.#plain = []
    return { versioned, plain }
  }

  #news(): void {
    if (this.#isDirty) return
    this.#isDirty = true
    this.#deps.onNews(this)
  }

  #begin(view: SessionView): void {
    this.#view = view
    this.#ring = new EventRing(this.#deps.settings.replayMax, placeOf(view))
  }

  #reloadIn(ms: number): void {
    if (this.#isOver || this.#view === undefined) return
    this.#missing ??= new Alarm(this.#deps.env, () => void this.#reload())
    this.#missing.setIn(ms)
  }

  /** Never rejects. */
  #reload(): Promise<void> {
    this.#loading ??= this.#catchUp()
      .catch((error: unknown) => {
        if (hasCode(error, 'SESSION_NOT_FOUND')) return this.#deleted()
        // Links say themselves that they are down.
        if (!isRipstopError(error)) this.#deps.log.error({ event: 'session-sockets.defect', error })
        this.#reloadIn(RELOAD_RETRY_MS)
      })
      .finally(() => this.#loaded())
    return this.#loading
  }

  /** What was heard before the session is read is in what is read, or on a branch that it left. */
  #read(ctx: Ctx): Promise<SessionView> {
    this.#hasGap = false
    this.#early = []
    return this.#deps.service.read(ctx, this.ref)
  }

  #loaded(): void {
    this.#loading = undefined
    this.#takeEarly()
    if (this.#hasGap) this.#reloadIn(0)
  }

  /** Tells what was missed, or all anew where that is not to be had. */
  async #catchUp(): Promise<void> {
    const { service, settings, reads } = this.#deps
    const before = placeOf(this.view)
    const { view, entries } = await reads(async (ctx) => {
      const view = await this.#read(ctx)
      const isSame = this.#ring !== undefined && isAt(before, { epoch: view.epoch, version: view.state.version })
      if (isSame) return { view, entries: [] }
      const history = { service, eventsMax: settings.replayMax }
      const entries = this.#ring === undefined ? undefined : await entriesSince(ctx, history, this.ref, before)
      return { view, entries }
    })
    if (this.#isOver) return
    if (entries !== undefined) return void this.#apply(entries)
    this.#begin(view)
    this.#tellVersioned(writeMessage({ t: 'resync', e: view.epoch, why: 'branch' }), writeSnapshot(view))
    this.#tellPlain()
  }

  async #replay(peer: Peer, since: WirePlace): Promise<void> {
    // It knows more than is known here.
    if (isBeyond(since, placeOf(this.view))) await this.#reload()
    const { service, settings, reads } = this.#deps
    this.#histories ??= new Histories({ service, reads, eventsMax: settings.replayMax }, this.ref)
    const history = this.#ring?.since(since) === undefined ? await this.#histories.since(since) : undefined
    if (peer.isOver || this.#isOver) return
    // Meanwhile more may have happened: what the log had is joined to what was heard.
    if (history !== undefined) this.#ring?.extend(since, history)
    const known = this.#ring?.since(since)
    if (known !== undefined) return this.#open(peer, known)
    const { view } = this
    this.#open(peer, [writeMessage({ t: 'resync', e: view.epoch, why: 'branch' }), writeSnapshot(view)])
  }

  /** From here it hears what happens, and nothing twice: what waits to be told is told first. */
  #open(peer: Peer, texts: readonly string[]): void {
    this.flush()
    if (peer.principal === undefined) return
    const hi = writeHi(placeOf(this.view), peer.principal, this.#deps.service.nowMs())
    peer.goLive([hi, ...texts, ...(this.#presenceTold === '' ? [] : [this.#presenceTold])])
  }

  /** Told a while later, with all who come and go until then. */
  #presenceChanged(): void {
    if (this.#isOver || this.#peers.size === 0) return
    this.#presence ??= new Alarm(this.#deps.env, () => {
      const text = writePresence(this.#peers.list())
      if (text === this.#presenceTold) return
      this.#presenceTold = text
      this.#tellVersioned(text)
    })
    this.#presence.setIn(this.#deps.settings.presenceMs)
  }

  /** Nobody is there: it ends, unless somebody comes within a while. */
  #lingerIfEmpty(): void {
    if (this.#peers.size > 0 || this.#isOver) return
    if (this.#view === undefined) return this.end()
    this.#linger ??= new Alarm(this.#deps.env, () => {
      if (this.#peers.size === 0) this.end()
    })
    this.#linger.setIn(this.#deps.settings.lingerMs)
  }

  #deleted(): void {
    const { sessionId } = this.ref
    this.end({ closeCode: 1000, why: 'SESSION_NOT_FOUND', reason: 'Session deleted', sessionId })
  }
}
