// Event types: named, versioned schemas of event data. A version is registered if it keeps what the one before promised to both sides
// (compatibility.ts); a schema that changes nothing is the version that is there.
// Invariants:
//   ET9. Every version of a type is compatible with the one before it, however many are registered at the same time.

import { type Ctx, type Env, type Link, RipstopError } from '@ripstop/kernel'
import type { PostgresPool } from '@ripstop/kernel/postgres'
import type { AuditLine } from '#access'
import type { IdempotencyKey, Principal } from '#platform/http'
import { type Change, compareSchemas, findUnguaranteed, schemaOfPaths } from './compatibility.ts'
import {
  type CheckDialect,
  compileSchema,
  createDialectCheck,
  type JsonSchema,
  parseSchema,
  schemaInvalid,
} from './schema-check.ts'
import { deprecateType, type EventType, insertType, listTypes, readVersions, TYPES_MAX } from './type-store.ts'

const ROUNDS_MAX = 5
const CHANGES_SHOWN = 100

export interface Asking {
  readonly principal: Principal
  readonly idempotency?: IdempotencyKey | undefined
  readonly traceId?: string
}

export interface TypeWish {
  readonly name: string
  readonly schema: unknown
  readonly description: string
}

/** What a version lacks of what a consumer needs. */
export interface Verdict {
  readonly version: number
  readonly missing: readonly Change[]
}

export interface EventTypes {
  /** `isNew` is false where the schema and description are those of the newest version. SCHEMA_INVALID, SCHEMA_BREAKING, CONFLICT. */
  readonly register: (
    ctx: Ctx,
    asking: Asking,
    wish: TypeWish,
  ) => Promise<{ type: EventType; isNew: boolean; replayed: boolean }>
  readonly list: (
    ctx: Ctx,
    tenantId: string,
    page: { after: string | undefined; limit: number },
  ) => Promise<readonly EventType[]>
  /** The newest first. NOT_FOUND. */
  readonly versions: (ctx: Ctx, tenantId: string, name: string) => Promise<readonly [EventType, ...EventType[]]>
  /** NOT_FOUND. */
  readonly deprecate: (ctx: Ctx, asking: Asking, name: string) => Promise<EventType>
  /** Whether every version guarantees what a consumer needs: a schema, or paths of fields. NOT_FOUND, SCHEMA_INVALID. */
  readonly testContract: (
    ctx: Ctx,
    tenantId: string,
    name: string,
    needs: { readonly schema?: unknown; readonly fields?: readonly string[] | undefined },
  ) => Promise<readonly Verdict[]>
}

export interface EventTypesDeps {
  readonly env: Env
  readonly link: Link<PostgresPool>
  /** Hears of what was registered here. */
  readonly registered: (tenantId: string, name: string) => void
}

export function createEventTypes(deps: EventTypesDeps): EventTypes {
  const { link } = deps
  const dialect: { check?: CheckDialect } = {}
  const checkDialect: CheckDialect = (schema) => {
    dialect.check ??= createDialectCheck()
    dialect.check(schema)
  }
  const versions: EventTypes['versions'] = async (ctx, tenantId, name) => {
    const [newest, ...older] = await readVersions(link, ctx, tenantId, name)
    if (newest === undefined) throw noType(name)
    return [newest, ...older]
  }
  return {
    register: (ctx, asking, wish) => register(deps, checkDialect, ctx, asking, wish),
    list: (ctx, tenantId, page) => listTypes(link, ctx, tenantId, page),
    versions,
    deprecate: async (ctx, asking, name) => {
      const { tenantId } = asking.principal
      const type = await deprecateType(link, ctx, tenantId, name, lineOf(asking, 'event-type.deprecate', name))
      if (type === undefined) throw noType(name)
      return type
    },
    testContract: async (ctx, tenantId, name, needs) => {
      const consumer = consumerOf(needs, checkDialect)
      const all = await versions(ctx, tenantId, name)
      return all.map(({ version, schema }) => ({ version, missing: findUnguaranteed(consumer, schema) }))
    },
  }
}

function consumerOf(
  { schema, fields = [] }: { readonly schema?: unknown; readonly fields?: readonly string[] | undefined },
  checkDialect: CheckDialect,
): JsonSchema {
  if (schema === undefined) {
    const needed = schemaOfPaths(fields)
    if (needed === undefined)
      throw schemaInvalid([{ field: '/fields', problem: 'must be paths like order.lines[].sku' }])
    return needed
  }
  return accept(schema, checkDialect)
}

function accept(given: unknown, checkDialect: CheckDialect): JsonSchema {
  const schema = parseSchema(given)
  checkDialect(schema)
  compileSchema(schema)
  return schema
}

async function register(
  deps: EventTypesDeps,
  checkDialect: CheckDialect,
  ctx: Ctx,
  asking: Asking,
  { name, schema: given, description }: TypeWish,
): Promise<{ type: EventType; isNew: boolean; replayed: boolean }> {
  const { env, link } = deps
  const { tenantId } = asking.principal
  const schema = accept(given, checkDialect)
  for (let round = 0; round < ROUNDS_MAX; round++) {
    const versions = await readVersions(link, ctx, tenantId, name)
    const [newest] = versions
    // A request that may be a repetition may have made an older version, too.
    const same = (asking.idempotency === undefined ? versions.slice(0, 1) : versions).find(
      (version) => version.description === description && JSON.stringify(version.schema) === JSON.stringify(schema),
    )
    if (same !== undefined) return { type: same, isNew: false, replayed: false }
    const changes = newest === undefined ? [] : compareSchemas(newest.schema, schema)
    refuseBreaking(name, newest, changes)
    const type: EventType = {
      name,
      version: (newest?.version ?? 0) + 1,
      schema,
      description,
      changes: changes.slice(0, CHANGES_SHOWN),
      createdWallMs: Math.floor(env.clock.wallMs()),
      deprecatedWallMs: undefined,
    }
    const line = lineOf(asking, 'event-type.register', name, { version: type.version })
    const done = await insertType(link, ctx, tenantId, type, line, asking.idempotency)
    deps.registered(tenantId, name)
    if (done !== undefined) return { type: done.response, isNew: !done.replayed, replayed: done.replayed }
  }
  const message = `${name} was registered by others at the same time, or the tenant has ${TYPES_MAX} versions of types`
  throw new RipstopError('CONFLICT', message, { sent: 'no' })
}

function refuseBreaking(name: string, before: EventType | undefined, changes: readonly Change[]): void {
  const breaking = changes.filter(({ breaks }) => breaks.length > 0)
  if (before === undefined || breaking.length === 0) return
  const first = breaking[0]
  throw new RipstopError(
    'SCHEMA_BREAKING',
    `${breaking.length} of the changes to ${name} break what version ${before.version} promised; the first: ${first?.pointer || 'the data'} ${first?.change}`,
    { details: { version: before.version, changes: changes.slice(0, CHANGES_SHOWN) } },
  )
}

function noType(name: string): RipstopError {
  return new RipstopError('NOT_FOUND', `there is no event type named ${name}`)
}

function lineOf(
  { principal, traceId }: Asking,
  action: string,
  name: string,
  details: Readonly<Record<string, unknown>> = {},
): AuditLine {
  const { tenantId, actor } = principal
  return { tenantId, actor, action, resource: `event-type:${name}`, outcome: 'done', traceId, details }
}
