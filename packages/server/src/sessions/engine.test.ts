import type { RipstopError } from '@ripstop/kernel'
import { describe, expect, test } from 'vitest'
import type { AckLevel } from '#session-stores'
import {
  control,
  createBench,
  kindsOf,
  logOf,
  newSession,
  REF,
  refOf,
  rulesOf,
  START,
  SWITCH,
  started,
  type TestProcess,
} from './engine.fixture.ts'
import type { CommandOptions } from './service.ts'

describe('a command', () => {
  test('EN2: is decided anew where another process was first, and both are in the log', async () => {
    const bench = createBench()
    const one = await started(bench)
    const other = bench.join()
    await other.service.read(bench.ctx, REF)
    const ask = (side: TestProcess) => side.service.command(bench.ctx, REF, SWITCH, bench.asked())
    const ended = await bench.passing(Promise.all([ask(one), ask(other), ask(one), ask(other)]))
    expect(new Set(ended.map(({ session }) => session.state.version)).size).toBe(4)
    expect(await logOf(bench, one)).toEqual([
      [1, 'created', 'key:1'],
      [2, 'started', 'key:1'],
      ...[3, 4, 5, 6].map((version) => [version, 'switched', 'key:1']),
    ])
    expect(one.metrics.text() + other.metrics.text()).toMatch(/sessions_conflicts_total [1-9]/)
  })

  test('EN2: that meets only conflicts is told so, with the present state', async () => {
    const bench = createBench()
    const side = await started(bench)
    const commit = side.store.commit
    const other = bench.join()
    side.store.commit = async (ctx, wanted) => {
      await other.service.command(bench.ctx, REF, SWITCH, bench.asked())
      return commit(ctx, wanted)
    }
    const { service } = bench.join({ store: side.store })
    const error = await bench.passing(service.command(bench.ctx, REF, SWITCH, bench.asked()).catch((error) => error))
    expect(error).toMatchObject({ code: 'CONFLICT', sent: 'no' })
    const { current } = (error as RipstopError).details as { current: { state: { version: number } } }
    expect(current.state.version).toBe((await logOf(bench, side)).length)
  })

  test('EN3: nobody is refused for what is only remembered, and nothing is loaded for what ends in a commit', async () => {
    const bench = createBench()
    const one = await started(bench)
    const other = bench.join()
    await other.service.read(bench.ctx, REF)
    await one.service.command(bench.ctx, REF, SWITCH, bench.asked())
    // `other` remembers that it is the turn of 0.
    const before = { ...other.store.calls }
    const { session } = await other.service.command(bench.ctx, REF, { ...SWITCH, by: 1 }, bench.asked())
    expect(session.state.active).toBe(0)
    expect(other.store.calls).toEqual({ ...before, load: before.load + 1, commit: before.commit + 1 })
    await other.service.command(bench.ctx, REF, SWITCH, bench.asked())
    expect(other.store.calls).toMatchObject({ load: before.load + 1, commit: before.commit + 2 })
  })

  test('EN3: a deadline that is due is looked for where the session is, not in memory', async () => {
    const bench = createBench()
    const one = await started(bench)
    const other = bench.join()
    await other.service.read(bench.ctx, REF)
    await one.service.command(
      bench.ctx,
      REF,
      { kind: 'adjust', place: 0, byMs: -50_000, reason: 'a penalty' },
      bench.asked(),
    )
    await bench.clock.advance(20_000)
    const { events } = await other.service.command(bench.ctx, REF, { kind: 'timeout' }, bench.asked())
    expect(events).toMatchObject([{ kind: 'expired' }])
  })

  test('EN4: that is refused leaves what the clock did, and is not remembered as done', async () => {
    const bench = createBench()
    const side = await started(bench)
    await bench.clock.advance(61_000)
    const asked = bench.asked({ operationId: 'late' })
    const late = () => side.service.command(bench.ctx, REF, SWITCH, asked)
    await expect(late()).rejects.toMatchObject({ code: 'INVALID_STATE_TRANSITION', details: { status: 'expired' } })
    expect((await logOf(bench, side)).at(-1)).toEqual([3, 'expired', 'clock'])
    await expect(late()).rejects.toMatchObject({ code: 'INVALID_STATE_TRANSITION' })
  })

  test('EN7: is done once under one id, and answered as repeated also where it would be refused by now', async () => {
    const bench = createBench()
    const side = await started(bench)
    const other = bench.join()
    const first = await side.service.command(bench.ctx, REF, { ...SWITCH, by: 0 }, bench.asked({ operationId: 'a' }))
    expect(first).toMatchObject({ isRepeated: false, session: { state: { active: 1 } } })
    for (const { service } of [side, other]) {
      const options = bench.asked({ operationId: 'a', expected: { epoch: 1, version: 2 } })
      expect(await service.command(bench.ctx, REF, { ...SWITCH, by: 0 }, options)).toMatchObject({
        isRepeated: true,
        events: [],
        session: { state: { active: 1, version: 3 } },
      })
    }
    expect(await kindsOf(bench, side)).toEqual(['created', 'started', 'switched'])
  })

  test('an expected place is compared with where the command would take hold, deadlines and outages counted', async () => {
    const bench = createBench()
    const side = await started(bench, rulesOf({ onTimeout: 'next' }))
    const at = (version: number, epoch?: number): Partial<CommandOptions> => ({ expected: { epoch, version } })
    const ask = (more: Partial<CommandOptions>) => side.service.command(bench.ctx, REF, SWITCH, bench.asked(more))
    await expect(ask(at(1))).rejects.toMatchObject({ code: 'CONFLICT' })
    await expect(ask(at(2, 2))).rejects.toMatchObject({ code: 'CONFLICT' })
    expect((await ask(at(2, 1))).session.state.version).toBe(3)
    await bench.clock.advance(70_000)
    await expect(ask(at(3))).rejects.toMatchObject({
      code: 'CONFLICT',
      details: { current: { state: { version: 4, active: 0 } } },
    })
    expect((await ask(at(4))).session.state.status).toBe('running')
  })

  test('of a session that nobody created is refused, and so is one of a session that was deleted meanwhile', async () => {
    const bench = createBench()
    const side = await started(bench)
    await bench.join().service.remove(bench.ctx, REF)
    for (const ref of [REF, refOf(2)]) {
      await expect(side.service.command(bench.ctx, ref, SWITCH, bench.asked())).rejects.toMatchObject({
        code: 'SESSION_NOT_FOUND',
      })
      await expect(side.service.read(bench.ctx, ref)).rejects.toMatchObject({ code: 'SESSION_NOT_FOUND' })
    }
    await expect(side.service.remove(bench.ctx, REF)).resolves.toBeUndefined()
    await expect(side.service.log(bench.ctx, refOf(2), { afterVersion: 0, limit: 1 })).rejects.toMatchObject({
      code: 'SESSION_NOT_FOUND',
    })
  })

  test('a session that was left alone for a day is settled in pages, and then the command is decided', async () => {
    const bench = createBench()
    const rules = rulesOf({ mode: 'per_cycle', onTimeout: 'skip_cycle' }, 2, control({ mainMs: 1_000 }))
    const side = await started(bench, rules)
    bench.clock.stall(1_000_500)
    const { session, events } = await side.service.command(bench.ctx, REF, SWITCH, bench.asked())
    expect([session.state.version, events.length, events.at(-1)?.kind]).toEqual([1_003, 1_001, 'switched'])
    expect(side.store.calls.commit).toBe(1 + 4)
  })
})

