import { describe, expect, test } from 'vitest'
import type { Adapter } from './adapter.ts'
import { RipstopError } from './errors.ts'
import { Mesh } from './index.ts'
import type { LinkSnapshot } from './link-snapshot.ts'
import { settle } from './testing/index.ts'
import {
  ANSWER,
  type Answer,
  ask,
  type Connection,
  createTestLink,
  HANG,
  leftovers,
  onlyTimers,
  ScriptedPeer,
  type TestLink,
  watch,
} from './testing/scripted-peer.ts'

const REFUSED: Answer = { does: 'fail', afterMs: 0, error: new Error('ECONNREFUSED') }
const WRONG_ROLE: Answer = { does: 'fail', afterMs: 0, error: new RipstopError('PEER_WRONG_ROLE', 'a replica') }

/** Every transition begins where the last one ended. */
function expectOrdered({ transitions }: LinkSnapshot): void {
  for (const [index, transition] of transitions.entries()) {
    if (index > 0) expect(transition.from).toBe(transitions[index - 1]?.to)
  }
}

/** Everything that was opened but the serving generation was closed, and once. */
function expectNoLeak({ peer, link }: TestLink): void {
  expect(peer.closedTwice).toBe(0)
  expect(peer.opened - peer.closed).toBe(link.state === 'up' || link.state === 'degraded' ? 1 : 0)
}

describe('L2: up is proved', () => {
  test('it is up after open and a probe, not before', async () => {
    const bench = createTestLink()
    bench.peer.onOpen = () => ({ does: 'answer', afterMs: 20 })
    bench.peer.onProbe = () => ({ does: 'answer', afterMs: 20 })
    expect(bench.link.state).toBe('idle')
    await bench.up()
    await bench.clock.advance(25)
    expect([bench.link.state, bench.peer.opened, bench.link.snapshot().lastProofAgeMs]).toEqual([
      'connecting',
      1,
      undefined,
    ])
    await bench.clock.advance(20)
    expect(bench.link.state).toBe('up')
    expect(bench.link.snapshot().lastProofAgeMs).toBeLessThanOrEqual(5)
  })

  test.each([
    ['does not answer the probe', HANG],
    ['refuses the probe', REFUSED],
    ['answers in the wrong role', WRONG_ROLE],
  ])('a peer that opens but %s is never up, and every attempt is closed', async (_what, answer) => {
    const bench = createTestLink()
    bench.peer.onProbe = () => answer
    await bench.up()
    for (let tick = 0; tick < 100; tick++) {
      await bench.clock.advance(100)
      expect(['connecting', 'down']).toContain(bench.link.state)
    }
    expect(bench.peer.opened).toBeGreaterThan(5)
    expect(bench.peer.opened - bench.peer.closed).toBeLessThanOrEqual(1)
    bench.peer.onProbe = () => ANSWER
    await bench.clock.advance(1_500)
    expect(bench.link.state).toBe('up')
    expectNoLeak(bench)
  })

  test('a primary that was demoted is given up though calls on it still succeed while it is asked', async () => {
    const bench = createTestLink()
    await bench.up()
    bench.peer.onProbe = () => ({ ...WRONG_ROLE, afterMs: 60 }) as Answer
    for (let tick = 0; tick < 110; tick++) {
      await bench.link.call(bench.root, ask(bench, [ANSWER])).catch(() => {})
      await bench.clock.advance(10)
    }
    const falls = bench.link.snapshot().transitions.filter(({ from, to }) => from === 'up' && to === 'down')
    expect(falls.map(({ why }) => why)).toEqual([expect.stringContaining('a replica')])
    expect(['connecting', 'down']).toContain(bench.link.state)
  })
})

test('an open that hangs is bounded, and what it opens too late is closed', async () => {
  const bench = createTestLink()
  bench.peer.onOpen = () => (bench.peer.opens === 1 ? { does: 'answer', afterMs: 3_000 } : ANSWER)
  await bench.up()
  await bench.clock.advance(1_100)
  expect(bench.link.state).toBe('up')
  expect(bench.link.snapshot().generation).toBe(2)
  await bench.clock.advance(3_000)
  expect([bench.peer.opened, bench.peer.closed]).toEqual([2, 1])
  expectNoLeak(bench)
})

