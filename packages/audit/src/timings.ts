// How long what took, for those who ask (`--timings`).

import type { Clock } from '@ripstop/kernel'

export type TimedKind = 'phase' | 'reader' | 'shared' | 'rule'

export interface Timed {
  readonly kind: TimedKind
  readonly name: string
  readonly ms: number
}

export interface Timings {
  readonly add: (kind: TimedKind, name: string, ms: number) => void
  /** Of something that throws too. */
  readonly time: <T>(kind: TimedKind, name: string, run: () => T) => T
  /** The longest first. */
  readonly list: () => readonly Timed[]
}

export function createTimings(clock: Pick<Clock, 'monoMs'>): Timings {
  const sums = new Map<string, Timed>()
  const add = (kind: TimedKind, name: string, ms: number): void => {
    const key = `${kind} ${name}`
    sums.set(key, { kind, name, ms: (sums.get(key)?.ms ?? 0) + ms })
  }
  return {
    add,
    time: (kind, name, run) => {
      const fromMs = clock.monoMs()
      try {
        return run()
      } finally {
        add(kind, name, clock.monoMs() - fromMs)
      }
    },
    list: () => [...sums.values()].sort((a, b) => b.ms - a.ms),
  }
}

/** One line each, for a terminal. */
export function formatTimings(timings: Timings): string {
  const lines = timings
    .list()
    .map(({ kind, name, ms }) => `${ms.toFixed(0).padStart(7)} ms  ${kind.padEnd(6)}  ${name}\n`)
  return lines.join('')
}
