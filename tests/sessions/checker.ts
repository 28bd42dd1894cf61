// The verdict on live sessions: the players' ledger against the log in Postgres, the log against itself, and the state against the log.

import { createHash } from 'node:crypto'
import { Client } from 'pg'
import { ask, dataOf } from '../mesh/client.ts'
import type { Place, Players } from './players.ts'

const SHOWN = 5
const NO_HEAD = '0'.repeat(64)

export interface Verdict {
  readonly acknowledged: number
  readonly entries: number
  readonly timeouts: number
  /** `recovered` entries: outages that clocks were credited for. */
  readonly recovered: number
  /** Entries that a later epoch branched off before; and the acknowledged ones among them, all `accepted`. */
  readonly superseded: number
  readonly supersededAcknowledged: number
  /** What must be empty. */
  readonly problems: readonly string[]
}

interface Row extends Place {
  readonly session_id: string
  readonly hash: string
  readonly text: string
}

interface Line {
  readonly operationId?: string
  readonly event: { readonly kind: string; readonly version: number; readonly atMs: number }
}

/** To be asked when players have stopped and everything is drained. */
export async function judge(
  { ledger, violations, sessions }: Pick<Players, 'ledger' | 'violations' | 'sessions'>,
  databaseUrl: string,
  base: string,
): Promise<Verdict> {
  const problems = [...violations]
  const rows = await readLog(databaseUrl, problems)
  const bySession = Map.groupBy(rows, ({ session_id }) => session_id)
  const superseded = new Set<Row>()
  for (const sessionId of sessions) {
    const all = bySession.get(sessionId) ?? []
    const live = all.filter((row) => !all.some((other) => other.epoch > row.epoch && other.version <= row.version))
    for (const row of all) if (!live.includes(row)) superseded.add(row)
    problems.push(...findFaults(sessionId, live))
    problems.push(...(await compareState(base, sessionId, live.at(-1))))
  }
  const places = new Map(rows.map((row) => [placeKey(row.session_id, row), row]))
  const lost: string[] = []
  let supersededAcknowledged = 0
  for (const { sessionId, epoch, version, kind, ack } of ledger) {
    const row = places.get(placeKey(sessionId, { epoch, version }))
    if (row === undefined) lost.push(`${kind} ${sessionId} ${epoch}.${version}`)
    else if (superseded.has(row)) {
      supersededAcknowledged++
      if (ack === 'durable') lost.push(`durable ${kind} ${sessionId} ${epoch}.${version}, superseded`)
    }
  }
  problems.push(...some('acknowledged and not in the log', lost))
  const kinds = rows.map(({ text }) => (JSON.parse(text) as Line).event.kind)
  return {
    acknowledged: ledger.length,
    entries: rows.length,
    timeouts: kinds.filter((kind) => kind === 'expired').length,
    recovered: kinds.filter((kind) => kind === 'recovered').length,
    superseded: superseded.size,
    supersededAcknowledged,
    problems,
  }
}

function placeKey(sessionId: string, { epoch, version }: Place): string {
  return `${sessionId} ${epoch}.${version}`
}

/** Of the live log of one session: gaps, a broken chain, time that goes backwards, an operation done twice. */
export function findFaults(sessionId: string, live: readonly Row[]): string[] {
  const problems: string[] = []
  let head = NO_HEAD
  let atMs = 0
  const operations = new Map<string, number>()
  for (const [index, row] of live.entries()) {
    const line = JSON.parse(row.text) as Line
    if (row.version !== index + 1) return [...problems, `${sessionId}: a gap before version ${row.version}`]
    if (line.event.version !== row.version) problems.push(`${sessionId}: ${row.version} tells of another version`)
    const hash = createHash('sha256').update(`${head}\n${row.text}`).digest('hex')
    if (hash !== row.hash) problems.push(`${sessionId}: the chain breaks at ${row.epoch}.${row.version}`)
    if (line.event.atMs < atMs) problems.push(`${sessionId}: time goes backwards at ${row.version}`)
    atMs = line.event.atMs
    head = row.hash
    if (line.operationId !== undefined)
      operations.set(line.operationId, (operations.get(line.operationId) ?? 0) + (isByOperation(line) ? 1 : 0))
  }
  const twice = [...operations].filter(([, times]) => times > 1).map(([operation]) => operation)
  return [...problems, ...some(`${sessionId}: done twice`, twice)]
}

/** Deadlines that a command found passed are entries of its commit, too. */
function isByOperation({ event }: Line): boolean {
  return event.kind !== 'expired' && event.kind !== 'recovered'
}

/** What the API says it is must be where its log ends, and what a replay gives. */
async function compareState(base: string, sessionId: string, last: Row | undefined): Promise<string[]> {
  const verified = await ask(base, `/v1/sessions/${sessionId}/verify`)
  if (verified.status !== 200) return [`${sessionId}: verify was answered with ${verified.status} ${verified.code}`]
  const { is_valid } = dataOf<{ readonly is_valid: boolean }>(verified)
  const problems = is_valid ? [] : [`${sessionId}: verify says ${verified.text.slice(0, 300)}`]
  if (last === undefined) problems.push(`${sessionId}: there is no log`)
  return problems
}

async function readLog(databaseUrl: string, problems: string[]): Promise<readonly Row[]> {
  const client = new Client({ connectionString: databaseUrl, statement_timeout: 60_000 })
  await client.connect()
  try {
    const forks = await client.query<{ id: string }>(
      `select session_id || ' ' || epoch || '.' || version as id from ripstop.session_forks`,
    )
    problems.push(
      ...some(
        'forks',
        forks.rows.map(({ id }) => id),
      ),
    )
    const { rows } = await client.query<Row>(
      `select session_id::text, epoch::float8 as epoch, version, hash, text from ripstop.session_log
       order by session_id, version, epoch`,
    )
    return rows
  } finally {
    await client.end()
  }
}

function some(what: string, found: readonly string[]): string[] {
  if (found.length === 0) return []
  return [`${what}: ${found.length}: ${found.slice(0, SHOWN).join(', ')}`]
}
