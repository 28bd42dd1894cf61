import { describe, expect, test } from 'vitest'
import { RipstopError, type Sent } from './errors.ts'
import { settle } from './testing/index.ts'
import { ANSWER, type Answer, AnswerError, createTestLink, HANG, WireError, watch } from './testing/scripted-peer.ts'

const RETRY = { retry: { attempts: 3, baseMs: 10, capMs: 10 }, breaker: 'none', heartbeatMs: 60_000 } as const

function fail(error: unknown, afterMs = 0): Answer {
  return { does: 'fail', afterMs, error }
}

/** Makes one call whose attempts get these answers; says how it ended and how often it was tried. */
async function callWith(answers: readonly Answer[], options: { idempotent?: boolean } = {}) {
  const bench = createTestLink(RETRY)
  await bench.up()
  let attempts = 0
  const outcome = watch(
    bench.link.call(
      bench.root,
      (_connection, ctx) => {
        const answer = answers[Math.min(attempts++, answers.length - 1)] as Answer
        return bench.peer.ask(answer, ctx).then(() => 'answered')
      },
      options,
    ),
    bench.clock,
  )
  await bench.clock.advance(900)
  return { bench, outcome: outcome(), attempts }
}

describe('L7: what is tried again: `retry` of the code, `sent`, `idempotent`, nothing else', () => {
  const codes = [
    { code: 'PEER_FAILED', retry: true },
    { code: 'LINK_LOST', retry: true },
    { code: 'DEADLINE_EXCEEDED', retry: true },
    { code: 'PEER_REFUSED', retry: false },
    { code: 'PAYLOAD_TOO_LARGE', retry: false },
    { code: 'INTERNAL', retry: false },
  ] as const
  const cases = codes.flatMap(({ code, retry }) =>
    (['no', 'maybe', undefined] as const).flatMap((sent) =>
      [true, false].map((idempotent) => ({
        code,
        sent,
        idempotent,
        tried: retry && (sent === 'no' || idempotent) ? 3 : 1,
      })),
    ),
  )
  test.each(cases)(
    '$code, sent $sent, idempotent $idempotent: $tried attempts',
    async ({ code, sent, idempotent, tried }) => {
      const error = new RipstopError(code, 'scripted', sent === undefined ? {} : { sent })
      const { outcome, attempts } = await callWith([fail(error)], { idempotent })
      expect(attempts).toBe(tried)
      expect(outcome).toMatchObject({ code, sent: sent ?? 'maybe' })
    },
  )
})

test('L7: a wire that breaks after bytes went out is not tried again unless the call is idempotent', async () => {
  const once = await callWith([fail(new WireError('maybe')), ANSWER])
  expect(once).toMatchObject({ attempts: 1, outcome: { code: 'PEER_FAILED', sent: 'maybe' } })
  const twice = await callWith([fail(new WireError('maybe')), ANSWER], { idempotent: true })
  expect(twice).toMatchObject({ attempts: 2, outcome: { value: 'answered' } })
})

