// The health checker: a loop of the work role that looks after endpoints and their secrets. Any number of processes may run it: every
// change names the state that it changes from, so what one has done another finds done.
// Invariants:
//   WK10. An endpoint that was parked by the mesh is tried again after 1 h, 6 h, 24 h, and then every day, for ever.
//   WS7. A secret is warned of once, at 80 % of its greatest age, in the audit log and by an event.

import { background, type Ctx, isRipstopError, type Metrics } from '@ripstop/kernel'
import { pause } from '#platform/pause'
import type { Log } from '#platform/telemetry'
import { HEALTH_ACTOR, ownLine } from './asking.ts'
import { countEndpoints, findFailing, findGone, findToProbe } from './health-store.ts'
import { OVERLAP_MS_MAX } from './limits.ts'
import { createEndpointMeters } from './meters.ts'
import { ownEvent } from './own-events.ts'
import { findAged, hasSecret, warnedPart } from './secret-store.ts'
import { rotateSecret, type SecretsDeps } from './secrets.ts'
import type { WebhookSettings } from './settings.ts'
import { changeEndpoint } from './store.ts'
import { failingChange, probeChange } from './transitions.ts'

/** At a turn of each kind; what is more waits for the next. */
const BATCH = 100
const TURN_MS = 30_000
const COUNT_EVERY_MS = 60_000

export interface CheckerDeps extends SecretsDeps {
  readonly log: Log
  readonly settings: WebhookSettings
}

export function startChecker(deps: CheckerDeps & { readonly metrics: Metrics }): AsyncDisposable {
  const root = background(deps.env)
  const running = runForEver(deps, root, createCounting(deps))
  return {
    [Symbol.asyncDispose]: async () => {
      root.cancel()
      await running
    },
  }
}

async function runForEver(deps: CheckerDeps, root: Ctx, count: (ctx: Ctx) => Promise<void>): Promise<void> {
  const { env, log, settings } = deps
  while (root.reason === undefined) {
    try {
      await pause(root, settings.checkEveryMs * (0.5 + env.random()))
      using ctx = root.within(TURN_MS)
      await count(ctx)
      await checkOnce(deps, ctx)
    } catch (error) {
      if (root.reason !== undefined) return
      const code = isRipstopError(error) ? error.code : 'INTERNAL'
      log.warn({ event: 'webhook.check_failed', code, why: error instanceof Error ? error.message : String(error) })
    }
  }
}

/** Counts what is shown in the metrics, at most every COUNT_EVERY_MS. Throws what the link throws. */
function createCounting({ env, link, metrics, settings }: Parameters<typeof startChecker>[0]) {
  const tell = createEndpointMeters(metrics)
  let nextMs = Number.NEGATIVE_INFINITY
  return async (ctx: Ctx): Promise<void> => {
    if (env.clock.monoMs() < nextMs) return
    const counts = await countEndpoints(link, ctx, settings.secretMaxAgeMs).catch((error: unknown) => {
      tell(undefined) // what was told last is older by now than anybody would think
      throw error
    })
    tell(counts)
    nextMs = env.clock.monoMs() + COUNT_EVERY_MS
  }
}

/** One turn. Throws what the link throws. */
export async function checkOnce(deps: CheckerDeps, ctx: Ctx): Promise<void> {
  const { env, link, settings } = deps
  for (const endpoint of await findFailing(link, ctx, settings.pauseAfterFailingMs, BATCH)) {
    await changeEndpoint(link, ctx, failingChange(endpoint, env.clock.wallMs(), env.random))
  }
  for (const endpoint of await findToProbe(link, ctx, BATCH)) await changeEndpoint(link, ctx, probeChange(endpoint))
  await deleteGone(deps, ctx)
  await warnOfSecrets(deps, ctx)
  await rotateSecrets(deps, ctx)
}

/** Only where the mesh is set so; the event of its going said when. */
async function deleteGone({ link, settings: { deleteGoneAfterMs } }: CheckerDeps, ctx: Ctx): Promise<void> {
  if (deleteGoneAfterMs === undefined) return
  for (const { tenantId, endpointId } of await findGone(link, ctx, deleteGoneAfterMs, BATCH)) {
    await changeEndpoint(link, ctx, {
      tenantId,
      endpointId,
      set: ['deleted_at = now()'],
      values: [],
      only: `e.state = 'gone' and not e.is_probing`,
      audit: ownLine(tenantId, 'endpoint.delete', `endpoint:${endpointId}`, { reason: 'it was gone for too long' }),
      event: ownEvent('ripstop.endpoint.deleted', endpointId, { by: HEALTH_ACTOR }),
    })
  }
}

async function warnOfSecrets({ link, settings }: CheckerDeps, ctx: Ctx): Promise<void> {
  const olderThanMs = settings.secretMaxAgeMs * settings.secretWarnAt
  for (const secret of await findAged(link, ctx, { tenantId: undefined, olderThanMs, isWarned: false, limit: BATCH })) {
    const { tenantId, endpointId, secretId, createdWallMs } = secret
    const data = { secret_id: secretId, too_old_at: new Date(createdWallMs + settings.secretMaxAgeMs).toISOString() }
    await changeEndpoint(link, ctx, {
      tenantId,
      endpointId,
      set: [],
      values: [],
      only: hasSecret(secretId, 's.signs_until is null and not s.is_warned'),
      audit: ownLine(tenantId, 'secret.aging', `endpoint:${endpointId}`, data),
      event: ownEvent('ripstop.webhook.secret_aging', endpointId, data),
      also: [warnedPart(secretId, 'effect')],
    })
  }
}

async function rotateSecrets(deps: CheckerDeps, ctx: Ctx): Promise<void> {
  const { link, log, settings } = deps
  const question = { tenantId: undefined, olderThanMs: settings.secretMaxAgeMs, isWarned: undefined, limit: BATCH }
  for (const secret of await findAged(link, ctx, { ...question, rotatesItself: settings.rotatesKeys })) {
    const { tenantId, endpointId } = secret
    const principal = { tenantId, actor: HEALTH_ACTOR, keyId: undefined, scopes: [] }
    const event = ownEvent('ripstop.webhook.secret_rotated', endpointId, {
      algorithm: secret.algorithm,
      overlap_ms: OVERLAP_MS_MAX,
    })
    try {
      await rotateSecret(deps, ctx, { principal }, endpointId, {
        overlapMs: OVERLAP_MS_MAX,
        bySelf: { event, instead: secret.secretId },
      })
    } catch (error) {
      if (!isRipstopError(error) || (error.code !== 'CONFLICT' && error.code !== 'NOT_FOUND')) throw error
      log.warn({ event: 'webhook.rotation_refused', endpointId, code: error.code }) // others must not wait for it
    }
  }
}
