// What live sessions stand on in a benchmark: a Postgres that syncs, a Redis with an append-only file, meshes, and a client with
// connections that stay.

import { randomBytes, randomUUID } from 'node:crypto'
import { Agent, request } from 'node:http'
import { startTestCluster, type TestCluster } from '../../packages/server/src/testing/postgres.ts'
import { startTestRedis, type TestRedis } from '../../packages/server/src/testing/redis.ts'
import { startMesh, type TestMesh } from '../../tests/mesh/harness.ts'
import { query } from '../delivery/stand.ts'

export type StoreName = 'postgres' | 'redis'

const CONFIG = {
  session_limits: { enabled: false },
  secrets: { master_key: randomBytes(32).toString('base64') },
  log: { level: 'error' },
}
const AOF = { appendonly: 'yes', appendfsync: 'everysec' }
const DAY_MS = 86_400_000

export interface SessionStand extends AsyncDisposable {
  readonly databaseUrl: string
  readonly postgres: TestCluster
  readonly redis: TestRedis | undefined
  /** The first one has the roles that are asked for, too. */
  readonly meshes: readonly TestMesh[]
  startMesh(roles: string): Promise<TestMesh>
}

/** With `edges` processes that serve; `works`: and one that drains. */
export async function startSessionStand(store: StoreName, edges: number, works: boolean): Promise<SessionStand> {
  await using starting = new AsyncDisposableStack()
  const settings = { fsync: 'on', full_page_writes: 'on', synchronous_commit: 'on' }
  const postgres = starting.use(await startTestCluster({ settings }))
  await query(postgres.superuserUrl, `create database bench owner "${new URL(postgres.url).username}"`)
  const url = new URL(postgres.url)
  url.pathname = '/bench'
  const redis = store === 'redis' ? starting.use(await startTestRedis({ settings: AOF })) : undefined
  const env = { DATABASE_URL: url.href, ...(redis === undefined ? {} : { REDIS_URL: redis.url }) }
  const meshes: TestMesh[] = []
  const begin = async (roles: string): Promise<TestMesh> => {
    const mesh = starting.use(await startMesh({ config: CONFIG, env, args: ['--roles', roles] }))
    await mesh.ready()
    return mesh
  }
  for (let edge = 0; edge < edges; edge++) meshes.push(await begin(edge === 0 && works ? 'edge,work' : 'edge'))
  const owned = starting.move()
  return {
    databaseUrl: url.href,
    postgres,
    redis,
    meshes,
    startMesh: (roles) => startMesh({ config: CONFIG, env, args: ['--roles', roles] }).then((mesh) => owned.use(mesh)),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

export interface Client extends Disposable {
  post<T = unknown>(path: string, body: object): Promise<{ readonly status: number; readonly data: T }>
}

/** Connections that stay, at most `connections`. */
export function createClient(base: string, connections: number): Client {
  const agent = new Agent({ keepAlive: true, maxSockets: connections, scheduling: 'fifo' })
  const { hostname, port } = new URL(base)
  return {
    post: (path, body) =>
      new Promise((resolve, reject) => {
        const text = JSON.stringify(body)
        const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }
        const sent = request({ hostname, port, path, method: 'POST', agent, headers }, (response) => {
          const chunks: Buffer[] = []
          response.on('data', (chunk: Buffer) => chunks.push(chunk))
          response.on('end', () => {
            const json = JSON.parse(Buffer.concat(chunks).toString() || '{}') as { readonly data?: unknown }
            resolve({ status: response.statusCode ?? 0, data: (json.data ?? json) as never })
          })
          response.on('error', reject)
        })
        sent.on('error', reject)
        sent.end(text)
      }),
    [Symbol.dispose]: () => agent.destroy(),
  }
}

/** Two participants with a day each, unless `wish` says otherwise. */
export function sessionBody(sessionId: string, wish: object = {}): object {
  const participants = [0, 1].map((participant_index) => ({
    participant_id: randomUUID(),
    participant_index,
    total_time_ms: DAY_MS,
  }))
  return { session_id: sessionId, sync_mode: 'per_participant', total_time_ms: DAY_MS, participants, ...wish }
}

/** Created and started; `concurrency` at a time. */
export async function createSessions(client: Client, count: number, concurrency: number): Promise<readonly string[]> {
  const ids = Array.from({ length: count }, () => randomUUID())
  await inParallel(ids, concurrency, async (id) => {
    await must(client.post('/v1/sessions', sessionBody(id)), 201)
    await must(client.post(`/v1/sessions/${id}/start`, {}), 200)
  })
  return ids
}

export async function must<T>(
  asked: Promise<{ readonly status: number; readonly data: T }>,
  status: number,
): Promise<T> {
  const answer = await asked
  if (answer.status !== status) throw new Error(`answered ${answer.status}: ${JSON.stringify(answer.data)}`)
  return answer.data
}

export async function inParallel<T>(
  items: readonly T[],
  concurrency: number,
  work: (item: T) => Promise<unknown>,
): Promise<void> {
  let next = 0
  const run = async (): Promise<void> => {
    for (;;) {
      const item = items[next++]
      if (item === undefined) return
      await work(item)
    }
  }
  await Promise.all(Array.from({ length: concurrency }, run))
}
