// Event types in memory, as events are checked by them. A version is never changed, so what can be out of date is only which version is the newest;
// and since a newer one takes all that an older one took, an older one refuses nothing that it should not.
// Invariants:
//   ET7. A type is looked up anew if what is known of it is a second old or more; what this process registered it knows at once.
//   ET8. At most TYPES_KEPT types are kept, whatever names publishers send; a name is only ever a key of a Map.

import type { Ctx, Link } from '@ripstop/kernel'
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

export class TypesCache {
  readonly #link: Link<PostgresPool>
  /** The one used longest ago first. */
  readonly #entries = new Map<string, Entry>()

  constructor(link: Link<PostgresPool>) {
    this.#link = link
  }

  /** By name. Asks Postgres for those that are not known well enough, all at once. Throws what the link throws. */
  async load(ctx: Ctx, tenantId: string, names: ReadonlySet<string>): Promise<ReadonlyMap<string, KnownType>> {
    const nowMs = ctx.env.clock.monoMs()
    const found = new Map<string, KnownType>()
    const wanted: { name: string; known: number }[] = []
    for (const name of names) {
      const entry = this.#take(`${tenantId} ${name}`)
      if (entry !== undefined) found.set(name, entry)
      if (entry === undefined || nowMs - entry.readMonoMs >= FRESH_MS) wanted.push({ name, known: entry?.version ?? 0 })
    }
    if (wanted.length > 0) await this.#read(ctx, tenantId, wanted, found)
    return found
  }

  /** What this process has just registered may be checked by at once. */
  forget(tenantId: string, name: string): void {
    this.#entries.delete(`${tenantId} ${name}`)
  }

  get size(): number {
    return this.#entries.size
  }

  async #read(
    ctx: Ctx,
    tenantId: string,
    wanted: readonly { readonly name: string; readonly known: number }[],
    found: Map<string, KnownType>,
  ): Promise<void> {
    const askedMs = ctx.env.clock.monoMs()
    const heads = new Map((await readHeads(this.#link, ctx, tenantId, wanted)).map((head) => [head.name, head]))
    for (const { name } of wanted) {
      const head = heads.get(name)
      let known = found.get(name) ?? { version: undefined, validate: undefined }
      if (head?.schema !== undefined) {
        known = { version: head.version, validate: validatorOf(head.schema) }
        await pause(ctx, 0) // a compilation takes ms: others get their turn between two
      }
      found.set(name, known)
      this.#put(`${tenantId} ${name}`, { ...known, readMonoMs: askedMs })
    }
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
