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
  began_at timestamptz not null default clock_timestamp()
);

-- Which processes serve sessions, and what they see.
create table ripstop.session_nodes (
  node_id text primary key,
  beat_ms bigint not null,
  -- When it last had an answer from Redis; null: it never had one.
  redis_seen_ms bigint
);

create table ripstop.sessions (
  tenant_id uuid not null references ripstop.tenants,
  session_id uuid not null,
  epoch bigint not null,
  version integer not null,
  head text not null,
  status text not null,
  deadline_ms bigint,
  -- Nobody else takes the deadline until then.
  claimed_ms bigint not null default 0,
  -- JSON of the session as of body_version; entries after it are folded in.
  body text not null,
  body_version integer not null,
  -- The last operation ids and their versions, newest last.
  operations jsonb not null default '[]',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  ended_at timestamptz,
  deleted_at timestamptz,
  primary key (tenant_id, session_id)
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);
create index sessions_due on ripstop.sessions (deadline_ms) where deadline_ms is not null and deleted_at is null;
create index sessions_ended on ripstop.sessions (coalesce(deleted_at, ended_at)) where ended_at is not null or deleted_at is not null;

create table ripstop.session_log (
  tenant_id uuid not null,
  session_id uuid not null,
  epoch bigint not null,
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
  last_id text not null
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
