-- Tables that only grow are partitioned by day. The key is a UUIDv7, whose first 48 bits are its time in ms: an id alone says in
-- which partition its row is, and stays unique over all of them.

-- The least UUID of a moment.
create function ripstop.least_id_at(at timestamptz) returns uuid language sql immutable as $$
  select (lpad(to_hex(floor(extract(epoch from at) * 1000)::bigint), 12, '0') || '00000000000000000000')::uuid
$$;

-- Makes the partitions of parent from yesterday to days_ahead; rows that came while one was missing are in the default partition and
-- move to theirs. Gives how many it made. Two callers at once: the second finds them made.
create function ripstop.make_partitions(parent text, days_ahead integer) returns integer
language plpgsql as $$
declare
  made integer := 0;
  first_day date := (now() at time zone 'UTC')::date - 1;
  from_day timestamptz;
  name text;
begin
  for ahead in 0 .. days_ahead + 1 loop
    from_day := (first_day + ahead)::timestamp at time zone 'UTC';
    name := format('%s_%s', parent, to_char(from_day at time zone 'UTC', 'YYYYMMDD'));
    continue when to_regclass(format('ripstop.%I', name)) is not null;
    perform pg_advisory_xact_lock(hashtext('ripstop.partitions'), hashtext(parent));
    continue when to_regclass(format('ripstop.%I', name)) is not null;
    execute format('create table ripstop.%I (like ripstop.%I including defaults including constraints)', name, parent);
    execute format(
      'with moved as (delete from ripstop.%I where %I >= %L and %I < %L returning *) insert into ripstop.%I select * from moved',
      parent || '_default', ripstop.partition_key(parent), ripstop.least_id_at(from_day),
      ripstop.partition_key(parent), ripstop.least_id_at(from_day + interval '1 day'), name);
    execute format('alter table ripstop.%I attach partition ripstop.%I for values from (%L) to (%L)',
      parent, name, ripstop.least_id_at(from_day), ripstop.least_id_at(from_day + interval '1 day'));
    made := made + 1;
  end loop;
  return made;
end $$;

-- The column that a table is partitioned by.
create function ripstop.partition_key(parent text) returns text language sql stable as $$
  select a.attname::text from pg_partitioned_table p
  join pg_attribute a on a.attrelid = p.partrelid and a.attnum = p.partattrs[0]
  where p.partrelid = format('ripstop.%I', parent)::regclass
$$;
