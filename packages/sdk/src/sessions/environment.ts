// What a program stands in: the only file of this folder that reaches for globals of a browser or of Node. Time and chance are
// the kernel's. Everything can be replaced, so that tests own clocks and connections.

import { type Clock, type Random, systemClock, systemRandom } from '@ripstop/kernel'

/** `never`, so that the listeners of every library fit. */
type Listener = ((event: never) => void) | null

/** What is used of a WebSocket: a browser's, Node's own, or that of `ws`. */
export interface SessionSocket {
  onopen: Listener
  onmessage: Listener
  onerror: Listener
  onclose: Listener
  send(text: string): void
  close(code?: number, reason?: string): void
}

export type SessionSocketClass = new (url: string, protocols: string[]) => SessionSocket

export interface SessionEnvironment {
  readonly clock: Clock
  readonly random: Random
  /** Calls `listener` when the program may have slept, or the network came back; what it returns ends that. */
  readonly onWake: (listener: () => void) => () => void
}

interface Page {
  addEventListener(type: string, listener: () => void): void
  removeEventListener(type: string, listener: () => void): void
}

export const systemEnvironment: SessionEnvironment = {
  clock: systemClock,
  random: systemRandom,
  onWake: (listener) => {
    // Node has neither.
    const { document, addEventListener, removeEventListener } = globalThis as Partial<Page> & {
      readonly document?: Page & { readonly visibilityState: string }
    }
    const onVisible = (): void => {
      if (document?.visibilityState === 'visible') listener()
    }
    document?.addEventListener('visibilitychange', onVisible)
    if (document !== undefined) addEventListener?.('online', listener)
    return () => {
      document?.removeEventListener('visibilitychange', onVisible)
      if (document !== undefined) removeEventListener?.('online', listener)
    }
  },
}

/** Undefined: there is none, as in Node before 22. */
export function systemSocketClass(): SessionSocketClass | undefined {
  return (globalThis as { readonly WebSocket?: unknown }).WebSocket as SessionSocketClass | undefined
}

export type Fetch = (
  url: string,
  request: {
    readonly method: string
    readonly headers: Record<string, string>
    readonly body?: string
    readonly signal: AbortSignal
  },
) => Promise<{
  readonly status: number
  readonly headers: { get(name: string): string | null }
  text(): Promise<string>
}>

export function systemFetch(): Fetch {
  return (url, request) => fetch(url, request)
}
