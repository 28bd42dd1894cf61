import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import { startTestMesh } from '../testing/mesh.ts'
import { createTestDatabase } from '../testing/postgres.ts'
import { until } from '../testing/processes.ts'
import { startSessionStores } from './start.ts'

test('AY5: a pool that is busy with long calls is no interruption of service', { timeout: 30_000 }, async () => {
  await using database = await createTestDatabase()
  await using mesh = await startTestMesh(database.url)
  await using stores = startSessionStores({
    env: mesh.env,
    log: mesh.log,
    mesh: mesh.mesh,
    link: mesh.link,
    beatsAdapter: mesh.postgres.adapter(1),
    redis: undefined,
    nodeId: randomUUID(),
    endedTtlMs: 1_000,
    backlogMax: 1_000,
  })
  const { authority } = stores
  const isKnown = (): boolean =>
    mesh.mesh.metrics.read().some(({ name, values }) => name === 'sessions_epoch' && values[0] === 1)
  await until('the authority is known', isKnown)
  const endMs = performance.now() + 3_000
  const callers = Array.from({ length: 60 }, async () => {
    while (performance.now() < endMs) await mesh.query('select pg_sleep(0.25)').catch(() => undefined)
  })
  await Promise.all(callers)
  expect(authority.term().epoch).toBe(1)
  expect(await mesh.query('select reason from ripstop.session_epochs')).toEqual([{ reason: 'first' }])
})
