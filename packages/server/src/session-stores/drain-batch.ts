// What is read from the streams of shards, made into a batch for one statement. Pure.
// Invariants:
//   WB4. No record holds up those behind it, whatever is in it: what cannot be read is left out, and told.

import { hash } from 'node:crypto'
import type { DrainBatch, DrainedEntry, DrainedPlace, Mark } from './drain-store.ts'
import { memberOf } from './redis-keys.ts'
import { type CommitRecord, decodeRecord, type StreamRecord } from './redis-record.ts'
import { isEnded } from './store.ts'

/** As Redis gives it: `number`, `before` and `record`, each with its value behind it. */
export type StreamEntry = readonly [id: string, fields: readonly string[]]

export interface ReadRecord {
  readonly id: string
  /** The how many-th of its stream it is. */
  readonly number: number
  readonly text: string
}

export function toRecord([id, fields]: StreamEntry): ReadRecord {
  return { id, number: Number(fields[1]), text: fields[5] ?? '' }
}

/** Tells two records of the same id from one another. */
export function markRecord({ id, text }: ReadRecord): Mark {
  return { id, hash: hash('sha256', text) }
}

/** What was read of a shard after `from`. */
export interface ReadShard {
  readonly shard: number
  readonly from: Mark
  readonly records: readonly ReadRecord[]
}

export interface Planned {
  readonly batch: DrainBatch
  /** The last record of each shard in the batch. */
  readonly last: ReadonlyMap<number, ReadRecord>
  /** Whose end is drained with it: what Redis keeps of them may go. */
  readonly ended: readonly DrainedPlace[]
  readonly unreadable: readonly { readonly shard: number; readonly id: string }[]
}

export function planBatch(shards: readonly ReadShard[]): Planned {
  const plan = new Plan()
  for (const { shard, from, records } of shards) {
    for (const record of records) if (!plan.take(shard, record)) break
    plan.close(shard, from)
  }
  return plan
}

class Plan implements Planned {
  readonly last = new Map<number, ReadRecord>()
  readonly unreadable: { shard: number; id: string }[] = []
  readonly #moves: { shard: number; from: Mark; to: Mark }[] = []
  readonly #entries: DrainedEntry[] = []
  readonly #keys = new Set<string>()
  readonly #places = new Map<string, DrainedPlace>()

  get batch(): DrainBatch {
    return { moves: this.#moves, entries: this.#entries, places: [...this.#places.values()] }
  }

  get ended(): readonly DrainedPlace[] {
    return [...this.#places.values()].filter((place) => place.isEnded || place.isDeleted)
  }

  /** False: it has to wait for the next batch, for one statement cannot write the same key twice. */
  take(shard: number, read: ReadRecord): boolean {
    const record = decodeRecord(read.text)
    const keys = record?.kind === 'commit' ? keysOf(record) : []
    if (keys.some((key) => this.#keys.has(key))) return false
    this.last.set(shard, read)
    if (record === undefined || new Set(keys).size < keys.length) this.unreadable.push({ shard, id: read.id })
    else this.#write(shard, record, keys)
    return true
  }

  close(shard: number, from: Mark): void {
    const last = this.last.get(shard)
    if (last !== undefined) this.#moves.push({ shard, from, to: markRecord(last) })
  }

  #write(shard: number, record: StreamRecord, keys: readonly string[]): void {
    for (const key of keys) this.#keys.add(key)
    for (const entry of record.kind === 'commit' ? record.entries : []) {
      const { epoch, version, hash, text, publish } = entry
      const event = publish === undefined ? undefined : cleanJson(publish)
      this.#entries.push({ ...record.ref, epoch, version, hash, text, publish: event })
    }
    const member = memberOf(record.ref)
    const before = this.#places.get(member)
    this.#places.set(member, record.kind === 'deleted' ? deleted(shard, record, before) : moved(shard, record, before))
  }
}

function keysOf({ ref, entries }: CommitRecord): readonly string[] {
  const member = memberOf(ref)
  return entries.map(({ epoch, version }) => `${member} ${epoch} ${version}`)
}

function deleted(shard: number, { ref }: StreamRecord, before: DrainedPlace | undefined): DrainedPlace {
  const nowhere = { shard, ...ref, epoch: 0, version: 0, head: '', status: 'pending', deadlineMs: null } as const
  return { isEnded: false, isCreated: false, ...(before ?? nowhere), isDeleted: true }
}

function moved(shard: number, record: CommitRecord, before: DrainedPlace | undefined): DrainedPlace {
  const { ref, from, entries, status, deadlineMs = null } = record
  const { epoch = 0, version = 0, hash: head = '' } = entries.at(-1) ?? {}
  const { isCreated = false, isDeleted = false } = before ?? {}
  const flags = { isEnded: isEnded(status), isCreated: isCreated || from === undefined, isDeleted }
  const isBehind =
    before !== undefined && (before.epoch > epoch || (before.epoch === epoch && before.version > version))
  if (isBehind) return { ...before, ...flags, isEnded: before.isEnded }
  return { shard, ...ref, epoch, version, head, status, deadlineMs, ...flags }
}

/** JSON that Postgres's jsonb takes: it knows no NUL and no half of a surrogate pair, which JSON can say. */
function cleanJson(text: string): string | undefined {
  try {
    JSON.parse(text)
  } catch {
    return undefined
  }
  return text.replace(/\\(?:u[0-9a-f]{4}|.)/gi, (said) => (/^\\u(?:0000|d[89a-f]..)$/i.test(said) ? '\\ufffd' : said))
}