test('an adapter that throws instead of rejecting is treated alike, and leaves no timer behind', async () => {
  const bench = createTestLink({ backoffCapMs: 50 })
  const thrown: Answer = { does: 'throw', error: new Error('at once') }
  const open = bench.peer.open.bind(bench.peer)
  let throwing: 'open' | 'probe' | 'nothing' = 'open'
  bench.peer.open = (ctx, events) => {
    if (throwing === 'open') throw new Error('at once')
    return open(ctx, events)
  }
  bench.peer.onProbe = () => (throwing === 'probe' ? thrown : ANSWER)
  await bench.up()
  await bench.clock.advance(300)
  expect(bench.link.snapshot()).toMatchObject({ state: 'down', why: 'at once' })
  expect(bench.env.wheel.armed).toBe(1)
  throwing = 'probe'
  await bench.clock.advance(300)
  expect(bench.link.snapshot()).toMatchObject({ state: 'down', why: 'at once' })
  expect(bench.env.wheel.armed).toBe(1)
  throwing = 'nothing'
  await bench.clock.advance(300)
  expect(bench.link.state).toBe('up')
  expect(bench.env.wheel.armed).toBe(2)
})

describe('a generation that is lost', () => {
  test('fails its calls at once if they share its fate', async () => {
    const bench = createTestLink()
    await bench.up()
    const calls = Array.from({ length: 3 }, () => watch(bench.link.call(bench.root, ask(bench, [HANG])), bench.clock))
    bench.peer.current.events.lost(new Error('ECONNRESET'))
    await settle()
    for (const outcome of calls) expect(outcome()).toMatchObject({ code: 'LINK_LOST', sent: 'maybe' })
    await bench.clock.advance(200)
    expect(bench.link.state).toBe('up')
    expectNoLeak(bench)
  })

  test('G2: lets the calls of a pool end by themselves, and goes with the last', async () => {
    const bench = createTestLink()
    bench.peer.sharedFate = false
    await bench.up()
    const old = bench.peer.current
    const calls = [100, 300].map((afterMs) =>
      watch(bench.link.call(bench.root, ask(bench, [{ does: 'answer', afterMs }])), bench.clock),
    )
    old.events.lost('empty')
    await bench.clock.advance(150)
    expect(bench.link.state).toBe('up')
    expect([calls[0]?.()?.value, calls[1]?.(), old.closedBecause]).toEqual(['answered', undefined, undefined])
    await bench.clock.advance(200)
    expect([calls[1]?.()?.value, old.closedBecause]).toEqual(['answered', 'lost'])
    expectNoLeak(bench)
  })

  test.each([0, 1, 2, 3, 4, 5, 6, 8, 10])(
    'in the very moment it opens (%i microtasks on) leaks nothing',
    async (microtasks) => {
      const bench = createTestLink()
      let lose = true
      const open = bench.peer.open.bind(bench.peer)
      bench.peer.open = async (ctx, events) => {
        const connection = await open(ctx, events)
        if (lose) void after(microtasks, () => events.lost('closed by the peer'))
        return connection
      }
      await bench.up()
      await bench.clock.advance(200)
      lose = false
      await bench.clock.advance(2_000)
      expect(bench.link.state).toBe('up')
      expectNoLeak(bench)
    },
  )

  test('says so while it is being closed, or after, or twice, without confusing anybody', async () => {
    const bench = createTestLink()
    bench.peer.onClose = (connection) => {
      connection.events.lost('closed')
      connection.events.lost('closed again')
    }
    await bench.up()
    const first = bench.peer.current
    first.events.lost('reset')
    first.events.lost('reset again')
    await bench.clock.advance(200)
    first.events.lost('long gone')
    expect(bench.link.snapshot()).toMatchObject({ state: 'up', generation: 2 })
    expectOrdered(bench.link.snapshot())
    expectNoLeak(bench)
  })

  test('loses every call exactly once, though they are tried again and cancel each other meanwhile', async () => {
    const bench = createTestLink({
      whenDown: 'wait',
      retry: { attempts: 2, baseMs: 0 },
      breaker: 'none',
      bulkhead: { concurrent: 9, queue: 9 },
      budget: { share: 1 },
    })
    await bench.up()
    const group = bench.root.within(900)
    let onSecond = (): void => {}
    const ran = { attempts: 0 }
    const calls = Array.from({ length: 9 }, (_, index) =>
      watch(
        bench.link.call(
          index % 3 === 1 ? group : bench.root,
          (_connection, ctx) => {
            ran.attempts++
            if (ctx.attempt === 2) return 'second'
            return new Promise(() => {})
          },
          { idempotent: index % 2 === 0 },
        ),
        bench.clock,
      ),
    )
    // Runs in the middle of the loss, as soon as the first call gives its permit over.
    const intruder = watch(
      bench.link.call(bench.root, () => {
        onSecond()
        return 'intruder'
      }),
      bench.clock,
    )
    onSecond = () => group.cancel()
    bench.peer.current.events.lost('reset')
    await bench.clock.advance(500)
    for (const [index, outcome] of calls.entries()) {
      const result = outcome()?.value ?? outcome()?.code
      if (index % 3 === 1) expect(['CANCELLED', 'second', 'LINK_LOST']).toContain(result)
      else expect(result).toBe(index % 2 === 0 ? 'second' : 'LINK_LOST')
    }
    expect(intruder()?.value).toBe('intruder')
    expect(leftovers(bench)).toEqual(onlyTimers(2))
  })
})

