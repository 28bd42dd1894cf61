// Durable delivery under faults, short and with a fixed seed: tests/soak/delivery-soak.ts is the long form. Two meshes share a
// Postgres; publishers keep a ledger, receivers an inbox; at the end both and the database must agree.

import { createSeededRandom } from '@ripstop/kernel'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { BEHAVIOURS } from '../delivery/receiver.ts'
import { type Rig, startRig } from '../delivery/rig.ts'
import { tellOnFailure, until } from './harness.ts'

const SEED = 3_003
const KILLS = 8
const PAST_LEASE_MS = 12_000
/** What a receiver does wrong, each for so long. */
const MISBEHAVE_MS = 700
/** Retries are at least 5 s apart, and a breaker may pause as long. */
const RECOVER_MS = 60_000

let rig: Rig

beforeAll(async () => {
  rig = await startRig({ seed: SEED, publishers: { pauseMs: 30 } })
  await rig.recover(RECOVER_MS)
})
afterAll(() => rig[Symbol.asyncDispose]())
beforeEach((context) => tellOnFailure(context, rig.a, ...(rig.b === undefined ? [] : [rig.b])))

async function passes(ms: number): Promise<void> {
  const endMs = performance.now() + ms
  await until('the time has come', () => performance.now() >= endMs, ms + 5_000)
}

function tell(what: string, recoveredMs: number): void {
  process.stdout.write(`${what}: flowing again after ${(recoveredMs / 1_000).toFixed(1)} s\n`)
}

test('M1, M2: a work process killed with -9 at random under load, and the edge, and deliveries go on', async () => {
  const random = createSeededRandom(SEED)
  for (let kill = 0; kill < KILLS; kill++) {
    await passes(100 + random() * 900)
    await rig.killWork(random() < 0.5 ? rig.a : (rig.b ?? rig.a))
  }
  await rig.killEdge()
  tell(`${KILLS} kills`, await rig.recover(RECOVER_MS))
}, 120_000)

test('M2: a mesh frozen past its leases is taken over, and what it does when it thaws is refused', async () => {
  const b = rig.b ?? rig.a
  const thaw = await rig.freeze(b)
  await passes(PAST_LEASE_MS)
  tell('frozen', await rig.recover(RECOVER_MS))
  thaw()
  tell('thawed', await rig.recover(RECOVER_MS))
  await until('it has found out that its shards are not its own any more', () =>
    b.logs().includes('"event":"delivery.shard_lost"'),
  )
}, 120_000)

test('M1: Postgres killed with -9 under load, and nothing acknowledged is gone', async () => {
  await rig.postgres.kill('SIGKILL')
  await passes(1_000)
  await rig.postgres.restart()
  tell('Postgres', await rig.recover(RECOVER_MS))
}, 120_000)

test('M2, M5: receivers that fail in every way get everything once all the same', async () => {
  for (const behaviour of BEHAVIOURS) {
    for (const { receiver } of rig.parties) receiver.behave(behaviour)
    await passes(MISBEHAVE_MS)
  }
  for (const { receiver } of rig.parties) receiver.behave('breaks 30 %')
  await passes(MISBEHAVE_MS * 3)
  for (const { receiver } of rig.parties) receiver.behave('well')
  tell('receivers', await rig.recover(RECOVER_MS))
}, 120_000)

test('M1, M2, M4: in the end every id was applied exactly once, keys in order, and nothing is left over', async () => {
  const { problems, drainedMs, ...counts } = await rig.settle()
  process.stdout.write(`drained in ${(drainedMs / 1_000).toFixed(1)} s: ${JSON.stringify(counts)}\n`)
  expect(problems).toEqual([])
  expect(counts.published).toBeGreaterThan(500)
  expect(counts.applied).toBe(counts.published * rig.parties.length)
  expect(counts.repeated, 'there was something to find out').toBeGreaterThan(0)
}, 240_000)
