-- Deliveries: what is to be sent and is not done. A row exists only while there is something to do; what was done is in attempts.

create table ripstop.deliveries (
  -- Rises in the order of publishing: keys are sent in its order.
  delivery_id bigint generated always as identity primary key,
  tenant_id uuid not null,
  kind text not null,
  target_id uuid not null,
  lane smallint not null default 0,
  -- Of (target, lane): who owns the shard sends.
  shard smallint not null,
  -- Null: in no order.
  key_hash bigint,
  message_id uuid not null,
  bytes integer not null,
  attempts smallint not null default 0,
  due_at timestamptz not null default now(),
  replay_id uuid,
  -- Which transaction made the row: what is new since a snapshot is found without a claim (as in PgQ).
  xid xid8 not null default pg_current_xact_id()
) with (fillfactor = 85, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000,
        autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 100000, autovacuum_vacuum_cost_delay = 0);

-- A queue's statistics are of a moment that is past: with one target then and ten thousand now, the planner would read the whole table
-- for each of them (seen: 2 s instead of 10 ms). Without any it takes the indexes, which is always right here.
alter table ripstop.deliveries
  alter target_id set statistics 0, alter lane set statistics 0, alter shard set statistics 0, alter key_hash set statistics 0,
  alter delivery_id set statistics 0, alter due_at set statistics 0, alter attempts set statistics 0, alter xid set statistics 0;

create index deliveries_new on ripstop.deliveries (xid);
create index deliveries_due on ripstop.deliveries (target_id, lane, due_at, delivery_id);
-- What the engine reads without a key: over the index of all it would walk every keyed row between (7 s for a sweep of 1,000,000).
create index deliveries_free on ripstop.deliveries (target_id, lane, due_at, delivery_id) where key_hash is null;
-- By event: its deliveries, why one is not there, and the orphan check.
create index deliveries_of_message on ripstop.deliveries (message_id);
create index deliveries_in_order on ripstop.deliveries (target_id, lane, key_hash, delivery_id) where key_hash is not null;

-- One row for each time that something was sent, or could not be. Append-only.
create table ripstop.attempts (
  attempt_id uuid not null,
  delivery_id bigint not null,
  tenant_id uuid not null,
  kind text not null,
  target_id uuid not null,
  message_id uuid not null,
  n smallint not null,
  outcome text not null check (outcome in ('delivered', 'failed', 'unknown', 'parked')),
  -- HTTP status, if there was an answer.
  status smallint,
  code text,
  reason text,
  duration_ms integer not null,
  -- The beginning of the answer, at most 4 KB.
  response bytea,
  -- What the receiver's signed receipt says: applied or duplicate.
  receipt text,
  -- Another owner may have sent it already, with the same id.
  may_repeat boolean not null default false,
  replay_id uuid,
  -- Null: it was the last.
  next_due_at timestamptz
) partition by range (attempt_id);
create table ripstop.attempts_default partition of ripstop.attempts default;
create index attempts_of_delivery on ripstop.attempts (delivery_id);
create index attempts_of_message on ripstop.attempts (message_id);
create index attempts_of_target on ripstop.attempts (target_id, attempt_id desc);
create index attempts_of_tenant on ripstop.attempts (tenant_id, attempt_id desc);
select ripstop.make_partitions('attempts', 7);

-- What is not tried any more by itself; it keeps everything that a redrive needs.
create table ripstop.dead_letters (
  delivery_id bigint primary key,
  tenant_id uuid not null,
  kind text not null,
  target_id uuid not null,
  lane smallint not null,
  shard smallint not null,
  key_hash bigint,
  message_id uuid not null,
  bytes integer not null,
  attempts smallint not null,
  replay_id uuid,
  reason text not null check (reason in ('exhausted', 'refused', 'unknown', 'deleted', 'overflow', 'expired')),
  code text,
  status smallint,
  dead_at timestamptz not null default now()
);
create index dead_letters_of_tenant on ripstop.dead_letters (tenant_id, delivery_id desc);
create index dead_letters_of_target on ripstop.dead_letters (target_id, delivery_id);
create index dead_letters_of_message on ripstop.dead_letters (message_id);

-- Who sends: a lease for each shard. Every claim raises the epoch, and every completion names the epoch that it was sent under.
create table ripstop.delivery_shards (
  shard smallint primary key,
  owner uuid,
  epoch bigint not null default 0,
  expires_at timestamptz not null default '-infinity'
);
insert into ripstop.delivery_shards (shard) select generate_series(0, 63);

-- Who is there to own shards: each takes its part.
create table ripstop.delivery_workers (
  worker_id uuid primary key,
  seen_at timestamptz not null
);
