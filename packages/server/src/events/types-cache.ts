// Event types in memory, as events are checked by them. A version is never changed, so what can be out of date is only which version is the newest;
// and since a newer one takes all that an older one took, an older one refuses nothing that it should not.
// Invariants:
//   ET7. A type is looked up anew if what is known of it is a second old or more; what this process registered it knows at once.
//   ET8. At most TYPES_KEPT types are kept, whatever names publishers send; a name is only ever a key of a Map.

import { background, type Ctx, type Link } from '@ripstop/kernel'
import type { PostgresPool } from '@ripstop/kernel/postgres'
import { pause } from '#platform/pause'
import { compileSchema, type JsonSchema, type Validate } from './schema-check.ts'
import { readHeads } from './type-store.ts'

export const TYPES_KEPT = 2_000
const FRESH_MS = 1_000

export interface KnownType {
  /** Undefined: it is not registered. */
  readonly version: number | undefined
  readonly validate: Validate | undefined
}

interface Entry extends KnownType {
  readonly readMonoMs: number
}

type Found = ReadonlyMap<string, KnownType>
type Wanted = readonly { readonly name: string; readonly known: KnownType | undefined }[]

const UNREGISTERED: KnownType = { version: undefined, validate: undefined }

export class TypesCache {
  readonly #link: Link<PostgresPool>
  /** The one used longest ago first. */
  readonly #entries = new Map<string, Entry>()
  /** What is being asked now; as bounded as the publishers that wait for it. */
  readonly #asking = new Map<string, Promise<Found>>()

  constructor(link: Link<PostgresPool>) {
    this.#link = link
  }

  /**
   * By name. Asks Postgres for those that are not known well enough, all at once; who asks for what is being asked already waits for that answer,
   * else every second a thousand publishers would ask at the same time. Throws what the link throws.
   */
  async load(ctx: Ctx, tenantId: string, names: ReadonlySet<string>): Promise<ReadonlyMap<string, KnownType>> {
    const nowMs = ctx.env.clock.monoMs()
    const found = new Map<string, KnownType>()
    const wanted: { name: string; known: KnownType | undefined }[] = []
    const awaited = new Map<string, Promise<Found>>()
    for (const name of names) {
      const entry = this.#take(`${tenantId} ${name}`)
      const asking = this.#asking.get(`${tenantId} ${name}`)
      if (entry !== undefined && nowMs - entry.readMonoMs < FRESH_MS) found.set(name, entry)
      else if (asking !== undefined) awaited.set(name, asking)
      else wanted.push({ name, known: entry })
    }
    if (wanted.length > 0) {
      const asking = this.#ask(ctx, tenantId, wanted)
      for (const { name } of wanted) awaited.set(name, asking)
    }
    await Promise.all(awaited.values()) // all of them at once: none may fail unheard
    for (const [name, asking] of awaited) found.set(name, (await asking).get(name) ?? UNREGISTERED)
    return found
  }

  /** What this process has just registered may be checked by at once. */
  forget(tenantId: string, name: string): void {
    this.#entries.delete(`${tenantId} ${name}`)
    this.#asking.delete(`${tenantId} ${name}`) // what is being asked may have been answered before
  }

  get size(): number {
    return this.#entries.size
  }

  /** Under nobody's ctx, since others may come to wait for it: the link's own deadline bounds it. */
  async #ask(ctx: Ctx, tenantId: string, wanted: Wanted): Promise<Found> {
    const askedMs = ctx.env.clock.monoMs()
    const asking = this.#read(background(ctx.env), tenantId, wanted)
    const keys = wanted.map(({ name }) => [name, `${tenantId} ${name}`] as const)
    for (const [, key] of keys) this.#asking.set(key, asking)
    try {
      const found = await asking
      for (const [name, key] of keys) {
        const { version, validate } = found.get(name) ?? UNREGISTERED
        if (this.#asking.get(key) === asking) this.#put(key, { version, validate, readMonoMs: askedMs })
      }
      return found
    } finally {
      for (const [, key] of keys) if (this.#asking.get(key) === asking) this.#asking.delete(key)
    }
  }

  async #read(ctx: Ctx, tenantId: string, wanted: Wanted): Promise<Found> {
    const versions = wanted.map(({ name, known }) => ({ name, known: known?.version ?? 0 }))
    const heads = new Map((await readHeads(this.#link, ctx, tenantId, versions)).map((head) => [head.name, head]))
    const found = new Map<string, KnownType>()
    for (const { name, known } of wanted) {
      const head = heads.get(name)
      let type = known ?? UNREGISTERED
      if (head?.schema !== undefined) {
        type = { version: head.version, validate: validatorOf(head.schema) }
        await pause(ctx, 0) // a compilation takes ms: others get their turn between two
      }
      found.set(name, type)
    }
    return found
  }

  #take(key: string): Entry | undefined {
    const entry = this.#entries.get(key)
    if (entry === undefined) return undefined
    this.#entries.delete(key)
    this.#entries.set(key, entry)
    return entry
  }

  #put(key: string, entry: Entry): void {
    this.#entries.delete(key)
    this.#entries.set(key, entry)
    if (this.#entries.size <= TYPES_KEPT) return
    const oldest = this.#entries.keys().next()
    if (!oldest.done) this.#entries.delete(oldest.value)
  }
}

/** What another version of the mesh took as a schema may be none to this one: its events are refused, not all events of the batch. */
function validatorOf(schema: JsonSchema): Validate {
  try {
    return compileSchema(schema)
  } catch {
    return () => ({ field: '/type', problem: 'has a schema that this version of the mesh cannot read' })
  }
}
