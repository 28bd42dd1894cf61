// SQL of the health of endpoints: what a batch of attempts says about them, and what the health checker looks for.

import type { Ctx } from '@ripstop/kernel'
import type { Part } from '#platform/postgres'
import { type Db, read } from './db.ts'
import type { Endpoint } from './endpoint.ts'
import { ENDPOINT_COLUMNS, type EndpointRow, toEndpoint } from './store.ts'

/** What happened at an endpoint since this was written last. */
export interface HealthNews {
  readonly endpointId: string
  readonly lastAttemptWallMs: number
  readonly lastSuccessWallMs: number | undefined
  /** Since when nothing succeeded, as far as this process saw. */
  readonly failingSinceWallMs: number | undefined
  /** Answers in a row that say that nobody lives there, since the last other answer or since what was written last. */
  readonly missing: number
  /** There was another answer in between. */
  readonly isMissingReset: boolean
}

/**
 * For the statement that settles a batch: only what it settled counts. Rows are locked in one order, so that two processes with lanes
 * of the same endpoints never wait for each other in a circle.
 */
export function healthParts(news: readonly HealthNews[]): readonly Part[] {
  if (news.length === 0) return []
  const given: Part = {
    name: 'health_given',
    text: `
      select given.* from unnest($1::uuid[], $2::float8[], $3::float8[], $4::float8[], $5::integer[], $6::boolean[])
        as given (endpoint_id, attempt_ms, success_ms, failing_ms, missing, is_reset)
      where given.endpoint_id in (select target_id from settled)`,
    values: [
      news.map(({ endpointId }) => endpointId),
      news.map(({ lastAttemptWallMs }) => lastAttemptWallMs),
      news.map(({ lastSuccessWallMs }) => lastSuccessWallMs ?? null),
      news.map(({ failingSinceWallMs }) => failingSinceWallMs ?? null),
      news.map(({ missing }) => missing),
      news.map(({ isMissingReset }) => isMissingReset),
    ],
  }
  const locked: Part = {
    name: 'health_locked',
    text: `
      select e.endpoint_id from ripstop.endpoints e where e.endpoint_id in (select endpoint_id from health_given)
      order by e.endpoint_id for no key update`,
    values: [],
  }
  const written: Part = {
    name: 'health_written',
    text: `
      update ripstop.endpoints e set
        last_attempt_at = greatest(e.last_attempt_at, to_timestamp(given.attempt_ms / 1000)),
        last_success_at = greatest(e.last_success_at, to_timestamp(given.success_ms / 1000)),
        failing_since = case when given.success_ms is null
          then coalesce(e.failing_since, to_timestamp(given.failing_ms / 1000)) else to_timestamp(given.failing_ms / 1000) end,
        missing_in_a_row = given.missing + case when given.is_reset then 0 else e.missing_in_a_row end
      from health_given given join health_locked on health_locked.endpoint_id = given.endpoint_id
      where e.endpoint_id = given.endpoint_id returning 1`,
    values: [],
  }
  return [given, locked, written]
}

/** Active ones that have failed for so long: an attempt failed so much later than the first, and nothing succeeded in between. */
export async function findFailing(link: Db, ctx: Ctx, forMs: number, limit: number): Promise<readonly Endpoint[]> {
  const text = `
    select ${ENDPOINT_COLUMNS} from ripstop.endpoints e
    where e.deleted_at is null and e.state = 'active' and e.failing_since is not null
      and e.last_attempt_at - e.failing_since >= $1::float8 * interval '1 ms'
    order by e.failing_since limit $2`
  return (await read<EndpointRow>(link, ctx, text, [forMs, limit])).map(toEndpoint)
}

/** Parked by the mesh itself, and due to be tried with one delivery. */
export async function findToProbe(link: Db, ctx: Ctx, limit: number): Promise<readonly Endpoint[]> {
  const text = `
    select ${ENDPOINT_COLUMNS} from ripstop.endpoints e
    where e.deleted_at is null and e.probe_at <= now() and not e.is_probing and e.state <> 'active'
    order by e.probe_at limit $1`
  return (await read<EndpointRow>(link, ctx, text, [limit])).map(toEndpoint)
}

/** Gone for so long. */
export async function findGone(link: Db, ctx: Ctx, forMs: number, limit: number): Promise<readonly Endpoint[]> {
  const text = `
    select ${ENDPOINT_COLUMNS} from ripstop.endpoints e
    where e.deleted_at is null and e.state = 'gone' and e.state_at <= now() - $1::float8 * interval '1 ms'
    order by e.state_at limit $2`
  return (await read<EndpointRow>(link, ctx, text, [forMs, limit])).map(toEndpoint)
}

/** Endpoints that might be nobody's: not paused by a person, the least successful first. */
export async function findSuspects(
  link: Db,
  ctx: Ctx,
  { tenantId, after, limit }: { readonly tenantId: string; readonly after: string | undefined; readonly limit: number },
): Promise<readonly Endpoint[]> {
  const text = `
    select ${ENDPOINT_COLUMNS} from ripstop.endpoints e
    where e.tenant_id = $1 and e.deleted_at is null and ($2::uuid is null or e.endpoint_id > $2::uuid)
    order by e.endpoint_id limit $3`
  return (await read<EndpointRow>(link, ctx, text, [tenantId, after ?? null, limit])).map(toEndpoint)
}

export interface EndpointCounts {
  readonly active: number
  readonly paused: number
  readonly gone: number
  /** Present secrets of theirs that are older than they may be. */
  readonly secretsTooOld: number
}

/** Of all tenants. One pass over the endpoints and one over their secrets: 0.1 s for 100,000. */
export async function countEndpoints(link: Db, ctx: Ctx, secretMaxAgeMs: number): Promise<EndpointCounts> {
  const of = (state: string): string => `count(*) filter (where e.state = '${state}')::float8 as ${state}`
  const text = `
    select ${of('active')}, ${of('paused')}, ${of('gone')},
      (select count(*)::float8 from ripstop.endpoint_secrets s join ripstop.endpoints of using (endpoint_id)
       where of.deleted_at is null and s.signs_until is null and s.created_at <= now() - $1::float8 * interval '1 ms') as secrets
    from ripstop.endpoints e where e.deleted_at is null`
  type Row = Omit<EndpointCounts, 'secretsTooOld'> & { readonly secrets: number }
  const [row] = await read<Row>(link, ctx, text, [secretMaxAgeMs])
  const { secrets: secretsTooOld, ...states } = row as Row
  return { ...states, secretsTooOld }
}
