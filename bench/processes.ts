// Processes under measurement: started until they answer, their CPU time read from the kernel, ended by their id.

import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const TICKS_PER_SECOND = 100 // USER_HZ, what /proc counts in on Linux

export const root = join(import.meta.dirname, '..')

/** A folder for the run, gone afterwards. */
export function scratch(): Disposable & { readonly path: string } {
  const path = mkdtempSync(join(tmpdir(), 'ripstop-bench-'))
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) }
}

export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0))
    })
  })
}

export interface Running extends AsyncDisposable {
  readonly pid: number
  readonly child: ChildProcess
}

/** Starts it and waits until `url` answers anything. */
export async function start(
  command: string,
  args: readonly string[],
  url: string,
  env: NodeJS.ProcessEnv = {},
): Promise<Running> {
  const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'inherit'], env: { ...process.env, ...env } })
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  await answers(url, 30_000)
  return {
    pid: child.pid ?? 0,
    child,
    [Symbol.asyncDispose]: async () => {
      child.kill('SIGTERM')
      const timer = setTimeout(() => child.kill('SIGKILL'), 10_000)
      await exited
      clearTimeout(timer)
    },
  }
}

export async function answers(url: string, patienceMs: number): Promise<void> {
  const untilMs = performance.now() + patienceMs
  for (;;) {
    try {
      const response = await fetch(url, { signal: AbortSignal.timeout(1_000) })
      await response.arrayBuffer()
      if (response.ok) return
    } catch {
      // Not yet.
    }
    if (performance.now() > untilMs) throw new Error(`${url} does not answer`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

/** User and system time of a process so far, ms. */
export function cpuMs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
  return ((Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND) * 1000
}

/** Resident memory of a process, MB. */
export function rssMb(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024
}

export function childrenOf(pid: number): readonly number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((name) => {
      try {
        return Number(readFileSync(`/proc/${name}/stat`, 'utf8').split(') ')[1]?.split(' ')[1]) === pid
      } catch {
        return false // it ended while we looked
      }
    })
    .map(Number)
}

export function commandOf(pid: number): string {
  return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')
}

export interface Load {
  readonly requestsPerSecond: number
  readonly requests: number
  readonly p50Ms: number
  readonly p99Ms: number
}

/** Keep-alive load from one thread of wrk. Throws if any answer was not 2xx or 3xx. */
export function load(url: string, connections: number, seconds: number): Load {
  const done = spawnSync('wrk', ['-t1', `-c${connections}`, `-d${seconds}s`, '--latency', url], { encoding: 'utf8' })
  if (done.error !== undefined) throw new Error('wrk is needed: apt-get install wrk')
  if (/Non-2xx|Socket errors/.test(done.stdout)) throw new Error(`errors under load:\n${done.stdout}`)
  const figure = (pattern: RegExp): string => pattern.exec(done.stdout)?.[1] ?? ''
  return {
    requestsPerSecond: Number(figure(/Requests\/sec:\s+([\d.]+)/)),
    requests: Number(figure(/(\d+) requests in/)),
    p50Ms: toMs(figure(/50%\s+(\S+)/)),
    p99Ms: toMs(figure(/99%\s+(\S+)/)),
  }
}

function toMs(text: string): number {
  const value = Number.parseFloat(text)
  return text.endsWith('us') ? value / 1000 : text.endsWith('ms') ? value : value * 1000
}

/** A cheap HTTP server that answers 1 KB to everything: haproxy itself, so that it hardly counts. */
export async function startUpstream(folder: string): Promise<Running & { readonly port: number }> {
  const port = await freePort()
  writeFileSync(join(folder, 'body.json'), JSON.stringify({ text: 'x'.repeat(1_024 - 11) }))
  const config = `global
  nbthread 1
defaults
  mode http
  timeout client 60s
  timeout server 60s
  timeout connect 1s
frontend upstream
  bind 127.0.0.1:${port}
  http-request return status 200 content-type application/json file ${join(folder, 'body.json')}
`
  writeFileSync(join(folder, 'upstream.cfg'), config)
  const running = await start('haproxy', ['-f', join(folder, 'upstream.cfg')], `http://127.0.0.1:${port}/`)
  return { ...running, port }
}

/** The mesh itself, with this config; its edge process is what is measured. */
export async function startMesh(
  folder: string,
  config: string,
  path: string,
): Promise<Running & { readonly port: number; readonly edge: number }> {
  const port = await freePort()
  const file = join(folder, 'ripstop.yaml')
  writeFileSync(file, config)
  const program = join(root, 'packages', 'server', 'bin', 'ripstop.js')
  const env = { PORT: String(port), RIPSTOP_STATE_DIR: join(folder, 'state'), LOG_LEVEL: 'error' }
  const running = await start(
    process.execPath,
    [program, 'up', '--config', file],
    `http://127.0.0.1:${port}${path}`,
    env,
  )
  const edge = childrenOf(running.pid).find((pid) => commandOf(pid).includes('process edge')) ?? 0
  return { ...running, port, edge }
}
