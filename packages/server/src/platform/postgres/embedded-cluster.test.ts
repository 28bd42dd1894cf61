import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFile, mkdir, readdir, readFile, realpath, stat, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { background, createEnv } from '@ripstop/kernel'
import { Client } from 'pg'
import { expect, test } from 'vitest'
import { makeScratch, type Scratch, until } from '../../testing/processes.ts'
import { isProcessAlive } from './embedded-binaries.ts'
import { type EmbeddedPostgresOptions, readRunningPostgres, startEmbeddedPostgres } from './embedded-cluster.ts'
import { boundServerLog } from './embedded-data.ts'

const env = createEnv()
const ctx = background(env)
const silent = { info: () => {}, warn: () => {} }
const MESH = join(import.meta.dirname, '../../testing/embedded-mesh.ts')

async function start(scratch: Scratch, options: Partial<EmbeddedPostgresOptions> = {}) {
  const stateDir = join(scratch.path, 'state')
  return await startEmbeddedPostgres(ctx, { stateDir, env, log: silent, settings: { fsync: 'off' }, ...options })
}

async function ask(url: string, text: string): Promise<unknown> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 2_000 })
  client.on('error', () => {})
  await client.connect()
  try {
    const { rows } = await client.query<{ answer: unknown }>(text)
    return rows[0]?.answer
  } finally {
    await client.end()
  }
}

interface OtherMesh extends AsyncDisposable {
  readonly pid: number
  readonly url: string
  readonly attached: boolean
  readonly kill: () => Promise<void>
}

