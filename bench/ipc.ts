// Questions and answers between a benchmark and the processes that it measures, over Node's own channel.

import { type ChildProcess, fork } from 'node:child_process'
import { join } from 'node:path'

export type Handlers = Readonly<Record<string, (argument: never) => unknown>>

interface Question {
  readonly id: number
  readonly what: string
  readonly argument: unknown
}

interface Answer {
  readonly id: number
  readonly value?: unknown
  readonly error?: string
}

export interface Helper extends AsyncDisposable {
  readonly pid: number
  ask<T>(what: string, argument?: unknown): Promise<T>
}

/** Starts a file below this folder as a process that answers. */
export async function startHelper(file: string, args: readonly string[] = []): Promise<Helper> {
  const child = fork(join(import.meta.dirname, file), args, {
    serialization: 'advanced', // typed arrays cross as they are
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  const pending = new Map<number, { resolve: (value: never) => void; reject: (error: Error) => void }>()
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  void ended.then(() => {
    for (const { reject } of pending.values()) reject(new Error(`${file} ended`))
  })
  child.on('message', ({ id, value, error }: Answer) => {
    const waiting = pending.get(id)
    pending.delete(id)
    if (error === undefined) waiting?.resolve(value as never)
    else waiting?.reject(new Error(`${file}: ${error}`))
  })
  let last = 0
  const ask = <T>(what: string, argument?: unknown): Promise<T> =>
    new Promise((resolve, reject) => {
      const id = ++last
      pending.set(id, { resolve, reject })
      child.send({ id, what, argument } satisfies Question)
    })
  await ask('ready')
  return { pid: child.pid ?? 0, ask, [Symbol.asyncDispose]: () => end(child, ended) }
}

async function end(child: ChildProcess, ended: Promise<void>): Promise<void> {
  child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), 5_000)
  await ended
  clearTimeout(timer)
}

/** In the process itself. */
export function answer(handlers: Handlers): void {
  const all: Handlers = { ready: () => undefined, ...handlers }
  process.on('message', async ({ id, what, argument }: Question) => {
    const handle = all[what]
    try {
      if (handle === undefined) throw new Error(`nothing is known of ${what}`)
      process.send?.({ id, value: await handle(argument as never) } satisfies Answer)
    } catch (error) {
      process.send?.({ id, error: error instanceof Error ? (error.stack ?? error.message) : String(error) })
    }
  })
  process.on('disconnect', () => process.exit())
}
