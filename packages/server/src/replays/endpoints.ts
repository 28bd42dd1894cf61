import type { Ctx } from '@ripstop/kernel'
import { createMatch, currentPart, type Webhooks } from '#webhooks'
import type { ReplayEndpoint } from './worker.ts'

/** The endpoint as the mesh knows it; a step of a job relies on it, and on nothing having changed. */
export async function findReplayEndpoint(
  { cache }: Webhooks,
  _ctx: Ctx,
  tenantId: string,
  endpointId: string,
): Promise<ReplayEndpoint | undefined> {
  const tenant = await cache.refresh(tenantId)
  const live = tenant.byId.get(endpointId)
  if (live === undefined) return undefined
  const { lanes, ordering } = live.endpoint
  const match = createMatch(live.endpoint)
  return {
    lanes,
    isOrdered: ordering === 'key',
    accepts: (event) => match(event).is === 'match',
    current: currentPart(new Map([[tenantId, tenant.revision]])),
  }
}
