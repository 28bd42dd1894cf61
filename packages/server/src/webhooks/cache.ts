// The endpoints in memory: every live one of a tenant, so that an event finds its endpoints, and a delivery its target, without asking
// the database. What is known belongs to a revision of the tenant; whoever writes by it has that revision checked in the same
// statement (`currentPart`), and what changed since is read alone.
// Bounds: ENDPOINTS_PER_TENANT_MAX a tenant (refused when they are made), ENDPOINTS_MAX in all; beyond that the tenant that was used
// least lately leaves, and is read again when it is needed.
// Invariants:
//   WK1. A tenant's endpoints are those of one revision, complete: never half of a change.

import { background, type Ctx, type Env } from '@ripstop/kernel'
import type { NewEvent } from '#events'
import type { Db } from './db.ts'
import type { Endpoint } from './endpoint.ts'
import { compileFilter, type Filter, type Verdict } from './filter.ts'
import { Matcher } from './matcher.ts'
import { findMoved, findTenants, readChanges } from './store.ts'

const ENDPOINTS_MAX = 50_000
/** Ids of which it is known that no endpoint has them; an id is never used again. */
const UNKNOWN_MAX = 10_000
const LOAD_MS = 5_000

/** An endpoint with what was made of it. */
export class LiveEndpoint {
  readonly endpoint: Endpoint
  readonly eventTypes: readonly string[]
  /** Kept back in this process until the database says so too. */
  isHeld = false
  filterErrors = 0
  lastFilterError: string | undefined
  #filter: Filter | 'broken' | undefined

  constructor(endpoint: Endpoint) {
    this.endpoint = endpoint
    this.eventTypes = endpoint.eventTypes
  }

  /** Its types fit already. */
  test(event: Pick<NewEvent, 'event' | 'body'>): Verdict {
    const { filter: text } = this.endpoint
    if (text === undefined) return 'match'
    this.#filter ??= compileOr(text)
    const verdict: Verdict =
      this.#filter === 'broken'
        ? { error: 'it can no longer be compiled' }
        : this.#filter.test(event.event, event.body.length)
    if (typeof verdict === 'object') {
      this.filterErrors++
      this.lastFilterError = verdict.error
    }
    return verdict
  }
}

/** It was compiled when it was given: broken only if a later version understands less. */
function compileOr(text: string): Filter | 'broken' {
  try {
    return compileFilter(text)
  } catch {
    return 'broken'
  }
}

/** The endpoints of a tenant at a revision. */
export class TenantEndpoints {
  revision = 0
  readonly byId = new Map<string, LiveEndpoint>()
  readonly #matcher = new Matcher<LiveEndpoint>()

  find(type: string): readonly LiveEndpoint[] {
    return this.#matcher.find(type)
  }

  take(revision: number, endpoints: readonly Endpoint[]): void {
    for (const endpoint of endpoints) {
      const before = this.byId.get(endpoint.endpointId)
      if (before !== undefined) this.#matcher.remove(before)
      this.byId.delete(endpoint.endpointId)
      if (endpoint.deletedWallMs !== undefined) continue
      const live = new LiveEndpoint(endpoint)
      if (before?.endpoint.filter === endpoint.filter && before !== undefined) {
        live.filterErrors = before.filterErrors
        live.lastFilterError = before.lastFilterError
      }
      this.byId.set(endpoint.endpointId, live)
      this.#matcher.add(live)
    }
    this.revision = revision
  }
}

export interface EndpointCacheDeps {
  readonly env: Env
  readonly link: Db
  /** For tests. */
  readonly endpointsMax?: number
}

export class EndpointCache {
  readonly #deps: EndpointCacheDeps
  /** In the order of use. */
  readonly #tenants = new Map<string, TenantEndpoints>()
  readonly #tenantOf = new Map<string, string>()
  readonly #unknown = new Set<string>()
  readonly #loading = new Map<string, Promise<TenantEndpoints>>()
  #size = 0

