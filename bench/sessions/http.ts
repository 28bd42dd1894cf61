// A switch over HTTP, one at a time: what a player waits for. On Postgres beside it the bare commit of a statement of the same shape.

import { Client as PostgresClient } from 'pg'
import { treeCpuMs } from '../machine.ts'
import { percentile, type Result } from '../statistics.ts'
import { createClient, createSessions, must, type StoreName, startSessionStand } from './stand.ts'

const SESSIONS = 200

export async function httpLatency(store: StoreName, count: number): Promise<readonly Result[]> {
  await using stand = await startSessionStand(store, 1, true)
  const [mesh] = stand.meshes
  if (mesh === undefined) return []
  using client = createClient(mesh.base, 1)
  const ids = await createSessions(client, SESSIONS, 1)
  const times: number[] = []
  const warm = Math.ceil(count / 4)
  let cpuMs = 0
  for (let index = 0; index < warm + count; index++) {
    if (index === warm) cpuMs = treeCpuMs(mesh.pid)
    const startedMs = performance.now()
    await must(client.post(`/v1/sessions/${ids[index % SESSIONS]}/switch`, {}), 200)
    if (index >= warm) times.push(performance.now() - startedMs)
  }
  const cpuUs = ((treeCpuMs(mesh.pid) - cpuMs) * 1_000) / count
  const p50 = percentile(times, 50)
  const p99 = percentile(times, 99)
  const shown = `p50 ${p50.toFixed(2)} ms, p99 ${p99.toFixed(2)} ms, ${cpuUs.toFixed(0)} us CPU of edge and work`
  if (store === 'redis')
    return [
      {
        what: 'switch over HTTP, redis, concurrency 1',
        figure: shown,
        asked: 'p50 <= 0.6 ms, p99 <= 2 ms',
        met: p50 <= 0.6 && p99 <= 2,
      },
    ]
  const bareMs = await bareCommitP50Ms(stand.databaseUrl, count)
  return [
    {
      what: 'switch over HTTP, postgres, concurrency 1',
      figure: `${shown}; the bare commit ${bareMs.toFixed(2)} ms`,
      asked: 'p50 <= bare commit + 1 ms',
      met: p50 <= bareMs + 1,
    },
  ]
}

/** An update and an insert in one statement, as a switch writes them, without anything around it. */
async function bareCommitP50Ms(url: string, count: number): Promise<number> {
  const client = new PostgresClient({ connectionString: url })
  await client.connect()
  const body = 'x'.repeat(1_000)
  await client.query('create table bare_state (id int primary key, version int, body text) with (fillfactor = 70)')
  await client.query('create table bare_log (id int, version int, body text, primary key (id, version))')
  await client.query('insert into bare_state select n, 0, $1 from generate_series(0, 199) n', [body])
  const times: number[] = []
  const text = `with changed as (update bare_state set version = $2, body = $3 where id = $1 and version = $2 - 1 returning id)
    insert into bare_log select id, $2, $4 from changed`
  for (let index = 0; index < count; index++) {
    const startedMs = performance.now()
    const values = [index % 200, Math.floor(index / 200) + 1, body, 'x'.repeat(300)]
    await client.query({ name: 'bare', text, values })
    times.push(performance.now() - startedMs)
  }
  await client.end()
  return percentile(times, 50)
}
