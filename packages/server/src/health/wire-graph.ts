// The graph on the wire: those of all processes as one.

import type { Component, Guarantees, LinkNotice, LinkSnapshot, MeshGraph, Transition, Use } from '@ripstop/kernel'
import type { MeshEventWire, MeshGraphWire, MeshLinkWire } from '@ripstop/protocol'

/** A process of the mesh and its graph: ours as it is now, another's as it was told last. */
export interface ProcessGraph {
  readonly process: string
  readonly graph: MeshGraph
}

export function toGraphWire(graphs: readonly ProcessGraph[], wallMs: number): MeshGraphWire {
  const components = new Map<string, Component>()
  const uses = new Map<string, Use>()
  for (const { graph } of graphs) {
    for (const component of graph.components) components.set(component.name, component)
    for (const use of graph.uses) uses.set(`${use.component} ${use.link}`, use)
  }
  return {
    at: toTime(wallMs),
    processes: graphs.map(({ process }) => process),
    components: [...components.values()],
    uses: [...uses.values()],
    links: graphs.flatMap(({ process, graph }) => graph.links.map((link) => toLinkWire(process, link, wallMs))),
  }
}

function toLinkWire(process: string, link: MeshGraph['links'][number], wallMs: number): MeshLinkWire {
  const { name, to, kind, target, guarantees, live, blastRadius, lastDrill } = link
  return {
    process,
    name,
    to,
    kind,
    target,
    guarantees: toGuaranteesWire(guarantees),
    live: toLiveWire(live, wallMs),
    blast_radius: { hard: [...blastRadius.hard], soft: [...blastRadius.soft] },
    last_drill:
      lastDrill === undefined
        ? null
        : { fault: lastDrill.fault, recovered_ms: lastDrill.recoveredMs, at: toTime(lastDrill.wallMs) },
  }
}

function toLiveWire(live: LinkSnapshot, wallMs: number): MeshLinkWire['live'] {
  const { lastProofWallMs, degradation, pool } = live
  return {
    state: live.state,
    why: live.why ?? null,
    generation: live.generation,
    last_proof_at: lastProofWallMs === undefined ? null : toTime(lastProofWallMs),
    // Of another process the snapshot itself has an age: the difference of wall times covers both.
    last_proof_age_ms: lastProofWallMs === undefined ? null : Math.max(0, Math.round(wallMs - lastProofWallMs)),
    in_flight: live.inFlight,
    waiting: live.waiting,
    oldest_overdue_ms: Math.max(0, Math.round(live.oldestOverdueMs)),
    breaker: live.breaker,
    retry_budget: Math.floor(live.retryBudget),
    degradation: degradation === undefined ? null : { ...degradation },
    pool: pool === undefined ? null : { size: pool.size, in_use: pool.inUse, waiting: pool.waiting },
    transitions: live.transitions.map(toTransitionWire),
  }
}

function toTransitionWire({ wallMs, from, to, why, generation }: Transition) {
  return { at: toTime(wallMs), from, to, why, generation }
}

function toGuaranteesWire(guarantees: Guarantees): MeshLinkWire['guarantees'] {
  const { retry, budget, breaker, bulkhead, rate, maxAgeMs } = guarantees
  return {
    deadline_ms: guarantees.deadlineMs,
    recover_within_ms: guarantees.recoverWithinMs,
    critical: guarantees.critical,
    when_down: guarantees.whenDown,
    fallback: guarantees.fallback ?? null,
    retry: { attempts: retry.attempts, base_ms: retry.baseMs, cap_ms: retry.capMs },
    budget: { share: budget.share, per_second: budget.perSecond },
    breaker:
      breaker === undefined
        ? null
        : {
            failure_rate: breaker.failureRate,
            minimum_calls: breaker.minimumCalls,
            window_ms: breaker.windowMs,
            open_ms: breaker.openMs,
            open_ms_max: breaker.openMsMax,
          },
    bulkhead: { concurrent: bulkhead.concurrent, queue: bulkhead.queue },
    rate: rate === undefined ? null : { per_second: rate.perSecond, burst: rate.burst },
    open_deadline_ms: guarantees.openDeadlineMs,
    probe_deadline_ms: guarantees.probeDeadlineMs,
    heartbeat_ms: guarantees.heartbeatMs,
    max_age_ms: Number.isFinite(maxAgeMs) ? maxAgeMs : null,
  }
}

export function toEventWire(process: string, notice: LinkNotice): MeshEventWire {
  const base = { process, link: notice.link, at: toTime(notice.wallMs) }
  switch (notice.type) {
    case 'transition':
      return {
        type: 'transition',
        ...base,
        from: notice.from,
        to: notice.to,
        why: notice.why,
        generation: notice.generation,
      }
    case 'breaker':
      return { type: 'breaker', ...base, to: notice.to }
    case 'degradation':
      return { type: 'degradation', ...base, name: notice.name, active: notice.active }
    case 'defect':
      return { type: 'defect', ...base, what: notice.what, why: notice.why }
    default:
      return notice satisfies never
  }
}

/**
 * What happened in another process between two of its graphs. Transitions are all there, since a link keeps its last 32;
 * a breaker that opened and closed within the second between two graphs is not seen.
 */
export function findNotices(before: MeshGraph | undefined, after: MeshGraph): readonly LinkNotice[] {
  const olds = new Map(before?.links.map((link) => [link.name, link.live]))
  return after.links.flatMap(({ name: link, live }) => {
    const old = olds.get(link)
    const known = new Set(old?.transitions.map(({ wallMs, to, generation }) => `${wallMs} ${to} ${generation}`))
    const notices: LinkNotice[] = live.transitions
      .filter(({ wallMs, to, generation }) => !known.has(`${wallMs} ${to} ${generation}`))
      .map((transition) => ({ type: 'transition', link, ...transition }))
    const { wallMs } = after
    if (old !== undefined && old.breaker !== live.breaker)
      notices.push({ type: 'breaker', link, to: live.breaker, wallMs })
    const { degradation } = live
    if (degradation !== undefined && degradation.active !== (old?.degradation?.active ?? false)) {
      notices.push({ type: 'degradation', link, name: degradation.name, active: degradation.active, wallMs })
    }
    return notices
  })
}

function toTime(wallMs: number): string {
  return new Date(wallMs).toISOString()
}
