// For tests: a real clock that can be falsified, jump and sleep, and a socket that does what a script says.

import { createSeededRandom, systemClock } from '@ripstop/kernel'
import { createFakeClock, type FakeClock } from '@ripstop/kernel/testing'
import type { SessionEnvironment, SessionSocket } from './environment.ts'

export interface FalseEnvironment extends SessionEnvironment {
  /** What a program that sleeps, or a user who sets the clock, does to the local clocks. */
  readonly jump: (change: { readonly monoMs?: number; readonly wallMs?: number }) => void
  readonly wake: () => void
}

/** Real timers; local clocks that are far off and go 50 ppm too fast. */
export function createFalseEnvironment(random: () => number = () => 0): FalseEnvironment {
  let monoMs = 123_000
  let wallMs = -86_400_000
  const listeners = new Set<() => void>()
  return {
    clock: {
      ...systemClock,
      monoMs: () => systemClock.monoMs() * 1.000_05 + monoMs,
      wallMs: () => systemClock.wallMs() + wallMs,
    },
    random,
    onWake: (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    jump: (change) => {
      monoMs += change.monoMs ?? 0
      wallMs += change.wallMs ?? 0
    },
    wake: () => {
      for (const listener of listeners) listener()
    },
  }
}

export interface StillEnvironment extends SessionEnvironment {
  readonly clock: FakeClock
  readonly wake: () => void
}

/** Time that moves when told to. */
export function createStillEnvironment(seed = 1): StillEnvironment {
  let wake = (): void => {}
  const onWake = (listener: () => void) => {
    wake = listener
    return () => {
      wake = () => {}
    }
  }
  return { clock: createFakeClock(), random: createSeededRandom(seed), onWake, wake: () => wake() }
}

export class ScriptedSocket implements SessionSocket {
  static opened: ScriptedSocket[] = []
  readonly protocols: readonly string[]
  readonly sent: string[] = []
  isClosed = false
  onopen: SessionSocket['onopen'] = null
  onmessage: SessionSocket['onmessage'] = null
  onerror: SessionSocket['onerror'] = null
  onclose: SessionSocket['onclose'] = null

  constructor(_: string, protocols: string[]) {
    this.protocols = protocols
    ScriptedSocket.opened.push(this)
  }

  send(text: string): void {
    this.sent.push(text)
  }

  close(): void {
    this.isClosed = true
  }

  fire(type: 'open' | 'message' | 'close' | 'error', data?: unknown): void {
    this[`on${type}`]?.({ data } as never)
  }
}
