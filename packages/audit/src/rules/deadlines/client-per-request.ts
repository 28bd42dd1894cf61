// A client that is made anew for every call: a new TCP and TLS handshake each time, and for databases a whole pool. Found in functions that serve: those that
// make a client, use it, and let it go. Silent: start-up, factories, what is kept, scripts, and what is made once because it is cached.
//   DN15. What a dependency of FastAPI makes is made for every request, unless it is kept.
//   QL18. Of gRPC the channel is meant, which a stub is only a name for: found where the same function makes both. Methods of a servicer serve.
//   QU5. Served is also what a route or consumer calls through others, what is called in a loop, and what is called through the interface of its class.
//   QU6. A function that hands out a collection of a client made for it makes one for everybody who asks.
//   DN8. A client that leaves its function (returned, kept in a field or a module, handed to something) is not per request.

import type { Block, Call } from '../../facts/facts.ts'
import { type IndexedFile, type Program, programOf } from '../../program/index.ts'
import type { Repository } from '../../repository/repository.ts'
import { entriesOf } from '../../system/entries.ts'
import { type OutboundClient, outboundOf } from '../../system/outbound.ts'
import { GUARANTEES } from '../guarantees.ts'
import { enclosing, optionOf, seenAt, symbolOf } from '../queries.ts'
import type { Discovery, Rule } from '../rule.ts'
import { componentOf, isByHandFile, mayBePage } from './surroundings.ts'

export const clientPerRequest: Rule = {
  meta: {
    id: 'client-per-request',
    category: 'deadlines and retries',
    severity: 'low',
    title: 'A client is made anew for every call',
    why: 'Nothing is reused: each call pays for a connection and its handshake, sockets pile up in TIME_WAIT under load, and limits on connections (of a pool, of the far end) hold for nobody, since every call has a pool of its own.',
    remedies: [
      {
        priority: 'P2',
        text: 'Make the client once, when the service starts, share it, and close it when the service stops.',
        effort: 'S',
        guarantee: GUARANTEES.http,
      },
    ],
    sources: [
      'https://www.python-httpx.org/advanced/clients/',
      'https://docs.aiohttp.org/en/stable/client_quickstart.html#make-a-request',
      'https://node-postgres.com/features/pooling',
    ],
  },
  *run(repository: Repository): Iterable<Discovery> {
    const program = programOf(repository.facts)
    const { clients, calls } = outboundOf(repository)
    const used = new Map<OutboundClient, number>()
    for (const { client } of calls) if (client !== undefined) used.set(client, (used.get(client) ?? 0) + 1)
    const routes = routeHandlers(repository)
    for (const client of clients) {
      const { file: path, call } = client.site
      const file = program.file(path)
      if (file === undefined || !POOLED.has(client.library) || isByHandFile(repository, file.facts)) continue
      if (mayBePage(repository, file.facts)) continue
      const block = file.functionOf(call.block)
      if (isDependency(program, file, block) || isMadeByGetter(program, file, client, block)) {
        yield discovery(repository, client)
        continue
      }
      const made = client.library === 'grpcio' ? channelOf(file, call) : call
      if (made === undefined || !isShortLived(file, call) || !isShortLived(file, made)) continue
      const serves =
        isOfServicer(file, block) || isAskedOften(program, file, block) || isReached(program, routes, file, block)
      // What it is made of was made for this one call.
      if (optionOf(call, 'transport') !== undefined) continue
      if (!used.has(client) || !serves || WATCHES.test(`${path} ${symbolOf(file.facts, call.block)}`)) continue
      yield discovery(repository, { ...client, site: { file: path, call: made } })
    }
  },
}

/** What has connections worth keeping. */
const POOLED = new Set([
  'httpx',
  'aiohttp',
  'pg',
  'mysql2',
  'mongodb',
  'pymongo',
  'ioredis',
  'prisma',
  'asyncpg',
  'redis',
  'kafka-python',
  'boto3',
  'grpcio',
  'knex',
  'sequelize',
])
const DATABASES = new Set(['pg', 'mysql2', 'mongodb', 'pymongo', 'ioredis', 'prisma', 'asyncpg', 'knex', 'sequelize'])
const STARTS =
  /^(?:__init__|__new__|constructor|__aenter__|main|default)$|^_*(?:start\w*|connect\w*|create\w*(?:client|session|pool|engine|connection|app|instance)\w*|create|make_?\w*(?:client|session|pool|engine|connection)\w*|build\w*|get_?\w*(?:client|session|pool|engine|connection|redis|db)\w*|configure\w*|lifespan\w*|open\w*|test\w*|validate\w*|verify\w*|ping\w*|on_?startup\w*|onModuleInit|wait\w*|login\w*|authenticate\w*|refresh\w*|close\w*|shutdown\w*|ensure\w*|discover\w*)$/i

