import { RipstopError } from '@ripstop/kernel'
import type { PageQuery } from '@ripstop/protocol'

const ID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/

/** Throws BAD_REQUEST for a cursor that is not ours. */
export function afterOf({ cursor }: Pick<PageQuery, 'cursor'>): string | undefined {
  const after = cursor === undefined ? undefined : Buffer.from(cursor, 'base64url').toString('latin1')
  if (after === undefined || ID.test(after)) return after
  const problems = [{ field: 'query.cursor', problem: 'is not a next_cursor of this list' }]
  throw new RipstopError('BAD_REQUEST', 'query.cursor is not a next_cursor of this list', { details: { problems } })
}

export function cursorOf(id: string | undefined): string | null {
  return id === undefined ? null : Buffer.from(id).toString('base64url')
}
