// A mesh with everything outside it real and breakable: Postgres and Redis as servers of their own, each behind a fault
// proxy, and a service behind the gateway; and what can be done to them.

import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type { RequestListener } from 'node:http'
import { connect, type Socket } from 'node:net'
import { type FaultProxy, startFaultProxy } from '@ripstop/faults'
import { Client } from 'pg'
import { startTestUpstream, type TestUpstream } from '../../packages/server/src/testing/gateway.ts'
import { startTestCluster, type TestCluster, type TestDatabase } from '../../packages/server/src/testing/postgres.ts'
import { startTestRedis, type TestRedis } from '../../packages/server/src/testing/redis.ts'
import { dataOf } from './client.ts'
import { type MeshOptions, startMesh, type TestMesh, until } from './harness.ts'

/** Beyond what the links promise, for a machine that others use too. */
export const SLACK_MS = 2_500
/** Few, so that a test can take them all. */
const POSTGRES_CONNECTIONS = 30

export interface Peer {
  readonly link: string
  readonly proxy: FaultProxy
  readonly server: TestCluster | TestRedis
}

export interface Fixture extends AsyncDisposable {
  readonly mesh: TestMesh
  readonly upstream: TestUpstream
  readonly upstreamProxy: FaultProxy
  readonly postgres: Peer & { readonly server: TestCluster }
  readonly redis: Peer & { readonly server: TestRedis }
}

export interface FixtureOptions {
  readonly env?: MeshOptions['env']
  /** What the service answers; probes are answered without it. */
  readonly listener?: RequestListener
  /** Beside `/open` and `/keyed`. */
  readonly routes?: readonly object[]
  /** Beside `echo`; all of them are the same service, reached at `port`. */
  readonly upstreams?: (port: number) => Readonly<Record<string, object>>
}

