-- Requests that the gateway answered with 202 and sends later (Prefer: respond-async).

create table ripstop.deferred_requests (
  request_id uuid not null,
  tenant_id uuid not null,
  upstream text not null,
  method text not null,
  path text not null,
  headers jsonb not null,
  body bytea,
  is_repeatable boolean not null,
  deadline_ms integer not null,
  state text not null default 'waiting' check (state in ('waiting', 'done', 'failed', 'unknown')),
  status smallint,
  response_headers jsonb,
  response_body bytea,
  code text,
  done_at timestamptz,
  primary key (request_id)
) partition by range (request_id);
create table ripstop.deferred_requests_default partition of ripstop.deferred_requests default;
select ripstop.make_partitions('deferred_requests', 7);
