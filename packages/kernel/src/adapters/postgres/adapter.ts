import type { Adapter } from '../../adapter.ts'
import { Dialer } from './dialer.ts'
import { postgresFault } from './fault.ts'
import { type PostgresPool, SlotPool } from './pool.ts'
import { formatTarget, type PostgresOptions, parsePostgresSettings } from './settings.ts'

/**
 * Postgres behind a link: a pool of pg.Client connections to the writable one of the given hosts, each proved before use.
 * Set the link's bulkhead to `size`, so that calls wait there (newest first, bounded) and the pool seldom makes them.
 * Nothing depends on session state, so pgBouncer in transaction mode may stand in between.
 * Throws CONFIG_INVALID that names every option that is wrong.
 */
export function createPostgresAdapter(options: PostgresOptions): Adapter<PostgresPool> {
  const settings = parsePostgresSettings(options)
  const adapter: Adapter<SlotPool> = {
    kind: 'postgres',
    target: formatTarget(settings),
    sharedFate: false,
    open: async (ctx, events) => {
      const dialer = new Dialer(settings)
      return new SlotPool(ctx.env, dialer, await dialer.dialFirst(ctx), events)
    },
    probe: (pool, ctx) => pool.probe(ctx),
    close: (pool, because) => pool.close(`the pool was closed: ${because}`),
    fault: postgresFault,
    renew: (pool) => pool.renew(),
    pool: (pool) => pool.gauges,
  }
  return adapter
}
