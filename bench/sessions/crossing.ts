// A switch at one process, seen by a client of another: from before the request is sent until the event is there.

import { WebSocket } from 'ws'
import { percentile, type Result } from '../statistics.ts'
import { createClient, createSessions, must, startSessionStand } from './stand.ts'

const PER_SECOND = 100

export async function crossing(seconds: number): Promise<readonly Result[]> {
  await using stand = await startSessionStand('redis', 2, true)
  const [first, second] = stand.meshes
  if (first === undefined || second === undefined) return []
  using client = createClient(first.base, 4)
  const [id = ''] = await createSessions(client, 1, 1)
  const seen = new Map<number, number>()
  const socket = await watch(second.port, id, seen)
  const sent = new Map<number, number>()
  const startedMs = performance.now()
  let version = 2 // created, started
  for (let index = 0; index < seconds * PER_SECOND; index++) {
    const dueMs = startedMs + (index * 1_000) / PER_SECOND
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, dueMs - performance.now())))
    sent.set(++version, performance.now())
    await must(client.post(`/v1/sessions/${id}/switch`, {}), 200)
  }
  await new Promise((resolve) => setTimeout(resolve, 1_000))
  socket.close()
  const times = [...sent].map(([at, ms]) => (seen.get(at) ?? Number.POSITIVE_INFINITY) - ms)
  const p50 = percentile(times, 50)
  const p99 = percentile(times, 99)
  const missing = times.filter((ms) => !Number.isFinite(ms)).length
  return [
    {
      what: `a switch at one process, seen by a client of another, ${PER_SECOND}/s, redis`,
      figure: `p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms, ${missing} not seen`,
      asked: 'p50 <= 5 ms, p99 <= 50 ms',
      met: p50 <= 5 && p99 <= 50 && missing === 0,
    },
  ]
}

async function watch(port: number, id: string, seen: Map<number, number>): Promise<WebSocket> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/ws?sessionId=${id}`, ['ripstop.v1'])
  const ready = Promise.withResolvers<void>()
  socket.on('open', () => socket.send(JSON.stringify({ t: 'sub' })))
  socket.on('error', (error) => ready.reject(error))
  socket.on('message', (bytes) => {
    const message = JSON.parse(String(bytes)) as { readonly t: string; readonly d?: { readonly version: number } }
    if (message.t === 'snap') ready.resolve()
    if (message.t === 'ev' && message.d !== undefined) seen.set(message.d.version, performance.now())
  })
  await ready.promise
  return socket
}
