// Waiting on a clock that may be a test's.

import type { Clock } from '@ripstop/kernel'

export function wait(clock: Clock, ms: number): Promise<void> {
  return new Promise((resolve) => {
    clock.schedule(ms, resolve)
  })
}

/** `late` if `promise` is not settled after `ms`; whatever it does later is nobody's concern. Leaves no timer behind. */
export function within<T>(clock: Clock, ms: number, promise: Promise<T>): Promise<T | 'late'> {
  return new Promise((resolve, reject) => {
    const cancel = clock.schedule(ms, () => resolve('late'))
    promise.then(
      (value) => {
        cancel()
        resolve(value)
      },
      (error: unknown) => {
        cancel()
        reject(error)
      },
    )
  })
}
