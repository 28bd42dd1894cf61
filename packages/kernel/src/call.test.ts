import { describe, expect, test } from 'vitest'
import type { Ctx } from './ctx.ts'
import { RipstopError } from './errors.ts'
import type { GuaranteesInput } from './guarantees.ts'
import { settle } from './testing/index.ts'
import {
  ANSWER,
  type Answer,
  ask,
  createTestLink,
  HANG,
  leftovers,
  type Outcome,
  onlyTimers,
  type TestLink,
  WireError,
  watch,
} from './testing/scripted-peer.ts'

const TWO_TICKS_MS = 20

interface Phase {
  readonly phase: string
  readonly guarantees: Partial<GuaranteesInput>
  readonly sent: 'no' | 'maybe'
  /** Brings a call into the phase and returns it. */
  readonly enter: (bench: TestLink, ctx: Ctx) => Promise<() => Outcome | undefined>
}

const idempotent = { idempotent: true }
// The link's own deadline is long: it is the caller's that ends these calls, and the heartbeat stays out of the way.
const slow: Partial<GuaranteesInput> = { deadlineMs: 60_000, heartbeatMs: 86_400_000 }
const PHASES: readonly Phase[] = [
  {
    phase: 'queued',
    guarantees: { ...slow, bulkhead: { concurrent: 1 } },
    sent: 'no',
    enter: async (bench, ctx) => {
      await bench.up()
      watch(bench.link.call(bench.root.within(400), ask(bench, [HANG])), bench.clock)
      return watch(bench.link.call(ctx, ask(bench, [ANSWER])), bench.clock)
    },
  },
  {
    phase: 'waiting for the link',
    guarantees: { ...slow, whenDown: 'wait' },
    sent: 'no',
    enter: async (bench, ctx) => watch(bench.link.call(ctx, ask(bench, [ANSWER])), bench.clock),
  },
  {
    phase: 'running',
    guarantees: slow,
    sent: 'maybe',
    enter: async (bench, ctx) => {
      await bench.up()
      return watch(bench.link.call(ctx, ask(bench, [HANG])), bench.clock)
    },
  },
  {
    phase: 'pausing for a retry',
    guarantees: { ...slow, retry: { attempts: 5, baseMs: 150, capMs: 150 } },
    sent: 'maybe',
    enter: async (bench, ctx) => {
      await bench.up()
      const answer: Answer = { does: 'fail', afterMs: 0, error: new WireError('maybe') }
      const outcome = watch(bench.link.call(ctx, ask(bench, [answer]), idempotent), bench.clock)
      await settle()
      return outcome
    },
  },
]

describe.each(PHASES)('a call that is $phase', ({ phase, guarantees, sent, enter }) => {
  async function arrange() {
    const bench = createTestLink(guarantees)
    const ctx = bench.root.within(200)
    const outcome = await enter(bench, ctx)
    await settle()
    expect(outcome()).toBeUndefined()
    return { bench, ctx, outcome, startedMs: bench.clock.monoMs() }
  }

  /** Only the link's own timers are left, and exactly as many calls as there are permits run at once. */
  async function expectWhole(bench: TestLink): Promise<void> {
    await bench.clock.advance(500)
    expect(leftovers(bench)).toEqual(onlyTimers(bench.link.state === 'idle' ? 0 : 2))
  }

  test('L5: settles by the deadline and two ticks, and gives back its permit once', async () => {
    const { bench, outcome, startedMs } = await arrange()
    await bench.clock.advance(200 + TWO_TICKS_MS)
    // A pause that would outlast the deadline is never begun: then the last failure is the answer, and sooner.
    expect(outcome()?.code).toBe(phase === 'pausing for a retry' ? 'PEER_FAILED' : 'DEADLINE_EXCEEDED')
    expect((outcome()?.atMs ?? 0) - startedMs).toBeLessThanOrEqual(200 + TWO_TICKS_MS)
    await expectWhole(bench)
  })

  test('L7: says what it knows about bytes sent, whoever ends it', async () => {
    const { bench, ctx, outcome } = await arrange()
    ctx.cancel()
    await settle()
    expect(outcome()).toMatchObject({ code: 'CANCELLED', sent })
    await expectWhole(bench)
  })

  test('L5: settles when an ancestor of the caller is cancelled, with its reason', async () => {
    const bench = createTestLink(guarantees)
    const top = bench.root.within(10_000)
    const outcome = await enter(bench, top.within(5_000).within(5_000))
    top.cancel(new RipstopError('CANCELLED', 'the client went away'))
    await settle()
    expect(outcome()).toMatchObject({
      code: 'CANCELLED',
      error: expect.objectContaining({ message: 'the client went away' }),
    })
    await expectWhole(bench)
  })

  test('L5: settles when the application closes the link', async () => {
    const { bench, ctx, outcome } = await arrange()
    await bench.link.drain(bench.root.within(0))
    await bench.clock.advance(200)
    expect(outcome()?.code).toMatch(/LINK_CLOSED|LINK_LOST|DEADLINE_EXCEEDED/)
    void ctx
    await bench.clock.advance(500)
    expect(leftovers(bench)).toEqual(onlyTimers(0))
  })
})

