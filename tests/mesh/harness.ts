// A whole mesh for tests: `ripstop up` as real processes on a free port with a state directory of its own, a client that
// tells how every request ended, and an end that leaves no process behind, whatever was done to it.

import { type ChildProcess, spawn } from 'node:child_process'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { MeshGraphWire, MeshLinkWire, ReadinessWire } from '@ripstop/protocol'
import {
  childrenOf,
  findFreePort,
  findProcesses,
  makeScratch,
  until,
} from '../../packages/server/src/testing/processes.ts'
import { type Answer, type AskOptions, ask } from './client.ts'

export { until } from '../../packages/server/src/testing/processes.ts'

const PROGRAM = join(import.meta.dirname, '..', '..', 'packages', 'server', 'bin', 'ripstop.js')
/** Output kept of a mesh: far more than any test makes it say, and a bound. */
const SAID_MAX = 32_000_000
const START_MS = 30_000
const END_MS = 20_000

export interface MeshOptions {
  /** What ripstop.yaml holds beside address and state directory; texts may hold ${…}. */
  readonly config?: Readonly<Record<string, Readonly<Record<string, unknown>> | readonly unknown[]>>
  readonly env?: Readonly<Record<string, string>>
  /** Behind `ripstop up`. */
  readonly args?: readonly string[]
  /** Before the program: `['sh', '-c', 'ulimit -n 64; exec "$@"', 'sh']`. */
  readonly wrapper?: readonly string[]
  /** Default: a free one. */
  readonly port?: number
  /** False: doesn't wait until the mesh says that it is up. */
  readonly awaitUp?: boolean
}

export interface ExitStatus {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

export type Role = 'edge' | 'work'

export interface TestMesh extends AsyncDisposable {
  readonly port: number
  readonly base: string
  readonly stateDir: string
  readonly configFile: string
  /** The supervisor's. */
  readonly pid: number
  /** Of the present or last run. */
  readonly exited: Promise<ExitStatus>
  /** Everything that all its processes have said, over all runs. */
  logs(): string
  /** Starts it again on its port and state directory. Rejects with what it said if it ends instead of coming up. */
  start(): Promise<void>
  /** Undefined: there is none at this moment. */
  pidOf(role: Role): Promise<number | undefined>
  postgresPid(): Promise<number | undefined>
  /** The supervisor and its roles; the embedded Postgres too if asked. Resolves when they are gone. */
  killAll(options?: { readonly postgres?: boolean }): Promise<void>
  /** SIGTERM; resolves when the supervisor has ended. */
  stop(): Promise<ExitStatus>
  /** Processes of this mesh that are alive, whoever their parent is. */
  processes(): Promise<readonly number[]>
  /** Never rejects: see `Answer`. */
  ask(path: string, options?: AskOptions): Promise<Answer>
  readiness(): Promise<Readiness>
  /** Waits until it is ready. Gives the ms that it took. */
  ready(limitMs?: number): Promise<number>
  graph(): Promise<MeshGraphWire>
  link(name: string, process?: string): Promise<MeshLinkWire>
}

export interface Readiness {
  readonly status: number
  readonly body: ReadinessWire | undefined
}

export async function startMesh(options: MeshOptions = {}): Promise<TestMesh> {
  const scratch = await makeScratch()
  const mesh = new RunningMesh(options, scratch, options.port ?? (await findFreePort()))
  try {
    await mesh.write()
    await mesh.start()
    return mesh
  } catch (error) {
    await mesh[Symbol.asyncDispose]()
    throw error
  }
}

/** The CLI, run to its end. */
export async function runCli(
  args: readonly string[],
  { env = {}, cwd = '/' }: { readonly env?: Readonly<Record<string, string>>; readonly cwd?: string } = {},
): Promise<{ readonly code: number | null; readonly out: string; readonly error: string; readonly ms: number }> {
  const startedMs = performance.now()
  const child = spawn(process.execPath, [PROGRAM, ...args], {
    cwd,
    env: environment(env),
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const said = { out: '', error: '' }
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    said.out += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said.error += text
  })
  const timer = setTimeout(() => child.kill('SIGKILL'), START_MS)
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve))
  clearTimeout(timer)
  return { code, ...said, ms: performance.now() - startedMs }
}

/** Nothing of the test run's own variables: DATABASE_URL or NODE_ENV would change what is tested. */
function environment(more: Readonly<Record<string, string>>): Record<string, string> {
  const { PATH = '', HOME = '/', TMPDIR } = process.env
  return { PATH, HOME, ...(TMPDIR === undefined ? {} : { TMPDIR }), ...more }
}

class RunningMesh implements TestMesh {
  readonly port: number
  readonly base: string
  readonly stateDir: string
  readonly configFile: string
  readonly #options: MeshOptions
  readonly #scratch: AsyncDisposable & { readonly path: string }
  #child: ChildProcess | undefined
  #exited: Promise<ExitStatus> = Promise.resolve({ code: null, signal: null })
  #said = ''

  constructor(options: MeshOptions, scratch: AsyncDisposable & { readonly path: string }, port: number) {
    this.#options = options
    this.#scratch = scratch
    this.port = port
    this.base = `http://127.0.0.1:${port}`
    this.stateDir = join(scratch.path, 'state')
    this.configFile = join(scratch.path, 'ripstop.yaml')
  }

  get pid(): number {
    return this.#child?.pid ?? 0
  }

  get exited(): Promise<ExitStatus> {
    return this.#exited
  }

  logs(): string {
    return this.#said
  }

