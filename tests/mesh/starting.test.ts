// Many processes that start at once on one empty database, as when a whole deployment comes up.

import { Client } from 'pg'
import { expect, inject, test } from 'vitest'
import { createEmptyDatabase } from './fixture.ts'
import { startMesh, type TestMesh, tellOnFailure } from './harness.ts'

const PROCESSES = 4

test('M1: four edges that start at once on an empty database all become ready, and each migration is applied once', async (context) => {
  const { adminUrl, ownerUrl } = inject('postgres')
  await using stack = new AsyncDisposableStack()
  const database = stack.use(await createEmptyDatabase(adminUrl, ownerUrl))
  const start = (): Promise<TestMesh> => startMesh({ env: { DATABASE_URL: database.url }, args: ['--roles', 'edge'] })
  const meshes = await Promise.all(Array.from({ length: PROCESSES }, start))
  for (const mesh of meshes) stack.use(mesh)
  tellOnFailure(context, ...meshes)
  await Promise.all(meshes.map((mesh) => mesh.ready()))

  const applied = meshes
    .flatMap((mesh) => [...mesh.logs().matchAll(/"event":"migration\.applied","version":(\d+)/g)])
    .map(([, version]) => Number(version))
  const kept = await versionsIn(database.url)
  expect(kept.length).toBeGreaterThanOrEqual(4)
  expect(
    applied.sort((one, other) => one - other),
    'told once, by whoever did it',
  ).toEqual(kept)
  for (const mesh of meshes) {
    const { status, json } = await mesh.ask('/health/migrations')
    expect([status, json]).toMatchObject([200, { state: 'current', version: kept.at(-1), problems: [] }])
    expect(await mesh.pidOf('work'), 'only what was asked for runs').toBe(undefined)
  }
  // One of them writes, all others read it.
  const [first, ...others] = meshes
  expect((await first?.ask('/v1/tenants', { method: 'POST', body: { name: 'shared' } }))?.status).toBe(201)
  for (const mesh of others) expect((await mesh.ask('/v1/tenants')).text).toContain('"shared"')
}, 60_000)

async function versionsIn(url: string): Promise<readonly number[]> {
  const client = new Client({ connectionString: url })
  await client.connect()
  try {
    const { rows } = await client.query<{ version: number }>(
      'select version::int from ripstop.migrations order by version',
    )
    return rows.map(({ version }) => version)
  } finally {
    await client.end()
  }
}
