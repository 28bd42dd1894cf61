// The verdict after a race: what was acknowledged is in the log, once, what was refused is not, and the log is a whole one.

import type { Ctx } from '@ripstop/kernel'
import { readLine } from '#session-log'
import type { SessionRef, SessionStore } from '#session-stores'
import { verifySession } from './verify.ts'

/** What a caller was told of one operation. */
export interface Told {
  readonly operationId: string
  /** `refused`: it was promised that nothing was done. */
  readonly outcome: 'done' | 'refused' | 'unknown'
  /** Of the last entry that it made. */
  readonly version?: number | undefined
}

export interface Raced {
  /** Entries by their kind. */
  readonly kinds: Readonly<Record<string, number>>
  /** Of each fall: how long after it it was decided. */
  readonly lateMs: readonly number[]
  readonly problems: readonly string[]
}

export async function checkRace(
  ctx: Ctx,
  store: Pick<SessionStore, 'load' | 'log'>,
  ref: SessionRef,
  told: readonly Told[],
): Promise<Raced> {
  const problems: string[] = []
  const verdict = await verifySession(ctx, store, ref)
  if (!verdict.isValid) problems.push(`the log is broken: ${JSON.stringify(verdict.broken)}`)
  const entries = await store.log(ctx, { ...ref, afterVersion: 0, limit: 1_000_000 })
  const versionOf = new Map<string, number>()
  const kinds: Record<string, number> = {}
  const lateMs: number[] = []
  for (const entry of entries) {
    const { event, operationId, decidedMs } = readLine(entry)
    kinds[event.kind] = (kinds[event.kind] ?? 0) + 1
    if (event.kind === 'expired') lateMs.push(decidedMs - event.atMs)
    if (operationId === undefined) continue
    if (versionOf.has(operationId)) problems.push(`${operationId} was done twice`)
    versionOf.set(operationId, event.version)
  }
  for (const { operationId, outcome, version } of told) {
    const found = versionOf.get(operationId)
    if (outcome === 'refused' && found !== undefined) problems.push(`${operationId} was refused, and done`)
    if (outcome !== 'done') continue
    if (found === undefined) problems.push(`${operationId} was acknowledged, and is lost`)
    else if (version !== undefined && found !== version)
      problems.push(`${operationId} is at ${found}, not at ${version}`)
  }
  return { kinds, lateMs, problems }
}
