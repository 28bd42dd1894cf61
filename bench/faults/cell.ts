// One cell: a fresh client under steady traffic, one fault put on its stand and taken off again, and what became of the
// calls. The same for every client.

import type { Contestant } from './contestants.ts'
import type { Stand } from './stands.ts'

const CALL_EVERY_MS = 50
const WARM_MS = 1_500
const WARM_PARALLEL = 5 // so that a pool holds several connections when the fault meets it
const HOLD_JITTER_MS = 500 // so that heals meet the clients at every moment of their backoffs
const CALM_MS = 1_500 // after the first success: what still hangs or fails shows
const GRACE_MS = 1_200 // after the last call; more than a deadline of ours
const PATIENCE_MS = 20_000 // for a server to be back
const LOOK_MS = 20

export interface Fault {
  readonly name: string
  readonly kind: 'fail-stop' | 'silent'
  readonly holdMs: number
  inject(stand: Stand): unknown
  heal(stand: Stand): unknown
}

type ToxicFault = 'accept_then_fin' | 'die_in_handshake' | 'black_hole'

const toxic = (type: ToxicFault, kind: Fault['kind'], holdMs: number, drop?: 'fin' | 'reset'): Fault => ({
  name: type,
  kind,
  holdMs,
  inject: async ({ proxy }) => {
    await proxy.add({ type, name: 'fault' })
    if (drop !== undefined) proxy.drop(drop) // the toxic meets the clients as they reconnect
  },
  heal: ({ proxy }) => proxy.remove('fault'),
})

export const FAULTS: readonly Fault[] = [
  {
    name: 'kill -9',
    kind: 'fail-stop',
    holdMs: 3_000,
    inject: ({ server }) => server.kill('SIGKILL'),
    heal: ({ server }) => server.restart(),
  },
  {
    name: 'refuse',
    kind: 'fail-stop',
    holdMs: 3_000,
    inject: ({ proxy }) => proxy.disable('reset'),
    heal: ({ proxy }) => proxy.enable(),
  },
  toxic('accept_then_fin', 'fail-stop', 3_000, 'fin'),
  toxic('die_in_handshake', 'fail-stop', 3_000, 'reset'),
  {
    name: 'half_open',
    kind: 'silent',
    holdMs: 0,
    inject: ({ proxy }) => proxy.add({ type: 'half_open' }),
    heal: () => {}, // new connections work from the start, the old ones never will: it heals as it begins
  },
  toxic('black_hole', 'silent', 5_000),
  {
    name: 'SIGSTOP',
    kind: 'silent',
    holdMs: 5_000,
    inject: ({ server }) => server.kill('SIGSTOP'),
    heal: ({ server }) => server.kill('SIGCONT'),
  },
]

export interface CellResult {
  /** From the heal to the first success, ms; undefined: none within the window. */
  readonly recoveredMs: number | undefined
  readonly calls: number
  /** Calls that had not settled by the end. */
  readonly hung: number
  /** Calls that were made after the first success and failed or hung. */
  readonly relapsed: number
  /** The longest that a call took which did settle. */
  readonly slowestMs: number
}

interface Sample {
  readonly startedMs: number
  endedMs: number | undefined
  passed: boolean
}

/** `windowMs`: how long after the heal a success is awaited. */
export async function runCell(
  stand: Stand,
  connect: (url: string) => Contestant,
  fault: Fault,
  windowMs: number,
): Promise<CellResult> {
  await stand.answered(PATIENCE_MS)
  const client = connect(stand.url)
  const samples: Sample[] = []
  const timer = setInterval(() => sample(client, samples), CALL_EVERY_MS)
  try {
    if (!(await until(() => samples.some(({ passed }) => passed), PATIENCE_MS))) throw new Error('it never came up')
    for (let index = 0; index < WARM_PARALLEL; index++) sample(client, samples)
    await pause(WARM_MS)
    await fault.inject(stand)
    const injectedMs = performance.now()
    if (fault.holdMs > 0) await pause(fault.holdMs + Math.random() * HOLD_JITTER_MS)
    const [healedMs] = await Promise.all([stand.answered(PATIENCE_MS), fault.heal(stand)])
    const first = (): Settled | undefined => findFirst(samples, injectedMs, healedMs)
    await until(() => isCalm(first(), samples), healedMs + windowMs - performance.now())
    clearInterval(timer)
    await until(() => samples.every(({ endedMs }) => endedMs !== undefined), GRACE_MS)
    return judge(samples, first(), healedMs)
  } finally {
    clearInterval(timer)
    client.close()
    await stand.proxy.reset()
    stand.proxy.drop('reset') // what still hangs in a library ends here
  }
}

function sample(client: Contestant, samples: Sample[]): void {
  const one: Sample = { startedMs: performance.now(), endedMs: undefined, passed: false }
  samples.push(one)
  const end = (passed: boolean): void => {
    one.endedMs = performance.now()
    one.passed = passed
  }
  client.call().then(
    () => end(true),
    () => end(false),
  )
}

type Settled = Sample & { readonly endedMs: number }

/** The first success after the heal, of a call that was made after the fault began. */
function findFirst(samples: readonly Sample[], injectedMs: number, healedMs: number): Settled | undefined {
  const passed = samples.filter((one): one is Settled => one.passed && one.endedMs !== undefined)
  const since = passed.filter(({ startedMs, endedMs }) => startedMs >= injectedMs && endedMs >= healedMs)
  return since.toSorted((left, right) => left.endedMs - right.endedMs)[0]
}

/** Nothing more is to be seen: it has recovered, and no call hangs. */
function isCalm(first: Settled | undefined, samples: readonly Sample[]): boolean {
  const nowMs = performance.now()
  if (first === undefined || nowMs - first.endedMs < CALM_MS) return false
  return samples.every(({ startedMs, endedMs }) => endedMs !== undefined || nowMs - startedMs < GRACE_MS)
}

function judge(samples: readonly Sample[], first: Settled | undefined, healedMs: number): CellResult {
  const settled = samples.filter((one): one is Settled => one.endedMs !== undefined)
  const later = first === undefined ? [] : samples.filter(({ startedMs }) => startedMs > first.endedMs)
  return {
    recoveredMs: first === undefined ? undefined : first.endedMs - healedMs,
    calls: samples.length,
    hung: samples.length - settled.length,
    relapsed: later.filter(({ passed }) => !passed).length,
    slowestMs: Math.max(0, ...settled.map(({ startedMs, endedMs }) => endedMs - startedMs)),
  }
}

/** Did it come true in time? */
async function until(condition: () => boolean, limitMs: number): Promise<boolean> {
  const endMs = performance.now() + limitMs
  while (!condition()) {
    if (performance.now() > endMs) return false
    await pause(LOOK_MS)
  }
  return true
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
