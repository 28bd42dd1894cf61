// For tests that start real servers: directories and processes that do not outlive them, and waiting without sleeping.

import { chmod, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isProcessAlive, sendSignal } from '../platform/postgres/embedded-binaries.ts'

const PREFIX = 'ripstop-test-'

/** Resolves with the first value of `look` that is neither undefined nor false; rejects after `limitMs`. */
export async function until<T>(
  what: string,
  look: () => T | Promise<T>,
  limitMs = 10_000,
): Promise<Exclude<T, undefined | false>> {
  const endMs = performance.now() + limitMs
  for (;;) {
    const found = await look()
    if (found !== undefined && found !== false) return found as Exclude<T, undefined | false>
    if (performance.now() > endMs) throw new Error(`waited ${limitMs} ms in vain until ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

export interface Scratch extends AsyncDisposable {
  readonly path: string
}

/**
 * A directory of this process; servers that a failed test left on it go with it. Those of test runs that were killed go
 * first.
 */
export async function makeScratch(): Promise<Scratch> {
  await sweep()
  const path = await mkdtemp(join(tmpdir(), `${PREFIX}${process.pid}-`))
  await chmod(path, 0o711) // a Postgres that root starts as `nobody` has to pass
  return { path, [Symbol.asyncDispose]: () => clear(path) }
}

async function clear(path: string): Promise<void> {
  for (const pid of await findProcesses(path)) {
    // The children too: frozen ones would not notice that their parent is gone.
    for (const doomed of [...(await childrenOf(pid)), pid]) sendSignal(doomed, 'SIGKILL')
  }
  await rm(path, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 }) // servers may be writing their last
}

async function sweep(): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    const owner = Number.parseInt(name.slice(PREFIX.length), 10)
    if (!name.startsWith(PREFIX) || !Number.isInteger(owner) || (await isProcessAlive(owner))) continue
    await clear(join(tmpdir(), name)).catch(() => {}) // another run sweeps at the same time
  }
}

async function processIds(): Promise<readonly number[]> {
  const names = await readdir('/proc').catch(() => [])
  return names.map(Number).filter(Number.isInteger)
}

/** Processes whose command names `path`. None where there is no /proc. */
export async function findProcesses(path: string): Promise<readonly number[]> {
  const found: number[] = []
  for (const pid of await processIds()) {
    const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
    if (pid !== process.pid && command.includes(`${path}/`)) found.push(pid)
  }
  return found
}

/** The children of a process. None where there is no /proc. */
export async function childrenOf(parent: number): Promise<readonly number[]> {
  const found: number[] = []
  for (const pid of await processIds()) {
    const status = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
    const [, parentId] = status.slice(status.lastIndexOf(')') + 2).split(' ')
    if (Number(parentId) === parent) found.push(pid)
  }
  return found
}

/** A loopback port outside the range that outgoing connections take theirs from. */
export async function findFreePort(): Promise<number> {
  for (let tried = 0; tried < 50; tried++) {
    const port = 10_000 + Math.floor(Math.random() * 10_000)
    if (await isFree(port)) return port
  }
  throw new Error('no free port between 10000 and 20000')
}

function isFree(port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>()
  const server = createServer()
  server.once('error', () => resolve(false))
  server.listen({ port, host: '127.0.0.1', exclusive: true }, () => server.close(() => resolve(true)))
  return promise
}
