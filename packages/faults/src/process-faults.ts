// Process faults. A real server as a child that can be killed, stopped, continued and started again.
// Invariants:
//   PF1. Whatever was done to it, disposing leaves no process of it: stopped ones are continued and killed, children too.
//   PF2. `ready` was seen true before `startProcess` and `restart` return.

import { type ChildProcess, spawn } from 'node:child_process'
import { connect } from 'node:net'
import { type Clock, systemClock } from '@ripstop/kernel'
import { fault } from './codes.ts'
import { markOwnSocket } from './own-sockets.ts'
import { continueTree, killTree, listTree, type ProcessIdentity, signalAll, stopTree } from './process-tree.ts'
import { createTurns } from './turns.ts'
import { wait, within } from './wait.ts'

const READY_POLL_MS = 25
const OUTPUT_MAX = 65_536 // characters of output that are kept, the newest

export interface ProcessOptions {
  readonly command: string
  readonly args?: readonly string[]
  readonly cwd?: string
  /** Replaces the environment [inherited]. */
  readonly env?: Readonly<Record<string, string | undefined>>
  /** One try to see whether it serves: asked again until it resolves. `() => portAccepts(6379)` will often do. */
  readonly ready: () => Promise<void>
  /** [10,000] */
  readonly readyWithinMs?: number
  readonly clock?: Clock
}

export interface ExitStatus {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

export interface FaultyProcess extends AsyncDisposable {
  /** Of the present or last run. */
  readonly pid: number
  readonly running: boolean
  /** Settles when the present run ends. */
  readonly exited: Promise<ExitStatus>
  /** Signals the process alone, as an operator or the OOM killer would [SIGKILL], and waits for its end, `withinMs` [10,000] at most. Throws PROCESS_FAILED if it lives on. */
  kill(signal?: NodeJS.Signals, withinMs?: number): Promise<ExitStatus>
  /** SIGSTOP to the process and its descendants: connections stay open, nothing answers. Tells how many. Throws FAULT_UNKNOWN. */
  stop(): number
  /** SIGCONT to all of them. Harmless if they run. */
  cont(): number
  /** Kills what is left of it and starts it again, ready when this returns. Throws PROCESS_FAILED. */
  restart(): Promise<void>
  /** The end of what it wrote, errors included. */
  output(): string
}

/** Starts a server as a child process, ready when this returns. Throws PROCESS_FAILED with its output in details. */
export async function startProcess(options: ProcessOptions): Promise<FaultyProcess> {
  const started = new RunningProcess(options)
  await started.restart()
  return started
}

/** One connection, to see whether something listens. Rejects with the error of the socket. */
export function portAccepts(port: number, host = '127.0.0.1'): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port })
    markOwnSocket(socket)
    socket.once('connect', () => {
      socket.destroy()
      resolve()
    })
    socket.once('error', reject)
  })
}

class RunningProcess implements FaultyProcess {
  readonly #options: ProcessOptions
  readonly #clock: Clock
  readonly #inTurn = createTurns()
  #child: ChildProcess | undefined
  #exited: Promise<ExitStatus> = Promise.resolve({ code: null, signal: null })
  #output = ''
  /** Seen as descendants: orphans after a kill of their parent, when no tree leads to them any more. */
  #descendants: readonly ProcessIdentity[] = []
  readonly #onExit = (): void => this.#killAll()

  constructor(options: ProcessOptions) {
    this.#options = options
    this.#clock = options.clock ?? systemClock
  }

  get pid(): number {
    return this.#child?.pid ?? 0
  }

  get running(): boolean {
    return this.#child?.pid !== undefined && this.#child.exitCode === null && this.#child.signalCode === null
  }

  get exited(): Promise<ExitStatus> {
    return this.#exited
  }

  async kill(signal: NodeJS.Signals = 'SIGKILL', withinMs = 10_000): Promise<ExitStatus> {
    const exited = this.#exited
    if (this.running) {
      this.#noteDescendants()
      this.#child?.kill(signal)
    }
    const status = await within(this.#clock, withinMs, exited)
    if (status === 'late') throw this.#failed(`still alive ${withinMs} ms after ${signal}`)
    return status
  }

  stop(): number {
    if (!this.running) throw fault('FAULT_UNKNOWN', `${this.#options.command} does not run`)
    const count = stopTree(this.pid)
    this.#noteDescendants()
    return count
  }

  cont(): number {
    return this.running ? continueTree(this.pid) : 0
  }

  restart(): Promise<void> {
    return this.#inTurn(async () => {
      await this.#end()
      const { command, args = [], cwd, env } = this.#options
      const child = spawn(command, args, {
        stdio: ['ignore', 'pipe', 'pipe'],
        ...(cwd !== undefined && { cwd }),
        ...(env !== undefined && { env }),
      })
      this.#child = child
      this.#output = ''
      this.#exited = new Promise((resolve) => {
        child.once('exit', (code, signal) => resolve({ code, signal }))
        child.once('error', (error) => {
          this.#keepOutput(String(error))
          resolve({ code: null, signal: null })
        })
      })
      for (const stream of [child.stdout, child.stderr]) {
        stream?.setEncoding('utf8').on('data', (text: string) => this.#keepOutput(text))
      }
      process.off('exit', this.#onExit).once('exit', this.#onExit)
      try {
        await this.#awaitReady()
      } catch (error) {
        await this.#end()
        throw error
      }
    })
  }

  output(): string {
    return this.#output
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#inTurn(() => this.#end())
  }

  async #end(): Promise<void> {
    this.#killAll()
    if (this.#child?.pid !== undefined) await this.#exited
    process.off('exit', this.#onExit)
  }

  /** SIGKILL takes stopped processes too. Synchronous: it also runs when this process exits. */
  #killAll(): void {
    if (this.running && this.pid > 0) {
      this.#noteDescendants()
      killTree(this.pid)
    }
    signalAll(this.#descendants, 'SIGKILL')
    this.#descendants = []
  }

  #noteDescendants(): void {
    const known = new Map([...this.#descendants, ...listTree(this.pid)].map((entry) => [entry.pid, entry]))
    known.delete(this.pid)
    this.#descendants = [...known.values()]
  }

  async #awaitReady(): Promise<void> {
    const { ready, readyWithinMs = 10_000 } = this.#options
    const endMs = this.#clock.monoMs() + readyWithinMs
    const ended = this.#exited.then(() => 'ended' as const)
    let reason: unknown = 'it was not asked'
    if (this.#child?.pid === undefined) await ended // it could not be spawned; the error is on its way
    while (this.running && this.#clock.monoMs() < endMs) {
      const attempt = ready().then(
        () => 'ready' as const,
        (error: unknown) => {
          reason = error
          return 'not yet' as const
        },
      )
      const seen = await within(this.#clock, endMs - this.#clock.monoMs(), Promise.race([attempt, ended]))
      if (seen === 'ready' && this.running) return
      if (seen === 'not yet') await wait(this.#clock, READY_POLL_MS)
    }
    const what = this.running ? `was not ready within ${readyWithinMs} ms` : 'ended before it was ready'
    throw this.#failed(`${what} (${String(reason)})`)
  }

  #keepOutput(text: string): void {
    this.#output = (this.#output + text).slice(-OUTPUT_MAX)
  }

  #failed(what: string): Error {
    const { command, args = [] } = this.#options
    return fault('PROCESS_FAILED', `${command} ${what}`, { details: { command, args, output: this.#output } })
  }
}
