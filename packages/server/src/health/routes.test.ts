import { createEnv, Mesh, type MeshGraph, RipstopError } from '@ripstop/kernel'
import { type MeshGraphWire, type MigrationStatusWire, meshEventSchema, type ReadinessWire } from '@ripstop/protocol'
import { describe, expect, test } from 'vitest'
import { startMigrations } from '#platform/postgres'
import { startProcessMetrics } from '#platform/telemetry'
import { startTestServer, type TestServer } from '../testing/http.ts'
import { startTestMesh, type TestMesh } from '../testing/mesh.ts'
import { startTestCluster } from '../testing/postgres.ts'
import { until } from '../testing/processes.ts'
import type { HealthRoutesDeps, SchemaStatus } from './routes.ts'
import { startHealth } from './start.ts'
import type { ProcessGraph } from './wire-graph.ts'

const CURRENT: SchemaStatus = {
  state: 'current',
  version: 4,
  newest: 4,
  problems: [],
  checkedWallMs: 1_700_000_000_000,
}

/** A mesh of one link that is up or down as it is told. */
function createFlaky(name = 'http.orders', more: { critical?: boolean } = {}) {
  const env = createEnv()
  const mesh = new Mesh(env)
  let broken = false
  const fail = async (): Promise<void> => {
    if (broken) throw new RipstopError('PEER_FAILED', 'orders says 503')
  }
  const link = mesh.link(
    name,
    {
      kind: 'http',
      target: 'http://127.0.0.1:4001',
      sharedFate: false,
      open: fail,
      probe: fail,
      close: () => {},
      fault: () => undefined,
    },
    { deadlineMs: 1_000, heartbeatMs: 50, ...more },
    { name: 'orders', kind: 'service' },
  )
  link.start()
  const breakIt = (to: boolean): void => {
    broken = to
    link.suspect('a test says so')
    link.wake()
  }
  return { env, mesh, link, breakIt }
}

interface Served extends AsyncDisposable {
  readonly server: TestServer
}

async function serve(
  { env, mesh }: { readonly env: TestMesh['env']; readonly mesh: Mesh },
  more: {
    schema?: HealthRoutesDeps['schema']
    others?: () => readonly ProcessGraph[]
    scopes?: readonly string[]
  } = {},
): Promise<Served> {
  const schema = more.schema ?? { status: () => CURRENT, check: async () => {} }
  const others = more.others ?? (() => [])
  const unmeasure = startProcessMetrics(mesh)
  const metrics = () => mesh.metrics.text()
  const health = startHealth({ env, mesh, processName: 'edge', others, metrics, schema })
  const principal = { tenantId: 't', actor: 'open', keyId: undefined, scopes: more.scopes ?? ['admin'] }
  const server = await startTestServer({
    routes: health.routes,
    authenticate: () => principal,
    metrics: mesh.metrics,
    env,
  })
  return {
    server,
    [Symbol.asyncDispose]: async () => {
      health[Symbol.dispose]()
      unmeasure()
      await server[Symbol.asyncDispose]()
    },
  }
}

/** Reads server-sent events until `enough` says so. */
async function readEvents(
  server: TestServer,
  enough: (text: string) => boolean,
  headers: Record<string, string> = {},
): Promise<string> {
  const stopping = new AbortController()
  const response = await fetch(`${server.url}/v1/mesh/events`, { headers, signal: stopping.signal })
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader()
  let text = ''
  while (reader !== undefined && !enough(text)) {
    const { value, done } = await reader.read()
    if (done) break
    text += value
  }
  stopping.abort()
  return text
}

const eventsOf = (text: string) =>
  [...text.matchAll(/^id: (.*)\nevent: (.*)\ndata: (.*)$/gm)].map(([, id = '', event = '', data = '']) => ({
    id,
    event,
    data: JSON.parse(data),
  }))

