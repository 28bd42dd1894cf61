// What would hold, by kind of guarantee: its name for people, the remedy, and what of Ripstop does it. For gaps that the graph shows; findings bring
// the remedies of their rules.

import type { Effort, Priority } from '../model/finding.ts'
import type { GuaranteeKind } from '../model/graph.ts'
import { GUARANTEES } from '../rules/guarantees.ts'

export interface Proposal {
  readonly label: string
  readonly text: string
  readonly priority: Priority
  readonly effort: Effort
  readonly guarantee?: string
}

export const PROPOSALS: Readonly<Record<GuaranteeKind, Proposal>> = {
  deadline: {
    label: 'deadline',
    text: 'Give every call a deadline that covers waiting, sending and repeating.',
    priority: 'P1',
    effort: 'S',
    guarantee: GUARANTEES.deadline,
  },
  retry: {
    label: 'retry',
    text: 'Repeat what is safe to repeat, after waits that grow and vary, from a budget.',
    priority: 'P2',
    effort: 'S',
    guarantee: GUARANTEES.retry,
  },
  breaker: {
    label: 'breaker',
    text: 'Stop calling what fails, and try it again by itself.',
    priority: 'P1',
    effort: 'S',
    guarantee: GUARANTEES.breaker,
  },
  bulkhead: {
    label: 'bulkhead',
    text: 'Bound how many calls wait for it, and for how long.',
    priority: 'P1',
    effort: 'S',
    guarantee: GUARANTEES.bulkhead,
  },
  rate: {
    label: 'rate limit',
    text: 'Limit what one caller may ask for, over all processes together.',
    priority: 'P1',
    effort: 'M',
    guarantee: GUARANTEES.rate,
  },
  queue_bound: {
    label: 'bound',
    text: 'Give every queue, map and cache a bound, and say what happens at it.',
    priority: 'P1',
    effort: 'S',
  },
  idempotency: {
    label: 'idempotency',
    text: 'Send a key with every effect that may be repeated, and apply each key once.',
    priority: 'P1',
    effort: 'M',
    guarantee: GUARANTEES.onceIn,
  },
  lock: {
    label: 'atomic change',
    text: 'Check and change in one step: a unique key, one statement, one script.',
    priority: 'P1',
    effort: 'M',
  },
  dead_letters: {
    label: 'dead letters',
    text: 'Keep what could not be done, with its reason, and a way to do it again.',
    priority: 'P1',
    effort: 'M',
    guarantee: GUARANTEES.delivery,
  },
  fallback: {
    label: 'fallback',
    text: 'Answer something useful without it, and let that be seen.',
    priority: 'P2',
    effort: 'M',
    guarantee: GUARANTEES.fallback,
  },
  health: {
    label: 'health check',
    text: 'Let health say whether the work can be done, and let others wait for it.',
    priority: 'P1',
    effort: 'S',
    guarantee: GUARANTEES.health,
  },
  validation: {
    label: 'validation',
    text: 'Refuse at the edge what is no valid request.',
    priority: 'P1',
    effort: 'M',
  },
  reconnect: {
    label: 'reconnect',
    text: 'Try again for as long as the process lives, after waits that grow and vary.',
    priority: 'P0',
    effort: 'S',
    guarantee: GUARANTEES.reconnect,
  },
  restart: {
    label: 'restart',
    text: 'Let whatever runs it start it again when it ends.',
    priority: 'P1',
    effort: 'XS',
  },
  shutdown: {
    label: 'shutdown',
    text: 'On SIGTERM refuse what is new, finish what is under way, then close.',
    priority: 'P2',
    effort: 'S',
    guarantee: GUARANTEES.drain,
  },
  replicas: {
    label: 'replicas',
    text: 'Run it at least twice, with its state elsewhere.',
    priority: 'P2',
    effort: 'M',
  },
  durability: {
    label: 'data kept',
    text: 'Keep its data in a volume, and restore it once for practice.',
    priority: 'P1',
    effort: 'S',
  },
}
