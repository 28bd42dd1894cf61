// What the engine counts.

import { type Counter, type Histogram, isRipstopError, type Metrics } from '@ripstop/kernel'
import type { Command } from '@ripstop/protocol/sessions'
import type { SessionCache } from './cache.ts'

export type CommandOutcome = 'done' | 'repeated' | 'refused' | 'conflict' | 'busy' | 'failed'

export interface EngineMeters {
  readonly commanded: (kind: Command['kind'], outcome: CommandOutcome) => void
  readonly duration: Histogram
  readonly created: Counter
  readonly conflicts: Counter
  readonly recovered: Counter
  /** A clock that fell so long ago was committed. */
  readonly fell: (lateMs: number) => void
}

export function createMeters(metrics: Metrics, cache: SessionCache): EngineMeters {
  const active = metrics.gauge('sessions_active', 'Running sessions that this process has in memory')
  metrics.collect(() => {
    let count = 0
    for (const { body } of cache.sessions()) if (body.state.status === 'running') count++
    active.set(count)
  })
  const late = 'From when a clock fell to the commit that says so, by server time'
  const lateness = metrics.histogram('sessions_timeout_lateness_seconds', late)
  const timeouts = metrics.counter('sessions_timeouts_total', 'Clocks that fell, as this process committed it')
  const counters = new Map<Command['kind'], Map<CommandOutcome, Counter>>()
  return {
    commanded: (kind, outcome) => {
      const ofKind = counters.get(kind) ?? new Map<CommandOutcome, Counter>()
      let counter = ofKind.get(outcome)
      if (counter === undefined) {
        counter = metrics.counter('sessions_commands_total', 'Commands by what came of them', { kind, outcome })
        counters.set(kind, ofKind.set(outcome, counter))
      }
      counter.add(1)
    },
    duration: metrics.histogram('sessions_command_seconds', 'From a command to its answer, waiting included'),
    created: metrics.counter('sessions_created_total', 'Sessions that this process created'),
    conflicts: metrics.counter(
      'sessions_conflicts_total',
      'Commits that found another one there, and were decided anew',
    ),
    recovered: metrics.counter('sessions_recovered_total', 'Sessions that were taken over from an earlier epoch'),
    fell: (lateMs) => {
      timeouts.add(1)
      lateness.observe(Math.max(0, lateMs) / 1_000)
    },
  }
}

export function outcomeOf(error: unknown): CommandOutcome {
  if (!isRipstopError(error)) return 'failed'
  switch (error.code) {
    case 'INVALID_STATE_TRANSITION':
    case 'NOT_YOUR_TURN':
    case 'BAD_REQUEST':
    case 'SESSION_NOT_FOUND':
      return 'refused'
    case 'CONFLICT':
      return 'conflict'
    case 'SESSION_BUSY':
      return 'busy'
    default:
      return 'failed'
  }
}
