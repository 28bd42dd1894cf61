import { describe, expect, test } from 'vitest'
import type { LinkNotice } from './link-snapshot.ts'
import { settle } from './testing/index.ts'
import {
  ANSWER,
  type Answer,
  AnswerError,
  ask,
  createTestLink,
  HANG,
  leftovers,
  onlyTimers,
  type TestLink,
  watch,
} from './testing/scripted-peer.ts'

const REFUSED: Answer = { does: 'fail', afterMs: 0, error: new Error('ECONNREFUSED') }
const slow = (afterMs: number): Answer => ({ does: 'answer', afterMs })

function expectAllClosed({ peer }: TestLink): void {
  expect([peer.opened - peer.closed, peer.closedTwice]).toEqual([0, 0])
}

describe('draining', () => {
  test('lets calls under way end, refuses new ones at once, then closes', async () => {
    const bench = createTestLink()
    await bench.up()
    const running = watch(bench.link.call(bench.root, ask(bench, [slow(300)])), bench.clock)
    const drained = watch(bench.link.drain(bench.root.within(5_000)), bench.clock)
    const ran = { attempts: 0 }
    const late = watch(bench.link.call(bench.root, ask(bench, [ANSWER], ran)), bench.clock)
    await settle()
    expect(bench.link.state).toBe('draining')
    expect(late()).toMatchObject({ code: 'LINK_CLOSED', sent: 'no' })
    expect(ran.attempts).toBe(0)
    await bench.clock.advance(200)
    expect([running(), drained()]).toEqual([undefined, undefined])
    await bench.clock.advance(150)
    expect(running()?.value).toBe('answered')
    expect(drained()).toBeDefined()
    expect(bench.link.state).toBe('closed')
    expect(leftovers(bench)).toEqual(onlyTimers(0))
    expectAllClosed(bench)
  })

  test('L5: is over when its ctx is, and then fails what is still under way', async () => {
    const bench = createTestLink({ deadlineMs: 60_000 })
    await bench.up()
    const calls = [HANG, HANG].map((answer) => watch(bench.link.call(bench.root, ask(bench, [answer])), bench.clock))
    const drained = watch(bench.link.drain(bench.root.within(500)), bench.clock)
    await bench.clock.advance(520)
    expect(drained()).toBeDefined()
    for (const outcome of calls) expect(outcome()).toMatchObject({ code: 'LINK_LOST', sent: 'maybe' })
    expect(leftovers(bench)).toEqual(onlyTimers(0))
    expectAllClosed(bench)
  })

  test('any number of drains at once all resolve', async () => {
    const bench = createTestLink()
    await bench.up()
    watch(bench.link.call(bench.root, ask(bench, [slow(300)])), bench.clock)
    const drains = [1, 2, 3].map(() => watch(bench.link.drain(bench.root), bench.clock))
    await bench.clock.advance(350)
    for (const drained of drains) expect(drained()).toBeDefined()
    expect(bench.link.state).toBe('closed')
    await bench.link.drain(bench.root)
    expectAllClosed(bench)
  })

  test('a connection that is lost meanwhile fails its calls at once, and the drain is over', async () => {
    const bench = createTestLink({ deadlineMs: 60_000 })
    await bench.up()
    const running = watch(bench.link.call(bench.root, ask(bench, [HANG])), bench.clock)
    const drained = watch(bench.link.drain(bench.root), bench.clock)
    await settle()
    bench.peer.current.events.lost('reset')
    await settle()
    expect(running()?.code).toBe('LINK_LOST')
    expect(drained()).toBeDefined()
    expectAllClosed(bench)
  })

  test.each(['idle', 'connecting', 'down', 'up', 'renewing'])(
    'from %s: closes at once, leaves nothing, starts again',
    async (from) => {
      const bench = createTestLink()
      if (from === 'connecting') bench.peer.onOpen = () => slow(300)
      if (from === 'down') bench.peer.onOpen = () => REFUSED
      if (from !== 'idle') await bench.up()
      if (from === 'renewing') {
        bench.peer.onOpen = () => slow(300)
        bench.link.renew()
      } else expect(bench.link.state).toBe(from)
      await bench.link.drain(bench.root)
      expect(bench.link.state).toBe('closed')
      expect(bench.env.wheel.armed).toBe(0)
      bench.peer.onOpen = () => ANSWER
      await bench.clock.advance(1_000)
      expectAllClosed(bench)
      bench.link.start()
      await settle()
      expect(bench.link.state).toBe('up')
      expect(await bench.link.call(bench.root, () => 'again')).toBe('again')
      await bench.link.drain(bench.root)
      expectAllClosed(bench)
    },
  )

  test.each([0, 1, 2, 3, 4, 5, 6, 8, 10])(
    '%i microtasks after a connection opens leaks nothing',
    async (microtasks) => {
      const bench = createTestLink()
      const open = bench.peer.open.bind(bench.peer)
      let drained: Promise<void> | undefined
      bench.peer.open = async (ctx, events) => {
        const connection = await open(ctx, events)
        void (async () => {
          for (let turn = 0; turn < microtasks; turn++) await null
          drained = bench.link.drain(bench.root)
        })()
        return connection
      }
      await bench.up()
      await drained
      expect(bench.link.state).toBe('closed')
      expect(bench.env.wheel.armed).toBe(0)
      expectAllClosed(bench)
    },
  )

  test('a start right after it, while calls of a lost pool still end, is not undone by it', async () => {
    const bench = createTestLink({ deadlineMs: 60_000 })
    bench.peer.sharedFate = false
    await bench.up()
    const old = watch(bench.link.call(bench.root, ask(bench, [HANG])), bench.clock)
    bench.peer.current.events.lost('empty') // down, with a call under way on what was lost
    const drained = watch(bench.link.drain(bench.root.within(900)), bench.clock)
    bench.link.start()
    await settle()
    const young = watch(bench.link.call(bench.root, ask(bench, [slow(2_000)])), bench.clock)
    bench.peer.current.events.lost('empty') // the second generation waits for its last call too
    await bench.clock.advance(1_000)
    expect(drained()).toBeDefined()
    expect(old()?.code).toBe('LINK_LOST')
    expect(young()).toBeUndefined()
    expect(bench.link.snapshot()).toMatchObject({ state: 'up', generation: 3 })
    await bench.clock.advance(5_000) // heartbeats go on
    expect(young()?.value).toBe('answered')
    expect(bench.link.state).toBe('up')
  })

  test('waiting and queued calls are refused at once with LINK_CLOSED, and so are those who come later', async () => {
    const bench = createTestLink({ whenDown: 'wait', bulkhead: { concurrent: 1 }, deadlineMs: 60_000 })
    bench.peer.onOpen = () => REFUSED
    await bench.up()
    const calls = [1, 2, 3].map(() => watch(bench.link.call(bench.root, ask(bench, [ANSWER])), bench.clock))
    const up = watch(bench.link.whenUp(bench.root), bench.clock)
    await settle()
    expect(bench.link.snapshot().waiting).toBe(4) // one call and one other wait for the link, two calls for a place
    await bench.link.drain(bench.root)
    await settle()
    for (const outcome of calls) expect(outcome()).toMatchObject({ code: 'LINK_CLOSED', sent: 'no' })
    expect(up()?.code).toBe('LINK_CLOSED')
    const late = watch(bench.link.call(bench.root, ask(bench, [ANSWER])), bench.clock)
    const lateUp = watch(bench.link.whenUp(bench.root), bench.clock)
    await settle()
    expect([late()?.code, lateUp()?.code]).toEqual(['LINK_CLOSED', 'LINK_CLOSED'])
    expect(leftovers(bench)).toEqual(onlyTimers(0))
  })

  test('the mesh closes its links in the reverse order of their making, within one ctx', async () => {
    const bench = createTestLink({ deadlineMs: 60_000 })
    const order: string[] = []
    bench.mesh.link('second.main', bench.peer, { deadlineMs: 1_000 }).start()
    await bench.up()
    bench.mesh.listen((notice) => {
      if (notice.type === 'transition' && notice.to === 'closed') order.push(notice.link)
    })
    watch(bench.link.call(bench.root, ask(bench, [HANG])), bench.clock)
    const drained = watch(bench.mesh.drain(bench.root.within(300)), bench.clock)
    await bench.clock.advance(320)
    expect(drained()).toBeDefined()
    expect(order).toEqual(['second.main', 'scripted.main'])
    expectAllClosed(bench)
  })
})

