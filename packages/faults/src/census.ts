// Census. Which sockets and timers live in this process, and who made them: what belongs to no link is outside every
// guarantee, and what a fault leaves behind shows as a count that does not come back.
// Sockets are seen through the diagnostics channel `net.client.socket`, which Node 24 publishes for every outgoing
// connection at its `connect` (tried: net.connect, new Socket().connect, tls.connect, http, fetch, undici, pg, ioredis,
// ws, Unix sockets). There is no such channel for timers: they are counted by Node itself, and traced by standing in
// for setTimeout and setInterval, if that is asked for.
// It can't see: sockets made before it started, in worker threads or child processes; accepted sockets (they are in
// `tcpHandles` only), UDP, and the HTTP/2 streams on one socket; timers that are unref'd, and who made a timer before
// the start or through node:timers/promises.
// Invariants:
//   CE1. A client socket is counted from its connect until it is destroyed; the fault proxy's own are not.
//   CE2. It keeps nothing alive for long: closed sockets and fired timers are let go of when the list has doubled.
//   CE3. Disposed, it has put back everything that it stood in for.

import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { syncBuiltinESMExports } from 'node:module'
import type { Socket } from 'node:net'
import timers from 'node:timers'
import { type Clock, systemClock } from '@ripstop/kernel'
import { isOwnSocket } from './own-sockets.ts'

const TRACKED_MAX = 10_000
const STACK_FRAMES = 50
const TIMER_FUNCTIONS = ['setTimeout', 'setInterval'] as const

/** Where something came from. */
export interface Origin {
  /** The first frame of code that is neither Node's nor a package's, else the nearest to it: `function (file:line:column)`. */
  readonly createdAt: string
  readonly stack: readonly string[]
  readonly ageMs: number
}

export interface StraySocket extends Origin {
  /** `host:port` of the peer, the path of a Unix socket, or `connecting`. */
  readonly peer: string
}

export interface CensusReport {
  /** Open client sockets that nobody owns. */
  readonly sockets: readonly StraySocket[]
  /** Active timers that nobody owns; empty unless `traceTimers`. */
  readonly timers: readonly Origin[]
  /** Sockets and timers beyond the 10,000 that are tracked: the report lacks them. */
  readonly untracked: number
}

export interface CensusCounts {
  /** Open client sockets, owned or not. */
  readonly sockets: number
  /** Active timers that keep the process alive, made by anybody. */
  readonly timers: number
  /** All TCP sockets of the process by Node's own count: outgoing, accepted, the fault proxy's. */
  readonly tcpHandles: number
}

export interface Census extends Disposable {
  /** Counts for a baseline, as `takeBaseline` and `checkRecovery` want them. */
  snapshot(): CensusCounts
  /** What belongs to nobody. `owned` tells the sockets of links, `ownedTimer` the timers [none are]. */
  report(options?: {
    readonly owned?: (socket: Socket) => boolean
    readonly ownedTimer?: (timer: Origin) => boolean
  }): CensusReport
}

export interface CensusOptions {
  /** Also find out who makes timers, by standing in for setTimeout and setInterval [false]: for tests. */
  readonly traceTimers?: boolean
  readonly clock?: Clock
}

/** Starts counting. Dispose of it to stop. */
export function startCensus({ traceTimers = false, clock = systemClock }: CensusOptions = {}): Census {
  const sockets = createTracked<Socket>(clock, (socket) => !socket.destroyed)
  const traced = createTracked<NodeJS.Timeout>(clock, isActive)
  const onSocket = (message: unknown): void => sockets.add((message as { readonly socket: Socket }).socket)
  subscribe('net.client.socket', onSocket)
  const putBack = traceTimers ? standInForTimers((timer) => traced.add(timer)) : () => {}
  let disposed = false
  return {
    snapshot: () => {
      const active = process.getActiveResourcesInfo()
      return {
        sockets: sockets.list().filter(([socket]) => !isOwnSocket(socket)).length,
        timers: active.filter((kind) => kind === 'Timeout').length,
        tcpHandles: active.filter((kind) => kind === 'TCPSocketWrap').length,
      }
    },
    report: ({ owned = () => false, ownedTimer = () => false } = {}) => ({
      sockets: sockets
        .list()
        .filter(([socket]) => !isOwnSocket(socket) && !owned(socket))
        .map(([socket, origin]) => ({ peer: peerOf(socket), ...origin() })),
      timers: traced
        .list()
        .map(([, origin]) => origin())
        .filter((origin) => !ownedTimer(origin)),
      untracked: sockets.untracked() + traced.untracked(),
    }),
    [Symbol.dispose]: () => {
      if (disposed) return
      disposed = true
      unsubscribe('net.client.socket', onSocket)
      putBack()
      sockets.clear()
      traced.clear()
    },
  }
}

