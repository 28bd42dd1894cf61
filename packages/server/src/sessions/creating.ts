// The creation of a session. An id is taken once, so that creating may be repeated, by us or by who asked, until it is known to be done.

import { type Ctx, isRipstopError, RipstopError } from '@ripstop/kernel'
import { createSession } from '@ripstop/protocol/sessions'
import { pause } from '#platform/pause'
import { createEntry, decodeBody, encodeBody, type LogEntry, NO_HEAD } from '#session-log'
import type { StoredSession } from '#session-stores'
import { type CommandDeps, conflict, mayHaveBeenDone } from './commanding.ts'
import { createHeld, type HeldSession, lowerLevel } from './held.ts'
import type { CommandOptions, NewSession } from './service.ts'

const ROUNDS_MAX = 6
const AGAIN_MS = 50

type CreateDeps = Pick<CommandDeps, 'env' | 'store' | 'authority'>

interface Asked extends Pick<CommandOptions, 'actor' | 'operationId'> {
  readonly nonce: string
}

export interface CreateEnd {
  readonly held: HeldSession
  readonly isRepeated: boolean
}

/** Throws CONFLICT where the id is taken by another session. */
export async function createStored(deps: CreateDeps, ctx: Ctx, session: NewSession, asked: Asked): Promise<CreateEnd> {
  const { env, store, authority } = deps
  const atMs = authority.nowMs()
  const tried = new Set<string>()
  let unknown: RipstopError | undefined
  for (let round = 0; round < ROUNDS_MAX; round++) {
    const term = authority.term()
    const { stored, first } = createFirst(session, asked, term.epoch, atMs)
    tried.add(first.hash)
    const { level } = store
    try {
      const { kind } = await store.create(ctx, stored, first)
      // Read anew, so that a caller who keeps what it gave can't change what is remembered.
      if (kind === 'created') return { held: createHeld(stored, level), isRepeated: false }
      if (kind === 'exists') return await findExisting(deps, ctx, stored, unknown === undefined ? NONE : tried)
      await authority.renew(ctx, term)
    } catch (error) {
      if (unknown === undefined && !mayHaveBeenDone(error)) throw error
      if (!isRipstopError(error) || !error.retry) throw unknown ?? error
      unknown ??= error
      try {
        await pause(ctx, AGAIN_MS * 2 ** round * (0.5 + env.random() / 2))
      } catch {
        throw unknown // its time is over
      }
    }
  }
  throw unknown ?? new RipstopError('NOT_READY', 'the authority changes too often', { sent: 'no' })
}

const NONE: ReadonlySet<string> = new Set()

function createFirst(
  { ref: { tenantId, sessionId }, rules, metadata, timeoutEvent }: NewSession,
  { actor, operationId, nonce }: Asked,
  epoch: number,
  atMs: number,
): { readonly stored: StoredSession; readonly first: LogEntry } {
  const event = { kind: 'created', version: 1, atMs, rules, metadata, timeoutEvent } as const
  const line = { epoch, event, actor, receivedMs: atMs, decidedMs: atMs, nonce }
  const first = createEntry(NO_HEAD, operationId === undefined ? line : { ...line, operationId })
  const body = encodeBody({ state: createSession(rules, atMs), metadata, createdMs: atMs, timeoutEvent })
  const place = { tenantId, sessionId, epoch, version: 1, head: first.hash }
  return { stored: { ...place, body, status: 'pending', deadlineMs: undefined }, first }
}

/** The id is taken: by this very creation, which was tried before; by the same session, which makes this a repetition; or by another. */
async function findExisting(
  { store }: CreateDeps,
  ctx: Ctx,
  wanted: StoredSession,
  tried: ReadonlySet<string>,
): Promise<CreateEnd> {
  const { tenantId, sessionId } = wanted
  const { level } = store
  const stored = await store.load(ctx, { tenantId, sessionId })
  if (stored === undefined) throw new RipstopError('CONFLICT', 'a session of this id was deleted', { sent: 'no' })
  const held = createHeld(stored, lowerLevel(level, store.level))
  const { createdMs, fixed } = held.body
  const same = decodeBody(encodeBody({ ...decodeBody(wanted.body), createdMs, fixed: undefined })).fixed
  if (fixed !== same) throw conflict(held, 'another session has this id')
  return { held, isRepeated: !tried.has(held.head) }
}
