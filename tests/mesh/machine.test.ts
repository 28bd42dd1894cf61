// What a machine does to a mesh: it runs out of file descriptors, and its wall clock jumps.

import { existsSync, readdirSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { Agent } from 'node:http'
import { join } from 'node:path'
import { startFaultProxy } from '@ripstop/faults'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openRaw, startTestUpstream, type TestUpstream } from '../../packages/server/src/testing/gateway.ts'
import { createTestDatabase, type TestDatabase } from '../../packages/server/src/testing/postgres.ts'
import { makeScratch } from '../../packages/server/src/testing/processes.ts'
import { type Answer, dataOf } from './client.ts'
import { createKey, routesTo } from './fixture.ts'
import { startMesh, type TestMesh, tellOnFailure, until } from './harness.ts'
import { startTraffic } from './traffic.ts'

/** An edge has some 35 open when it is idle (measured 2026-11). */
const DESCRIPTORS = 96
const HOUR_S = 3_600
const FEW = 5

let upstream: TestUpstream
let database: TestDatabase
beforeAll(async () => {
  upstream = await startTestUpstream((_request, response) => response.end('echo'))
  database = await createTestDatabase()
})
afterAll(async () => {
  await database[Symbol.asyncDispose]()
  await upstream[Symbol.asyncDispose]()
})

test('M5, HS2: a flood of connections takes no descriptor from the links, nor a place from who is there; after it all is as before', async (context) => {
  const { hostname, port } = new URL(database.url)
  await using postgres = await startFaultProxy({ upstream: { host: hostname, port: Number(port) } })
  await using service = await startFaultProxy({ upstream: { host: '127.0.0.1', port: upstream.port } })
  await using mesh = await startMesh({
    config: routesTo(service.port),
    env: { DATABASE_URL: postgres.through(database.url) },
    wrapper: ['sh', '-c', `ulimit -n ${DESCRIPTORS}; exec "$@"`, 'sh'],
  })
  tellOnFailure(context, mesh)
  await mesh.ready()
  await until('the service is up', async () => (await mesh.ask('/open')).status === 200)
  const edge = await mesh.pidOf('edge')
  const agent = new Agent({ keepAlive: true, maxSockets: 1 }) // a client that is there already
  const ask = (path: string): Promise<Answer> => mesh.ask(path, { agent })
  expect((await ask('/livez')).status).toBe(200)

  const flood = await Promise.all(Array.from({ length: DESCRIPTORS * 2 }, () => openRaw(mesh.port)))
  const closed = (): readonly unknown[] => flood.filter(({ socket }) => socket.closed)
  await until('those too many are refused', () => closed().length > DESCRIPTORS)
  const refused = await mesh.ask('/livez', { limitMs: 5_000 })
  expect(refused.code, 'refused at once, not left hanging').toMatch(/ECONNRESET|socket hang up/)
  // What the mesh is connected to is gone: it needs new connections while clients hold all that they can get.
  postgres.drop('reset')
  service.drop('reset')
  await until('it has them', async () => (await ask('/v1/keys')).status === 200 && (await ask('/open')).status === 200)
  expect((await ask('/readyz')).status).toBe(200)
  expect((await ask('/metrics')).text, 'that clients are turned away is seen').toMatch(
    /http_connections_dropped_total{process="edge"} [1-9]/,
  )

  for (const { socket } of flood) socket.destroy()
  agent.destroy()
  await until('it takes connections again', async () => (await mesh.ask('/livez')).status === 200)
  await mesh.ready(5_000)
  expect((await mesh.ask('/open')).status).toBe(200)
  expect((await mesh.ask('/v1/keys')).status).toBe(200)
  expect(await mesh.pidOf('edge'), 'the edge is the process that it was').toBe(edge)
})

/** Ways to move the wall clock of a process and of nothing else: each makes the variables for a file of seconds. */
const CLOCKS: Readonly<Record<string, ((file: string) => Record<string, string>) | undefined>> = {
  'Date alone, in the process': (file) => ({
    NODE_OPTIONS: `--import=${join(import.meta.dirname, 'wall-clock.mjs')}`,
    WALL_CLOCK_FILE: file,
  }),
  'the system calls, by libfaketime': findFakeTime(),
}

