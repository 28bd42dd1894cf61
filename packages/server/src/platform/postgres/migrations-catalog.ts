// The catalog of schema `ripstop` as a flat map from an object's name to its definition: small enough to be stored with
// every migration, and comparing two of them names the difference. Partitions are left out (upkeep makes and drops them).

import type { Ctx } from '@ripstop/kernel'
import type { Queryable } from '@ripstop/kernel/postgres'

export interface Catalog {
  /** Postgres writes some definitions differently from one major version to the next. */
  readonly major: number
  readonly objects: Readonly<Record<string, string>>
}

export interface Drift {
  /** Something is missing or different: statements may fail. */
  readonly broken: readonly string[]
  /** Something was added, as an index by an administrator: told of, and left alone. */
  readonly unexpected: readonly string[]
}

const CATALOG = `
  with relation as (
    select * from pg_class where relnamespace = 'ripstop'::regnamespace and not relispartition
  ), object (name, definition) as (
    select 'table ' || relname, case relpersistence when 'p' then 'permanent' else 'temporary or unlogged' end
      || case when relkind = 'p' then ' partitioned by ' || pg_get_partkeydef(oid) else '' end
      from relation where relkind in ('r', 'p')
    union all
    select 'column ' || relname || '.' || attname, format_type(atttypid, atttypmod)
      || case when attnotnull then ' not null' else '' end
      || case attidentity when '' then '' else ' identity ' || attidentity::text end
      || coalesce(' default ' || pg_get_expr(adbin, adrelid), '')
      from relation join pg_attribute on attrelid = relation.oid and attnum > 0 and not attisdropped
      left join pg_attrdef on adrelid = attrelid and adnum = attnum
      where relkind in ('r', 'p')
    union all
    select 'index ' || relation.relname || '.' || named.relname, pg_get_indexdef(indexrelid)
      || case when indisvalid then '' else ' (invalid)' end
      from relation join pg_index on indrelid = relation.oid join pg_class named on named.oid = indexrelid
    union all
    select 'constraint ' || relname || '.' || conname, pg_get_constraintdef(pg_constraint.oid)
      from relation join pg_constraint on conrelid = relation.oid
      where contype <> 'n' and conparentid = 0 -- not null is told with its column
    union all
    select 'trigger ' || relname || '.' || tgname, tgenabled::text || ' ' || pg_get_triggerdef(pg_trigger.oid)
      from relation join pg_trigger on tgrelid = relation.oid where not tgisinternal
    union all
    select 'view ' || relname, md5(pg_get_viewdef(oid)) from relation where relkind in ('v', 'm')
    union all
    select 'function ' || proname || '(' || pg_get_function_identity_arguments(oid) || ')',
      md5(prosrc) || case when prosecdef then ' security definer' else '' end
      from pg_proc where pronamespace = 'ripstop'::regnamespace and prokind in ('f', 'p')
    union all
    select 'type ' || typname, string_agg(enumlabel, ', ' order by enumsortorder)
      from pg_type join pg_enum on enumtypid = pg_type.oid where typnamespace = 'ripstop'::regnamespace group by typname
  )
  select current_setting('server_version_num')::integer / 10000 as major, json_object_agg(name, definition) as objects
  from object`

/** Inside a transaction: definitions must not depend on the session's search path. */
export async function readCatalog(tx: Queryable, ctx: Ctx): Promise<Catalog> {
  await tx.query(ctx, `set local search_path = ''`)
  const { rows } = await tx.query<{ major: number; objects: Catalog['objects'] | null }>(ctx, CATALOG)
  await tx.query(ctx, 'set local search_path to default')
  return { major: rows[0]?.major ?? 0, objects: rows[0]?.objects ?? {} }
}

/** What differs, each piece by name. A missing table is not told again by its columns. */
export function compareCatalogs(stored: Catalog, live: Catalog): Drift {
  const broken: string[] = []
  const missingTables = new Set<string>()
  const entries = Object.entries(stored.objects).sort(([a], [b]) => order(a) - order(b) || (a < b ? -1 : 1))
  for (const [name, definition] of entries) {
    const [kind = '', rest = ''] = name.split(' ', 2)
    if (missingTables.has(rest.split('.')[0] ?? '') && kind !== 'table') continue
    const now = live.objects[name]
    if (now === undefined) {
      if (kind === 'table') missingTables.add(rest)
      broken.push(`${qualified(name)} is missing`)
    } else if (stored.major === live.major && now !== definition) {
      broken.push(`${qualified(name)} is "${now}", was "${definition}"`)
    }
  }
  const unexpected = Object.keys(live.objects)
    .filter((name) => !(name in stored.objects))
    .sort()
    .map((name) => `${qualified(name)} is unexpected`)
  return { broken, unexpected }
}

function order(name: string): number {
  return name.startsWith('table ') ? 0 : 1
}

/** `column T.C` is `column ripstop.T.C` to people. */
function qualified(name: string): string {
  return name.replace(' ', ' ripstop.')
}
