import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, lstat, mkdir, readdir, realpath, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { background, createEnv } from '@ripstop/kernel'
import { expect, test } from 'vitest'
import { makeScratch, type Scratch, until } from '../../testing/processes.ts'
import { findPostgresBinaries } from './embedded-binaries.ts'
import { type EmbeddedLog, openPostgresHome } from './embedded-data.ts'

const env = createEnv()
const ctx = background(env)
const isRoot = process.getuid?.() === 0
const MESH = join(import.meta.dirname, '../../testing/embedded-mesh.ts')

async function openHome(stateDir: string, options: { otherHomes?: string; log?: EmbeddedLog } = {}) {
  const binaries = await findPostgresBinaries(ctx, { stateDir, env })
  const log = { info: () => {}, warn: () => {} }
  return await openPostgresHome(ctx, { stateDir, binaries, log, env, durable: false, ...options })
}

/** Every path below with what tells whether it was touched. */
async function fingerprint(root: string): Promise<readonly string[]> {
  const entries = await readdir(root, { recursive: true })
  const lines = entries.map(async (path) => {
    const { mtimeMs, size, uid } = await lstat(join(root, path))
    return `${path} ${mtimeMs} ${size} ${uid}`
  })
  return (await Promise.all(lines)).sort()
}

async function enterable(scratch: Scratch, name: string): Promise<string> {
  const path = join(scratch.path, name)
  await mkdir(path)
  await chmod(path, 0o711)
  return path
}

test('ED1: a home appears only when it is whole; initdb killed half way leaves none, and the next start makes it', async () => {
  await using scratch = await makeScratch()
  const stateDir = await enterable(scratch, 'state')
  const mesh: ChildProcess = spawn(process.execPath, [MESH, stateDir], { stdio: 'ignore', detached: true })
  const half = await until('initdb is half way', async () => {
    const making = (await readdir(stateDir)).find((name) => name.startsWith('postgres.making-'))
    const made = making === undefined ? [] : await readdir(join(stateDir, making, 'data')).catch(() => [])
    return made.includes('PG_VERSION') ? making : undefined
  })
  const gone = once(mesh, 'exit')
  process.kill(mesh.pid as number, 'SIGKILL')
  await gone
  expect(await readdir(stateDir)).toEqual([half])

  const home = await openHome(stateDir)
  expect(home.path).toBe(await realpath(join(stateDir, 'postgres')))
  const left = async () => (await readdir(stateDir)).filter((name) => name.startsWith('postgres.'))
  // The orphaned initdb may still be writing, and then it goes at a later start.
  await until('the half-made one is gone', async () => {
    await rm(join(stateDir, half), { recursive: true, force: true })
    return (await left()).length === 0
  })
  expect(await readdir(home.dataDir)).toContain('PG_VERSION')
})

test('ED1: an error while making a home leaves nothing behind', async () => {
  await using scratch = await makeScratch()
  const stateDir = await enterable(scratch, 'state')
  const binaries = await findPostgresBinaries(ctx, { stateDir, env })
  const log = { info: () => {}, warn: () => {} }
  const broken = { ...binaries, postgres: '/bin/false' } // initdb works, making the role does not
  const opening = openPostgresHome(ctx, { stateDir, binaries: broken, log, env, durable: false })
  await expect(opening).rejects.toMatchObject({ code: 'POSTGRES_START_FAILED' })
  expect(await readdir(stateDir)).toEqual([])
})

test.runIf(isRoot)('ED1: a full disk is named, and nothing is left on it', async () => {
  await using scratch = await makeScratch()
  const stateDir = await enterable(scratch, 'state')
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=12m,mode=0711', 'tmpfs', stateDir])
  try {
    await expect(openHome(stateDir)).rejects.toMatchObject({
      code: 'POSTGRES_DATA_UNUSABLE',
      message: expect.stringMatching(/state\/postgres.*No space left.*DATABASE_URL/s),
    })
    expect(await readdir(stateDir)).toEqual([])
  } finally {
    execFileSync('umount', [stateDir])
  }
})

test('ED2: data of another major version is refused with what to do, and not touched', async () => {
  await using scratch = await makeScratch()
  const stateDir = await enterable(scratch, 'state')
  const home = await openHome(stateDir)
  await writeFile(join(home.dataDir, 'PG_VERSION'), '17\n')
  const before = await fingerprint(stateDir)
  await expect(openHome(stateDir)).rejects.toMatchObject({
    code: 'POSTGRES_DATA_UNUSABLE',
    message: expect.stringMatching(/made by Postgres 17, this release brings 18.*pg_dump.*DATABASE_URL/),
    details: { path: home.dataDir },
  })
  expect(await fingerprint(stateDir)).toEqual(before)
})

