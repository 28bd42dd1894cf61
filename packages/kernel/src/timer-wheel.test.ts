import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createFakeClock, type FakeClock } from './testing/index.ts'
import { TimerWheel, WheelEntry } from './timer-wheel.ts'

const TICK_MS = 10

class Probe extends WheelEntry {
  readonly firedAtMs: number[] = []
  readonly #react: (probe: Probe, nowMs: number) => void
  constructor(react: (probe: Probe, nowMs: number) => void = () => {}) {
    super()
    this.#react = react
  }
  override onDue(nowMs: number): void {
    this.firedAtMs.push(nowMs)
    this.#react(this, nowMs)
  }
}

type Reaction =
  | { readonly does: 'nothing' }
  | { readonly does: 'arm'; readonly target: number; readonly delayMs: number }
  | { readonly does: 'disarm'; readonly target: number }

type Step =
  | { readonly does: 'arm'; readonly target: number; readonly delayMs: number; readonly reaction: Reaction }
  | { readonly does: 'disarm'; readonly target: number }
  | { readonly does: 'advance'; readonly ms: number }
  | { readonly does: 'stall'; readonly ms: number }

const ENTRIES = 6
const target = fc.integer({ min: 0, max: ENTRIES - 1 })
// Few distinct delays, so that entries share slots; some lie several revolutions (5.12 s) ahead, some in the past.
const delayMs = fc.constantFrom(-30, 0, 1, 9, 10, 25, 40, 500, 5_119, 5_120, 5_130, 12_000, 20_000)
const reaction: fc.Arbitrary<Reaction> = fc.oneof(
  fc.constant<Reaction>({ does: 'nothing' }),
  fc.record({ does: fc.constant('arm' as const), target, delayMs }),
  fc.record({ does: fc.constant('disarm' as const), target }),
)
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ does: fc.constant('arm' as const), target, delayMs, reaction }) },
  { weight: 1, arbitrary: fc.record({ does: fc.constant('disarm' as const), target }) },
  {
    weight: 3,
    arbitrary: fc.record({ does: fc.constant('advance' as const), ms: fc.integer({ min: 0, max: 6_000 }) }),
  },
  { weight: 1, arbitrary: fc.record({ does: fc.constant('stall' as const), ms: fc.integer({ min: 1, max: 7_000 }) }) },
)

/** The naive model: when each entry is due, checked at every firing. */
class Model {
  readonly clock: FakeClock = createFakeClock()
  readonly wheel = new TimerWheel(this.clock)
  readonly due = new Map<number, number>()
  readonly reactions: Reaction[] = Array.from({ length: ENTRIES }, () => ({ does: 'nothing' }))
  readonly problems: string[] = []
  stalledUntilMs = 0
  readonly entries = Array.from(
    { length: ENTRIES },
    (_, index) => new Probe((_probe, nowMs) => this.#fired(index, nowMs)),
  )

  arm(index: number, inMs: number): void {
    const nowMs = this.clock.monoMs()
    this.due.set(index, Math.max(nowMs, nowMs + inMs)) // what was due before it was armed is late from then on
    this.wheel.arm(this.entries[index] as Probe, nowMs + inMs)
  }

  disarm(index: number): void {
    this.due.delete(index)
    this.wheel.disarm(this.entries[index] as Probe)
  }

  #fired(index: number, nowMs: number): void {
    const dueMs = this.due.get(index)
    if (dueMs === undefined) this.problems.push(`T1: ${index} fired though it was not armed`)
    else if (nowMs < dueMs) this.problems.push(`T1: ${index} fired ${dueMs - nowMs} ms early`)
    this.due.delete(index)
    const reacts = this.reactions[index] as Reaction
    this.reactions[index] = { does: 'nothing' }
    if (reacts.does === 'arm') this.arm(reacts.target, reacts.delayMs)
    if (reacts.does === 'disarm') this.disarm(reacts.target)
  }

  /** What is overdue by more than two ticks, with the loop not stalled since. */
  checkLate(): void {
    const nowMs = this.clock.monoMs()
    for (const [index, dueMs] of this.due) {
      const startMs = Math.max(dueMs, this.stalledUntilMs)
      if (nowMs - startMs > 2 * TICK_MS) this.problems.push(`T2: ${index} is ${nowMs - dueMs} ms late`)
    }
    if (this.wheel.armed !== this.due.size) {
      this.problems.push(`${this.wheel.armed} are armed, the model has ${this.due.size}`)
    }
  }
}

test('T1, T2: whatever is armed, moved, disarmed and armed again while firing does as a naive list of timers does', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 40 }), async (steps) => {
      const model = new Model()
      for (const now of steps) {
        if (now.does === 'arm') {
          model.reactions[now.target] = now.reaction
          model.arm(now.target, now.delayMs)
        } else if (now.does === 'disarm') model.disarm(now.target)
        else if (now.does === 'advance') await model.clock.advance(now.ms)
        else {
          model.clock.stall(now.ms)
          model.stalledUntilMs = model.clock.monoMs()
        }
        if (now.does === 'advance') model.checkLate()
        expect(model.problems).toEqual([])
      }
      await model.clock.advance(60_000)
      model.checkLate()
      expect(model.problems).toEqual([])
      expect(model.wheel.armed).toBe(0)
    }),
    { numRuns: 300 },
  )
})

