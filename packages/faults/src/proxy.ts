// Fault proxy. Stands between a client and its server and breaks what passes, by toxics that come and go while it
// runs. It listens on loopback unless it is told otherwise.
// Invariants:
//   FP1. The port stays the same through disable, enable and reset, so that clients find the server again.
//   FP2. A removed toxic leaves nothing behind: what it held is passed on or its connection is closed; only what was
//        swallowed (half_open, black_hole) stays dead.
//   FP3. `every`, toxicity, jitter and sizes are drawn from `random` alone: the same seed and traffic, the same faults.
//   FP4. At most `connectionsMax` connections and TOXICS_MAX toxics; beyond, a connection is reset, a toxic refused.

import { createServer, type Server, type Socket } from 'node:net'
import { type Clock, type Random, systemClock, systemRandom } from '@ripstop/kernel'
import { type Address, formatAddress, listenOn } from './address.ts'
import { fault } from './codes.ts'
import { Connection, type ConnectionDeps } from './connection.ts'
import { createRequestCopies } from './request-copies.ts'
import type { RunningToxic } from './stage.ts'
import { takeHold } from './take-hold.ts'
import { parseToxic, parseToxicChange, type Toxic, type ToxicSpec } from './toxics.ts'
import { createTurns } from './turns.ts'

const TOXICS_MAX = 64

export interface FaultProxyOptions {
  /** The real server. */
  readonly upstream: Address
  /** Where clients connect [127.0.0.1, a free port below the ephemeral range]. */
  readonly listen?: { readonly host?: string; readonly port?: number }
  /** For reports and the API [`proxy`]. */
  readonly name?: string
  /** False: starts disabled, as after `disable()`. */
  readonly enabled?: boolean
  /** Clients at once; one more is reset [4,096]. */
  readonly connectionsMax?: number
  readonly clock?: Clock
  /** Chance: hand in `createSeededRandom(seed)` to see the same faults again. */
  readonly random?: Random
}

/** What has passed since the start. */
export interface FaultProxyStats {
  readonly accepted: number
  /** Reset at once because too many were open, or no file descriptor was left. */
  readonly refused: number
  readonly upstreamFailed: number
  readonly open: number
  /** Of the open ones, those that will never carry a byte again. */
  readonly swallowed: number
  readonly passedBytes: { readonly upstream: number; readonly downstream: number }
  readonly droppedBytes: number
  /** Bytes inside the proxy right now. */
  readonly heldBytes: number
  /** Requests sent twice. */
  readonly copies: number
}

/** A running proxy. Methods that change it take effect in the order in which they were called. */
export interface FaultProxy extends AsyncDisposable {
  readonly name: string
  /** Where clients connect. */
  readonly host: string
  readonly port: number
  /** `host:port` of the listener. */
  readonly address: string
  readonly upstream: Address
  readonly enabled: boolean
  /** The URL of the listener: `proxy.url('redis')` is `redis://127.0.0.1:12345`. */
  url(scheme?: string): string
  /** The same URL, but through this proxy: user, password, path and query stay. */
  through(url: string): string
  /** The toxics that are on, upstream ones first, each direction in the order of coming. */
  toxics(): readonly Toxic[]
  /** Adds a toxic; it takes hold of open and new connections. Throws FAULT_INVALID or FAULT_DUPLICATE. */
  add(toxic: ToxicSpec): Promise<Toxic>
  /** Changes attributes (the others stay) or toxicity (drawn anew for every connection). Throws FAULT_INVALID, FAULT_UNKNOWN. */
  update(name: string, change: { readonly attributes?: object; readonly toxicity?: number }): Promise<Toxic>
  /** Heals: takes a toxic away. Throws FAULT_UNKNOWN. */
  remove(name: string): Promise<void>
  /** Heals everything: no toxics, enabled. What was swallowed stays dead. */
  reset(): Promise<void>
  /** Listens again, on the same port. Throws FAULT_LISTEN_FAILED if somebody else took it. */
  enable(): Promise<void>
  /** Refuses new connections and ends the open ones, by FIN or RST. */
  disable(how?: 'fin' | 'reset'): Promise<void>
  /** Ends the open connections and goes on accepting; tells how many there were. */
  drop(how?: 'fin' | 'reset'): number
  /** Moves the listener or points to another server; open connections are ended. */
  configure(change: { readonly upstream?: Address; readonly listen?: Address }): Promise<void>
  /** Clients connected now. */
  connections(): number
  stats(): FaultProxyStats
}

