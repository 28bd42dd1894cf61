// Verify. Walks a session's log from its first entry: every hash follows from the one before, no version is left out, and what the entries make of
// the session is what is stored. It needs nothing but the log, so that anybody who was given it can do the same.
// Invariants:
//   WT3. The first entry that was changed, left out, or put in between is named, and why it is none; what comes after it is not vouched for.

import { type Ctx, RipstopError } from '@ripstop/kernel'
import { apply, createSession, type SessionState } from '@ripstop/protocol/sessions'
import { decodeBody, encodeBody, hashOf, type LogEntry, NO_HEAD, readLine } from '#session-log'
import type { SessionRef, SessionStore } from '#session-stores'

const PAGE = 500

export type Fault =
  /** A version is missing before it, or at the end. */
  | 'gap'
  /** An epoch that had passed. */
  | 'epoch'
  /** Its hash is not that of its text and the entry before. */
  | 'hash'
  /** Its text does not say what the entry is said to be, or can't be read. */
  | 'text'
  /** The session as it is stored is not what its log makes of it. */
  | 'state'

export interface Verdict {
  readonly isValid: boolean
  /** That were looked at and found good. */
  readonly entries: number
  readonly epochs: readonly number[]
  readonly head: string
  /** The first that is broken. */
  readonly broken: { readonly epoch: number; readonly version: number; readonly fault: Fault } | undefined
}

/** Throws SESSION_NOT_FOUND where there is neither a session nor a log of one; what was deleted is verified as far as its log goes. */
export async function verifySession(
  ctx: Ctx,
  store: Pick<SessionStore, 'load' | 'log'>,
  ref: SessionRef,
): Promise<Verdict> {
  // First the session, then its log: what is committed meanwhile is left for the next time.
  const stored = await store.load(ctx, ref)
  const lastVersion = stored?.version ?? Number.POSITIVE_INFINITY
  const walk = new ChainWalk()
  for (let isMore = true; isMore && walk.broken === undefined && walk.entries < lastVersion; ) {
    const page = await store.log(ctx, {
      ...ref,
      afterVersion: walk.entries,
      limit: Math.min(PAGE, lastVersion - walk.entries),
    })
    for (const entry of page) if (!walk.add(entry)) break
    isMore = page.length > 0
  }
  const { broken } = walk
  if (broken !== undefined) return walk.verdict(broken)
  if (stored === undefined) {
    if (walk.entries > 0) return walk.verdict(undefined)
    throw new RipstopError('SESSION_NOT_FOUND', 'there is no such session')
  }
  const { epoch, version } = stored
  if (walk.entries < version) return walk.verdict({ epoch, version: walk.entries + 1, fault: 'gap' })
  const isSame = stored.head === walk.head && isSameState(walk.state, stored.body)
  return walk.verdict(isSame ? undefined : { epoch, version, fault: 'state' })
}

function isSameState(state: SessionState | undefined, text: string): boolean {
  if (state === undefined) return false
  const body = decodeBody(text)
  return encodeBody({ ...body, state, fixed: undefined }) === encodeBody({ ...body, fixed: undefined })
}

class ChainWalk {
  state: SessionState | undefined
  head = NO_HEAD
  entries = 0
  broken: Verdict['broken']
  readonly #epochs = new Set<number>()
  #epoch = 0

  /** False: it is broken. */
  add(entry: LogEntry): boolean {
    const fault = this.#faultOf(entry)
    if (fault !== undefined) {
      this.broken = { epoch: entry.epoch, version: entry.version, fault }
      return false
    }
    this.head = entry.hash
    this.entries++
    this.#epoch = entry.epoch
    this.#epochs.add(entry.epoch)
    return true
  }

  /** The state is moved on where there is none. */
  #faultOf(entry: LogEntry): Fault | undefined {
    if (entry.version !== this.entries + 1) return 'gap'
    if (entry.epoch < this.#epoch) return 'epoch'
    if (entry.hash !== hashOf(this.head, entry.text)) return 'hash'
    try {
      const { event, epoch } = readLine(entry)
      if (event.version !== entry.version || epoch !== entry.epoch) return 'text'
      if (event.kind === 'created') {
        if (this.state !== undefined) return 'text'
        this.state = createSession(event.rules, event.atMs)
        return undefined
      }
      if (this.state === undefined) return 'text'
      this.state = apply(this.state, event)
      return undefined
    } catch {
      return 'text' // whatever it is, it is no entry
    }
  }

  verdict(broken: Verdict['broken']): Verdict {
    const { entries, head } = this
    return { isValid: broken === undefined, entries, epochs: [...this.#epochs], head, broken }
  }
}
