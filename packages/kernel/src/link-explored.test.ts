// The pure machine, explored to the end: every state that any order of events can lead to, under every event. States are
// told apart by their shape (names, steps, what is in flight, what is armed; numbers and times relative or capped), and
// every branch on time is taken both ways, so the exploration is finite and leaves no shape out.

import { expect, test } from 'vitest'
import {
  INITIAL_LINK_STATE,
  type LinkAction,
  type LinkEvent,
  type LinkState,
  type LinkTimer,
  type LinkTimes,
  type LinkWorld,
} from './link-state.ts'
import { stepLink } from './link-step.ts'

const TIMES: LinkTimes = {
  backoffBaseMs: 50,
  backoffCapMs: 1_000,
  stableAfterMs: 5_000,
  heartbeatMs: 1_000,
  maxAgeMs: 60_000,
}

/** The world around the machine, as its actions made it. */
interface Around {
  readonly opening: ReadonlySet<number>
  readonly open: ReadonlySet<number>
  readonly probing: ReadonlySet<number>
  readonly timers: ReadonlySet<LinkTimer>
  readonly served: number | undefined
  readonly highest: number
  readonly closed: ReadonlySet<number>
}

interface Node {
  readonly state: LinkState
  readonly around: Around
  readonly nowMs: number
  readonly path: string
}

const START: Node = {
  state: INITIAL_LINK_STATE,
  around: {
    opening: new Set(),
    open: new Set(),
    probing: new Set(),
    timers: new Set(),
    served: undefined,
    highest: 0,
    closed: new Set(),
  },
  nowMs: 1_000_000,
  path: '',
}

/** The generations that the machine still wants something of. */
function ofInterest(state: LinkState): number[] {
  const numbers: number[] = []
  if ('generation' in state && state.generation !== undefined) numbers.push(state.generation)
  if ('next' in state && state.next !== undefined) numbers.push(state.next.generation)
  return numbers
}

function shape({ state, around, nowMs }: Node): string {
  const wanted = ofInterest(state)
  const relative = (set: ReadonlySet<number>): number[] => wanted.map((number) => (set.has(number) ? 1 : 0))
  return JSON.stringify([
    state.name,
    'step' in state ? state.step : '',
    'next' in state ? (state.next?.step ?? '') : '',
    'failures' in state ? Math.min(state.failures, 3) : '',
    'probeSentMs' in state ? state.probeSentMs !== undefined : '',
    'untilMs' in state ? state.untilMs - nowMs > TIMES.backoffBaseMs : '',
    'generation' in state ? state.generation === undefined : '',
    relative(around.opening),
    relative(around.open),
    relative(around.probing),
    [...around.timers].sort(),
    wanted.map((number) => number === around.served),
  ])
}

/** Everything that can happen now, each with every world that makes a difference. */
function* happenings({ state, around, nowMs }: Node): Generator<{ event: LinkEvent; world: LinkWorld }> {
  const stale = Math.max(0, Math.min(...ofInterest(state), around.highest + 1) - 1)
  const numbers = [...ofInterest(state), stale]
  const events: LinkEvent[] = [
    { type: 'start' },
    { type: 'wake' },
    { type: 'drain' },
    { type: 'drained' },
    { type: 'renew_due' },
    { type: 'suspected', why: 'a call missed', probe: true },
    { type: 'suspected', why: 'a call missed', probe: false },
  ]
  if (around.timers.has('backoff')) events.push({ type: 'backoff_over' })
  if (around.timers.has('heartbeat')) events.push({ type: 'heartbeat_due' })
  for (const generation of numbers) {
    const isStale = generation === stale
    events.push({ type: 'lost', generation, why: 'reset' }, { type: 'proved', generation })
    if (around.opening.has(generation)) events.push({ type: 'opened', generation })
    if (around.opening.has(generation) || isStale) events.push({ type: 'open_failed', generation, why: 'refused' })
    if (around.probing.has(generation) || isStale) {
      events.push({ type: 'probe_passed', generation })
      events.push({ type: 'probe_failed', generation, why: 'silence', silent: true })
      events.push({ type: 'probe_failed', generation, why: 'wrong role', silent: false })
    }
  }
  for (const event of events) {
    for (const passedMs of [1, TIMES.stableAfterMs]) {
      for (const random of [0, 0.999]) {
        yield { event, world: { nowMs: nowMs + passedMs, random, lastProofMs: 0 } }
        yield { event, world: { nowMs: nowMs + passedMs, random, lastProofMs: nowMs + passedMs } }
      }
    }
  }
}

