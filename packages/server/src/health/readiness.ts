// Readiness: whether this process can do its work, and if not, what is missing and why. A pure reading of the graph and of
// the schema's state.
// Invariants:
//   RY1. It names every critical link that is not up, with the reason, and never calls a mesh ready that lacks one.
//   RY2. What only degrades is told, and does not take readiness away.

import type { LinkSnapshot, MeshGraph } from '@ripstop/kernel'
import type { MigrationStatusWire, ReadinessWire } from '@ripstop/protocol'

export interface SchemaState {
  readonly state: MigrationStatusWire['state']
  readonly problems: readonly string[]
}

/** `critical` as the mesh has it: the snapshots of links that are not up (`mesh.notReady()`). */
export function createReadiness(
  critical: readonly LinkSnapshot[],
  graph: MeshGraph,
  schema: SchemaState,
): ReadinessWire {
  const missing = critical.map((link) => ({ what: link.name, why: whyOf(link), since: sinceOf(link) }))
  // While its database is away the schema can't be known: the link says it all.
  const schemaCounts = missing.length === 0 || schema.state === 'too_new'
  if (schemaCounts && ['pending', 'too_new', 'unknown'].includes(schema.state)) {
    missing.push({ what: 'migrations', why: SCHEMA_WHY[schema.state], since: null })
  }
  const degraded = graph.links.flatMap(({ live, guarantees }) => {
    const found: { what: string; why: string }[] = []
    if (live.state === 'degraded') found.push({ what: live.name, why: whyOf(live) })
    if (!guarantees.critical && (live.state === 'down' || live.state === 'connecting')) {
      found.push({ what: live.name, why: whyOf(live) })
    }
    if (live.degradation?.active === true)
      found.push({ what: live.name, why: `its fallback answers: ${live.degradation.name}` })
    if (live.breaker === 'open') found.push({ what: live.name, why: 'its breaker is open' })
    return found
  })
  if (schema.state === 'drifted') degraded.push({ what: 'migrations', why: schema.problems.join('; ') })
  return { status: missing.length === 0 ? 'ready' : 'not_ready', missing, degraded }
}

const SCHEMA_WHY: Readonly<Record<SchemaState['state'], string>> = {
  current: 'the schema is current',
  drifted: 'the schema is not what the migrations made',
  pending: 'migrations are still to be applied',
  too_new: 'a newer version migrated this database',
  unknown: 'the schema was not checked yet',
}

function whyOf({ why, state }: LinkSnapshot): string {
  return why ?? `it is ${state}`
}

/** When it was up last. Only the latest transitions are kept: in a long outage the last proof tells. */
function sinceOf({ transitions, lastProofWallMs }: LinkSnapshot): string | null {
  const left = transitions.findLast(
    ({ from, to }) => (from === 'up' || from === 'degraded') && to !== 'up' && to !== 'degraded',
  )
  const wallMs = left?.wallMs ?? lastProofWallMs
  return wallMs === undefined ? null : new Date(wallMs).toISOString()
}
