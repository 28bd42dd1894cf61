import { describe, expect, test } from 'vitest'
import type { FeedMessage } from '#session-stores'
import { Alarm } from './alarm.ts'
import { Channel } from './channel.ts'
import { createInTurn } from './in-turn.ts'
import type { Peer } from './peer.ts'
import { SOCKET_SETTINGS } from './settings.ts'
import { createBench, delegate, until } from './sockets.fixture.ts'

const SWITCH = { kind: 'switch' } as const

/** A channel that hears what a test tells it, and whose reads a test can hold back when they were made. */
async function openChannel() {
  const bench = createBench()
  const ref = await bench.create()
  const held: FeedMessage[] = []
  let hear: (message: FeedMessage) => void = () => {}
  let gate: Promise<void> | undefined
  const asked = { read: 0, answered: 0, updates: 0 }
  const service = {
    ...delegate(bench.service),
    read: async (...given: Parameters<typeof bench.service.read>) => {
      asked.read++
      const view = await bench.service.read(...given)
      await gate
      asked.answered++
      return view
    },
    watch: (of: typeof ref, listener: typeof hear) => {
      hear = listener
      return bench.service.watch(of, (message) => held.push(message))
    },
  }
  const record = () => undefined
  const log = { debug: record, info: record, warn: record, error: record, child: () => log }
  const plain = {
    update: () => {
      asked.updates++
      return 'x'.repeat(40_000)
    },
  }
  const channel: Channel = new Channel(
    {
      env: bench.env,
      log,
      settings: SOCKET_SETTINGS,
      service,
      plain,
      reads: createInTurn({ root: bench.root, limitMs: 5_000, waitingMax: 8 }),
      onNews: () => undefined,
      onEnd: () => undefined,
    },
    ref,
  )
  return {
    bench,
    ref,
    held,
    asked,
    channel,
    tell: (message: FeedMessage | undefined) => message !== undefined && hear(message),
    gap: () => hear({ kind: 'gap', ref }),
    /** Reads are made, and answered only when what this gives is called. */
    holdAnswers: () => {
      const { promise, resolve } = Promise.withResolvers<void>()
      gate = promise
      return () => {
        gate = undefined
        resolve()
      }
    },
    [Symbol.dispose]: () => channel.end(),
  }
}

describe('what may have been missed', () => {
  test('FO5: a gap that is heard while the session is read for the first time is followed by another read', async () => {
    using at = await openChannel()
    const answer = at.holdAnswers()
    const ready = at.channel.ready()
    await until('it was read', () => at.asked.read === 1)
    await at.bench.command(at.ref, { kind: 'start' })
    at.gap()
    answer()
    await ready
    await until('it stands where the session does', () => at.channel.view.state.version === 2)
  })

  test('FO5: so is one that is heard while it is read anew', async () => {
    using at = await openChannel()
    await at.channel.ready()
    const answer = at.holdAnswers()
    at.gap()
    await until('it was read', () => at.asked.read === 2)
    await at.bench.command(at.ref, { kind: 'start' })
    at.gap()
    // Alarms ring in the order in which they were set.
    await new Promise<void>((resolve) => new Alarm(at.bench.env, resolve).setIn(0))
    answer()
    await until('it stands where the session does', () => at.channel.view.state.version === 2)
  })

  test('FO5: what was known before does not stand for what may have been missed', async () => {
    using at = await openChannel()
    await at.channel.ready()
    await at.bench.command(at.ref, { kind: 'start' })
    at.tell(at.held[0])
    expect(at.channel.view.state.version).toBe(2)
    await at.bench.command(at.ref, SWITCH)
    at.gap()
    at.tell(at.held[0])
    await until('it stands where the session does', () => at.channel.view.state.version === 3)
  })

  test('FO5: of more than can be kept while it is read the last is kept, which shows the hole', async () => {
    using at = await openChannel()
    await at.channel.ready()
    const answer = at.holdAnswers()
    at.gap()
    await until('it was read', () => at.asked.read === 2)
    await at.bench.command(at.ref, { kind: 'start' })
    for (let i = 0; i < 80; i++) await at.bench.command(at.ref, SWITCH)
    for (const message of at.held) at.tell(message)
    answer()
    await until('it stands where the session does', () => at.channel.view.state.version === 82)
  })
})

test('WC1: what was committed together is one change, and of a large session in a hurry only the last is told', async () => {
  using at = await openChannel()
  await at.channel.ready()
  let bytes = 0
  const peer = { index: 0, dialect: { isPlain: true }, deliver: (frames: Buffer) => (bytes += frames.length) }
  at.channel.join(peer as unknown as Peer)
  await at.bench.command(at.ref, { kind: 'start' })
  for (let i = 0; i < 30; i++) await at.bench.command(at.ref, SWITCH)
  const entries = at.held.flatMap((message) => (message.kind === 'entries' ? message.entries : []))
  at.tell({ kind: 'entries', ref: at.ref, from: { epoch: 1, version: 1 }, entries: entries.slice(0, 10) })
  expect(at.asked.updates).toBe(1)
  for (const message of at.held) at.tell(message)
  expect(at.asked.updates).toBe(1 + 21)
  at.channel.flush()
  expect(bytes).toBeLessThan(2 * 40_000)
  peer.dialect.isPlain = false
})
