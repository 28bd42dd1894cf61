// Engines over a store in memory, as many as there are processes, on time that moves when told to; and what can go wrong on the way to the store.

import { background, type Ctx, createEnv, createSeededRandom, type Env, Metrics, RipstopError } from '@ripstop/kernel'
import { createFakeClock, type FakeClock } from '@ripstop/kernel/testing'
import type { SessionRules, TimeControl } from '@ripstop/protocol/sessions'
import { readLine } from '#session-log'
import type { Authority, Commit, Outage, SessionRef, SessionStore, Term } from '#session-stores'
import { createMemoryData, createMemoryStore, type MemoryData } from '../session-stores/memory-store.fixture.ts'
import { createSessionService, type EngineDeps, type SessionEngine } from './engine.ts'
import type { CommandOptions, NewSession } from './service.ts'

export const TENANT = '00000000-0000-7000-8000-000000000001'

export const refOf = (n: number): SessionRef => ({
  tenantId: TENANT,
  sessionId: `00000000-0000-7000-8000-${String(n).padStart(12, '0')}`,
})

/** The session that most tests are about. */
export const REF = refOf(1)

export const control = (more: Partial<TimeControl> = {}): TimeControl => ({
  mainMs: 60_000,
  increment: { kind: 'none' },
  overtime: { kind: 'none' },
  stages: [],
  ...more,
})

export const rulesOf = (more: Partial<SessionRules> = {}, people = 2, each = control()): SessionRules => ({
  mode: 'per_participant',
  participants: Array.from({ length: people }, (_, place) => ({
    participantId: `p${place}`,
    groupId: undefined,
    control: each,
  })),
  onTimeout: 'end',
  maxTimeMs: undefined,
  lag: undefined,
  ...more,
})

export const newSession = (ref: SessionRef, rules = rulesOf()): NewSession => ({
  ref,
  rules,
  metadata: { of: 'a test' },
  timeoutEvent: undefined,
})

export interface FakeAuthority extends Authority {
  /** A new epoch begins after an interruption. */
  begin(sinceMs: number, untilMs: number): void
  /** What this process believes; another one may know better. */
  believed: Term
}

/** Epochs are those of the data; each process has its own belief of which is the present one. */
export function createFakeAuthority(data: MemoryData, outages: Outage[], nowMs: () => number): FakeAuthority {
  const authority: FakeAuthority = {
    believed: { epoch: data.epoch, mode: 'redis' },
    begin: (sinceMs, untilMs) => {
      data.epoch++
      outages.push({ epoch: data.epoch, sinceMs, untilMs })
      authority.believed = { epoch: data.epoch, mode: 'redis' }
    },
    term: () => authority.believed,
    outagesAfter: async (_, epoch) => outages.filter((outage) => outage.epoch > epoch),
    renew: async () => {
      authority.believed = { epoch: data.epoch, mode: 'redis' }
      return authority.believed
    },
    nowMs,
    exactMs: nowMs,
  }
  return authority
}

/** A store whose answers, or calls, get lost. */
export interface FaultyStore extends SessionStore {
  commitFault: 'none' | 'answer lost' | 'call lost' | 'call late' | 'down'
  /** How many calls of `load` fail before one is answered. */
  loadsLost: number
  createAnswersLost: number
  readonly calls: { load: number; commit: number; findOperation: number }
  /** Carries out the commits that were late. */
  deliver(): Promise<void>
}

export const lost = () => new RipstopError('LINK_LOST', 'the connection broke', { sent: 'maybe' })
export const down = () => new RipstopError('LINK_DOWN', 'there is no connection', { sent: 'no', retryAfterMs: 50 })

export function createFaultyStore(store: SessionStore): FaultyStore {
  const late: (() => Promise<unknown>)[] = []
  const commit = async (ctx: Ctx, wanted: Commit) => {
    faulty.calls.commit++
    const fault = faulty.commitFault
    if (fault !== 'down') faulty.commitFault = 'none'
    if (fault === 'none') return store.commit(ctx, wanted)
    if (fault === 'down') throw down()
    if (fault === 'answer lost') await store.commit(ctx, wanted)
    if (fault === 'call late') late.push(() => store.commit(ctx, wanted))
    throw lost()
  }
  const faulty: FaultyStore = {
    ...store,
    commitFault: 'none',
    loadsLost: 0,
    createAnswersLost: 0,
    calls: { load: 0, commit: 0, findOperation: 0 },
    commit,
    load: async (ctx, ref) => {
      faulty.calls.load++
      if (faulty.loadsLost > 0) {
        faulty.loadsLost--
        throw down()
      }
      return store.load(ctx, ref)
    },
    findOperation: (ctx, ref, id) => {
      faulty.calls.findOperation++
      return store.findOperation(ctx, ref, id)
    },
    create: async (ctx, session, first) => {
      const created = await store.create(ctx, session, first)
      if (faulty.createAnswersLost-- > 0) throw lost()
      return created
    },
    deliver: async () => {
      for (const send of late.splice(0)) await send()
    },
  }
  return faulty
}

export interface TestProcess {
  readonly service: SessionEngine
  readonly store: FaultyStore
  readonly authority: FakeAuthority
  readonly metrics: Metrics
}

export interface TestBench {
  readonly env: Env
  readonly ctx: Ctx
  readonly clock: FakeClock
  readonly data: MemoryData
  readonly nowMs: () => number
  /** Another process over the same data. */
  readonly join: (more?: Partial<EngineDeps>) => TestProcess
  /** What a command is asked with that comes in now. */
  readonly asked: (more?: Partial<CommandOptions>) => CommandOptions
  /** Resolves as `work` does, while time goes on in steps of a millisecond. */
  readonly passing: <T>(work: Promise<T>) => Promise<T>
}

export function createBench(seed = 1): TestBench {
  const clock = createFakeClock()
  const env = createEnv({ clock, random: createSeededRandom(seed) })
  const data = createMemoryData()
  const outages: Outage[] = []
  const nowMs = (): number => Math.floor(clock.wallMs())
  return {
    env,
    ctx: background(env),
    clock,
    data,
    nowMs,
    join: (more = {}) => {
      const store = createFaultyStore(createMemoryStore(data))
      const authority = createFakeAuthority(data, outages, nowMs)
      const metrics = new Metrics()
      return { store, authority, metrics, service: createSessionService({ env, metrics, store, authority, ...more }) }
    },
    asked: (more = {}) => ({ receivedMs: nowMs(), actor: 'key:1', operationId: undefined, ...more }),
    passing: async (work) => {
      let isOver = false
      const ended = work.finally(() => {
        isOver = true
      })
      ended.catch(() => undefined) // whoever awaits it is told
      while (!isOver) await clock.advance(1)
      return ended
    },
  }
}

export const SWITCH = { kind: 'switch' } as const
export const START = { kind: 'start' } as const

/** A session that runs since now. */
export async function started(bench: TestBench, rules = rulesOf()): Promise<TestProcess> {
  const side = bench.join()
  await side.service.create(bench.ctx, newSession(REF, rules), { actor: 'key:1', operationId: undefined })
  await side.service.command(bench.ctx, REF, START, bench.asked())
  return side
}

/** [version, kind, who] of each entry. */
export async function logOf({ ctx }: TestBench, { store }: TestProcess) {
  const entries = await store.log(ctx, { ...REF, afterVersion: 0, limit: 1_000 })
  return entries.map((entry) => {
    const { event, actor } = readLine(entry)
    return [event.version, event.kind, actor]
  })
}

export const kindsOf = async (bench: TestBench, side: TestProcess) => (await logOf(bench, side)).map(([, kind]) => kind)
