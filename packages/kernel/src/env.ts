import { type Clock, systemClock } from './clock.ts'
import type { Env } from './ctx.ts'
import { type Random, systemRandom } from './ids.ts'
import { TimerWheel } from './timer-wheel.ts'

/** The real clock and chance, or those of a test, with a wheel of their own. */
export function createEnv(options: { readonly clock?: Clock; readonly random?: Random } = {}): Env {
  const clock = options.clock ?? systemClock
  return { clock, random: options.random ?? systemRandom, wheel: new TimerWheel(clock) }
}
