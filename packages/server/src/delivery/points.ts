// Named places around commits, where tests end the process.

export const CRASH_POINTS = [
  'claimed',
  'renewing',
  'renewed',
  'refilled',
  'sending',
  'answered',
  'settling',
  'settled',
  'draining',
  'released',
] as const

export type CrashPoint = (typeof CRASH_POINTS)[number]

/** What is not awaited by the engine's hot path returns nothing. */
export type Points = (name: CrashPoint) => Promise<void> | void
