// The embedded Postgres as one process: started, or found alive and attached to; stopped. Loopback only, no unix socket.
// The server is a session of its own: Ctrl-C reaches the mesh and not it, and it outlives a mesh that is killed (nothing
// acknowledged is lost, and the next start attaches in milliseconds). `postgres` is started directly and tells in its
// lock file when it is ready; pg_ctl would poll at 100 ms.
// Invariants:
//   EC1. One server a data directory, however many processes start at once: whoever comes second attaches.
//   EC2. A server is attached to, and signalled, only if it is proved to be ours: its command names our data directory,
//        it lets our random password in and says that it serves that directory.
//   EC3. Stopping ends within its bound, whatever state the server is in, and never ends a server that another living
//        mesh owns. `postgres.json` in the state directory names the owner: who launched it, or took it over.

import { spawn } from 'node:child_process'
import { readFile, rm } from 'node:fs/promises'
import { createServer, Socket } from 'node:net'
import { join } from 'node:path'
import { background, type Clock, type Ctx, type Env, hasCode, RipstopError } from '@ripstop/kernel'
import { Client } from 'pg'
import {
  type FindBinariesOptions,
  findPostgresBinaries,
  ignore,
  isPostmaster,
  isProcessAlive,
  POSTGRES_ENV,
  type PostgresBinaries,
  pause,
  sendSignal,
  unavailable,
} from './embedded-binaries.ts'
import {
  boundServerLog,
  DATABASE,
  type OpenHomeOptions,
  openPostgresHome,
  openServerLog,
  type PostgresHome,
  postgresFailed,
  ROLE,
  readLastPort,
  readLockFile,
  removeStaleLock,
  replaceFile,
  SUPERUSER,
  writeAccessRules,
  writeLastPort,
} from './embedded-data.ts'

/** Server settings by name, as in postgresql.conf. */
export type PostgresSettings = Readonly<Record<string, string | number>>

export interface EmbeddedPostgresOptions extends FindBinariesOptions, Pick<OpenHomeOptions, 'log' | 'otherHomes'> {
  /** Wanted, not promised: another is taken while a stranger listens there. By default the one of last time. */
  readonly port?: number
  /** Over ours. With `fsync` off, a new cluster is not synced to disk either. */
  readonly settings?: PostgresSettings
}

export interface PostgresExit {
  /** Both null for an attached server: only a parent is told. */
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

export interface EmbeddedPostgres extends AsyncDisposable {
  /** For the role that owns the database `ripstop`, no superuser. */
  readonly url: string
  /** For tests and repair; in database `postgres`. */
  readonly superuserUrl: string
  readonly port: number
  readonly pid: number
  /** It was running already. */
  readonly attached: boolean
  readonly logFile: string
  /** Resolves when the server is gone, or when we have let go of one that another mesh owns. */
  readonly exited: Promise<PostgresExit>
  /** One round trip on a new connection, as superuser: those have slots of their own. Rejects if there is no answer. */
  prove(ctx: Ctx): Promise<void>
  /** `fast` rolls back what is open; `immediate` leaves the rest to recovery. Escalates up to SIGKILL; single-flight. */
  stop(mode: StopMode): Promise<void>
}

export type StopMode = 'fast' | 'immediate'

const SETTINGS: PostgresSettings = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  password_encryption: 'scram-sha-256',
  fsync: 'on',
  synchronous_commit: 'on',
  max_connections: 100,
  shared_buffers: '64MB',
  max_wal_size: '512MB',
  max_parallel_workers_per_gather: 0, // they talk through /dev/shm, of which a container has 64 MB
  idle_in_transaction_session_timeout: '10s', // no transaction is held open over the network
  statement_timeout: '30s',
  timezone: 'UTC',
  log_timezone: 'UTC',
  log_line_prefix: '%m [%p] ',
  log_checkpoints: 'off',
  // Errors of statements go to their client; in the log they would be payloads (M7), and without bound.
  log_min_messages: 'log',
  log_min_error_statement: 'panic',
  log_error_verbosity: 'terse',
}