interface Tracked<T> {
  readonly add: (item: T) => void
  readonly list: () => readonly (readonly [T, () => Origin])[]
  readonly untracked: () => number
  readonly clear: () => void
}

function createTracked<T>(clock: Clock, isAlive: (item: T) => boolean): Tracked<T> {
  const items = new Map<T, { readonly bornMs: number; readonly stack: string }>()
  let untracked = 0
  let pruneAt = 64
  const prune = (): void => {
    for (const item of items.keys()) if (!isAlive(item)) items.delete(item)
    pruneAt = Math.min(TRACKED_MAX, Math.max(64, items.size * 2))
  }
  return {
    add: (item) => {
      if (items.size >= pruneAt) prune()
      if (items.size >= TRACKED_MAX) untracked++
      else items.set(item, { bornMs: clock.monoMs(), stack: takeStack() })
    },
    list: () => {
      prune()
      return [...items].map(([item, { bornMs, stack }]) => [item, () => createOrigin(stack, clock.monoMs() - bornMs)])
    },
    untracked: () => untracked,
    clear: () => items.clear(),
  }
}

function takeStack(): string {
  const limit = Error.stackTraceLimit
  Error.stackTraceLimit = STACK_FRAMES
  const { stack = '' } = new Error()
  Error.stackTraceLimit = limit
  return stack
}

function createOrigin(text: string, ageMs: number): Origin {
  const stack = text
    .split('\n')
    .filter((line) => line.trimStart().startsWith('at ') && !line.includes(import.meta.filename))
    .map((line) => line.trim().slice(3))
  const outsideNode = stack.filter((frame) => /:\d+:\d+\)?$/.test(frame) && !/(^|\()node:/.test(frame))
  const own = outsideNode.find((frame) => !/[\\/]node_modules[\\/]/.test(frame))
  return { createdAt: own ?? outsideNode[0] ?? stack[0] ?? 'unknown', stack, ageMs: Math.round(ageMs) }
}

function peerOf(socket: Socket): string {
  if (socket.remoteAddress !== undefined) return `${socket.remoteAddress}:${socket.remotePort}`
  // What a socket that is not connected yet, or is connected to a path, says of itself is not in its types.
  const path = 'path' in socket ? socket.path : undefined
  return typeof path === 'string' ? path : 'connecting'
}

/** `_destroyed` is Node's own word for "fired or cleared", unchanged since Node 11; there is no public one. */
function isActive(timer: NodeJS.Timeout): boolean {
  return !('_destroyed' in timer && timer._destroyed === true)
}

/** Stands in for the timer functions, for those who use the globals and those who import node:timers. */
function standInForTimers(onTimer: (timer: NodeJS.Timeout) => void): () => void {
  const puttingBack = TIMER_FUNCTIONS.map((name) => {
    const original = timers[name]
    const standIn = (...parameters: Parameters<typeof original>): NodeJS.Timeout => {
      const timer = Reflect.apply(original, undefined, parameters)
      onTimer(timer)
      return timer
    }
    Object.defineProperties(standIn, Object.getOwnPropertyDescriptors(original)) // its promisified form too
    for (const home of [timers, globalThis]) Object.assign(home, { [name]: standIn })
    return () => {
      // Somebody who stood in later, as fake timers do, is left in place.
      for (const home of [timers, globalThis]) if (home[name] === standIn) Object.assign(home, { [name]: original })
    }
  })
  syncBuiltinESMExports()
  return () => {
    for (const putBack of puttingBack) putBack()
    syncBuiltinESMExports()
  }
}
