import fc from 'fast-check'
import { expect, test } from 'vitest'
import { background, type Ctx } from './ctx.ts'
import { createEnv } from './env.ts'
import { hasCode, RipstopError } from './errors.ts'
import { createFakeClock } from './testing/index.ts'
import { survivors } from './testing/memory.ts'

function createRoot() {
  const clock = createFakeClock()
  const env = createEnv({ clock })
  return { clock, env, root: background(env) }
}

test('C1: a child is over no later than its parent, at any depth', () => {
  const { clock, root } = createRoot()
  fc.assert(
    fc.property(fc.array(fc.integer({ min: -10, max: 10_000 }), { minLength: 1, maxLength: 8 }), (spans) => {
      let ctx: Ctx = root
      for (const span of spans) {
        const child = ctx.within(span)
        expect(child.deadlineAt).toBeLessThanOrEqual(ctx.deadlineAt)
        expect(child.deadlineAt).toBeLessThanOrEqual(clock.monoMs() + span)
        ctx = child
      }
      expect(ctx.deadlineAt).toBe(clock.monoMs() + Math.min(...spans))
    }),
  )
})

test('a deadline aborts the signal with DEADLINE_EXCEEDED, within two ticks', async () => {
  const { clock, root } = createRoot()
  const ctx = root.within(100)
  const { signal } = ctx
  await clock.advance(99)
  expect(signal.aborted).toBe(false)
  expect(ctx.remainingMs).toBe(1)
  await clock.advance(21)
  expect(signal.aborted).toBe(true)
  expect(hasCode(signal.reason, 'DEADLINE_EXCEEDED')).toBe(true)
  expect(ctx.remainingMs).toBe(0)
  expect(() => ctx.throwIfOver()).toThrow(signal.reason)
})

test('throwIfOver knows a passed deadline that nobody armed', async () => {
  const { clock, root } = createRoot()
  const ctx = root.within(10)
  ctx.throwIfOver()
  await clock.advance(10)
  expect(() => ctx.throwIfOver()).toThrow(expect.objectContaining({ code: 'DEADLINE_EXCEEDED' }))
})

test('C3: cancelling reaches every descendant once, with the first reason', async () => {
  const { root } = createRoot()
  const top = root.within(1_000)
  const family = [top, top.within(500), top.within(2_000)]
  family.push(...family.slice(1).map((ctx) => ctx.within(400)))
  const heard = new Map<Ctx, unknown[]>()
  for (const ctx of family) {
    heard.set(ctx, [])
    ctx.signal.addEventListener('abort', () => heard.get(ctx)?.push(ctx.signal.reason))
  }
  const first = new RipstopError('CANCELLED', 'first')
  top.cancel(first)
  top.cancel(new RipstopError('CANCELLED', 'second'))
  for (const ctx of family) {
    expect(heard.get(ctx)).toEqual([first])
    expect(ctx.reason).toBe(first)
  }
  expect(top.within(10).signal.reason).toBe(first)
})

test('C3: a listener that cancels, asks for signals and makes children meanwhile disturbs nobody', () => {
  const { root } = createRoot()
  const top = root.within(1_000)
  const children = Array.from({ length: 5 }, () => top.within(500))
  const reasons: unknown[] = []
  for (const child of children) {
    child.signal.addEventListener('abort', () => {
      reasons.push(child.signal.reason)
      for (const other of children) other.cancel(new RipstopError('CANCELLED', 'late'))
      reasons.push(top.within(1).signal.reason)
    })
  }
  const first = new RipstopError('CANCELLED', 'first')
  top.cancel(first)
  expect(top.within(5).signal.aborted).toBe(true)
  expect(reasons.length).toBe(10)
  expect(children[0]?.reason).toBe(first)
})

test('C2, C3: what is asked of a cancelled child later neither hangs it on its parent again nor blocks the parent', async () => {
  const { env, root } = createRoot()
  const parent = root.within(60_000)
  void parent.signal
  const child = parent.within(30_000)
  void child.signal
  child.cancel()
  const grandchild = child.within(10)
  expect(grandchild.signal.aborted).toBe(true)
  expect(env.wheel.armed).toBe(1)
  parent.cancel() // an endless loop if the cancelled child hung on it
  expect(env.wheel.armed).toBe(0)
})

