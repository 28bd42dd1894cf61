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