/** Seldom, and to see whether it can be connected to. */
const WATCHES = /health|oauth|(?:^|[\W_])(?:check|monitor|probe|diagnos|init|migrat|setup|bootstrap|seed)/i

/** DN15. `Depends(get_producer)` of a function that makes a client, yields or returns it, and is not told to keep it. */
function isDependency(program: Program, { facts }: IndexedFile, block: number): boolean {
  const { name = '', fn } = facts.blocks[block] ?? {}
  if (fn === undefined || fn.decorators.some(({ callee }) => /cache/i.test(callee.text))) return false
  return program.callsNamed('Depends').some(({ file, call }) => {
    const [given] = call.args
    if (given?.kind !== 'path' || !given.path.text.endsWith(name)) return false
    const target = program.target({ file, call: { ...call, callee: given.path } })
    return target?.file === facts.file && target.block === block
  })
}

/** DN8. */
function isShortLived(file: IndexedFile, call: Call): boolean {
  const { blocks, exits, assignments, calls } = file.facts
  const block = file.functionOf(call.block)
  const fn = blocks[block]
  if (fn === undefined || block === -1 || STARTS.test(fn.name) || fn.name === '') return false
  const { target } = call
  if (isHeld(blocks, call, file)) return true
  if (target === undefined || target.isOwn || target.root !== 'local' || target.text.includes('.')) return false
  const leaves = (value: unknown): boolean => JSON.stringify(value)?.includes(`"text":"${target.text}"`) === true
  const isInside = (where: number): boolean => file.within(where, block)
  return !(
    exits.some(({ value, block: where }) => isInside(where) && value !== undefined && leaves(value)) ||
    assignments.some(
      ({ value, block: where }) => isInside(where) && value.kind !== 'call' && value.kind !== 'await' && leaves(value),
    ) ||
    calls.some(
      ({ args, named, callee, block: where }) =>
        isInside(where) && !/Stub$/.test(callee.text) && (leaves(args) || leaves(named)),
    )
  )
}

/** `async with AsyncClient() as client`: gone where the block ends. */
function isHeld(blocks: readonly Block[], call: Call, file: IndexedFile): boolean {
  const index = file.facts.calls.indexOf(call)
  return blocks.some(({ kind, test }) => kind === 'with' && test?.kind === 'call' && test.call === index)
}

/** QL18. The one that a stub is made with, where it is made beside it. */
function channelOf(file: IndexedFile, stub: Call): Call | undefined {
  const [given] = stub.args
  const block = file.functionOf(stub.block)
  return file.facts.calls.find((each) => {
    if (!/(?:^|\.)(?:in)?secure_channel$/.test(each.callee.text) || file.functionOf(each.block) !== block) return false
    return given?.kind === 'path' && (each.target?.text === given.path.text || isHeld(file.facts.blocks, each, file))
  })
}

/** QL18. Called by the server of gRPC, for each request. */
function isOfServicer({ facts, classOf }: IndexedFile, block: number): boolean {
  const { fn, name = '' } = facts.blocks[block] ?? {}
  const owner = facts.blocks[classOf(block)]?.name
  const bases = facts.classes.find((each) => each.name === owner)?.bases ?? []
  return fn?.kind === 'method' && /^[A-Z]/.test(name) && bases.some((base) => /Servicer$/.test(base))
}

/** Methods of a class that others call, and functions that several do. */
function isAskedOften(program: Program, file: IndexedFile, block: number): boolean {
  const { fn, name = '' } = file.facts.blocks[block] ?? {}
  if (fn === undefined) return false
  const callers = program.callers({ file: file.facts.file, block }).length
  if (fn.kind !== 'method' || callers > 0) return callers >= (fn.kind === 'method' ? 1 : 2)
  return isCalledByInterface(program, file, block, name)
}

