// Every fault on the links to a real Postgres and a real Redis, each behind a fault proxy and under load: 0 hung calls,
// proved up again, and nothing left behind. Measured times are printed; figures are judged on a quiet machine by bench/.

import {
  createProxyFaults,
  type Fault,
  type FaultProxy,
  renderFaultMatrix,
  runFaultMatrix,
  startCensus,
  startFaultProxy,
} from '@ripstop/faults'
import { type AnyLink, background, type Ctx, createEnv, type Link, Mesh } from '@ripstop/kernel'
import { createPostgresAdapter, type PostgresPool } from '@ripstop/kernel/postgres'
import { createRedisAdapter } from '@ripstop/kernel/redis'
import type { Redis } from 'ioredis'
import { expect, test } from 'vitest'
import { startTestCluster, type TestCluster } from '../../packages/server/src/testing/postgres.ts'
import { startTestRedis, type TestRedis } from '../../packages/server/src/testing/redis.ts'
import { type Load, startLoad } from './load.ts'

const SIZE = 4
const DEADLINE_MS = 500
/** Beyond what the links promise, for a machine that others use too. */
const SLACK_MS = 2_500
const SILENT_MS = 2_000
const ALLOWED = ['DEADLINE_EXCEEDED', 'LINK_DOWN', 'LINK_LOST', 'OVERLOADED', 'PEER_FAILED']

interface Peer {
  readonly link: AnyLink
  readonly proxy: FaultProxy
  readonly server: TestCluster | TestRedis
  readonly canary: () => Promise<unknown>
  readonly load: () => Load
}

interface Fixture extends AsyncDisposable {
  readonly ctx: Ctx
  readonly postgres: Peer & { readonly link: Link<PostgresPool> }
  readonly redis: Peer & { readonly link: Link<Redis> }
}

