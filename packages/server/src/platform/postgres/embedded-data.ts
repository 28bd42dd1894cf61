// The data directory of the embedded Postgres: where it is, how it is made, and that it is ours to use.
//
//   <state dir>/postgres/            the home, or a link to it where the server's user can't enter the state dir
//     data/                          what Postgres calls the data directory
//     credentials.json               passwords, 0600, never written again
//     pg_hba.conf                    who may log in: written at every start, where Postgres's user can't change it
//     port                           where it listened last
//     server.log, server.log.1       what Postgres says
//
// A home is made under another name and renamed when it is finished, so a crash at any point leaves either no home or
// a whole one (initdb writes PG_VERSION early: its presence proves nothing). initdb runs without its fsyncs; one sync
// of all files before the rename replaces them (0.1 s).
// Invariants:
//   ED1. A home is whole: initdb finished, roles and database made, all of it on disk.
//   ED2. A home is never deleted, moved or overwritten, whatever is wrong with it.
//   ED3. The same state directory leads to the same home for ever, also when it is moved.
//   ED4. No password is seen in an argument, a log or a file that others can read.

import { createHash, randomBytes } from 'node:crypto'
import {
  chmod,
  chown,
  copyFile,
  lstat,
  mkdir,
  open,
  readdir,
  readFile,
  readlink,
  realpath,
  rename,
  rm,
  stat,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { type Ctx, type Env, hasCode, RipstopError } from '@ripstop/kernel'
import {
  errno,
  ignore,
  leftoverName,
  makeDirectory,
  type PostgresBinaries,
  type RunAs,
  removeLeftovers,
  runTool,
} from './embedded-binaries.ts'

export const ROLE = 'ripstop'
export const DATABASE = 'ripstop'
export const SUPERUSER = 'postgres'
const LOG_BYTES_MAX = 4_194_304
const LOG_TAIL_BYTES = 4_096
const PATH_TROUBLE = ['EACCES', 'EPERM', 'EROFS', 'ENOSPC', 'EDQUOT', 'ENOTDIR', 'ENOENT', 'EEXIST', 'EIO']
const OTHER_HOMES = '/var/lib/ripstop'
const ACCESS_RULES = 'host all all 127.0.0.1/32 scram-sha-256\nlocal all all scram-sha-256\n'

export interface Credentials {
  readonly password: string
  readonly superuserPassword: string
}

export interface PostgresHome {
  /** Without links. */
  readonly path: string
  readonly dataDir: string
  readonly logFile: string
  readonly credentials: Credentials
  readonly runAs: RunAs | undefined
}

/** The part of a pino logger that is used here. */
export interface EmbeddedLog {
  info(fields: { readonly event: string; readonly [field: string]: unknown }): void
  warn(fields: { readonly event: string; readonly [field: string]: unknown }): void
}

export interface OpenHomeOptions {
  readonly stateDir: string
  readonly binaries: PostgresBinaries
  readonly log: EmbeddedLog
  readonly env: Env
  /** False only for tests: what is made need not survive a power cut. */
  readonly durable: boolean
  /** For tests. */
  readonly otherHomes?: string
}

/** Finds the home, or makes it. Throws POSTGRES_DATA_UNUSABLE with the path and what to do; then nothing was touched. */
export async function openPostgresHome(ctx: Ctx, options: OpenHomeOptions): Promise<PostgresHome> {
  const { stateDir, binaries, log } = options
  const link = join(stateDir, 'postgres')
  try {
    // Root's server must be able to pass through; every file with a secret has 0600 of its own.
    await makeDirectory(stateDir, binaries.runAs === undefined ? 0o700 : 0o711)
    const path = await locateHome(ctx, link, options)
    if (await isMissingOrEmpty(path)) await makeHome(ctx, path, options)
    if (path !== link) {
      await symlink(path, link).catch((error) => ignore(error, 'EEXIST'))
      log.warn({
        event: 'postgres.home_elsewhere',
        stateDir,
        home: path,
        why: 'its user cannot enter the state directory',
      })
    }
    return await readHome(await realpath(path), binaries)
  } catch (error) {
    if (PATH_TROUBLE.includes(errno(error) ?? '')) {
      const { message } = error as Error
      throw unusable(
        link,
        `cannot be used (${message}); make it writable, or set RIPSTOP_STATE_DIR or DATABASE_URL`,
        error,
      )
    }
    throw error
  }
}

function unusable(path: string, why: string, cause?: unknown): RipstopError {
  return new RipstopError('POSTGRES_DATA_UNUSABLE', `${path} ${why}`, { cause, details: { path } })
}

/** Follows what an earlier start decided (ED3); only without any decides anew. */
async function locateHome(
  ctx: Ctx,
  link: string,
  { binaries, otherHomes, stateDir }: OpenHomeOptions,
): Promise<string> {
  const found = await lstat(link).catch((error) => ignore(error, 'ENOENT'))
  if (found?.isSymbolicLink()) {
    const target = resolve(dirname(link), await readlink(link))
    if (await isMissingOrEmpty(target)) {
      throw unusable(
        link,
        `leads to ${target}, which is gone: bring it back, or remove the link to start with an empty database`,
      )
    }
    return target
  }
  if (found !== undefined && !found.isDirectory()) throw unusable(link, 'is not a directory: move it away')
  if (binaries.runAs === undefined || !(await isMissingOrEmpty(link))) return link
  const hash = createHash('sha256')
    .update(await realpath(stateDir))
    .digest('hex')
    .slice(0, 16)
  const other = join(otherHomes ?? OTHER_HOMES, hash, 'postgres')
  if (!(await isMissingOrEmpty(other))) return other // made, and then killed before it was linked
  if (await canEnter(ctx, stateDir, binaries.runAs)) return link
  await makeDirectory(dirname(other), 0o755)
  await chmod(dirname(dirname(other)), 0o755) // whatever the umask made of it
  await chmod(dirname(other), 0o755)
  return other
}

/** Tried by a process of that user: mode bits alone don't tell (access lists, mounts). */
async function canEnter(ctx: Ctx, directory: string, runAs: RunAs): Promise<boolean> {
  try {
    const { code } = await runTool(ctx, '/bin/sh', ['-c', 'cd -- "$1"', 'sh', directory], { runAs })
    return code === 0
  } catch (error) {
    if (hasCode(error, 'POSTGRES_UNAVAILABLE_HERE')) return false // no shell here
    throw error
  }
}

async function isMissingOrEmpty(directory: string): Promise<boolean> {
  try {
    return (await readdir(directory)).length === 0
  } catch (error) {
    ignore(error, 'ENOENT')
    return true
  }
}

async function makeHome(ctx: Ctx, path: string, options: OpenHomeOptions): Promise<void> {
  const { binaries, env, durable, log } = options
  const startedMs = env.clock.monoMs()
  const parent = dirname(path)
  await removeLeftovers(parent, `${basename(path)}.making-`, env.clock.wallMs())
  const making = join(parent, leftoverName(basename(path)))
  try {
    await mkdir(making, { mode: 0o711 })
    await chmod(making, 0o711) // its user must be able to pass, nobody needs to list
    const dataDir = join(making, 'data')
    await mkdir(dataDir, { mode: 0o700 })
    const { runAs } = binaries
    if (runAs !== undefined) await chown(dataDir, runAs.uid, runAs.gid)
    const credentials = { password: createPassword(), superuserPassword: createPassword() }
    await initialise(ctx, dataDir, credentials, options)
    await writeFile(join(making, 'credentials.json'), JSON.stringify(credentials), { mode: 0o600, flush: true })
    if (durable) {
      await run(ctx, binaries.initdb, ['-D', dataDir, '--sync-only'], dataDir, { runAs })
      await syncDirectory(making)
    }
    await rename(making, path)
    // Without this a power cut could bring the old name back, and the next start would take it for a leftover.
    if (durable) await syncDirectory(parent)
    log.info({ event: 'postgres.home_made', home: path, durationMs: Math.round(env.clock.monoMs() - startedMs) })
  } catch (error) {
    if (errno(error) !== 'ENOTEMPTY' && errno(error) !== 'EEXIST') throw error
    // Another process was faster: its home is as good.
  } finally {
    await rm(making, { recursive: true, force: true })
  }
}

function createPassword(): string {
  return randomBytes(24).toString('base64url')
}

/** initdb, then roles and database in single-user mode: no server that others could reach exists before it is finished. */
async function initialise(
  ctx: Ctx,
  dataDir: string,
  credentials: Credentials,
  { binaries }: OpenHomeOptions,
): Promise<void> {
  const { runAs } = binaries
  const locale = ['--encoding=UTF8', '--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8']
  // `reject`: a password method would need the password in a file. The real rules are ours, outside (`writeAccessRules`).
  const access = ['--username', SUPERUSER, '--auth=reject', '--data-checksums', '--no-sync', '--no-instructions']
  await run(ctx, binaries.initdb, ['-D', dataDir, ...access, ...locale], dataDir, { runAs })
  const statements = [
    `ALTER ROLE ${SUPERUSER} PASSWORD '${credentials.superuserPassword}'`,
    `CREATE ROLE ${ROLE} LOGIN PASSWORD '${credentials.password}'`,
    `CREATE DATABASE ${DATABASE} OWNER ${ROLE}`,
    `REVOKE CONNECT ON DATABASE ${DATABASE} FROM PUBLIC`,
  ]
  const single = ['--single', '-D', dataDir, '-c', 'fsync=off', '-c', 'log_min_error_statement=panic', SUPERUSER]
  const input = `${statements.join('\n')}\n`
  const output = await run(ctx, binaries.postgres, single, dataDir, { runAs, input })
  // Single-user mode goes on after an error and ends well.
  if (/\b(ERROR|FATAL|PANIC):/.test(output)) throw postgresFailed(dataDir, output)
}

interface RunOptions {
  readonly runAs: RunAs | undefined
  readonly input?: string
}

async function run(
  ctx: Ctx,
  file: string,
  args: readonly string[],
  dataDir: string,
  options: RunOptions,
): Promise<string> {
  const { code, output } = await runTool(ctx, file, args, options)
  if (code !== 0) throw postgresFailed(dataDir, output)
  return output
}

export function postgresFailed(dataDir: string, output: string): RipstopError {
  const said = output.trim().split('\n').slice(-5).join('; ')
  if (/No space left|Read-only file system|Permission denied|Disk quota exceeded/.test(output)) {
    return unusable(
      dataDir,
      `cannot be written by Postgres: ${said}; free or unlock it, or set RIPSTOP_STATE_DIR or DATABASE_URL`,
    )
  }
  return new RipstopError('POSTGRES_START_FAILED', `Postgres failed on ${dataDir}: ${said}`)
}

/** A directory's entries are on disk only after this. Windows has no such call. */
async function syncDirectory(directory: string): Promise<void> {
  if (process.platform === 'win32') return
  await using handle = await open(directory, 'r')
  await handle.sync()
}

async function readHome(path: string, binaries: PostgresBinaries): Promise<PostgresHome> {
  const dataDir = join(path, 'data')
  const version = await readFile(join(dataDir, 'PG_VERSION'), 'utf8').catch((error) => ignore(error, 'ENOENT'))
  if (version === undefined) {
    throw unusable(path, 'holds something else than our Postgres: move it away, or set RIPSTOP_STATE_DIR')
  }
  if (Number.parseInt(version, 10) !== binaries.major) {
    const [has, brings] = [version.trim(), binaries.major]
    const advice = `run the release that made it and move the data with pg_dump, or serve it with a Postgres ${has} of yours and set DATABASE_URL`
    throw unusable(
      dataDir,
      `was made by Postgres ${has}, this release brings ${brings}, nothing was touched: ${advice}`,
    )
  }
  const runAs = await runAsOwner(dataDir, binaries)
  const credentials = await readCredentials(path)
  return { path, dataDir, logFile: join(path, 'server.log'), credentials, runAs }
}

/** Postgres insists on owning its directory, so root runs it as whoever made it. */
async function runAsOwner(dataDir: string, { runAs }: PostgresBinaries): Promise<RunAs | undefined> {
  const { uid, gid } = await stat(dataDir)
  if (runAs !== undefined) {
    if (uid === 0) throw unusable(dataDir, `belongs to root, as whom Postgres does not run: chown -R nobody ${dataDir}`)
    return { uid, gid }
  }
  const ours = process.getuid?.()
  if (ours !== undefined && uid !== ours) {
    throw unusable(dataDir, `belongs to user ${uid}: run as that user or as root, or set RIPSTOP_STATE_DIR`)
  }
  return undefined
}

async function readCredentials(path: string): Promise<Credentials> {
  const file = join(path, 'credentials.json')
  try {
    const { password, superuserPassword } = JSON.parse(await readFile(file, 'utf8')) as Partial<Credentials>
    if (password !== undefined && superuserPassword !== undefined) return { password, superuserPassword }
  } catch (error) {
    if (errno(error) !== 'ENOENT' && !(error instanceof SyntaxError)) throw error
  }
  throw unusable(file, 'is missing or damaged: restore it; the database is whole but its passwords are in there')
}

// --- the lock file: which process holds the data directory

export interface LockFile {
  readonly pid: number
  readonly port: number
  readonly status: string
}

/** Its lines: pid, data directory, start time, port, socket directory, listen address, shared memory key, status. */
export async function readLockFile(dataDir: string): Promise<LockFile | undefined> {
  const text = await readFile(join(dataDir, 'postmaster.pid'), 'utf8').catch((error) => ignore(error, 'ENOENT'))
  const lines = text?.split('\n') ?? []
  const pid = Number(lines[0])
  if (!Number.isInteger(pid) || pid <= 0) return undefined // none, or its first bytes are being written
  return { pid, port: Number(lines[3]), status: lines[7]?.trim() ?? '' }
}

/**
 * Takes away the lock of a server that is gone. Postgres does so itself, unless the id belongs to some other process, or
 * to a zombie, by now: then it would never start again. Were we wrong, its shared memory would still keep a second
 * server out.
 */
export async function removeStaleLock(dataDir: string, stale: LockFile): Promise<void> {
  if ((await readLockFile(dataDir))?.pid === stale.pid) await rm(join(dataDir, 'postmaster.pid'), { force: true })
}

// --- what else is kept in the home

export async function readLastPort({ path }: PostgresHome): Promise<number | undefined> {
  const port = Number(await readFile(join(path, 'port'), 'utf8').catch(() => ''))
  return Number.isInteger(port) && port > 0 && port < 65_536 ? port : undefined
}

export function writeLastPort({ path }: PostgresHome, port: number): Promise<void> {
  return replaceFile(join(path, 'port'), `${port}\n`, 0o644)
}

/** For the setting `hba_file`. */
export async function writeAccessRules({ path }: PostgresHome): Promise<string> {
  const file = join(path, 'pg_hba.conf')
  await replaceFile(file, ACCESS_RULES, 0o644)
  return file
}

/** Readers see the old text or the new, nothing between. */
export async function replaceFile(file: string, text: string, mode: number): Promise<void> {
  const making = leftoverName(file)
  await writeFile(making, text, { mode })
  await rename(making, file)
}

export interface ServerLog {
  readonly fd: number
  close(): Promise<void>
  /** What was written since it was opened, the end of it. */
  said(): Promise<string>
}

export async function openServerLog({ logFile, runAs }: PostgresHome): Promise<ServerLog> {
  const handle = await open(logFile, 'a', 0o600)
  if (runAs !== undefined) await handle.chown(runAs.uid, runAs.gid)
  const { size: start } = await handle.stat()
  const said = async () => {
    await using reading = await open(logFile, 'r')
    const { size } = await reading.stat()
    const from = Math.max(start, size - LOG_TAIL_BYTES)
    const { buffer, bytesRead } = await reading.read(Buffer.alloc(LOG_TAIL_BYTES), 0, LOG_TAIL_BYTES, from)
    return buffer.toString('utf8', 0, bytesRead).trim()
  }
  return { fd: handle.fd, close: () => handle.close(), said }
}

/** Keeps the log and its predecessor within 4 MB each plus what is written between two calls. It is open elsewhere. */
export async function boundServerLog(logFile: string): Promise<void> {
  const { size } = await stat(logFile).catch(() => ({ size: 0 }))
  if (size <= LOG_BYTES_MAX) return
  await copyFile(logFile, `${logFile}.1`)
  await truncate(logFile, 0) // Postgres appends, so it goes on at the new end
}
