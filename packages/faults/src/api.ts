// Fault API. Toxiproxy's HTTP API (2.12, api.go): the same paths, JSON, status codes and messages, so that its clients
// in any language drive our proxies and our toxics. It can break every connection behind it, so it listens on
// loopback, and even there answers no browser and no foreign Host (a page could rebind its own name to 127.0.0.1).
// Invariants:
//   FA1. Any request is answered by what it asked for, or by JSON with `error` and `status`; nothing crashes.
//   FA2. A request from a browser or under a foreign Host changes nothing.
//   FA3. Of a body at most BODY_MAX is kept; a longer one is refused.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { type Clock, isRipstopError, type Random, RipstopError, systemClock, systemRandom } from '@ripstop/kernel'
import { isLoopback, listenOn } from './address.ts'
import { fault } from './codes.ts'
import type { FaultProxy } from './proxy.ts'
import { describeProxy, type NamedProxyOptions, ProxyCollection } from './proxy-collection.ts'
import type { ToxicSpec } from './toxics.ts'

/** The version of Toxiproxy whose API this is. */
const TOXIPROXY_VERSION = '2.12.0'
const BODY_MAX = 1_048_576
const CLIENTS_MAX = 256

export interface FaultApiOptions {
  /** [8474, Toxiproxy's; 0 chooses a free one] */
  readonly port?: number
  /** [127.0.0.1] Anything else than loopback lets other machines break what is behind the proxies. */
  readonly host?: string
  /** May proxies be made that other machines can reach? [false] */
  readonly publicListen?: boolean
  readonly clock?: Clock
  readonly random?: Random
}

export interface FaultApi extends AsyncDisposable {
  readonly port: number
  /** `http://127.0.0.1:8474`, what clients of Toxiproxy want to know. */
  readonly url: string
  /** Makes a proxy that the API shows. Throws FAULT_DUPLICATE, FAULT_INVALID, FAULT_LISTEN_FAILED, OVERLOADED. */
  createProxy(options: NamedProxyOptions): Promise<FaultProxy>
  /** The proxy of that name, however it was made. Throws FAULT_UNKNOWN. */
  proxy(name: string): FaultProxy
  proxies(): readonly FaultProxy[]
}

/** Starts the API. Disposing of it ends every proxy of its own. Throws FAULT_LISTEN_FAILED. */
export async function startFaultApi(options: FaultApiOptions = {}): Promise<FaultApi> {
  const host = options.host ?? '127.0.0.1'
  const proxies = new ProxyCollection({
    publicListen: options.publicListen ?? false,
    clock: options.clock ?? systemClock,
    random: options.random ?? systemRandom,
  })
  const server = createServer({ requestTimeout: 15_000, headersTimeout: 10_000 }, (request, response) => {
    void answer(proxies, isLoopback(host), request, response)
  })
  server.maxConnections = CLIENTS_MAX
  const { port } = await listenOn(server, { host, port: options.port ?? 8474 })
  let closing: Promise<void> | undefined
  return {
    port,
    url: `http://${host.includes(':') ? `[${host}]` : host}:${port}`,
    createProxy: (proxy) => proxies.create(proxy),
    proxy: (name) => proxies.find(name),
    proxies: () => proxies.list(),
    [Symbol.asyncDispose]: () => {
      closing ??= stop(server, proxies)
      return closing
    },
  }
}

async function stop(server: Server, proxies: ProxyCollection): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()))
  server.closeAllConnections()
  await closed
  await proxies[Symbol.asyncDispose]()
}

type Reply = readonly [status: number, body?: unknown]
type Handler = (proxies: ProxyCollection, names: readonly string[], body: unknown) => Promise<Reply> | Reply

/** `*` stands for a name. */
const ROUTES: Readonly<Record<string, Readonly<Record<string, Handler>>>> = {
  '/version': { GET: () => [200, { version: TOXIPROXY_VERSION, server: 'ripstop' }] },
  '/reset': {
    POST: async (proxies) => {
      await proxies.reset()
      return [204]
    },
  },
  '/populate': { POST: populate },
  '/proxies': {
    GET: (proxies) => [200, Object.fromEntries(proxies.list().map((proxy) => [proxy.name, showProxy(proxy)]))],
    POST: async (proxies, _names, body) => [201, showProxy(await proxies.createFromJson(body))],
  },
  '/proxies/*': {
    GET: (proxies, [name = '']) => [200, showProxy(proxies.find(name))],
    POST: changeProxy,
    PATCH: changeProxy,
    DELETE: async (proxies, [name = '']) => {
      await proxies.remove(name)
      return [204]
    },
  },
  '/proxies/*/toxics': {
    GET: (proxies, [name = '']) => [200, proxies.find(name).toxics()],
    // The proxy takes anything and refuses what is no toxic.
    POST: async (proxies, [name = ''], body) => [200, await proxies.find(name).add(body as ToxicSpec)],
  },
  '/proxies/*/toxics/*': {
    GET: (proxies, [name = '', toxic = '']) => [200, findToxic(proxies.find(name), toxic)],
    POST: changeToxic,
    PATCH: changeToxic,
    DELETE: async (proxies, [name = '', toxic = '']) => {
      await proxies.find(name).remove(toxic)
      return [204]
    },
  },
}

