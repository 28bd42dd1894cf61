// Crashes under writes: the embedded Postgres alone, and the whole mesh twenty times. Whatever was acknowledged is there,
// once; whatever was not is either done once or not at all, and its repetition finds out.

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createSeededRandom } from '@ripstop/kernel'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { startTestUpstream, type TestUpstream } from '../../packages/server/src/testing/gateway.ts'
import { routesTo } from './fixture.ts'
import { signal, startMesh, type TestMesh, tellOnFailure, until } from './harness.ts'
import { startTraffic } from './traffic.ts'
import { findDifferences, startWriters } from './writers.ts'

const CYCLES = 20
/** In each fourth cycle Postgres dies with the mesh, as when the machine loses its power but for the disk's cache. */
const POSTGRES_EVERY = 4
const WRITERS = 4
const SEED = 2026

let upstream: TestUpstream
let mesh: TestMesh

beforeAll(async () => {
  upstream = await startTestUpstream((_request, response) => response.end('echo'))
  mesh = await startMesh({ config: routesTo(upstream.port) })
  await mesh.ready()
})
afterAll(async () => {
  await mesh[Symbol.asyncDispose]()
  await upstream[Symbol.asyncDispose]()
})
beforeEach((context) => tellOnFailure(context, mesh))

async function databaseUrl(): Promise<string> {
  return (JSON.parse(await readFile(join(mesh.stateDir, 'postgres.json'), 'utf8')) as { readonly url: string }).url
}

test('M1: the embedded Postgres killed under load is started again by the mesh, and nothing acknowledged is lost', async () => {
  const writers = startWriters({ base: mesh.base, prefix: 'load', count: WRITERS, seed: SEED })
  await using traffic = startTraffic(mesh.base, {
    open: { path: '/open', everyMs: 25, deadlineMs: 2_000 },
    livez: { path: '/livez', everyMs: 100, deadlineMs: 500 },
  })
  const edge = await mesh.pidOf('edge')
  for (let kill = 0; kill < 2; kill++) {
    const before = writers.acknowledged.length
    await until('writes are under way', () => writers.acknowledged.length > before + 20)
    const killed = await mesh.postgresPid()
    const killedMs = performance.now()
    signal(killed, 'SIGKILL')
    await until('health says so', async () => (await mesh.readiness()).status === 503)
    await mesh.ready()
    await until('writes are acknowledged again', () => writers.acknowledged.length > before + 40)
    expect(await mesh.postgresPid()).not.toBe(killed)
    process.stdout.write(`embedded postgres killed: ready ${(performance.now() - killedMs).toFixed(0)} ms later\n`)
  }
  await writers.stop()
  expect(writers.violations).toEqual([])
  expect(await findDifferences(await databaseUrl(), 'load', writers.acknowledged)).toEqual([])
  expect(await traffic.stop()).toEqual([])
  expect(Object.keys(traffic.tally('open')), 'the gateway needs no database').toEqual(['200'])
  expect(Object.keys(traffic.tally('livez'))).toEqual(['200'])
  expect(await mesh.pidOf('edge'), 'no role was restarted for it').toBe(edge)
  const { password } = new URL(await databaseUrl())
  expect(mesh.logs(), 'M7: the password that it made is in no log').not.toContain(password)
  expect((await mesh.ask('/v1/mesh/graph')).text, 'nor in the graph').not.toContain(password)
})

test('M1, M2: the whole mesh killed with -9 twenty times under idempotent writes: each effect is there once, and repeating says the same', async () => {
  const random = createSeededRandom(SEED)
  const writers = startWriters({ base: mesh.base, prefix: 'kill', count: WRITERS, seed: SEED })
  const startedMs = performance.now()
  for (let cycle = 1; cycle <= CYCLES; cycle++) {
    const before = writers.acknowledged.length
    // In every third cycle while it is still coming up; else in the middle of writes.
    const wanted = cycle % 3 === 0 ? 0 : 1 + Math.floor(random() * 10)
    await until('writes are acknowledged', () => writers.acknowledged.length >= before + wanted, 20_000)
    const killAtMs = performance.now() + random() * 50
    await until('the moment has come', () => performance.now() >= killAtMs)
    await mesh.killAll({ postgres: cycle % POSTGRES_EVERY === 0 })
    await mesh.start()
  }
  await mesh.ready()
  await writers.stop()
  process.stdout.write(
    `killed ${CYCLES} times in ${((performance.now() - startedMs) / 1_000).toFixed(1)} s: ${writers.acknowledged.length} ` +
      `writes acknowledged, ${writers.unanswered()} attempts without an answer\n`,
  )
  expect(writers.violations).toEqual([])
  expect(writers.unanswered()).toBeGreaterThan(CYCLES)
  expect(writers.acknowledged.length).toBeGreaterThan(CYCLES * WRITERS)
  expect(await findDifferences(await databaseUrl(), 'kill', writers.acknowledged)).toEqual([])
}, 120_000)

test('SV2: when the mesh is told to stop, nothing of it is left running', async () => {
  expect((await mesh.processes()).length).toBeGreaterThanOrEqual(4)
  expect(await mesh.stop()).toEqual({ code: 0, signal: null })
  expect(await mesh.processes()).toEqual([])
})
