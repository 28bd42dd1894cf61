// The verdict: the publishers' ledger against the receivers' inboxes, and both against what the database says.

import { Client } from 'pg'
import type { Publishers } from './publishers.ts'
import type { Receiver } from './receiver.ts'

const SHOWN = 5

export interface Verdict {
  readonly published: number
  readonly applied: number
  /** Messages that came over the wire beyond the first of each. */
  readonly repeated: number
  readonly attempts: number
  readonly mayRepeat: number
  /** What must be empty. */
  readonly problems: readonly string[]
}

export interface Party {
  readonly receiver: Receiver
  readonly isOrdered: boolean
}

/** How many publishes a receiver has not applied. */
export function countMissing({ ledger }: Pick<Publishers, 'ledger'>, { timesApplied }: Receiver): number {
  return ledger.reduce((missing, { id }) => missing + (timesApplied.has(id) ? 0 : 1), 0)
}

/** To be asked when everything is drained. */
export async function judge(publishers: Publishers, parties: readonly Party[], databaseUrl: string): Promise<Verdict> {
  const problems = [...publishers.violations]
  for (const party of parties) problems.push(...findProblems(publishers, party))
  const database = await askDatabase(databaseUrl, publishers.ledger.length * parties.length)
  const applied = parties.reduce((total, { receiver }) => total + receiver.applied.length, 0)
  const received = parties.reduce((total, { receiver }) => total + receiver.received(), 0)
  return {
    published: publishers.ledger.length,
    applied,
    repeated: received - applied,
    attempts: database.attempts,
    mayRepeat: database.mayRepeat,
    problems: [...problems, ...database.problems],
  }
}

/** Of one receiver, without the database. */
export function findProblems(
  { ledger, rolledBack }: Pick<Publishers, 'ledger' | 'rolledBack'>,
  { receiver, isOrdered }: Party,
): string[] {
  const { name, timesApplied, violations } = receiver
  const known = new Set(ledger.map(({ id }) => id))
  const ids = [...timesApplied.keys()]
  return [
    ...violations,
    ...some(
      `${name}: lost`,
      ledger.filter(({ id }) => !timesApplied.has(id)).map(({ id }) => id),
    ),
    ...some(
      `${name}: applied more than once`,
      ids.filter((id) => timesApplied.get(id) !== 1),
    ),
    ...some(
      `${name}: applied though it was rolled back`,
      ids.filter((id) => rolledBack.has(id)),
    ),
    ...some(
      `${name}: applied and in no ledger`,
      ids.filter((id) => !known.has(id) && !rolledBack.has(id)),
    ),
    ...(isOrdered ? some(`${name}: out of order`, findDisorder(receiver)) : []),
  ]
}

/** Of each key the first applications must come in the order of publishing. */
function findDisorder({ applied }: Receiver): string[] {
  const last = new Map<string, number>()
  const wrong: string[] = []
  const seen = new Set<string>()
  for (const { id, key = '', seq } of applied) {
    if (seen.has(id)) continue
    seen.add(id)
    const before = last.get(key) ?? 0
    if (seq <= before) wrong.push(`${id} after ${before}`)
    last.set(key, Math.max(before, seq))
  }
  return wrong
}

function some(what: string, found: readonly string[]): string[] {
  if (found.length === 0) return []
  return [`${what}: ${found.length}: ${found.slice(0, SHOWN).join(', ')}`]
}

/** Each must give no row. */
const EMPTY: Readonly<Record<string, string>> = {
  'events left in the outbox': 'select outbox_id::text as id from ripstop.outbox',
  'undone deliveries': 'select delivery_id::text as id from ripstop.deliveries',
  'dead letters': `select delivery_id || ' ' || reason || ' ' || coalesce(code, '') as id from ripstop.dead_letters`,
  'rejected events': `select rejected_id || ' ' || code || ' ' || problems as id from ripstop.rejected_events`,
  'deliveries settled twice': `select delivery_id::text as id from ripstop.attempts where outcome = 'delivered'
    group by delivery_id having count(*) > 1`,
  'orphans: events without all their deliveries': `select e.event_id::text as id from ripstop.events e
    left join (select message_id, count(distinct delivery_id) as made from ripstop.attempts
      where outcome = 'delivered' group by message_id) a on a.message_id = e.event_id
    where e.fan_out <> coalesce(a.made, 0)`,
  'deliveries of no event': `select a.delivery_id::text as id from ripstop.attempts a
    where not exists (select from ripstop.events e where e.event_id = a.message_id)`,
}

async function askDatabase(
  url: string,
  wanted: number,
): Promise<{ readonly attempts: number; readonly mayRepeat: number; readonly problems: string[] }> {
  const client = new Client({ connectionString: url, statement_timeout: 60_000 })
  await client.connect()
  try {
    const problems: string[] = []
    for (const [what, text] of Object.entries(EMPTY)) {
      const { rows } = await client.query<{ id: string }>(text)
      problems.push(
        ...some(
          what,
          rows.map(({ id }) => id),
        ),
      )
    }
    const { rows } = await client.query<Record<'attempts' | 'delivered' | 'repeats', string>>(
      `select count(*) as attempts, count(*) filter (where outcome = 'delivered') as delivered,
       count(*) filter (where may_repeat) as repeats from ripstop.attempts`,
    )
    const { attempts = 0, delivered = 0, repeats = 0 } = rows[0] ?? {}
    if (Number(delivered) !== wanted) problems.push(`${delivered} deliveries are recorded as done, not ${wanted}`)
    return { attempts: Number(attempts), mayRepeat: Number(repeats), problems }
  } finally {
    await client.end()
  }
}
