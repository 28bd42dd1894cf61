import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { systemClock } from '@ripstop/kernel'
import { expect, onTestFinished, test } from 'vitest'
import { runCommand } from '../command.ts'
import type { Finding } from '../model/finding.ts'
import { FORMATS, render } from '../reports/formats.ts'
import { reportOfMesh } from './audit-mesh.ts'
import type { MeshGraph, MeshLink } from './wire.ts'

const AT = '2026-11-22T12:00:00.000Z'
const NOW = Date.parse(AT)

type Changes = { readonly [Part in 'guarantees' | 'live']?: Partial<MeshLink[Part]> } & Partial<
  Pick<MeshLink, 'blast_radius' | 'last_drill'>
>

function linkWith(changes: Changes): MeshLink {
  return {
    process: 'work',
    name: 'stock.main',
    to: 'stock',
    kind: 'http',
    target: 'stock:80',
    guarantees: {
      deadline_ms: 2_000,
      recover_within_ms: 1_500,
      critical: false,
      when_down: 'fast',
      fallback: null,
      retry: { attempts: 2, base_ms: 25, cap_ms: 1_000 },
      budget: { share: 0.2, per_second: 3 },
      breaker: { failure_rate: 0.5, minimum_calls: 20, window_ms: 10_000, open_ms: 1_000, open_ms_max: 30_000 },
      bulkhead: { concurrent: 10, queue: 20 },
      rate: null,
      open_deadline_ms: 1_000,
      probe_deadline_ms: 400,
      heartbeat_ms: 600,
      max_age_ms: null,
      ...changes.guarantees,
    },
    live: {
      state: 'up',
      why: null,
      generation: 1,
      last_proof_at: AT,
      last_proof_age_ms: 5,
      in_flight: 0,
      waiting: 0,
      oldest_overdue_ms: 0,
      breaker: 'closed',
      retry_budget: 10,
      degradation: null,
      pool: null,
      transitions: [],
      ...changes.live,
    },
    blast_radius: changes.blast_radius ?? { hard: ['orders'], soft: [] },
    last_drill: changes.last_drill ?? null,
  }
}

function meshOf(link: MeshLink): MeshGraph {
  return {
    at: AT,
    processes: ['edge', 'work'],
    components: [
      { name: 'orders', kind: 'service' },
      { name: 'stock', kind: 'service' },
    ],
    uses: [{ component: 'orders', link: 'stock.main', need: 'hard' }],
    links: [link],
  }
}

function found(changes: Changes): readonly Finding[] {
  return reportOfMesh(meshOf(linkWith(changes)), 'mesh', '1.2.3', NOW).findings
}

const fall = (from: 'up' | 'connecting', minutesAgo: number) => ({
  at: new Date(NOW - minutesAgo * 60_000).toISOString(),
  from,
  to: 'down' as const,
  why: 'reset',
  generation: 1,
})

test.each<readonly [string, Changes, string, string]>([
  ['mesh-link-down', { live: { state: 'down', why: 'refused', transitions: [fall('up', 2)] } }, 'critical', 'measured'],
  ['mesh-link-degraded', { live: { degradation: { name: 'cache', active: true, uses: 7 } } }, 'medium', 'measured'],
  ['mesh-link-flapping', { live: { transitions: [9, 5, 1].map((ago) => fall('up', ago)) } }, 'high', 'measured'],
  ['mesh-call-overdue', { live: { oldest_overdue_ms: 900 } }, 'high', 'measured'],
  ['mesh-link-exhausted', { live: { pool: { size: 5, in_use: 5, waiting: 3 } } }, 'high', 'measured'],
  ['mesh-breaker-open', { live: { breaker: 'open' } }, 'high', 'measured'],
  ['mesh-recovery-missed', { last_drill: { fault: 'down', recovered_ms: 4_000, at: AT } }, 'high', 'measured'],
  ['mesh-no-retry', { guarantees: { retry: { attempts: 1, base_ms: 25, cap_ms: 1_000 } } }, 'low', 'config'],
  ['mesh-no-breaker', { guarantees: { breaker: null } }, 'medium', 'config'],
])('ME2: %s is said of %j, and says how it is known', (rule, changes, severity, provenance) => {
  expect(found(changes)).toEqual([
    expect.objectContaining({ rule, severity, evidence: [expect.objectContaining({ provenance, loc: undefined })] }),
  ])
})

