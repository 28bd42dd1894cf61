// Who watches which session, in one process. Commits are told in rising order of (epoch, version): what comes by two ways, or late, is
// told once; a watcher that sees by `from` that something is missing loads.

import type { FeedMessage, SessionRef } from './store.ts'

type Listener = (message: FeedMessage) => void

interface Watched {
  readonly ref: SessionRef
  /** Objects, for the same function may watch twice. */
  readonly listeners: Set<{ readonly hear: Listener }>
  /** How far it was told of; infinite: it was deleted. */
  epoch: number
  version: number
}

export interface Watchers {
  /** The sessions that somebody watches. */
  readonly refs: readonly SessionRef[]
  readonly size: number
  readonly has: (ref: SessionRef) => boolean
  readonly add: (ref: SessionRef, hear: Listener) => Disposable
  /** Tells those who watch the session. False: nobody does, or they know. */
  readonly tell: (message: FeedMessage) => boolean
  /** Tells every one that it may have missed something. */
  readonly tellGap: () => void
}

export function createWatchers(): Watchers {
  const watched = new Map<string, Watched>()
  const keyOf = ({ tenantId, sessionId }: SessionRef): string => `${tenantId}/${sessionId}`
  const add = ({ tenantId, sessionId }: SessionRef, hear: Listener): Disposable => {
    const key = keyOf({ tenantId, sessionId })
    const of = watched.get(key) ?? { ref: { tenantId, sessionId }, listeners: new Set(), epoch: 0, version: 0 }
    watched.set(key, of)
    const listener = { hear }
    of.listeners.add(listener)
    return {
      [Symbol.dispose]: () => {
        of.listeners.delete(listener)
        if (of.listeners.size === 0 && watched.get(key) === of) watched.delete(key)
      },
    }
  }
  const tell = (message: FeedMessage): boolean => {
    const of = watched.get(keyOf(message.ref))
    if (of === undefined || !isNews(of, message)) return false
    for (const { hear } of of.listeners) hear(message)
    return true
  }
  return {
    get refs() {
      return Array.from(watched.values(), ({ ref }) => ref)
    },
    get size() {
      return watched.size
    },
    has: (ref) => watched.has(keyOf(ref)),
    add,
    tell,
    tellGap: () => {
      for (const { ref } of [...watched.values()]) tell({ kind: 'gap', ref })
    },
  }
}

/** Whether it tells of more than is known; then that is known. */
function isNews(of: Watched, message: FeedMessage): boolean {
  if (message.kind === 'gap') return true
  const last = message.kind === 'deleted' ? { epoch: Number.POSITIVE_INFINITY, version: 0 } : message.entries.at(-1)
  if (last === undefined || last.epoch < of.epoch || (last.epoch === of.epoch && last.version <= of.version))
    return false
  of.epoch = last.epoch
  of.version = last.version
  return true
}