describe('health', () => {
  test('alive is alive, whatever is down', async () => {
    const flaky = createFlaky('http.orders', { critical: true })
    flaky.breakIt(true)
    await using served = await serve(flaky)
    for (const path of ['/livez', '/health']) {
      const { status, json } = await served.server.request(path)
      expect([status, json]).toEqual([200, { status: 'ok' }])
    }
    expect((await served.server.request('/readyz')).status).toBe(503)
  })

  test('RY1: readiness names the critical link that is down, since when and why; and is back when the link is', {
    timeout: 60_000,
  }, async () => {
    await using cluster = await startTestCluster()
    await using mesh = await startTestMesh(cluster.url)
    await using migrations = startMigrations({ env: mesh.env, log: mesh.log, postgres: mesh.postgres })
    await migrations.done
    await using served = await serve(mesh, { schema: migrations })
    const ready = async (path = '/readyz') => (await served.server.request(path)).json as unknown as ReadinessWire
    expect(await ready()).toEqual({ status: 'ready', missing: [], degraded: [] })
    await cluster.kill('SIGKILL')
    await until('the link is down', () => mesh.link.state === 'down')
    for (const path of ['/readyz', '/ready', '/health/readiness']) {
      expect((await served.server.request(path)).status).toBe(503)
      const { missing } = await ready(path)
      expect(missing.map(({ what }) => what)).toEqual(['postgres.main'])
      expect(missing[0]?.why).not.toBe('')
      expect(Date.parse(missing[0]?.since ?? '')).toBeGreaterThan(1_700_000_000_000)
    }
    const metrics = (await served.server.request('/metrics')).text
    expect(metrics).toContain('postgres_up 0')
    expect(metrics).not.toContain('redis_up')
    await cluster.restart()
    await until('it is ready again', async () => (await served.server.request('/readyz')).status === 200)
    expect((await served.server.request('/metrics')).text).toContain('postgres_up 1')
  })

  test('RY1: without its schema it is not ready, and says which way', async () => {
    const flaky = createFlaky()
    await until('it is up', () => flaky.link.state === 'up')
    for (const state of ['pending', 'unknown', 'too_new'] as const) {
      await using served = await serve(flaky, {
        schema: { status: () => ({ ...CURRENT, state }), check: async () => {} },
      })
      const { status, json } = await served.server.request('/readyz')
      expect([status, (json as unknown as ReadinessWire).missing.map(({ what }) => what)]).toEqual([
        503,
        ['migrations'],
      ])
    }
  })

  test('RY2: what only degrades is told and leaves it ready', async () => {
    const flaky = createFlaky()
    flaky.breakIt(true)
    const schema = {
      status: () => ({ ...CURRENT, state: 'drifted' as const, problems: ['index ripstop.x.y is missing'] }),
      check: async () => {},
    }
    await using served = await serve(flaky, { schema })
    await until('the link is down', () => flaky.link.state === 'down')
    const { status, json } = await served.server.request('/readyz')
    const { degraded } = json as unknown as ReadinessWire
    expect([status, degraded.map(({ what }) => what)]).toEqual([200, ['http.orders', 'migrations']])
    expect(degraded[1]?.why).toBe('index ripstop.x.y is missing')
  })

  test('migrations: drift by name, looked for anew but not at every call, and what keeps us from looking', async () => {
    let looked = 0
    let state: SchemaStatus = { ...CURRENT, state: 'drifted', problems: ['column ripstop.api_keys.name is missing'] }
    const schema = {
      status: () => state,
      check: async () => {
        looked++
        if (state.state === 'unknown') throw new RipstopError('LINK_DOWN', 'link postgres.main is down')
      },
    }
    await using served = await serve(createFlaky(), { schema })
    const ask = async () => {
      const { status, json } = await served.server.request('/health/migrations')
      return { ...(json as unknown as MigrationStatusWire), status }
    }
    expect(await ask()).toMatchObject({
      status: 503,
      state: 'drifted',
      problems: ['column ripstop.api_keys.name is missing'],
    })
    await ask()
    expect(looked).toBe(1)
    state = { state: 'unknown', version: undefined, newest: 4, problems: [], checkedWallMs: undefined }
    await using fresh = await serve(createFlaky(), { schema })
    const { json } = await fresh.server.request('/health/migrations')
    expect(json).toMatchObject({
      version: null,
      problems: ['not checked: link postgres.main is down'],
      checked_at: null,
    })
  })

  test('the graph holds every process, in names of the wire, and passes its own schema', async () => {
    const flaky = createFlaky()
    const other = createFlaky('process.edge')
    flaky.mesh.use({ component: 'edge', link: 'http.orders', need: 'hard' })
    flaky.mesh.drilled({ link: 'http.orders', fault: 'kill', recoveredMs: 120, wallMs: 1_700_000_000_000 })
    await using served = await serve(flaky, { others: () => [{ process: 'supervisor', graph: other.mesh.graph() }] })
    await until('both are up', () => flaky.link.state === 'up' && other.link.state === 'up')
    const graph = (await served.server.request('/v1/mesh/graph')).json.data as MeshGraphWire
    expect(graph.processes).toEqual(['edge', 'supervisor'])
    expect(graph.links.map(({ process, name }) => `${process} ${name}`)).toEqual([
      'edge http.orders',
      'supervisor process.edge',
    ])
    expect(graph.links[0]).toMatchObject({
      target: 'http://127.0.0.1:4001',
      live: { state: 'up', why: null, generation: 1, breaker: 'closed' },
      guarantees: { deadline_ms: 1_000, fallback: null, rate: null, retry: { attempts: 1 } },
      blast_radius: { hard: ['edge'], soft: [] },
      last_drill: { fault: 'kill', recovered_ms: 120, at: '2023-11-14T22:13:20.000Z' },
    })
    expect(graph.links[0]?.live.last_proof_age_ms).toBeLessThan(5_000)
  })

  test('events come as they happen, and whoever comes back after a break misses none', {
    timeout: 20_000,
  }, async () => {
    const flaky = createFlaky()
    await using served = await serve(flaky)
    await until('it is up', () => flaky.link.state === 'up')
    const first = readEvents(served.server, (text) => text.includes('"to":"down"'))
    await until('somebody listens', async () =>
      (await served.server.request('/metrics')).text.includes('http_event_streams_open 1'),
    )
    flaky.breakIt(true)
    const seen = eventsOf(await first)
    expect(seen[0]).toMatchObject({ event: 'hello', data: {} })
    for (const { event, data } of seen.slice(1)) expect(meshEventSchema.parse(data).type).toBe(event)
    const down = seen.findIndex(({ data }) => data.to === 'down')
    expect(seen[down]?.data).toMatchObject({
      process: 'edge',
      link: 'http.orders',
      why: expect.stringContaining('503'),
    })
    flaky.breakIt(false)
    await until('it is up again', () => flaky.link.state === 'up')
    const missed = eventsOf(
      await readEvents(served.server, (text) => text.includes('"to":"up"'), { 'last-event-id': seen[down]?.id ?? '' }),
    )
    expect(missed.at(-1)?.data).toMatchObject({ to: 'up' })
    expect(missed.map(({ event }) => event)).not.toContain('reset')
    const numbers = [...seen.slice(0, down + 1), ...missed].map(({ id }) => Number(id.split('.')[1]))
    expect(numbers).toEqual(numbers.map((_, index) => (numbers[0] ?? 0) + index))
    const lost = eventsOf(
      await readEvents(served.server, (text) => text.includes('event: '), { 'last-event-id': 'another-boot.3' }),
    )
    expect(lost[0]?.event).toBe('reset')
  })

  test('what happens in another process is told too, once, but not what happened before', {
    timeout: 20_000,
  }, async () => {
    const flaky = createFlaky()
    const other = createFlaky('http.billing')
    await until('it is up', () => other.link.state === 'up')
    let told: MeshGraph = other.mesh.graph()
    await using served = await serve(flaky, { others: () => [{ process: 'work', graph: told }] })
    const reading = readEvents(served.server, (text) => text.includes('"to":"down"'))
    await until('somebody listens', async () =>
      (await served.server.request('/metrics')).text.includes('http_event_streams_open 1'),
    )
    other.breakIt(true)
    await until('it is down', () => other.link.state === 'down')
    told = other.mesh.graph()
    const events = eventsOf(await reading).filter(({ data }) => data.process === 'work')
    expect(events.map(({ data }) => data.to)).toEqual(['degraded', 'down'])
  })

  test('the page comes alone, and only its own script and style may run', async () => {
    await using served = await serve(createFlaky())
    const { text, headers } = await served.server.request('/')
    expect(text).not.toMatch(/\/\* (style|script) \*\//)
    expect(text).toContain('What happened')
    expect(text).not.toMatch(
      /<(script|link|img)[^>]+(src|href)=|style="|onclick=|https?:\/\/(?!www\.w3\.org\/2000\/svg)/,
    )
    expect(headers.get('content-security-policy')).toMatch(
      /^default-src 'none'; script-src 'sha256-\S+'; style-src 'sha256-\S+'; connect-src 'self'/,
    )
  })

  test('what shows the mesh from inside needs mesh:read; what load balancers read needs nothing', async () => {
    await using served = await serve(createFlaky(), { scopes: ['audit:read'] })
    for (const path of ['/metrics', '/v1/mesh/graph', '/v1/mesh/events']) {
      expect((await served.server.request(path)).json.error?.code).toBe('FORBIDDEN')
    }
    for (const path of ['/', '/livez', '/health', '/health/migrations']) {
      expect((await served.server.request(path)).status).toBe(200)
    }
  })
})
