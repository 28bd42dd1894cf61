// The life of a link, as a pure function: (state, event, world) -> state and actions. No I/O, no clock: `link.ts` carries
// the actions out and reports back, a simulation explores every path with a seeded world.
//
//             start              opened, then probe passed
//   idle ------------> connecting ----------------------------> up <--------------+
//                        ^    | failed                          | suspected       | probe passed,
//        backoff is over |    v                                 v                 | or a call came back
//                       down <---- probe failed or lost ---- degraded ------------+
//   from anywhere: drain -> draining -> closed                (only the application asks for it)
//
// A generation is one disposable incarnation of the resource (a connection, a pool). It is opened, proved, used, and
// closed once; it is never repaired. `next` is a generation being prepared beside a good one (renewal, L10).
// Invariants:
//   L1. No terminal state but `closed`, and only the application closes: every other state has an event on its way.
//   L2. `up` is proved: opened, then a probe round trip.
//   L3. Only this machine reconnects: no event of a caller opens a generation.
//   L4. Backoff is full jitter with a cap (Brooker, "Exponential Backoff and Jitter", AWS 2015), counted from the start of
//       the attempt that failed (as gRPC does: an attempt that hung has waited already); the failure count is forgotten
//       only if the generation stayed up for `stableAfterMs`.
//   L10. A generation is renewed make-before-break: the old one goes only after the new one is proved.

import type { LinkAction, LinkEvent, LinkState, LinkStep, LinkTimes, LinkWorld, Serving } from './link-state.ts'

/** The next state and what to do. An event about a generation that is no longer of interest changes nothing. */
export function stepLink(state: LinkState, event: LinkEvent, world: LinkWorld, times: LinkTimes): LinkStep {
  if (event.type === 'drain') return drain(state)
  switch (state.name) {
    case 'idle':
      return event.type === 'start' ? connect(state.lastGeneration + 1, 0, world) : stay(state)
    case 'connecting':
      return stepConnecting(state, event, world, times)
    case 'up':
    case 'degraded':
      return stepServing(state, event, world, times)
    case 'down':
      return stepDown(state, event, world, times)
    case 'draining':
      return stepDraining(state, event)
    case 'closed':
      return event.type === 'start' ? connect(state.lastGeneration + 1, 0, world) : stay(state)
    default:
      return state satisfies never
  }
}

function stay(state: LinkState, ...actions: LinkAction[]): LinkStep {
  return { state, actions }
}

function connect(generation: number, failures: number, world: LinkWorld): LinkStep {
  return {
    state: { name: 'connecting', generation, step: 'open', failures, sinceMs: world.nowMs },
    actions: [{ type: 'open', generation }],
  }
}

interface Fall {
  readonly lastGeneration: number
  readonly failures: number
  readonly why: string
  /** The backoff counts from here. */
  readonly fromMs: number
}

function fall({ lastGeneration, failures, why, fromMs }: Fall, world: LinkWorld, times: LinkTimes): LinkStep {
  const ceilingMs = Math.min(times.backoffCapMs, times.backoffBaseMs * 2 ** Math.min(failures, 30))
  const untilMs = Math.max(world.nowMs, fromMs + world.random * ceilingMs)
  const delayMs = untilMs - world.nowMs
  return {
    state: { name: 'down', lastGeneration, failures: failures + 1, why, untilMs },
    actions: [{ type: 'set_timer', timer: 'backoff', delayMs }],
  }
}

function stepConnecting(
  state: Extract<LinkState, { name: 'connecting' }>,
  event: LinkEvent,
  world: LinkWorld,
  times: LinkTimes,
): LinkStep {
  if (!('generation' in event) || event.generation !== state.generation) return stay(state)
  const { generation, failures, sinceMs } = state
  switch (event.type) {
    case 'opened':
      return { state: { ...state, step: 'probe' }, actions: [{ type: 'probe', generation }] }
    case 'probe_passed':
      return serve(generation, failures, world, times)
    case 'open_failed':
      return fall({ lastGeneration: generation, failures, why: event.why, fromMs: sinceMs }, world, times)
    case 'proved':
      return stay(state)
    case 'probe_failed':
    case 'lost': {
      const fallen = fall({ lastGeneration: generation, failures, why: event.why, fromMs: sinceMs }, world, times)
      return { ...fallen, actions: [{ type: 'close', generation, because: 'lost', why: event.why }, ...fallen.actions] }
    }
    default:
      return event satisfies never
  }
}

