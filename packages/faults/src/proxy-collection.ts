// The proxies of one fault API, by name: made, replaced, changed and removed as Toxiproxy does (proxy_collection.go).
// Invariants:
//   PC1. Names are unique, also among requests that come at once.
//   PC2. A listener that other machines can reach is refused unless the owner of the collection allows it.
//   PC3. At most PROXIES_MAX proxies; beyond, OVERLOADED.

import { type Clock, type Random, RipstopError } from '@ripstop/kernel'
import { type Address, formatAddress, isLoopback, parseAddress } from './address.ts'
import { fault } from './codes.ts'
import { type FaultProxy, type FaultProxyOptions, startFaultProxy } from './proxy.ts'
import { parseObject } from './toxics.ts'
import { createTurns } from './turns.ts'

const PROXIES_MAX = 1_000

export type NamedProxyOptions = FaultProxyOptions & { readonly name: string }

interface Description {
  readonly name: string
  readonly upstream: Address
  /** Undefined: any free port on loopback. */
  readonly listen: Address | undefined
  readonly enabled: boolean
}

export interface CollectionOptions {
  readonly publicListen: boolean
  readonly clock: Clock
  readonly random: Random
}

export class ProxyCollection {
  readonly #options: CollectionOptions
  readonly #proxies = new Map<string, FaultProxy>()
  readonly #inTurn = createTurns()

  constructor(options: CollectionOptions) {
    this.#options = options
  }

  list(): readonly FaultProxy[] {
    return [...this.#proxies.values()]
  }

  /** Throws FAULT_UNKNOWN. */
  find(name: string): FaultProxy {
    const proxy = this.#proxies.get(name)
    if (proxy === undefined) throw fault('FAULT_UNKNOWN', 'proxy not found', { details: { proxy: name } })
    return proxy
  }

  /** Throws FAULT_DUPLICATE, FAULT_INVALID, FAULT_LISTEN_FAILED, OVERLOADED. */
  create(options: NamedProxyOptions): Promise<FaultProxy> {
    return this.#inTurn(async () => {
      if (this.#proxies.has(options.name)) {
        throw fault('FAULT_DUPLICATE', 'proxy already exists', { details: { proxy: options.name } })
      }
      this.#checkListen({ host: options.listen?.host ?? '127.0.0.1', port: options.listen?.port ?? 0 })
      return this.#start(options)
    })
  }

  async createFromJson(input: unknown): Promise<FaultProxy> {
    return this.create(describeOptions(parseDescription(input, '')))
  }

  /** A list of proxies: those that exist as described are left alone, others replaced or made. Calls `done` for each. */
  populate(input: unknown, done: (proxy: FaultProxy) => void): Promise<void> {
    return this.#inTurn(async () => {
      if (!Array.isArray(input)) throw fault('FAULT_INVALID', 'bad request body: a list of proxies is needed')
      const wanted = input.map((one, index) => parseDescription(one, ` at proxy ${index + 1}`))
      for (const { listen } of wanted) this.#checkListen(listen)
      for (const one of wanted) done(await this.#addOrReplace(one))
    })
  }

  change(name: string, input: unknown): Promise<FaultProxy> {
    return this.#inTurn(async () => {
      const proxy = this.find(name)
      const asked = parseObject(input, 'a proxy', undefined)
      const wanted = parseDescription({ ...describeProxy(proxy), ...asked, name }, '')
      this.#checkListen(wanted.listen)
      if (differs(proxy, wanted)) {
        await proxy.configure({ upstream: wanted.upstream, ...(wanted.listen && { listen: wanted.listen }) })
      }
      if (wanted.enabled && !proxy.enabled) await proxy.enable()
      else if (!wanted.enabled && proxy.enabled) await proxy.disable()
      return proxy
    })
  }

  /** Throws FAULT_UNKNOWN. */
  remove(name: string): Promise<void> {
    return this.#inTurn(() => this.#stop(this.find(name)))
  }

  /** Enables every proxy and removes every toxic. */
  reset(): Promise<void> {
    return this.#inTurn(async () => {
      for (const proxy of this.list()) await proxy.reset()
    })
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#inTurn(async () => {
      for (const proxy of this.list()) await this.#stop(proxy)
    })
  }

  #checkListen(listen: Address | undefined): void {
    if (this.#options.publicListen || listen === undefined || isLoopback(listen.host)) return
    throw fault('FAULT_INVALID', `listen must be on loopback, as 127.0.0.1:${listen.port}`, { details: { ...listen } })
  }

  async #start(options: NamedProxyOptions): Promise<FaultProxy> {
    if (this.#proxies.size >= PROXIES_MAX) {
      throw new RipstopError('OVERLOADED', `there are already ${PROXIES_MAX} proxies; remove some first`)
    }
    const { clock, random } = this.#options
    const proxy = await startFaultProxy({ clock, random, ...options })
    this.#proxies.set(options.name, proxy)
    return proxy
  }

  async #addOrReplace(wanted: Description): Promise<FaultProxy> {
    const existing = this.#proxies.get(wanted.name)
    if (existing !== undefined && !differs(existing, wanted)) return existing
    if (existing !== undefined) await this.#stop(existing)
    return this.#start(describeOptions(wanted))
  }

  async #stop(proxy: FaultProxy): Promise<void> {
    await proxy[Symbol.asyncDispose]()
    this.#proxies.delete(proxy.name)
  }
}

/** A proxy without its toxics, as Toxiproxy's JSON has it. */
export function describeProxy(proxy: FaultProxy): { name: string; listen: string; upstream: string; enabled: boolean } {
  return {
    name: proxy.name,
    listen: proxy.address,
    upstream: formatAddress(proxy.upstream),
    enabled: proxy.enabled,
  }
}

function describeOptions(wanted: Description): NamedProxyOptions {
  const { name, upstream, listen, enabled } = wanted
  return { name, upstream, enabled, ...(listen && { listen }) }
}

/** Reads Toxiproxy's JSON of a proxy; fields that it does not know are ignored, as there. `where` ends the message. */
function parseDescription(input: unknown, where: string): Description {
  const { name, upstream, listen, enabled } = parseObject(input, `a proxy${where}`, undefined)
  for (const [field, value] of Object.entries({ name, upstream })) {
    if (value === undefined || value === '') throw fault('FAULT_INVALID', `missing required field: ${field}${where}`)
  }
  if (typeof name !== 'string' || name.length > 200) {
    throw fault('FAULT_INVALID', `bad request body: name must be a text of at most 200 characters${where}`)
  }
  if (enabled !== undefined && enabled !== null && typeof enabled !== 'boolean') {
    throw fault('FAULT_INVALID', `bad request body: enabled must be true or false${where}`)
  }
  return {
    name,
    upstream: parseAddress(upstream, `upstream${where}`),
    listen: listen === undefined || listen === '' ? undefined : parseAddress(listen, `listen${where}`),
    enabled: enabled ?? true,
  }
}

function differs(proxy: FaultProxy, { listen, upstream }: Description): boolean {
  const host = listen?.host === 'localhost' ? '127.0.0.1' : listen?.host
  const sameListen = host === proxy.host && listen?.port === proxy.port
  return !sameListen || formatAddress(upstream) !== formatAddress(proxy.upstream)
}
