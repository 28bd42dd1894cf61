// Where demonstrations are run: a small program as a real process, its dependencies, and the commands of the recipe itself against a fault API of its own. The
// same is done to the program that has the fault and to its mended twin; what is seen of both is compared with what should be.

import { execFile, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { dirname, join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { type FaultApi, type FaultyProcess, portAccepts, startFaultApi, startProcess } from '@ripstop/faults'
import { expect, test } from 'vitest'
import { repositoryOf } from '../../../packages/audit/src/repository/repository.fixture.ts'
import {
  DEMONSTRATIONS,
  type DemonstrationName,
  shownBy,
} from '../../../packages/audit/src/rules/demonstrations/index.ts'
import { ruleById } from '../../../packages/audit/src/rules/index.ts'
import { findFreePort, makeScratch } from '../../../packages/server/src/testing/processes.ts'
import { startTestRedis, type TestRedis, type TestRedisOptions } from '../../../packages/server/src/testing/redis.ts'

const ROOT = resolve(import.meta.dirname, '..', '..', '..')
const SILENT_MS = 1_500
const BREATH_MS = 40

/** A text is that of src/main.js. */
export type Texts = string | Readonly<Record<string, string>>

export interface Shown {
  readonly rule: string
  /** Programs that have to be there besides curl; without them it is skipped, loudly. */
  readonly needs?: readonly string[]
  readonly torn: Texts
  readonly mended: Texts
  /** What is seen of one of the two, in few words or numbers. */
  readonly see: (stage: Stage) => Promise<unknown>
  readonly seen: { readonly torn: unknown; readonly mended: unknown }
}

/** Registers the test of a demonstration: rule, fault and remedy agree. */
export function shows(demonstration: DemonstrationName, { rule, needs = [], torn, mended, see, seen }: Shown): void {
  const missing = ['curl', ...needs].filter((program) => spawnSync(program, ['--version']).error !== undefined)
  if (missing.length > 0)
    process.stderr.write(`\n*** ${missing.join(', ')} is not on PATH: ${demonstration} is SKIPPED ***\n`)
  test.skipIf(missing.length > 0)(`QS11: ${demonstration} shows ${rule}, and that it is mended`, async () => {
    expect(shownBy(rule)).toBe(demonstration)
    expect({ torn: isNamed(rule, torn), mended: isNamed(rule, mended) }).toEqual({ torn: true, mended: false })
    const run = async (texts: Texts): Promise<unknown> => {
      await using stage = await createStage(demonstration, texts)
      return await see(stage)
    }
    const [ofTorn, ofMended] = await Promise.all([run(torn), run(mended)])
    expect({ torn: ofTorn, mended: ofMended }).toEqual(seen)
  })
}

function filesOf(texts: Texts): Readonly<Record<string, string>> {
  return typeof texts === 'string' ? { 'src/main.js': texts } : texts
}

/** Whether the auditor names the rule anywhere in the program. */
export function isNamed(rule: string, texts: Texts): boolean {
  const found = ruleById(rule)
  if (found === undefined) throw new Error(`there is no rule ${rule}`)
  return [...found.run(repositoryOf({ 'package.json': '{"type":"module"}', ...filesOf(texts) }))].length > 0
}

export interface Answer {
  /** 0: the connection ended before an answer did. */
  readonly status: number
  readonly text: string
  readonly headers: Headers
}

export interface Program {
  readonly port: number
  readonly process: FaultyProcess
  /** 'silent': nothing within SILENT_MS. */
  readonly ask: (path: string, init?: RequestInit) => Promise<Answer | 'silent'>
  /** Only the status. */
  readonly status: (path: string, init?: RequestInit) => Promise<number | 'silent'>
}

export interface Peer {
  readonly port: number
  readonly url: string
  /** Paths that it was asked for, in order. */
  readonly asked: string[]
}

export interface Redis extends TestRedis {
  /** What redis-cli says. */
  readonly ask: (command: string) => Promise<string>
}

export interface Stage extends AsyncDisposable {
  /** Where the files of the program are. */
  readonly folder: string
  readonly text: (file: string) => Promise<string>
  /** The program as a process of its own, ready; `isReady` false: it does not listen. */
  readonly start: (env?: Readonly<Record<string, string>>, isReady?: boolean) => Promise<Program>
  /** Something that the program needs. */
  readonly peer: (listener: RequestListener) => Promise<Peer>
  /** A proxy before a port, by the command of the recipe; tells where it listens. */
  readonly proxy: (port: number) => Promise<number>
  /** Runs the one command of the recipe that has this in it, as it is printed, and tells what it wrote. */
  readonly command: (part: string, values?: Readonly<Record<string, string>>) => Promise<string>
  readonly redis: (options?: TestRedisOptions) => Promise<Redis>
  readonly use: <T extends AsyncDisposable>(resource: T) => T
  readonly defer: (end: () => Promise<void> | void) => void
}

async function createStage(demonstration: DemonstrationName, texts: Texts): Promise<Stage> {
  await using starting = new AsyncDisposableStack()
  const { path: folder } = starting.use(await makeScratch())
  await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
  for (const [file, text] of Object.entries({ 'package.json': '{"type":"module"}', ...filesOf(texts) })) {
    await mkdir(dirname(join(folder, file)), { recursive: true })
    await writeFile(join(folder, file), text)
  }
  let api: FaultApi | undefined
  let listen = 0
  const command: Stage['command'] = (part, values = {}) => {
    const { port = 0 } = api ?? {}
    const known = { 'localhost:8474': `127.0.0.1:${port}`, '127.0.0.1:21000': `127.0.0.1:${listen}`, ...values }
    return runStep(demonstration, part, known, folder)
  }
  const owned = starting.move()
  return {
    folder,
    text: (file) => readFile(join(folder, file), 'utf8'),
    command,
    redis: (options) => startRedis(owned, options),
    use: (resource) => owned.use(resource),
    defer: (end) => owned.defer(end),
    start: (env, isReady = true) => startProgram(owned, folder, env, isReady),
    peer: (listener) => startPeer(owned, listener),
    proxy: async (port) => {
      api ??= owned.use(await startFaultApi({ port: await findFreePort() }))
      listen = await findFreePort()
      await command('"listen"', { 'HOST:PORT': `127.0.0.1:${port}` })
      return listen
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

async function runStep(
  demonstration: DemonstrationName,
  part: string,
  values: Readonly<Record<string, string>>,
  cwd: string,
): Promise<string> {
  const steps: readonly string[] = DEMONSTRATIONS[demonstration].steps
  const [step, ...others] = steps.filter((each) => each.startsWith('$ ') && each.includes(part))
  if (step === undefined || others.length > 0) throw new Error(`no one command of ${demonstration} has ${part}`)
  let text = step.slice(2)
  for (const [name, value] of Object.entries(values)) text = text.replaceAll(name, value)
  const stdout = await run(text, cwd)
  if (stdout.startsWith('{"error"')) throw new Error(stdout)
  return stdout
}

/** Whether it is seen in one of so many looks. Looks that do something take longer on a busy machine, and so does this: it is no bound of time. */
export async function isSeenIn(looks: number, look: () => Promise<boolean>): Promise<boolean> {
  for (let looked = 0; looked < looks; looked++) {
    if (await look()) return true
    await new Promise((resolve) => setTimeout(resolve, BREATH_MS))
  }
  return false
}

/** What a command writes. Throws where it ends with anything but 0. */
export async function run(text: string, cwd = ROOT): Promise<string> {
  const { stdout } = await promisify(execFile)('sh', ['-c', text], { cwd, maxBuffer: 1_048_576 })
  return stdout
}

async function startProgram(
  owned: AsyncDisposableStack,
  folder: string,
  env: Readonly<Record<string, string>> = {},
  isReady = true,
): Promise<Program> {
  const port = await findFreePort()
  const isPython = existsSync(join(folder, 'src/main.py'))
  const child = await startProcess({
    command: isPython ? 'python3' : process.execPath,
    args: [join(folder, isPython ? 'src/main.py' : 'src/main.js')],
    cwd: folder,
    env: { PATH: process.env.PATH, PORT: String(port), ...env },
    ready: () => (isReady ? portAccepts(port) : Promise.resolve()),
  })
  owned.use(child)
  const ask: Program['ask'] = async (path, init = {}) => {
    const signal = AbortSignal.timeout(SILENT_MS)
    try {
      const { status, headers, ...answer } = await request(`http://127.0.0.1:${port}${path}`, { ...init, signal })
      return { status, headers, text: answer.text }
    } catch {
      return signal.aborted ? 'silent' : { status: 0, text: '', headers: new Headers() }
    }
  }
  const status: Program['status'] = async (path, init) => {
    const answer = await ask(path, init)
    return answer === 'silent' ? answer : answer.status
  }
  return { port, process: child, ask, status }
}

/** A connection of its own each: what one does must not hold up another. */
async function request(url: string, init: RequestInit): Promise<Answer> {
  const answer = await fetch(url, { ...init, headers: { connection: 'close', ...init.headers } })
  return { status: answer.status, text: await answer.text(), headers: answer.headers }
}

async function startPeer(owned: AsyncDisposableStack, listener: RequestListener): Promise<Peer> {
  const asked: string[] = []
  const server: Server = createServer((incoming: IncomingMessage, response) => {
    asked.push(incoming.url ?? '')
    listener(incoming, response)
  })
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready))
  owned.defer(async () => {
    const closed = new Promise((done) => server.close(done))
    server.closeAllConnections()
    await closed
  })
  const { port } = server.address() as AddressInfo
  return { port, url: `http://127.0.0.1:${port}`, asked }
}

async function startRedis(owned: AsyncDisposableStack, options?: TestRedisOptions): Promise<Redis> {
  const redis = owned.use(await startTestRedis(options))
  return Object.assign(redis, {
    ask: async (command: string) => (await run(`redis-cli -p ${redis.port} ${command}`)).trim(),
  })
}

/** Answers everything with this. */
export function answersJson(value: unknown): RequestListener {
  return (_request, response) => {
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify(value))
  }
}