/** Carries the actions out, and says what no machine may do. */
function carryOut(
  from: Node,
  event: LinkEvent,
  state: LinkState,
  actions: readonly LinkAction[],
  nowMs: number,
  say: (what: string) => void,
): Node {
  const opening = new Set(from.around.opening)
  const open = new Set(from.around.open)
  const probing = new Set(from.around.probing)
  const timers = new Set(from.around.timers)
  const closed = new Set(from.around.closed)
  let { served, highest } = from.around
  if ('generation' in event) {
    if (event.type === 'opened' || event.type === 'open_failed') opening.delete(event.generation)
    if (event.type === 'opened') open.add(event.generation)
    if (event.type === 'probe_passed' || event.type === 'probe_failed') probing.delete(event.generation)
  }
  if (event.type === 'backoff_over') timers.delete('backoff')
  if (event.type === 'heartbeat_due') timers.delete('heartbeat')
  for (const action of actions) {
    switch (action.type) {
      case 'open':
        if (action.generation <= highest) say('generation numbers must rise')
        if (opening.size > 0) say('L3: a second open is under way')
        highest = action.generation
        opening.add(action.generation)
        break
      case 'probe':
        if (probing.has(action.generation)) say('L6: probes are single-flight')
        if (!open.has(action.generation)) say('L2: probed though it is not open')
        probing.add(action.generation)
        break
      case 'close':
        if (closed.has(action.generation)) say('a generation is closed once')
        if (!open.has(action.generation) && !opening.has(action.generation)) say('closed though it was not there')
        if (action.because === 'renewed' && (served === action.generation || event.type !== 'probe_passed')) {
          say('L10: the old one goes only after the new one is proved and serves')
        }
        closed.add(action.generation)
        open.delete(action.generation)
        opening.delete(action.generation)
        probing.delete(action.generation) // its answer still comes: as a stale event
        break
      case 'serve':
        if (event.type !== 'probe_passed' || event.generation !== action.generation) say('L2: served without a proof')
        served = action.generation
        break
      case 'set_timer':
        if (!(action.delayMs >= 0)) say(`a timer of ${action.delayMs} ms`)
        timers.add(action.timer)
        break
      case 'clear_timer':
        timers.delete(action.timer)
        break
      default:
        action satisfies never
    }
  }
  const path = `${from.path} ${event.type}${'generation' in event ? event.generation : ''}`
  return { state, around: { opening, open, probing, timers, served, highest, closed }, nowMs, path }
}

/** What must be true of every state that can be reached. */
function checkState({ state, around }: Node, say: (what: string) => void): void {
  const wanted = ofInterest(state)
  const alive = [...around.opening, ...around.open].sort()
  if (JSON.stringify(alive) !== JSON.stringify([...wanted].sort())) {
    say(`alive are ${alive}, wanted ${wanted}: a leak, or a resource that is gone`)
  }
  const expectTimers = (...names: LinkTimer[]): void => {
    for (const timer of around.timers) if (!names.includes(timer)) say(`${timer} is armed in ${state.name}`)
  }
  const expectOnItsWay = (generation: number, step: 'open' | 'probe'): void => {
    const onItsWay = step === 'open' ? around.opening : around.probing
    if (!onItsWay.has(generation)) say(`L1: ${state.name} waits for ${step} ${generation}, but nothing is on its way`)
  }
  switch (state.name) {
    case 'idle':
    case 'closed':
    case 'draining':
      return expectTimers()
    case 'connecting':
      expectTimers()
      return expectOnItsWay(state.generation, state.step)
    case 'up':
    case 'degraded': {
      expectTimers('heartbeat', 'renew')
      if (around.served !== state.generation) say('L2: it does not serve what it says')
      const probing = around.probing.has(state.generation)
      if (probing !== (state.probeSentMs !== undefined)) say('it does not know of its own probe')
      if (probing === around.timers.has('heartbeat')) say('L1: either a probe is on its way or a heartbeat is armed')
      if (state.next !== undefined) expectOnItsWay(state.next.generation, state.next.step)
      else if (!around.timers.has('renew') && TIMES.maxAgeMs !== Number.POSITIVE_INFINITY) say('L10: no renewal is due')
      return
    }
    case 'down':
      expectTimers('backoff')
      if (!around.timers.has('backoff')) say('L1: down, and no attempt will come')
      return
    default:
      state satisfies never
  }
}

/** What must be true of every step. */
function checkStep(
  from: Node,
  event: LinkEvent,
  to: Node,
  actions: readonly LinkAction[],
  say: (what: string) => void,
): void {
  const { state } = to
  if ((state.name === 'closed' || state.name === 'draining') && state.name !== from.state.name) {
    if (event.type !== 'drain' && event.type !== 'drained') say('L1: only the application closes')
  }
  if (event.type === 'drain' && state.name !== 'closed' && state.name !== 'draining') say('drain must lead to closing')
  const opens = actions.some(({ type }) => type === 'open')
  const mayOpen = ['start', 'backoff_over', 'renew_due'].includes(event.type)
  if (opens && !mayOpen) say(`L3: ${event.type} opened a generation`)
  if (opens && event.type === 'start' && from.state.name !== 'idle' && from.state.name !== 'closed') {
    say('L3: start of a started link opened a generation')
  }
  const entersUp = state.name === 'up' && from.state.name !== 'up' && from.state.name !== 'degraded'
  if (entersUp && event.type !== 'probe_passed') say('L2: up without a probe')
  if (state.name === 'down' && from.state.name !== 'down') checkBackoff(from, to, actions, say)
}

