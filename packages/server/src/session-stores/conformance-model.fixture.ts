// Of the conformance suite: random interleavings against a naive model. Of every few operations that run at the same time, from both
// instances, the results must be those that the model gives for them in some order; then the store must hold what the model holds.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { LogEntry } from '#session-log'
import { createFirst, createNext, idOf, type OpenedStore, wholeLog } from './conformance-writing.fixture.ts'
import { type Commit, isEnded, type SessionStore, type StoredSession } from './store.ts'

const RUNS = 20

interface Model {
  readonly epoch: number
  readonly session: StoredSession | undefined
  readonly isDeleted: boolean
  readonly log: readonly LogEntry[]
  readonly operations: ReadonlyMap<string, number>
  readonly leasedUntilMs: number
}

type Operation =
  | { readonly kind: 'create'; readonly session: StoredSession; readonly first: LogEntry }
  | { readonly kind: 'commit'; readonly commit: Commit }
  | { readonly kind: 'remove' }
  | { readonly kind: 'load' }

const said = (session: StoredSession | undefined): string =>
  session === undefined
    ? 'none'
    : [session.epoch, session.version, session.head, session.status, session.deadlineMs, session.body].join(' ')

/** What the model answers (any of them), and what it is then. */
function step(model: Model, operation: Operation): { readonly answers: readonly string[]; readonly next: Model } {
  const same = (...answers: string[]) => ({ answers, next: model })
  const { session, isDeleted } = model
  switch (operation.kind) {
    case 'create': {
      const isFenced = operation.session.epoch !== model.epoch
      const isTaken = session !== undefined || isDeleted
      if (isFenced || isTaken) return same(...(isFenced ? ['fenced'] : []), ...(isTaken ? ['exists'] : []))
      return { answers: ['created'], next: { ...model, session: operation.session, log: [operation.first] } }
    }
    case 'remove':
      if (session === undefined) return same('false')
      return { answers: ['true'], next: { ...model, session: undefined, isDeleted: true } }
    case 'load':
      return same(said(session))
    case 'commit':
      return stepCommit(model, operation.commit)
    default:
      return operation satisfies never
  }
}

function stepCommit(model: Model, { from, to, entries, operationId }: Commit): ReturnType<typeof step> {
  const { session } = model
  const reasons: string[] = to.epoch === model.epoch ? [] : ['fenced']
  const done = operationId === undefined ? undefined : model.operations.get(operationId)
  if (session === undefined) reasons.push('missing')
  else if (done !== undefined) reasons.push(`repeated ${done}`)
  else if (session.epoch !== from.epoch || session.version !== from.version) reasons.push(`conflict ${said(session)}`)
  if (reasons.length > 0) return { answers: reasons, next: model }
  const operations = new Map(model.operations)
  if (operationId !== undefined) operations.set(operationId, to.version)
  const log = [...model.log, ...entries]
  return { answers: ['committed'], next: { ...model, session: to, log, operations, leasedUntilMs: 0 } }
}

async function perform(
  store: SessionStore,
  { ctx }: OpenedStore,
  ref: StoredSession,
  operation: Operation,
): Promise<string> {
  switch (operation.kind) {
    case 'create':
      return (await store.create(ctx, operation.session, operation.first)).kind
    case 'remove':
      return String(await store.remove(ctx, ref))
    case 'load':
      return said(await store.load(ctx, ref))
    case 'commit': {
      const result = await store.commit(ctx, operation.commit)
      if (result.kind === 'conflict') return `conflict ${said(result.current)}`
      return result.kind === 'repeated' ? `repeated ${result.version}` : result.kind
    }
    default:
      return operation satisfies never
  }
}

function* ordersOf<T>(items: readonly T[]): Generator<readonly T[]> {
  if (items.length === 0) yield []
  for (const [index, item] of items.entries()) {
    for (const rest of ordersOf(items.toSpliced(index, 1))) yield [item, ...rest]
  }
}

/** The model after the operations, in whichever orders explain the answers. */
function explain(
  models: readonly Model[],
  operations: readonly Operation[],
  answers: readonly string[],
): readonly Model[] {
  const found = new Map<string, Model>()
  for (const model of models) {
    for (const order of ordersOf(
      operations.map((operation, index) => ({ operation, answer: answers[index] as string })),
    )) {
      let now: Model | undefined = model
      for (const { operation, answer } of order) {
        const taken: ReturnType<typeof step> = step(now, operation)
        now = taken.answers.includes(answer) ? taken.next : undefined
        if (now === undefined) break
      }
      if (now !== undefined) found.set(`${said(now.session)} ${now.isDeleted} ${now.log.length}`, now)
    }
  }
  return [...found.values()]
}

