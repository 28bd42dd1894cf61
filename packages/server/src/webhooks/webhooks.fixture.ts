// For tests of webhooks: a whole way from publishing to a real receiver, on real Postgres.

import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createId } from '@ripstop/kernel'
import { DEFAULT_TENANT_ID } from '#access'
import { startDelivery } from '#delivery'
import { startEvents, startOutbox } from '#events'
import { createEgress } from '#platform/egress'
import type { Principal } from '#platform/http'
import { createSealer, type Sealer } from '#platform/sealing'
import { startTestMesh, type TestMesh } from '../testing/mesh.ts'
import { until } from '../testing/processes.ts'
import type { Asking } from './asking.ts'
import { createEndpoint, type EndpointWish } from './endpoints.ts'
import type { WebhookSettings } from './settings.ts'
import { createWebhooks, startWebhookWork, type Webhooks } from './start.ts'

export interface Received {
  readonly path: string
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

export interface Receiver extends AsyncDisposable {
  readonly url: string
  readonly received: Received[]
  /** Answers as it is told; default 200. */
  answer: (response: ServerResponse, request: Received) => void
  /** The bodies' ids, of those that came to this path. */
  readonly idsAt: (path: string) => string[]
}

export async function startReceiver(): Promise<Receiver> {
  const received: Received[] = []
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const one = { path: request.url ?? '', headers: request.headers, body: Buffer.concat(chunks).toString() }
      received.push(one)
      receiver.answer(response, one)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const receiver: Receiver = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    received,
    answer: (response) => response.end(),
    idsAt: (path) => received.filter((one) => one.path === path).map(({ headers }) => String(headers['webhook-id'])),
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
  return receiver
}

export const ASKING: Asking = principalAsking(DEFAULT_TENANT_ID)

export function principalAsking(tenantId: string): Asking {
  const principal: Principal = { tenantId, actor: 'key:test', keyId: 'test', scopes: ['admin'] }
  return { principal, traceId: 'trace' }
}

/** The engine, quick. */
const QUICK = { leaseMs: 2_000, renewMs: 300, targetsMs: 50, sweepMs: 500, drainMs: 2_000 }

export interface World extends AsyncDisposable {
  readonly mesh: TestMesh
  readonly webhooks: Webhooks
  readonly events: ReturnType<typeof startEvents>
  readonly sealer: Sealer
  readonly create: (
    wish: Partial<EndpointWish> & { readonly url: string },
    asking?: Asking,
  ) => ReturnType<typeof createEndpoint>
  /** Gives the event's id. */
  readonly publish: (
    type: string,
    data?: unknown,
    more?: Readonly<Record<string, unknown>>,
    tenantId?: string,
  ) => Promise<string>
  readonly count: (table: string, where?: string) => Promise<number>
  readonly nothingUndone: () => Promise<unknown>
}

export interface WorldOptions {
  readonly works?: boolean
  readonly settings?: Partial<WebhookSettings>
  readonly sealer?: Sealer
}

/** `works: false`: publishes, and sends nothing. */
export async function startWorld(
  url: string,
  { works = true, settings = {}, sealer = testSealer() }: WorldOptions = {},
): Promise<World> {
  await using starting = new AsyncDisposableStack()
  const mesh = starting.use(await startTestMesh(url))
  const { env, log, link } = mesh
  const egress = starting.use(createEgress({ env, allow: ['127.0.0.0/8'], lookup: lookupLocally }))
  const webhooks = createWebhooks({ env, log, mesh: mesh.mesh, link, egress, sealer })
  const events = starting.use(startEvents({ env, mesh: mesh.mesh, link, consumers: [webhooks.consumer] }))
  if (works) {
    const work = starting.use(startWebhookWork(webhooks, { checkEveryMs: 3_600_000, ...settings }))
    const deps = { env, log, link, mesh: mesh.mesh }
    const workerId = createId(env.clock.wallMs())
    starting.use(startDelivery({ ...deps, kinds: [work.kind], workerId, settings: QUICK }))
    starting.use(startOutbox({ ...deps, metrics: mesh.mesh.metrics, consumers: [webhooks.consumer] }))
  }
  const owned = starting.move()
  const count = async (table: string, where = 'true'): Promise<number> => {
    const [row] = await mesh.query<{ count: number }>(
      `select count(*)::int as count from ripstop.${table} t where ${where}`,
    )
    return row?.count ?? -1
  }
  return {
    mesh,
    webhooks,
    events,
    sealer,
    create: (wish, asking = ASKING) =>
      createEndpoint(webhooks, mesh.ctx.within(5_000), asking, { eventTypes: ['*'], ...wish }),
    publish: async (type, data = {}, more = {}, tenantId = DEFAULT_TENANT_ID) => {
      const { results } = await events.publish(mesh.ctx.within(5_000), { tenantId, actor: 'test' }, [
        { type, data, ...more },
      ])
      const [result] = results
      if (result === undefined || result.outcome === 'refused') throw new Error(JSON.stringify(result))
      return result.eventId
    },
    count,
    nothingUndone: () => until('nothing is undone', async () => (await count('deliveries')) === 0),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

export function testSealer(): Sealer {
  return createSealer({ keys: [randomBytes(32)] })
}

/** Names that end with .test are here; no other exists. */
function lookupLocally(
  hostname: string,
  _options: unknown,
  done: (error: NodeJS.ErrnoException | null, addresses: { address: string; family: number }[]) => void,
): void {
  if (hostname.endsWith('.test')) return done(null, [{ address: '127.0.0.1', family: 4 }])
  done(Object.assign(new Error(`getaddrinfo ENOTFOUND ${hostname}`), { code: 'ENOTFOUND' }), [])
}

/** A tenant of its own. */
export async function addTenant({ mesh }: World, name: string): Promise<string> {
  const tenantId = createId(Date.now())
  await mesh.query('insert into ripstop.tenants (tenant_id, name) values ($1, $2)', [tenantId, name])
  return tenantId
}