async function populate(proxies: ProxyCollection, _names: readonly string[], body: unknown): Promise<Reply> {
  const done: object[] = []
  try {
    await proxies.populate(body, (proxy) => done.push(showProxy(proxy)))
    return [201, { proxies: done }]
  } catch (error) {
    const [status, problem] = describeError(error)
    return [status, { ...problem, proxies: done }]
  }
}

async function changeProxy(proxies: ProxyCollection, [name = '']: readonly string[], body: unknown): Promise<Reply> {
  return [200, showProxy(await proxies.change(name, body))]
}

async function changeToxic(proxies: ProxyCollection, names: readonly string[], body: unknown): Promise<Reply> {
  const [name = '', toxic = ''] = names
  return [200, await proxies.find(name).update(toxic, body as Parameters<FaultProxy['update']>[1])]
}

function findToxic(proxy: FaultProxy, name: string): object {
  const toxic = proxy.toxics().find((one) => one.name === name)
  if (toxic === undefined) throw fault('FAULT_UNKNOWN', 'toxic not found', { details: { toxic: name } })
  return toxic
}

function showProxy(proxy: FaultProxy): object {
  return { ...describeProxy(proxy), toxics: proxy.toxics() }
}

async function answer(
  proxies: ProxyCollection,
  loopbackOnly: boolean,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  let reply: Reply
  try {
    refuseForeigners(request, loopbackOnly)
    const { handler, names } = findRoute(request)
    const body = request.method === 'GET' || request.method === 'DELETE' ? undefined : await readJson(request)
    reply = await handler(proxies, names, body)
  } catch (error) {
    reply = describeError(error)
  }
  const [status, body] = reply
  response.writeHead(status, { 'content-type': 'application/json' })
  response.end(body === undefined ? undefined : JSON.stringify(body))
}

function refuseForeigners({ headers }: IncomingMessage, loopbackOnly: boolean): void {
  if (headers.origin !== undefined || headers['user-agent']?.startsWith('Mozilla/')) {
    throw fault('FAULT_REFUSED', 'User agent not allowed')
  }
  const host = (headers.host ?? '').replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1')
  if (loopbackOnly && !isLoopback(host)) throw fault('FAULT_REFUSED', `Host ${JSON.stringify(host)} not allowed`)
}

function findRoute(request: IncomingMessage): { readonly handler: Handler; readonly names: readonly string[] } {
  const [path = ''] = (request.url ?? '').split('?')
  const parts = path.replace(/\/$/, '').split('/').slice(1)
  const isName = (index: number): boolean => parts[0] === 'proxies' && (index === 1 || index === 3)
  const route = ROUTES[`/${parts.map((part, index) => (isName(index) ? '*' : part)).join('/')}`]
  if (route === undefined) throw fault('FAULT_UNKNOWN', `no such path: ${path}`)
  const method = request.method ?? ''
  const handler = Object.hasOwn(route, method) ? route[method] : undefined
  if (handler === undefined) {
    throw fault('FAULT_METHOD', `${method} is not one of ${Object.keys(route).join(', ')} on ${path}`)
  }
  return { handler, names: parts.filter((_part, index) => isName(index)).map(decodeName) }
}

function decodeName(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch (cause) {
    throw fault('FAULT_INVALID', `bad escape in path: ${part}`, { cause })
  }
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  const parts: Buffer[] = []
  let bytes = 0
  // A body that is too long is still read to its end, within the time for a request: closing on a client that is
  // sending would reset it before it saw the answer.
  for await (const part of request as AsyncIterable<Buffer>) {
    bytes += part.length
    if (bytes <= BODY_MAX) parts.push(part)
  }
  if (bytes > BODY_MAX) throw new RipstopError('PAYLOAD_TOO_LARGE', `bad request body: more than ${BODY_MAX} bytes`)
  if (bytes === 0) return undefined
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(parts)))
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw fault('FAULT_INVALID', `bad request body: ${reason}`, { cause })
  }
}

function describeError(error: unknown): readonly [number, { error: string; status: number; code: string }] {
  const known = isRipstopError(error) ? error : new RipstopError('INTERNAL', String(error), { cause: error })
  return [known.http, { error: known.message, status: known.http, code: known.code }]
}
