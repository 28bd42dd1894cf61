-- What was done under which Idempotency-Key, and what was answered. A row is written by the statement that has the effect.

create table ripstop.idempotency (
  tenant_id uuid not null references ripstop.tenants,
  idempotency_key text not null check (length(idempotency_key) between 1 and 255),
  -- Of the request that did it: tells a repetition by a client from one by our own link.
  claim_id uuid not null,
  request_sha256 bytea not null,
  -- json, not jsonb: a repetition gets the same bytes.
  response json not null,
  created_at timestamptz not null default now(),
  expires_at timestamptz not null,
  primary key (tenant_id, idempotency_key)
);

create index idempotency_expiring on ripstop.idempotency (expires_at);

-- Called by a statement that claimed a key but had no effect: takes the claim back, with all the rest of the statement.
create function ripstop.take_back_claim() returns integer language plpgsql as $$
begin
  raise exception 'the claimed operation had no effect' using errcode = 'RS001';
end $$;
