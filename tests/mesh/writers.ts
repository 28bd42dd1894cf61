// Clients that want each of their writes done once: they send the same Idempotency-Key until it is acknowledged, through
// whatever happens to the mesh, and look afterwards whether the database holds exactly what they were told.

import { createSeededRandom } from '@ripstop/kernel'
import { Client } from 'pg'
import { ask } from './client.ts'

const AGAIN_MS = 10
/** A write that nobody acknowledges for so long will never be. */
const PATIENCE_MS = 60_000
/** How many of the acknowledged ones are sent once more. */
const REPEATED = 0.3

export interface Acknowledged {
  readonly kind: 'tenant' | 'key'
  readonly name: string
  readonly id: string
}

export interface Writers {
  readonly acknowledged: readonly Acknowledged[]
  /** Answers that no client should get: a conflict with itself, another id at a repetition, none at all. */
  readonly violations: readonly string[]
  /** Requests that had no answer, or one that says to try again. */
  unanswered(): number
  /** Each brings its last write to an end, which needs a mesh that answers. */
  stop(): Promise<void>
}

export interface WritersOptions {
  readonly base: string
  /** Keeps their names apart from those of others. */
  readonly prefix: string
  readonly count: number
  readonly seed: number
  /** From an acknowledgement to the next write [0]. */
  readonly pauseMs?: number
}

/** `count` writers, each one write after another. */
export function startWriters({ base, prefix, count, seed, pauseMs = 0 }: WritersOptions): Writers {
  const acknowledged: Acknowledged[] = []
  const violations: string[] = []
  let unanswered = 0
  let stopping = false
  const send = async (kind: Acknowledged['kind'], name: string): Promise<string | undefined> => {
    const body = kind === 'tenant' ? { name } : { name, scopes: ['mesh:read'] }
    const path = kind === 'tenant' ? '/v1/tenants' : '/v1/keys'
    const answer = await ask(base, path, { method: 'POST', body, headers: { 'idempotency-key': `once-${name}` } })
    const data = (
      answer.json as { readonly data?: { readonly tenant_id: string; readonly key_id: string } } | undefined
    )?.data
    if (answer.status === 201 && data !== undefined) return kind === 'tenant' ? data.tenant_id : data.key_id
    unanswered++
    if (answer.status >= 400 && answer.status < 500) violations.push(`${name}: ${answer.status} ${answer.code}`)
    if (answer.code === 'HUNG') violations.push(`${name}: no answer`)
    return undefined
  }
  const write = async (kind: Acknowledged['kind'], name: string): Promise<string | undefined> => {
    const endMs = performance.now() + PATIENCE_MS
    while (performance.now() < endMs) {
      const id = await send(kind, name)
      if (id !== undefined) return id
      await pause(AGAIN_MS)
    }
    violations.push(`${name}: never acknowledged`)
    return undefined
  }
  const run = async (writer: number): Promise<void> => {
    const random = createSeededRandom(seed + writer)
    for (let number = 0; !stopping; number++) {
      const kind = number % 2 === 0 ? 'tenant' : 'key'
      const name = `${prefix}-${writer}-${number}`
      const id = await write(kind, name)
      if (id === undefined) return
      acknowledged.push({ kind, name, id })
      if (pauseMs > 0) await pause(pauseMs)
      if (random() > REPEATED) continue
      const again = await write(kind, name)
      if (again !== id) violations.push(`${name}: ${id} at first, ${again} when repeated`)
    }
  }
  const running = Array.from({ length: count }, (_, writer) => run(writer))
  return {
    acknowledged,
    violations,
    unanswered: () => unanswered,
    stop: async () => {
      stopping = true
      await Promise.all(running)
    },
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

/** What the database holds that was not acknowledged so, and what it lacks: empty if each write was done once. */
export async function findDifferences(
  url: string,
  prefix: string,
  acknowledged: readonly Acknowledged[],
): Promise<string[]> {
  const client = new Client({ connectionString: url })
  await client.connect()
  try {
    const wanted = acknowledged.map(({ kind, name, id }) => `${kind} ${name} ${id}`)
    const { rows } = await client.query<{ line: string }>(
      `select 'tenant ' || name || ' ' || tenant_id as line from ripstop.tenants where name like $1
       union all select 'key ' || name || ' ' || key_id from ripstop.api_keys where name like $1`,
      [`${prefix}-%`],
    )
    const audited = await client.query<{ line: string }>(
      `select replace(resource, ':', ' ' || (details ->> 'name') || ' ') as line from ripstop.audit_log
       where details ->> 'name' like $1 and outcome = 'done'`,
      [`${prefix}-%`],
    )
    const claimed = await client.query<{ line: string }>(
      'select idempotency_key as line from ripstop.idempotency where idempotency_key like $1',
      [`once-${prefix}-%`],
    )
    return [
      ...compare('database', wanted, rows),
      ...compare('audit log', wanted, audited.rows),
      ...compare(
        'idempotency',
        acknowledged.map(({ name }) => `once-${name}`),
        claimed.rows,
      ),
    ]
  } finally {
    await client.end()
  }
}

function compare(where: string, wanted: readonly string[], rows: readonly { readonly line: string }[]): string[] {
  const left = new Map<string, number>()
  for (const line of wanted) left.set(line, (left.get(line) ?? 0) + 1)
  for (const { line } of rows) left.set(line, (left.get(line) ?? 0) - 1)
  return [...left].flatMap(([line, count]) => {
    if (count === 0) return []
    return [`${where}: ${line} is ${count > 0 ? 'lost' : 'there, and too often or unacknowledged'}`]
  })
}
