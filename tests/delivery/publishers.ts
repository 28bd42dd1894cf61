// Publishers that keep a ledger. Over HTTP, each sends the same event until it is acknowledged; in SQL, each writes an order
// and its event in one transaction of its own, some of which it rolls back on purpose. A key belongs to one publisher, which
// never publishes two of its events at the same time: so their order is promised.

import { createSeededRandom, type Random } from '@ripstop/kernel'
import { Client } from 'pg'
import { ask } from '../mesh/client.ts'

const AGAIN_MS = 20
/** A publish that nobody acknowledges for so long will never be. */
const PATIENCE_MS = 90_000
const CONNECT_MS = 2_000
const ROLLED_BACK = 0.1
const BATCHED = 0.2
const BATCH_MAX = 20
const FILLING = 'x'.repeat(600)

export const CHANNELS = ['http', 'outbox'] as const
export type Channel = (typeof CHANNELS)[number]

export interface Entry {
  readonly channel: Channel
  readonly id: string
  readonly key: string
  readonly seq: number
  /** When the publisher knew that it was taken. */
  readonly ackMs: number
}

export interface Publishers {
  readonly ledger: readonly Entry[]
  /** Ids that were rolled back: none of them may arrive. */
  readonly rolledBack: ReadonlySet<string>
  readonly violations: readonly string[]
  /** Requests and transactions without a known outcome, which were repeated. */
  readonly unanswered: () => number
  /** From now on each pauses so long between two publishes. */
  pace(pauseMs: number): void
  /** Each brings its last publish to an end, which needs a mesh that answers. */
  stop(): Promise<void>
}

export interface PublishersOptions {
  readonly base: string
  /** Where orders are written at this moment. */
  readonly databaseUrl: () => string
  readonly type: string
  readonly source: string
  readonly seed: number
  /** Publishers of each channel, with so many keys each. */
  readonly count: number
  readonly keys: number
  readonly pauseMs: number
}

interface Wire {
  readonly id: string
  readonly source: string
  readonly type: string
  readonly partitionkey: string
  readonly data: { readonly seq: number; readonly text: string }
}

/** The business table that the outbox's publishers write to. */
export async function createShop(databaseUrl: string): Promise<void> {
  const client = new Client({ connectionString: databaseUrl })
  await client.connect()
  try {
    await client.query('create schema shop; create table shop.orders (id text primary key, key text, seq integer)')
  } finally {
    await client.end()
  }
}

export function startPublishers(options: PublishersOptions): Publishers {
  const state = new PublisherState(options)
  const running = Array.from({ length: options.count }, (_, index) => [
    state.runHttp(index, createSeededRandom(options.seed + index)),
    state.runOutbox(index, createSeededRandom(options.seed + 1_000 + index)),
  ]).flat()
  return {
    ledger: state.ledger,
    rolledBack: state.rolledBack,
    violations: state.violations,
    unanswered: () => state.unanswered,
    pace: (pauseMs) => {
      state.pauseMs = pauseMs
    },
    stop: async () => {
      state.stopping = true
      await Promise.all(running)
    },
  }
}

class PublisherState {
  readonly ledger: Entry[] = []
  readonly rolledBack = new Set<string>()
  readonly violations: string[] = []
  unanswered = 0
  stopping = false
  pauseMs: number
  readonly #options: PublishersOptions

  constructor(options: PublishersOptions) {
    this.#options = options
    this.pauseMs = options.pauseMs
  }

  async runHttp(publisher: number, random: Random): Promise<void> {
    const seqs = new Map<string, number>()
    while (!this.stopping) {
      // A batch takes each key once at most: within one request there is an order, but it would be another promise.
      const size = random() < BATCHED ? 2 + Math.floor(random() * (BATCH_MAX - 2)) : 1
      const keys = this.#drawKeys('http', publisher, size, random)
      const events = keys.map((key) => this.#next(key, seqs))
      await this.#untilTaken(events)
      await pause(this.pauseMs * (0.5 + random()))
    }
  }

  #drawKeys(channel: Channel, publisher: number, size: number, random: Random): string[] {
    const keys = Array.from({ length: this.#options.keys }, (_, index) => `${channel}-${publisher}-${index}`)
    return keys
      .map((key) => ({ key, at: random() }))
      .sort((one, other) => one.at - other.at)
      .slice(0, size)
      .map(({ key }) => key)
  }

  #next(key: string, seqs: Map<string, number>): Wire {
    const { source, type } = this.#options
    const seq = (seqs.get(key) ?? 0) + 1
    seqs.set(key, seq)
    return { id: `${key}-${seq}`, source, type, partitionkey: key, data: { seq, text: FILLING } }
  }

  #acknowledge(channel: Channel, { id, partitionkey, data }: Wire): void {
    this.ledger.push({ channel, id, key: partitionkey, seq: data.seq, ackMs: performance.now() })
  }

