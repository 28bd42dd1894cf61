-- Live sessions. With the postgres store these tables are the truth; with Redis they are what is drained from it, what sessions are
-- recovered from, and what serves while Redis is gone.

-- Periods of authority, counted here and nowhere else: a fencing token.
create table ripstop.session_epochs (
  epoch bigint primary key,
  -- Which store takes commits.
  mode text not null check (mode in ('redis', 'postgres')),
  -- The interruption of service that it began after, server time in ms; equal where there was none.
  since_ms bigint not null,
  until_ms bigint not null check (until_ms >= since_ms),
  -- Redis's run id, where Redis has the authority.
  redis_run_id text,
  reason text not null,
  began_at timestamptz not null default clock_timestamp(),
  -- When all sessions whose deadlines Redis has to know had been brought there.
  swept_at timestamptz
);

-- Whether Postgres has the authority, in this epoch. The next epoch begins only when the transaction that asked has ended: asking takes
-- a lock that beginning waits for, and reads after it was given, with a snapshot of its own.
create function ripstop.hold_session_epoch(expected bigint) returns boolean language plpgsql as $$
begin
  perform pg_advisory_xact_lock_shared(hashtext('ripstop.session_epochs'));
  return exists (
    select from (select epoch, mode from ripstop.session_epochs order by epoch desc limit 1) as present
    where present.epoch = expected and present.mode = 'postgres');
end $$;

create function ripstop.wait_for_session_commits() returns trigger language plpgsql as $$
begin
  perform pg_advisory_xact_lock(hashtext('ripstop.session_epochs'));
  return new;
end $$;
create trigger wait_for_commits before insert on ripstop.session_epochs
  -- For each row: the statement of every beat could begin an epoch, and nearly none does.
  for each row execute function ripstop.wait_for_session_commits();

-- Which processes serve sessions, and what they see.
create table ripstop.session_nodes (
  node_id text primary key,
  beat_ms bigint not null,
  -- When it last had an answer from Redis; null: it never had one.
  redis_seen_ms bigint
);

create table ripstop.sessions (
  -- No reference to tenants: what is drained from Redis must not be held up by it.
  tenant_id uuid not null,
  session_id uuid not null,
  epoch bigint not null,
  version integer not null,
  head text not null,
  status text not null,
  deadline_ms bigint,
  -- When somebody is to look at its deadline: at the deadline, or sooner; later only while the deadline is claimed. A commit that only puts
  -- the deadline off leaves it as it is, so that such an update touches no index (HOT). Whoever writes deadline_ms writes
  -- due_ms = least(due_ms, deadline_ms), or null where the session has ended.
  due_ms bigint,
  -- JSON of the session as of body_version; entries after it are folded in. 0: there is none yet, the first entry tells.
  body text not null,
  body_version integer not null,
  -- The last operation ids as of body_version, newest last: of each the first 8 bytes of its SHA-256, and 4 of its version.
  operations bytea not null default '',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  ended_at timestamptz,
  deleted_at timestamptz,
  primary key (tenant_id, session_id)
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);
create index sessions_due on ripstop.sessions (due_ms) where due_ms is not null and deleted_at is null;
create index sessions_ended on ripstop.sessions (coalesce(deleted_at, ended_at)) where ended_at is not null or deleted_at is not null;

create table ripstop.session_log (
  tenant_id uuid not null,
  session_id uuid not null,
  epoch bigint not null,
  -- 0 is no entry: it tells those who follow the log that the session was deleted.
  version integer not null,
  hash text not null,
  text text not null,
  -- For processes that follow the log by snapshots.
  xid xid8 not null default pg_current_xact_id(),
  primary key (tenant_id, session_id, epoch, version)
) with (autovacuum_vacuum_insert_scale_factor = 0.05);
create index session_log_xid on ripstop.session_log (xid);

-- How far Redis's log was drained: moved in the statement that writes what was drained.
create table ripstop.session_cursors (
  shard smallint primary key,
  -- Of the last record that was drained; empty: none was. Another stream may have the id, but not with the same record.
  last_id text not null default '',
  last_hash text not null default ''
);

-- The same entry with another hash: two authorities wrote. For a person to look at.
create table ripstop.session_forks (
  tenant_id uuid not null,
  session_id uuid not null,
  epoch bigint not null,
  version integer not null,
  kept_hash text not null,
  other_hash text not null,
  other_text text not null,
  found_at timestamptz not null default now(),
  primary key (tenant_id, session_id, epoch, version, other_hash)
);
