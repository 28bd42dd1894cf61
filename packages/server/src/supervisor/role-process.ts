// A role process as a link's resource: opening is forking it and waiting until it is ready, probing is a ping over IPC (so
// a process whose event loop hangs is found and replaced, not only one that died), losing it is its exit.

import { type ChildProcess, fork } from 'node:child_process'
import { type Adapter, type Ctx, type GenerationEvents, RipstopError } from '@ripstop/kernel'
import type { FromProcess, ToProcess } from './messages.ts'

export interface RoleProcessOptions {
  readonly name: string
  /** The program and its arguments. */
  readonly program: string
  readonly args: readonly string[]
  /** Options of Node for this process. */
  readonly nodeOptions: readonly string[]
  readonly processEnv: Readonly<Record<string, string | undefined>>
  readonly onMessage: (message: FromProcess) => void
  /** It exists, and can be told things; ready it is later. */
  readonly onStarted: (running: RoleProcess) => void
}

export function createRoleProcessAdapter(options: RoleProcessOptions): Adapter<RoleProcess> {
  return {
    kind: 'process',
    target: options.name,
    sharedFate: true,
    open: (ctx, events) => startRoleProcess(options, ctx, events),
    probe: (running, ctx) => running.ping(ctx),
    close: (running, because) => {
      // An orderly end lets the process drain; whoever drains the link awaits `exited` and bounds it.
      if (because === 'drained') running.send({ type: 'stop' })
      else running.kill()
    },
    fault: () => undefined,
  }
}

export class RoleProcess {
  readonly exited: Promise<void>
  /** Where it listens, once it is ready, if it does. */
  address: string | undefined
  readonly #child: ChildProcess
  readonly #pings = new Map<number, () => void>()
  #lastPing = 0

  constructor(child: ChildProcess) {
    this.#child = child
    this.exited = new Promise((resolve) => {
      child.once('exit', () => resolve())
      child.once('error', () => resolve())
    })
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  send(message: ToProcess): void {
    // A process that is going away closes its channel first: what is sent then has no reader and needs none.
    if (this.#child.connected) this.#child.send(message, () => undefined)
  }

  kill(): void {
    this.#child.kill('SIGKILL')
  }

  /** Resolves when its event loop has answered; whoever asks sets the deadline. */
  async ping(ctx: Ctx): Promise<void> {
    const id = ++this.#lastPing
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#pings.set(id, resolve)
    ctx.signal.addEventListener('abort', () => this.#pings.delete(id), { once: true })
    this.send({ type: 'ping', id })
    await promise
  }

  ponged(id: number): void {
    this.#pings.get(id)?.()
    this.#pings.delete(id)
  }
}

function startRoleProcess(options: RoleProcessOptions, ctx: Ctx, events: GenerationEvents): Promise<RoleProcess> {
  const { name, program, args, nodeOptions, processEnv } = options
  const child = fork(program, [...args], {
    serialization: 'advanced',
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    env: { ...processEnv },
    execArgv: [...process.execArgv, ...nodeOptions],
  })
  const running = new RoleProcess(child)
  const { promise, resolve, reject } = Promise.withResolvers<RoleProcess>()
  let isReady = false
  let refusal: RipstopError | undefined
  const lose = (why: string): void => {
    const lost = refusal ?? new RipstopError('LINK_LOST', `${name} ${why}`)
    reject(lost)
    events.lost(lost)
  }
  ctx.signal.addEventListener('abort', () => {
    if (isReady) return
    running.kill()
    reject(ctx.signal.reason)
  })
  child.once('error', (error) => lose(`can't be started: ${error.message}`))
  child.once('exit', (code, signal) => lose(`exited (${signal ?? `code ${code}`})`))
  child.on('message', (message: FromProcess) => {
    options.onMessage(message)
    if (message.type === 'pong') running.ponged(message.id)
    if (message.type === 'refused') refusal = new RipstopError(message.code, message.message)
    if (message.type !== 'ready') return
    isReady = true
    running.address = message.address
    resolve(running)
  })
  options.onStarted(running)
  return promise
}
