import { randomBytes } from 'node:crypto'
import { background, createEnv } from '@ripstop/kernel'
import { expect, test } from 'vitest'
import { createSealer } from '../platform/sealing/sealer.ts'
import { purposeOf, type SealedSource } from './source.ts'
import { SourceCache } from './source-cache.ts'

const sealer = createSealer({ keys: [randomBytes(32)] })

function start() {
  let nowMs = 1_000
  const env = createEnv({ clock: { wallMs: () => nowMs, monoMs: () => nowMs, schedule: () => () => {} } })
  const rows = new Map<string, SealedSource>()
  let reads = 0
  /** Between what a reading sees and its answer. */
  let meanwhile: () => void = () => {}
  const read = async (_ctx: unknown, sourceId: string): Promise<SealedSource | undefined> => {
    reads++
    const row = rows.get(sourceId)
    await Promise.resolve()
    meanwhile()
    return row
  }
  const cache = new SourceCache({ env, sealer, perSecond: 10, read })
  const put = (sourceId: string, ...secrets: readonly string[]): void => {
    const whose = { tenantId: 't', purpose: purposeOf(sourceId) }
    const sealedSecrets = secrets.map((secret) => sealer.seal(Buffer.from(secret), whose))
    const rest = { secrets: secrets.length, createdWallMs: 0, lastReceivedWallMs: undefined }
    rows.set(sourceId, { sourceId, tenantId: 't', name: 'n', scheme: 'github', ...rest, sealedSecrets })
  }
  const ctx = background(env)
  return {
    cache,
    rows,
    put,
    readings: () => reads,
    pass: (ms: number) => {
      nowMs += ms
    },
    whileReading: (act: () => void) => {
      meanwhile = act
    },
    secretsOf: async (sourceId: string) => (await cache.find(ctx, sourceId))?.secrets.length,
  }
}

test('IB5: a change elsewhere is seen after five seconds, and one reads for all', async () => {
  const { put, pass, readings, secretsOf, rows } = start()
  put('a', 'secret-1')
  expect(await secretsOf('a')).toBe(1)
  put('a', 'secret-1', 'secret-2')
  pass(4_999)
  expect([await secretsOf('a'), readings()]).toEqual([1, 1])
  pass(1)
  expect(await Promise.all([secretsOf('a'), secretsOf('a'), secretsOf('a')])).toEqual([2, 1, 1])
  expect([await secretsOf('a'), readings()]).toEqual([2, 2])
  rows.delete('a')
  pass(5_000)
  expect(await secretsOf('a')).toBeUndefined()
})

test('IB5: what was read before a change here is not kept', async () => {
  const { cache, put, secretsOf, whileReading } = start()
  put('a', 'secret-1')
  whileReading(() => {
    put('a', 'secret-1', 'secret-2')
    cache.forget('a')
  })
  expect(await secretsOf('a')).toBe(1)
  whileReading(() => {})
  expect(await secretsOf('a')).toBe(2)
})

test('IB4: its bound lives on when a source is read again, and made-up ids push nobody out', async () => {
  const { cache, put, pass, secretsOf, readings } = start()
  put('a', 'secret-1')
  await secretsOf('a')
  const state = cache.peek('a')?.state
  pass(5_000)
  await secretsOf('a')
  expect(cache.peek('a')?.state).toBe(state)
  for (let id = 0; id < 5_000; id++) expect(await secretsOf(`made-up-${id}`)).toBeUndefined()
  const before = readings()
  expect([await secretsOf('a'), readings()]).toEqual([1, before])
})

test('at the bound the source that was read longest ago goes', async () => {
  const { cache, put, secretsOf } = start()
  for (let id = 0; id <= 4_096; id++) {
    put(String(id), 'secret-1')
    await secretsOf(String(id))
  }
  expect(cache.peek('0')).toBeUndefined()
  expect(cache.peek('1')).toBeDefined()
})
