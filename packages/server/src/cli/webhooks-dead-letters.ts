// Dead letters in the terminal: what is not tried any more by itself, and sending it again.

import type { DeadLetterWire, ReplayWire } from '@ripstop/protocol'
import { formatAge, parseMoment, parseNumber } from './moments.ts'
import { formatTable } from './terminal.ts'
import { type Asked, verb, WrongUse } from './verbs.ts'
import { watchReplay } from './webhooks-replay.ts'

const REASONS = ['exhausted', 'refused', 'unknown', 'deleted', 'overflow', 'expired']

const SELECTOR = {
  endpoint: { type: 'string' },
  reason: { type: 'string' },
  since: { type: 'string' },
  until: { type: 'string' },
} as const

export const deadLetterVerbs = [
  verb({
    usage: 'dead-letters list [--endpoint ID] [--reason exhausted] [--since 2d] [--until 1h] [--limit 50]',
    summary: `newest first; --reason ${REASONS.join('|')}`,
    options: { ...SELECTOR, limit: { type: 'string', default: '50' } },
    run: async ({ mesh, values, show }) => {
      const limit = parseNumber('--limit', values.limit)
      const found = await mesh.list<DeadLetterWire>('/v1/dead-letters', limit, selectorOf(values))
      show(found, () => formatDeadLetters(found))
      return 0
    },
  }),
  verb({
    usage:
      'dead-letters redrive [ID…] [--endpoint ID] [--reason exhausted] [--since 2d] [--until 1h] [--all] [--no-wait]',
    summary: 'sends dead letters again: those named, or all that fit',
    options: { ...SELECTOR, all: { type: 'boolean' }, 'no-wait': { type: 'boolean' } },
    run: async (asked) => {
      const { values, words } = asked
      const selector = selectorOf(values)
      const isNarrowed = Object.values(selector).some((value) => value !== undefined)
      if (words.length > 0 && isNarrowed)
        throw new WrongUse('name dead letters by ID, or choose them by options; not both')
      if (words.length > 0) return redriveNamed(asked, words)
      if (!isNarrowed && values.all !== true)
        throw new WrongUse('which ones? Name them by ID, narrow with --endpoint, --reason, --since, or write --all')
      const replay = await asked.mesh.write<ReplayWire>('POST', '/v1/dead-letters/redrive', selector)
      return watchReplay(asked, replay, values['no-wait'] !== true)
    },
  }),
]

type Selection = { readonly [Name in keyof typeof SELECTOR]?: string | undefined }

function selectorOf({ endpoint, reason, since, until }: Selection): Readonly<Record<string, string | undefined>> {
  if (reason !== undefined && !REASONS.includes(reason))
    throw new WrongUse(`--reason takes one of ${REASONS.join(', ')}`)
  return {
    endpoint_id: endpoint,
    reason,
    since: since === undefined ? undefined : parseMoment('--since', since),
    until: until === undefined ? undefined : parseMoment('--until', until),
  }
}

async function redriveNamed({ terminal, mesh }: Asked<unknown>, ids: readonly string[]): Promise<number> {
  for (const id of ids) {
    await mesh.write('POST', `/v1/dead-letters/${encodeURIComponent(id)}/redrive`)
    terminal.out(`${id} is sent again\n`)
  }
  return 0
}

function formatDeadLetters(found: readonly DeadLetterWire[]): string {
  if (found.length === 0) return 'none'
  const rows = found.map((dead) => [
    dead.delivery_id,
    formatAge(dead.dead_at),
    dead.reason,
    [dead.status, dead.code].filter((part) => part !== null).join(' '),
    `${dead.attempts_made} attempts`,
    dead.endpoint_id,
    dead.event_id,
  ])
  return formatTable([['DELIVERY', 'DEAD', 'REASON', 'LAST ANSWER', 'TRIED', 'ENDPOINT', 'EVENT'], ...rows])
}
