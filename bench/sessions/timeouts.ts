// Deadlines by three processes: as many sessions as asked, started at 1,250 a second and due a fixed time later; for every fourth a switch is
// sent so that it comes within 4 ms of the deadline. In the log each must have exactly one of the two.

import { query } from '../delivery/stand.ts'
import { percentile, type Result } from '../statistics.ts'
import { createClient, inParallel, must, sessionBody, startSessionStand } from './stand.ts'

const PER_SECOND = 1_250
const RACE_EVERY = 4
const RACE_MS = 4
const SWITCH_AHEAD_MS = 1 // what a request takes until it is received

export async function timeouts(
  count: number,
): Promise<{ readonly results: readonly Result[]; readonly notes: readonly string[] }> {
  await using stand = await startSessionStand('redis', 3, true)
  await using owned = new AsyncDisposableStack()
  const clients = stand.meshes.map(({ base }) => owned.use(createClient(base, 64)))
  const clientAt = (index: number) => clients[index % clients.length] ?? (clients[0] as (typeof clients)[number])
  const dueAfterMs = 3_000 + (count / PER_SECOND) * 1_000
  const ids = Array.from({ length: count }, () => crypto.randomUUID())
  await inParallel([...ids.keys()], 32, (index) => {
    const participants = [0, 1].map((participant_index) => ({
      participant_id: crypto.randomUUID(),
      participant_index,
      total_time_ms: dueAfterMs,
    }))
    return must(
      clientAt(index).post('/v1/sessions', sessionBody(ids[index] ?? '', { participants, action_on_timeout: 'end' })),
      201,
    )
  })
  const raced = { switched: 0, refused: 0 }
  const races: Promise<void>[] = []
  const startedMs = performance.now()
  const starting: Promise<void>[] = []
  for (let index = 0; index < count; index++) {
    const waitMs = startedMs + (index * 1_000) / PER_SECOND - performance.now()
    if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs))
    starting.push(begin(index))
  }
  await Promise.all(starting)
  await Promise.all(races)
  await new Promise((resolve) => setTimeout(resolve, dueAfterMs + 3_000 - (performance.now() - startedMs) + 8_000))
  return await judge(stand.databaseUrl, ids, raced)

  async function begin(index: number): Promise<void> {
    const id = ids[index] ?? ''
    const begun = await must(
      clientAt(index).post<{ readonly cycle_started_at: string }>(`/v1/sessions/${id}/start`, {}),
      200,
    )
    if (index % RACE_EVERY !== 0) return
    const deadlineMs = Date.parse(begun.cycle_started_at) + dueAfterMs
    const at = deadlineMs - SWITCH_AHEAD_MS + RACE_MS * (2 * Math.random() - 1)
    races.push(race(index, id, at))
  }

  async function race(index: number, id: string, atMs: number): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, atMs - Date.now())))
    const { status } = await clientAt(index + 1).post(`/v1/sessions/${id}/switch`, {})
    if (status === 200) raced.switched++
    else raced.refused++
  }
}

async function judge(
  url: string,
  ids: readonly string[],
  raced: { readonly switched: number; readonly refused: number },
): Promise<{ readonly results: readonly Result[]; readonly notes: readonly string[] }> {
  const rows = await query<{ session_id: string; text: string }>(
    url,
    'select session_id::text, text from ripstop.session_log where session_id = any ($1::uuid[])',
    [ids],
  )
  const lateMs: number[] = []
  const expired = new Map<string, number>()
  const switched = new Map<string, number>()
  for (const { session_id, text } of rows) {
    const { event, decidedMs } = JSON.parse(text) as {
      readonly event: { readonly kind: string; readonly atMs: number; readonly place?: number }
      readonly decidedMs: number
    }
    if (event.kind === 'switched') switched.set(session_id, (switched.get(session_id) ?? 0) + 1)
    // Who got the turn by a switch falls later, too: that is another deadline.
    if (event.kind !== 'expired' || event.place !== 0) continue
    expired.set(session_id, (expired.get(session_id) ?? 0) + 1)
    lateMs.push(decidedMs - event.atMs)
  }
  const double = ids.filter((id) => (expired.get(id) ?? 0) + (switched.get(id) ?? 0) > 1).length
  const missing = ids.filter((id) => (expired.get(id) ?? 0) + (switched.get(id) ?? 0) === 0).length
  const p99 = percentile(lateMs, 99)
  return {
    results: [
      {
        what: `timeouts, 3 processes, ${PER_SECOND}/s, ${ids.length} deadlines, every fourth raced by a switch, redis`,
        figure: `${double} double, ${missing} missing, lateness p50 ${percentile(lateMs, 50).toFixed(1)} ms, p99 ${p99.toFixed(1)} ms`,
        asked: '0, 0, p99 <= 5 ms',
        met: double === 0 && missing === 0 && p99 <= 5,
      },
    ],
    notes: [
      `timeouts: of the races ${raced.switched} switches came first, ${raced.refused} were refused; lateness is decided minus deadline, server time, whole ms; max ${percentile(lateMs, 100)} ms`,
    ],
  }
}
