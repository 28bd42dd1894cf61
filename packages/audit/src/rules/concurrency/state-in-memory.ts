// State of the business that lives in a variable: a Map, dict or list of the module or of one object, which requests or messages write and read.
//   CU17. Found where a route, a consumer or a socket leads to the writing, something else reads it, and nothing in its file keeps it elsewhere. Caches, metrics,
//         limits, handlers and what is under way are not state; neither is what only start-up fills.
//   QV1. A collection of the module that begins with rows (balances, a first user) is state as well, once a request changes it.

import type { Call, Value } from '../../facts/facts.ts'
import { type IndexedFile, programOf } from '../../program/index.ts'
import type { Repository } from '../../repository/repository.ts'
import { isPage } from '../places.ts'
import { lastName, seenAt } from '../queries.ts'
import type { Discovery, Rule } from '../rule.ts'
import { bodyOf } from './flow.ts'
import { runsAlone } from './places.ts'
import { type Reached, reachedOf, reachKey } from './reach.ts'
import { ownUses } from './uses.ts'

/** By their name they may be lost, or belong to the process. */
const NO_STATE =
  /cache|memo|lru|limit|throttl|bucket|attempts|metric|stat(?:s|istics)?$|counter|histogram|timer|interval|timeout|listener|handler|callback|hook|middleware|plugin|inflight|in_flight|pending|lock|mutex|queue|buffer|pool|seen|visited|warn|error|log|schema|route|config|option|constant|default|mapping|lookup|allowed|providers?$|factor|strateg|breaker|health|debounce|nonce|dedup|abort|controller|translation|locale|template|debug|trace|span|registry_?types|subscri|watch|observer|singleton|instance|client|models?$|modules?$|extension|commands?$|tools?$/i
const NO_STATE_FILE = /\.(?:tsx|jsx)$|rate[_-]?limit|limiter|throttl|cache|metrics|telemetry/i
const STATE =
  /session|user|account|customer|order|cart|payment|invoice|booking|reservation|agent|registry|register|connection|socket|room|game|player|match|job|task|workflow|saga|execution|run|conversation|message|chat|thread|notification|device|document|project|tenant|polic|context|event|alert|incident|token|code|otp|store|storage|db|database|state|record|item|product|ticket|report|upload|file|key|webhook|experiment|deployment|node|service|peer|lobby|presence|online|active|stock|inventor|balance|wallet|todo/i
const ADDS = /^(?:set|add|push|append|unshift|insert|setdefault|update|extend)$/
const READS =
  /^(?:get|has|values|entries|keys|find|filter|forEach|map|items|some|size|length|includes|pop|remove|delete|discard|index|copy|sort|reduce|slice|every|at)$/
/** Sockets have to live here; what is needed beside them is a channel to those that live elsewhere. */
const SOCKETS = /connection|socket|client|room|peer|channel|online|presence/i
const CHANNELS = /redis|kafka|nats|amqp|pika|rabbit|broadcaster|pubsub|socket\.io|channels/i
const STARTS_WORK = /(?:^|\.)(?:create_task|ensure_future|Thread|setTimeout|setInterval)$/
const PERSISTS =
  /(?:^|[._])(?:persist\w*|save\w*|insert\w*|upsert\w*|commit|setex|hset|create_?many|store_\w+|sync_to_\w+|publish|dump|writeFile\w*)$/i

export const stateInMemory: Rule = {
  meta: {
    id: 'state-in-memory',
    category: 'state',
    severity: 'medium',
    title: 'State lives in one process only',
    why: 'A restart, a deployment or a crash forgets it, and a second replica never sees it: what one request stored the next one, served elsewhere, does not find.',
    remedies: [
      {
        priority: 'P2',
        text: 'Keep it in a database or in Redis and read it from there; what has to stay in the process, like open sockets, needs a channel between replicas.',
        effort: 'M',
      },
    ],
    sources: ['https://12factor.net/processes'],
  },
  *run(repository: Repository): Iterable<Discovery> {
    const program = programOf(repository.facts)
    const replicas = replicasOf(repository)
    for (const path of program.files) {
      const file = program.file(path)
      if (file === undefined || runsAlone(path) || NO_STATE_FILE.test(path) || isPage(file.facts)) continue
      for (const held of heldIn(file)) {
        const found = usedBy(repository, file, held)
        if (found === undefined) continue
        yield {
          tier: 'strong',
          severity: replicas > 1 ? 'high' : 'medium',
          cause: `state of ${path}`,
          symbol: held.name,
          symptom: `A restart forgets ${held.name}${replicas > 1 ? `, and the ${replicas} replicas each have their own` : ', and a second replica would have its own'}.`,
          rootCause: `${held.name} is a variable of the process, written on the way of ${wayOf(found)}, and nothing here keeps it elsewhere.`,
          evidence: [seenAt(path, held, `kept here, and written by a request in line ${found.write.line}`)],
        }
      }
    }
  },
}