test('C2: 20,000 children under one long-lived parent leave nothing attached, however they ended', async () => {
  const { clock, env, root } = createRoot()
  const parent = root.within(3_600_000)
  void parent.signal
  const references: WeakRef<object>[] = []
  const live = (count: number): void => {
    for (let index = 0; index < count; index++) {
      const child = parent.within(100 + (index % 50))
      void child.within(50).signal // something waits below it
      references.push(new WeakRef(child), new WeakRef(child.signal))
      if (index % 4 === 0) child.cancel()
      else if (index % 4 === 1) child[Symbol.dispose]()
    }
  }
  live(20_000)
  await clock.advance(200)
  expect(env.wheel.armed).toBe(1) // the parent's own deadline
  expect(await survivors(references)).toBe(0)
  expect(parent.signal.aborted).toBe(false)
})

test('C2: a parent that hangs only for a child lets go when the child does', async () => {
  const { env, root } = createRoot()
  const references: WeakRef<object>[] = []
  const live = (): void => {
    for (let index = 0; index < 1_000; index++) {
      const request = root.within(30_000)
      const step = request.within(1_000)
      void step.signal
      step[Symbol.dispose]()
      references.push(new WeakRef(request))
    }
  }
  live()
  expect(env.wheel.armed).toBe(0)
  expect(await survivors(references)).toBe(0)
})

test('C3: disposing of a parent that a child still hangs on does not cut the child off', () => {
  const { env, root } = createRoot()
  const top = root.within(1_000)
  const middle = top.within(500)
  const { signal } = middle
  const leaf = middle.within(100)
  void leaf.signal
  middle[Symbol.dispose]()
  const reason = new RipstopError('CANCELLED', 'from the top')
  top.cancel(reason)
  expect(leaf.signal.reason).toBe(reason)
  expect(signal.aborted, 'a signal that was handed out stays silent').toBe(false)
  expect(env.wheel.armed).toBe(0)
})

test('a disposed ctx aborts nobody and holds nothing', async () => {
  const { clock, env, root } = createRoot()
  const signals: AbortSignal[] = []
  {
    using ctx = root.within(50)
    signals.push(ctx.signal)
    expect(env.wheel.armed).toBe(1)
  }
  expect(env.wheel.armed).toBe(0)
  await clock.advance(1_000)
  expect(signals[0]?.aborted).toBe(false)
})

test('a span that is no number is a mistake of the caller, said at once', () => {
  const { root } = createRoot()
  expect(() => root.within(Number.NaN)).toThrow(/NaN/)
})

test('C1, C2, C3: any tree of contexts under any order of events behaves as a naive tree does', async () => {
  type Step = readonly ['child' | 'signal' | 'cancel' | 'dispose' | 'advance', number, number]
  const step: fc.Arbitrary<Step> = fc.tuple(
    fc.constantFrom('child', 'child', 'signal', 'signal', 'cancel', 'dispose', 'advance'),
    fc.nat(),
    fc.integer({ min: 0, max: 300 }),
  )
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const { clock, env, root } = createRoot()
      interface Naive {
        readonly ctx: Ctx
        readonly parent: Naive | undefined
        signal: AbortSignal | undefined
        cancelled: boolean
        disposed: boolean
      }
      const all: Naive[] = [{ ctx: root, parent: undefined, signal: undefined, cancelled: false, disposed: false }]
      for (const [does, pick, ms] of steps) {
        const node = all[pick % all.length] as Naive
        if (does === 'child') {
          const { cancelled } = node
          all.push({ ctx: node.ctx.within(ms), parent: node, signal: undefined, cancelled, disposed: false })
        } else if (does === 'signal') node.signal = node.ctx.signal
        else if (does === 'dispose' && node.parent !== undefined) {
          node.ctx[Symbol.dispose]()
          node.disposed = true
        } else if (does === 'cancel' && node.parent !== undefined && !node.disposed) {
          node.ctx.cancel()
          cancelNaively(node, all)
        } else if (does === 'advance') {
          await clock.advance(ms)
          for (const late of all) if (clock.monoMs() - late.ctx.deadlineAt > 20) late.cancelled ||= !late.disposed
        }
        for (const one of all) {
          if (one.parent !== undefined) expect(one.ctx.deadlineAt).toBeLessThanOrEqual(one.parent.ctx.deadlineAt)
          if (one.signal === undefined || one.disposed) continue
          const nearDeadline = Math.abs(clock.monoMs() - one.ctx.deadlineAt) <= 20
          if (!nearDeadline) expect(one.signal.aborted).toBe(one.cancelled || clock.monoMs() > one.ctx.deadlineAt)
        }
      }
      await clock.advance(400)
      expect(env.wheel.armed).toBe(0)
    }),
    { numRuns: 150 },
  )

  function cancelNaively(node: { cancelled: boolean }, all: readonly { parent: unknown; cancelled: boolean }[]): void {
    node.cancelled = true
    for (const other of all) if (other.parent === node && !other.cancelled) cancelNaively(other, all)
  }
})
