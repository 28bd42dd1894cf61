// The master key: what is given, else for development one of its own in the state directory. Production keeps keys outside the
// machine's disk, so there one must be given.
// Invariants:
//   SE3. A generated key is readable by its owner alone, is made once however many processes start at once, and never in production.

import { randomBytes } from 'node:crypto'
import { link, mkdir, readFile, stat, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { hasCode, RipstopError } from '@ripstop/kernel'
import { MASTER_KEY_BYTES } from './sealer.ts'

const FILE = 'master.key'
const KEYS_MAX = 8

export interface MasterKeySource {
  /** Base64, the one that seals first; empty: none was given. */
  readonly given: readonly string[]
  readonly environment: 'development' | 'production'
  readonly stateDirectory: string
}

/** The keys, the one that seals first. Throws CONFIG_INVALID with a reason that holds no key. */
export async function loadMasterKeys(source: MasterKeySource): Promise<readonly Buffer[]> {
  const problem = masterKeyProblem(source)
  if (problem !== undefined) throw new RipstopError('CONFIG_INVALID', problem)
  if (source.given.length > 0) return source.given.map((text) => Buffer.from(text, 'base64'))
  return [await readOrMake(source.stateDirectory)]
}

/** What is wrong with the setting, for the check of the config; undefined: nothing. */
export function masterKeyProblem({
  given,
  environment,
}: Pick<MasterKeySource, 'given' | 'environment'>): string | undefined {
  if (given.length > KEYS_MAX) return `at most ${KEYS_MAX} master keys can be given`
  const wrong = given.findIndex((text) => !isKey(text))
  if (wrong !== -1)
    return `master key ${wrong + 1} is not ${MASTER_KEY_BYTES} bytes in base64 (openssl rand -base64 32)`
  if (new Set(given).size < given.length) return 'a master key is given twice'
  if (given.length === 0 && environment === 'production')
    return 'production needs a master key of its own: secrets are sealed with it (openssl rand -base64 32)'
  return undefined
}

function isKey(text: string): boolean {
  return /^[A-Za-z0-9+/]{43}=$/.test(text) && Buffer.from(text, 'base64').toString('base64') === text
}

async function readOrMake(directory: string): Promise<Buffer> {
  const path = join(directory, FILE)
  await mkdir(directory, { recursive: true })
  const found = await read(path)
  if (found !== undefined) return found
  // Written whole under a name of its own and linked: the first of several processes wins, and nobody reads half a key.
  const own = `${path}.${process.pid}.${randomBytes(4).toString('hex')}`
  await writeFile(own, `${randomBytes(MASTER_KEY_BYTES).toString('base64')}\n`, {
    mode: 0o600,
    flag: 'wx',
    flush: true,
  })
  try {
    await link(own, path)
  } catch (error) {
    if (!isSystemError(error, 'EEXIST')) throw error
  } finally {
    await unlink(own)
  }
  const made = await read(path)
  if (made === undefined) throw new RipstopError('CONFIG_INVALID', `${path} was taken away`)
  return made
}

async function read(path: string): Promise<Buffer | undefined> {
  let text: string
  try {
    text = (await readFile(path, 'utf8')).trim()
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return undefined
    throw new RipstopError('CONFIG_INVALID', `the master key in ${path} can't be read`, { cause: error })
  }
  if (((await stat(path)).mode & 0o077) !== 0)
    throw new RipstopError('CONFIG_INVALID', `others can read the master key: chmod 600 ${path}`)
  if (!isKey(text)) throw new RipstopError('CONFIG_INVALID', `${path} holds no master key`)
  return Buffer.from(text, 'base64')
}

function isSystemError(error: unknown, code: string): boolean {
  return error instanceof Error && !hasCode(error, 'CONFIG_INVALID') && 'code' in error && error.code === code
}
