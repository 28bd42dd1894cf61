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

-- Drops the oldest day of parent if it ended before `before`, and no row of the tables `keepers` with this kind has a message of that day:
-- what waits or can be sent again keeps what it needs. Gives how many it dropped. It waits for no lock longer than a moment, since
-- whoever writes waits behind it: another turn will do.
create function ripstop.drop_oldest_partition(
  parent text, before timestamptz, kind text default null, keepers text[] default '{}'
) returns integer
language plpgsql set lock_timeout = '200ms' as $$
declare
  oldest text;
  from_day timestamptz;
  keeper text;
  is_kept boolean;
begin
  select c.relname::text into oldest from pg_inherits i join pg_class c on c.oid = i.inhrelid
  where i.inhparent = format('ripstop.%I', parent)::regclass and c.relname ~ format('^%s_[0-9]{8}$', parent)
  order by c.relname limit 1;
  from_day := to_date(right(oldest, 8), 'YYYYMMDD')::timestamp at time zone 'UTC';
  if oldest is null or from_day + interval '1 day' > before then
    return 0;
  end if;
  foreach keeper in array keepers loop
    execute format('select exists (select from ripstop.%I where kind = $1 and message_id >= $2 and message_id < $3)', keeper)
      into is_kept using kind, ripstop.least_id_at(from_day), ripstop.least_id_at(from_day + interval '1 day');
    if is_kept then
      return 0;
    end if;
  end loop;
  execute format('drop table ripstop.%I', oldest);
  return 1;
exception when lock_not_available then
  return 0;
end $$;