  async #untilTaken(events: readonly Wire[]): Promise<void> {
    const endMs = performance.now() + PATIENCE_MS
    let left = events
    while (left.length > 0) {
      if (performance.now() > endMs) {
        this.violations.push(`${left.map(({ id }) => id).join(', ')}: never acknowledged`)
        return
      }
      const taken = await this.#send(left)
      for (const event of left) if (taken.has(event.id)) this.#acknowledge('http', event)
      left = left.filter(({ id }) => !taken.has(id))
      if (left.length > 0) await pause(AGAIN_MS)
    }
  }

  /** The ids that were taken. */
  async #send(events: readonly Wire[]): Promise<ReadonlySet<string>> {
    const [only] = events
    const body = events.length === 1 && only !== undefined ? only : { events }
    const answer = await ask(this.#options.base, '/v1/events', { method: 'POST', body })
    if (answer.status >= 200 && answer.status < 300) return takenOf(answer.json, events)
    this.unanswered++
    const isRefused = answer.status >= 400 && answer.status < 500 && answer.status !== 429
    if (isRefused || answer.code === 'HUNG')
      this.violations.push(`publish ${events[0]?.id}: ${answer.status} ${answer.code} ${answer.text.slice(0, 200)}`)
    return new Set()
  }

  async runOutbox(publisher: number, random: Random): Promise<void> {
    const seqs = new Map<string, number>()
    await using connection = new Reconnecting(this.#options.databaseUrl)
    while (!this.stopping) {
      const [key = ''] = this.#drawKeys('outbox', publisher, 1, random)
      if (random() < ROLLED_BACK) await this.#rollBack(connection, key)
      else await this.#commit(connection, this.#next(key, seqs))
      await pause(this.pauseMs * (0.5 + random()))
    }
  }

  /** Until its order is there: a commit without an answer is looked up, and not guessed. */
  async #commit(connection: Reconnecting, event: Wire): Promise<void> {
    const endMs = performance.now() + PATIENCE_MS
    while (performance.now() < endMs) {
      try {
        const client = await connection.get()
        const known = await client.query('select 1 from shop.orders where id = $1', [event.id])
        if (known.rowCount === 0) await order(client, event, 'commit')
        this.#acknowledge('outbox', event)
        return
      } catch {
        this.unanswered++
        await connection.drop()
        await pause(AGAIN_MS)
      }
    }
    this.violations.push(`${event.id}: never committed`)
  }

  async #rollBack(connection: Reconnecting, key: string): Promise<void> {
    const { source, type } = this.#options
    const id = `${key}-rolled-back-${this.rolledBack.size}`
    this.rolledBack.add(id)
    const event = { id, source, type, partitionkey: key, data: { seq: 0, text: '' } }
    try {
      await order(await connection.get(), event, 'rollback')
    } catch {
      await connection.drop()
    }
  }
}

async function order(client: Client, event: Wire, end: 'commit' | 'rollback'): Promise<void> {
  await client.query('begin')
  await client.query('insert into shop.orders (id, key, seq) values ($1, $2, $3)', [
    event.id,
    event.partitionkey,
    event.data.seq,
  ])
  await client.query('select ripstop.publish($1)', [JSON.stringify(event)])
  await client.query(end)
}

/** One connection, made anew when it is gone: a shop's own client, which no link of ours looks after. */
class Reconnecting {
  readonly #url: () => string
  #client: Client | undefined

  constructor(url: () => string) {
    this.#url = url
  }

  async get(): Promise<Client> {
    if (this.#client !== undefined) return this.#client
    const client = new Client({
      connectionString: this.#url(),
      connectionTimeoutMillis: CONNECT_MS,
      query_timeout: CONNECT_MS,
    })
    client.on('error', () => {}) // its next query rejects
    await client.connect()
    this.#client = client
    return client
  }

  async drop(): Promise<void> {
    const client = this.#client
    this.#client = undefined
    client?.end().catch(() => {}) // not awaited: a frozen server would not let it end
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.drop()
  }
}

/** Of a batch each item has its own outcome, in the order in which they were sent; of one event there is only one. */
function takenOf(json: unknown, events: readonly Wire[]): ReadonlySet<string> {
  const { data } = json as { readonly data: { readonly results?: readonly { readonly outcome: string }[] } }
  return new Set(events.filter((_, place) => data.results?.[place]?.outcome !== 'refused').map(({ id }) => id))
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