test('L3, L4: a peer that refuses for a minute is asked about twice a second, however many callers knock', async () => {
  const bench = createTestLink({}, { seed: 7 })
  bench.peer.onOpen = () => REFUSED
  await bench.up()
  for (let tick = 0; tick < 600; tick++) {
    for (let call = 0; call < 10; call++) watch(bench.link.call(bench.root, ask(bench, [ANSWER])), bench.clock)
    bench.link.suspect('a caller is impatient')
    bench.link.start()
    bench.link.renew()
    await bench.clock.advance(100)
  }
  expect(bench.peer.opens).toBeLessThanOrEqual(2.6 * 60)
  expect(bench.peer.opens).toBeGreaterThan(60)
})

test('after a stall of our own loop a silent peer gets its time once more; without one it does not', async () => {
  const bench = createTestLink({ heartbeatMs: 1_000, probeDeadlineMs: 400 })
  await bench.up()
  bench.peer.onProbe = () => ({ does: 'answer', afterMs: 600 })
  await bench.clock.advance(1_020) // the heartbeat's probe is on its way
  expect(bench.peer.current.probesUnderWay).toBe(1)
  bench.clock.stall(500)
  await bench.clock.advance(300)
  expect(bench.link.snapshot()).toMatchObject({ state: 'up', generation: 1 })
  await bench.clock.advance(3_000)
  expect(bench.link.snapshot().generation).toBeGreaterThan(1)
})

test('one probe is spared once, however often our own loop stalls', async () => {
  const bench = createTestLink({ heartbeatMs: 1_000, probeDeadlineMs: 400 })
  await bench.up()
  bench.peer.probe = () => new Promise(() => {}) // deaf to its signal, too
  await bench.clock.advance(1_020)
  for (let stalls = 0; stalls < 2; stalls++) {
    expect(bench.link.snapshot().generation).toBe(1)
    bench.clock.stall(500)
    await bench.clock.advance(0)
  }
  expect(bench.link.state).toBe('down')
})

test('a second adapter of another mesh shares nothing', async () => {
  const first = createTestLink()
  const second = new Mesh(first.env)
  const peer: Adapter<Connection> = new ScriptedPeer(first.env)
  const link = second.link('scripted.main', peer, { deadlineMs: 100 })
  await first.up()
  expect(link.state).toBe('idle')
  expect(second.metrics.text()).toContain('link_up{link="scripted.main"} 0')
  expect(first.mesh.metrics.text()).toContain('link_up{link="scripted.main"} 1')
})

async function after(microtasks: number, act: () => void): Promise<void> {
  for (let turn = 0; turn < microtasks; turn++) await null
  act()
}