describe('an epoch', () => {
  test('EN5: a session of an earlier one is credited for every outage since, in the commit of whatever comes first', async () => {
    const bench = createBench()
    const side = await started(bench)
    const startMs = bench.nowMs()
    side.authority.begin(startMs + 10_000, startMs + 30_000)
    side.authority.begin(startMs + 40_000, startMs + 80_000)
    await bench.clock.advance(85_000)
    const { session, events } = await side.service.command(bench.ctx, REF, SWITCH, bench.asked())
    expect(events.map(({ kind }) => kind)).toEqual(['recovered', 'recovered', 'switched'])
    expect([session.epoch, session.state.clocks[0]?.mainMs]).toEqual([3, 60_000 - 25_000])
    expect(side.store.calls.commit).toBe(2)
    expect(side.metrics.text()).toContain('sessions_recovered_total 1')
  })

  test('EN5: reading recovers too, and so does a command that is refused', async () => {
    for (const how of ['read', 'refused'] as const) {
      const bench = createBench()
      const side = await started(bench)
      const startMs = bench.nowMs()
      side.authority.begin(startMs + 10_000, startMs + 70_000)
      await bench.clock.advance(75_000)
      if (how === 'read') await side.service.read(bench.ctx, REF)
      else await expect(side.service.command(bench.ctx, REF, START, bench.asked())).rejects.toThrow()
      const { state, epoch } = await side.service.read(bench.ctx, REF)
      expect([epoch, state.status, state.turnSinceMs]).toEqual([2, 'running', startMs + 60_000])
      expect(await kindsOf(bench, side)).toEqual(['created', 'started', 'recovered'])
    }
  })

  test('EN5: a clock that fell before an outage has fallen, and nothing is credited to what has ended', async () => {
    const bench = createBench()
    const side = await started(bench)
    const startMs = bench.nowMs()
    side.authority.begin(startMs + 70_000, startMs + 80_000)
    side.authority.begin(startMs + 90_000, startMs + 95_000)
    await bench.clock.advance(100_000)
    const { state, epoch } = await side.service.read(bench.ctx, REF)
    expect([epoch, state.status, state.endedMs]).toEqual([3, 'expired', startMs + 60_000])
    expect((await kindsOf(bench, side)).slice(2)).toEqual(['expired'])
  })

  test('a process that believes in an epoch that has passed learns of the next, and recovers under it', async () => {
    const bench = createBench()
    const side = await started(bench)
    bench.join().authority.begin(bench.nowMs(), bench.nowMs() + 5_000)
    await bench.clock.advance(6_000)
    expect(side.authority.believed.epoch).toBe(1)
    const { session } = await side.service.command(bench.ctx, REF, SWITCH, bench.asked())
    expect([session.epoch, session.state.clocks[0]?.usedMs]).toEqual([2, 1_000])
    const ended = await side.service.command(bench.ctx, REF, { kind: 'cancel' }, bench.asked())
    expect(ended.session.state.status).toBe('cancelled')
  })

  test('a session that has ended is not touched by a new one', async () => {
    const bench = createBench()
    const side = await started(bench)
    await side.service.command(bench.ctx, REF, { kind: 'complete' }, bench.asked())
    side.authority.begin(bench.nowMs(), bench.nowMs())
    expect((await side.service.read(bench.ctx, REF)).epoch).toBe(1)
    await expect(side.service.command(bench.ctx, REF, SWITCH, bench.asked())).rejects.toMatchObject({
      code: 'INVALID_STATE_TRANSITION',
    })
  })
})

