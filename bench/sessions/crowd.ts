// A crowd: 10,000 running sessions, each watched by a socket and switched every 10 s, on two processes.

import { readFileSync } from 'node:fs'
import { type Helper, startHelper } from '../ipc.ts'
import { treeCpuMs } from '../machine.ts'
import { percentile, type Result } from '../statistics.ts'
import type { Opening } from './byte-client.ts'
import { type Client, createClient, createSessions, startSessionStand } from './stand.ts'

const EDGES = 2
const SWITCH_EVERY_MS = 10_000

export async function crowd(
  count: number,
  seconds: number,
): Promise<{ readonly results: readonly Result[]; readonly notes: readonly string[] }> {
  await using stand = await startSessionStand('redis', EDGES, true)
  await using owned = new AsyncDisposableStack()
  const share = count / EDGES
  const parties: { readonly pid: number; readonly ids: readonly string[]; readonly client: Client; helper: Helper }[] =
    []
  for (const mesh of stand.meshes) {
    const client = owned.use(createClient(mesh.base, 64))
    const helper = owned.use(await startHelper('sessions/byte-client.ts'))
    const ids = await createSessions(client, share, 32)
    parties.push({ pid: (await mesh.pidOf('edge')) ?? 0, ids, client, helper })
  }
  const beforeKb = parties.map(({ pid }) => rssKb(pid))
  for (const [index, { helper, ids }] of parties.entries()) {
    const port = stand.meshes[index]?.port ?? 0
    const paths = ids.map((id) => `/ws?sessionId=${id}`)
    const headers = { 'Sec-WebSocket-Protocol': 'ripstop.v1' }
    await helper.ask('open', {
      port,
      paths,
      headers,
      first: JSON.stringify({ t: 'sub' }),
      answersPings: true,
    } satisfies Opening)
  }
  const perSocketKb = parties.reduce((total, { pid }, index) => total + rssKb(pid) - (beforeKb[index] ?? 0), 0) / count
  const times: number[] = []
  const errors = new Map<string, number>()
  const cpuMs = parties.reduce((total, { pid }) => total + treeCpuMs(pid), 0)
  await Promise.all(parties.map(({ client, ids }) => play(client, ids, seconds, times, errors)))
  const cpuUs = ((parties.reduce((total, { pid }) => total + treeCpuMs(pid), 0) - cpuMs) * 1_000) / times.length
  const read = await Promise.all(parties.map(({ helper }) => helper.ask<{ ended: number }>('read')))
  const ended = read.reduce((total, each) => total + each.ended, 0)
  const failed = [...errors.values()].reduce((total, each) => total + each, 0) + ended
  const p99 = percentile(times, 99)
  return {
    results: [
      {
        what: `${count} sessions, each switched every 10 s, ${count} sockets, ${seconds} s`,
        figure: `${failed} errors, p50 ${percentile(times, 50).toFixed(1)} ms, p99 ${p99.toFixed(1)} ms, ${perSocketKb.toFixed(1)} KB a connection`,
        asked: '0 errors, p99 <= 50 ms, <= 12 KB',
        met: failed === 0 && p99 <= 50 && perSocketKb <= 12,
      },
    ],
    notes: [
      `crowd: ${times.length} switches, ${cpuUs.toFixed(0)} us CPU of both edges each, its broadcast included; errors: ${[...errors].map(([what, times]) => `${what} ${times}`).join(', ') || 'none'}; sockets that ended: ${ended}`,
      'its KB are growth of resident memory while the sockets were opened; two edges, since one process may hold half of the descriptors that this machine allows (20,000)',
    ],
  }
}

/** Open loop: each session at its own phase, whatever the others take. */
async function play(
  client: Client,
  ids: readonly string[],
  seconds: number,
  times: number[],
  errors: Map<string, number>,
): Promise<void> {
  const startedMs = performance.now()
  const gapMs = SWITCH_EVERY_MS / ids.length
  const underWay: Promise<void>[] = []
  for (let index = 0; index < (seconds * 1_000) / gapMs; index++) {
    const dueMs = startedMs + index * gapMs
    const waitMs = dueMs - performance.now()
    if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs))
    underWay.push(one(client, ids[index % ids.length] ?? '', dueMs, times, errors))
  }
  await Promise.all(underWay)
}

/** Counted from when it was due: a request that waits for the one before it has waited. */
async function one(
  client: Client,
  id: string,
  dueMs: number,
  times: number[],
  errors: Map<string, number>,
): Promise<void> {
  const fail = (what: string): void => void errors.set(what, (errors.get(what) ?? 0) + 1)
  try {
    const { status } = await client.post(`/v1/sessions/${id}/switch`, {})
    if (status !== 200) fail(String(status))
  } catch (error) {
    fail(String(error))
  }
  times.push(performance.now() - dueMs)
}

function rssKb(pid: number): number {
  return Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0)
}
