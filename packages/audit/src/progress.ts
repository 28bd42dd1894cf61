// What is being done, for people who wait: on a terminal one line that is rewritten, elsewhere a line now and then. What is done soon says nothing there.
//   AX6. The line on a terminal is gone when something else is said, and never longer than what fits.

import type { Clock } from '@ripstop/kernel'

const REWRITE_MS = 80
const LINE_MS = 2_000
const WIDTH = 79

export interface Progress {
  readonly step: (what: string, howFar?: string) => void
  /** Before anything else is said. */
  readonly clear: () => void
}

export function createProgress(
  say: (text: string) => void,
  isWatched: boolean,
  clock: Pick<Clock, 'monoMs'>,
  columns = WIDTH + 1,
): Progress {
  let phase = ''
  let saidMs = isWatched ? 0 : clock.monoMs()
  let isShown = false
  const clear = (): void => {
    if (isShown) say('\r\u001b[2K')
    isShown = false
  }
  return {
    clear,
    step: (what, howFar) => {
      const nowMs = clock.monoMs()
      if ((what === phase || !isWatched) && nowMs - saidMs < (isWatched ? REWRITE_MS : LINE_MS)) return
      phase = what
      saidMs = nowMs
      const line = howFar === undefined ? what : `${what}: ${howFar}`
      clear()
      say(isWatched ? line.slice(0, Math.min(WIDTH, columns - 1)) : `${line}\n`)
      isShown = isWatched
    },
  }
}
