import { beforeEach, describe, expect, test } from 'vitest'
import { type CommandQueue, createCommandQueue } from './command-queue.ts'
import { createStillEnvironment, type StillEnvironment } from './environment.fixture.ts'
import type { PendingCommand } from './session-command.ts'

let env: StillEnvironment
let queue: CommandQueue
let sent: string[]
let reachedVersion: number
let refuse: (entry: PendingCommand) => void

beforeEach(() => {
  env = createStillEnvironment()
  sent = []
  reachedVersion = 1
  refuse = () => {}
  queue = createCommandQueue({
    env,
    send: (entry) => {
      refuse(entry)
      sent.push(entry.operationId)
      return true
    },
    hasReached: ({ version }) => version <= reachedVersion,
    onChange: () => {},
  })
})

const add = (operationId: string, expireMs?: number) => {
  const options = expireMs === undefined ? { operationId } : { operationId, expireMs }
  const promise = queue.add({ kind: 'switch' }, 0, options)
  promise.catch(() => {}) // looked at later
  return promise
}
const ack = (op: string, v: number): void => queue.acked({ t: 'ack', op, e: 1, v, lvl: 'durable' })

describe('sending', () => {
  test('CQ3: one is under way at a time, in order, and a refusal lets the next go', async () => {
    queue.connected()
    const promises = ['a', 'b', 'c'].map((id) => add(id))
    expect(sent).toEqual(['a'])
    ack('a', 2)
    expect(sent).toEqual(['a', 'b'])
    queue.nacked({ t: 'nack', op: 'b', code: 'NOT_YOUR_TURN', msg: 'no' })
    expect(sent).toEqual(['a', 'b', 'c'])
    ack('c', 3)
    await expect(Promise.allSettled(promises)).resolves.toMatchObject([
      { value: { operationId: 'a', version: 2 } },
      { reason: { code: 'NOT_YOUR_TURN' } },
      { value: { operationId: 'c' } },
    ])
    expect(env.clock.pending()).toBe(0)
  })

  test('CQ2: it is sent again on the next connection, after silence, and when the server asks to wait', async () => {
    const promise = add('a')
    await env.clock.advance(1_000)
    expect(sent).toEqual([])
    queue.connected()
    expect(sent).toHaveLength(1)
    queue.disconnected()
    await env.clock.advance(1_000)
    expect(sent).toHaveLength(1)
    queue.connected()
    expect(sent).toHaveLength(2)
    await env.clock.advance(5_000)
    expect(sent).toHaveLength(3)
    queue.nacked({ t: 'nack', op: 'a', code: 'SESSION_BUSY', msg: 'later', retryMs: 700 })
    await env.clock.advance(690)
    expect(sent).toHaveLength(3)
    await env.clock.advance(10)
    expect(sent).toEqual(['a', 'a', 'a', 'a'])
    ack('a', 2)
    await expect(promise).resolves.toMatchObject({ isRepeated: false })
  })

  test('CQ5: while the server asks to wait a moment, again and again, it is asked ever less often', async () => {
    const promise = add('a')
    queue.connected()
    for (let ms = 0, answered = 0; ms < 10_000; ms += 10) {
      await env.clock.advance(10)
      if (sent.length === answered) continue
      answered = sent.length
      queue.nacked({ t: 'nack', op: 'a', code: 'LINK_DOWN', msg: 'its store is away', retryMs: 1 })
      if (ms < 1_000) expect(sent.length).toBeLessThan(6)
    }
    expect(sent.length).toBeGreaterThan(6)
    expect(sent.length).toBeLessThan(15)
    ack('a', 2)
    await promise
  })

  test('CQ1: one that can’t be sent at all fails alone, the next goes', async () => {
    refuse = ({ operationId }) => {
      if (operationId === 'a') throw new Error('nobody is called that')
    }
    const [a, b] = [add('a'), add('b')]
    queue.connected()
    await expect(a).rejects.toThrow('nobody')
    await env.clock.advance(1)
    expect(sent).toEqual(['b'])
    ack('b', 2)
    await b
  })

  test('a message that made no sense was the command that is under way', async () => {
    const a = add('a')
    queue.misunderstood({ t: 'err', code: 'BAD_REQUEST', msg: 'nothing was sent' })
    queue.connected()
    queue.misunderstood({ t: 'err', code: 'TOMORROWS_CODE', msg: 'what?' })
    await expect(a).rejects.toMatchObject({
      code: 'PEER_REFUSED',
      details: { code: 'TOMORROWS_CODE', operationId: 'a' },
    })
  })
})

describe('ending', () => {
  test.each([
    ['CQ1: 30 s unless told', undefined, 30_000],
    ['CQ1: as long as told', 1_500, 1_500],
  ])('%s', async (_, expireMs, endsMs) => {
    const waiting = add('a', expireMs)
    await env.clock.advance(endsMs - 10)
    expect(queue.pending()).toHaveLength(1)
    await env.clock.advance(10)
    await expect(waiting).rejects.toMatchObject({
      code: 'DEADLINE_EXCEEDED',
      sent: 'no',
      details: { operationId: 'a' },
    })
    queue.connected()
    const under = add('b', expireMs)
    await env.clock.advance(endsMs)
    await expect(under).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED', sent: 'maybe' })
    expect([queue.pending(), env.clock.pending()]).toEqual([[], 0])
  })

  test.each([
    ['the monotonic clock', () => env.clock.stall(40_000)],
    ['the wall clock alone', () => env.clock.jumpWall(40_000)],
  ])('CQ2: it slept, by %s: not sent any more', async (_, sleep) => {
    const promise = add('a')
    sleep()
    queue.connected()
    await expect(promise).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED', sent: 'no' })
    expect(sent).toEqual([])
  })

  test('CQ1: its event was told, and the acknowledgement never came: it happened', async () => {
    queue.connected()
    const promise = add('a')
    queue.seen('a', { epoch: 3, version: 9 })
    await env.clock.advance(30_000)
    await expect(promise).resolves.toEqual({
      operationId: 'a',
      epoch: 3,
      version: 9,
      level: 'accepted',
      isRepeated: false,
    })
  })

  test('CQ4: at most 64 wait; the next is refused, the others are not touched', async () => {
    for (let index = 0; index < 64; index++) add(`op-${index}`)
    await expect(add('one more')).rejects.toMatchObject({ code: 'OVERLOADED', sent: 'no' })
    expect(queue.pending()).toHaveLength(64)
  })
})

describe('what is pending', () => {
  test('acknowledged, it is pending until the session shows it', () => {
    queue.connected()
    void add('a')
    ack('a', 5)
    expect(queue.pending().map(({ operationId }) => operationId)).toEqual(['a'])
    reachedVersion = 5
    expect(queue.pending()).toEqual([])
  })

  test('its event came first: it is not pending, though not acknowledged', () => {
    queue.connected()
    void add('a')
    reachedVersion = 5
    queue.seen('a', { epoch: 1, version: 5 })
    expect(queue.pending()).toEqual([])
    reachedVersion = 4 // its event was of no use: something before it is missing
    expect(queue.pending()).toHaveLength(1)
  })

  test('CQ4: a server that acknowledges and tells of no event can’t fill the memory', () => {
    queue.connected()
    for (let index = 0; index < 1_000; index++) {
      void add(`op-${index}`)
      ack(`op-${index}`, 9_999)
    }
    expect(queue.pending()).toHaveLength(64)
  })
})
