// What the guarantees cost: a call through a link with all of them on (deadline, retry, budget, rate, bulkhead, breaker,
// histogram), beside cockatiel's wrap of the four it has and opossum's default breaker. The function called does nothing,
// so what is measured is the wrapping; a bare `await fn()` is taken off.

import { background, createEnv, Mesh } from '@ripstop/kernel'
import {
  bulkhead,
  circuitBreaker,
  ExponentialBackoff,
  handleAll,
  retry,
  SamplingBreaker,
  TimeoutStrategy,
  timeout,
  wrap,
} from 'cockatiel'
import CircuitBreaker from 'opossum'
import { cpuUs, median, report } from './statistics.ts'

const CALLS = 100_000
const ROUNDS = 15

const mesh = new Mesh(createEnv())
const adapter = {
  kind: 'nothing',
  target: 'nothing',
  sharedFate: true,
  open: async () => ({}),
  probe: async () => {},
  close: () => {},
  fault: () => undefined,
}
const link = mesh.link('nothing', adapter, {
  deadlineMs: 1_000,
  retry: { attempts: 3 },
  rate: { perSecond: 10_000_000, burst: 10_000_000 },
})
link.start()
const ctx = background(mesh.env)
await link.whenUp(ctx)

const fn = async (): Promise<number> => 1
const policy = wrap(
  retry(handleAll, { maxAttempts: 2, backoff: new ExponentialBackoff() }),
  circuitBreaker(handleAll, {
    halfOpenAfter: 10_000,
    breaker: new SamplingBreaker({ threshold: 0.5, duration: 10_000 }),
  }),
  bulkhead(256, 512),
  timeout(1_000, TimeoutStrategy.Aggressive),
)
const breaker = new CircuitBreaker(fn)

const contestants: Readonly<Record<string, () => Promise<unknown>>> = {
  bare: fn,
  ripstop: () => link.call(ctx, fn),
  'cockatiel wrap of four': () => policy.execute(fn),
  'opossum default': () => breaker.fire(),
}
const wallNs = new Map<string, number[]>()
const cpuNs = new Map<string, number[]>()
for (let round = 0; round <= ROUNDS; round++) {
  for (const [name, call] of Object.entries(contestants)) {
    const count = name.startsWith('cockatiel') ? CALLS / 10 : CALLS
    const startedMs = performance.now()
    const us = await cpuUs(async () => {
      for (let index = 0; index < count; index++) await call()
    })
    if (round === 0) continue // warming up
    push(wallNs, name, ((performance.now() - startedMs) / count) * 1e6)
    push(cpuNs, name, (us / count) * 1e3)
  }
}
await mesh.drain(ctx.within(1_000))
breaker.shutdown()

const added = (name: string): number => median(wallNs.get(name) ?? []) - median(wallNs.get('bare') ?? [])
const cpu = (name: string): string => `${median(cpuNs.get(name) ?? []).toFixed(0)} ns CPU a call`
const ours = added('ripstop')
const cockatiel = added('cockatiel wrap of four')
const opossum = added('opossum default')
report(
  'call',
  [
    {
      what: 'cost that a fully guarded call adds',
      figure: `${(ours / 1e3).toFixed(2)} us (${cpu('ripstop')})`,
      asked: '<= 0.7 us',
      met: ours <= 700,
    },
    {
      what: 'cockatiel 4, wrap of four',
      figure: `${(cockatiel / ours).toFixed(1)}x ours (${cpu('cockatiel wrap of four')})`,
      asked: '>= 15x ours',
      met: cockatiel >= 15 * ours,
    },
    {
      what: 'opossum 10, default',
      figure: `${(opossum / ours).toFixed(1)}x ours (${cpu('opossum default')})`,
      asked: '>= 2x ours',
      met: opossum >= 2 * ours,
    },
  ],
  [
    `medians of ${ROUNDS} interleaved rounds of ${CALLS} sequential calls (cockatiel ${CALLS / 10}); bare await ${median(wallNs.get('bare') ?? []).toFixed(0)} ns is taken off each`,
  ],
)
process.exit(0)

function push(into: Map<string, number[]>, name: string, value: number): void {
  const values = into.get(name) ?? []
  values.push(value)
  into.set(name, values)
}