/** Another process with an embedded Postgres on the same state directory. */
async function startOtherMesh(scratch: Scratch): Promise<OtherMesh> {
  const child: ChildProcess = spawn(process.execPath, [MESH, join(scratch.path, 'state')], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const gone = once(child, 'exit')
  const kill = async () => {
    child.kill('SIGKILL')
    await gone
  }
  const [line] = await once(child.stdout as NodeJS.ReadableStream, 'data')
  return { ...JSON.parse(String(line)), kill, [Symbol.asyncDispose]: kill }
}

async function postmastersOf(dataDir: string): Promise<number[]> {
  const found: number[] = []
  for (const pid of (await readdir('/proc')).map(Number).filter(Number.isInteger)) {
    const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
    if (command.includes(`${dataDir}\0`)) found.push(pid)
  }
  return found
}

test('a fresh start gives a database to an owner without privileges, on loopback only, with the promised settings', async () => {
  await using scratch = await makeScratch()
  await using server = await start(scratch, { settings: {} })
  const settings = await ask(
    server.url,
    `select json_build_object('fsync', current_setting('fsync'), 'commit', current_setting('synchronous_commit'),
      'buffers', current_setting('shared_buffers'), 'connections', current_setting('max_connections'),
      'idle', current_setting('idle_in_transaction_session_timeout'), 'statement', current_setting('statement_timeout'),
      'listen', current_setting('listen_addresses'), 'checksums', current_setting('data_checksums'),
      'encoding', current_setting('server_encoding'), 'zone', current_setting('timezone'),
      'locale', (select datlocale from pg_database where datname = current_database()),
      'super', (select rolsuper or rolcreatedb or rolcreaterole from pg_roles where rolname = current_user),
      'owner', (select pg_get_userbyid(datdba) from pg_database where datname = current_database())) as answer`,
  )
  expect(settings).toEqual({
    fsync: 'on',
    commit: 'on',
    buffers: '64MB',
    connections: '100',
    idle: '10s',
    statement: '30s',
    listen: '127.0.0.1',
    checksums: 'on',
    encoding: 'UTF8',
    zone: 'UTC',
    locale: 'C.UTF-8',
    super: false,
    owner: 'ripstop',
  })
  await ask(server.url, 'create table mark as select 1 as id')
  const wrong = new URL(server.url)
  wrong.password = 'wrong'
  await expect(ask(wrong.href, 'select 1')).rejects.toThrow('password authentication failed')
  const listening = (await readFile('/proc/net/tcp', 'utf8'))
    .split('\n')
    .filter((line) => line.includes(`:${server.port.toString(16).toUpperCase()} 00000000:0000`))
  expect(listening.map((line) => line.trim().split(/\s+/)[1]?.split(':')[0])).toEqual(['0100007F'])
})

test('a warm start keeps the data and the port, and the state directory says where it runs while it does', async () => {
  await using scratch = await makeScratch()
  const stateDir = join(scratch.path, 'state')
  const first = await start(scratch)
  await ask(first.url, 'create table mark as select 7 as id')
  expect(await readRunningPostgres(stateDir)).toEqual({
    url: first.url,
    pid: first.pid,
    port: first.port,
    owner: process.pid,
  })
  expect((await stat(join(stateDir, 'postgres.json'))).mode & 0o777).toBe(0o600)
  await first[Symbol.asyncDispose]()
  expect(await first.exited).toEqual({ code: 0, signal: null })
  expect(await readRunningPostgres(stateDir)).toBe(undefined)

  await using second = await start(scratch)
  expect(second).toMatchObject({ url: first.url, attached: false })
  expect(second.pid).not.toBe(first.pid)
  expect(await ask(second.url, 'select id as answer from mark')).toBe(7)
})

test('a port that a stranger took is replaced by another', async () => {
  await using scratch = await makeScratch()
  const first = await start(scratch)
  await first.stop('immediate')
  const stranger = createServer().listen(first.port, '127.0.0.1')
  await once(stranger, 'listening')
  try {
    await using second = await start(scratch)
    expect(second.port).not.toBe(first.port)
    expect(await ask(second.url, 'select 1 as answer')).toBe(1)
  } finally {
    stranger.close()
  }
  const wanted = first.port
  await using third = await start(scratch, { port: wanted })
  expect(third.port).toBe(wanted)
})

test('EC1: of many processes that start at once on an empty directory one launches, the others attach', async () => {
  await using scratch = await makeScratch()
  const meshes = await Promise.all([1, 2, 3, 4].map(() => startOtherMesh(scratch)))
  try {
    expect(new Set(meshes.map(({ pid, url }) => `${pid} ${url}`)).size).toBe(1)
    expect(meshes.filter(({ attached }) => !attached)).toHaveLength(1)
    expect(await postmastersOf(await realpath(join(scratch.path, 'state/postgres/data')))).toEqual([meshes[0]?.pid])
    expect((await readdir(join(scratch.path, 'state'))).sort()).toEqual(['postgres', 'postgres.json'])
    for (const { url } of meshes) expect(await ask(url, 'select 1 as answer')).toBe(1)
  } finally {
    for (const mesh of meshes) await mesh.kill()
    await (await start(scratch)).stop('immediate')
  }
})

test('EC1: a mesh that was killed with -9 leaves its server with everything acknowledged, and the next one attaches', async () => {
  await using scratch = await makeScratch()
  const mesh = await startOtherMesh(scratch)
  await ask(mesh.url, 'create table mark as select 7 as id')
  await mesh.kill()
  expect(await isProcessAlive(mesh.pid)).toBe(true)
  const next = await start(scratch)
  expect(next).toMatchObject({ pid: mesh.pid, url: mesh.url, attached: true })
  expect(await ask(next.url, 'select id as answer from mark')).toBe(7)
  await next[Symbol.asyncDispose]() // it is ours now
  expect(await isProcessAlive(mesh.pid)).toBe(false)
  expect(await next.exited).toEqual({ code: null, signal: null })
})

test('EC2: a lock file that names a stranger or a zombie is put aside, and the stranger is left alone', async () => {
  await using scratch = await makeScratch()
  const first = await start(scratch)
  const lock = join(scratch.path, 'state/postgres/data/postmaster.pid')
  const text = await readFile(lock, 'utf8')
  const { uid, gid } = await stat(lock) // Postgres itself sees through a process of another user
  await first.stop('immediate')
  const parent = spawn('/bin/sh', ['-c', 'sleep 0.1 & echo $!; exec sleep 60'], {
    stdio: ['ignore', 'pipe', 'ignore'],
    uid,
    gid,
  })
  try {
    const zombie = Number(String((await once(parent.stdout, 'data'))[0]))
    await until('the child is a zombie', async () => !(await isProcessAlive(zombie)))
    for (const pid of [parent.pid as number, zombie]) {
      await writeFile(lock, text.replace(/^\d+/, String(pid)))
      const server = await start(scratch)
      expect(server.attached).toBe(false)
      await server.stop('immediate')
      expect(await isProcessAlive(parent.pid as number)).toBe(true)
    }
  } finally {
    parent.kill('SIGKILL')
  }
})

test('EC2: a server that does not let our password in is not taken for ours, and not stopped', async () => {
  await using scratch = await makeScratch()
  await using server = await start(scratch)
  await ask(server.superuserUrl, `alter role postgres password 'other'`)
  await expect(start(scratch)).rejects.toMatchObject({
    code: 'POSTGRES_START_FAILED',
    message: expect.stringContaining('password'),
  })
  expect(await isProcessAlive(server.pid)).toBe(true)
})

test('EC3: stopping leaves a server alone that another living mesh owns, and takes over from a dead one', async () => {
  await using scratch = await makeScratch()
  await using owner = await startOtherMesh(scratch)
  const guest = await start(scratch)
  expect(guest).toMatchObject({ pid: owner.pid, attached: true })
  await guest.stop('fast')
  await guest.exited
  expect(await ask(owner.url, 'select 1 as answer')).toBe(1)

  const heir = await start(scratch)
  await owner.kill()
  await heir.stop('fast')
  expect(await isProcessAlive(owner.pid)).toBe(false)
})

test('EC3: a frozen server is stopped within the bound, and a harder request shortens a soft one', async () => {
  await using scratch = await makeScratch()
  const server = await start(scratch)
  process.kill(server.pid, 'SIGSTOP')
  const soft = server.stop('fast') // 5 s
  await until('the soft request was sent', async () => {
    const status = await readFile(`/proc/${server.pid}/status`, 'utf8')
    return !/^ShdPnd:\t0+$/m.test(status)
  })
  const hard = server.stop('immediate') // 3 s, then SIGKILL
  const startedMs = performance.now()
  await Promise.all([soft, hard])
  expect(performance.now() - startedMs).toBeLessThan(4_900)
  expect(await isProcessAlive(server.pid)).toBe(false)
  expect(await server.exited).toEqual({ code: null, signal: 'SIGKILL' })
  await server.stop('fast') // nothing more to do
})

test('a caller that gives up leaves nothing running, at whatever point it does', async () => {
  await using scratch = await makeScratch()
  const stateDir = join(scratch.path, 'state')
  const dataDir = join(scratch.path, 'state/postgres/data')
  const during = ctx.within(60_000)
  const initialising = startEmbeddedPostgres(during, { stateDir, env, log: silent })
  await until('initdb runs', async () =>
    (await readdir(stateDir).catch(() => [])).some((name) => name.includes('making')),
  )
  during.cancel()
  await expect(initialising).rejects.toMatchObject({ code: 'CANCELLED' })
  expect(await readdir(stateDir)).toEqual([])

  const after = ctx.within(60_000)
  const log = { info: () => after.cancel(), warn: () => {} } // the home was just made
  await expect(startEmbeddedPostgres(after, { stateDir, env, log })).rejects.toMatchObject({ code: 'CANCELLED' })
  expect(await postmastersOf(dataDir)).toEqual([])

  const ends: string[] = []
  for (const delayMs of [0, 2, 4, 6, 8, 12, 16, 24, 32]) {
    const late = ctx.within(60_000)
    setTimeout(() => late.cancel(), delayMs)
    const launching = startEmbeddedPostgres(late, { stateDir, env, log: silent })
    const end = await launching.then(
      async (server) => {
        await server.stop('immediate') // it was ready before we gave up
        return 'started'
      },
      (error: { code: string }) => error.code,
    )
    ends.push(end)
    expect(await postmastersOf(dataDir)).toEqual([])
  }
  expect(ends.filter((end) => end === 'CANCELLED').length).toBeGreaterThan(2)
  expect(ends.filter((end) => end !== 'CANCELLED' && end !== 'started')).toEqual([])
})

test('a deadline leaves a server that is only late for the next start, so that a long recovery comes to its end', async () => {
  await using scratch = await makeScratch()
  await (await start(scratch)).stop('fast')
  const stateDir = join(scratch.path, 'state')
  const settings = { fsync: 'off', pre_auth_delay: 2 } // it takes its time until it answers
  const short = startEmbeddedPostgres(ctx.within(1_000), { stateDir, env, log: silent, settings })
  await expect(short).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' })
  const [pid] = await postmastersOf(join(stateDir, 'postgres/data'))
  await using server = await start(scratch)
  expect(server).toMatchObject({ pid, attached: true })
})

test('a server that refuses its settings is reported at once with what it said', async () => {
  await using scratch = await makeScratch()
  await expect(start(scratch, { settings: { shared_buffers: 'much' } })).rejects.toMatchObject({
    code: 'POSTGRES_START_FAILED',
    message: expect.stringContaining('invalid value for parameter "shared_buffers"'),
  })
})

test('an address that cannot be had although its port looked free is tried again, within a bound, and named', async () => {
  await using scratch = await makeScratch()
  const first = await start(scratch)
  await first.stop('immediate')
  // Our check looks at 127.0.0.1: this stands for a race for the port that was lost.
  const stranger = createServer().listen(first.port, '127.0.0.2')
  await once(stranger, 'listening')
  try {
    await expect(start(scratch, { settings: { fsync: 'off', listen_addresses: '127.0.0.2' } })).rejects.toMatchObject({
      message: expect.stringContaining('could not bind'),
    })
  } finally {
    stranger.close()
  }
})

test('the log holds no payload of a failed statement, and is bounded while the server writes to it', async () => {
  await using scratch = await makeScratch()
  const server = await start(scratch)
  const insert = `do $$ begin raise exception 'secret-payload'; end $$`
  await expect(ask(server.url, insert)).rejects.toThrow('secret-payload')
  await expect(ask(server.url, `select 'secret-payload'::int`)).rejects.toThrow('invalid input')
  const { logFile } = server
  expect(await readFile(logFile, 'utf8')).toContain('ready to accept connections')
  expect(await readFile(logFile, 'utf8')).not.toContain('secret-payload')

  await appendFile(logFile, '~'.repeat(5_000_000))
  await boundServerLog(logFile)
  await server.stop('fast')
  expect((await stat(`${logFile}.1`)).size).toBeGreaterThan(5_000_000)
  expect(await readFile(logFile, 'utf8')).toMatch(/^20[^~]*database system is shut down\n$/)
})

test('a state directory with spaces, quotes and other scripts in its name works', async () => {
  await using scratch = await makeScratch()
  const stateDir = join(scratch.path, `it's a "state" $HOME %d ü`)
  await mkdir(stateDir, { mode: 0o755 })
  await using server = await start(scratch, { stateDir })
  expect(await ask(server.url, 'select 1 as answer')).toBe(1)
})
