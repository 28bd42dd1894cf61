// Secrets as a service: rotation with overlap, and how old they are.
// A secret that is too old is only warned of, unless it rotates by itself; and that must not break the receiver. So by itself rotates only
// what the receiver can learn without a person: a v1a key, whose public half is readable at GET /v1/endpoints/{id}/secrets, where
// the settings of the mesh say so; and whatever an endpoint has opted in to, a v1 secret too: its owner hears it by the event
// ripstop.webhook.secret_rotated and reads the new one, once, at POST …/secrets/{id}/reveal while the old one still signs (the
// longest overlap there is).
// Invariants:
//   WS5. A rotation leaves no moment without a secret that the receiver knows: the old one signs beside the new one until the overlap ends.
//   WS6. A secret is never rotated by itself where its receiver could not learn the new one.

import { type Ctx, type Env, RipstopError } from '@ripstop/kernel'
import type { Sealer } from '#platform/sealing'
import { type Asking, badField, lineOf, noEndpoint } from './asking.ts'
import type { Db } from './db.ts'
import { OVERLAP_MS_MAX, SIGNING_SECRETS_MAX } from './limits.ts'
import { createNewSecret } from './new-secret.ts'
import { type Algorithm, formatSecret, parseSecret, type SecretMaterial } from './secret.ts'
import {
  endSecretsPart,
  findAged,
  HAS_ROOM_FOR_SECRET,
  hasSecret,
  listSecrets,
  revokeSecretPart,
  type SecretInfo,
  secretPart,
  takeUnread,
} from './secret-store.ts'
import type { WebhookSettings } from './settings.ts'
import { secretPurpose } from './signers.ts'
import { changeEndpoint, readEndpoint } from './store.ts'

export interface SecretsDeps {
  readonly env: Env
  readonly link: Db
  readonly sealer: Sealer
  readonly settings: Pick<WebhookSettings, 'secretOverlapMs'>
}

export type SecretAges = Pick<WebhookSettings, 'secretMaxAgeMs' | 'secretWarnAt'>

export interface Rotation {
  /** Default: as the present one. */
  readonly algorithm?: Algorithm | undefined
  readonly secret?: string | undefined
  readonly overlapMs?: number | undefined
  /** By the mesh itself: nobody is shown it now, and it takes the place of this secret or of none. */
  readonly bySelf?: { readonly event: Readonly<Record<string, unknown>>; readonly instead: string }
}

export interface Rotated {
  readonly secretId: string
  /** Undefined: it was shown before, or is shown to nobody now. */
  readonly secret: string | undefined
  readonly replayed: boolean
}

/** Throws NOT_FOUND, BAD_REQUEST for a secret that is none, CONFLICT where as many sign as may. */
export async function rotateSecret(
  { env, link, sealer, settings }: SecretsDeps,
  ctx: Ctx,
  asking: Asking,
  endpointId: string,
  rotation: Rotation,
): Promise<Rotated> {
  const { tenantId } = asking.principal
  const { secret: brought, overlapMs = Math.min(settings.secretOverlapMs, OVERLAP_MS_MAX), bySelf } = rotation
  const wallMs = Math.floor(env.clock.wallMs())
  const material = brought === undefined ? undefined : parse(brought, rotation.algorithm)
  const [present] = await listSecrets(link, ctx, tenantId, [endpointId])
  const algorithm = rotation.algorithm ?? material?.algorithm ?? present?.algorithm ?? 'v1'
  const isUnread = bySelf !== undefined && algorithm === 'v1'
  const made = createNewSecret(sealer, { tenantId, endpointId, wallMs, algorithm, material, isUnread })
  const { secretId } = made.secret
  const details = { secret_id: secretId, algorithm, overlap_ms: overlapMs }
  const done = await changeEndpoint(link, ctx, {
    tenantId,
    endpointId,
    set: [],
    values: [],
    only: bySelf === undefined ? HAS_ROOM_FOR_SECRET : `${HAS_ROOM_FOR_SECRET} and ${isPresent(bySelf.instead)}`,
    response: secretId,
    audit: lineOf(asking, 'secret.rotate', `endpoint:${endpointId}`, details),
    idempotency: asking.idempotency,
    also: [endSecretsPart(endpointId, overlapMs, 'effect'), secretPart(made.secret, 'effect')],
    ...(bySelf === undefined ? {} : { event: bySelf.event }),
  })
  if (done === undefined) return refuse(link, ctx, tenantId, endpointId, tooManySecrets)
  const isShown = !done.replayed && bySelf === undefined
  return { secretId: done.response, secret: isShown ? formatSecret(made.material) : undefined, replayed: done.replayed }
}

