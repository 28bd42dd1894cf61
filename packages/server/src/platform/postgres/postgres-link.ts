// The link to Postgres. Where it leads may change while it lives (the embedded server takes another port after a crash of
// the machine), so every generation asks for the address anew.
// The pool's contract: `poolSize` connections, nobody waits longer than `waitMs` for one, waiting is measured
// (pool_wait_seconds), the newest waits first in line, and the oldest is turned away beyond WAITERS_MAX. The pool keeps it,
// not the bulkhead: only the pool knows how long somebody waited.

import { readFile } from 'node:fs/promises'
import { type Adapter, type Ctx, type Link, type Mesh, RipstopError } from '@ripstop/kernel'
import { createPostgresAdapter, type PostgresOptions, type PostgresPool } from '@ripstop/kernel/postgres'
import type { Config, PostgresUrl } from '#platform/config'

const NAME = 'postgres.main'
const WAITERS_MAX = 1_024
/** An opening that hung when the peer came back must not outlive `recoverWithinMs`. */
const OPEN_DEADLINE_MS = 1_000
/** So much before the opening's own deadline we stop waiting for an address: else that deadline would hide the reason. */
const REASON_MS = 100
/** Less than an opening, so that people are told what it waited for and not that a deadline passed. */
const ARRIVAL_MS = 1_700

export interface PostgresLinkDeps {
  readonly mesh: Mesh
  readonly postgres: Config['postgres']
}

export interface PostgresLink {
  readonly link: Link<PostgresPool>
  /** The server is somewhere else now, or is there at last. */
  readonly moveTo: (url: string) => void
  /** As the link's, for a link beside it with guarantees of its own. */
  readonly adapter: (size: number) => Adapter<PostgresPool>
}

/** Registers the link `postgres.main`; start it with `link.start()`. Without an address it waits for `moveTo`. */
export function createPostgresLink({ mesh, postgres }: PostgresLinkDeps): PostgresLink {
  let moved: string | undefined
  const waits = mesh.metrics.histogram('pool_wait_seconds', 'What calls waited for a connection', { link: NAME })
  const arrivals = new Set<(url: string) => void>()
  const address = async (ctx: Ctx): Promise<PostgresOptions> => {
    if (moved !== undefined) return { url: moved }
    if (postgres.url !== undefined) return toOptions(postgres.url)
    using limit = ctx.within(ARRIVAL_MS)
    return { url: await arrival(limit, arrivals) }
  }
  const adapter = (size: number): Adapter<PostgresPool> =>
    createMovingAdapter(
      () => (moved ?? postgres.url?.redacted)?.replace(/^.*@|\?.*$/g, '') ?? 'embedded, still starting',
      async (ctx) =>
        createPostgresAdapter({
          ...(await address(ctx)),
          size,
          waitMs: postgres.waitMs,
          connectMs: Math.min(OPEN_DEADLINE_MS, postgres.deadlineMs),
          sessionSettings: postgres.sessionSettings,
          statementTimeoutMs: postgres.statementTimeoutMs,
          onWait: (waitedMs) => waits.observe(waitedMs / 1000),
        }),
    )
  const link = mesh.link(
    NAME,
    adapter(postgres.poolSize),
    {
      deadlineMs: postgres.deadlineMs,
      critical: true,
      recoverWithinMs: 1_500,
      openDeadlineMs: OPEN_DEADLINE_MS,
      retry: { attempts: 2 },
      fallback: 'recently-verified-keys',
      bulkhead: { concurrent: postgres.poolSize + WAITERS_MAX, queue: 0 },
    },
    { name: 'postgres', kind: 'database' },
  )
  return {
    link,
    adapter,
    moveTo: (url) => {
      if (url === moved) return
      moved = url
      for (const arrive of arrivals) arrive(url)
      link.wake()
    },
  }
}

/** Waits until the embedded server says where it is: an attempt that has begun then goes on at once. */
function arrival(opening: Ctx, arrivals: Set<(url: string) => void>): Promise<string> {
  const ctx = opening.within(opening.remainingMs - REASON_MS)
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  const over = (): void => {
    arrivals.delete(resolve)
    reject(new RipstopError('LINK_DOWN', 'the embedded Postgres is still starting', { sent: 'no' }))
  }
  if (ctx.signal.aborted) over()
  else {
    ctx.signal.addEventListener('abort', over, { once: true })
    arrivals.add(resolve)
  }
  return promise.finally(() => {
    arrivals.delete(resolve)
    ctx[Symbol.dispose]()
  })
}

/** The adapter of each generation's own address. */
function createMovingAdapter(
  target: () => string,
  create: (ctx: Ctx) => Promise<Adapter<PostgresPool>>,
): Adapter<PostgresPool> {
  const adapters = new WeakMap<PostgresPool, Adapter<PostgresPool>>()
  const of = (pool: PostgresPool): Adapter<PostgresPool> => adapters.get(pool) as Adapter<PostgresPool>
  // What a failure means doesn't depend on where it came from.
  const { fault } = createPostgresAdapter({ hosts: [{ host: 'unused' }], user: 'unused' })
  return {
    kind: 'postgres',
    get target() {
      return target()
    },
    sharedFate: false,
    open: async (ctx, events) => {
      const adapter = await create(ctx)
      const pool = await adapter.open(ctx, events)
      adapters.set(pool, adapter)
      return pool
    },
    probe: (pool, ctx) => of(pool).probe(pool, ctx),
    close: (pool, because) => of(pool).close(pool, because),
    fault,
    renew: (pool) => of(pool).renew?.(pool),
    pool: (pool) => of(pool).pool?.(pool) ?? { size: 0, inUse: 0, waiting: 0 },
  }
}

async function toOptions(url: PostgresUrl): Promise<PostgresOptions> {
  const { hosts, user, password, database, tls, caFile, applicationName } = url
  const ca = caFile === undefined ? {} : { ca: await readFile(caFile) }
  return {
    hosts,
    user,
    database,
    ...(password === undefined ? {} : { password: () => password.reveal() }),
    ssl: tls === 'off' ? false : { rejectUnauthorized: tls === 'verify', ...ca },
    ...(applicationName === undefined ? {} : { applicationName }),
  }
}