/** Starts a proxy in front of `upstream`. Dispose of it to end it and all its connections. Throws FAULT_LISTEN_FAILED. */
export async function startFaultProxy(options: FaultProxyOptions): Promise<FaultProxy> {
  const proxy = new RunningProxy(options)
  if (options.enabled !== false) await proxy.enable()
  return proxy
}

interface Held {
  readonly toxic: RunningToxic
  readonly connections: Set<Connection>
}

class RunningProxy implements FaultProxy {
  readonly name: string
  readonly #random: Random
  readonly #connectionDeps: ConnectionDeps
  readonly #connectionsMax: number
  readonly #copies: ReturnType<typeof createRequestCopies>
  readonly #connections = new Set<Connection>()
  readonly #toxics = new Map<string, Held>()
  #upstream: Address
  #listen: Address
  #enabled = false
  #server: Server | undefined
  readonly #inTurn = createTurns() // one change at a time, in the order of the calls
  #closing: Promise<void> | undefined
  readonly #count = { accepted: 0, refused: 0, upstreamFailed: 0, copies: 0, upstream: 0, downstream: 0, dropped: 0 }

  constructor(options: FaultProxyOptions) {
    const clock = options.clock ?? systemClock
    this.name = options.name ?? 'proxy'
    this.#random = options.random ?? systemRandom
    this.#connectionsMax = options.connectionsMax ?? 4_096
    this.#upstream = options.upstream
    this.#listen = { host: options.listen?.host ?? '127.0.0.1', port: options.listen?.port ?? 0 }
    this.#copies = createRequestCopies(clock)
    this.#connectionDeps = {
      clock,
      random: this.#random,
      sendCopy: (request, method) => {
        if (this.#copies.send(this.#upstream, request, method)) this.#count.copies++
      },
      onUpstreamFailed: () => {
        this.#count.upstreamFailed++
      },
      onClosed: (connection) => this.#forget(connection),
    }
  }

  get host(): string {
    return this.#listen.host
  }

  get port(): number {
    return this.#listen.port
  }