describe('L10: renewal', () => {
  test('happens by itself at maxAge with jitter, and no call notices', async () => {
    const bench = createTestLink({ maxAgeMs: 10_000, heartbeatMs: 60_000 }, { seed: 3 })
    bench.peer.onOpen = () => slow(50)
    bench.peer.onProbe = () => slow(50)
    bench.link.start()
    await bench.clock.advance(150)
    const outcomes: (string | undefined)[] = []
    for (let second = 0; second < 60; second++) {
      const call = watch(bench.link.call(bench.root, ask(bench, [slow(400)])), bench.clock)
      await bench.clock.advance(1_000)
      outcomes.push(call()?.code ?? (call()?.value as string))
    }
    expect(new Set(outcomes)).toEqual(new Set(['answered']))
    expect(bench.peer.opened).toBeGreaterThanOrEqual(4)
    expect(bench.peer.opened).toBeLessThanOrEqual(13)
    expect(bench.peer.opened - bench.peer.closed).toBe(1)
    const { transitions } = bench.link.snapshot()
    expect(transitions.map(({ to }) => to)).toEqual(['connecting', 'up'])
  })

  test('G2: calls under way end on the old generation; if its connection breaks meanwhile they fail at once', async () => {
    const bench = createTestLink({ deadlineMs: 60_000 })
    await bench.up()
    const old = bench.peer.current
    const [ending, hanging] = [slow(200), HANG].map((answer) =>
      watch(bench.link.call(bench.root, ask(bench, [answer])), bench.clock),
    )
    bench.link.renew()
    await bench.clock.advance(100)
    expect(bench.link.snapshot().generation).toBe(2)
    expect(old.closedBecause).toBeUndefined()
    await bench.clock.advance(150)
    expect(ending?.()?.value).toBe('answered')
    old.events.lost('reset')
    await settle()
    expect(hanging?.()?.code).toBe('LINK_LOST')
    expect(old.closedBecause).toBe('lost')
    expect(bench.link.state).toBe('up')
    expect(leftovers(bench)).toEqual(onlyTimers(2))
  })

  test('a drain closes what was renewed and still had calls, when its ctx is over', async () => {
    const bench = createTestLink({ deadlineMs: 60_000 })
    await bench.up()
    const hanging = watch(bench.link.call(bench.root, ask(bench, [HANG])), bench.clock)
    bench.link.renew()
    await settle()
    await bench.clock.advance(10)
    const drained = watch(bench.link.drain(bench.root.within(100)), bench.clock)
    await bench.clock.advance(120)
    expect(drained()).toBeDefined()
    expect(hanging()?.code).toBe('LINK_LOST')
    expectAllClosed(bench)
    expect(leftovers(bench)).toEqual(onlyTimers(0))
  })

  test('a pool that renews slot by slot does so itself, again and again', async () => {
    const bench = createTestLink({ maxAgeMs: 1_000, heartbeatMs: 60_000 })
    let renewals = 0
    Object.assign(bench.peer, { renew: () => renewals++ })
    await bench.up()
    await bench.clock.advance(10_100)
    expect(renewals).toBeGreaterThanOrEqual(9)
    expect(bench.peer.opened).toBe(1)
  })
})

