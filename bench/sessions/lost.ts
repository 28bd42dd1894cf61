// Lost updates: eight writers switch one session as fast as they can. Every acknowledged switch must be one version of it. Through two
// processes and each store; the seed's pipeline beside it, eight writers in one process.

import { startTestRedis } from '../../packages/server/src/testing/redis.ts'
import type { Result } from '../statistics.ts'
import { startSeedPipeline } from './seed-pipeline.ts'
import { createClient, createSessions, type StoreName, startSessionStand } from './stand.ts'

const WRITERS = 8

export async function lostUpdates(store: StoreName, seconds: number): Promise<readonly Result[]> {
  await using stand = await startSessionStand(store, 2, false)
  await using owned = new AsyncDisposableStack()
  const clients = stand.meshes.map(({ base }) => owned.use(createClient(base, WRITERS)))
  const [first] = clients
  if (first === undefined) return []
  const [id = ''] = await createSessions(first, 1, 1)
  const endMs = performance.now() + seconds * 1_000
  const answers = new Map<number, number>()
  await Promise.all(
    Array.from({ length: WRITERS }, async (_, writer) => {
      const client = clients[writer % clients.length] ?? first
      while (performance.now() < endMs) {
        const { status } = await client.post(`/v1/sessions/${id}/switch`, {})
        answers.set(status, (answers.get(status) ?? 0) + 1)
      }
    }),
  )
  const { data } = await first.post<{ readonly version: number }>(`/v1/sessions/${id}/pause`, {})
  const acknowledged = answers.get(200) ?? 0
  const lost = acknowledged - (data.version - 3) // created, started, and the pause
  const others = [...answers].filter(([status]) => status !== 200).map(([status, times]) => `${status}: ${times}`)
  return [
    {
      what: `lost acknowledged updates, ${WRITERS} writers on one session, ${seconds} s, ${store}`,
      figure: `${lost} of ${acknowledged} (answers but 200: ${others.join(', ') || 'none'})`,
      asked: '0; conflicts reported',
      met: lost === 0 && acknowledged > 0,
    },
  ]
}

export async function lostBySeed(seconds: number): Promise<readonly Result[]> {
  await using redis = await startTestRedis({ settings: { appendonly: 'yes', appendfsync: 'everysec' } })
  await using seed = await startSeedPipeline(redis.url)
  const id = crypto.randomUUID()
  await seed.create(id)
  const endMs = performance.now() + seconds * 1_000
  let acknowledged = 0
  let conflicts = 0
  await Promise.all(
    Array.from({ length: WRITERS }, async () => {
      while (performance.now() < endMs) {
        if (await seed.switch(id)) acknowledged++
        else conflicts++
      }
    }),
  )
  const lost = acknowledged - ((await seed.version(id)) - 1)
  return [
    {
      what: "the seed's GET, check, SETEX, the same",
      figure: `${lost} of ${acknowledged} (${((lost / acknowledged) * 100).toFixed(0)} %), ${conflicts} conflicts`,
      asked: 'beside it',
      met: true,
    },
  ]
}
