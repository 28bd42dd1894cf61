-- Tenants and their API keys. A secret is never stored: only its SHA-256, which suffices for 190 random bits.

create table ripstop.tenants (
  tenant_id uuid primary key,
  name text not null unique check (name ~ '^[a-z][a-z0-9-]{0,62}$'),
  created_at timestamptz not null default now()
);

-- The tenant of a mesh that serves one: its id is known to the code.
insert into ripstop.tenants (tenant_id, name) values ('00000000-0000-7000-8000-000000000000', 'default');

create table ripstop.api_keys (
  key_id uuid primary key,
  tenant_id uuid not null references ripstop.tenants,
  name text not null,
  prefix text not null,
  secret_sha256 bytea not null unique check (length(secret_sha256) = 32),
  scopes text[] not null,
  created_at timestamptz not null,
  expires_at timestamptz,
  revoked_at timestamptz,
  last_used_at timestamptz
);

create index api_keys_of_tenant on ripstop.api_keys (tenant_id, key_id desc);
-- Every process asks once a second which keys were revoked of late.
create index api_keys_revoked on ripstop.api_keys (revoked_at) where revoked_at is not null;
create index api_keys_expiring on ripstop.api_keys (expires_at) where expires_at is not null;
