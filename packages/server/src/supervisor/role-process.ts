// A role process as a link's resource: opening is forking it and waiting until it is ready, probing is a ping over IPC (so
// a process whose event loop hangs is found and replaced, not only one that died), losing it is its exit.

import { type ChildProcess, fork } from 'node:child_process'
import { type Adapter, type Ctx, type GenerationEvents, RipstopError } from '@ripstop/kernel'
import type { FromProcess, ToProcess } from './messages.ts'

export interface RoleProcess {
  readonly pid: number
  /** Where it listens, if it does. */
  readonly address: string | undefined
  readonly exited: Promise<void>
  send(message: ToProcess): void
}

export interface RoleProcessOptions {
  readonly name: string
  /** The program and its arguments. */
  readonly program: string
  readonly args: readonly string[]
  readonly processEnv: Readonly<Record<string, string | undefined>>
  /** Everything that the process must hear before it can be ready. */
  readonly greeting: () => readonly ToProcess[]
  readonly onMessage: (message: FromProcess) => void
}

interface HeldProcess extends RoleProcess {
  readonly child: ChildProcess
  readonly ping: (ctx: Ctx) => Promise<void>
}

export function createRoleProcessAdapter(options: RoleProcessOptions): Adapter<RoleProcess> {
  return {
    kind: 'process',
    target: options.name,
    sharedFate: true,
    open: (ctx, events) => startRoleProcess(options, ctx, events),
    probe: (resource, ctx) => (resource as HeldProcess).ping(ctx),
    close: (resource, because) => {
      // An orderly end lets the process drain; whoever drains the link awaits `exited` and bounds it.
      if (because === 'drained') resource.send({ type: 'stop' })
      else (resource as HeldProcess).child.kill('SIGKILL')
    },
    fault: () => undefined,
  }
}

function startRoleProcess(options: RoleProcessOptions, ctx: Ctx, events: GenerationEvents): Promise<RoleProcess> {
  const child = fork(options.program, [...options.args], {
    serialization: 'advanced',
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    env: { ...options.processEnv },
  })
  return new Promise((resolve, reject) => {
    const pings = new Map<number, () => void>()
    let pinged = 0
    let refusal: RipstopError | undefined
    const exited = new Promise<void>((done) => child.once('exit', () => done()))
    const send = (message: ToProcess): void => {
      // A process that is going away closes its channel first: what is sent then has no reader and needs none.
      if (child.connected) child.send(message, () => undefined)
    }
    const giveUp = (): void => {
      child.kill('SIGKILL')
      reject(ctx.signal.reason)
    }
    ctx.signal.addEventListener('abort', giveUp, { once: true })
    child.once('error', (error) =>
      reject(new RipstopError('LINK_LOST', `${options.name}: ${error.message}`, { cause: error })),
    )
    child.once('exit', (code, signal) => {
      const lost = refusal ?? new RipstopError('LINK_LOST', `${options.name} exited (${signal ?? `code ${code}`})`)
      reject(lost)
      events.lost(lost)
    })
    child.on('message', (message: FromProcess) => {
      if (message.type === 'pong') pings.get(message.id)?.()
      else if (message.type === 'refused') refusal = new RipstopError('CONFIG_INVALID', message.message)
      options.onMessage(message)
      if (message.type !== 'ready') return
      ctx.signal.removeEventListener('abort', giveUp)
      resolve(hold(message.address))
    })
    for (const message of options.greeting()) send(message)

    function hold(address: string | undefined): HeldProcess {
      return {
        pid: child.pid ?? 0,
        address,
        exited,
        send,
        child,
        ping: (probe) => {
          const id = ++pinged
          return new Promise<void>((answered) => {
            pings.set(id, answered)
            probe.signal.addEventListener('abort', () => pings.delete(id), { once: true })
            send({ type: 'ping', id })
          }).finally(() => pings.delete(id))
        },
      }
    }
  })
}