describe('L7: once bytes of any attempt may have gone out, the call says maybe', () => {
  test('though the last attempt failed before sending', async () => {
    const { outcome, attempts } = await callWith([fail(new WireError('maybe')), fail(new WireError('no'))], {
      idempotent: true,
    })
    expect(attempts).toBe(3)
    expect(outcome).toMatchObject({ code: 'PEER_FAILED', sent: 'maybe' })
  })

  test('though the link was down when it came to the next attempt', async () => {
    const bench = createTestLink(RETRY)
    await bench.up()
    const outcome = watch(
      bench.link.call(bench.root, () => new Promise(() => {}), { idempotent: true }),
      bench.clock,
    )
    bench.peer.onOpen = () => fail(new Error('ECONNREFUSED'))
    bench.peer.current.events.lost('reset')
    await bench.clock.advance(100)
    expect(outcome()).toMatchObject({ code: 'LINK_DOWN', sent: 'maybe' })
    expect(outcome()?.error).toHaveProperty('retryAfterMs', expect.any(Number))
  })

  test('though the breaker or the rate refused the next attempt', async () => {
    for (const guarantees of [{ breaker: { minimumCalls: 1 } }, { rate: { perSecond: 1, burst: 1 } }]) {
      const bench = createTestLink({ ...RETRY, ...guarantees })
      await bench.up()
      const outcome = watch(
        bench.link.call(bench.root, (_connection, ctx) => bench.peer.ask(fail(new WireError('maybe')), ctx), {
          idempotent: true,
        }),
        bench.clock,
      )
      await bench.clock.advance(100)
      expect(outcome()?.code).toMatch(/BREAKER_OPEN|RATE_LIMITED/)
      expect(outcome()?.sent).toBe('maybe')
    }
  })

  test('though the peer had answered the first attempt, with a failure', async () => {
    const bench = createTestLink({ ...RETRY, breaker: { minimumCalls: 1 } })
    await bench.up()
    const failed = () => new RipstopError('PEER_FAILED', '503')
    const outcome = watch(
      bench.link.call(bench.root, async () => 503, { idempotent: true, failed }),
      bench.clock,
    )
    await bench.clock.advance(100)
    expect(outcome()).toMatchObject({ code: 'BREAKER_OPEN', sent: 'maybe' })
  })
})

test('L7: what `failed` says is tried again, and the last answer comes back all the same', async () => {
  const bench = createTestLink(RETRY)
  await bench.up()
  let asked = 0
  const failed = (status: number) => (status < 500 ? undefined : new RipstopError('PEER_FAILED', `status ${status}`))
  const again = watch(
    bench.link.call(bench.root, async () => (asked++ === 0 ? 503 : 200), { idempotent: true, failed }),
    bench.clock,
  )
  const never = watch(
    bench.link.call(bench.root, async () => 503, { idempotent: true, failed }),
    bench.clock,
  )
  const unsafe = watch(
    bench.link.call(bench.root, async () => 503, { failed }),
    bench.clock,
  )
  await bench.clock.advance(200)
  expect([again()?.value, never()?.value, unsafe()?.value]).toEqual([200, 503, 503])
  const text = bench.mesh.metrics.text()
  expect(text).toContain('link_calls_total{link="scripted.main",outcome="failed"} 2')
  expect(text).toContain('link_calls_total{link="scripted.main",outcome="ok"} 1')
})

test('L7: retry_after of the peer is the least pause', async () => {
  const error = new RipstopError('PEER_FAILED', 'busy', { sent: 'no', retryAfterMs: 300 })
  const bench = createTestLink(RETRY)
  await bench.up()
  const startedMs = bench.clock.monoMs()
  let attempts = 0
  const outcome = watch(
    bench.link.call(bench.root, (_connection, ctx) =>
      bench.peer.ask(attempts++ === 0 ? fail(error) : ANSWER, ctx).then(() => bench.clock.monoMs()),
    ),
    bench.clock,
  )
  await bench.clock.advance(900)
  expect((outcome()?.value as number) - startedMs).toBeGreaterThanOrEqual(300)
  const odd = await callWith([fail(new RipstopError('PEER_FAILED', 'odd', { sent: 'no', retryAfterMs: Number.NaN }))])
  expect(odd).toMatchObject({ attempts: 1, outcome: { code: 'PEER_FAILED' } })
})

test('an error of ours that crossed a JSON boundary keeps its code, and still says sent', async () => {
  const { outcome } = await callWith([fail({ code: 'PEER_FAILED', message: 'from a worker', details: {} })])
  expect(outcome).toMatchObject({ code: 'PEER_FAILED', sent: 'maybe' })
})

