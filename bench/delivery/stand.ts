// What every contestant stands on: a Postgres that syncs (a fresh database each), a Redis, the counting receiver, and the
// measuring of a run: wall time, CPU of all processes but the receiver, what was lost and what came twice.

import { Client } from 'pg'
import { startTestCluster, type TestCluster } from '../../packages/server/src/testing/postgres.ts'
import { startTestRedis } from '../../packages/server/src/testing/redis.ts'
import { type Helper, startHelper } from '../ipc.ts'
import { treeCpuMs } from '../machine.ts'
import type { PeerName } from './peers.ts'
import type { Received } from './receiver.ts'

const LOOK_MS = 20
/** Without progress for so long, a run is broken. */
const STUCK_MS = 30_000

export interface Stand extends AsyncDisposable {
  readonly postgres: TestCluster
  readonly receiver: Helper
  readonly receiverPort: number
  /** A fresh one; it is dropped with what is returned. */
  createDatabase(): Promise<AsyncDisposable & { readonly url: string }>
}

export async function startStand(): Promise<Stand> {
  await using starting = new AsyncDisposableStack()
  // As shipped: the harness of the tests is faster and would forget everything.
  const settings = { fsync: 'on', full_page_writes: 'on', autovacuum_naptime: '1min', synchronous_commit: 'on' }
  const postgres = starting.use(await startTestCluster({ settings }))
  const receiver = starting.use(await startHelper('delivery/receiver.ts'))
  const [receiverPort = 0] = await receiver.ask<number[]>('listen', 1)
  let databases = 0
  const owned = starting.move()
  return {
    postgres,
    receiver,
    receiverPort,
    createDatabase: async () => {
      const name = `bench_${databases++}`
      const url = new URL(postgres.url)
      await query(postgres.superuserUrl, `create database ${name} owner "${url.username}"`)
      url.pathname = `/${name}`
      return {
        url: url.href,
        [Symbol.asyncDispose]: async () => {
          await query(postgres.superuserUrl, `drop database ${name} with (force)`)
          await query(postgres.superuserUrl, 'checkpoint') // not at the next one's cost
        },
      }
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

export async function query<Row>(url: string, text: string, values: readonly unknown[] = []): Promise<Row[]> {
  const client = new Client({ connectionString: url, statement_timeout: 0 })
  await client.connect()
  try {
    return (await client.query(text, [...values])).rows as Row[]
  } finally {
    await client.end()
  }
}

export interface Contestant extends AsyncDisposable {
  /** The processes whose CPU counts, each with its descendants. One called `publisher` publishes from outside: it is told apart. */
  roots(): Readonly<Record<string, number>>
  load(from: number, count: number): Promise<void>
  start(): Promise<void>
  undone(): Promise<number>
}

export async function startPeer(stand: Stand, name: PeerName): Promise<Contestant> {
  await using starting = new AsyncDisposableStack()
  const isRedis = name === 'bullmq'
  const redis = isRedis
    ? starting.use(await startTestRedis({ settings: { appendonly: 'yes', appendfsync: 'everysec' } }))
    : undefined
  const database = redis === undefined ? starting.use(await stand.createDatabase()) : undefined
  const url = redis?.url ?? database?.url ?? ''
  const helper = starting.use(
    await startHelper('delivery/peer-process.ts', [name, url, `http://127.0.0.1:${stand.receiverPort}/ok`]),
  )
  await helper.ask('prepare')
  starting.defer(() => helper.ask('stop'))
  const owned = starting.move()
  return {
    roots: () => ({
      worker: helper.pid,
      [redis === undefined ? 'postgres' : 'redis']: redis?.pid ?? stand.postgres.pid,
    }),
    load: (from, count) => helper.ask('load', { from, count }),
    start: () => helper.ask('start'),
    undone: () => helper.ask('undone'),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

export interface Run extends Received {
  readonly seconds: number
  readonly perSecond: number
  /** CPU of all processes but the receiver, us a delivery. */
  readonly cpuUs: number
  /** The same by process. */
  readonly parts: Readonly<Record<string, number>>
  /** Deliveries a CPU second. */
  readonly perCpuSecond: number
}

/** `sustained`: works while it is loaded. `loaded`: loaded first, then drained; only the draining is measured. */
export type Shape = 'sustained' | 'loaded'

interface Moment {
  readonly spentMs: ReadonlyMap<string, number>
  readonly atMs: number
}

/** `warm` deliveries come first and don't count: processes that deliver for months are compiled. */
export async function measure(
  stand: Stand,
  contestant: Contestant,
  shape: Shape,
  count: number,
  warm: number,
): Promise<Run> {
  const { receiver } = stand
  const all = warm + count
  await receiver.ask('reset', all)
  const now = (): Moment => {
    const spentMs = Object.entries(contestant.roots()).map(([name, pid]) => [name, treeCpuMs(pid)] as const)
    return { spentMs: new Map(spentMs), atMs: performance.now() }
  }
  let began: Moment
  if (shape === 'sustained') {
    await contestant.start()
    await contestant.load(0, warm)
    await untilDone(receiver, contestant, warm)
    began = now()
    await contestant.load(warm, count)
  } else {
    await contestant.load(0, all)
    await contestant.start()
    await untilProgress(receiver, warm)
    began = now()
  }
  const startedAt = shape === 'sustained' ? warm : await receiver.ask<number>('progress')
  await untilDone(receiver, contestant, all)
  const endMs = performance.now()
  const spent = now()
  const totals = await receiver.ask<Received>('totals', all)
  const seconds = (endMs - began.atMs) / 1_000
  const delivered = all - startedAt
  const parts = Object.fromEntries(
    [...spent.spentMs].map(([name, ms]) => [name, ((ms - (began.spentMs.get(name) ?? 0)) * 1_000) / delivered]),
  )
  const cpuUs = Object.values(parts).reduce((total, us) => total + us, 0)
  return { ...totals, seconds, perSecond: delivered / seconds, cpuUs, parts, perCpuSecond: 1e6 / cpuUs }
}

/** Received, and recorded as done. */
async function untilDone(receiver: Helper, contestant: Contestant, wanted: number): Promise<void> {
  await untilProgress(receiver, wanted)
  const receivedMs = performance.now()
  while ((await contestant.undone()) > 0) {
    if (performance.now() - receivedMs > STUCK_MS) throw new Error('what was received is not recorded as done')
    await pause(LOOK_MS)
  }
}

export async function untilProgress(receiver: Helper, wanted: number): Promise<void> {
  let last = -1
  let movedMs = performance.now()
  for (;;) {
    const distinct = await receiver.ask<number>('progress')
    if (distinct >= wanted) return
    if (distinct !== last) movedMs = performance.now()
    last = distinct
    if (performance.now() - movedMs > STUCK_MS) throw new Error(`stuck at ${distinct} of ${wanted}`)
    await pause(LOOK_MS)
  }
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
