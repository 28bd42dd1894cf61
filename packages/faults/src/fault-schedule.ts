// Fault schedule. Random faults for a soak run, as plain data from a seed: rounds in which some targets are broken one
// after another, all broken at once for a while, and healed in another random order (FoundationDB's swizzle-clogging:
// the order of healing finds what the order of breaking does not), then time to recover and a check.
// Invariants:
//   SW1. The same options give the same schedule.
//   SW2. In each round everything that is injected is healed, before the check; nothing lies beyond `durationMs`.
//   SW3. No target carries two faults at once, and no more than `brokenMax` targets are broken at once.

import { createSeededRandom, type Random } from '@ripstop/kernel'

export interface FaultScheduleOptions {
  readonly seed: number
  /** Names of faults, as of `createProxyFaults`. */
  readonly faults: readonly string[]
  /** Names of what they are done to. */
  readonly targets: readonly string[]
  readonly durationMs: number
  /** Targets broken at once, at most [3]. */
  readonly brokenMax?: number
  /** How long all faults of a round are on together: from, to [200, 3,000]. */
  readonly holdMs?: readonly [number, number]
  /** Between two injections, and between two heals: from, to [0, 500]. */
  readonly gapMs?: readonly [number, number]
  /** From the last heal to the check, and from the check to the next round [2,000]. */
  readonly recoverMs?: number
}

export type FaultEvent =
  | {
      readonly atMs: number
      readonly round: number
      readonly action: 'inject' | 'heal'
      readonly fault: string
      readonly target: string
    }
  | { readonly atMs: number; readonly round: number; readonly action: 'check' }

const ROUNDS_MAX = 100_000

/** When which fault begins and ends, in order of time from 0. Empty if not even one round fits. */
export function createFaultSchedule(options: FaultScheduleOptions): readonly FaultEvent[] {
  const random = createSeededRandom(options.seed)
  const recoverMs = options.recoverMs ?? 2_000
  const events: FaultEvent[] = []
  if (options.faults.length === 0 || options.targets.length === 0) return events
  let startMs = 0
  for (let round = 1; round <= ROUNDS_MAX; round++) {
    const broken = createRound(options, random, startMs, round)
    const checkMs = (broken.at(-1)?.atMs ?? startMs) + recoverMs
    if (checkMs > options.durationMs) break
    events.push(...broken, { atMs: checkMs, round, action: 'check' })
    startMs = checkMs + Math.max(1, recoverMs)
  }
  return events
}

function createRound(options: FaultScheduleOptions, random: Random, startMs: number, round: number): FaultEvent[] {
  const { faults, targets, brokenMax = 3, holdMs = [200, 3_000], gapMs = [0, 500] } = options
  const count = 1 + Math.floor(random() * Math.min(Math.max(1, brokenMax), targets.length))
  const pairs = drawOrder(targets, random)
    .slice(0, count)
    .map((target) => ({ target, fault: faults[Math.floor(random() * faults.length)] as string }))
  const events: FaultEvent[] = []
  let atMs = startMs
  for (const pair of pairs) {
    events.push({ atMs, round, action: 'inject', ...pair })
    atMs += drawBetween(gapMs, random)
  }
  atMs += drawBetween(holdMs, random)
  for (const pair of drawOrder(pairs, random)) {
    events.push({ atMs, round, action: 'heal', ...pair })
    atMs += drawBetween(gapMs, random)
  }
  return events
}

function drawBetween([from, to]: readonly [number, number], random: Random): number {
  return Math.round(from + random() * (to - from))
}

/** All of them, in random order (Fisher-Yates). */
export function drawOrder<T>(items: readonly T[], random: Random): readonly T[] {
  const order = [...items]
  for (let index = order.length - 1; index > 0; index--) {
    const other = Math.floor(random() * (index + 1))
    const [here, there] = [order[index] as T, order[other] as T]
    order[index] = there
    order[other] = here
  }
  return order
}