function serve(generation: number, failures: number, world: LinkWorld, times: LinkTimes): LinkStep {
  const actions: LinkAction[] = [
    { type: 'serve', generation },
    { type: 'set_timer', timer: 'heartbeat', delayMs: jittered(times.heartbeatMs, world.random) },
  ]
  if (times.maxAgeMs !== Number.POSITIVE_INFINITY) {
    actions.push({ type: 'set_timer', timer: 'renew', delayMs: jittered(times.maxAgeMs, world.random) })
  }
  const sinceMs = world.nowMs
  const fresh = { generation, lastGeneration: generation, failures, sinceMs, probeSentMs: undefined, next: undefined }
  return { state: { name: 'up', ...fresh }, actions }
}

/** Half to one and a half of `ms`: what is periodic must not align over links and processes. */
function jittered(ms: number, random: number): number {
  return ms * (0.5 + random)
}

function stepServing(
  state: Extract<LinkState, { name: 'up' | 'degraded' }>,
  event: LinkEvent,
  world: LinkWorld,
  times: LinkTimes,
): LinkStep {
  switch (event.type) {
    case 'heartbeat_due':
      return probeNow(state, world)
    case 'suspected': {
      const doubted: LinkState = { ...state, name: 'degraded', why: event.why }
      return event.probe ? probeNow(doubted, world) : stay(doubted)
    }
    case 'renew_due':
      return prepareNext(state)
    case 'opened':
    case 'open_failed':
      return stepNext(state, event, world, times)
    case 'proved':
      if (state.name === 'up' || state.probeSentMs !== undefined || event.generation !== state.generation)
        return stay(state)
      return stay(trusted(state))
    case 'probe_passed':
    case 'probe_failed':
    case 'lost':
      if (event.generation === state.next?.generation) return stepNext(state, event, world, times)
      return event.generation === state.generation ? stepCurrent(state, event, world, times) : stay(state)
    case 'start':
    case 'wake':
    case 'backoff_over':
    case 'drain':
    case 'drained':
      return stay(state)
    default:
      return event satisfies never
  }
}

function probeNow(state: Extract<LinkState, { name: 'up' | 'degraded' }>, world: LinkWorld): LinkStep {
  if (state.probeSentMs !== undefined) return stay(state)
  return {
    state: { ...state, probeSentMs: world.nowMs },
    actions: [
      { type: 'clear_timer', timer: 'heartbeat' },
      { type: 'probe', generation: state.generation },
    ],
  }
}

type Verdict = Extract<LinkEvent, { type: 'probe_passed' | 'probe_failed' | 'lost' }>

function stepCurrent(
  state: Extract<LinkState, { name: 'up' | 'degraded' }>,
  event: Verdict,
  world: LinkWorld,
  times: LinkTimes,
): LinkStep {
  // A round trip that ended after the probe was sent is proof too: silence of the probe's own socket is outweighed.
  const outweighed =
    event.type === 'probe_failed' &&
    event.silent &&
    state.probeSentMs !== undefined &&
    world.lastProofMs > state.probeSentMs
  if (event.type === 'probe_passed' || outweighed) {
    return {
      state: trusted(state),
      actions: [{ type: 'set_timer', timer: 'heartbeat', delayMs: jittered(times.heartbeatMs, world.random) }],
    }
  }
  return loseCurrent(state, event.why, world, times)
}

function trusted({ generation, lastGeneration, failures, sinceMs, next }: Serving): LinkState {
  return { name: 'up', generation, lastGeneration, failures, sinceMs, probeSentMs: undefined, next }
}

function loseCurrent(
  state: Extract<LinkState, { name: 'up' | 'degraded' }>,
  why: string,
  world: LinkWorld,
  times: LinkTimes,
): LinkStep {
  const actions: LinkAction[] = [
    { type: 'clear_timer', timer: 'heartbeat' },
    { type: 'clear_timer', timer: 'renew' },
    { type: 'close', generation: state.generation, because: 'lost', why },
  ]
  const failures = failuresAfter(state, world, times)
  // A generation that is already being prepared is the reconnect: no second one is opened (L3).
  if (state.next !== undefined) {
    return { state: { name: 'connecting', ...state.next, failures, sinceMs: world.nowMs }, actions }
  }
  const fallen = fall({ lastGeneration: state.lastGeneration, failures, why, fromMs: world.nowMs }, world, times)
  return { state: fallen.state, actions: [...actions, ...fallen.actions] }
}