const planned = fc.record({
  kind: fc.constantFrom('create', 'commit', 'commit', 'commit', 'commit', 'load', 'remove'),
  by: fc.constantFrom('store' as const, 'other' as const),
  // Now and then on a place that is gone, in an epoch that is gone, or an operation that was done.
  isStale: fc.constantFrom(false, false, false, true),
  isLate: fc.constantFrom(false, false, false, false, true),
  operationId: fc.constantFrom(undefined, undefined, 'a', 'b', 'c'),
  entries: fc.integer({ min: 1, max: 3 }),
  status: fc.constantFrom('running' as const, 'running' as const, 'paused' as const, 'completed' as const),
  dueInMs: fc.constantFrom(undefined, 0, 5, 40),
  note: fc.integer({ min: 0, max: 1_000_000 }).map(String),
})
type Planned = typeof planned extends fc.Arbitrary<infer T> ? T : never

const round = fc.record({
  begins: fc.constantFrom('nothing', 'nothing', 'nothing', 'epoch'),
  claimsAfterMs: fc.constantFrom(undefined, 1, 10, 60),
  operations: fc.array(planned, { minLength: 1, maxLength: 3 }),
})

export function testCommitsAgainstModel(given: () => OpenedStore): void {
  test('SS1, SS2, SS3, SS4: whatever runs at the same time, the answers are those of a naive store in some order', async () => {
    let runs = 0
    let epoch = 1
    let nowMs = 1_000
    const toOperation = ({ kind, ...plan }: Planned, before: StoredSession, current: StoredSession): Operation => {
      const by = plan.isLate ? epoch - 1 : epoch
      const deadlineMs = plan.dueInMs === undefined ? undefined : nowMs + plan.dueInMs
      if (kind === 'create') return { kind, ...createFirst(current, { epoch: by, status: plan.status, deadlineMs }) }
      if (kind !== 'commit') return { kind: kind === 'load' ? 'load' : 'remove' }
      const { entries, status, note, operationId } = plan
      const from = plan.isStale ? before : current
      const commit = createNext(from, { epoch: by, entries, status, note, deadlineMs })
      return { kind: 'commit', commit: { ...commit, operationId } }
    }
    const claim = async (store: SessionStore, models: readonly Model[]): Promise<readonly Model[]> => {
      const refs = await store.claimDue(given().ctx, { nowMs, leaseMs: 20, limit: 10 })
      const [{ session, leasedUntilMs } = { session: undefined, leasedUntilMs: 0 }] = models
      const isOver = session === undefined || session.deadlineMs === undefined || isEnded(session.status)
      const isDue = !isOver && session.deadlineMs <= nowMs && leasedUntilMs <= nowMs
      expect(refs).toHaveLength(isDue ? 1 : 0)
      return isDue ? models.map((model) => ({ ...model, leasedUntilMs: nowMs + 20 })) : models
    }
    await fc.assert(
      fc.asyncProperty(fc.array(round, { minLength: 1, maxLength: 8 }), async (rounds) => {
        const { ctx, tenants, store, setEpoch } = given()
        const none = createFirst({ tenantId: tenants[0], sessionId: idOf(1_000 + runs++) }, { epoch }).session
        const history: StoredSession[] = [none, none]
        let models: readonly Model[] = [
          { epoch, session: undefined, isDeleted: false, log: [], operations: new Map(), leasedUntilMs: 0 },
        ]
        for (const { begins, claimsAfterMs, operations: plans } of rounds) {
          if (begins === 'epoch') {
            await setEpoch(++epoch)
            models = models.map((model) => ({ ...model, epoch }))
          }
          const [before, current] = history.slice(-2) as [StoredSession, StoredSession]
          const operations = plans.map((plan) => toOperation(plan, before, current))
          const answers = await Promise.all(
            operations.map((operation, index) =>
              perform(given()[plans[index]?.by ?? 'store'], given(), none, operation),
            ),
          )
          models = explain(models, operations, answers)
          expect(models.length, `no order explains ${answers.join(' | ')}`).toBeGreaterThan(0)
          const now = await store.load(ctx, none)
          models = models.filter(({ session }) => said(session) === said(now))
          expect(models.length, `the store holds ${said(now)}`).toBeGreaterThan(0)
          if (now !== undefined) history.push(now)
          if (claimsAfterMs === undefined) continue
          nowMs += claimsAfterMs
          models = await claim(store, models)
        }
        const log = await wholeLog(store, ctx, none)
        expect(log.map(({ hash }) => hash)).toEqual(models[0]?.log.map(({ hash }) => hash))
        await store.remove(ctx, none) // so that it is not due in the next run
      }),
      { numRuns: RUNS },
    )
  })
}
