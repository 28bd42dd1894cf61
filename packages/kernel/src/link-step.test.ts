import { expect, test } from 'vitest'
import { INITIAL_LINK_STATE, type LinkAction, type LinkEvent, type LinkState, type LinkTimes } from './link-state.ts'
import { stepLink } from './link-step.ts'

const TIMES: LinkTimes = {
  backoffBaseMs: 50,
  backoffCapMs: 1_000,
  stableAfterMs: 5_000,
  heartbeatMs: 1_000,
  maxAgeMs: 60_000,
}

/** Runs events through the machine from the start. */
function run(
  ...events: (LinkEvent & { readonly atMs?: number; readonly lastProofMs?: number; readonly random?: number })[]
) {
  let state: LinkState = INITIAL_LINK_STATE
  let actions: readonly LinkAction[] = []
  for (const { atMs = 0, lastProofMs = 0, random = 0.5, ...event } of events) {
    ;({ state, actions } = stepLink(state, event as LinkEvent, { nowMs: atMs, random, lastProofMs }, TIMES))
  }
  return { state, actions }
}

const UP = [
  { type: 'start' },
  { type: 'opened', generation: 1 },
  { type: 'probe_passed', generation: 1 },
] as const satisfies LinkEvent[]

test('L4: the pause is full jitter under a doubling ceiling with a cap', () => {
  const ceilings: number[] = []
  const events: (LinkEvent & { atMs: number })[] = [{ type: 'start', atMs: 0 }]
  for (let attempt = 1; attempt <= 8; attempt++) {
    const failed = { type: 'open_failed', generation: attempt, why: 'refused', atMs: 0 } as const
    for (const random of [0, 0.25, 0.999_999]) {
      const { actions } = run(...events, { ...failed, random })
      const [timer] = actions
      if (timer?.type !== 'set_timer') throw new Error('no timer was set')
      if (random === 0) expect(timer.delayMs).toBe(0)
      if (random === 0.25) ceilings.push(timer.delayMs * 4)
    }
    events.push(failed, { type: 'backoff_over', atMs: 0 })
  }
  expect(ceilings).toEqual([50, 100, 200, 400, 800, 1_000, 1_000, 1_000])
})

test('L4: an attempt that hung has waited already', () => {
  const hung = run(
    { type: 'start', atMs: 0 },
    { type: 'open_failed', generation: 1, why: 'timeout', atMs: 1_000, random: 0.999 },
  )
  expect(hung.actions).toEqual([{ type: 'set_timer', timer: 'backoff', delayMs: 0 }])
})

test('L4: the failure count survives a renewal and a loss with a successor unless the generation was stable', () => {
  const flapping = [
    { type: 'start' },
    { type: 'open_failed', generation: 1, why: '' },
    { type: 'backoff_over' },
    { type: 'open_failed', generation: 2, why: '' },
    { type: 'backoff_over' },
    { type: 'opened', generation: 3 },
    { type: 'probe_passed', generation: 3, atMs: 0 },
    { type: 'renew_due' },
  ] as const
  const renewed = [
    { type: 'opened', generation: 4 },
    { type: 'probe_passed', generation: 4 },
  ] as const
  for (const [livedMs, failures] of [
    [10, 2],
    [TIMES.stableAfterMs, 0],
  ] as const) {
    expect(run(...flapping, ...renewed.map((event) => ({ ...event, atMs: livedMs }))).state).toMatchObject({ failures })
    const lost = run(...flapping, { type: 'lost', generation: 3, why: '', atMs: livedMs })
    expect(lost.state).toMatchObject({ name: 'connecting', generation: 4, failures })
  }
})

test('L6: a round trip that ended after the probe was sent outweighs its silence, but not a wrong answer', () => {
  const probed = [...UP, { type: 'suspected', why: 'a call missed', probe: true, atMs: 100 }] as const
  const silent = { type: 'probe_failed', generation: 1, why: 'silence', silent: true, atMs: 500 } as const
  expect(run(...probed, { ...silent, lastProofMs: 101 }).state.name).toBe('up')
  expect(run(...probed, { ...silent, lastProofMs: 100 }).state.name).toBe('down')
  expect(run(...probed, { ...silent, silent: false, why: 'wrong role', lastProofMs: 499 }).state.name).toBe('down')
})

test('L6: suspicion without a probe only doubts; a completed call or the next heartbeat settles it', () => {
  const doubted = [...UP, { type: 'suspected', why: 'a call missed', probe: false }] as const
  expect(run(...doubted)).toMatchObject({ state: { name: 'degraded', why: 'a call missed' }, actions: [] })
  expect(run(...doubted, { type: 'proved', generation: 1 }).state.name).toBe('up')
  expect(run(...doubted, { type: 'heartbeat_due' }).actions).toContainEqual({ type: 'probe', generation: 1 })
})

test('L3: wake shortens a long backoff to the base step, once, and never to nothing', () => {
  const events: (LinkEvent & { atMs: number; random?: number })[] = [{ type: 'start', atMs: 0 }]
  for (let attempt = 1; attempt <= 6; attempt++) {
    events.push(
      { type: 'open_failed', generation: attempt, why: '', atMs: 0, random: 0.999 },
      { type: 'backoff_over', atMs: 0 },
    )
  }
  events.pop()
  const woken = run(...events, { type: 'wake', atMs: 100 })
  expect(woken).toMatchObject({
    state: { untilMs: 150 },
    actions: [{ type: 'set_timer', timer: 'backoff', delayMs: 50 }],
  })
  expect(run(...events, { type: 'wake', atMs: 100 }, { type: 'wake', atMs: 120 })).toMatchObject({
    state: { untilMs: 150 },
    actions: [],
  })
})

test('L10: the old generation goes in the very step in which the new one begins to serve, after it', () => {
  const { state, actions } = run(
    ...UP,
    { type: 'renew_due' },
    { type: 'opened', generation: 2 },
    { type: 'probe_passed', generation: 2 },
  )
  expect(state).toMatchObject({ name: 'up', generation: 2 })
  const order = actions.filter(({ type }) => type === 'serve' || type === 'close').map(({ type }) => type)
  expect(order).toEqual(['serve', 'close'])
})

test('L10: a renewal that fails leaves the old generation serving and is tried again within minutes', () => {
  const failures: LinkEvent[][] = [
    [{ type: 'open_failed', generation: 2, why: '' }],
    [
      { type: 'opened', generation: 2 },
      { type: 'probe_failed', generation: 2, why: '', silent: true },
    ],
    [
      { type: 'opened', generation: 2 },
      { type: 'lost', generation: 2, why: '' },
    ],
  ]
  for (const events of failures) {
    const { state, actions } = run(...UP, { type: 'renew_due' }, ...events)
    expect(state).toMatchObject({ name: 'up', generation: 1, next: undefined, lastGeneration: 2 })
    expect(actions).toContainEqual({ type: 'set_timer', timer: 'renew', delayMs: 60_000 })
  }
})

test('a generation that is lost while the link drains is closed at once', () => {
  const { state, actions } = run(...UP, { type: 'drain' }, { type: 'lost', generation: 1, why: 'reset' })
  expect(state).toMatchObject({ name: 'draining', generation: undefined })
  expect(actions).toEqual([{ type: 'close', generation: 1, because: 'lost', why: 'reset' }])
})
