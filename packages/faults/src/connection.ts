// Connection. One client, its own upstream socket, and a pipe each way. Ends (FIN) pass in their direction alone, as
// TCP has it; a reset (RST) or any other error of one side resets the other.
// Invariants:
//   CN1. When one side is gone the other gets what is on its way to it and is closed too; a swallowed connection
//        keeps the other side until the fault that swallowed it is removed.
//   CN2. A swallowed connection never carries a byte again.

import { connect, type Socket } from 'node:net'
import type { Clock, Random } from '@ripstop/kernel'
import { markOwnSocket } from './own-sockets.ts'
import { Pipe } from './pipe.ts'
import type { ConnectionPort, RunningToxic, Stage, StageOutput } from './stage.ts'
import type { Direction } from './toxics.ts'

const LINGER_MS = 2_000 // what is still unsent when a connection is closed gets this long

export interface ConnectionDeps {
  readonly clock: Clock
  readonly random: Random
  readonly sendCopy: (request: Buffer, method: string) => void
  readonly onUpstreamFailed: () => void
  readonly onClosed: (connection: Connection) => void
}

export class Connection {
  readonly #deps: ConnectionDeps
  readonly #client: Socket
  readonly #pipes: Readonly<Record<Direction, Pipe>>
  #upstream: Socket | undefined
  #swallowed = false
  #heldBy: RunningToxic | undefined
  #sideEnded = false
  #closing = false
  #closed = false
  #cancelLinger: (() => void) | undefined

  constructor(client: Socket, deps: ConnectionDeps) {
    this.#client = client
    this.#deps = deps
    this.#pipes = {
      upstream: createPipe(
        () => client,
        () => this.#upstream,
      ),
      downstream: createPipe(
        () => this.#upstream,
        () => client,
      ),
    }
    this.#wire(client, this.#pipes.upstream, this.#pipes.downstream)
  }

  get swallowed(): boolean {
    return this.#swallowed
  }

  /** False once a toxic took it over: then the upstream need not be dialled. */
  get open(): boolean {
    return !this.#closing && !this.#closed && !this.#swallowed
  }

  passedBytes(direction: Direction): number {
    return this.#pipes[direction].passedBytes
  }

  get droppedBytes(): number {
    return this.#pipes.upstream.droppedBytes + this.#pipes.downstream.droppedBytes
  }

  get heldBytes(): number {
    return this.#pipes.upstream.heldBytes + this.#pipes.downstream.heldBytes
  }

  /** What `toxic` may do with this connection. */
  portFor(toxic: RunningToxic): ConnectionPort {
    return {
      clock: this.#deps.clock,
      random: this.#deps.random,
      sendCopy: this.#deps.sendCopy,
      addStage: (direction: Direction, make: (output: StageOutput) => Stage) => this.#pipes[direction].add(toxic, make),
      finish: () => this.finish(),
      reset: (flush = false) => this.reset(flush),
      swallow: () => this.#swallow(toxic),
      countDropped: (bytes) => {
        this.#pipes[toxic.stream].droppedBytes += bytes
      },
    }
  }

  dial(upstream: { readonly host: string; readonly port: number }): void {
    const socket = connect({ ...upstream, allowHalfOpen: true, noDelay: true })
    markOwnSocket(socket)
    this.#upstream = socket
    const refused = (): void => {
      this.#deps.onUpstreamFailed()
      this.reset() // the nearest to a refusal, now that the client was accepted
    }
    socket.once('error', refused)
    socket.once('connect', () => socket.off('error', refused))
    this.#wire(socket, this.#pipes.downstream, this.#pipes.upstream)
  }

  /** `toxic` was removed. What it swallowed stays dead, and goes as soon as one side gives up. */
  heal(toxic: RunningToxic): void {
    this.#pipes.upstream.heal(toxic)
    this.#pipes.downstream.heal(toxic)
    if (this.#heldBy !== toxic) return
    this.#heldBy = undefined
    if (this.#sideEnded) this.destroy()
  }

  updated(toxic: RunningToxic): void {
    this.#pipes.upstream.updated(toxic)
    this.#pipes.downstream.updated(toxic)
  }

  /** Closes both sides (FIN) once what is unsent has left. */
  finish(): void {
    if (this.#closing || this.#closed) return
    this.#closing = true
    this.#heldBy = undefined
    this.#stopPipes()
    this.#client.destroySoon()
    this.#upstream?.destroySoon()
    this.#cancelLinger = this.#deps.clock.schedule(LINGER_MS, () => this.destroy())
  }

  /** Resets both sides (RST); with `flush` once the client got what is unsent. */
  reset(flush = false): void {
    if (this.#closed) return
    this.#stopPipes()
    if (flush && !this.#closing && this.#client.writableLength > 0 && !this.#client.destroyed) {
      this.#closing = true
      this.#client.write(Buffer.alloc(0), () => this.reset())
      this.#cancelLinger = this.#deps.clock.schedule(LINGER_MS, () => this.reset())
      return
    }
    this.#closing = true
    resetSocket(this.#client)
    if (this.#upstream !== undefined) resetSocket(this.#upstream)
    this.#closeIfGone()
  }

  destroy(): void {
    this.#client.destroy()
    this.#upstream?.destroy()
    this.#closeIfGone()
  }

  #swallow(toxic: RunningToxic): void {
    if (!this.open) return
    this.#swallowed = true
    this.#heldBy = toxic
    this.#pipes.upstream.swallow()
    this.#pipes.downstream.swallow()
  }

  #stopPipes(): void {
    this.#pipes.upstream.dispose()
    this.#pipes.downstream.dispose()
  }

  #wire(socket: Socket, from: Pipe, into: Pipe): void {
    socket.on('data', (chunk) => from.receive(chunk))
    socket.on('drain', () => into.balance())
    socket.on('end', () => {
      this.#sideEnded = true
      if (this.#heldBy !== undefined) return // the other side never learns of it
      if (this.open) from.receiveEnd()
      else if (this.#swallowed) this.destroy()
    })
    socket.on('error', () => {
      this.#sideEnded = true
      if (this.#heldBy === undefined) this.reset()
    })
    socket.on('close', () => {
      // After an orderly end the pipe still carries what it holds, and that end (CN1).
      if (this.open && !socket.readableEnded) this.finish()
      this.#closeIfGone()
    })
  }

  #closeIfGone(): void {
    if (this.#closed || !this.#client.destroyed || !(this.#upstream?.destroyed ?? true)) return
    this.#closed = true
    this.#stopPipes()
    this.#cancelLinger?.()
    this.#deps.onClosed(this)
  }
}

function createPipe(source: () => Socket | undefined, destination: () => Socket | undefined): Pipe {
  return new Pipe({
    write: (chunk) => {
      const socket = destination()
      if (socket?.writable === true) socket.write(chunk)
    },
    end: () => destination()?.end(),
    unsentBytes: () => destination()?.writableLength ?? 0,
    setReading: (reading) => {
      if (reading) source()?.resume()
      else source()?.pause()
    },
  })
}

function resetSocket(socket: Socket): void {
  if (!socket.destroyed) socket.resetAndDestroy()
}
