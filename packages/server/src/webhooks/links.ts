// Receivers in the graph of the mesh: a link for each tenant, up to LINKS_MAX of them, and one for all the others.
// What such a link proves is little, and it says no more: that of the receivers of this tenant that were tried, some answered since all
// of them were silent. Nobody's server is called to find that out; the proof is the deliveries themselves. So nothing passes
// through these links, and nothing is refused by them: whether one endpoint is tried is its own breaker's business, in the engine.
// Invariants:
//   WK12. A tenant's link is down only while every receiver that was tried since the last answer was silent; the first answer heals it.

import { type Adapter, type Link, type Mesh, RipstopError } from '@ripstop/kernel'
import type { Presence } from './answer.ts'

const LINKS_MAX = 64
const OTHERS = 'others'
/** So many in a row without any answer: then it is not one receiver that is away. */
const SILENT_MAX = 20

interface Pulse {
  silentInARow: number
  why: string
}

interface Group {
  readonly pulse: Pulse
  /** Undefined: nobody has said yet what the tenant is called. */
  link: Link<Pulse> | undefined
  isAsking: boolean
}

export interface WebhookLinksDeps {
  readonly mesh: Mesh
  /** Undefined: there is no such tenant. It is asked again while it rejects. */
  readonly nameOf: (tenantId: string) => Promise<string | undefined>
}

export interface WebhookLinks {
  /** An attempt of the tenant's was answered, or was not. */
  readonly heard: (tenantId: string, presence: Presence, why: string | undefined) => void
}

export function createWebhookLinks({ mesh, nameOf }: WebhookLinksDeps): WebhookLinks {
  const groups = new Map<string, Group>()
  const groupOf = (tenantId: string): Group => {
    const id = groups.has(tenantId) || groups.size < LINKS_MAX ? tenantId : OTHERS
    let group = groups.get(id)
    if (group === undefined) {
      group = { pulse: { silentInARow: 0, why: '' }, link: undefined, isAsking: false }
      groups.set(id, group)
    }
    if (group.link === undefined && !group.isAsking) void open(id, group)
    return group
  }
  const open = async (id: string, group: Group): Promise<void> => {
    group.isAsking = true
    try {
      const called = id === OTHERS ? OTHERS : await nameOf(id)
      const name = called === undefined || (called === OTHERS && id !== OTHERS) ? id : called
      const to = { name: 'receivers of webhooks', kind: 'service' } as const
      group.link = mesh.link(`webhooks.${name}`, createAdapter(name, group.pulse), GUARANTEES, to)
      mesh.use({ component: 'delivery', link: group.link.name, need: 'soft' })
      group.link.start()
    } catch {
      // The database is away, or all of this is ending: the next attempt asks again.
    } finally {
      group.isAsking = false
    }
  }
  return {
    heard: (tenantId, presence, why) => {
      const { link, pulse } = groupOf(tenantId)
      if (presence === 'there') {
        if (pulse.silentInARow >= SILENT_MAX) link?.wake()
        pulse.silentInARow = 0
        return
      }
      pulse.why = why ?? ''
      pulse.silentInARow++
      if (pulse.silentInARow === SILENT_MAX) link?.suspect('no receiver answers')
    },
  }
}

const GUARANTEES = {
  deadlineMs: 60_000,
  heartbeatMs: 5_000,
  backoffCapMs: 5_000,
  recoverWithinMs: 10_000,
  breaker: 'none',
} as const

function createAdapter(name: string, pulse: Pulse): Adapter<Pulse> {
  return {
    kind: 'webhooks',
    target: name === OTHERS ? 'receivers of the other tenants' : `receivers of tenant ${name}`,
    sharedFate: false,
    open: () => Promise.resolve(pulse),
    probe: ({ silentInARow, why }) => {
      if (silentInARow < SILENT_MAX) return Promise.resolve()
      return Promise.reject(new RipstopError('LINK_LOST', `${silentInARow} attempts in a row had no answer: ${why}`))
    },
    close: () => undefined, // there is nothing to close
    fault: () => undefined,
  }
}
