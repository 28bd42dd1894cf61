import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, chown, cp, mkdir, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { background, createEnv, errorCodes } from '@ripstop/kernel'
import { expect, test } from 'vitest'
import { makeScratch, until } from '../../testing/processes.ts'
import {
  findPlatformPackage,
  findPostgresBinaries,
  isProcessAlive,
  leftoverName,
  runTool,
} from './embedded-binaries.ts'

const env = createEnv()
const ctx = background(env)
const isRoot = process.getuid?.() === 0
const DEAD = 4_000_000 // above the kernel's highest process id by default

async function findIn(home: string, more: Partial<Parameters<typeof findPostgresBinaries>[1]> = {}) {
  return await findPostgresBinaries(ctx, { stateDir: home, env, sharedHomes: [home], ...more })
}

test('a platform without binaries is told to set DATABASE_URL', async () => {
  const finding = findPlatformPackage('linux', 's390x')
  await expect(finding).rejects.toMatchObject({
    code: 'POSTGRES_UNAVAILABLE_HERE',
    message: expect.stringMatching(/linux-s390x.*DATABASE_URL/),
  })
  expect(errorCodes().get('POSTGRES_UNAVAILABLE_HERE')?.retry).toBe(false)
})

test('binaries that do not run on this machine are reported with what they said', async () => {
  await using scratch = await makeScratch()
  const native = join(scratch.path, 'native')
  for (const folder of ['bin', 'lib', 'share']) await mkdir(join(native, folder), { recursive: true })
  await writeFile(join(native, 'bin/initdb'), '', { mode: 0o755 })
  await writeFile(join(native, 'bin/postgres'), '#!/no/such/loader\n', { mode: 0o755 })
  const finding = findIn(join(scratch.path, 'home'), { uid: 0, platformPackage: { native, version: '18.0.0' } })
  await expect(finding).rejects.toMatchObject({
    code: 'POSTGRES_UNAVAILABLE_HERE',
    message: expect.stringContaining('ENOENT'),
  })
})

test.runIf(isRoot)('EB1: of many that copy at once one wins, all can use it and nothing is left over', async () => {
  await using scratch = await makeScratch()
  const home = join(scratch.path, 'home')
  const before = process.umask(0o077) // as strict as some administrators like it
  try {
    const finding = [1, 2, 3].map(() => findIn(home))
    const { ino } = await stat(join((await Promise.any(finding)).postgres, '../..'))
    const found = await Promise.all(finding)
    expect((await stat(join(found[0]!.postgres, '../..'))).ino).toBe(ino) // a complete one stays: it may be running
    expect(new Set(found.map(({ postgres }) => postgres)).size).toBe(1)
    const [{ postgres, runAs, major } = found[0]!] = found
    expect(major).toBe(18)
    expect(runAs?.uid).toBeGreaterThan(0)
    expect(await runTool(ctx, postgres, ['--version'], { runAs })).toMatchObject({
      code: 0,
      output: expect.stringContaining('18'),
    })
    expect(await readdir(home)).toHaveLength(1)
  } finally {
    process.umask(before)
  }
})

test.runIf(isRoot)('EB1: a copy that lost files is replaced, and what killed processes left is removed', async () => {
  await using scratch = await makeScratch()
  const first = await findIn(scratch.path)
  const copy = join(first.postgres, '../..')
  await rm(join(copy, 'lib/libpq.so.5'))
  const abandoned = leftoverName(basename(copy)).replace(`-${process.pid}-`, `-${DEAD}-`)
  await mkdir(join(scratch.path, abandoned))
  const second = await findIn(scratch.path)
  expect(second.postgres).toBe(first.postgres)
  expect((await stat(join(copy, 'lib/libpq.so.5'))).isFile()).toBe(true)
  expect(await readdir(scratch.path)).toHaveLength(1)
})

test.runIf(isRoot)('EB2: a directory that others own or can write to is passed over', async () => {
  await using scratch = await makeScratch()
  const [foreign, open, ours] = ['foreign', 'open', 'ours'].map((name) => join(scratch.path, name)) as [
    string,
    string,
    string,
  ]
  await mkdir(foreign)
  await chown(foreign, 65_534, 65_534)
  await mkdir(open)
  await chmod(open, 0o777)
  const { postgres } = await findIn(ours, { sharedHomes: [foreign, open, ours] })
  expect(postgres.startsWith(ours)).toBe(true)
  expect([...(await readdir(foreign)), ...(await readdir(open))]).toEqual([])
  const finding = findIn(ours, { sharedHomes: [foreign, open] })
  await expect(finding).rejects.toMatchObject({
    code: 'POSTGRES_UNAVAILABLE_HERE',
    message: expect.stringContaining(open),
  })
})

test('without root the package is used in place, or copied to the state directory where its links cannot be made', async () => {
  await using scratch = await makeScratch()
  const installed = await findPlatformPackage(process.platform, process.arch)
  const native = join(scratch.path, 'package', 'native')
  await cp(installed.native, native, { recursive: true, verbatimSymlinks: true })
  const links = JSON.parse(await readFile(join(native, 'pg-symlinks.json'), 'utf8')) as { target: string }[]
  for (const { target } of links) await rm(join(native, '..', target), { force: true })
  const platformPackage = { native, version: installed.version }
  const stateDir = join(scratch.path, 'state')

  const inPlace = await findIn(stateDir, { uid: 1_000, platformPackage })
  expect(inPlace).toMatchObject({ postgres: join(native, 'bin/postgres'), runAs: undefined })
  expect((await runTool(ctx, inPlace.postgres, ['--version'])).code).toBe(0)

  // A link that can't be made, also for root: the name is taken by one that leads nowhere.
  await rm(join(native, 'lib/libpq.so.5'))
  await symlink('nowhere', join(native, 'lib/libpq.so.5'))
  const copied = await findIn(stateDir, { uid: 1_000, platformPackage })
  expect(copied.postgres.startsWith(stateDir)).toBe(true)
  expect((await stat(join(copied.postgres, '../../lib/libpq.so.5'))).isFile()).toBe(true)
})

test('isProcessAlive: a zombie is dead although it takes signals', async () => {
  const parent = spawn('/bin/sh', ['-c', 'sleep 0.1 & echo $!; exec sleep 30'], { stdio: ['ignore', 'pipe', 'ignore'] })
  try {
    const [line] = await once(parent.stdout, 'data')
    const zombie = Number(String(line))
    await until('the child is a zombie', async () => (await readFile(`/proc/${zombie}/stat`, 'utf8')).includes(') Z '))
    expect(process.kill(zombie, 0)).toBe(true)
    expect(await isProcessAlive(zombie)).toBe(false)
    expect(await isProcessAlive(process.pid)).toBe(true)
    expect(await isProcessAlive(DEAD)).toBe(false)
  } finally {
    parent.kill('SIGKILL')
  }
})

test('a tool and its children are killed when the caller gives up', async () => {
  await using scratch = await makeScratch()
  const file = join(scratch.path, 'pid')
  const calling = ctx.within(60_000)
  const running = runTool(calling, '/bin/sh', ['-c', `sleep 30 & echo $! > ${file}; wait`])
  const child = await until(
    'the child runs',
    async () => Number(await readFile(file, 'utf8').catch(() => '')) || undefined,
  )
  expect(await isProcessAlive(child)).toBe(true)
  calling.cancel()
  await expect(running).rejects.toMatchObject({ code: 'CANCELLED' })
  await until('the child is gone', async () => !(await isProcessAlive(child)))
})