function wayOf({ reached: { entry } }: Used): string {
  if (entry.name === '') return `a ${entry.kind}`
  return entry.kind === 'route' ? entry.name : `the ${entry.kind} ${entry.name}`
}

/** The most that any deployment says. */
function replicasOf({ configuration }: Repository): number {
  const kubernetes = configuration.kubernetes.map(({ body }) => {
    const spec = body.spec as { readonly replicas?: unknown } | undefined
    return typeof spec?.replicas === 'number' ? spec.replicas : 1
  })
  const compose = configuration.compose.flatMap(({ services }) =>
    [...services.values()].map((service) => service.replicas),
  )
  return Math.max(1, ...kubernetes, ...compose)
}

interface Held {
  readonly name: string
  /** -1: of the module. */
  readonly owner: number
  readonly line: number
  readonly endLine: number
}

/** Collections that come into being empty, once for the module or with an object. */
function* heldIn(file: IndexedFile): Iterable<Held> {
  const { facts } = file
  const seen = new Set<string>()
  for (const { target, value, block, line, endLine, operator } of facts.assignments) {
    const isModule = !target.isOwn && target.root === 'module' && block === 0
    const name = target.text
    if (operator !== '=' || (!isModule && !target.isOwn) || name.includes('.')) continue
    if (!isEmpty(file, value) && !(isModule && isSeeded(value))) continue
    const owner = isModule ? -1 : file.classOf(block)
    if ((target.isOwn && owner === -1) || NO_STATE.test(name) || !STATE.test(name) || /^[A-Z0-9_]+$/.test(name))
      continue
    if (target.isOwn && !isOfConstruction(file, block)) continue
    if (!isModule && NO_STATE.test(facts.blocks[owner]?.name ?? '')) continue
    if (seen.has(`${owner} ${name}`)) continue
    seen.add(`${owner} ${name}`)
    yield { name, owner, line, endLine }
  }
}

function isEmpty({ facts }: IndexedFile, value: Value): boolean {
  if (value.kind === 'object') return value.entries.length === 0 && !value.hasSpread
  if (value.kind === 'list') return value.items.length === 0 && !value.hasSpread
  const call = value.kind === 'call' ? facts.calls[value.call] : undefined
  if (call === undefined) return false
  if (/^(?:Map|Set)$/.test(call.callee.text)) return call.isNew && call.args.length === 0
  return /(?:^|\.)(?:dict|set|list|defaultdict|OrderedDict|deque)$/.test(call.callee.text) && call.named.length === 0
}

const PLAIN: ReadonlySet<Value['kind']> = new Set(['string', 'number', 'boolean', 'null'])

/** QV1. What a demonstration begins with: rows that are written out. */
function isSeeded(value: Value): boolean {
  if (value.kind === 'list') return value.items.length > 0 && !value.hasSpread && value.items.every(isRow)
  return isRow(value)
}

function isRow(value: Value): boolean {
  return value.kind === 'object' && !value.hasSpread && value.entries.every(([, each]) => PLAIN.has(each.kind))
}

function isOfConstruction(file: IndexedFile, block: number): boolean {
  const fn = file.functionOf(block)
  const { name, fn: about } = file.facts.blocks[fn] ?? {}
  return fn === -1 || name === '__init__' || about?.kind === 'constructor'
}

interface Used {
  readonly write: { readonly line: number; readonly endLine: number }
  readonly reached: Reached
}

/** Written on the way of a request, and read by something else. */
function usedBy(repository: Repository, file: IndexedFile, held: Held): Used | undefined {
  const { facts } = file
  if (SOCKETS.test(held.name) && facts.imports.some(({ module }) => CHANNELS.test(module))) return undefined
  if (held.owner !== -1 && !livesLong(repository, file, held.owner)) return undefined
  const reached = reachedOf(repository)
  const isOwn = held.owner !== -1
  const is = (text: string, own: boolean, block: number): boolean =>
    own === isOwn &&
    (text === held.name || text.startsWith(`${held.name}.`)) &&
    (!isOwn || file.classOf(block) === held.owner)
  let found: Used | undefined
  let reads = 0
  let kept = false
  const write = (place: { readonly line: number; readonly endLine: number; readonly block: number }): void => {
    const by = reachedAt(file, place.block, reached)
    const fn = file.functionOf(place.block)
    if (isKeptElsewhere(repository, file, fn)) kept = true
    if (by !== undefined) found ??= { write: place, reached: by }
  }
  for (const call of facts.calls) {
    if (isRead(call, held, isOwn)) reads++
    if (!is(call.callee.text, call.callee.isOwn, call.block)) continue
    const method = lastName(call.callee)
    if (holdsWork(file, call)) return undefined
    if (call.callee.text === `${held.name}.${method}` && ADDS.test(method)) write(call)
    else if (READS.test(method)) reads++
  }
  for (const { target, value, line, endLine, block, isDeclaration, operator } of facts.assignments) {
    // `const session = this.sessions[id]`.
    if (value.kind === 'path' && value.path.text !== held.name && is(value.path.text, value.path.isOwn, block)) reads++
    if (isDeclaration || operator === 'delete' || !is(target.text, target.isOwn, block)) continue
    const made = value.kind === 'call' ? facts.calls[value.call]?.callee : undefined
    const isReplaced = target.text === held.name && made?.isOwn === isOwn && made.text.startsWith(`${held.name}.`)
    if (isReplaced || target.text.startsWith(`${held.name}.`)) write({ line, endLine, block })
  }
  return !kept && (reads > 0 || readInBlocks(file, held, isOwn)) ? found : undefined
}

