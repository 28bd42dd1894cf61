// Ripstop as a contestant: an edge that takes events over HTTP, a work process that delivers, on the stand's Postgres; each
// started by a supervisor of its own, so that one can be there without the other.

import { randomBytes } from 'node:crypto'
import { startMesh, type TestMesh } from '../../tests/mesh/harness.ts'
import { type Helper, startHelper } from '../ipc.ts'
import { type Contestant, query, type Stand } from './stand.ts'

const ENDPOINTS = 8
const CONFIG = {
  egress: { allow: ['127.0.0.0/8'] },
  secrets: { master_key: randomBytes(32).toString('base64') },
  log: { level: 'error' },
}

export interface Ripstop extends Contestant {
  readonly databaseUrl: string
  readonly edge: TestMesh
  readonly publisher: Helper
  /** Its types, one for each endpoint. */
  readonly types: readonly string[]
  /** Of the work process itself. */
  workPid(): Promise<number>
  /** SIGTERM; resolves when it has ended. */
  stopWork(): Promise<void>
  createEndpoint(wish: object): Promise<string>
  deleteEndpoint(id: string): Promise<void>
}

/** Endpoints of the wished number, each at a port of its own, each for one type of events. */
export async function startRipstop(stand: Stand, endpoints = ENDPOINTS): Promise<Ripstop> {
  await using starting = new AsyncDisposableStack()
  const { url } = starting.use(await stand.createDatabase())
  const env = { DATABASE_URL: url }
  const edge = starting.use(await startMesh({ config: CONFIG, env, args: ['--roles', 'edge'] }))
  await edge.ready()
  let work: TestMesh | undefined
  starting.defer(async () => work?.[Symbol.asyncDispose]())
  const publisher = starting.use(await startHelper('delivery/publisher.ts', [edge.base]))
  const ports = await stand.receiver.ask<number[]>('listen', endpoints)
  const types = ports.map((_, index) => `bench.e${index}`)
  const createEndpoint = (wish: object): Promise<string> => create(edge, wish)
  for (const [index, port] of ports.entries())
    await createEndpoint({ url: `http://127.0.0.1:${port}/ok`, event_types: [`bench.e${index}`], concurrency: 64 })
  const owned = starting.move()
  return {
    databaseUrl: url,
    edge,
    publisher,
    types,
    roots: () => ({
      publisher: publisher.pid,
      edge: edge.pid,
      ...(work === undefined ? {} : { work: work.pid }),
      postgres: stand.postgres.pid,
    }),
    load: (from, count) => publisher.ask('load', { from, count, types }),
    start: async () => {
      if (work === undefined) work = await startMesh({ config: CONFIG, env, args: ['--roles', 'work'] })
      else await work.start()
    },
    undone: async () => {
      const [row] = await query<{ count: string }>(
        url,
        'select count(*) from (select from ripstop.deliveries limit 10000)',
      )
      return Number(row?.count)
    },
    workPid: async () => (await work?.pidOf('work')) ?? 0,
    stopWork: async () => void (await work?.stop()),
    createEndpoint,
    deleteEndpoint: async (id) => {
      const { status, text } = await edge.ask(`/v1/endpoints/${id}`, { method: 'DELETE' })
      if (status >= 300) throw new Error(`deleting an endpoint was answered ${status}: ${text}`)
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

async function create(edge: TestMesh, wish: object): Promise<string> {
  const { status, text, json } = await edge.ask('/v1/endpoints', { method: 'POST', body: wish })
  const id = (json as { readonly data?: { readonly endpoint_id?: string } } | undefined)?.data?.endpoint_id
  if (id === undefined) throw new Error(`creating an endpoint was answered ${status}: ${text}`)
  return id
}
