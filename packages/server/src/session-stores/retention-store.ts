// SQL of what the retention of sessions deletes, for the holder of a lease.

import type { Part } from '#platform/postgres'

const isOver = `(s.ended_at is not null or s.deleted_at is not null)
        and coalesce(s.deleted_at, s.ended_at) < now() - $1::float8 * interval '1 ms' and exists (select from held)`

/** Entries of sessions that ended or were deleted longer ago than `afterMs`. */
export function expireLogs(afterMs: number, batch: number): Omit<Part, 'name'> {
  const text = `
    delete from ripstop.session_log where ctid = any (array(
      select l.ctid from ripstop.sessions s
      join ripstop.session_log l on l.tenant_id = s.tenant_id and l.session_id = s.session_id
      where ${isOver} limit $2))
    returning 1 as deleted`
  return { text, values: [afterMs, batch] }
}

/** Those sessions, when nothing is left of their logs. */
export function expireSessions(afterMs: number, batch: number): Omit<Part, 'name'> {
  const text = `
    delete from ripstop.sessions where ctid = any (array(
      select s.ctid from ripstop.sessions s
      where ${isOver}
        and not exists (select from ripstop.session_log l where l.tenant_id = s.tenant_id and l.session_id = s.session_id)
      limit $2))
    returning 1 as deleted`
  return { text, values: [afterMs, batch] }
}

/** Forks that were found longer ago than `afterMs`: who was told of them had as long to look. */
export function expireForks(afterMs: number, batch: number): Omit<Part, 'name'> {
  const text = `
    delete from ripstop.session_forks where ctid = any (array(
      select ctid from ripstop.session_forks
      where found_at < now() - $1::float8 * interval '1 ms' and exists (select from held) limit $2))
    returning 1 as deleted`
  return { text, values: [afterMs, batch] }
}

/** All but the newest `kept`: nobody asks further back which outages there were. */
export function expireEpochs(kept: number, batch: number): Omit<Part, 'name'> {
  const text = `
    delete from ripstop.session_epochs where epoch = any (array(
      select epoch from ripstop.session_epochs where exists (select from held) order by epoch desc offset $1 limit $2))
    returning 1 as deleted`
  return { text, values: [kept, batch] }
}