  constructor(deps: EndpointCacheDeps) {
    this.#deps = deps
  }

  /** As known; read if nothing is known. Throws what the link throws. */
  async tenant(tenantId: string): Promise<TenantEndpoints> {
    return this.known(tenantId) ?? (await this.refresh(tenantId))
  }

  known(tenantId: string): TenantEndpoints | undefined {
    const known = this.#tenants.get(tenantId)
    if (known === undefined) return undefined
    this.#tenants.delete(tenantId)
    this.#tenants.set(tenantId, known)
    return known
  }

  /** An endpoint that is known; undefined says nothing about one that is not. */
  endpoint(endpointId: string): LiveEndpoint | undefined {
    const tenantId = this.#tenantOf.get(endpointId)
    return tenantId === undefined ? undefined : this.#tenants.get(tenantId)?.byId.get(endpointId)
  }

  /** Reads those that are not known. What is not there afterwards is deleted. */
  async load(ctx: Ctx, endpointIds: readonly string[]): Promise<void> {
    const missing = endpointIds.filter((id) => !this.#tenantOf.has(id) && !this.#unknown.has(id))
    if (missing.length === 0) return
    const tenants = await findTenants(this.#deps.link, ctx, missing)
    for (const id of missing) if (!tenants.has(id)) this.#isUnknown(id)
    // Refreshed, not looked up: the tenant may be known at a revision before the endpoint's.
    for (const tenantId of new Set(tenants.values())) await this.refresh(tenantId)
  }

  /** Reads what has changed. One reading at a time for a tenant; nobody's cancel ends another's. */
  refresh(tenantId: string): Promise<TenantEndpoints> {
    const loading = this.#loading.get(tenantId)
    if (loading !== undefined) return loading
    const started = this.#read(tenantId).finally(() => this.#loading.delete(tenantId))
    this.#loading.set(tenantId, started)
    return started
  }

  /** Asks which tenants have moved on, and reads what changed. Throws what the link throws. */
  async poll(ctx: Ctx): Promise<void> {
    if (this.#tenants.size === 0) return
    const known = new Map([...this.#tenants].map(([tenantId, { revision }]) => [tenantId, revision]))
    for (const tenantId of await findMoved(this.#deps.link, ctx, known)) await this.refresh(tenantId)
  }

  async #read(tenantId: string): Promise<TenantEndpoints> {
    const { env, link } = this.#deps
    const known = this.#tenants.get(tenantId) ?? new TenantEndpoints()
    using ctx = background(env).within(LOAD_MS)
    const { revision, endpoints } = await readChanges(link, ctx, tenantId, known.revision)
    const before = known.byId.size
    const isKept = this.#tenants.has(tenantId)
    known.take(revision, endpoints)
    for (const { endpointId, deletedWallMs } of endpoints) {
      if (deletedWallMs === undefined) this.#tenantOf.set(endpointId, tenantId)
      else if (this.#tenantOf.delete(endpointId)) this.#isUnknown(endpointId)
    }
    // It may have been made to leave while it was read.
    this.#size += known.byId.size - (isKept ? before : 0)
    if (!isKept) for (const id of known.byId.keys()) this.#tenantOf.set(id, tenantId)
    this.#tenants.delete(tenantId)
    this.#tenants.set(tenantId, known)
    this.#makeRoom()
    return known
  }

  #makeRoom(): void {
    const most = this.#deps.endpointsMax ?? ENDPOINTS_MAX
    for (const [tenantId, { byId }] of this.#tenants) {
      if (this.#size <= most || this.#tenants.size === 1) return
      this.#tenants.delete(tenantId)
      this.#size -= byId.size
      for (const id of byId.keys()) this.#tenantOf.delete(id)
    }
  }

  #isUnknown(endpointId: string): void {
    if (this.#unknown.size >= UNKNOWN_MAX) this.#unknown.clear()
    this.#unknown.add(endpointId)
  }
}
