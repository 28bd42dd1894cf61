// Between endpoints and their wire form.

import type {
  CreateEndpointWire,
  EndpointWire,
  OrphanWire,
  StaleSecretWire,
  UpdateEndpointWire,
  WebhookSecretWire,
} from '@ripstop/protocol'
import type { LiveEndpoint } from './cache.ts'
import type { Endpoint } from './endpoint.ts'
import type { EndpointPatch, EndpointWish } from './endpoints.ts'
import type { Orphan } from './orphans.ts'
import { formatPublicKey } from './secret.ts'
import type { SecretInfo } from './secret-store.ts'
import type { WebhookSettings } from './settings.ts'

export function toTime(wallMs: number): string
export function toTime(wallMs: number | undefined): string | null
export function toTime(wallMs: number | undefined): string | null {
  return wallMs === undefined ? null : new Date(wallMs).toISOString()
}

/** `live`: as this process knows it, for what it alone has counted. */
export function toEndpointWire(endpoint: Endpoint, headerNames: readonly string[], live?: LiveEndpoint): EndpointWire {
  const { health } = endpoint
  return {
    endpoint_id: endpoint.endpointId,
    url: endpoint.url,
    description: endpoint.description,
    owner: endpoint.owner ?? null,
    event_types: [...endpoint.eventTypes],
    filter: endpoint.filter ?? null,
    ordering: endpoint.ordering,
    lanes: endpoint.lanes,
    concurrency: endpoint.concurrency,
    rate_per_second: endpoint.ratePerSecond ?? null,
    deadline_ms: endpoint.deadlineMs,
    retry_schedule_ms: [...endpoint.retryScheduleMs],
    backlog_max: endpoint.backlogMax,
    rotates_itself: endpoint.rotatesItself ?? null,
    header_names: [...headerNames],
    state: endpoint.state,
    state_reason: endpoint.stateReason ?? null,
    state_actor: endpoint.stateActor ?? null,
    state_at: toTime(endpoint.stateWallMs),
    next_probe_at: toTime(endpoint.probeWallMs),
    is_probing: endpoint.isProbing,
    is_hook: endpoint.isHook,
    backlog_full: endpoint.backlogFull,
    health: {
      last_attempt_at: toTime(health.lastAttemptWallMs),
      last_success_at: toTime(health.lastSuccessWallMs),
      failing_since: toTime(health.failingSinceWallMs),
      missing_in_a_row: health.missingInARow,
    },
    filter_errors: { count: live?.filterErrors ?? 0, last: live?.lastFilterError ?? null },
    created_at: toTime(endpoint.createdWallMs),
  }
}

export function toWish(body: CreateEndpointWire): EndpointWish {
  const { url, event_types: eventTypes, headers, algorithm, secret } = body
  return { ...toSettings(body), url, eventTypes, headers, algorithm, secret }
}

export function toPatch(body: UpdateEndpointWire): EndpointPatch {
  const headers = Object.hasOwn(body, 'headers') ? { headers: body.headers ?? undefined } : {}
  return { ...toSettings(body), ...headers }
}

const SETTINGS = {
  url: 'url',
  description: 'description',
  owner: 'owner',
  event_types: 'eventTypes',
  filter: 'filter',
  ordering: 'ordering',
  lanes: 'lanes',
  concurrency: 'concurrency',
  rate_per_second: 'ratePerSecond',
  deadline_ms: 'deadlineMs',
  retry_schedule_ms: 'retryScheduleMs',
  backlog_max: 'backlogMax',
  rotates_itself: 'rotatesItself',
} as const satisfies Partial<Record<keyof UpdateEndpointWire, keyof EndpointPatch>>

/** What is there, with undefined for null. */
function toSettings(body: UpdateEndpointWire): EndpointPatch {
  const names = Object.keys(SETTINGS) as (keyof typeof SETTINGS)[]
  return Object.fromEntries(
    names.filter((name) => body[name] !== undefined).map((name) => [SETTINGS[name], body[name] ?? undefined]),
  )
}

export function toSecretWire(secret: SecretInfo, { secretMaxAgeMs }: WebhookSettings): WebhookSecretWire {
  const { secretId, endpointId, algorithm, publicKey, signsUntilWallMs, isUnread, createdWallMs } = secret
  return {
    secret_id: secretId,
    endpoint_id: endpointId,
    algorithm,
    public_key: publicKey === undefined ? null : formatPublicKey(publicKey),
    is_present: signsUntilWallMs === undefined,
    signs_until: toTime(signsUntilWallMs),
    is_unread: isUnread,
    created_at: toTime(createdWallMs),
    too_old_at: toTime(createdWallMs + secretMaxAgeMs),
  }
}

export function toStaleWire(secret: SecretInfo, settings: WebhookSettings, nowWallMs: number): StaleSecretWire {
  const isTooOld = secret.createdWallMs + settings.secretMaxAgeMs <= nowWallMs
  const rotatesItself = secret.rotatesItself ?? (secret.algorithm === 'v1a' && settings.rotatesKeys)
  return {
    ...toSecretWire(secret, settings),
    url: secret.url,
    is_too_old: isTooOld,
    rotates_itself: rotatesItself,
    what_to_do: rotatesItself
      ? 'Nothing: it is replaced by itself when it is too old. Read the new one at GET /v1/endpoints/{id}/secrets.'
      : 'POST /v1/endpoints/{id}/secrets, and give the new secret to the receiver before the overlap ends.',
  }
}

export function toOrphanWire({ endpoint, reasons, whatToDo, deletesWallMs }: Orphan): OrphanWire {
  return {
    endpoint_id: endpoint.endpointId,
    url: endpoint.url,
    owner: endpoint.owner ?? null,
    reasons: reasons.map(({ reason, explanation, sinceWallMs }) => ({
      reason,
      explanation,
      since: toTime(sinceWallMs),
    })),
    what_to_do: whatToDo,
    deleted_at: toTime(deletesWallMs),
  }
}