test('EN10: an answer promises what the store did that took the commit, not what the one does that has the authority by then', async () => {
  const bench = createBench()
  const { store } = await started(bench)
  let level: AckLevel = 'accepted'
  const commit: typeof store.commit = async (ctx, wanted) => {
    const committed = await store.commit(ctx, wanted)
    level = 'durable'
    return committed
  }
  let levelAfterLoad: AckLevel | undefined
  const load: typeof store.load = async (ctx, ref) => {
    const loaded = await store.load(ctx, ref)
    level = levelAfterLoad ?? level
    return loaded
  }
  const moving = Object.defineProperty({ ...store, commit, load }, 'level', { get: () => level })
  const { service } = bench.join({ store: moving })
  expect((await service.command(bench.ctx, REF, SWITCH, bench.asked())).session.level).toBe('accepted')
  expect((await service.read(bench.ctx, REF)).level).toBe('durable')
  levelAfterLoad = 'accepted'
  expect((await service.read(bench.ctx, REF)).level).toBe('accepted')
  levelAfterLoad = 'durable'
  expect((await service.read(bench.ctx, REF)).level).toBe('accepted')
  expect((await service.command(bench.ctx, REF, SWITCH, bench.asked())).session.level).toBe('durable')
})

test('EN9: no more sessions are remembered than the bounds allow, by number and by size, and the rest is loaded', async () => {
  for (const bounds of [{ cacheCountMax: 3 }, { cacheBytesMax: 10_000 }]) {
    const bench = createBench()
    const side = bench.join(bounds)
    for (let n = 0; n < 10; n++) {
      await side.service.create(bench.ctx, newSession(refOf(n)), { actor: 'key:1', operationId: undefined })
    }
    const loadsFor = async (n: number): Promise<number> => {
      const before = side.store.calls.load
      await side.service.command(bench.ctx, refOf(n), START, bench.asked())
      return side.store.calls.load - before
    }
    expect([await loadsFor(9), await loadsFor(8), await loadsFor(0)]).toEqual([0, 0, 1])
  }
})

test('EN9: the one that was used longest ago is forgotten first', async () => {
  const bench = createBench()
  const side = bench.join({ cacheCountMax: 2 })
  const create = (n: number) =>
    side.service.create(bench.ctx, newSession(refOf(n)), { actor: 'key:1', operationId: undefined })
  for (const n of [1, 2]) await create(n)
  await side.service.command(bench.ctx, refOf(1), START, bench.asked())
  await create(3)
  await side.service.command(bench.ctx, refOf(1), SWITCH, bench.asked())
  expect(side.store.calls.load).toBe(0)
  await side.service.command(bench.ctx, refOf(2), START, bench.asked())
  expect(side.store.calls.load).toBe(1)
})

test('a clock that fell with the action `event` is published with its entry, under an id that names it', async () => {
  for (const timeoutEvent of ['exam.over', undefined]) {
    const bench = createBench()
    const side = bench.join()
    const session = { ...newSession(REF, rulesOf({ onTimeout: 'event' })), timeoutEvent }
    await side.service.create(bench.ctx, session, { actor: 'key:1', operationId: undefined })
    await side.service.command(bench.ctx, REF, START, bench.asked())
    await bench.clock.advance(61_000)
    const published: (string | undefined)[] = []
    using _ = side.store.watch(REF, (message) => {
      if (message.kind === 'entries') published.push(...message.entries.map(({ publish }) => publish))
    })
    await side.service.read(bench.ctx, REF)
    expect(published).toHaveLength(1)
    expect(published[0] === undefined ? undefined : JSON.parse(published[0])).toEqual(
      timeoutEvent && {
        type: 'exam.over',
        source: `/v1/sessions/${REF.sessionId}`,
        id: `${REF.sessionId}/3`,
        subject: REF.sessionId,
        partitionkey: REF.sessionId,
        time: new Date(bench.nowMs() - 1_000).toISOString(),
        data: { session_id: REF.sessionId, version: 3, participant_id: 'p0' },
      },
    )
  }
})
