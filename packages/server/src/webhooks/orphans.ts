// Orphans: endpoints that nobody may miss, with what speaks for it and what to do. The report changes nothing; only what is `gone` for
// `deleteGoneAfterMs`, where the mesh is set so, is deleted by itself, as the event of its going said beforehand.

import type { Ctx } from '@ripstop/kernel'
import type { ORPHAN_REASONS } from '@ripstop/protocol'
import type { Db } from './db.ts'
import type { Endpoint } from './endpoint.ts'
import { findSuspects } from './health-store.ts'

const DAY_MS = 86_400_000

export interface OrphanReason {
  readonly reason: (typeof ORPHAN_REASONS)[number]
  readonly explanation: string
  readonly sinceWallMs: number | undefined
}

export interface Orphan {
  readonly endpoint: Endpoint
  readonly reasons: readonly OrphanReason[]
  readonly whatToDo: string
  readonly deletesWallMs: number | undefined
}

export interface OrphanDeps {
  readonly link: Db
  /** Those of the keys that still work. */
  readonly liveKeys: (ctx: Ctx, tenantId: string, keyIds: readonly string[]) => Promise<ReadonlySet<string>>
  readonly deleteGoneAfterMs: number | undefined
}

export interface OrphanQuestion {
  readonly tenantId: string
  readonly days: number
  readonly after: string | undefined
  readonly limit: number
  readonly nowWallMs: number
}

/** Looks at `limit` endpoints, the oldest first: `last` is where the next page begins, if there may be one. */
export async function findOrphans(
  { link, liveKeys, deleteGoneAfterMs }: OrphanDeps,
  ctx: Ctx,
  question: OrphanQuestion,
): Promise<{ readonly orphans: readonly Orphan[]; readonly last: string | undefined }> {
  const { tenantId, limit, days, nowWallMs } = question
  const endpoints = await findSuspects(link, ctx, question)
  const keys = endpoints.flatMap(({ owner }) => keyOf(owner) ?? [])
  const live = keys.length === 0 ? new Set<string>() : await liveKeys(ctx, tenantId, keys)
  const orphans = endpoints.flatMap((endpoint): Orphan[] => {
    const reasons = reasonsOf(endpoint, live, days, nowWallMs)
    if (reasons.length === 0) return []
    const deletes = endpoint.state === 'gone' && deleteGoneAfterMs !== undefined
    const deletesWallMs = deletes ? endpoint.stateWallMs + deleteGoneAfterMs : undefined
    return [{ endpoint, reasons, whatToDo: adviceOf(reasons), deletesWallMs }]
  })
  return { orphans, last: endpoints.length === limit ? endpoints.at(-1)?.endpointId : undefined }
}

export function reasonsOf(
  endpoint: Endpoint,
  liveKeys: ReadonlySet<string>,
  days: number,
  nowWallMs: number,
): readonly OrphanReason[] {
  const { state, stateReason, stateWallMs, owner, createdWallMs, health } = endpoint
  const { lastAttemptWallMs, lastSuccessWallMs } = health
  const reasons: OrphanReason[] = []
  const say = (reason: OrphanReason['reason'], explanation: string, sinceWallMs?: number): void =>
    void reasons.push({ reason, explanation, sinceWallMs })
  if (state === 'gone') say('gone', `nobody lives there: ${stateReason ?? 'it said so'}`, stateWallMs)
  const longAgo = nowWallMs - days * DAY_MS
  if (createdWallMs <= longAgo) {
    if (lastAttemptWallMs === undefined) {
      if (state === 'active')
        say('never_matched', 'nothing was ever sent to it: no event fits its types and filter', createdWallMs)
    } else if ((lastSuccessWallMs ?? createdWallMs) <= longAgo) {
      say('no_success', `no delivery succeeded in ${days} days`, lastSuccessWallMs ?? createdWallMs)
    }
  }
  const keyId = keyOf(owner)
  if (owner === undefined) say('owner_missing', 'nobody said whose it is')
  else if (keyId !== undefined && !liveKeys.has(keyId)) say('owner_deleted', 'the key that owns it no longer works')
  return reasons
}

function adviceOf(reasons: readonly OrphanReason[]): string {
  const known = new Set(reasons.map(({ reason }) => reason))
  if (known.has('gone')) return 'Delete it, or correct its url and resume it: what was meant for it is kept.'
  if (known.has('no_success'))
    return 'Ask its owner; GET /v1/deliveries?endpoint_id= shows what is answered. Pause or delete it.'
  if (known.has('never_matched'))
    return 'Compare its event_types and filter with the events that are published, or delete it.'
  return 'Find who wants it and PATCH its owner, or delete it.'
}

const KEY = /^key:([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})$/

function keyOf(owner: string | undefined): string | undefined {
  return owner === undefined ? undefined : KEY.exec(owner)?.[1]
}
