// Endpoints as a service: who may be told of what. Every change is checked as its making was, and is seen by publishers at their next
// statement and by senders within a second.
// Invariants:
//   WE4. Lanes and order of an endpoint don't change while something is undone for it: rows say which lane they are in.
//   WE5. To pause, park or delete loses nothing: what was meant for the endpoint stays, or becomes dead letters that can be redriven.

import { type Ctx, createId, type Env, RipstopError } from '@ripstop/kernel'
import { undoneCondition } from '#delivery'
import type { Egress } from '#platform/egress'
import type { Sealer } from '#platform/sealing'
import { type Asking, badField, lineOf, noEndpoint } from './asking.ts'
import { type CustomHeaders, checkHeaders } from './custom-headers.ts'
import type { Db } from './db.ts'
import type { Endpoint, EndpointSettings } from './endpoint.ts'
import { compileFilter } from './filter.ts'
import { ENDPOINTS_PER_TENANT_MAX } from './limits.ts'
import { createNewSecret } from './new-secret.ts'
import { ownEvent } from './own-events.ts'
import { type Algorithm, formatSecret, parseSecret, type SecretMaterial } from './secret.ts'
import { headersPurpose } from './signers.ts'
import {
  changeEndpoint,
  type EndpointPage,
  insertEndpoint,
  listEndpoints,
  readEndpoint,
  type SettingsPatch,
  toAssignments,
} from './store.ts'

export interface EndpointsDeps {
  readonly env: Env
  readonly link: Db
  readonly egress: Pick<Egress, 'checkUrl'>
  readonly sealer: Sealer
}

/** What may be left out has its default. */
export type EndpointWish = { readonly [Name in keyof EndpointSettings]?: EndpointSettings[Name] | undefined } & {
  readonly url: string
  readonly eventTypes: readonly string[]
  readonly headers?: CustomHeaders | undefined
  readonly algorithm?: Algorithm | undefined
  /** A secret that its owner brings along. */
  readonly secret?: string | undefined
  readonly isHook?: boolean
}

export interface CreatedEndpoint {
  readonly endpoint: Endpoint
  /** As its receiver needs it; undefined if the creation was replayed: it is shown once. */
  readonly secret: string | undefined
}

export interface EndpointPatch extends Omit<SettingsPatch, 'sealedHeaders'> {
  readonly headers?: CustomHeaders | undefined
}

export const ENDPOINT_DEFAULTS = {
  description: '',
  owner: undefined,
  filter: undefined,
  ordering: 'none',
  lanes: 1,
  concurrency: 16,
  ratePerSecond: undefined,
  deadlineMs: 15_000,
  retryScheduleMs: [5_000, 300_000, 1_800_000, 7_200_000, 18_000_000, 36_000_000, 86_400_000],
  backlogMax: 2_000_000,
  rotatesItself: undefined,
} as const satisfies Omit<EndpointSettings, 'url' | 'eventTypes'>

/** Throws EGRESS_REFUSED, FILTER_INVALID, BAD_REQUEST, and CONFLICT where the tenant has as many as it may. */
export async function createEndpoint(
  deps: EndpointsDeps,
  ctx: Ctx,
  asking: Asking,
  wish: EndpointWish,
): Promise<CreatedEndpoint & { readonly replayed: boolean }> {
  const { env, link, egress, sealer } = deps
  const { headers, algorithm, secret: brought, isHook = false, ...settings } = wish
  const url = egress.checkUrl(wish.url).href
  if (wish.filter !== undefined) compileFilter(wish.filter)
  const material = broughtSecret(brought, algorithm)
  const wallMs = Math.floor(env.clock.wallMs())
  const endpointId = createId(wallMs)
  const { tenantId, actor } = asking.principal
  const sealedHeaders = sealHeaders(sealer, { tenantId, endpointId }, headers)
  const given = Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined))
  const endpoint: Endpoint = {
    ...NEW_STATE,
    ...ENDPOINT_DEFAULTS,
    ...given,
    owner: Object.hasOwn(wish, 'owner') ? wish.owner : actor,
    url,
    eventTypes: [...new Set(wish.eventTypes)],
    endpointId,
    tenantId,
    sealedHeaders,
    isHook,
    stateWallMs: wallMs,
    createdWallMs: wallMs,
  }
  const made = createNewSecret(sealer, { tenantId, endpointId, wallMs, algorithm: algorithm ?? 'v1', material })
  const details = { url: endpoint.url, event_types: endpoint.eventTypes }
  const audit = lineOf(asking, 'endpoint.create', `endpoint:${endpointId}`, details)
  const { idempotency } = asking
  const done = await insertEndpoint(link, ctx, { endpoint, secret: made.secret, audit, idempotency })
  if (done === undefined) throw tooMany()
  if (!done.replayed) return { endpoint, secret: formatSecret(made.material), replayed: false }
  const before = await readEndpoint(link, ctx, tenantId, done.response)
  if (before === undefined) throw noEndpoint()
  return { endpoint: before, secret: undefined, replayed: true }
}

