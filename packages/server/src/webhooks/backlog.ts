// Backlogs: the engine counts what is undone for an endpoint, and here it becomes the mark that publishers go by (WK4), with a
// distance between setting and taking back, so that it doesn't flutter.
// An endpoint with several lanes may be counted by several workers, each its own: any of them sets the mark, and it is taken back by the
// one that set it, or by one that comes new to it.
// Invariants:
//   WK11. The mark is set above the endpoint's bound and taken back below 80 % of it; in between it stays as it is.

import type { Ctx } from '@ripstop/kernel'
import { ownLine } from './asking.ts'
import type { EndpointCache } from './cache.ts'
import type { Db } from './db.ts'
import { changeEndpoint } from './store.ts'

const BACK_AT = 0.8

export class Backlogs {
  readonly #cache: EndpointCache
  readonly #link: Db
  /** What this process knows of: true if it set the mark. As many as there are targets. */
  readonly #mine = new Map<string, boolean>()

  constructor(deps: { readonly cache: EndpointCache; readonly link: Db }) {
    this.#cache = deps.cache
    this.#link = deps.link
  }

  /** Throws what the link throws; the engine tells again. */
  async told(ctx: Ctx, undone: ReadonlyMap<string, number>): Promise<void> {
    for (const [endpointId, count] of undone) {
      const endpoint = this.#cache.endpoint(endpointId)?.endpoint
      if (endpoint === undefined) continue
      const { backlogMax, backlogFull, lanes, tenantId } = endpoint
      const mayTakeBack = lanes === 1 || this.#mine.get(endpointId) !== false
      const becomes = count > backlogMax ? true : count < backlogMax * BACK_AT && mayTakeBack ? false : backlogFull
      if (becomes !== backlogFull) {
        await changeEndpoint(this.#link, ctx, {
          tenantId,
          endpointId,
          set: ['backlog_full = $1::boolean'],
          values: [becomes],
          only: becomes ? 'not e.backlog_full' : 'e.backlog_full',
          audit: ownLine(
            tenantId,
            becomes ? 'endpoint.backlog_full' : 'endpoint.backlog_ok',
            `endpoint:${endpointId}`,
            {
              undone: count,
            },
          ),
        })
        await this.#cache.refresh(tenantId)
      }
      if (count === 0) this.#mine.delete(endpointId)
      else this.#mine.set(endpointId, becomes && count > backlogMax * BACK_AT)
    }
  }
}
