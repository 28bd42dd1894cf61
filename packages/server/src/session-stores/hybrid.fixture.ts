// A hybrid store on a real Redis and a real database, under an authority that does what a test says, and an engine on top of it.

import type { Metrics } from '@ripstop/kernel'
import type { SessionRules } from '@ripstop/protocol/sessions'
import { createSessionService, type SessionEngine } from '../sessions/engine.ts'
import type { SessionView } from '../sessions/service.ts'
import type { Authority, Outage, Term } from './authority.ts'
import { idOf } from './conformance-writing.fixture.ts'
import { createHybridStore, type HybridDeps } from './hybrid-store.ts'
import { startPostgresStore } from './postgres-store.ts'
import { setEpoch } from './redis.fixture.ts'
import type { SessionRef, SessionStore, StoredSession } from './store.ts'
import { TENANTS, type TestGround } from './write-behind.fixture.ts'

export interface GivenAuthority extends Authority {
  hasKept: (epoch: number) => boolean
  watchTerm: HybridDeps['authority']['watchTerm']
  /** Begins the next epoch: in Postgres, in Redis, here. */
  begin(mode: Term['mode'], outageMs?: number): Promise<Term>
}

export function createGivenAuthority({ mesh, side }: Pick<TestGround, 'mesh' | 'side'>): GivenAuthority {
  let term: Term = { epoch: 0, mode: 'redis' }
  const outages: Outage[] = []
  const listeners = new Set<(term: Term) => void>()
  const exactMs = () => mesh.env.clock.wallMs()
  return {
    term: () => term,
    renew: async () => term,
    outagesAfter: async (_, epoch) => outages.filter((outage) => outage.epoch > epoch),
    nowMs: () => Math.floor(exactMs()),
    exactMs,
    hasKept: () => false,
    watchTerm: (listener) => {
      listeners.add(listener)
      return { [Symbol.dispose]: () => void listeners.delete(listener) }
    },
    begin: async (mode, outageMs = 0) => {
      const epoch = term.epoch + 1
      const untilMs = Math.floor(exactMs())
      await mesh.query(
        `insert into ripstop.session_epochs (epoch, mode, since_ms, until_ms, reason) values ($1, $2, $3, $4, 'test')`,
        [epoch, mode, untilMs - outageMs, untilMs],
      )
      if (mode === 'redis') await setEpoch(side, epoch)
      outages.push({ epoch, sinceMs: untilMs - outageMs, untilMs })
      term = { epoch, mode }
      for (const listener of listeners) listener(term)
      return term
    },
  }
}

export interface TestHybrid extends AsyncDisposable {
  readonly authority: GivenAuthority
  readonly postgres: SessionStore
  readonly store: SessionStore
  readonly engine: SessionEngine
  readonly metrics: Metrics
}

/** Both are empty, and Redis has the authority in epoch 1, when it resolves. */
export async function startHybrid(ground: TestGround, more: Partial<HybridDeps> = {}): Promise<TestHybrid> {
  const { mesh, side } = ground
  await ground.empty()
  await mesh.query('delete from ripstop.session_epochs')
  const tenant = 'insert into ripstop.tenants (tenant_id, name) values ($1, $2) on conflict do nothing'
  for (const [index, id] of TENANTS.entries()) await mesh.query(tenant, [id, `tenant-${index}`])
  const { metrics } = mesh.mesh
  const authority = createGivenAuthority(ground)
  await authority.begin('redis')
  const postgres = startPostgresStore(mesh)
  const { log, link, env } = mesh
  const store = createHybridStore({ log, metrics, authority, redis: side.store, postgres, link, ...more })
  const engine = createSessionService({ env, metrics, store, authority, cacheCountMax: 0 })
  return { authority, postgres, store, engine, metrics, [Symbol.asyncDispose]: () => postgres[Symbol.asyncDispose]() }
}

const CONTROL = { mainMs: 60_000, increment: { kind: 'none' }, overtime: { kind: 'none' }, stages: [] } as const
const RULES: SessionRules = {
  mode: 'per_participant',
  participants: ['white', 'black'].map((participantId) => ({ participantId, groupId: undefined, control: CONTROL })),
  onTimeout: 'end',
  maxTimeMs: undefined,
  lag: undefined,
}

export const refOf = (number: number): SessionRef => ({ tenantId: TENANTS[0], sessionId: idOf(number) })

/** Creates it and starts its clock. */
export async function begun(
  { engine }: Pick<TestHybrid, 'engine'>,
  ground: Pick<TestGround, 'ctx'>,
  number: number,
): Promise<SessionRef> {
  const ref = refOf(number)
  const session = { ref, rules: RULES, metadata: {}, timeoutEvent: undefined }
  await engine.create(ground.ctx, session, { actor: 'open', operationId: undefined })
  await played({ engine }, ground, ref, 'start')
  return ref
}

export async function played(
  { engine }: Pick<TestHybrid, 'engine'>,
  { ctx }: Pick<TestGround, 'ctx'>,
  ref: SessionRef,
  kind: 'start' | 'switch' | 'complete' = 'switch',
  operationId?: string,
): Promise<SessionView> {
  const options = { receivedMs: engine.nowMs(), actor: 'open', operationId }
  return (await engine.command(ctx, ref, { kind }, options)).session
}

/** Where a session stands. */
export const placeOf = (session: StoredSession | undefined) => session && [session.epoch, session.version]
