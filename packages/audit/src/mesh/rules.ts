// What can be wrong with a running mesh. Each rule reads its graph: settings are `config`, what happened is `measured`.
//   ME2. A link that nobody needs, or that something stands in for, is never strong for what it lacks; only for what happens to it.
//   ME3. What a start looks like (a link that was never up going down) is no trouble.

import type { Evidence } from '../model/evidence.ts'
import type { Severity } from '../model/finding.ts'
import type { Discovery, RuleMeta } from '../rules/rule.ts'
import { seen } from './graph.ts'
import { MESH_METAS } from './metas.ts'
import type { MeshGraph, MeshLink } from './wire.ts'

export interface MeshRule {
  readonly meta: RuleMeta
  readonly run: (mesh: MeshGraph) => Iterable<Discovery>
}

const FLAPS_MIN = 3
const FLAPPING_MS = 10 * 60_000

/** What one link says, or undefined: nothing is wrong with it. */
type Look = (link: MeshLink, mesh: MeshGraph) => Said | undefined

interface Said {
  readonly tier: Discovery['tier']
  readonly severity?: Severity
  readonly symptom: string
  readonly rootCause: string
  readonly evidence: readonly Evidence[]
}

const down: Look = ({ name, live, guarantees, blast_radius: { hard } }, { at }) => {
  if (live.state !== 'down' && live.state !== 'closed') return undefined
  const since = live.transitions.at(-1)
  const forMs = since === undefined ? undefined : Date.parse(at) - Date.parse(since.at)
  return {
    tier: 'strong',
    severity: guarantees.critical || hard.length > 0 ? 'critical' : 'high',
    symptom: hard.length > 0 ? `${hard.join(', ')} can't do their work` : 'calls over it fail at once',
    rootCause: live.why ?? since?.why ?? 'the mesh does not say why',
    evidence: [measured(`${name} is ${live.state}`, forMs, 'ms')],
  }
}

const degraded: Look = ({ name, live, blast_radius: { hard, soft } }) => {
  const instead = live.degradation?.active === true ? live.degradation : undefined
  if (live.state !== 'degraded' && instead === undefined) return undefined
  return {
    tier: 'strong',
    symptom: `${[...hard, ...soft].join(', ') || 'whoever calls over it'} works in a degraded way`,
    rootCause: live.why ?? (instead === undefined ? 'the mesh does not say why' : `${instead.name} stands in for it`),
    evidence: [
      instead === undefined
        ? measured(`${name} is degraded`)
        : measured(`${instead.name} is in use instead of ${name}`, instead.uses, 'uses'),
    ],
  }
}

/** ME3. */
const flapping: Look = ({ name, live }, { at }) => {
  const falls = live.transitions.filter(
    ({ from, to, at: when }) =>
      (from === 'up' || from === 'degraded') && to === 'down' && Date.parse(at) - Date.parse(when) <= FLAPPING_MS,
  )
  if (falls.length < FLAPS_MIN) return undefined
  return {
    tier: 'strong',
    symptom: 'calls fail again and again for a moment',
    rootCause: falls.at(-1)?.why ?? 'the mesh does not say why',
    evidence: [measured(`${name} went down from up within ten minutes`, falls.length, 'times')],
  }
}

const overdue: Look = ({ name, live, guarantees }) => {
  if (live.oldest_overdue_ms <= 0) return undefined
  return {
    tier: 'strong',
    symptom: 'a caller waits longer than the link promises',
    rootCause: `a call ignores its deadline of ${guarantees.deadline_ms} ms: what it does can't be stopped`,
    evidence: [measured(`the most overdue call of ${name} is past its deadline`, live.oldest_overdue_ms, 'ms')],
  }
}

