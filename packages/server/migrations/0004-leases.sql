-- Leases of work that one process at a time does, for the whole mesh (so they have no tenant).

create table ripstop.leases (
  name text primary key,
  owner uuid not null,
  epoch bigint not null,
  expires_at timestamptz not null
);
