import { background } from '@ripstop/kernel'
import { describe, expect, test } from 'vitest'
import {
  createBench,
  kindsOf,
  logOf,
  newSession,
  REF,
  rulesOf,
  START,
  SWITCH,
  started,
  type TestBench,
  type TestProcess,
} from './engine.fixture.ts'

describe('an outcome that is not known', () => {
  test.each(['answer lost', 'call lost', 'call late'] as const)('EN6: %s: it is done once', async (fault) => {
    const bench = createBench()
    const side = await started(bench)
    side.store.commitFault = fault
    side.store.loadsLost = 3
    const working = side.service.command(bench.ctx, REF, SWITCH, bench.asked())
    if (fault === 'call late') side.store.findOperation = side.store.findOperation.bind(side.store)
    const { isRepeated, events, session } = await bench.passing(working)
    await side.store.deliver()
    expect([isRepeated, events.length, session.state.version]).toEqual([false, 1, 3])
    expect(await kindsOf(bench, side)).toEqual(['created', 'started', 'switched'])
  })

  test('EN6: a commit that arrives between the look and the second try is known by its hash', async () => {
    const bench = createBench()
    const side = await started(bench)
    side.store.commitFault = 'call late'
    const load = side.store.load
    const commit = side.store.commit
    const store = {
      ...side.store,
      load,
      commit: async (...given: Parameters<typeof commit>) => {
        if (side.store.calls.commit === 2) await side.store.deliver() // what was late comes first
        return commit(...given)
      },
    }
    const { service } = bench.join({ store })
    const { isRepeated, session } = await bench.passing(service.command(bench.ctx, REF, SWITCH, bench.asked()))
    expect([isRepeated, session.state.version]).toEqual([false, 3])
    expect(await kindsOf(bench, side)).toEqual(['created', 'started', 'switched'])
  })

  test('EN6: a commit that others went on from is found in the log', async () => {
    const bench = createBench()
    const side = await started(bench)
    const other = bench.join()
    const load = side.store.load
    side.store.commitFault = 'answer lost'
    const store = {
      ...side.store,
      commit: side.store.commit,
      load: async (...given: Parameters<typeof load>) => {
        if (side.store.calls.commit > 1)
          await other.service.command(bench.ctx, REF, SWITCH, bench.asked({ actor: 'other' }))
        return load(...given)
      },
    }
    const { service } = bench.join({ store })
    const { session, events } = await bench.passing(service.command(bench.ctx, REF, SWITCH, bench.asked()))
    expect([session.state.version, events]).toMatchObject([4, [{ version: 3 }]])
    expect(await logOf(bench, side)).toEqual([
      [1, 'created', 'key:1'],
      [2, 'started', 'key:1'],
      [3, 'switched', 'key:1'],
      [4, 'switched', 'other'],
    ])
  })

  test('EN6: what can not be found out is said to be unknown; what was never sent is not', async () => {
    const bench = createBench()
    const side = await started(bench)
    side.store.commitFault = 'answer lost'
    side.store.loadsLost = 1_000
    const asked = bench.asked({ operationId: 'a' })
    const ask = (ctx = bench.ctx) => bench.passing(side.service.command(ctx, REF, SWITCH, asked))
    await expect(ask()).rejects.toMatchObject({ code: 'LINK_LOST', sent: 'maybe' })
    side.store.loadsLost = 0
    expect(await ask()).toMatchObject({ isRepeated: true, session: { state: { version: 3 } } })
    side.store.commitFault = 'down'
    const again = bench.passing(side.service.command(bench.ctx, REF, SWITCH, bench.asked()))
    await expect(again).rejects.toMatchObject({ code: 'LINK_DOWN', sent: 'no' })
  })

  test('EN6: a caller whose time is over is told that it is unknown, not that it was refused', async () => {
    const bench = createBench()
    const side = await started(bench)
    side.store.commitFault = 'answer lost'
    side.store.loadsLost = 1_000
    const ctx = background(bench.env).within(30)
    const working = side.service.command(ctx, REF, SWITCH, bench.asked())
    await expect(bench.passing(working)).rejects.toMatchObject({ code: 'LINK_LOST', sent: 'maybe' })
  })

  test('EN6: deadlines that were settled by a lost commit are told, and the refusal that came with them stays one', async () => {
    const bench = createBench()
    const side = await started(bench)
    await bench.clock.advance(61_000)
    side.store.commitFault = 'answer lost'
    const timeout = await bench.passing(side.service.command(bench.ctx, REF, { kind: 'timeout' }, bench.asked()))
    expect(timeout.events).toMatchObject([{ kind: 'expired' }])
    const next = createBench()
    const late = await started(next)
    await next.clock.advance(61_000)
    late.store.commitFault = 'answer lost'
    const refused = next.passing(late.service.command(next.ctx, REF, SWITCH, next.asked()))
    await expect(refused).rejects.toMatchObject({ code: 'INVALID_STATE_TRANSITION' })
  })
})

