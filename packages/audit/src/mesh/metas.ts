// What the rules of a running mesh are about, for people.

import type { Remedy } from '../model/finding.ts'
import type { RuleMeta } from '../rules/rule.ts'

const NYGARD = 'Michael T. Nygard, Release It!, 2nd edition, 2018'
const SRE = 'Google, Site Reliability Engineering, 2016, chapter 22: Addressing Cascading Failures'

function remedy(priority: Remedy['priority'], text: string, effort: Remedy['effort'], guarantee?: string): Remedy {
  return { priority, text, effort, ...(guarantee === undefined ? {} : { guarantee }) }
}

export const MESH_METAS = {
  'mesh-link-down': {
    category: 'permanent failure',
    severity: 'critical',
    title: 'A link of the mesh is down',
    why: 'What needs the link does not work until its far end is back. The mesh connects again by itself: what is down for long has a cause outside of it.',
    remedies: [
      remedy('P0', 'Look at the far end and at the reason that the link gives; `ripstop graph` shows it live.', 'S'),
    ],
    sources: [NYGARD],
  },
  'mesh-link-degraded': {
    category: 'permanent failure',
    severity: 'medium',
    title: 'A link of the mesh is degraded',
    why: 'The link works, but not as it should: answers fail now and then, or something stands in for it. What stands in for it is older, or less.',
    remedies: [remedy('P1', 'Look at the far end before the rest of it goes too.', 'S')],
    sources: [SRE],
  },
  'mesh-link-flapping': {
    category: 'error handling',
    severity: 'high',
    title: 'A link of the mesh goes down again and again',
    why: 'Every fall costs the calls that are under way. A link that falls often has a far end, or a network before it, that is not sound.',
    remedies: [
      remedy('P1', 'Find what the falls have in common: the transitions of the link say why each happened.', 'M'),
    ],
    sources: [NYGARD],
  },
  'mesh-call-overdue': {
    category: 'deadlines and retries',
    severity: 'high',
    title: 'A call of the mesh is past its deadline',
    why: 'A deadline that does not end the work keeps its place, its connection and its memory; enough of them and nothing else gets through.',
    remedies: [
      remedy(
        'P1',
        'Hand the signal of the call to what it does, so that it ends with it.',
        'S',
        'ctx.signal of link.call',
      ),
    ],
    sources: [SRE],
  },
  'mesh-link-exhausted': {
    category: 'bounds',
    severity: 'high',
    title: 'Calls wait for a place on a link of the mesh',
    why: 'Waiting is only useful where it ends soon. A queue that stays full makes every call late and helps none.',
    remedies: [
      remedy(
        'P1',
        'Find what holds the connections; give it more only if the far end can bear them.',
        'M',
        'guarantees.bulkhead',
      ),
    ],
    sources: [SRE],
  },
  'mesh-breaker-open': {
    category: 'error handling',
    severity: 'high',
    title: 'A breaker of the mesh is open',
    why: 'The mesh holds calls back because most of them failed. It tries again by itself; what is wrong is behind it.',
    remedies: [remedy('P0', 'Look at the far end: the breaker closes by itself when it answers.', 'S')],
    sources: [NYGARD],
  },
  'mesh-recovery-missed': {
    category: 'permanent failure',
    severity: 'high',
    title: 'A link of the mesh takes longer to come back than it promises',
    why: 'Whoever relies on the promise plans with a time that has been measured to be wrong.',
    remedies: [
      remedy(
        'P1',
        'Make it come back sooner, or promise less: guarantees.recoverWithinMs.',
        'M',
        'guarantees.recoverWithinMs',
      ),
    ],
    sources: [NYGARD],
  },
  'mesh-no-retry': {
    category: 'deadlines and retries',
    severity: 'low',
    title: 'A link of the mesh that others need does not retry',
    why: 'Most interruptions are shorter than a deadline. What may be repeated safely and is not turns each of them into an error.',
    remedies: [remedy('P2', 'Set retry.attempts to 2 for what may be repeated.', 'XS', 'guarantees.retry')],
    sources: [SRE],
  },
  'mesh-no-breaker': {
    category: 'deadlines and retries',
    severity: 'medium',
    title: 'A link of the mesh that others need has no breaker',
    why: 'Without one every call waits for its deadline while the far end can only fail, and the far end gets no rest.',
    remedies: [
      remedy(
        'P2',
        'Leave the breaker on: it is only switched off for what has one of its own.',
        'XS',
        'guarantees.breaker',
      ),
    ],
    sources: [NYGARD],
  },
} as const satisfies Record<string, Omit<RuleMeta, 'id'>>