test.each([
  [
    'something else in its place',
    async (home: string) => rm(join(home, 'data'), { recursive: true }),
    /something else/,
  ],
  ['lost credentials', async (home: string) => rm(join(home, 'credentials.json')), /credentials.json is missing/],
  [
    'damaged credentials',
    async (home: string) => writeFile(join(home, 'credentials.json'), '{"pass'),
    /missing or damaged/,
  ],
])('ED2: a home with %s is refused and not touched', async (_, spoil, message) => {
  await using scratch = await makeScratch()
  const stateDir = await enterable(scratch, 'state')
  const home = await openHome(stateDir)
  await spoil(home.path)
  const before = await fingerprint(stateDir)
  await expect(openHome(stateDir)).rejects.toMatchObject({
    code: 'POSTGRES_DATA_UNUSABLE',
    message: expect.stringMatching(message),
  })
  expect(await fingerprint(stateDir)).toEqual(before)
})

test('a path that cannot be written is named with what to do', async () => {
  await using scratch = await makeScratch()
  await writeFile(join(scratch.path, 'file'), '')
  const binaries = await findPostgresBinaries(ctx, { stateDir: scratch.path, env })
  const log = { info: () => {}, warn: () => {} }
  for (const stateDir of [join(scratch.path, 'file'), join(scratch.path, 'file', 'below'), '/proc/nowhere/state']) {
    const opening = openPostgresHome(ctx, { stateDir, binaries, log, env, durable: false })
    await expect(opening).rejects.toMatchObject({
      code: 'POSTGRES_DATA_UNUSABLE',
      message: expect.stringMatching(
        new RegExp(`^${stateDir}/postgres cannot be used .*RIPSTOP_STATE_DIR or DATABASE_URL`),
      ),
    })
  }
})

test.runIf(isRoot)('data that belongs to root is refused: Postgres does not run as root', async () => {
  await using scratch = await makeScratch()
  const stateDir = await enterable(scratch, 'state')
  const home = await openHome(stateDir)
  execFileSync('chown', ['-R', '0:0', home.dataDir])
  await expect(openHome(stateDir)).rejects.toMatchObject({
    code: 'POSTGRES_DATA_UNUSABLE',
    message: expect.stringContaining('chown'),
  })
})

test.runIf(isRoot)(
  'ED3: a private state directory keeps its home elsewhere, also after it is moved, and never starts afresh',
  async () => {
    await using scratch = await makeScratch()
    const otherHomes = join(scratch.path, 'other')
    const stateDir = join(scratch.path, 'private', 'state')
    await mkdir(stateDir, { recursive: true })
    await chmod(join(scratch.path, 'private'), 0o700)
    const said: string[] = []
    const log = { info: () => {}, warn: (fields: { event: string }) => void said.push(fields.event) }

    const first = await openHome(stateDir, { otherHomes, log })
    expect(first.path.startsWith(`${otherHomes}/`)).toBe(true)
    expect(said).toEqual(['postgres.home_elsewhere'])
    await rm(join(stateDir, 'postgres')) // as if we had been killed before the link was made,
    await chmod(join(scratch.path, 'private'), 0o711) // and its user may enter by now
    expect((await openHome(stateDir, { otherHomes })).path).toBe(first.path)

    const moved = join(scratch.path, 'moved')
    await rename(stateDir, moved)
    expect((await openHome(moved, { otherHomes })).path).toBe(first.path)

    await rename(first.path, join(scratch.path, 'away'))
    const opening = openHome(moved, { otherHomes })
    await expect(opening).rejects.toMatchObject({
      code: 'POSTGRES_DATA_UNUSABLE',
      message: expect.stringMatching(/gone: bring it back, or remove/),
    })
    expect((await lstat(join(moved, 'postgres'))).isSymbolicLink()).toBe(true)
  },
)

test.runIf(isRoot)('root runs Postgres as the owner of data that another user made', async () => {
  await using scratch = await makeScratch()
  const stateDir = await enterable(scratch, 'state')
  const home = await openHome(stateDir)
  execFileSync('chown', ['-R', '1234:1234', stateDir])
  expect((await openHome(stateDir)).runAs).toEqual({ uid: 1234, gid: 1234 })
  expect(home.runAs?.uid).not.toBe(1234)
})

test('ED4: passwords are only in one file that nobody else can read, and differ', async () => {
  await using scratch = await makeScratch()
  const stateDir = await enterable(scratch, 'state')
  const said: unknown[] = []
  const log = { info: (fields: object) => void said.push(fields), warn: (fields: object) => void said.push(fields) }
  const { path, credentials } = await openHome(stateDir, { log })
  const { password, superuserPassword } = credentials
  expect(password.length).toBeGreaterThanOrEqual(32)
  expect(password).not.toBe(superuserPassword)
  for (const secret of [password, superuserPassword]) {
    expect(JSON.stringify(said)).not.toContain(secret)
    const found = execFileSync('grep', ['-rlaF', '-e', secret, path], { encoding: 'utf8' }).trim()
    expect(found).toBe(join(path, 'credentials.json'))
  }
  expect((await stat(join(path, 'credentials.json'))).mode & 0o777).toBe(0o600)
  expect((await stat(join(path, 'data'))).mode & 0o777).toBe(0o700)
})