describe('the grace of a fall', () => {
  test('EN8: a command that was received before the deadline wins, whichever process has the later one, or reads', async () => {
    const bench = createBench()
    const one = await started(bench)
    const other = bench.join()
    await other.service.read(bench.ctx, REF)
    await bench.clock.advance(59_999)
    const early = bench.asked()
    await bench.clock.advance(1)
    const read = await other.service.read(bench.ctx, REF)
    const timeout = other.service.command(bench.ctx, REF, { kind: 'timeout' }, bench.asked())
    const late = other.service.command(bench.ctx, REF, { ...SWITCH, by: 0 }, bench.asked()).catch((error) => error)
    const won = await bench.passing(one.service.command(bench.ctx, REF, { ...SWITCH, by: 0 }, early))
    expect(won.session.state).toMatchObject({ active: 1, turnSinceMs: early.receivedMs })
    expect((await bench.passing(timeout)).events).toEqual([])
    expect(await bench.passing(late)).toMatchObject({ code: 'NOT_YOUR_TURN' })
    expect(read.state.version).toBe(2)
    expect(await kindsOf(bench, one)).toEqual(['created', 'started', 'switched'])
  })

  test('EN8: in the same process it need not wait for the one that does', async () => {
    const bench = createBench()
    const { service } = await started(bench)
    await bench.clock.advance(60_000)
    const late = service.command(bench.ctx, REF, SWITCH, bench.asked())
    const early = service.command(bench.ctx, REF, SWITCH, bench.asked({ receivedMs: bench.nowMs() - 1 }))
    const ended = await bench.passing(Promise.all([early, late]))
    expect(ended.map(({ session }) => session.state.version)).toEqual([3, 4])
  })

  test('EN8: when it is over the clock has fallen, and reading says so', async () => {
    const bench = createBench()
    const side = await started(bench)
    await bench.clock.advance(60_000 + side.service.fallGraceMs)
    expect((await side.service.read(bench.ctx, REF)).state.status).toBe('expired')
    expect((await logOf(bench, side)).at(-1)).toEqual([3, 'expired', 'clock'])
  })
})

describe('creating', () => {
  const create = (bench: TestBench, { service }: TestProcess, rules = rulesOf()) =>
    bench.passing(service.create(bench.ctx, newSession(REF, rules), { actor: 'key:1', operationId: 'c' }))

  test('the same again is a repetition, another one of the id a conflict, a deleted one is gone for good', async () => {
    const bench = createBench()
    const side = bench.join()
    expect((await create(bench, side)).isRepeated).toBe(false)
    await bench.clock.advance(5_000)
    await side.service.command(bench.ctx, REF, START, bench.asked())
    expect(await create(bench, bench.join())).toMatchObject({ isRepeated: true, session: { state: { version: 2 } } })
    await expect(create(bench, side, rulesOf({}, 3))).rejects.toMatchObject({
      code: 'CONFLICT',
      details: { current: {} },
    })
    await side.service.remove(bench.ctx, REF)
    await expect(create(bench, side)).rejects.toMatchObject({ code: 'CONFLICT' })
  })

  test('EN6: an answer that was lost is found again, and it was created once', async () => {
    const bench = createBench()
    const side = bench.join()
    side.store.createAnswersLost = 1
    expect(await create(bench, side)).toMatchObject({ isRepeated: false, session: { state: { version: 1 } } })
    expect(await kindsOf(bench, side)).toEqual(['created'])
  })

  test('a process that believes in an epoch that has passed creates in the present one', async () => {
    const bench = createBench()
    const side = bench.join()
    bench.join().authority.begin(0, 0)
    expect((await create(bench, side)).session.epoch).toBe(2)
  })
})
