import { describe, expect, test } from 'vitest'
import type { LinkNotice, LinkSnapshot } from './link-snapshot.ts'
import { settle } from './testing/index.ts'
import {
  ask,
  createTestLink,
  HANG,
  leftovers,
  onlyTimers,
  type TestLink,
  WireError,
  watch,
} from './testing/scripted-peer.ts'

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

describe('re-entrancy: whoever is told may act at once', () => {
  test('a waiting call that runs and breaks the link in the same breath', async () => {
    const bench = createTestLink({ whenDown: 'wait', deadlineMs: 5_000 })
    const seen: string[] = []
    bench.mesh.listen((notice) => {
      if (notice.type === 'transition') seen.push(`${notice.from}>${notice.to}`)
    })
    const calls = Array.from({ length: 4 }, (_, index) =>
      watch(
        bench.link.call(bench.root, (connection) => {
          seen.push(`run ${connection.number}`)
          if (index === 0 && connection.number === 1) connection.events.lost('broken by its first user')
          return 'done'
        }),
        bench.clock,
      ),
    )
    await bench.up()
    await bench.clock.advance(500)
    for (const outcome of calls) expect(outcome()?.value ?? outcome()?.code).toBe('done')
    expectOrdered(bench.link.snapshot())
    expect(seen.filter((what) => what.includes('>'))).toEqual([
      'idle>connecting',
      'connecting>up',
      'up>down',
      'down>connecting',
      'connecting>up',
    ])
    expectNoLeak(bench)
  })

  test('a waiting call that cancels another one: that one never runs', async () => {
    const bench = createTestLink({ whenDown: 'wait' })
    const other = bench.root.within(900)
    let ran = false
    const first = watch(
      bench.link.call(bench.root, () => other.cancel()),
      bench.clock,
    )
    const second = watch(
      bench.link.call(other, () => {
        ran = true
      }),
      bench.clock,
    )
    await bench.up()
    await settle()
    expect(ran).toBe(false)
    expect([first()?.code, second()?.code]).toEqual([undefined, 'CANCELLED'])
    expect(leftovers(bench)).toEqual(onlyTimers(2))
  })

  test('a listener or a waiting call that drains the link', async () => {
    const fromListener = createTestLink()
    let drained = false
    fromListener.mesh.listen((notice) => {
      if (notice.type !== 'transition' || notice.to !== 'up') return
      void fromListener.link.drain(fromListener.root).then(() => {
        drained = true
      })
    })
    await fromListener.up()
    await settle()
    expect([drained, fromListener.link.state]).toEqual([true, 'closed'])
    expectOrdered(fromListener.link.snapshot())
    expectNoLeak(fromListener)
    expect(leftovers(fromListener)).toEqual(onlyTimers(0))

    const fromCall = createTestLink({ whenDown: 'wait' })
    const calls = [0, 1].map(() =>
      watch(
        fromCall.link.call(fromCall.root, () => {
          void fromCall.link.drain(fromCall.root)
        }),
        fromCall.clock,
      ),
    )
    await fromCall.up()
    await settle()
    expect(fromCall.link.state).toBe('closed')
    expect(calls.every((outcome) => outcome() !== undefined)).toBe(true)
    expect(leftovers(fromCall)).toEqual(onlyTimers(0))
    expectNoLeak(fromCall)
  })
})

describe('L1: a defect of an adapter or a listener is told and does not stop the link', () => {
  function createDefective(): TestLink & { readonly notices: LinkNotice[] } {
    const bench = createTestLink()
    const notices: LinkNotice[] = []
    bench.mesh.listen((notice) => notices.push(notice))
    return { ...bench, notices }
  }
  const boom = (): never => {
    throw new Error('boom')
  }

  test('close that throws', async () => {
    const bench = createDefective()
    bench.peer.onClose = boom
    await bench.up()
    const outcome = watch(bench.link.call(bench.root, ask(bench, [HANG])), bench.clock)
    bench.peer.current.events.lost('reset')
    await bench.clock.advance(500)
    expect(bench.link.state).toBe('up')
    expect(outcome()?.code).toBe('LINK_LOST')
    expect(bench.notices).toContainEqual(expect.objectContaining({ type: 'defect', what: 'close', why: 'boom' }))
  })

  test('fault, renew and pool that throw', async () => {
    const bench = createDefective()
    Object.assign(bench.peer, { fault: boom, renew: boom, pool: boom })
    await bench.up()
    const wire = new WireError('maybe')
    const outcome = watch(
      bench.link.call(bench.root, ask(bench, [{ does: 'fail', afterMs: 0, error: wire }])),
      bench.clock,
    )
    bench.link.renew()
    await settle()
    expect(outcome()?.error).toBe(wire)
    expect(bench.link.snapshot().pool).toBeUndefined()
    expect(bench.link.state).toBe('up')
    const told = bench.notices.flatMap((notice) => (notice.type === 'defect' ? [notice.what] : []))
    expect(told).toEqual(expect.arrayContaining(['fault', 'renew', 'pool']))
    expect(leftovers(bench)).toEqual(onlyTimers(2))
  })

  test('a listener that throws', async () => {
    const bench = createDefective()
    bench.mesh.listen(boom)
    await bench.up()
    expect(bench.link.state).toBe('up')
    bench.peer.current.events.lost('reset')
    await bench.clock.advance(200)
    expect(bench.link.state).toBe('up')
    expect(bench.notices.length).toBe(5)
    expect(bench.mesh.metrics.text()).toContain('mesh_listener_failures_total{link="scripted.main"} 5')
  })
})