test('L5: a deadline that has passed already runs nothing', async () => {
  const bench = createTestLink()
  await bench.up()
  const ran = { attempts: 0 }
  const ctx = bench.root.within(10)
  await bench.clock.advance(10)
  const spans = [
    bench.link.call(ctx, ask(bench, [ANSWER], ran)),
    bench.link.call(bench.root.within(0), ask(bench, [ANSWER], ran)),
    bench.link.call(bench.root.within(-5), ask(bench, [ANSWER], ran)),
    bench.link.call(bench.root, ask(bench, [ANSWER], ran), { deadlineMs: 0 }),
  ].map((call) => watch(call, bench.clock))
  await settle()
  for (const outcome of spans) expect(outcome()).toMatchObject({ code: 'DEADLINE_EXCEEDED', sent: 'no' })
  expect(ran.attempts).toBe(0)
  await bench.clock.advance(50)
  expect(leftovers(bench)).toEqual(onlyTimers(2))
})

test('L5: a call may shorten its deadline, never lengthen it', async () => {
  const bench = createTestLink({ deadlineMs: 300, heartbeatMs: 60_000 })
  await bench.up()
  const startedMs = bench.clock.monoMs()
  const short = watch(bench.link.call(bench.root, ask(bench, [HANG]), { deadlineMs: 100 }), bench.clock)
  const long = watch(bench.link.call(bench.root, ask(bench, [HANG]), { deadlineMs: 5_000 }), bench.clock)
  await bench.clock.advance(400)
  expect([short()?.code, long()?.code]).toEqual(['DEADLINE_EXCEEDED', 'DEADLINE_EXCEEDED'])
  expect((short()?.atMs ?? 0) - startedMs).toBeLessThanOrEqual(100 + TWO_TICKS_MS)
  expect((long()?.atMs ?? 0) - startedMs).toBeLessThanOrEqual(300 + TWO_TICKS_MS)
})

test('L5: the deadline covers retries: no pause is begun that would outlast it', async () => {
  const bench = createTestLink({ deadlineMs: 300, retry: { attempts: 9, baseMs: 200, capMs: 200 } })
  await bench.up()
  const failing: Answer = { does: 'fail', afterMs: 0, error: new WireError('no') }
  const ran = { attempts: 0 }
  const outcome = watch(bench.link.call(bench.root, ask(bench, [failing], ran)), bench.clock)
  await bench.clock.advance(320)
  expect(outcome()).toMatchObject({ code: 'PEER_FAILED', sent: 'no' })
  expect(ran.attempts).toBe(3) // at 0, 100 and 200 ms
})

test('L5: the late answer of an abandoned attempt changes nothing', async () => {
  const bench = createTestLink({
    deadlineMs: 2_000,
    retry: { attempts: 2, baseMs: 10 },
    bulkhead: { concurrent: 1 },
    heartbeatMs: 60_000,
    whenDown: 'wait',
  })
  await bench.up()
  let answerLate: (value: string) => void = () => {}
  let attempts = 0
  const outcome = watch(
    bench.link.call(
      bench.root,
      () =>
        new Promise<string>((resolve) => {
          attempts++
          if (attempts === 1) answerLate = resolve
        }),
      idempotent,
    ),
    bench.clock,
  )
  bench.peer.current.events.lost('reset')
  await bench.clock.advance(200) // lost, paused, connected again, second attempt under way
  expect(attempts).toBe(2)
  answerLate('stale')
  await settle()
  expect(outcome()).toBeUndefined()
  expect(bench.link.snapshot().inFlight).toBe(1)
  await bench.clock.advance(2_000)
  expect(outcome()).toMatchObject({ code: 'DEADLINE_EXCEEDED', sent: 'maybe' })
  expect(leftovers(bench)).toEqual(onlyTimers(2))
})

test('L5: what a call settled with does not change when its attempt fails later', async () => {
  const bench = createTestLink({ deadlineMs: 100, heartbeatMs: 60_000 })
  await bench.up()
  const late: Answer = { does: 'fail', afterMs: 5_000, error: new WireError('maybe') }
  const outcome = watch(bench.link.call(bench.root, ask(bench, [late])), bench.clock)
  await bench.clock.advance(10_000)
  expect(outcome()).toMatchObject({ code: 'DEADLINE_EXCEEDED' })
  expect(leftovers(bench)).toEqual(onlyTimers(2))
})