/** QU5. What is behind an interface is called by that: `provider.embed(…)` leads to no class, and its name to one of many providers. */
function isCalledByInterface(program: Program, file: IndexedFile, block: number, name: string): boolean {
  const owner = file.classOf(block)
  if (file.bases(owner).length === 0) return false
  const kind = (file.facts.blocks[owner]?.name ?? '').toLowerCase()
  const isUnusual = /^[a-z]+(?:_[a-z]+)+$/.test(name)
  return program.callsNamed(name).some(({ call: { callee } }) => {
    const [receiver = '', ...more] = callee.text.split('.').slice(0, -1).toReversed()
    if (receiver === '' || (callee.isOwn && more.length === 0 && callee.text === name)) return false
    return isUnusual || (receiver.length > 3 && kind.endsWith(receiver.replaceAll('_', '').toLowerCase()))
  })
}

const HOPS_MAX = 3

/** QU5. Of a route or consumer, in one, called by one, or called in a loop. */
function isReached(
  program: Program,
  routes: ReadonlySet<string>,
  { facts, functionOf }: IndexedFile,
  block: number,
  hops = 0,
): boolean {
  for (let at = block; at > 0; at = functionOf(facts.blocks[at]?.parent ?? -1))
    if (routes.has(`${facts.file}\n${at}`)) return true
  if (hops === HOPS_MAX) return false
  return program.callers({ file: facts.file, block }).some(({ file: path, call }) => {
    const own = program.file(path)
    const above = own?.functionOf(call.block) ?? -1
    if (own === undefined || above <= 0) return false
    return enclosing(own.facts, call.block, ['loop']) !== -1 || isReached(program, routes, own, above, hops + 1)
  })
}

/** QU6. `collection = get_orders()` in several functions, each of which has a client of its own then. */
function isMadeByGetter(
  program: Program,
  file: IndexedFile,
  { library, site }: OutboundClient,
  block: number,
): boolean {
  const { fn, name = '' } = file.facts.blocks[block] ?? {}
  const { target } = site.call
  if (library !== 'pymongo' || fn === undefined || fn.kind === 'constructor' || fn.decorators.length > 0) return false
  if (
    target === undefined ||
    target.isOwn ||
    target.root !== 'local' ||
    !/^_*(?:get|open|connect|make|create)/i.test(name)
  )
    return false
  const isKept = enclosing(file.facts, site.call.block, ['branch']) !== -1
  const asked = program.callers({ file: site.file, block }).filter(({ file: path, call }) => {
    const own = program.file(path)
    const above = own?.functionOf(call.block) ?? -1
    return above > 0 && call.target?.isOwn !== true && !MADE_ONCE.test(own?.facts.blocks[above]?.name ?? '')
  })
  return !isKept && asked.length >= 2
}

const MADE_ONCE = /^(?:__init__|constructor|main|lifespan|startup|setup|init\w*|on_startup)$/

function routeHandlers(repository: Repository): ReadonlySet<string> {
  const found = new Set<string>()
  const program = programOf(repository.facts)
  for (const { kind, handler, site } of entriesOf(repository)) {
    if (handler === undefined || (kind !== 'route' && kind !== 'consumer')) continue
    // A function with the loop that takes the messages runs once.
    const isLoop = site.file === handler.file && program.file(site.file)?.functionOf(site.call.block) === handler.block
    if (!isLoop) found.add(`${handler.file}\n${handler.block}`)
  }
  return found
}

function discovery(repository: Repository, { site, library }: OutboundClient): Discovery {
  const facts = repository.facts.get(site.file)
  return {
    tier: 'strong',
    severity: DATABASES.has(library) ? 'medium' : 'low',
    evidence: [seenAt(site.file, site.call, `A client of ${library} is made here for one use.`)],
    cause: `clients of ${library} in ${componentOf(repository, site.file)}`,
    symbol: facts === undefined ? '' : symbolOf(facts, site.call.block),
    symptom: 'Under load calls get slower than the service that they ask, and connections run out.',
    rootCause: `The client of ${library} lives as long as one call, so no connection is used twice.`,
  }
}