function findFakeTime(): ((file: string) => Record<string, string>) | undefined {
  const folders = existsSync('/usr/lib') ? readdirSync('/usr/lib') : []
  const library = ['', ...folders]
    .map((folder) => join('/usr/lib', folder, 'faketime', 'libfaketimeMT.so.1'))
    .find((path) => existsSync(path))
  if (library === undefined) return undefined
  return (file) => ({
    LD_PRELOAD: library,
    FAKETIME_TIMESTAMP_FILE: file,
    FAKETIME_NO_CACHE: '1',
    FAKETIME_DONT_FAKE_MONOTONIC: '1',
  })
}

test.for(Object.keys(CLOCKS))(
  'M1: a wall clock that jumps by an hour, there and back, changes nothing (%s)',
  async (name, context) => {
    const variables = CLOCKS[name]
    if (variables === undefined) {
      process.stdout.write(`SKIPPED: a jump of ${name}, which is not installed (Debian: apt-get install faketime)\n`)
      return context.skip('libfaketime is not installed')
    }
    await using scratch = await makeScratch()
    const file = join(scratch.path, 'seconds')
    const jump = (seconds: number): Promise<void> => writeFile(file, seconds < 0 ? String(seconds) : `+${seconds}`)
    await jump(0)
    const routes = [{ path: '/few', upstream: 'echo', rate_limit: { per_minute: FEW } }]
    await using mesh = await startMesh({
      config: routesTo(upstream.port, routes),
      env: { DATABASE_URL: database.url, ...variables(file) },
    })
    await mesh.ready()
    await until('the service is up', async () => (await mesh.ask('/open')).status === 200)
    await checkJumps(mesh, jump)
  },
)

async function checkJumps(mesh: TestMesh, jump: (seconds: number) => Promise<void>): Promise<void> {
  const shownMs = async (): Promise<number> => Date.parse((await mesh.graph()).at) - Date.now()
  const soon = new Date(Date.now() + 1_800_000).toISOString()
  const secret = await createKey(mesh, { name: 'half an hour', scopes: ['keys:read'], expires_at: soon })
  const once = async (): Promise<string> => {
    const headers = { 'idempotency-key': `jump-${mesh.port}` }
    const body = { name: `jump-${mesh.port}` }
    return dataOf<{ readonly tenant_id: string }>(await mesh.ask('/v1/tenants', { method: 'POST', body, headers }))
      .tenant_id
  }
  const id = await once()
  for (let sent = 0; sent < FEW; sent++) expect((await mesh.ask('/few')).status).toBe(200)
  const { generation } = (await mesh.link('postgres.main')).live
  await using traffic = startTraffic(mesh.base, {
    open: { path: '/open', everyMs: 25, deadlineMs: 2_000 },
    keyed: { path: '/keyed', everyMs: 50, deadlineMs: 2_000, headers: { 'x-api-key': secret } },
    readyz: { path: '/readyz', everyMs: 50, deadlineMs: 1_000 },
    control: { path: '/v1/keys', everyMs: 100, deadlineMs: 2_000 },
  })
  for (const seconds of [HOUR_S, 0, -HOUR_S, 0]) {
    await jump(seconds)
    await until('the mesh shows the other time', async () => Math.abs((await shownMs()) - seconds * 1_000) < 60_000)
    const from = traffic.ended('control').length
    await until('it went on for a while', () => traffic.ended('control').length > from + 12) // over a heartbeat
    expect((await mesh.ask('/few')).code, 'no limit begins anew').toBe('RATE_LIMITED')
    expect(await once(), 'what was done is known to be done').toBe(id)
    const { live } = await mesh.link('postgres.main')
    expect(live.last_proof_age_ms, 'how old a proof is has nothing to do with the hour').toBeLessThan(10_000)
  }
  expect(await traffic.stop()).toEqual([])
  for (const flow of ['open', 'keyed', 'readyz', 'control'] as const) {
    expect(Object.keys(traffic.tally(flow)), `answers of ${flow}`).toEqual(['200'])
  }
  expect((await mesh.link('postgres.main')).live.generation, 'no connection was given up').toBe(generation)
}