const ATTEMPTS_MAX = 40
const RETRY_MS = 50 // what a killed server leaves behind (its connections' processes) goes within some 50 ms
const POLL_MS = 5
const WATCH_MS = 100
const PROOF_MS = 3_000
const STOP_STEPS = [
  { mode: 'fast', signal: 'SIGINT', waitMs: 5_000 },
  { mode: 'immediate', signal: 'SIGQUIT', waitMs: 3_000 },
  { mode: 'kill', signal: 'SIGKILL', waitMs: 3_000 },
] as const
// Outside what systems hand out to outgoing connections (from 32768, or 49152), which could take it while we are down.
const PORTS = { first: 20_000, count: 10_000 } as const
const PORT_TRIES = 50

/**
 * Starts the embedded Postgres of `stateDir`, or attaches to it if it runs, and resolves when it has answered.
 * Throws POSTGRES_UNAVAILABLE_HERE, POSTGRES_DATA_UNUSABLE or POSTGRES_START_FAILED. Cancelling `ctx` leaves nothing
 * running that was started here. Its deadline leaves a server that is under way for the next start to attach to: crash
 * recovery may take longer than any deadline, and if it began anew each time it would never end.
 */
export async function startEmbeddedPostgres(ctx: Ctx, options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const binaries = await findPostgresBinaries(ctx, options)
  const durable = options.settings?.fsync !== 'off'
  const home = await openPostgresHome(ctx, { ...options, binaries, durable })
  const start = { ctx, options, binaries, home, clock: options.env.clock }
  await boundServerLog(home.logFile)
  let why = ''
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    if (attempt > 0) await pause(ctx, start.clock, RETRY_MS)
    const outcome = (await attach(start)) ?? (await launch(start))
    if ('postmaster' in outcome) return await present(start, outcome)
    why = outcome.why
  }
  throw new RipstopError(
    'POSTGRES_START_FAILED',
    `Postgres does not start on ${home.dataDir}: ${why}; see ${home.logFile}`,
  )
}

interface Start {
  readonly ctx: Ctx
  readonly options: EmbeddedPostgresOptions
  readonly binaries: PostgresBinaries
  readonly home: PostgresHome
  readonly clock: Clock
}

interface Postmaster {
  readonly pid: number
  readonly attached: boolean
  readonly exited: Promise<PostgresExit>
  readonly isAlive: () => Promise<boolean>
  /** Stops watching a server that is not ours to stop. */
  readonly release: () => void
}

type Outcome = { readonly postmaster: Postmaster; readonly port: number } | { readonly why: string }

async function attach({ ctx, options, home, clock }: Start): Promise<Outcome | undefined> {
  const lock = await readLockFile(home.dataDir)
  if (lock === undefined) return undefined
  if (!(await isPostmaster(ctx, lock.pid, home.dataDir))) {
    await removeStaleLock(home.dataDir, lock)
    return undefined
  }
  const postmaster = watchStranger(lock.pid, clock)
  const port = await waitReady(ctx, clock, home.dataDir, postmaster).catch(async (error) => {
    await giveUp(ctx, options.env, postmaster)
    throw error
  })
  return port === undefined ? { why: `the server that ran (pid ${lock.pid}) stopped` } : { postmaster, port }
}

/** A server that is no child of ours: nobody tells when it ends. */
function watchStranger(pid: number, clock: Clock): Postmaster {
  const { promise: exited, resolve } = Promise.withResolvers<PostgresExit>()
  let cancel = () => {}
  let isWatched = true
  const release = () => {
    isWatched = false
    cancel()
    resolve({ code: null, signal: null })
  }
  const look = async () => {
    if (!(await isProcessAlive(pid))) release()
    else if (isWatched) cancel = clock.schedule(WATCH_MS, look)
  }
  cancel = clock.schedule(WATCH_MS, look)
  return { pid, attached: true, exited, isAlive: () => isProcessAlive(pid), release }
}

