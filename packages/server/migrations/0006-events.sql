-- Events: facts, published once. A row is never changed.

create table ripstop.event_types (
  tenant_id uuid not null references ripstop.tenants,
  name text not null check (length(name) between 1 and 128),
  version integer not null check (version >= 1),
  -- JSON Schema 2020-12 of the event's data; json, not jsonb: it is shown as it was given.
  schema json not null,
  description text not null default '',
  -- Against the version before, for people and for the changelog.
  changes json not null default '[]',
  created_at timestamptz not null default now(),
  deprecated_at timestamptz,
  primary key (tenant_id, name, version)
);

create table ripstop.events (
  event_id uuid not null,
  tenant_id uuid not null,
  -- CloudEvents: source and id together name the fact; id is the publisher's, or event_id.
  source text not null,
  id text not null,
  type text not null,
  type_version integer,
  subject text,
  -- CloudEvents partitionkey: what is to be kept in order.
  key text,
  occurred_at timestamptz not null,
  -- The whole event as receivers get it: CloudEvents 1.0, structured JSON.
  body bytea not null,
  -- How many deliveries were made with it, in the same statement: what the orphan check compares.
  fan_out integer not null default 0,
  primary key (event_id)
) partition by range (event_id);
create table ripstop.events_default partition of ripstop.events default;
create index events_of_type on ripstop.events (tenant_id, type, event_id desc);
select ripstop.make_partitions('events', 7);

-- What publishers named themselves, so that a repetition is found.
create table ripstop.event_keys (
  tenant_id uuid not null,
  source text not null,
  id text not null,
  event_id uuid not null,
  primary key (tenant_id, source, id)
);
create index event_keys_age on ripstop.event_keys (event_id);

-- Published inside the caller's own transaction; the mesh takes it from there in order.
create table ripstop.outbox (
  outbox_id bigint generated always as identity primary key,
  -- Null: the default tenant.
  tenant text,
  event jsonb not null,
  created_at timestamptz not null default now()
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);

-- Takes anything and never refuses, so that it can't fail the business change that it tells of.
create function ripstop.publish(event jsonb, tenant text default null) returns bigint
language sql security definer set search_path = '' as $$
  insert into ripstop.outbox (tenant, event) values (tenant, coalesce(event, 'null'::jsonb)) returning outbox_id
$$;

-- What came through the outbox and is no event: kept until somebody mends the type or the text and sends it again.
create table ripstop.rejected_events (
  rejected_id bigint primary key,
  tenant_id uuid,
  tenant text,
  event jsonb not null,
  code text not null,
  problems json not null default '[]',
  created_at timestamptz not null,
  rejected_at timestamptz not null default now()
);
create index rejected_events_of_tenant on ripstop.rejected_events (tenant_id, rejected_id desc);