test.each<Changes>([
  {},
  { live: { transitions: [fall('up', 30), fall('up', 20), fall('up', 1)] } },
  { live: { state: 'idle', waiting: 3, pool: { size: 5, in_use: 5, waiting: 0 } } },
  { live: { transitions: [3, 2, 1].map((ago) => fall('connecting', ago)) } },
  {
    guarantees: { retry: { attempts: 1, base_ms: 1, cap_ms: 1 }, breaker: null },
    blast_radius: { hard: [], soft: [] },
  },
  { guarantees: { retry: { attempts: 1, base_ms: 1, cap_ms: 1 }, fallback: 'cache' } },
  { last_drill: { fault: 'down', recovered_ms: 400, at: AT } },
])('ME2, ME3: nothing is said of %j', (changes) => {
  expect(found(changes)).toEqual([])
})

test('ME2: a mesh has a grade, its graph with guarantees, and a report in every format', () => {
  const report = reportOfMesh(meshOf(linkWith({ live: { state: 'down' } })), 'mesh', '1.2.3', NOW)
  expect(report.grade).toBe('D')
  expect(report.graph.links[0]).toMatchObject({ name: 'orders -> stock', kind: 'http', need: 'hard' })
  const deadline = report.graph.links[0]?.guarantees.find(({ kind }) => kind === 'deadline')
  expect(deadline).toMatchObject({ state: 'present', evidence: [{ provenance: 'config', value: 2_000, unit: 'ms' }] })
  for (const format of FORMATS) expect(render(report, format).text).toContain('stock.main')
})

async function served(answer: string, status = 200): Promise<{ readonly url: string; readonly keys: unknown[] }> {
  const keys: unknown[] = []
  const server: Server = createServer((request, response) => {
    keys.push(request.headers.authorization)
    response.writeHead(status).end(request.url === '/v1/mesh/graph' ? answer : '')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, keys }
}

async function auditMesh(...args: readonly string[]): Promise<readonly [code: number, out: string, said: string]> {
  const out: string[] = []
  const said: string[] = []
  const code = await runCommand(args, {
    clock: systemClock,
    program: 'ripstop audit',
    version: '1.2.3',
    env: { RIPSTOP_KEY: 'key-of-mine' },
    isWatched: false,
    out: (text) => void out.push(text),
    say: (text) => void said.push(text),
    readText: () => '',
    prepare: (path) => path,
    writeText: () => {},
  })
  return [code, out.join(''), said.join('')]
}

test('ME1: a running mesh is asked once, with the key, and its report is written', async () => {
  const { url, keys } = await served(JSON.stringify({ data: meshOf(linkWith({ live: { state: 'down' } })) }))
  const [code, out] = await auditMesh('--mesh', url, '--format', 'json')
  expect([code, JSON.parse(out).findings[0].rule]).toEqual([1, 'mesh-link-down'])
  expect(keys).toEqual(['Bearer key-of-mine'])
})

test.each([
  ['<html>', 200, 'is no JSON'],
  ['{"data":{"links":[{}]}}', 200, 'is no graph of a mesh'],
  ['{}', 401, 'the answer is 401'],
])('ME1: an answer like %j (%i) is refused, and the key is not told', async (answer, status, problem) => {
  const { url } = await served(answer, status)
  const [code, , said] = await auditMesh('--mesh', url)
  expect([code, said]).toEqual([2, expect.stringContaining(problem)])
  expect(said).not.toContain('key-of-mine')
})

test('ME1: what is no address, and an address where nobody is, are told', async () => {
  expect(await auditMesh('--mesh', 'shop')).toEqual([2, '', expect.stringContaining('AUDIT_USAGE')])
  expect(await auditMesh('--mesh', 'http://127.0.0.1:1')).toEqual([
    2,
    '',
    expect.stringContaining('AUDIT_MESH_UNREADABLE'),
  ])
})
