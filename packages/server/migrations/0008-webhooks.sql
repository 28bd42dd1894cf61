-- Endpoints: who is told of which events, and how.

create table ripstop.endpoints (
  endpoint_id uuid primary key,
  tenant_id uuid not null references ripstop.tenants,
  url text not null,
  description text not null default '',
  -- Whose it is, for the orphan report; null: nobody said.
  owner text,
  -- Event types, exact or with a * at the end; '{*}' is all.
  event_types text[] not null,
  -- CEL over `event`; null: no filter.
  filter text,
  state text not null default 'active' check (state in ('active', 'paused', 'gone')),
  state_reason text,
  state_actor text,
  state_at timestamptz not null default now(),
  ordering text not null default 'none' check (ordering in ('none', 'key')),
  lanes smallint not null default 1 check (lanes between 1 and 64),
  concurrency integer not null default 16 check (concurrency between 1 and 1024),
  -- Deliveries a second; null: as fast as it answers.
  rate_per_second real check (rate_per_second > 0),
  deadline_ms integer not null default 15000 check (deadline_ms between 100 and 60000),
  retry_schedule_ms integer[] not null default '{5000,300000,1800000,7200000,18000000,36000000,86400000}',
  -- Undone deliveries beyond which publishers are refused.
  backlog_max integer not null default 2000000 check (backlog_max >= 1),
  backlog_full boolean not null default false,
  -- Headers that go with every delivery; their values are sealed.
  sealed_headers bytea,
  -- Set by a REST Hook subscription (Zapier, Make): 410 unsubscribes.
  is_hook boolean not null default false,
  -- Secrets that are too old are replaced by themselves; null: as the settings say.
  rotates_itself boolean,
  -- The tenant's revision that changed it last: what is new since another one is found without reading all.
  revision bigint not null,
  created_at timestamptz not null default now(),
  deleted_at timestamptz,
  -- Health, written at transitions and otherwise at most every few seconds.
  last_attempt_at timestamptz,
  last_success_at timestamptz,
  -- Since when nothing succeeded; null: the last attempt did.
  failing_since timestamptz,
  -- Answers in a row that say that nobody lives there (404, or a name that does not exist).
  missing_in_a_row integer not null default 0,
  -- Parked by the mesh itself: when one delivery is tried again, how often that was in vain, and whether it is under way.
  probe_at timestamptz,
  probes integer not null default 0,
  is_probing boolean not null default false
);
create index endpoints_of_tenant on ripstop.endpoints (tenant_id, endpoint_id desc) where deleted_at is null;
create index endpoints_changed on ripstop.endpoints (tenant_id, revision);
create index endpoints_to_probe on ripstop.endpoints (probe_at) where probe_at is not null and deleted_at is null;

create table ripstop.endpoint_secrets (
  secret_id uuid primary key,
  endpoint_id uuid not null references ripstop.endpoints,
  algorithm text not null check (algorithm in ('v1', 'v1a')),
  sealed bytea not null,
  -- Of v1a: anyone may read it.
  public_key bytea,
  -- Made by itself: its owner reads it once.
  is_unread boolean not null default false,
  created_at timestamptz not null default now(),
  -- Until when it signs beside a younger one; null: it is the present one.
  signs_until timestamptz,
  is_warned boolean not null default false
);
create index endpoint_secrets_of on ripstop.endpoint_secrets (endpoint_id, created_at desc);

-- Which endpoints a publisher knew when it chose where an event goes: if it has moved, it chooses again.
create table ripstop.endpoint_revisions (
  tenant_id uuid primary key references ripstop.tenants,
  revision bigint not null
);

-- Replays and redrives of many: durable, a page at a time, and resumable at their cursor.
create table ripstop.replay_jobs (
  replay_id uuid primary key,
  tenant_id uuid not null,
  what text not null check (what in ('events', 'dead_letters')),
  -- Null: every endpoint of the tenant (dead letters only).
  endpoint_id uuid,
  selector json not null,
  state text not null default 'running' check (state in ('running', 'done', 'cancelled')),
  cursor text,
  done integer not null default 0,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
create index replay_jobs_of_tenant on ripstop.replay_jobs (tenant_id, replay_id desc);
create index replay_jobs_running on ripstop.replay_jobs (replay_id) where state = 'running';
