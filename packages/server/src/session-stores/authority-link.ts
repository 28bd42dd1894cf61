// The authority in the mesh: a link that is up while a term is known, and whose fallback answers while Postgres serves in Redis's place. So
// readiness, the graph and its page tell of it as of everything else.

import { type Adapter, type Ctx, type Link, type Mesh, RipstopError } from '@ripstop/kernel'
import type { Term } from './authority.ts'
import '../platform/codes.ts'

const NAME = 'sessions.authority'
const FALLBACK = 'sessions-served-by-postgres'
/** It costs nothing to ask, and the answer changes once. */
const HEARTBEAT_MS = 5_000

export interface AuthorityLinkDeps {
  readonly mesh: Mesh
  readonly hasRedis: boolean
  readonly term: () => Term | undefined
}

/** Registers the link `sessions.authority` and the component `sessions`; start it once a term is known: waiting for the first is no failure. */
export function createAuthorityLink({ mesh, hasRedis, term }: AuthorityLinkDeps): Link<Term> {
  const read = (): Term => {
    const known = term()
    if (known === undefined) throw new RipstopError('NOT_READY', 'no term of authority is known yet', { sent: 'no' })
    return known
  }
  const adapter: Adapter<Term> = {
    kind: 'authority',
    get target() {
      const known = term()
      return known === undefined ? 'not known yet' : `${known.mode}, epoch ${known.epoch}`
    },
    sharedFate: false,
    open: async () => read(),
    probe: async () => void read(),
    close: () => undefined,
    fault: () => undefined,
  }
  const guarantees = {
    deadlineMs: 1_000,
    // Not up only until the first beat was answered: who is sent traffic before that would refuse it.
    critical: true,
    fallback: FALLBACK,
    breaker: 'none',
    heartbeatMs: HEARTBEAT_MS,
  } as const
  const link = mesh.link(NAME, adapter, guarantees, { name: 'sessions', kind: 'role' })
  mesh.use({ component: 'sessions', link: 'postgres.main', need: hasRedis ? 'soft' : 'hard' })
  if (hasRedis) mesh.use({ component: 'sessions', link: 'redis.main', need: 'soft' })
  return link
}

/** Shows whether the fallback answers. */
export async function showDegradation(link: Link<Term>, ctx: Ctx, isDegraded: boolean): Promise<void> {
  if (link.state !== 'up' || link.snapshot().degradation?.active === isDegraded) return
  const run = (): void => {
    if (isDegraded) throw new RipstopError('LINK_DOWN', 'Postgres serves in place of Redis', { sent: 'no' })
  }
  await link.callOr(ctx, run, () => undefined)
}
