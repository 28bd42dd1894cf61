-- Whose webhooks we take: their signatures are checked, and what they say becomes an event.

create table ripstop.inbound_sources (
  source_id uuid primary key,
  tenant_id uuid not null references ripstop.tenants,
  name text not null check (name ~ '^[a-z][a-z0-9-]{0,62}$'),
  scheme text not null check (scheme in ('standard', 'stripe', 'github', 'shopify', 'slack')),
  -- The sealed secrets, the present one first.
  sealed_secrets bytea[] not null,
  created_at timestamptz not null default now(),
  last_received_at timestamptz,
  unique (tenant_id, name)
);