// Documented behaviour of cockatiel's retry(maxAttempts): calls of the function for a peer that fails n times first.
// (Its maxAttempts counts retries; ours counts attempts in all.)
test.each([
  { attempts: 1, failures: 1, called: 1, ends: 'PEER_FAILED' },
  { attempts: 3, failures: 0, called: 1, ends: 'answered' },
  { attempts: 3, failures: 2, called: 3, ends: 'answered' },
  { attempts: 3, failures: 9, called: 3, ends: 'PEER_FAILED' },
])('differential: $attempts attempts, $failures failures first: called $called times', async (vector) => {
  const bench = createTestLink({ ...RETRY, retry: { ...RETRY.retry, attempts: vector.attempts } })
  await bench.up()
  let called = 0
  const outcome = watch(
    bench.link.call(bench.root, (_connection, ctx) =>
      bench.peer.ask(called++ < vector.failures ? fail(new WireError('no')) : ANSWER, ctx).then(() => 'answered'),
    ),
    bench.clock,
  )
  await bench.clock.advance(900)
  expect([called, outcome()?.value ?? outcome()?.code]).toEqual([vector.called, vector.ends])
})

test('the attempt that the function sees counts up, and every retry is counted', async () => {
  const bench = createTestLink(RETRY)
  await bench.up()
  const seen: number[] = []
  const call = bench.link.call(bench.root, (_connection, ctx) => {
    seen.push(ctx.attempt)
    return bench.peer.ask(fail(new WireError('no')), ctx)
  })
  const outcome = watch(call, bench.clock)
  await bench.clock.advance(200)
  expect(seen).toEqual([1, 2, 3])
  expect(outcome()?.code).toBe('PEER_FAILED')
  expect(bench.mesh.metrics.text()).toContain('link_retries_total{link="scripted.main"} 2')
})

test.each([100, 1_000])(
  'L9: %i calls/s through a link whose peer fails for 10 s: at most 1.25 attempts a call',
  async (rate) => {
    const bench = createTestLink({ ...RETRY, retry: { attempts: 3, baseMs: 25, capMs: 100 } }, { seed: rate })
    await bench.up()
    let attempts = 0
    const calls = rate * 10
    for (let tick = 0; tick < 1_000; tick++) {
      for (let call = 0; call < rate / 100; call++) {
        bench.link
          .call(bench.root, (_connection, ctx) => {
            attempts++
            return bench.peer.ask(fail(new WireError('no')), ctx)
          })
          .catch(() => {})
      }
      await bench.clock.advance(10)
    }
    await bench.clock.advance(2_000)
    expect(attempts / calls).toBeLessThanOrEqual(1.25)
    expect(attempts / calls).toBeGreaterThan(1.1)
  },
)