const NEW_STATE = {
  state: 'active',
  stateReason: undefined,
  stateActor: undefined,
  probeWallMs: undefined,
  probes: 0,
  isProbing: false,
  backlogFull: false,
  deletedWallMs: undefined,
  health: {
    lastAttemptWallMs: undefined,
    lastSuccessWallMs: undefined,
    failingSinceWallMs: undefined,
    missingInARow: 0,
  },
} as const

function broughtSecret(text: string | undefined, algorithm: Algorithm | undefined): SecretMaterial | undefined {
  if (text === undefined) return undefined
  const material = parseSecret(text)
  if (material === undefined)
    throw badField('body.secret', 'must be whsec_ and 24 to 64 bytes in base64, or a whsk_ Ed25519 key')
  if (algorithm !== undefined && algorithm !== material.algorithm)
    throw badField('body.secret', `is for ${material.algorithm}`)
  return material
}

function tooMany(): RipstopError {
  const most = ENDPOINTS_PER_TENANT_MAX
  return new RipstopError('CONFLICT', `a tenant has at most ${most} endpoints; delete some first`, {
    details: { endpoints_max: most },
  })
}

function sealHeaders(
  sealer: Sealer,
  { tenantId, endpointId }: { readonly tenantId: string; readonly endpointId: string },
  headers: CustomHeaders | undefined,
): Buffer | undefined {
  if (headers === undefined || Object.keys(headers).length === 0) return undefined
  const plain = Buffer.from(JSON.stringify(checkHeaders(headers)))
  return sealer.seal(plain, { tenantId, purpose: headersPurpose(endpointId) })
}

/** The endpoint that is there. Throws NOT_FOUND. */
export async function findEndpoint({ link }: EndpointsDeps, ctx: Ctx, tenantId: string, endpointId: string) {
  const endpoint = await readEndpoint(link, ctx, tenantId, endpointId)
  if (endpoint === undefined || endpoint.deletedWallMs !== undefined) throw noEndpoint()
  return endpoint
}

export function listAll({ link }: EndpointsDeps, ctx: Ctx, tenantId: string, page: EndpointPage) {
  return listEndpoints(link, ctx, tenantId, page)
}

/** Throws as `createEndpoint`, and CONFLICT for lanes or an order that can't change now. */
export async function updateEndpoint(
  deps: EndpointsDeps,
  ctx: Ctx,
  asking: Asking,
  endpointId: string,
  patch: EndpointPatch,
): Promise<Endpoint> {
  const { link, egress, sealer } = deps
  const { tenantId } = asking.principal
  const { headers, ...settings } = patch
  const checked: { -readonly [Name in keyof SettingsPatch]: SettingsPatch[Name] } = { ...settings }
  if (settings.url !== undefined) checked.url = egress.checkUrl(settings.url).href
  if (settings.filter !== undefined) compileFilter(settings.filter)
  if (settings.eventTypes !== undefined) checked.eventTypes = [...new Set(settings.eventTypes)]
  if (Object.hasOwn(patch, 'headers')) checked.sealedHeaders = sealHeaders(sealer, { tenantId, endpointId }, headers)
  const { set, values } = toAssignments(checked)
  if (set.length === 0) return findEndpoint(deps, ctx, tenantId, endpointId)
  const audit = lineOf(asking, 'endpoint.update', `endpoint:${endpointId}`, { changed: Object.keys(patch) })
  const only = unlessUndone(checked)
  const done = await changeEndpoint(link, ctx, { tenantId, endpointId, set, values, only, audit })
  const endpoint = await findEndpoint(deps, ctx, tenantId, endpointId)
  if (done !== undefined) return endpoint
  const what = checked.lanes !== undefined && checked.lanes !== endpoint.lanes ? 'lanes' : 'ordering'
  throw new RipstopError('CONFLICT', `${what} can't change while deliveries of the endpoint are undone`, {
    details: { setting: what, endpoint_id: endpointId },
  })
}