async function launch({ ctx, options, binaries, home, clock }: Start): Promise<Outcome> {
  const port = await choosePort(home, options)
  const settings = { ...SETTINGS, ...options.settings, port, hba_file: await writeAccessRules(home) }
  const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  const log = await openServerLog(home)
  const child = spawn(binaries.postgres, ['-D', home.dataDir, ...flags], {
    ...home.runAs,
    cwd: '/',
    env: POSTGRES_ENV,
    detached: true, // a session of its own
    windowsHide: true,
    stdio: ['ignore', log.fd, log.fd], // a file, no pipe: a frozen mesh must not block it, a dead one not silence it
  })
  const { promise: exited, resolve } = Promise.withResolvers<PostgresExit>()
  let failure: Error | undefined
  child.once('error', (error) => {
    failure = error
    resolve({ code: null, signal: null })
  })
  child.once('exit', (code, signal) => resolve({ code, signal }))
  await log.close()
  const isAlive = async () => failure === undefined && child.exitCode === null && child.signalCode === null
  const postmaster = { pid: child.pid ?? 0, attached: false, exited, isAlive, release: () => {} }
  try {
    if ((await waitReady(ctx, clock, home.dataDir, postmaster)) !== undefined) return { postmaster, port }
  } catch (error) {
    await giveUp(ctx, options.env, postmaster)
    throw error
  }
  if (failure !== undefined)
    throw unavailable(`${binaries.postgres} cannot be run: ${failure.message}`, { cause: failure })
  return explainExit(home, await log.said(), (await exited).code)
}

/** A start that will not be finished: the server goes, unless it was here before us or is only late. */
async function giveUp(ctx: Ctx, env: Env, postmaster: Postmaster): Promise<void> {
  const isLate = ctx.reason === undefined ? ctx.remainingMs <= 0 : hasCode(ctx.reason, 'DEADLINE_EXCEEDED')
  if (!postmaster.attached && !isLate) await shutDown(env, postmaster, () => 'immediate')
  postmaster.release()
}

/** Somebody was faster, or took the port: worth another look. All else is for people. */
function explainExit(home: PostgresHome, said: string, code: number | null): Outcome {
  if (/lock file .* already exists|still in use|could not bind|could not create any TCP/.test(said))
    return { why: said }
  if (code === 127 || /error while loading shared libraries/.test(said))
    throw unavailable(`Postgres does not run: ${said}`)
  throw postgresFailed(home.dataDir, said === '' ? `it ended with code ${code} and said nothing` : said)
}

/** The port once it takes connections; undefined if it ended instead. */
async function waitReady(
  ctx: Ctx,
  clock: Clock,
  dataDir: string,
  { pid, isAlive }: Postmaster,
): Promise<number | undefined> {
  while (await isAlive()) {
    const lock = await readLockFile(dataDir)
    if (lock?.pid === pid && lock.status === 'ready') return lock.port
    await pause(ctx, clock, POLL_MS)
  }
  return undefined
}

async function choosePort(home: PostgresHome, { env, port }: EmbeddedPostgresOptions): Promise<number> {
  const last = await readLastPort(home)
  for (const wanted of [port, last]) if (wanted !== undefined && (await isPortFree(wanted))) return wanted
  for (let tried = 0; tried < PORT_TRIES; tried++) {
    const candidate = PORTS.first + Math.floor(env.random() * PORTS.count)
    if (await isPortFree(candidate)) return candidate
  }
  throw new RipstopError(
    'POSTGRES_START_FAILED',
    `no free port found between ${PORTS.first} and ${PORTS.first + PORTS.count}`,
  )
}

function isPortFree(port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>()
  const server = createServer()
  server.once('error', () => resolve(false))
  server.listen({ port, host: '127.0.0.1', exclusive: true }, () => server.close(() => resolve(true)))
  return promise
}

/** Proves the server, records it for the CLI and the next start, and gives it its handle. */
async function present(
  start: Start,
  { postmaster, port }: Extract<Outcome, { postmaster: Postmaster }>,
): Promise<EmbeddedPostgres> {
  const { ctx, options, home } = start
  const { password, superuserPassword } = home.credentials
  const url = `postgres://${ROLE}:${password}@127.0.0.1:${port}/${DATABASE}`
  const superuserUrl = `postgres://${SUPERUSER}:${superuserPassword}@127.0.0.1:${port}/postgres`
  const { pid, attached, exited } = postmaster
  let stopping: Promise<void> | undefined
  let mode: StopMode = 'fast'
  const stop = (wanted: StopMode): Promise<void> => {
    if (wanted === 'immediate') mode = wanted
    stopping ??= stopIfOurs(options, postmaster, () => mode)
    return stopping
  }
  const prove = (proofCtx: Ctx) => proveServer(proofCtx, superuserUrl, home.dataDir)
  try {
    await prove(ctx)
    await claim(options.stateDir, { url, pid, port, owner: process.pid }, attached)
    if ((await readLastPort(home)) !== port) await writeLastPort(home, port)
  } catch (error) {
    await giveUp(ctx, options.env, postmaster)
    ctx.throwIfOver()
    const message = `the Postgres with pid ${pid} on port ${port} does not prove to be ours: ${(error as Error).message}`
    throw new RipstopError('POSTGRES_START_FAILED', message, { cause: error })
  }
  const { logFile } = home
  const dispose = () => stop('fast')
  return { url, superuserUrl, port, pid, attached, logFile, exited, prove, stop, [Symbol.asyncDispose]: dispose }
}

