import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { until } from '../testing/processes.ts'
import { startTestRedis, type TestRedis } from '../testing/redis.ts'
import { follow } from './conformance-watch.fixture.ts'
import { createFirst, createNext, idOf } from './conformance-writing.fixture.ts'
import { emptyRedis, startSide, type TestSide } from './redis.fixture.ts'
import { shardOf } from './redis-keys.ts'
import type { FeedMessage, StoredSession } from './store.ts'

let redis: TestRedis
let writer: TestSide

beforeAll(async () => {
  redis = await startTestRedis()
  writer = await startSide(redis.url)
})

afterAll(async () => {
  await writer[Symbol.asyncDispose]()
  await redis[Symbol.asyncDispose]()
})

beforeEach(() => emptyRedis(writer))

async function create(number: number): Promise<StoredSession> {
  const { session, first } = createFirst({ tenantId: idOf(101), sessionId: idOf(number) })
  await writer.store.create(writer.ctx, session, first)
  return session
}

async function commit(session: StoredSession): Promise<StoredSession> {
  const next = createNext(session)
  expect(await writer.store.commit(writer.ctx, next)).toEqual({ kind: 'committed' })
  return next.to
}

/** Who is subscribed to the shard of a session, as Redis sees it. */
const subscribers = async ({ sessionId }: StoredSession): Promise<number> => {
  const { channel } = shardOf(sessionId)
  return Number((await writer.link.call(writer.ctx, (client) => client.pubsub('NUMSUB', channel)))[1])
}

interface Way extends AsyncDisposable {
  readonly url: string
  readonly connections: number
  /** Connections that there are hear no message any more; all else comes through. */
  readonly deafen: () => void
  readonly cut: () => void
}

/** A way to Redis that can be spoilt. */
async function startWay(): Promise<Way> {
  const sockets = new Set<Socket>()
  const deaf = new Set<Socket>()
  let connections = 0
  const server: Server = createServer((socket) => {
    connections++
    const upstream = connect(redis.port, '127.0.0.1')
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    for (const [one, other] of [
      [socket, upstream],
      [upstream, socket],
    ] as const) {
      one.on('error', () => other.destroy())
      one.on('close', () => other.destroy())
    }
    socket.pipe(upstream)
    upstream.on('data', (bytes) => {
      // Redis writes an answer and a message in pieces of their own or together: the answer is in front.
      const message = deaf.has(socket) ? bytes.indexOf('>3\r\n$7\r\nmessage') : -1
      const last = deaf.has(socket) && message !== -1 ? bytes.subarray(0, message) : bytes
      if (last.length > 0) socket.write(last)
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address() as { port: number }
  return {
    url: `redis://127.0.0.1:${address.port}`,
    get connections() {
      return connections
    },
    deafen: () => {
      for (const socket of sockets) deaf.add(socket)
    },
    cut: () => {
      for (const socket of sockets) socket.destroy()
    },
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy()
      server.close()
    },
  }
}

const gapsOf = (heard: readonly FeedMessage[]) => heard.filter(({ kind }) => kind === 'gap').length

describe('the feed of Redis', () => {
  test('RF1: who begins to watch is told of a gap once the shard is heard, and then of every commit', async () => {
    await using side = await startSide(redis.url)
    const session = await create(1)
    using first = follow(side.store, side.ctx, session)
    await until('it hears', () => gapsOf(first.heard) === 1)
    const next = await commit(session)
    await until('it is heard', () => first.place.version === 2)
    // The shard is heard already: who comes later misses nothing from its beginning on.
    using second = follow(side.store, side.ctx, next)
    await commit(next)
    await until('both know', () => first.place.version === 3 && second.place.version === 3)
    expect(second.heard.map(({ kind }) => kind)).toEqual(['entries'])
    expect(first.heard.map(({ kind }) => kind)).toEqual(['gap', 'entries', 'entries'])
  })

  test('RF1: after its connection was cut, watchers know what happened meanwhile', async () => {
    await using way = await startWay()
    await using side = await startSide(redis.url, { feedUrl: way.url })
    let session = await create(1)
    using watching = follow(side.store, side.ctx, session)
    await until('it hears', () => gapsOf(watching.heard) === 1)
    for (let round = 2; round <= 4; round++) {
      way.cut()
      session = await commit(session)
      await until('it knows', () => watching.place.version === session.version)
      await until('it is told of a gap', () => gapsOf(watching.heard) >= round)
      await until('it hears again', async () => (await subscribers(session)) === 1)
    }
    session = await commit(session)
    await until('it hears', () => watching.heard.at(-1)?.kind === 'entries' && watching.place.version === 5)
  })

  test('RF2: a connection that is there but deaf is replaced, and watchers are told of a gap', async () => {
    await using way = await startWay()
    await using side = await startSide(redis.url, { feedUrl: way.url })
    const session = await create(1)
    using watching = follow(side.store, side.ctx, session)
    await until('it hears', () => gapsOf(watching.heard) === 1)
    const before = way.connections
    way.deafen()
    const missed = await commit(session)
    await until('it is told of a gap', () => gapsOf(watching.heard) === 2)
    await until('it knows', () => watching.place.version === missed.version)
    expect(way.connections).toBeGreaterThan(before)
    expect(watching.heard.map(({ kind }) => kind)).toEqual(['gap', 'gap'])
    await commit(missed)
    await until('it hears', () => watching.heard.at(-1)?.kind === 'entries')
  })

  test('RF3: a shard is heard while a session of it is watched, and no longer', async () => {
    await using side = await startSide(redis.url)
    const session = await create(1)
    expect(await subscribers(session)).toBe(0)
    const one = follow(side.store, side.ctx, session)
    const two = follow(side.store, side.ctx, session)
    await until('it is subscribed', async () => (await subscribers(session)) === 1)
    one[Symbol.dispose]()
    one[Symbol.dispose]()
    await until('it hears', () => gapsOf(two.heard) === 1)
    expect(await subscribers(session)).toBe(1)
    two[Symbol.dispose]()
    await until('it is not any more', async () => (await subscribers(session)) === 0)
    // Left and wanted again at once.
    for (let round = 0; round < 20; round++) follow(side.store, side.ctx, session)[Symbol.dispose]()
    using last = follow(side.store, side.ctx, session)
    await until('it hears', () => gapsOf(last.heard) > 0)
    const next = await commit(session)
    await until('it is heard', () => last.place.version === next.version)
    expect(await subscribers(session)).toBe(1)
  })

  test('RF1: a Redis that was restarted is heard again', async () => {
    await using own = await startTestRedis({ settings: { appendonly: 'yes' } })
    await using side = await startSide(own.url)
    await emptyRedis(side)
    const { session, first } = createFirst({ tenantId: idOf(101), sessionId: idOf(1) })
    await side.store.create(side.ctx, session, first)
    using watching = follow(side.store, side.ctx, session)
    await until('it hears', () => gapsOf(watching.heard) === 1)
    await own.restart()
    await until('it is told of a gap', () => gapsOf(watching.heard) >= 2)
  })
})