/** What is published in the moment of the change may still go by what was before; it is order that was not promised. */
function unlessUndone({ lanes, ordering }: SettingsPatch): string {
  const changes: string[] = []
  if (lanes !== undefined) changes.push(`e.lanes <> ${Math.trunc(lanes)}`)
  if (ordering !== undefined) changes.push(`e.ordering <> '${ordering === 'key' ? 'key' : 'none'}'`)
  return changes.length === 0 ? 'true' : `not (${changes.join(' or ')}) or not ${undoneCondition('e.endpoint_id')}`
}

const REASON_BY_HAND = 'paused by hand'
const UNPROBED = 'probe_at = null, probes = 0, is_probing = false'

/** What is published for it waits. Harmless if it is paused. */
export async function pauseEndpoint(
  deps: EndpointsDeps,
  ctx: Ctx,
  asking: Asking,
  endpointId: string,
  reason: string = REASON_BY_HAND,
): Promise<Endpoint> {
  const { tenantId, actor } = asking.principal
  await changeEndpoint(deps.link, ctx, {
    tenantId,
    endpointId,
    set: [`state = 'paused', state_at = now(), state_reason = $1::text, state_actor = $2::text, ${UNPROBED}`],
    values: [reason, actor],
    only: `e.state <> 'paused' or e.probe_at is not null`,
    audit: lineOf(asking, 'endpoint.pause', `endpoint:${endpointId}`, { reason }),
    idempotency: asking.idempotency,
    event: ownEvent('ripstop.endpoint.paused', endpointId, { reason, by: actor }),
  })
  return findEndpoint(deps, ctx, tenantId, endpointId)
}

/** Sends what waited. Harmless if it is active. */
export async function resumeEndpoint(
  deps: EndpointsDeps,
  ctx: Ctx,
  asking: Asking,
  endpointId: string,
): Promise<Endpoint> {
  const { tenantId, actor } = asking.principal
  await changeEndpoint(deps.link, ctx, {
    tenantId,
    endpointId,
    set: [
      `state = 'active', state_at = now(), state_reason = null, state_actor = $1::text, failing_since = null, missing_in_a_row = 0`,
      UNPROBED,
    ],
    values: [actor],
    only: `e.state <> 'active'`,
    audit: lineOf(asking, 'endpoint.resume', `endpoint:${endpointId}`),
    idempotency: asking.idempotency,
    event: ownEvent('ripstop.endpoint.resumed', endpointId, { by: actor }),
  })
  return findEndpoint(deps, ctx, tenantId, endpointId)
}

/** For good; what was meant for it becomes dead letters. Gives it as it was; undefined: it was not there. */
export async function deleteEndpoint(
  deps: EndpointsDeps,
  ctx: Ctx,
  asking: Asking,
  endpointId: string,
): Promise<Endpoint | undefined> {
  const { tenantId } = asking.principal
  await changeEndpoint(deps.link, ctx, {
    tenantId,
    endpointId,
    set: ['deleted_at = now()'],
    values: [],
    audit: lineOf(asking, 'endpoint.delete', `endpoint:${endpointId}`),
  })
  return readEndpoint(deps.link, ctx, tenantId, endpointId)
}