/** `tasks.add(task)` of a task that was started here: what is under way, kept so that it is not collected. */
function holdsWork(file: IndexedFile, { args: [given], block }: Call): boolean {
  if (given?.kind !== 'path' || given.path.isOwn) return false
  const fn = file.functionOf(block)
  return file.facts.calls.some(
    ({ target, callee, block: where }) =>
      target?.text === given.path.text && file.functionOf(where) === fn && STARTS_WORK.test(callee.text),
  )
}

/** The same function writes it to a store as well. */
function isKeptElsewhere({ facts }: Repository, file: IndexedFile, fn: number): boolean {
  const { rows, keys } = ownUses(programOf(facts), file, fn)
  if (rows.some(({ op }) => op !== 'read' && op !== 'count') || keys.some(({ op }) => op === 'write')) return true
  return bodyOf(file, fn).calls.some((index) => PERSISTS.test(file.facts.calls[index]?.callee.text ?? ''))
}

const MADE = new WeakMap<Repository['facts'], ReadonlyMap<string, boolean>>()

/** Names of classes that are made for as long as the process lives: by the module, as a field, or by a framework. */
function livesLong({ facts }: Repository, file: IndexedFile, owner: number): boolean {
  const kept = MADE.get(facts) ?? readMade(facts)
  MADE.set(facts, kept)
  const name = file.facts.blocks[owner]?.name ?? ''
  const { decorators = [] } = file.facts.classes.find(({ block }) => block === owner) ?? {}
  const isServed = decorators.some(({ callee }) =>
    /(?:^|\.)(?:Injectable|Controller|WebSocketGateway|Service|Singleton|singleton)$/.test(callee.text),
  )
  return isServed || kept.get(name) === true
}

function readMade(facts: Repository['facts']): ReadonlyMap<string, boolean> {
  const made = new Map<string, boolean>()
  for (const { calls } of facts.values())
    for (const { callee, target, block } of calls) {
      const name = lastName(callee)
      if (!/^_?[A-Z]/.test(name)) continue
      if (block === 0 || target?.isOwn === true || target?.root === 'module') made.set(name, true)
    }
  return made
}

function isRead({ args }: Call, { name }: Held, isOwn: boolean): boolean {
  return args.some((arg) => arg.kind === 'path' && arg.path.isOwn === isOwn && arg.path.text.split('.', 1)[0] === name)
}

/** `for x in held`, `if key in held`, `return held[key]`. */
function readInBlocks({ facts }: IndexedFile, { name }: Held, isOwn: boolean): boolean {
  const isHeld = (value: Value | undefined): boolean => {
    if (value === undefined) return false
    if (value.kind === 'path') return value.path.isOwn === isOwn && value.path.text.split('.', 1)[0] === name
    if (value.kind === 'operation') return isHeld(value.left) || isHeld(value.right)
    return value.kind === 'not' && isHeld(value.value)
  }
  return facts.blocks.some(({ test }) => isHeld(test)) || facts.exits.some(({ value }) => isHeld(value))
}

/** Events of a page or of the process itself come from nobody outside. */
function isOfTheWorld({ kind, name }: Reached['entry']): boolean {
  if (kind === 'listener') return /^(?:connection|connect|message|join|register|subscribe|request)/.test(name)
  return kind === 'route' || kind === 'consumer'
}

function reachedAt(file: IndexedFile, block: number, reached: ReadonlyMap<string, Reached>): Reached | undefined {
  const { facts } = file
  for (let at = block; at >= 0; at = facts.blocks[at]?.parent ?? -1) {
    const found =
      facts.blocks[at]?.kind === 'function' ? reached.get(reachKey({ file: facts.file, block: at })) : undefined
    if (found !== undefined && isOfTheWorld(found.entry)) return found
  }
  return undefined
}