/** One round trip on a connection of its own. That it knows our random password and serves our directory is proof (EC2). */
async function proveServer(ctx: Ctx, connectionString: string, dataDir: string): Promise<void> {
  ctx.throwIfOver()
  const limitMs = Math.max(1, Math.min(PROOF_MS, Math.ceil(ctx.remainingMs)))
  const socket = new Socket()
  const client = new Client({
    connectionString,
    connectionTimeoutMillis: limitMs,
    query_timeout: limitMs,
    application_name: 'ripstop proof',
    stream: () => socket,
  })
  client.on('error', () => {}) // the call that is under way rejects as well
  const abort = () => socket.destroy()
  ctx.signal.addEventListener('abort', abort, { once: true })
  try {
    await client.connect()
    const { rows } = await client.query<{ at: string }>(`select current_setting('data_directory') as at`)
    if (rows[0]?.at !== dataDir) throw new Error(`it serves ${rows[0]?.at}`)
    await client.end()
  } finally {
    ctx.signal.removeEventListener('abort', abort)
    socket.destroy()
  }
}

// --- postgres.json: what runs and who owns it, for the CLI and for other meshes of this state directory

export interface RunningPostgres {
  readonly url: string
  readonly pid: number
  readonly port: number
  /** The process that may stop it. */
  readonly owner: number
}

/** What the state directory says about a running server; it may be over. */
export async function readRunningPostgres(stateDir: string): Promise<RunningPostgres | undefined> {
  try {
    return JSON.parse(await readFile(join(stateDir, 'postgres.json'), 'utf8')) as RunningPostgres
  } catch (error) {
    if (!(error instanceof SyntaxError)) ignore(error, 'ENOENT')
    return undefined
  }
}

async function isOwnedByOther(stateDir: string, pid: number): Promise<boolean> {
  const known = await readRunningPostgres(stateDir)
  return known?.pid === pid && known.owner !== process.pid && (await isProcessAlive(known.owner))
}

async function claim(stateDir: string, running: RunningPostgres, attached: boolean): Promise<void> {
  if (attached && (await isOwnedByOther(stateDir, running.pid))) return
  await replaceFile(join(stateDir, 'postgres.json'), JSON.stringify(running), 0o600)
}

async function stopIfOurs(
  { stateDir, env }: EmbeddedPostgresOptions,
  postmaster: Postmaster,
  mode: () => StopMode,
): Promise<void> {
  if (await isOwnedByOther(stateDir, postmaster.pid)) return postmaster.release()
  await shutDown(env, postmaster, mode)
  postmaster.release()
  if ((await readRunningPostgres(stateDir))?.pid === postmaster.pid)
    await rm(join(stateDir, 'postgres.json'), { force: true })
}

/** `mode` is asked again and again: a second, harder request takes effect at once. */
async function shutDown(env: Env, postmaster: Postmaster, mode: () => StopMode): Promise<void> {
  const ctx = background(env)
  for (const step of STOP_STEPS) {
    if (step.mode === 'fast' && mode() === 'immediate') continue
    if (!(await postmaster.isAlive())) return
    sendSignal(postmaster.pid, step.signal)
    const untilMs = env.clock.monoMs() + step.waitMs
    while (env.clock.monoMs() < untilMs && (await postmaster.isAlive())) {
      if (step.mode === 'fast' && mode() === 'immediate') break
      await pause(ctx, env.clock, POLL_MS)
    }
  }
}
