// Pages of this module's lists. A cursor is the id of the last entry shown, so that a page holds whatever came meanwhile out.

import { RipstopError } from '@ripstop/kernel'
import type { PageQuery } from '@ripstop/protocol'

export const ID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/
export const NUMBER = /^[0-9]{1,18}$/
export const TYPE_NAME = /^[A-Za-z0-9_][A-Za-z0-9._:/-]{0,127}$/

/** One more than is shown tells whether there is a next page. Throws BAD_REQUEST for a cursor that is not ours. */
export function toPage(
  { cursor, limit }: PageQuery,
  form: RegExp,
): { readonly after: string | undefined; readonly limit: number } {
  const after = cursor === undefined ? undefined : Buffer.from(cursor, 'base64url').toString('latin1')
  if (after !== undefined && !form.test(after)) {
    const problems = [{ field: 'query.cursor', problem: 'is not a next_cursor of this list' }]
    throw new RipstopError('BAD_REQUEST', 'query.cursor is not a next_cursor of this list', { details: { problems } })
  }
  return { after, limit: limit + 1 }
}

export function toList<T, W>(
  { limit }: PageQuery,
  found: readonly T[],
  toWire: (entry: T) => W,
  idOf: (entry: T) => string,
): { readonly data: W[]; readonly next_cursor: string | null } {
  const shown = found.slice(0, limit)
  const last = shown.at(-1)
  const more = found.length > limit && last !== undefined
  return { data: shown.map(toWire), next_cursor: more ? Buffer.from(idOf(last)).toString('base64url') : null }
}

export function toTime(wallMs: number): string {
  return new Date(wallMs).toISOString()
}