async function startFixture(): Promise<Fixture> {
  await using starting = new AsyncDisposableStack()
  const cluster = starting.use(await startTestCluster())
  const server = starting.use(await startTestRedis())
  const mesh = new Mesh(createEnv())
  const ctx = background(mesh.env)
  const pgProxy = starting.use(await startFaultProxy({ upstream: { host: '127.0.0.1', port: cluster.port } }))
  const redisProxy = starting.use(await startFaultProxy({ upstream: { host: '127.0.0.1', port: server.port } }))
  const postgres = mesh.link(
    'postgres.main',
    createPostgresAdapter({ url: pgProxy.through(cluster.url), size: SIZE }),
    {
      deadlineMs: DEADLINE_MS,
      bulkhead: { concurrent: SIZE, queue: 64 },
      breaker: 'none',
    },
  )
  const redis = mesh.link('redis.main', createRedisAdapter({ url: redisProxy.through(server.url) }), {
    deadlineMs: DEADLINE_MS,
    breaker: 'none',
  })
  starting.defer(() => mesh.drain(ctx.within(1_000)))
  for (const link of mesh.links()) link.start()
  await postgres.whenUp(ctx.within(5_000))
  await redis.whenUp(ctx.within(5_000))
  // All slots at once: how many are open must not depend on how much a fault made wait.
  const query = (): Promise<unknown> => postgres.call(ctx, (pg, call) => pg.query(call, 'select pg_sleep(0.05)'))
  const canary = (): Promise<unknown> => Promise.all(Array.from({ length: SIZE }, query))
  await canary()
  const owned = starting.move()
  return {
    ctx,
    postgres: {
      link: postgres,
      proxy: pgProxy,
      server: cluster,
      canary,
      load: () => startLoad(postgres, ctx, (pg, call) => pg.query(call, 'select $1::int', [1]), 20),
    },
    redis: {
      link: redis,
      proxy: redisProxy,
      server,
      canary: () => redis.call(ctx, (client) => client.get('a')),
      load: () => startLoad(redis, ctx, (client) => client.incr('n'), 20),
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

function createFaults(peerOf: (link: { readonly name: string }) => Peer): Fault<AnyLink>[] {
  const ofProxy = createProxyFaults<AnyLink>((link) => peerOf(link).proxy)
  return [
    ...ofProxy.map((fault) => (/half_open|black_hole/.test(fault.name) ? { ...fault, holdMs: SILENT_MS } : fault)),
    {
      name: 'kill -9',
      inject: (link) => peerOf(link).server.kill('SIGKILL'),
      heal: (link) => peerOf(link).server.restart(),
    },
    {
      name: 'SIGSTOP',
      inject: (link) => peerOf(link).server.kill('SIGSTOP'),
      heal: (link) => peerOf(link).server.kill('SIGCONT'),
      holdMs: SILENT_MS,
    },
  ]
}

function report({ record }: Load, name: string): void {
  const codes = [...record.codes].map(([code, count]) => `${code} ${count}`).join(', ')
  const overdue = `the worst ${Math.max(0, record.overdueMs).toFixed(0)} ms past its deadline`
  process.stdout.write(`${name}: ${record.calls} calls, ${record.failed} failed (${codes}), ${overdue}\n`)
}

test('L1, L2, L5: after every fault both links recover, no call hangs, and permits, slots and sockets come back', async () => {
  using census = startCensus()
  await using fixture = await startFixture()
  const peers = [fixture.postgres, fixture.redis]
  const peerOf = ({ name }: { readonly name: string }): Peer => {
    const peer = peers.find(({ link }) => link.name === name)
    if (peer === undefined) throw new Error(`no peer of ${name}`)
    return peer
  }
  const loads = peers.map((peer) => peer.load())
  const cells = await runFaultMatrix<AnyLink>({
    faults: createFaults(peerOf),
    links: peers.map(({ link }) => link),
    holdMs: 700,
    seed: 1,
    within: 1_500 + SLACK_MS,
    canary: (link) => peerOf(link).canary(),
    census: { snapshot: () => ({ sockets: census.snapshot().sockets, timers: 0 }) },
  })
  await Promise.all(loads.map((load) => load.stop()))

  process.stdout.write(`${renderFaultMatrix(cells)}\n`)
  for (const [index, load] of loads.entries()) {
    report(load, peers[index]?.link.name ?? '')
    expect(load.record.open).toBe(0)
    expect(load.record.overdueMs).toBeLessThanOrEqual(50)
    expect([...load.record.codes.keys()].filter((code) => !ALLOWED.includes(code))).toEqual([])
  }
  expect(cells.filter(({ recovered }) => !recovered)).toEqual([])
  const { postgres, redis } = fixture
  expect(postgres.link.snapshot()).toMatchObject({
    state: 'up',
    inFlight: 0,
    waiting: 0,
    pool: { inUse: 0, waiting: 0 },
  })
  expect(redis.link.snapshot()).toMatchObject({ state: 'up', inFlight: 0, waiting: 0 })
}, 180_000)

test('L6: half-open connections that never heal are found out and replaced, also by an idle link', async () => {
  await using fixture = await startFixture()
  for (const { link, proxy, load, canary } of [fixture.postgres, fixture.redis]) {
    for (const busy of [true, false]) {
      const running = busy ? load() : undefined
      const before = link.snapshot().generation
      const injectedMs = performance.now()
      await proxy.add({ type: 'half_open', name: 'half-open' })
      const endMs = injectedMs + 2_000 + SLACK_MS
      while (performance.now() < endMs && (link.snapshot().generation === before || link.snapshot().state !== 'up')) {
        await new Promise((resolve) => setTimeout(resolve, 5))
      }
      const foundMs = performance.now() - injectedMs
      await canary()
      process.stdout.write(
        `half-open, ${link.name}, ${busy ? 'busy' : 'idle'}: served again after ${foundMs.toFixed(0)} ms\n`,
      )
      expect(link.snapshot()).toMatchObject({ state: 'up', generation: expect.any(Number) })
      expect(link.snapshot().generation).toBeGreaterThan(before)
      await proxy.remove('half-open')
      await running?.stop()
      if (running !== undefined) expect(running.record.overdueMs).toBeLessThanOrEqual(50)
    }
  }
}, 60_000)
