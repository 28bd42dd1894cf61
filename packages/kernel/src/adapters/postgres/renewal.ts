// Renewal: the slots of a pool are replaced one after the other, each made before the old one is broken (L10), with a
// random pause before each so that the connections of many processes don't come anew at once.

import type { Ctx } from '../../ctx.ts'
import { TimerEntry } from '../../proving.ts'

const PAUSE_MAX_MS = 1_000

/**
 * Runs the tasks, with pauses, until one fails (returns false) or `ctx` is over; each waits until `mayGoOn`, that is until
 * the slot that the one before it replaced has come back from its call. Never rejects.
 */
export async function renewSlots(
  ctx: Ctx,
  tasks: readonly (() => Promise<boolean>)[],
  mayGoOn: () => boolean,
): Promise<void> {
  for (const task of tasks) {
    do await pause(ctx, ctx.env.random() * PAUSE_MAX_MS)
    while (!mayGoOn() && ctx.reason === undefined)
    if (ctx.reason !== undefined || !(await task())) return
  }
}

function pause(ctx: Ctx, ms: number): Promise<void> {
  const { wheel, clock } = ctx.env
  const { signal } = ctx
  return new Promise((resolve) => {
    const end = (): void => {
      wheel.disarm(timer)
      signal.removeEventListener('abort', end)
      resolve()
    }
    const timer = new TimerEntry(end)
    if (signal.aborted) return resolve()
    signal.addEventListener('abort', end)
    wheel.arm(timer, clock.monoMs() + ms)
  })
}
