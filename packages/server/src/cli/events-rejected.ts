// What came through the outbox and is no event: kept until somebody mends the type or gives it up.

import type { RejectedEventWire } from '@ripstop/protocol'
import { formatAge, parseNumber } from './moments.ts'
import { formatTable } from './terminal.ts'
import { verb } from './verbs.ts'

export const rejectedVerbs = [
  verb({
    usage: 'rejected list [--limit 50]',
    summary: 'newest first, with what is wrong',
    options: { limit: { type: 'string', default: '50' } },
    run: async ({ mesh, values, show }) => {
      const found = await mesh.list<RejectedEventWire>('/v1/rejected-events', parseNumber('--limit', values.limit))
      show(found, () => formatRejected(found))
      return 0
    },
  }),
  verb({
    usage: 'rejected redrive ID…',
    summary: 'puts them back into the outbox, once their type is mended',
    run: async ({ terminal, mesh, words }) => {
      for (const id of words) {
        await mesh.write('POST', `/v1/rejected-events/${encodeURIComponent(id)}/redrive`)
        terminal.out(`${id} is back in the outbox\n`)
      }
      return 0
    },
  }),
]

function formatRejected(found: readonly RejectedEventWire[]): string {
  if (found.length === 0) return 'none'
  const rows = found.map(({ rejected_id: id, rejected_at: at, code, event, problems }) => {
    const type = typeof event === 'object' && event !== null && 'type' in event ? String(event.type) : ''
    return [id, formatAge(at), type, code, problems.map(({ field, problem }) => `${field} ${problem}`).join('; ')]
  })
  return formatTable([['ID', 'REJECTED', 'TYPE', 'CODE', 'WHAT IS WRONG'], ...rows])
}