describe('L6: suspicion', () => {
  const L6 = { deadlineMs: 5_000, probeDeadlineMs: 400, heartbeatMs: 60_000, bulkhead: { concurrent: 1 } }

  test('a deadline miss probes at once if the peer was given at least a probe of time', async () => {
    const bench = createTestLink(L6)
    await bench.up()
    const probes = bench.peer.probes
    watch(
      bench.link.call(bench.root, (_connection, ctx) => bench.peer.ask(HANG, ctx), { deadlineMs: 400 }),
      bench.clock,
    )
    await bench.clock.advance(420)
    expect(bench.peer.probes).toBe(probes + 1)
    expect(bench.link.state).toBe('up') // the probe passed: slow, not dead
  })

  test('one that was given less only raises suspicion', async () => {
    const bench = createTestLink(L6)
    await bench.up()
    const probes = bench.peer.probes
    watch(
      bench.link.call(bench.root, (_connection, ctx) => bench.peer.ask(HANG, ctx), { deadlineMs: 100 }),
      bench.clock,
    )
    await bench.clock.advance(130)
    expect(bench.peer.probes).toBe(probes)
    expect(bench.link.state).toBe('degraded')
  })

  test('time in the queue is not time that the peer was given', async () => {
    const bench = createTestLink(L6)
    await bench.up()
    const probes = bench.peer.probes
    const first: Answer = { does: 'answer', afterMs: 900 }
    const calls = [first, HANG].map((answer) =>
      watch(
        bench.link.call(bench.root, (_connection, ctx) => bench.peer.ask(answer, ctx), { deadlineMs: 1_000 }),
        bench.clock,
      ),
    )
    await bench.clock.advance(1_020)
    expect(calls[1]?.()?.code).toBe('DEADLINE_EXCEEDED')
    expect(bench.peer.probes).toBe(probes)
    expect(bench.link.state).toBe('degraded')
  })

  test('a cancelled call suspects nobody', async () => {
    const bench = createTestLink(L6)
    await bench.up()
    const probes = bench.peer.probes
    const ctx = bench.root.within(1_000)
    watch(
      bench.link.call(ctx, (_connection, inner) => bench.peer.ask(HANG, inner)),
      bench.clock,
    )
    await bench.clock.advance(600)
    ctx.cancel()
    await settle()
    expect([bench.link.state, bench.peer.probes]).toEqual(['up', probes])
  })

  test('probes are single-flight however many calls miss', async () => {
    const bench = createTestLink({ ...L6, bulkhead: { concurrent: 100 } })
    await bench.up()
    bench.peer.onProbe = () => HANG
    const probes = bench.peer.probes
    for (let call = 0; call < 50; call++) {
      watch(
        bench.link.call(bench.root, (_connection, ctx) => bench.peer.ask(HANG, ctx), { deadlineMs: 500 + call }),
        bench.clock,
      )
    }
    await bench.clock.advance(700)
    expect(bench.peer.probes).toBe(probes + 1)
    expect(bench.peer.probesUnderWayMost).toBe(1)
  })

  test('a completed round trip while doubted is proof; an error or a plain value is none', async () => {
    const bench = createTestLink(L6)
    await bench.up()
    const doubt = (): void => {
      watch(
        bench.link.call(bench.root, (_connection, ctx) => bench.peer.ask(HANG, ctx), { deadlineMs: 50 }),
        bench.clock,
      )
    }
    doubt()
    await bench.clock.advance(70)
    expect(bench.link.state).toBe('degraded')
    const provedMs = bench.link.snapshot().lastProofMonoMs
    const defect = async (): Promise<never> => {
      throw new TypeError('a defect of the caller, before anything was sent')
    }
    for (const run of [
      () => 1,
      defect,
      () => {
        throw new TypeError('at once')
      },
    ]) {
      await bench.link.call(bench.root, run).catch(() => {})
      expect(bench.link.snapshot().lastProofMonoMs).toBe(provedMs)
      expect(bench.link.state).toBe('degraded')
    }
    const outcome = watch(
      bench.link.call(bench.root, (_connection, ctx) => bench.peer.ask({ does: 'answer', afterMs: 5 }, ctx)),
      bench.clock,
    )
    await bench.clock.advance(10)
    expect(outcome()?.code).toBeUndefined()
    expect(bench.link.state).toBe('up')
    expect(bench.link.snapshot().lastProofAgeMs).toBeLessThanOrEqual(10)
  })
})

test('the breaker hears of failures of the peer and of nothing else', async () => {
  const bench = createTestLink({ ...RETRY, retry: { attempts: 1 }, breaker: { minimumCalls: 3, failureRate: 0.5 } })
  await bench.up()
  const run = async (answer: Answer) => {
    const outcome = watch(
      bench.link.call(bench.root, (_connection, ctx) => bench.peer.ask(answer, ctx), { deadlineMs: 100 }),
      bench.clock,
    )
    await bench.clock.advance(150)
    return outcome()
  }
  for (let call = 0; call < 10; call++) await run(fail(new AnswerError('no such row')))
  // One tenant's bad requests must not shut the peer off for all: the same request would fail again, so it is to blame.
  for (let call = 0; call < 10; call++)
    await run(fail(new RipstopError('PEER_REFUSED', 'status 400', { sent: 'maybe' })))
  const cancelled = bench.root.within(1_000)
  for (let call = 0; call < 20; call++)
    watch(
      bench.link.call(cancelled, () => new Promise(() => {})),
      bench.clock,
    )
  cancelled.cancel()
  await settle()
  expect(bench.link.snapshot().breaker).toBe('closed')
  await bench.clock.advance(11_000)
  const sents: (Sent | undefined)[] = []
  for (const answer of [fail(new WireError('no')), HANG, fail(new WireError('maybe'))])
    sents.push((await run(answer))?.sent)
  expect(sents).toEqual(['no', 'maybe', 'maybe'])
  expect(bench.link.snapshot().breaker).toBe('open')
})
