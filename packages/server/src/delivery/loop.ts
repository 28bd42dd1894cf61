// A loop that never dies: what a turn throws is told and tried again after a pause, until its ctx is over. A nudge ends the wait
// between two turns, or makes the turn under way be followed by another at once.

import { type Ctx, type Env, isRipstopError } from '@ripstop/kernel'
import { pause } from '#platform/pause'
import type { Log } from '#platform/telemetry'

const BACKOFF_MS = 50
const BACKOFF_MS_MAX = 2_000

export interface Loop {
  readonly nudge: () => void
  /** Resolves when the ctx is over and the last turn has ended. */
  readonly done: Promise<void>
}

/** `turn` gives how long to wait for the next one. */
export function startLoop(
  { env, log }: { readonly env: Env; readonly log: Log },
  ctx: Ctx,
  name: string,
  turn: () => Promise<number>,
): Loop {
  let resume: (() => void) | undefined
  let isNudged = false
  const wait = (ms: number): Promise<void> =>
    new Promise((resolve) => {
      const cancel = env.clock.schedule(ms, () => resume?.())
      resume = () => {
        resume = undefined
        cancel()
        resolve()
      }
    })
  const run = async (): Promise<void> => {
    for (let failures = 0; ctx.reason === undefined; ) {
      isNudged = false
      try {
        const waitMs = await turn()
        failures = 0
        if (!isNudged && waitMs > 0 && ctx.reason === undefined) await wait(waitMs)
      } catch (error) {
        if (ctx.reason !== undefined) return
        failures++
        tellFailure(log, name, error, failures)
        await pause(ctx, backoffMs(env, failures)).catch(() => undefined) // it is over: the condition of the loop sees it
      }
    }
  }
  ctx.signal.addEventListener('abort', () => resume?.(), { once: true })
  return {
    nudge: () => {
      isNudged = true
      resume?.()
    },
    done: run(),
  }
}

export function backoffMs(env: Env, failures: number): number {
  return Math.min(BACKOFF_MS_MAX, BACKOFF_MS * 2 ** Math.min(failures, 10)) * (0.5 + env.random() / 2)
}

/** The link tells of its own state: of a row of failures only some are told, ever fewer. */
export function tellFailure(log: Log, what: string, error: unknown, failures: number): void {
  if ((failures & (failures - 1)) !== 0) return
  const code = isRipstopError(error) ? error.code : 'INTERNAL'
  const why = error instanceof Error ? error.message : String(error)
  log.warn({ event: 'delivery.failed', what, code, why, failures })
}
