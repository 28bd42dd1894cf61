// Write-behind: a backlog of events in Redis is drained into Postgres by a work process, once undisturbed and once while it is killed
// again and again. Every event must be there exactly once.

import { signal, type TestMesh, until } from '../../tests/mesh/harness.ts'
import { query } from '../delivery/stand.ts'
import { treeCpuMs } from '../machine.ts'
import type { Result } from '../statistics.ts'
import { createClient, createSessions, inParallel, must, type SessionStand, startSessionStand } from './stand.ts'

const SESSIONS = 500
const KILL_EVERY_MS = 700

export async function drain(
  count: number,
): Promise<{ readonly results: readonly Result[]; readonly notes: readonly string[] }> {
  await using stand = await startSessionStand('redis', 1, false)
  const calm = await fill(stand, count)
  const cpuMs = treeCpuMs(stand.postgres.pid)
  const work = await stand.startMesh('work')
  const took = await untilDrained(stand, calm.expected)
  const workMs = treeCpuMs(work.pid)
  const perSecond = took.events / took.seconds
  const postgresUs = ((treeCpuMs(stand.postgres.pid) - cpuMs) * 1_000) / took.events
  await work.stop()
  const stormy = await fill(stand, Math.ceil(count / 2))
  await work.start()
  const kills = await killUntilDrained(stand, work, stormy.expected)
  const found = await countRows(stand)
  const isExact = found.rows === stormy.expected && found.forks === 0 && found.gaps === 0
  return {
    results: [
      {
        what: `write-behind into Postgres, a backlog of ${count} events`,
        figure: `${perSecond.toFixed(0)}/s`,
        asked: '>= 15000/s',
        met: perSecond >= 15_000,
      },
      {
        what: `the same with ${kills} kill -9 of the process that drains`,
        figure: `${found.rows} rows of ${stormy.expected}, ${found.gaps} sessions with gaps, ${found.forks} forks`,
        asked: 'exactly once',
        met: isExact && kills > 0,
      },
    ],
    notes: [
      `write-behind: us CPU an event: work process ${((workMs * 1_000) / took.events).toFixed(0)} (its start included), postgres ${postgresUs.toFixed(0)}; from its first row to its last`,
      `filled over HTTP at concurrency 64: ${calm.perSecond.toFixed(0)} switches/s`,
    ],
  }
}

/** Switches until there are so many events more; gives how many rows the log is to have then. */
async function fill(
  stand: SessionStand,
  count: number,
): Promise<{ readonly expected: number; readonly perSecond: number }> {
  const [mesh] = stand.meshes
  if (mesh === undefined) throw new Error('there is no edge')
  using client = createClient(mesh.base, 64)
  const { rows } = await countRows(stand)
  const ids = await createSessions(client, SESSIONS, 32)
  const startedMs = performance.now()
  await inParallel([...Array(count).keys()], 64, (index) =>
    must(client.post(`/v1/sessions/${ids[index % SESSIONS]}/switch`, {}), 200),
  )
  const perSecond = (count * 1_000) / (performance.now() - startedMs)
  return { expected: rows + 2 * SESSIONS + count, perSecond }
}

/** From the first row that comes to the last. */
async function untilDrained(
  stand: SessionStand,
  expected: number,
): Promise<{ readonly seconds: number; readonly events: number }> {
  const before = (await countRows(stand)).rows
  let first: { readonly rows: number; readonly atMs: number } | undefined
  let endMs = 0
  await until(
    'it is drained',
    async () => {
      const { rows } = await countRows(stand)
      endMs = performance.now()
      if (first === undefined && rows > before) first = { rows, atMs: endMs }
      return rows >= expected
    },
    120_000,
  )
  return { seconds: (endMs - (first?.atMs ?? endMs)) / 1_000, events: expected - (first?.rows ?? expected) }
}

async function killUntilDrained(stand: SessionStand, work: TestMesh, expected: number): Promise<number> {
  let kills = 0
  let nextMs = performance.now() + KILL_EVERY_MS
  await until(
    'it is drained',
    async () => {
      if (performance.now() > nextMs) {
        const pid = await work.pidOf('work')
        if (pid !== undefined) {
          signal(pid, 'SIGKILL')
          kills++
        }
        nextMs = performance.now() + KILL_EVERY_MS * (1 + 2 * Math.random())
      }
      return (await countRows(stand)).rows >= expected
    },
    240_000,
  )
  return kills
}

async function countRows({
  databaseUrl,
}: SessionStand): Promise<{ readonly rows: number; readonly gaps: number; readonly forks: number }> {
  const [row] = await query<Record<'rows' | 'gaps' | 'forks', string>>(
    databaseUrl,
    `select coalesce(sum(n), 0) as rows, count(*) filter (where n <> last) as gaps,
       (select count(*) from ripstop.session_forks) as forks
     from (select count(*) as n, max(version) as last from ripstop.session_log group by session_id) as each`,
  )
  return { rows: Number(row?.rows), gaps: Number(row?.gaps), forks: Number(row?.forks) }
}
