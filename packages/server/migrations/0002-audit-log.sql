-- The audit log: append-only, also for its owner. Rows are written by the statement that has the effect they tell of.
-- No reference to tenants: the log outlives them.

create table ripstop.audit_log (
  audit_id bigint generated always as identity primary key,
  tenant_id uuid not null,
  at timestamptz not null default now(),
  actor text not null,
  action text not null,
  resource text not null,
  outcome text not null check (outcome in ('done', 'refused')),
  trace_id text,
  details jsonb not null default '{}'
);

create index audit_log_of_tenant on ripstop.audit_log (tenant_id, audit_id desc);
create index audit_log_at on ripstop.audit_log (at);

-- Deleting is for expire_audit_log alone, and what is younger than a day stays whoever asks.
create function ripstop.keep_audit_log() returns trigger language plpgsql as $$
begin
  if tg_op = 'DELETE' and current_setting('ripstop.expiring_audit_log', true) = 'yes' then
    if old.at < now() - interval '1 day' then
      return old;
    end if;
  end if;
  raise exception 'ripstop.audit_log is append-only' using errcode = 'RS002';
end $$;

create trigger keep_rows before update or delete on ripstop.audit_log
  for each row execute function ripstop.keep_audit_log();
create trigger keep_table before truncate on ripstop.audit_log
  for each statement execute function ripstop.keep_audit_log();
revoke update, truncate on ripstop.audit_log from current_user;

-- Deletes at most batch rows older than before, oldest first, and says how many.
create function ripstop.expire_audit_log(before timestamptz, batch integer) returns integer
language plpgsql security definer set search_path = '' as $$
declare
  deleted integer;
begin
  perform set_config('ripstop.expiring_audit_log', 'yes', true);
  delete from ripstop.audit_log where audit_id in (
    select audit_id from ripstop.audit_log
    where at < least(before, now() - interval '1 day') order by at limit batch
  );
  get diagnostics deleted = row_count;
  perform set_config('ripstop.expiring_audit_log', 'no', true);
  return deleted;
end $$;