/** The failures that still count when a generation ends (L4). */
function failuresAfter(ended: Serving, world: LinkWorld, times: LinkTimes): number {
  return world.nowMs - ended.sinceMs >= times.stableAfterMs ? 0 : ended.failures
}

function prepareNext(state: Extract<LinkState, { name: 'up' | 'degraded' }>): LinkStep {
  if (state.next !== undefined) return stay(state)
  const generation = state.lastGeneration + 1
  const next = { generation, step: 'open' } as const
  return { state: { ...state, lastGeneration: generation, next }, actions: [{ type: 'open', generation }] }
}

function stepNext(
  state: Extract<LinkState, { name: 'up' | 'degraded' }>,
  event: Verdict | Extract<LinkEvent, { type: 'opened' | 'open_failed' }>,
  world: LinkWorld,
  times: LinkTimes,
): LinkStep {
  if (state.next === undefined || event.generation !== state.next.generation) return stay(state)
  const { generation } = event
  switch (event.type) {
    case 'opened':
      return { state: { ...state, next: { generation, step: 'probe' } }, actions: [{ type: 'probe', generation }] }
    case 'probe_passed': {
      const served = serve(generation, failuresAfter(state, world, times), world, times)
      const goodbye = { type: 'close', generation: state.generation, because: 'renewed', why: 'renewed' } as const
      return { state: served.state, actions: [...served.actions, goodbye] }
    }
    case 'open_failed':
    case 'probe_failed':
    case 'lost': {
      const actions: LinkAction[] = [
        { type: 'set_timer', timer: 'renew', delayMs: jittered(Math.min(times.maxAgeMs, 60_000), world.random) },
      ]
      if (event.type !== 'open_failed') actions.unshift({ type: 'close', generation, because: 'lost', why: event.why })
      return { state: { ...state, next: undefined }, actions }
    }
    default:
      return event satisfies never
  }
}

function stepDown(
  state: Extract<LinkState, { name: 'down' }>,
  event: LinkEvent,
  world: LinkWorld,
  times: LinkTimes,
): LinkStep {
  switch (event.type) {
    case 'backoff_over':
      return connect(state.lastGeneration + 1, state.failures, world)
    case 'wake': {
      // Somebody knows that the peer is back. It shortens the wait to the base step, never to nothing (L3).
      const leftMs = state.untilMs - world.nowMs
      if (leftMs <= times.backoffBaseMs) return stay(state)
      return {
        state: { ...state, untilMs: world.nowMs + times.backoffBaseMs },
        actions: [{ type: 'set_timer', timer: 'backoff', delayMs: times.backoffBaseMs }],
      }
    }
    default:
      return stay(state)
  }
}

function drain(state: LinkState): LinkStep {
  const clear: LinkAction[] = [
    { type: 'clear_timer', timer: 'backoff' },
    { type: 'clear_timer', timer: 'heartbeat' },
    { type: 'clear_timer', timer: 'renew' },
  ]
  switch (state.name) {
    case 'idle':
    case 'down':
      return { state: { name: 'closed', lastGeneration: state.lastGeneration }, actions: clear }
    case 'connecting': {
      const { generation } = state
      const close: LinkAction = { type: 'close', generation, because: 'drained', why: 'closed by the application' }
      return { state: { name: 'closed', lastGeneration: generation }, actions: [...clear, close] }
    }
    case 'up':
    case 'degraded': {
      const { generation, lastGeneration, next } = state
      const actions = clear
      if (next !== undefined) {
        actions.push({
          type: 'close',
          generation: next.generation,
          because: 'drained',
          why: 'closed by the application',
        })
      }
      return { state: { name: 'draining', generation, lastGeneration }, actions }
    }
    case 'draining':
    case 'closed':
      return stay(state)
    default:
      return state satisfies never
  }
}

function stepDraining(state: Extract<LinkState, { name: 'draining' }>, event: LinkEvent): LinkStep {
  const { generation, lastGeneration } = state
  if (event.type === 'drained') {
    const closed: LinkState = { name: 'closed', lastGeneration }
    if (generation === undefined) return { state: closed, actions: [] }
    const close = { type: 'close', generation, because: 'drained', why: 'closed by the application' } as const
    return { state: closed, actions: [close] }
  }
  if (event.type === 'lost' && event.generation === generation) {
    // What is under way must not wait for its deadlines.
    const close = { type: 'close', generation, because: 'lost', why: event.why } as const
    return { state: { ...state, generation: undefined }, actions: [close] }
  }
  return stay(state)
}