  async write(): Promise<void> {
    const { server = {}, log = {}, ...rest } = this.#options.config ?? {}
    const settings = {
      server: { port: this.port, state_dir: this.stateDir, ...server },
      log: { format: 'json', ...log },
      ...rest,
    }
    await mkdir(this.#scratch.path, { recursive: true })
    await writeFile(this.configFile, JSON.stringify(settings, null, 2)) // JSON is YAML
  }

  async start(): Promise<void> {
    const { wrapper = [], args = [], env = {}, awaitUp = true } = this.#options
    const [command = '', ...words] = [...wrapper, process.execPath, PROGRAM, 'up', '--config', this.configFile, ...args]
    const from = this.#said.length
    const child = spawn(command, words, {
      env: environment(env),
      cwd: this.#scratch.path,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.#child = child
    this.#exited = new Promise((resolve) => {
      child.once('exit', (code, signal) => resolve({ code, signal }))
      child.once('error', () => resolve({ code: null, signal: null }))
    })
    let ended = false
    void this.#exited.then(() => {
      ended = true
    })
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => this.#hear(text))
    if (!awaitUp) return
    await until('the mesh is up or has ended', () => ended || this.#said.includes('ripstop is up', from), START_MS)
    if (ended) throw new Error(`the mesh ended instead of coming up:\n${this.#said.slice(from)}`)
  }

  #hear(text: string): void {
    this.#said = (this.#said + text).slice(-SAID_MAX)
  }

  async pidOf(role: Role): Promise<number | undefined> {
    for (const pid of await childrenOf(this.pid)) {
      const words = (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).split('\0')
      if (words[words.indexOf('process') + 1] === role) return pid
    }
    return undefined
  }

  async postgresPid(): Promise<number | undefined> {
    const text = await readFile(join(this.stateDir, 'postgres.json'), 'utf8').catch(() => undefined)
    return text === undefined ? undefined : (JSON.parse(text) as { readonly pid: number }).pid
  }

  async killAll({ postgres = false } = {}): Promise<void> {
    const roles = await childrenOf(this.pid)
    const server = await this.postgresPid()
    const workers = postgres && server !== undefined ? [server, ...(await childrenOf(server))] : []
    // The supervisor last, or it would start the others again.
    const doomed = [...roles.filter((pid) => pid !== server), this.pid, ...workers]
    // In one go, without a turn of our event loop: as a machine that loses its power.
    for (const pid of doomed) signal(pid, 'SIGKILL')
    await this.#exited
    await until('the killed processes are gone', async () => {
      const left = await Promise.all(doomed.map(isRunning))
      return !left.includes(true)
    })
  }

  async stop(): Promise<ExitStatus> {
    signal(this.pid, 'SIGTERM')
    return await this.#exited
  }

  processes(): Promise<readonly number[]> {
    return findProcesses(this.#scratch.path)
  }

  ask(path: string, options: AskOptions = {}): Promise<Answer> {
    return ask(this.base, path, options)
  }

  async readiness(): Promise<Readiness> {
    const { status, json } = await this.ask('/readyz')
    return { status, body: json as ReadinessWire | undefined }
  }

  async ready(limitMs = 20_000): Promise<number> {
    const startedMs = performance.now()
    await until('the mesh is ready', async () => (await this.readiness()).status === 200, limitMs)
    return performance.now() - startedMs
  }

  async graph(): Promise<MeshGraphWire> {
    const { status, json } = await this.ask('/v1/mesh/graph')
    if (status !== 200) throw new Error(`the graph was answered with ${status}`)
    return (json as { readonly data: MeshGraphWire }).data
  }

  async link(name: string, owner = 'edge'): Promise<MeshLinkWire> {
    const found = (await this.graph()).links.find((link) => link.name === name && link.process === owner)
    if (found === undefined) throw new Error(`there is no link ${name} in ${owner}`)
    return found
  }

  async [Symbol.asyncDispose](): Promise<void> {
    signal(this.pid, 'SIGCONT')
    signal(this.pid, 'SIGTERM')
    const late = new Promise<'late'>((resolve) => setTimeout(resolve, END_MS, 'late').unref())
    if ((await Promise.race([this.#exited, late])) === 'late') signal(this.pid, 'SIGKILL')
    await this.#exited
    await this.#scratch[Symbol.asyncDispose]() // with every process that still names it
  }
}

export function signal(pid: number | undefined, name: NodeJS.Signals): void {
  if (pid === undefined || pid <= 0) return
  try {
    process.kill(pid, name)
  } catch {
    // It is gone already.
  }
}

/** Everything of a mesh stops where it is, its supervisor too, which would replace it. Gives what thaws it. */
export async function freezeMesh(mesh: TestMesh): Promise<() => void> {
  const pids = [mesh.pid, ...(await childrenOf(mesh.pid))]
  for (const pid of pids) signal(pid, 'SIGSTOP')
  return () => {
    for (const pid of pids.toReversed()) signal(pid, 'SIGCONT')
  }
}

/** False for one that has ended, whether or not somebody has taken note of it. */
export async function isRunning(pid: number): Promise<boolean> {
  const status = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined)
  return status !== undefined && !/\) [ZX] /.test(status)
}

/** For `beforeEach` and tests: a failed one shows the end of what the mesh said. */
export function tellOnFailure(context: { onTestFailed(tell: () => void): void }, ...meshes: readonly TestMesh[]): void {
  context.onTestFailed(() => {
    for (const mesh of meshes)
      process.stderr.write(`--- the mesh on port ${mesh.port} said last:\n${mesh.logs().slice(-6_000)}\n`)
  })
}
