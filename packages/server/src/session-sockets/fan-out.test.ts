import { Socket } from 'node:net'
import type { WirePlace } from '@ripstop/protocol/sessions'
import { describe, expect, test, vi } from 'vitest'
import type { FeedMessage } from '#session-stores'
import {
  connectVersioned,
  createBench,
  delegate,
  startTestSockets,
  subscribe,
  TestClient,
  until,
  type VersionedClient,
  versionsOf,
} from './sockets.fixture.ts'

const SWITCH = { kind: 'switch' } as const

/** A service whose feed is held back, to be told in any order; and that counts what it is asked. */
function createRelay(bench: ReturnType<typeof createBench>) {
  const service = delegate(bench.service)
  const held: FeedMessage[] = []
  const asked = { read: 0, log: 0, watch: 0 }
  let hear: (message: FeedMessage) => void = () => {}
  return {
    held,
    asked,
    tell: (...messages: (FeedMessage | undefined)[]) => {
      for (const message of messages) if (message !== undefined) hear(message)
    },
    service: {
      ...service,
      read: (...args: Parameters<typeof service.read>) => {
        asked.read++
        return service.read(...args)
      },
      log: (...args: Parameters<typeof service.log>) => {
        asked.log++
        return service.log(...args)
      },
      watch: (ref: Parameters<typeof service.watch>[0], listener: Parameters<typeof service.watch>[1]) => {
        asked.watch++
        hear = listener
        return service.watch(ref, (message) => held.push(message))
      },
    },
  }
}

async function startRelay(settings = {}) {
  const bench = createBench()
  const ref = await bench.create()
  const relay = createRelay(bench)
  const at = await startTestSockets(relay, { settings })
  return { bench, ref, relay, at }
}

async function since(url: string, sessionId: string, place: WirePlace): Promise<VersionedClient> {
  const client = connectVersioned(url, sessionId)
  await client.opened()
  client.say({ t: 'sub', since: place })
  await client.hears({ t: 'hi' })
  return client
}