function checkBackoff(from: Node, to: Node, actions: readonly LinkAction[], say: (what: string) => void): void {
  const before = from.state
  const after = to.state
  if (after.name !== 'down' || !('failures' in before)) return say('down from nowhere')
  const delay = actions.find((action) => action.type === 'set_timer')
  const served = before.name === 'up' || before.name === 'degraded'
  const stable = served && to.nowMs - before.sinceMs >= TIMES.stableAfterMs
  const failures = stable ? 0 : before.failures
  if (after.failures !== failures + 1) say(`L4: ${before.failures} failures became ${after.failures}, stable ${stable}`)
  const ceilingMs = Math.min(TIMES.backoffCapMs, TIMES.backoffBaseMs * 2 ** failures)
  if (delay?.type !== 'set_timer' || delay.delayMs > ceilingMs) say(`L4: the pause exceeds ${ceilingMs} ms`)
}

function explore(): { nodes: readonly Node[]; steps: number; problems: Set<string> } {
  const problems = new Set<string>()
  const known = new Map<string, Node>([[shape(START), START]])
  const frontier = [START]
  let steps = 0
  for (let node = frontier.shift(); node !== undefined && problems.size < 20; node = frontier.shift()) {
    for (const { event, world } of happenings(node)) {
      steps++
      const say = (what: string): void =>
        void problems.add(`${what} (${node.state.name}, ${event.type}; path:${node.path})`)
      const before = JSON.stringify(node.state)
      const { state, actions } = stepLink(node.state, event, world, TIMES)
      if (JSON.stringify(node.state) !== before) say('the state was changed in place')
      const next = carryOut(node, event, state, actions, world.nowMs, say)
      checkState(next, say)
      checkStep(node, event, next, actions, say)
      const key = shape(next)
      if (!known.has(key)) {
        known.set(key, next)
        frontier.push(next)
      }
    }
  }
  return { nodes: [...known.values()], steps, problems }
}

const explored = explore()

test('L1, L2, L3, L4, L6, L10: no order of events leads to a state that breaks them', () => {
  expect([...explored.problems].slice(0, 5)).toEqual([])
  // A floor under the exploration, so that it can't shrink unnoticed.
  const names = new Set(explored.nodes.map(({ state }) => state.name))
  expect([...names].sort()).toEqual(['closed', 'connecting', 'degraded', 'down', 'draining', 'idle', 'up'])
  expect(explored.nodes.length).toBeGreaterThan(60)
  expect(explored.steps).toBeGreaterThan(5_000)
})

test('L1: from every state of a started link, with a peer that answers, it is up within four events', () => {
  for (const start of explored.nodes) {
    if (['idle', 'closed', 'draining'].includes(start.state.name)) continue
    let node = start
    let events = 0
    for (; node.state.name !== 'up' || node.around.probing.size > 0; events++) {
      expect(events, `from ${start.path}`).toBeLessThan(4)
      const event = nextWithAnsweringPeer(node)
      const world = { nowMs: node.nowMs + 1, random: 0.5, lastProofMs: node.nowMs }
      const { state, actions } = stepLink(node.state, event, world, TIMES)
      node = carryOut(node, event, state, actions, world.nowMs, (what) => expect.fail(what))
    }
  }

  function nextWithAnsweringPeer({ state, around }: Node): LinkEvent {
    const [opening] = around.opening
    const [probing] = around.probing
    if (state.name === 'up' || state.name === 'degraded') {
      if (around.probing.has(state.generation)) return { type: 'probe_passed', generation: state.generation }
      if (state.name === 'degraded') return { type: 'heartbeat_due' }
    }
    if (probing !== undefined) return { type: 'probe_passed', generation: probing }
    if (opening !== undefined) return { type: 'opened', generation: opening }
    return { type: 'backoff_over' }
  }
})

test('an event about a generation that is no longer of interest changes nothing', () => {
  for (const node of explored.nodes) {
    const stale = 999_999
    const world = { nowMs: node.nowMs + 1, random: 0.5, lastProofMs: node.nowMs }
    for (const event of [
      { type: 'opened', generation: stale },
      { type: 'open_failed', generation: stale, why: '' },
      { type: 'probe_passed', generation: stale },
      { type: 'probe_failed', generation: stale, why: '', silent: false },
      { type: 'lost', generation: stale, why: '' },
      { type: 'proved', generation: stale },
    ] satisfies LinkEvent[]) {
      const { state, actions } = stepLink(node.state, event, world, TIMES)
      expect(state).toEqual(node.state)
      expect(actions).toEqual([])
    }
  }
})
