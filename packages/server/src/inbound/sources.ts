// The sources of a tenant: made, listed, given other secrets, deleted. To change a secret without a gap both are given until the provider
// signs with the new one alone.
// Invariants:
//   IB6. A secret is kept sealed and answered to nobody; what other tenants have is not there.

import { type Ctx, createId, type Env, type Link, RipstopError } from '@ripstop/kernel'
import type { PostgresPool } from '@ripstop/kernel/postgres'
import type { AuditLine } from '#access'
import type { IdempotencyKey, Principal } from '#platform/http'
import { type Done, violatedConstraint } from '#platform/postgres'
import type { Sealer } from '#platform/sealing'
import { RULES, type Scheme } from './scheme.ts'
import { purposeOf, type Source } from './source.ts'
import { deleteSource, findSource, insertSource, listSources, type Page, replaceSecrets, SOURCES_MAX } from './store.ts'

export interface Asking {
  readonly principal: Principal
  readonly idempotency: IdempotencyKey | undefined
  readonly traceId: string
}

export interface SourceWish {
  readonly name: string
  readonly scheme: Scheme
  readonly secrets: readonly string[]
}

export interface SourcesDeps {
  readonly env: Env
  readonly link: Link<PostgresPool>
  readonly sealer: Sealer
  /** A source is not what it was. */
  readonly changed: (sourceId: string) => void
}

export interface Sources {
  /** BAD_REQUEST for a secret that is none of the scheme, CONFLICT for a name that is taken or one source too many. */
  readonly create: (ctx: Ctx, asking: Asking, wish: SourceWish) => Promise<Done<Source>>
  readonly list: (ctx: Ctx, tenantId: string, page: Page) => Promise<readonly Source[]>
  /** These throw NOT_FOUND. */
  readonly read: (ctx: Ctx, tenantId: string, sourceId: string) => Promise<Source>
  readonly replaceSecrets: (ctx: Ctx, asking: Asking, sourceId: string, secrets: readonly string[]) => Promise<Source>
  readonly remove: (ctx: Ctx, asking: Asking, sourceId: string) => Promise<Source>
}

export function createSources({ env, link, sealer, changed }: SourcesDeps): Sources {
  const seal = (secrets: readonly string[], { tenantId, sourceId }: Pick<Source, 'tenantId' | 'sourceId'>): Buffer[] =>
    secrets.map((secret) => sealer.seal(Buffer.from(secret), { tenantId, purpose: purposeOf(sourceId) }))
  const read = async (ctx: Ctx, tenantId: string, sourceId: string): Promise<Source> =>
    (await findSource(link, ctx, tenantId, sourceId)) ?? notFound()
  return {
    read,
    create: async (ctx, asking, { name, scheme, secrets }) => {
      checkSecrets(scheme, secrets)
      const createdWallMs = Math.floor(env.clock.wallMs())
      const { tenantId } = asking.principal
      const sourceId = createId(createdWallMs)
      const source: Source = {
        sourceId,
        tenantId,
        name,
        scheme,
        secrets: secrets.length,
        createdWallMs,
        lastReceivedWallMs: undefined,
      }
      const line = lineOf(asking, 'inbound_source.create', sourceId, { name, scheme, secrets: secrets.length })
      try {
        const done = await insertSource(link, ctx, source, seal(secrets, source), line, asking.idempotency)
        return done ?? tooMany()
      } catch (error) {
        if (violatedConstraint(error) !== 'inbound_sources_tenant_id_name_key') throw error
        throw new RipstopError('CONFLICT', `an inbound source named ${name} exists already`, { cause: error })
      }
    },
    list: (ctx, tenantId, page) => listSources(link, ctx, tenantId, page),
    replaceSecrets: async (ctx, asking, sourceId, secrets) => {
      const { tenantId } = asking.principal
      const { scheme } = await read(ctx, tenantId, sourceId) // it never changes
      checkSecrets(scheme, secrets)
      const line = lineOf(asking, 'inbound_source.replace_secrets', sourceId, { secrets: secrets.length })
      const sealed = seal(secrets, { tenantId, sourceId })
      const replaced = await replaceSecrets(link, ctx, tenantId, sourceId, sealed, line)
      changed(sourceId)
      return replaced ?? notFound()
    },
    remove: async (ctx, asking, sourceId) => {
      const line = lineOf(asking, 'inbound_source.delete', sourceId)
      const removed = await deleteSource(link, ctx, asking.principal.tenantId, sourceId, line)
      changed(sourceId)
      return removed ?? notFound()
    },
  }
}

/** What each scheme takes, for people. */
const EXPECTED: Readonly<Record<Scheme, string>> = {
  standard: 'must be whsec_ and base64 of 24 to 64 bytes, or whpk_ and base64 of 32',
  stripe: 'must have 8 characters at least',
  github: 'must have 8 characters at least',
  shopify: 'must have 8 characters at least',
  slack: 'must have 8 characters at least',
}

function checkSecrets(scheme: Scheme, secrets: readonly string[]): void {
  const problems = secrets.flatMap((secret, index) =>
    RULES[scheme].parseSecret(secret) === undefined
      ? [{ field: `body.secrets[${index}]`, problem: EXPECTED[scheme] }]
      : [],
  )
  if (problems.length === 0) return
  const message = problems.map(({ field, problem }) => `${field} ${problem}`).join('; ')
  throw new RipstopError('BAD_REQUEST', message, { details: { problems } })
}

function lineOf(
  { principal, traceId }: Asking,
  action: string,
  sourceId: string,
  details: Readonly<Record<string, unknown>> = {},
): AuditLine {
  const { tenantId, actor } = principal
  return { tenantId, actor, action, resource: `inbound_source:${sourceId}`, outcome: 'done', traceId, details }
}

function notFound(): never {
  throw new RipstopError('NOT_FOUND', 'there is no such inbound source')
}

function tooMany(): never {
  throw new RipstopError('CONFLICT', `a tenant has at most ${SOURCES_MAX} inbound sources`)
}
