// Loaded into a process before everything else (`node --import`): its wall clock is the real one plus the seconds in the
// file that WALL_CLOCK_FILE names, which may change at any time. Monotonic clocks and timers stay as they are.

import { readFileSync } from 'node:fs'

const RealDate = Date
const LOOK_MS = 5
let shiftMs = 0
let lookedMs = Number.NEGATIVE_INFINITY

function now() {
  const monoMs = performance.now()
  if (monoMs - lookedMs > LOOK_MS) {
    lookedMs = monoMs
    shiftMs = Number(readFileSync(process.env.WALL_CLOCK_FILE, 'utf8')) * 1_000
  }
  return RealDate.now() + shiftMs
}

globalThis.Date = class extends RealDate {
  constructor(...args) {
    if (args.length === 0) super(now())
    else super(...args)
  }

  static now() {
    return now()
  }
}