test('T1: an entry that an earlier one of its slot moves elsewhere fires there, and the wheel stays whole', async () => {
  const clock = createFakeClock()
  const wheel = new TimerWheel(clock)
  const moved = new Probe()
  const bystander = new Probe()
  const mover = new Probe((_probe, nowMs) => wheel.arm(moved, nowMs + 100))
  for (const entry of [mover, moved, bystander]) wheel.arm(entry, clock.monoMs() + 5)
  await clock.advance(50)
  expect([mover.firedAtMs.length, moved.firedAtMs.length, bystander.firedAtMs.length]).toEqual([1, 0, 1])
  await clock.advance(100)
  expect(moved.firedAtMs.length).toBe(1)
  expect(wheel.armed).toBe(0)
})

test('T1: an entry that throws stops neither the others nor the wheel', async () => {
  const clock = createFakeClock()
  const wheel = new TimerWheel(clock)
  const after = new Probe()
  const later = new Probe()
  wheel.arm(
    new Probe(() => {
      throw new Error('a defect of an entry')
    }),
    clock.monoMs() + 5,
  )
  wheel.arm(after, clock.monoMs() + 5)
  wheel.arm(later, clock.monoMs() + 200)
  await expect(clock.advance(50)).rejects.toThrow('a defect of an entry')
  expect(after.firedAtMs.length).toBe(1)
  await clock.advance(300)
  expect(later.firedAtMs.length).toBe(1)
})

test('T2: a deadline many revolutions ahead fires once, within two ticks', async () => {
  const clock = createFakeClock()
  const wheel = new TimerWheel(clock)
  const entry = new Probe()
  const dueMs = clock.monoMs() + 10 * 5_120 + 7
  wheel.arm(entry, dueMs)
  await clock.advance(10 * 5_120)
  expect(entry.firedAtMs).toEqual([])
  await clock.advance(1_000)
  expect(entry.firedAtMs.length).toBe(1)
  expect((entry.firedAtMs[0] ?? 0) - dueMs).toBeLessThanOrEqual(2 * TICK_MS)
})

test('T2: a due time of weeks never becomes a clock timer longer than a revolution: setTimeout would fire it at once', () => {
  const delays: number[] = []
  const clock = createFakeClock()
  const wheel = new TimerWheel({
    ...clock,
    schedule: (ms, fire) => {
      delays.push(ms)
      return clock.schedule(ms, fire)
    },
  })
  wheel.arm(new Probe(), clock.monoMs() + 45 * 86_400_000)
  expect(delays).toEqual([expect.any(Number)])
  expect(Math.max(...delays)).toBeLessThanOrEqual(6_000)
})

test('T3: with nothing armed no clock timer is left, and arming again works as before', async () => {
  const clock = createFakeClock()
  const wheel = new TimerWheel(clock)
  const entries = Array.from({ length: 100 }, () => new Probe())
  for (const [index, entry] of entries.entries()) wheel.arm(entry, clock.monoMs() + index * 37)
  expect(clock.pending()).toBe(1)
  for (const entry of entries) wheel.disarm(entry)
  expect([wheel.armed, clock.pending()]).toEqual([0, 0])
  const again = new Probe()
  wheel.arm(again, clock.monoMs() + 50)
  await clock.advance(100)
  expect(again.firedAtMs.length).toBe(1)
  expect(clock.pending()).toBe(0)
})

test.each([1, 3])(
  'T4: %i entries that arm themselves again at once fire once a sweep, and the sweep ends',
  async (count) => {
    const clock = createFakeClock()
    const wheel = new TimerWheel(clock)
    const restless = Array.from({ length: count }, () => new Probe((probe, nowMs) => wheel.arm(probe, nowMs)))
    for (const entry of restless) wheel.arm(entry, clock.monoMs())
    await clock.advance(1_000)
    for (const entry of restless) {
      expect(entry.firedAtMs.length).toBeGreaterThan(30)
      expect(new Set(entry.firedAtMs).size).toBe(entry.firedAtMs.length)
    }
  },
)

test('T4: the sweep ends even if time passes while it runs', async () => {
  const clock = createFakeClock()
  const wheel = new TimerWheel(clock)
  const slow = new Probe((probe) => {
    clock.stall(15)
    if (probe.firedAtMs.length < 500) wheel.arm(probe, clock.monoMs())
  })
  wheel.arm(slow, clock.monoMs())
  await clock.advance(100)
  expect(slow.firedAtMs.length).toBeLessThanOrEqual(10)
})

test('the measured stall is that of the loop, not the age of a due time that had passed when it was armed', async () => {
  const clock = createFakeClock()
  const wheel = new TimerWheel(clock)
  wheel.arm(new Probe(), clock.monoMs() + 5_000)
  await clock.advance(3_000)
  const overdue = new Probe()
  wheel.arm(overdue, clock.monoMs() - 2_500)
  await clock.advance(20)
  expect(overdue.firedAtMs.length).toBe(1)
  expect(wheel.stallMs).toBeLessThanOrEqual(2 * TICK_MS)
  clock.stall(5_000)
  await clock.advance(0)
  expect(wheel.stallMs).toBeGreaterThan(2_000)
})

test('disarming what is not armed, and arming what is, are harmless', async () => {
  const clock = createFakeClock()
  const wheel = new TimerWheel(clock)
  const entry = new Probe()
  wheel.disarm(entry)
  wheel.arm(entry, clock.monoMs() + 50)
  wheel.arm(entry, clock.monoMs() + 500)
  expect(wheel.armed).toBe(1)
  await clock.advance(200)
  expect(entry.firedAtMs).toEqual([])
  await clock.advance(400)
  expect(entry.firedAtMs.length).toBe(1)
})