const exhausted: Look = ({ name, live, guarantees }) => {
  const { pool } = live
  const queue = guarantees.bulkhead.queue
  const isPoolFull = pool !== null && pool.waiting > 0 && pool.in_use >= pool.size
  const isQueueFull = queue > 0 && live.waiting >= queue * 0.8
  if (!isPoolFull && !isQueueFull) return undefined
  const evidence = isPoolFull
    ? measured(`calls wait for one of the ${pool.size} connections of ${name}`, pool.waiting, 'calls')
    : measured(`calls wait for a place on ${name}, which takes ${queue}`, live.waiting, 'calls')
  return {
    tier: 'strong',
    symptom: 'calls wait, and soon are refused',
    rootCause: 'more calls come than the far end answers with the connections that there are',
    evidence: [evidence],
  }
}

const open: Look = ({ name, live }) => {
  if (live.breaker !== 'open') return undefined
  return {
    tier: 'strong',
    symptom: 'calls are refused at once, until the far end answers again',
    rootCause: live.why ?? 'too many calls over it failed',
    evidence: [measured(`the breaker of ${name} is open`)],
  }
}

const missed: Look = ({ name, guarantees, last_drill: drill }) => {
  if (drill === null || drill.recovered_ms <= guarantees.recover_within_ms) return undefined
  return {
    tier: 'strong',
    symptom: `after ${drill.fault} it was gone for longer than it promises`,
    rootCause: `it promises to be back within ${guarantees.recover_within_ms} ms`,
    evidence: [measured(`${name} was back after the last drill`, drill.recovered_ms, 'ms')],
  }
}

/** ME2. */
const retryless: Look = ({ name, guarantees, blast_radius: { hard } }) => {
  const { retry, fallback, when_down: whenDown } = guarantees
  if (retry.attempts > 1 || hard.length === 0 || fallback !== null || whenDown === 'wait') return undefined
  return {
    tier: 'review',
    symptom: `${hard.join(', ')} see every short interruption`,
    rootCause: 'a call that may be repeated is not, and nothing is done instead',
    evidence: [configured(`attempts of ${name} in all`, retry.attempts, 'attempts')],
  }
}

/** ME2. */
const breakerless: Look = ({ name, guarantees, blast_radius: { hard } }) => {
  if (guarantees.breaker !== null || hard.length === 0) return undefined
  return {
    tier: 'review',
    symptom: 'while the far end fails slowly, every call waits for its whole deadline',
    rootCause: 'the breaker is switched off',
    evidence: [configured(`${name} has no breaker`)],
  }
}

const OF_LINKS = {
  'mesh-link-down': down,
  'mesh-link-degraded': degraded,
  'mesh-link-flapping': flapping,
  'mesh-call-overdue': overdue,
  'mesh-link-exhausted': exhausted,
  'mesh-breaker-open': open,
  'mesh-recovery-missed': missed,
  'mesh-no-retry': retryless,
  'mesh-no-breaker': breakerless,
} as const satisfies Record<keyof typeof MESH_METAS, Look>

export const MESH_RULES: readonly MeshRule[] = Object.entries(OF_LINKS).map(([id, look]) => {
  const meta: RuleMeta = { id, ...MESH_METAS[id as keyof typeof MESH_METAS] }
  return { meta, run: (mesh) => mesh.links.flatMap((link) => discoveryOf(meta, link, look(link, mesh))) }
})

function discoveryOf({ title }: RuleMeta, link: MeshLink, said: Said | undefined): readonly Discovery[] {
  if (said === undefined) return []
  const symbol = `${link.process} ${link.name}`
  return [{ ...said, symbol, title: `${title}: ${link.name} of ${link.process}`, component: link.to }]
}

function measured(what: string, value?: number, unit?: string): Evidence {
  return withValue(seen('measured', what), value, unit)
}

function configured(what: string, value?: number, unit?: string): Evidence {
  return withValue(seen('config', what), value, unit)
}

function withValue(evidence: Evidence, value: number | undefined, unit: string | undefined): Evidence {
  return value === undefined || unit === undefined || !Number.isFinite(value) ? evidence : { ...evidence, value, unit }
}