const isPresent = (secretId: string): string => hasSecret(secretId, 's.signs_until is null')

function parse(text: string, algorithm: Algorithm | undefined): SecretMaterial {
  const material = parseSecret(text)
  if (material === undefined)
    throw badField('body.secret', 'must be whsec_ and 24 to 64 bytes in base64, or a whsk_ Ed25519 key')
  if (algorithm !== undefined && algorithm !== material.algorithm)
    throw badField('body.secret', `is for ${material.algorithm}`)
  return material
}

function tooManySecrets(): RipstopError {
  return new RipstopError('CONFLICT', `${SIGNING_SECRETS_MAX} secrets of it sign at once; let one end, or revoke it`, {
    details: { signing_max: SIGNING_SECRETS_MAX },
  })
}

/** Says why a change of a live endpoint found nothing to do. */
async function refuse(
  link: Db,
  ctx: Ctx,
  tenantId: string,
  endpointId: string,
  why: () => RipstopError,
): Promise<never> {
  const endpoint = await readEndpoint(link, ctx, tenantId, endpointId)
  throw endpoint === undefined || endpoint.deletedWallMs !== undefined ? noEndpoint() : why()
}

/** Metadata and public keys of those that sign, the present one first. Throws NOT_FOUND. */
export async function readSecrets({ link }: SecretsDeps, ctx: Ctx, tenantId: string, endpointId: string) {
  const endpoint = await readEndpoint(link, ctx, tenantId, endpointId)
  if (endpoint === undefined || endpoint.deletedWallMs !== undefined) throw noEndpoint()
  return listSecrets(link, ctx, tenantId, [endpointId])
}

/** Ends the overlap of an old secret at once: it may be known to somebody else. Throws NOT_FOUND, CONFLICT for the present one. */
export async function revokeSecret(
  { link }: SecretsDeps,
  ctx: Ctx,
  asking: Asking,
  endpointId: string,
  secretId: string,
): Promise<void> {
  const { tenantId } = asking.principal
  const done = await changeEndpoint(link, ctx, {
    tenantId,
    endpointId,
    set: [],
    values: [],
    only: hasSecret(secretId, 's.signs_until > now()'),
    audit: lineOf(asking, 'secret.revoke', `endpoint:${endpointId}`, { secret_id: secretId }),
    also: [revokeSecretPart(secretId, 'effect')],
  })
  if (done !== undefined) return
  const secrets = await listSecrets(link, ctx, tenantId, [endpointId])
  if (secrets.some((secret) => secret.secretId === secretId))
    throw new RipstopError('CONFLICT', 'it is the present secret: rotate first, then revoke the old one')
  throw new RipstopError('NOT_FOUND', 'there is no such secret that signs')
}

/** A secret that rotated by itself, to the first who asks. Throws NOT_FOUND for every other. */
export async function revealSecret(
  { link, sealer }: SecretsDeps,
  ctx: Ctx,
  tenantId: string,
  endpointId: string,
  secretId: string,
): Promise<string> {
  const taken = await takeUnread(link, ctx, tenantId, endpointId, secretId)
  if (taken === undefined) throw new RipstopError('NOT_FOUND', 'there is no such secret that was never shown')
  const { algorithm, sealed } = taken
  const bytes = sealer.open(sealed, { tenantId, purpose: secretPurpose(secretId) })
  return formatSecret({ algorithm, bytes })
}

const STALE_MAX = 1_000

/** Present secrets of the tenant that are old enough to be warned of, the oldest first. */
export function findStale(
  { link }: SecretsDeps,
  ctx: Ctx,
  tenantId: string,
  { secretMaxAgeMs, secretWarnAt }: SecretAges,
): Promise<readonly SecretInfo[]> {
  return findAged(link, ctx, {
    tenantId,
    olderThanMs: secretMaxAgeMs * secretWarnAt,
    isWarned: undefined,
    limit: STALE_MAX,
  })
}
