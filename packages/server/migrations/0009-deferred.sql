-- Requests that the gateway answered with 202 and sends later (Prefer: respond-async).

create table ripstop.deferred_requests (
  request_id uuid not null,
  tenant_id uuid not null,
  upstream text not null,
  method text not null,
  path text not null,
  -- All of them: any may be a credential.
  sealed_headers bytea not null,
  body bytea,
  is_repeatable boolean not null,
  deadline_ms integer not null,
  -- Which attempt may be on its way: what must not be repeated is not sent while it is another's.
  sending uuid,
  state text not null default 'waiting' check (state in ('waiting', 'done', 'failed', 'unknown')),
  attempts jsonb not null default '[]',
  status smallint,
  response_headers jsonb,
  response_body bytea,
  is_cut boolean not null default false,
  code text,
  done_at timestamptz,
  primary key (request_id)
) partition by range (request_id);
create table ripstop.deferred_requests_default partition of ripstop.deferred_requests default;
select ripstop.make_partitions('deferred_requests', 7);

-- Drops the oldest partition if it ended before `before` and nothing of it is still to be sent; gives how many it dropped. As
-- drop_old_events it waits for no lock longer than a moment.
create function ripstop.drop_old_deferred(before timestamptz) returns integer
language plpgsql set lock_timeout = '200ms' as $$
declare
  oldest record;
begin
  select c.relname::text as name, to_date(right(c.relname, 8), 'YYYYMMDD')::timestamp at time zone 'UTC' as from_day
  into oldest
  from pg_inherits i join pg_class c on c.oid = i.inhrelid
  where i.inhparent = 'ripstop.deferred_requests'::regclass and c.relname ~ '^deferred_requests_[0-9]{8}$'
  order by c.relname limit 1;
  if oldest.name is null or oldest.from_day + interval '1 day' > before
    or exists (select from ripstop.deliveries where message_id >= ripstop.least_id_at(oldest.from_day)
      and message_id < ripstop.least_id_at(oldest.from_day + interval '1 day') and kind = 'deferred') then
    return 0;
  end if;
  execute format('drop table ripstop.%I', oldest.name);
  return 1;
exception when lock_not_available then
  return 0;
end $$;
