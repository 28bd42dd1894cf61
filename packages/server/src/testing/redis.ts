// Real Redis for tests: one of their own each, to be broken. It keeps nothing unless told to.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { findFreePort, makeScratch } from './processes.ts'

export interface TestRedisOptions {
  readonly port?: number
  /** As in redis.conf. */
  readonly settings?: Readonly<Record<string, string | number>>
}

export interface TestRedis extends AsyncDisposable {
  readonly url: string
  readonly port: number
  readonly pid: number
  /** After a signal other than SIGSTOP and SIGCONT it resolves once the server is gone. */
  kill(signal: NodeJS.Signals): Promise<void>
  /** Starts it again on its port, after ending it if it still runs. */
  restart(): Promise<void>
}

const START_TRIES = 5

/** Starts `redis-server` from PATH, or the program that REDIS_SERVER names, on loopback. */
export async function startTestRedis(options: TestRedisOptions = {}): Promise<TestRedis> {
  await using starting = new AsyncDisposableStack()
  const { path } = starting.use(await makeScratch())
  const settings = { save: '', appendonly: 'no', ...options.settings }
  let { child, port } = await launchOnFreePort(path, options.port, settings)
  starting.defer(() => end(child, 'SIGKILL'))
  const owned = starting.move()
  return {
    url: `redis://127.0.0.1:${port}`,
    port,
    get pid() {
      return child.pid ?? 0
    },
    kill: async (signal) => {
      if (signal === 'SIGSTOP' || signal === 'SIGCONT') child.kill(signal)
      else await end(child, signal)
    },
    restart: async () => {
      await end(child, 'SIGKILL')
      child = await launch(path, port, settings)
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

type Settings = Readonly<Record<string, string | number>>

/** Another test may take the port that was just found free. */
async function launchOnFreePort(
  path: string,
  wanted: number | undefined,
  settings: Settings,
): Promise<{ child: ChildProcess; port: number }> {
  for (let tried = 1; ; tried++) {
    const port = wanted ?? (await findFreePort())
    try {
      return { child: await launch(path, port, settings), port }
    } catch (error) {
      if (wanted !== undefined || tried === START_TRIES) throw error
    }
  }
}

function launch(path: string, port: number, settings: Settings): Promise<ChildProcess> {
  const program = process.env.REDIS_SERVER ?? 'redis-server'
  const all = { bind: '127.0.0.1', port, dir: `${path}/`, daemonize: 'no', 'set-proc-title': 'no', ...settings }
  const args = Object.entries(all).flatMap(([name, value]) => [`--${name}`, String(value)])
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  const { promise, resolve, reject } = Promise.withResolvers<ChildProcess>()
  let said = ''
  const collect = (chunk: Buffer) => {
    said = (said + chunk.toString()).slice(-4_096)
    // An answer on the port would prove nothing: it may be another test's server.
    if (said.includes('Ready to accept connections')) resolve(child)
  }
  child.stdout.on('data', collect)
  child.stderr.on('data', collect)
  child.once('error', (cause) =>
    reject(new Error(`${program} cannot be run: install redis, or set REDIS_SERVER`, { cause })),
  )
  child.once('close', () => reject(new Error(`${program} ended: ${said}`)))
  return promise
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, 'exit')
  child.kill(signal)
  child.kill('SIGCONT') // a frozen one would not see it
  await gone
}