  get address(): string {
    return formatAddress(this.#listen)
  }

  get upstream(): Address {
    return this.#upstream
  }

  get enabled(): boolean {
    return this.#enabled
  }

  url(scheme = 'http'): string {
    return `${scheme}://${this.address}`
  }

  through(url: string): string {
    const parsed = new URL(url)
    parsed.hostname = this.host.includes(':') ? `[${this.host}]` : this.host
    parsed.port = String(this.port)
    return parsed.href
  }

  toxics(): readonly Toxic[] {
    const all = [...this.#toxics.values()].map(({ toxic }) => describeToxic(toxic))
    return [...all.filter(({ stream }) => stream === 'upstream'), ...all.filter(({ stream }) => stream !== 'upstream')]
  }

  add(spec: ToxicSpec): Promise<Toxic> {
    return this.#inTurn(async () => {
      const parsed = parseToxic(spec)
      if (this.#toxics.has(parsed.name)) {
        throw fault('FAULT_DUPLICATE', 'toxic already exists', { details: { toxic: parsed.name } })
      }
      if (this.#toxics.size >= TOXICS_MAX) throw fault('FAULT_INVALID', `a proxy takes at most ${TOXICS_MAX} toxics`)
      const held: Held = { toxic: { ...parsed, seen: 0 }, connections: new Set() }
      this.#toxics.set(parsed.name, held)
      for (const connection of [...this.#connections]) this.#mayTakeHold(held, connection, 'open')
      if (parsed.type === 'down') this.drop()
      await this.#listenOrNot()
      return describeToxic(held.toxic)
    })
  }

  update(name: string, change: { readonly attributes?: object; readonly toxicity?: number }): Promise<Toxic> {
    return this.#inTurn(async () => {
      const held = this.#find(name)
      const { attributes, toxicity } = parseToxicChange(held.toxic, change)
      const drawAnew = toxicity !== held.toxic.toxicity
      Object.assign(held.toxic, { attributes, toxicity })
      if (drawAnew) {
        for (const connection of [...this.#connections]) {
          if (!held.connections.has(connection)) this.#mayTakeHold(held, connection, 'open')
          else if (this.#random() >= toxicity) this.#letGo(held, connection)
        }
      }
      for (const connection of [...held.connections]) connection.updated(held.toxic)
      return describeToxic(held.toxic)
    })
  }

  remove(name: string): Promise<void> {
    return this.#inTurn(async () => {
      this.#removeNow(this.#find(name))
      await this.#listenOrNot()
    })
  }

  reset(): Promise<void> {
    return this.#inTurn(async () => {
      for (const held of [...this.#toxics.values()]) this.#removeNow(held)
      this.#enabled = true
      await this.#listenOrNot()
    })
  }

  enable(): Promise<void> {
    return this.#inTurn(async () => {
      this.#enabled = true
      await this.#listenOrNot()
    })
  }

  disable(how: 'fin' | 'reset' = 'fin'): Promise<void> {
    return this.#inTurn(async () => {
      this.#enabled = false
      this.drop(how)
      await this.#listenOrNot()
    })
  }

  drop(how: 'fin' | 'reset' = 'fin'): number {
    const open = [...this.#connections]
    for (const connection of open) {
      if (how === 'reset') connection.reset()
      else connection.finish()
    }
    return open.length
  }

  configure(change: { readonly upstream?: Address; readonly listen?: Address }): Promise<void> {
    return this.#inTurn(async () => {
      await this.#stopListening()
      this.drop()
      this.#upstream = change.upstream ?? this.#upstream
      this.#listen = change.listen ?? this.#listen
      await this.#listenOrNot()
    })
  }

  connections(): number {
    return this.#connections.size
  }

  stats(): FaultProxyStats {
    const open = [...this.#connections]
    const sum = (value: (connection: Connection) => number): number =>
      open.reduce((total, connection) => total + value(connection), 0)
    return {
      accepted: this.#count.accepted,
      refused: this.#count.refused,
      upstreamFailed: this.#count.upstreamFailed,
      open: open.length,
      swallowed: open.filter(({ swallowed }) => swallowed).length,
      passedBytes: {
        upstream: this.#count.upstream + sum((connection) => connection.passedBytes('upstream')),
        downstream: this.#count.downstream + sum((connection) => connection.passedBytes('downstream')),
      },
      droppedBytes: this.#count.dropped + sum(({ droppedBytes }) => droppedBytes),
      heldBytes: sum(({ heldBytes }) => heldBytes),
      copies: this.#count.copies,
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#closing ??= this.#inTurn(async () => {
      this.#enabled = false
      this.#copies.abort()
      for (const connection of [...this.#connections]) connection.destroy()
      await this.#stopListening()
    })
    return this.#closing
  }

  #accept(client: Socket): void {
    if (this.#connections.size >= this.#connectionsMax) {
      this.#count.refused++
      client.on('error', () => {}) // it is being thrown out
      client.resetAndDestroy()
      return
    }
    this.#count.accepted++
    const connection = new Connection(client, this.#connectionDeps)
    this.#connections.add(connection)
    for (const held of this.#toxics.values()) this.#mayTakeHold(held, connection, 'new')
    if (connection.open) connection.dial(this.#upstream)
  }

  #mayTakeHold(held: Held, connection: Connection, moment: 'new' | 'open'): void {
    if (!connection.open || this.#random() >= held.toxic.toxicity) return
    held.connections.add(connection)
    takeHold(connection.portFor(held.toxic), held.toxic, moment)
  }

  #letGo(held: Held, connection: Connection): void {
    held.connections.delete(connection)
    connection.heal(held.toxic)
  }

  #removeNow(held: Held): void {
    this.#toxics.delete(held.toxic.name)
    for (const connection of [...held.connections]) this.#letGo(held, connection)
  }

  #forget(connection: Connection): void {
    this.#connections.delete(connection)
    for (const { connections } of this.#toxics.values()) connections.delete(connection)
    this.#count.upstream += connection.passedBytes('upstream')
    this.#count.downstream += connection.passedBytes('downstream')
    this.#count.dropped += connection.droppedBytes
  }

  #find(name: string): Held {
    const held = this.#toxics.get(name)
    if (held === undefined) throw fault('FAULT_UNKNOWN', 'toxic not found', { details: { toxic: name } })
    return held
  }

  #isUp(): boolean {
    return (
      this.#enabled &&
      this.#closing === undefined &&
      ![...this.#toxics.values()].some(({ toxic }) => toxic.type === 'down')
    )
  }

  async #listenOrNot(): Promise<void> {
    if (!this.#isUp()) return this.#stopListening()
    if (this.#server !== undefined) return
    const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => this.#accept(client))
    try {
      this.#listen = await listenOn(server, this.#listen)
    } catch (error) {
      this.#enabled = false
      throw error
    }
    // Out of file descriptors: that client is not accepted, the next may be.
    server.on('error', () => {
      this.#count.refused++
    })
    this.#server = server
  }

  /** The port is free when this returns; what was accepted lives on. */
  async #stopListening(): Promise<void> {
    this.#server?.close()
    this.#server = undefined
  }
}

function describeToxic({ name, type, stream, toxicity, attributes }: RunningToxic): Toxic {
  return { name, type, stream, toxicity, attributes: { ...attributes } }
}
