import type { Ctx } from '@ripstop/kernel'

/** Waits `ms`. Rejects with the reason as soon as `ctx` is over. */
export function pause(ctx: Ctx, ms: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const { signal } = ctx
    if (signal.aborted) return reject(signal.reason)
    const over = (): void => {
      cancel()
      reject(signal.reason)
    }
    const cancel = ctx.env.clock.schedule(ms, () => {
      signal.removeEventListener('abort', over)
      resolve()
    })
    signal.addEventListener('abort', over, { once: true })
  })
}