describe('fan-out', () => {
  test('FO4: a session is watched and read once, however many watch it; nobody left, it is let go', async () => {
    const { bench, ref, relay, at } = await startRelay({ lingerMs: 20 })
    await using _ = at
    const clients = await Promise.all(Array.from({ length: 50 }, () => subscribe(at.url, ref.sessionId)))
    expect(relay.asked).toEqual({ read: 1, log: 0, watch: 1 })
    await bench.command(ref, { kind: 'start' })
    relay.tell(...relay.held)
    for (const client of clients) {
      await client.hears({ t: 'ev' })
      client.ws.close()
    }
    await until('it is let go', () => bench.data.watchers.size === 0)
    using again = await subscribe(at.url, ref.sessionId)
    expect([relay.asked.watch, versionsOf(again)]).toEqual([2, []])
  })

  test('FO6: what happens in one turn goes out in one write to each', async () => {
    const { bench, ref, relay, at } = await startRelay()
    await using _ = at
    using client = await subscribe(at.url, ref.sessionId)
    using plain = new TestClient<{ type: string }>(`${at.url}?sessionId=${ref.sessionId}`)
    await plain.hears({ type: 'CONNECTED' })
    await bench.command(ref, { kind: 'start' })
    for (let i = 0; i < 7; i++) await bench.command(ref, SWITCH)
    const write = vi.spyOn(Socket.prototype, 'write')
    relay.tell(...relay.held)
    await until('all is told', () => plain.heard.length === 9 && versionsOf(client).length === 8)
    const written = write.mock.calls.map(([chunk]) => String(chunk))
    write.mockRestore()
    const counts = written.map((text) => [text.split('"t":"ev"').length - 1, text.split('STATE_UPDATE').length - 1])
    expect(counts.filter(([events, updates]) => events !== 0 || updates !== 0).sort()).toEqual([
      [0, 8],
      [8, 0],
    ])
  })

  test('FO2, FO5: events that come twice, late, or not at all are told once, in order', async () => {
    const { bench, ref, relay, at } = await startRelay()
    await using _ = at
    using client = await subscribe(at.url, ref.sessionId)
    await bench.command(ref, { kind: 'start' })
    for (let i = 0; i < 7; i++) await bench.command(ref, SWITCH)
    const [v2, v3, v4, v5, v6, v7, v8] = relay.held
    relay.tell(v2, v2, v4, v3, v2)
    await until('in order', () => versionsOf(client).length === 3)
    const { read } = relay.asked
    // What is missing comes by itself, or is asked for.
    relay.tell(v6, v5)
    relay.tell(v8)
    await until('all is told', () => versionsOf(client).length === 8)
    relay.tell(v7, v8)
    expect(versionsOf(client)).toEqual([2, 3, 4, 5, 6, 7, 8, 9])
    expect([relay.asked.read - read, relay.asked.log]).toEqual([1, 1])
    expect(client.heard.filter(({ t }) => t === 'snap')).toHaveLength(1)
    expect(at.log).toEqual([])
  })

  test('FO5: after a gap what was missed is told, and nothing where nothing was', async () => {
    const { bench, ref, relay, at } = await startRelay()
    await using _ = at
    using client = await subscribe(at.url, ref.sessionId)
    relay.tell({ kind: 'gap', ref })
    await until('it is read again', () => relay.asked.read === 2)
    await bench.command(ref, { kind: 'start' })
    await bench.command(ref, SWITCH)
    relay.tell({ kind: 'gap', ref })
    await until('it is told', () => versionsOf(client).length === 2)
    expect(versionsOf(client)).toEqual([2, 3])
    await bench.command(ref, SWITCH)
    relay.tell(relay.held.at(-1))
    await until('it goes on', () => versionsOf(client).length === 3)
  })

  test('FO5: who missed more than is replayed is told all anew', async () => {
    const { bench, ref, relay, at } = await startRelay({ replayMax: 2 })
    await using _ = at
    using client = await subscribe(at.url, ref.sessionId)
    await bench.command(ref, { kind: 'start' })
    for (let i = 0; i < 4; i++) await bench.command(ref, SWITCH)
    relay.tell({ kind: 'gap', ref })
    await client.hears({ t: 'resync' })
    await until('all anew', () => client.heard.some((message) => message.t === 'snap' && message.v === 6))
    expect(versionsOf(client)).toEqual([])
  })

  test('FO5, FO7: who comes back gets what he missed, from memory or from the log, or all', async () => {
    const bench = createBench()
    const ref = await bench.create()
    const relay = createRelay(bench)
    await bench.command(ref, { kind: 'start' })
    for (let i = 0; i < 10; i++) await bench.command(ref, SWITCH)
    await using at = await startTestSockets(relay, { settings: { replayMax: 8 } })
    const { sessionId } = ref
    using fresh = await since(at.url, sessionId, { e: 1, v: 0 })
    await fresh.hears({ t: 'snap', v: 12 })
    using same = await since(at.url, sessionId, { e: 1, v: 12 })
    expect(await same.hears({ t: 'hi' })).toMatchObject({ e: 1, v: 12 })
    // Of the log: memory begins with version 12.
    using late = await since(at.url, sessionId, { e: 1, v: 4 })
    await until('it has all', () => versionsOf(late).at(-1) === 12)
    expect(versionsOf(late)).toEqual([5, 6, 7, 8, 9, 10, 11, 12])
    // Too much; and places that never were.
    for (const place of [
      { e: 1, v: 3 },
      { e: 1, v: 99 },
      { e: 0, v: 12 },
      { e: 7, v: 1 },
    ]) {
      using lost = await since(at.url, sessionId, place)
      await lost.hears({ t: 'resync' })
      expect(lost.heard.map(({ t }) => t).slice(0, 3)).toEqual(['hi', 'resync', 'snap'])
      expect(versionsOf(lost)).toEqual([])
    }
    expect([same, late].flatMap(({ heard }) => heard).filter(({ t }) => t === 'snap')).toEqual([])
    await bench.command(ref, SWITCH)
    relay.tell(relay.held.at(-1))
    for (const client of [fresh, same, late]) await until('it goes on', () => versionsOf(client).at(-1) === 13)
    const { log } = relay.asked
    using quick = await since(at.url, sessionId, { e: 1, v: 12 })
    await until('it has all', () => versionsOf(quick).at(-1) === 13)
    expect(relay.asked.log).toBe(log)
  })

  test('FO5: who knows more than this process makes it catch up', async () => {
    const { bench, ref, relay, at } = await startRelay()
    await using _ = at
    using client = await subscribe(at.url, ref.sessionId)
    await bench.command(ref, { kind: 'start' })
    await bench.command(ref, SWITCH)
    using ahead = await since(at.url, ref.sessionId, { e: 1, v: 3 })
    expect(await ahead.hears({ t: 'hi' })).toMatchObject({ e: 1, v: 3 })
    await until('the other one too', () => versionsOf(client).length === 2)
    await bench.command(ref, SWITCH)
    relay.tell(relay.held.at(-1))
    await ahead.hears({ t: 'ev', pv: 3 })
    expect(ahead.heard.filter(({ t }) => t === 'snap' || t === 'resync')).toEqual([])
  })

  test('FO5: what happens while the log is read is told after it', async () => {
    const bench = createBench()
    const ref = await bench.create()
    await bench.command(ref, { kind: 'start' })
    await bench.command(ref, SWITCH)
    const { promise, resolve } = Promise.withResolvers<void>()
    const service = delegate(bench.service)
    const slow = {
      ...service,
      log: async (...args: Parameters<typeof service.log>) => {
        const entries = await service.log(...args)
        await promise
        return entries
      },
    }
    await using at = await startTestSockets({ service: slow })
    using client = connectVersioned(at.url, ref.sessionId)
    await client.opened()
    client.say({ t: 'sub', since: { e: 1, v: 2 } })
    client.say({ t: 'sub' }) // asked again meanwhile: answered once
    using again = await subscribe(at.url, ref.sessionId)
    again.say({ t: 'sub', since: { e: 1, v: 2 } })
    again.say({ t: 'p', i: 1, c0: 0 })
    await again.hears({ t: 'p' })
    using other = await subscribe(at.url, ref.sessionId)
    await bench.command(ref, SWITCH)
    await other.hears({ t: 'ev', pv: 3 })
    await bench.command(ref, SWITCH)
    resolve()
    for (const one of [client, again]) {
      await until('it has all', () => versionsOf(one).at(-1) === 5)
      expect(versionsOf(one)).toEqual([3, 4, 5])
    }
    expect(client.heard.filter(({ t }) => t === 'hi')).toHaveLength(1)
  })

  test('FO2, FO7: a branch from before what was told is told as such, and who comes back from what was lost gets all', async () => {
    const bench = createBench()
    const ref = await bench.create()
    await bench.command(ref, { kind: 'start' })
    await using at = await startTestSockets(bench)
    using client = await subscribe(at.url, ref.sessionId)
    const kept = bench.data.sessions.get(`${ref.tenantId}/${ref.sessionId}`)
    if (kept === undefined) throw new Error('it is not there')
    const before = kept.session
    await bench.command(ref, SWITCH)
    await bench.command(ref, SWITCH)
    await until('it is told', () => versionsOf(client).length === 2)
    // Both switches are lost, as if by an older Redis; another process goes on under the next epoch.
    kept.session = before
    bench.data.epoch = 2
    const other = createBench(bench.data)
    await other.command(ref, { kind: 'pause' })
    await client.hears({ t: 'resync', why: 'branch' })
    const { state } = await other.service.read(other.root, ref)
    const snap = await until('all anew', () =>
      client.heard.find(({ t, ...rest }) => t === 'snap' && 'e' in rest && rest.e === 2),
    )
    expect(snap).toMatchObject({ e: 2, v: state.version, st: { status: 'paused' } })
    await other.command(ref, { kind: 'resume' })
    await client.hears({ t: 'ev', e: 2, pv: state.version })
    using lost = await since(at.url, ref.sessionId, { e: 1, v: 4 })
    await lost.hears({ t: 'resync' })
    using old = await since(at.url, ref.sessionId, { e: 1, v: 2 })
    await until('it has all', () => versionsOf(old).at(-1) === state.version + 1)
    expect(old.heard.filter(({ t }) => t === 'snap')).toEqual([])
  })

  test('an event that nobody understands is told to the log, and to clients as how the session stands', async () => {
    const { bench, ref, relay, at } = await startRelay()
    await using _ = at
    using client = await subscribe(at.url, ref.sessionId)
    await bench.command(ref, { kind: 'start' })
    const [started] = relay.held
    if (started?.kind !== 'entries') throw new Error('no entries')
    relay.tell({ ...started, entries: started.entries.map((entry) => ({ ...entry, text: '{' })) })
    await until('all anew', () => client.heard.some((message) => message.t === 'snap' && message.v === 2))
    expect(at.log).toMatchObject([{ event: 'session-sockets.event_unusable' }])
    await bench.command(ref, SWITCH)
    relay.tell(relay.held.at(-1))
    await client.hears({ t: 'ev', pv: 2 })
  })

  test('a session that is deleted ends its sockets, and those that come meanwhile', async () => {
    const { bench, ref, relay, at } = await startRelay()
    await using _ = at
    using client = await subscribe(at.url, ref.sessionId)
    using second = await subscribe(at.url, ref.sessionId)
    await bench.service.remove(bench.root, ref)
    // Nobody was told: it is found out.
    relay.tell({ kind: 'gap', ref })
    expect(await client.ended()).toEqual({ code: 1000, reason: 'Session deleted' })
    expect(await client.hears({ t: 'bye' })).toEqual({ t: 'bye', code: 'SESSION_NOT_FOUND' })
    await second.ended()
    using late = connectVersioned(at.url, ref.sessionId)
    expect(await late.ended()).toEqual({ code: 1008, reason: 'SESSION_NOT_FOUND' })
  })

  test('500 that come back at once, to many sessions and to one, read each place once and miss nothing', {
    timeout: 30_000,
  }, async () => {
    const bench = createBench()
    const ref = await bench.create()
    await bench.command(ref, { kind: 'start' })
    for (let i = 0; i < 20; i++) await bench.command(ref, SWITCH)
    const relay = createRelay(bench)
    await using at = await startTestSockets(relay)
    const clients = await Promise.all(
      Array.from({ length: 400 }, (_, index) => since(at.url, ref.sessionId, { e: 1, v: 2 + (index % 4) })),
    )
    await Promise.all(clients.map((client) => until('it has all', () => versionsOf(client).at(-1) === 22, 20_000)))
    for (const [index, client] of clients.entries()) expect(versionsOf(client)).toHaveLength(20 - (index % 4))
    expect(relay.asked.log).toBeLessThan(40)
    const refs = await Promise.all(Array.from({ length: 100 }, () => bench.create()))
    const others = await Promise.all(refs.map(({ sessionId }) => subscribe(at.url, sessionId)))
    expect(relay.asked.read).toBe(101)
    for (const client of [...clients, ...others]) client[Symbol.dispose]()
    using _plain = new TestClient(`${at.url}?sessionId=${ref.sessionId}`)
  })
})
