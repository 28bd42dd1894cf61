// A consumer for tests: so many rows of a table of its own for each event, and a revision that a plan relies on.

import type { Ctx, Link, RipstopError } from '@ripstop/kernel'
import type { PostgresPool } from '@ripstop/kernel/postgres'
import type { EventConsumer, NewEvent } from './consumer.ts'

export const FAKE_TABLES = `
  create table fake_deliveries (event_id uuid not null, target integer not null, primary key (event_id, target));
  create table fake_revision (revision integer not null);
  insert into fake_revision values (1)`

export interface FakeConsumerOptions {
  readonly targets?: (event: NewEvent) => number
  readonly refuse?: (event: NewEvent) => RipstopError | undefined
  /** Runs after the plan is made and before it is used. */
  readonly planned?: () => Promise<void> | void
}

export function createFakeConsumer(
  link: Link<PostgresPool>,
  { targets = () => 2, refuse = () => undefined, planned = () => {} }: FakeConsumerOptions = {},
): EventConsumer {
  return {
    name: 'fake',
    plan: async (ctx, events, mayRefuse) => {
      const revision = await readRevision(link, ctx)
      const fanOut = events.map(targets)
      await planned()
      const refusals = events.map((event) => (mayRefuse ? refuse(event) : undefined))
      const refused = new Map(refusals.flatMap((error, place) => (error === undefined ? [] : [[place, error]])))
      return {
        fanOut,
        refused,
        current: { name: 'current', text: 'select 1 from fake_revision where revision = $1', values: [revision] },
        parts: [
          {
            name: 'fake_made',
            text: `
              insert into fake_deliveries (event_id, target)
              select event_id, target from unnest($1::uuid[], $2::integer[]) as row (event_id, fan_out)
              join fresh using (event_id), lateral generate_series(1, fan_out) as target`,
            values: [events.map(({ eventId }) => eventId), fanOut],
          },
        ],
      }
    },
  }
}

async function readRevision(link: Link<PostgresPool>, ctx: Ctx): Promise<number> {
  const ask = (pool: PostgresPool, ctx: Ctx) =>
    pool.query<{ revision: number }>(ctx, 'select revision from fake_revision')
  const { rows } = await link.call(ctx, ask, { idempotent: true })
  return rows[0]?.revision ?? 0
}

/** What contradicts that every event has as many rows as it says, and no row is of no event. Empty: all is well. */
export const ORPHANS = `
  select coalesce(e.event_id, d.event_id) as event_id, e.fan_out, d.made
  from ripstop.events e
  full join (select event_id, count(*)::integer as made from fake_deliveries group by event_id) d on d.event_id = e.event_id
  where e.event_id is null or coalesce(d.made, 0) <> e.fan_out`