describe('whenUp', () => {
  test('resolves when the link comes up, at once if it is', async () => {
    const bench = createTestLink()
    const up = watch(bench.link.whenUp(bench.root), bench.clock)
    await settle()
    expect(up()).toBeUndefined()
    await bench.up()
    expect(up()).toMatchObject({ value: undefined })
    await bench.link.whenUp(bench.root)
    expect(bench.link.snapshot().waiting).toBe(0)
  })

  test('rejects when its ctx is over, also if that was over before', async () => {
    const bench = createTestLink()
    const ctx = bench.root.within(100)
    const up = watch(bench.link.whenUp(ctx), bench.clock)
    await bench.clock.advance(120)
    expect(up()?.code).toBe('DEADLINE_EXCEEDED')
    const cancelled = bench.root.within(100)
    cancelled.cancel()
    for (const over of [ctx, cancelled, bench.root.within(0)]) {
      await expect(bench.link.whenUp(over)).rejects.toMatchObject({ code: expect.stringMatching(/DEADLINE|CANCELLED/) })
    }
    expect(leftovers(bench)).toEqual(onlyTimers(0))
  })
})

describe('callOr: named degradation', () => {
  async function createDegrading() {
    const bench = createTestLink({ fallback: 'serve from memory' })
    const notices: LinkNotice[] = []
    bench.mesh.listen((notice) => notices.push(notice))
    const get = (answer: Answer, ctx = bench.root) =>
      bench.link.callOr(ctx, ask(bench, [answer]), (error) => `instead: ${error.code}`)
    const changes = () => notices.flatMap((notice) => (notice.type === 'degradation' ? [notice.active] : []))
    return { bench, get, changes }
  }

  test('begins with the first call that the fallback answers and ends with the first that succeeds', async () => {
    const { bench, get, changes } = await createDegrading()
    expect(await get(ANSWER)).toBe('instead: LINK_DOWN')
    expect(await get(ANSWER)).toBe('instead: LINK_DOWN')
    expect(bench.link.snapshot().degradation).toEqual({ name: 'serve from memory', active: true, uses: 2 })
    await bench.up()
    expect(await get(ANSWER)).toBe('answered')
    expect(await get(ANSWER)).toBe('answered')
    expect(bench.link.snapshot().degradation).toEqual({ name: 'serve from memory', active: false, uses: 2 })
    expect(changes()).toEqual([true, false])
  })

  test('ends when the link comes up, also if nobody calls', async () => {
    const { bench, get, changes } = await createDegrading()
    await get(ANSWER)
    await bench.up()
    expect(changes()).toEqual([true, false])
  })

  test("neither the caller's cancel nor an answer that it dislikes is degradation", async () => {
    const { bench, get, changes } = await createDegrading()
    await bench.up()
    const ctx = bench.root.within(500)
    const cancelled = watch(get(HANG, ctx), bench.clock)
    ctx.cancel()
    const error = new AnswerError('no such row')
    const disliked = watch(get({ does: 'fail', afterMs: 0, error }), bench.clock)
    await settle()
    expect(cancelled()?.code).toBe('CANCELLED')
    expect(disliked()?.error).toBe(error)
    expect(changes()).toEqual([])
  })

  test('a link without a named fallback can be called so too', async () => {
    const bench = createTestLink()
    const value = await bench.link.callOr(
      bench.root,
      () => 1,
      async () => 2,
    )
    expect(value).toBe(2)
    expect(bench.link.snapshot().degradation).toBeUndefined()
  })
})