/** One service `echo` on the routes `/open` and `/keyed`; open mode; ready when it resolves. */
export async function startFixture(options: FixtureOptions = {}): Promise<Fixture> {
  const { env, listener, routes = [], upstreams = () => ({}) } = options
  await using starting = new AsyncDisposableStack()
  const upstream = starting.use(await startTestUpstream(listener ?? ((_request, response) => response.end('echo'))))
  const cluster = starting.use(await startTestCluster({ settings: { max_connections: POSTGRES_CONNECTIONS } }))
  const server = starting.use(await startTestRedis())
  const proxyOf = async (port: number, name: string): Promise<FaultProxy> =>
    starting.use(await startFaultProxy({ upstream: { host: '127.0.0.1', port }, name }))
  const postgres = { link: 'postgres.main', proxy: await proxyOf(cluster.port, 'postgres'), server: cluster }
  const redis = { link: 'redis.main', proxy: await proxyOf(server.port, 'redis'), server }
  const upstreamProxy = await proxyOf(upstream.port, 'echo')
  const mesh = starting.use(
    await startMesh({
      config: routesTo(upstreamProxy.port, routes, upstreams(upstreamProxy.port)),
      env: { DATABASE_URL: postgres.proxy.through(cluster.url), REDIS_URL: redis.proxy.through(server.url), ...env },
    }),
  )
  await mesh.ready()
  const owned = starting.move()
  return { mesh, upstream, upstreamProxy, postgres, redis, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

/** Rates far above what tests send: what is tested is not the limit. */
const UNLIMITED = { per_minute: 1_000_000 }

export function routesTo(
  port: number,
  routes: readonly object[] = [],
  upstreams: Readonly<Record<string, object>> = {},
): NonNullable<MeshOptions['config']> {
  return {
    upstreams: {
      echo: { url: `http://127.0.0.1:${port}`, probe: { every_ms: 500 }, deadline_ms: 2_000 },
      ...upstreams,
    },
    routes: [
      { path: '/open', upstream: 'echo', access: 'open', rate_limit: UNLIMITED },
      { path: '/keyed', upstream: 'echo', access: 'key', rate_limit: UNLIMITED },
      ...routes,
    ],
  }
}

/** The secret of a new key, made through the control API; tried again while a busy machine keeps its answer back. */
export async function createKey(
  mesh: TestMesh,
  wish: object = { name: 'test', scopes: ['admin'] },
  headers: Readonly<Record<string, string>> = {},
): Promise<string> {
  return await until('a key is made', async () => {
    const answer = await mesh.ask('/v1/keys', { method: 'POST', body: wish, headers })
    if (answer.status < 500) return dataOf<{ readonly secret: string }>(answer).secret
    return undefined
  })
}

export interface PeerFault {
  readonly name: string
  /** The peer takes what is sent and says nothing: it must be found out. */
  readonly holdMs: number
  /** What the link must give as its reason. */
  readonly why: RegExp
  inject(): Promise<unknown>
  heal(): Promise<unknown>
}

/** Injects it; heals once, at the latest when disposed of, so that a failed test breaks no other. */
export async function injectFault(fault: PeerFault): Promise<AsyncDisposable & { heal(): Promise<unknown> }> {
  let healing: Promise<unknown> | undefined
  const heal = (): Promise<unknown> => {
    healing ??= fault.heal()
    return healing
  }
  const injected = { heal, [Symbol.asyncDispose]: async () => void (await heal()) }
  try {
    await fault.inject()
    return injected
  } catch (error) {
    await heal().catch(() => {}) // what kept it from being injected is worth more than what it left behind
    throw error
  }
}

/** Taken and never answered: found out by a deadline, of a probe or of opening. */
const SILENCE = /DEADLINE_EXCEEDED|no answer|timed out|timeout|deadline/i

/** What can be done to either server. */
export function createPeerFaults({ proxy, server }: Peer): readonly PeerFault[] {
  return [
    {
      name: 'killed and restarted',
      holdMs: 500,
      why: /ECONNREFUSED|ECONNRESET|terminat|closed/,
      inject: () => server.kill('SIGKILL'),
      heal: () => server.restart(),
    },
    {
      name: 'stopped (SIGSTOP) for 10 s',
      holdMs: 10_000,
      why: SILENCE,
      inject: () => server.kill('SIGSTOP'),
      heal: () => server.kill('SIGCONT'),
    },
    ...createNetworkFaults(proxy),
  ]
}

/** What can be done to the way to any peer. */
export function createNetworkFaults(proxy: FaultProxy): readonly PeerFault[] {
  return [
    {
      name: 'black-holed',
      holdMs: 3_000,
      why: SILENCE,
      inject: () => proxy.add({ type: 'black_hole', name: 'fault' }),
      heal: () => proxy.remove('fault'),
    },
    {
      name: 'refusing connections',
      holdMs: 500,
      why: /ECONNREFUSED/,
      inject: () => proxy.disable('reset'),
      heal: () => proxy.enable(),
    },
  ]
}

/** An empty database of `ownerUrl`'s role, on a server where `adminUrl` may create it. */
export async function createEmptyDatabase(adminUrl: string, ownerUrl: string): Promise<TestDatabase> {
  const name = `ripstop_empty_${randomBytes(6).toString('hex')}`
  const url = new URL(ownerUrl)
  url.pathname = `/${name}`
  const run = async (text: string): Promise<void> => {
    const client = new Client({ connectionString: adminUrl })
    await client.connect()
    await client.query(text).finally(() => client.end())
  }
  await run(`CREATE DATABASE ${name} OWNER "${decodeURIComponent(url.username)}"`)
  return { url: url.href, [Symbol.asyncDispose]: () => run(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`) }
}

/** All connections that a server allows are somebody else's. */
export function createPostgresFull({ proxy, server }: Fixture['postgres']): PeerFault {
  const taken: Client[] = []
  return {
    name: 'at its connection limit',
    holdMs: 500,
    why: /53300|slots|too many/,
    inject: async () => {
      await proxy.disable('reset') // the mesh's own connections make room, once the server has noticed
      await until('every place but the reserved is taken', async () => {
        const client = new Client({ connectionString: server.url })
        client.on('error', () => {}) // it may be ended by the server
        const refused = await client.connect().then(
          () => false,
          () => true,
        )
        if (refused) return taken.length >= POSTGRES_CONNECTIONS - 3
        taken.push(client)
        return false
      })
      await proxy.enable()
    },
    heal: () => Promise.all(taken.splice(0).map((client) => client.end())),
  }
}

/** The same for Redis. */
export function createRedisFull({ proxy, server }: Fixture['redis']): PeerFault {
  let holder: Socket | undefined
  const tell = async (command: string): Promise<void> => {
    holder?.write(`${command}\r\n`)
    if (holder !== undefined) await once(holder, 'data')
  }
  return {
    name: 'at its connection limit',
    holdMs: 500,
    why: /max number of clients|closed|ECONNRESET/, // its word is often lost: it closes on what it has not read
    inject: async () => {
      holder = connect(server.port, '127.0.0.1')
      holder.on('error', () => {}) // the server may be killed with it
      await once(holder, 'connect')
      await tell('CONFIG SET maxclients 1')
      proxy.drop('reset')
    },
    heal: async () => {
      await tell('CONFIG SET maxclients 1000')
      holder?.destroy()
    },
  }
}
