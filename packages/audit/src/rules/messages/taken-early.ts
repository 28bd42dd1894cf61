// Messages that are taken before anything holds them, where no acknowledgement says so: by the default of a framework, by work that is started and not waited for,
// by an answer to whoever delivered, or by being struck off a list first.
//   QV3. A server of Nest on RabbitMQ acknowledges by itself unless it is told otherwise; found where handlers of events are in the repository and the options are seen.
//   QV4. An acknowledgement behind work that nobody waited for is found where that work is a write, or an async function of the repository.
//   QV5. A webhook that answers first and writes afterwards, or leaves the work to an emitter of the process, is found; what wrote, queued or waited before is silent.
//   QV6. An entry that is removed from a list of work and then worked on is found where the removal is waited for and its answer thrown away.

import type { Call, Value } from '../../facts/facts.ts'
import { type IndexedFile, type Program, programOf } from '../../program/index.ts'
import type { Repository } from '../../repository/repository.ts'
import { entriesOf } from '../../system/entries.ts'
import { outboundOf } from '../../system/outbound.ts'
import { callsOf, lastName } from '../queries.ts'
import { ACKNOWLEDGING, callMentions, isAcknowledging, isTelling } from './acknowledging.ts'

export interface Taken {
  readonly file: IndexedFile
  readonly call: Call
  readonly what: string
}

const SERVERS_OF_NEST = ['createMicroservice', 'connectMicroservice']
const EMITS = ['emit']

/** QV3. */
export function* byDefault(repository: Repository, program: Program): Iterable<Taken> {
  const servers = callsOf(program, SERVERS_OF_NEST)
  if (servers.length === 0 || !hasEvents(repository, program)) return
  for (const { file: path, call } of servers) {
    const file = program.file(path)
    const given = call.args.find((arg) => arg.kind === 'object')
    if (file === undefined || given?.kind !== 'object' || given.hasSpread) continue
    const transport = given.entries.find(([name]) => name === 'transport')?.[1]
    const options = given.entries.find(([name]) => name === 'options')?.[1]
    if (transport?.kind !== 'path' || !/(?:^|\.)RMQ$/.test(transport.path.text)) continue
    if (options?.kind !== 'object' || options.hasSpread || options.entries.some(([name]) => name === 'noAck')) continue
    yield { file, call, what: 'noAck is true unless it is set, which acknowledges it before anything is done' }
  }
}

function hasEvents(repository: Repository, program: Program): boolean {
  const isOfNest = (path: string): boolean =>
    program.file(path)?.facts.imports.some(({ module }) => module === '@nestjs/microservices') === true
  const handled = new Set(
    entriesOf(repository).flatMap(({ kind, site }) => (kind === 'consumer' ? [lastName(site.call.callee)] : [])),
  )
  if (handled.has('EventPattern')) return true
  return handled.has('MessagePattern') && callsOf(program, EMITS).some(({ file }) => isOfNest(file))
}

const PURE = /^(?:get\w*|to\w+|parse|stringify|from|push|set|has|next|add|subscribe|pipe)$/

/** QV4. */
export function* behindFloating(repository: Repository, program: Program): Iterable<Taken> {
  for (const { file: path, call } of callsOf(program, ACKNOWLEDGING)) {
    const file = program.file(path)
    if (file === undefined || !isAcknowledging(call)) continue
    const work = file.facts.calls.find(
      (each) =>
        each.line < call.line &&
        each.block === call.block &&
        (each.use === 'dropped' || each.use === 'void') &&
        !isAcknowledging(each) &&
        !isTelling(each) &&
        !PURE.test(lastName(each.callee)) &&
        isAsyncWork(repository, program, path, each),
    )
    if (work !== undefined)
      yield { file, call: work, what: `${work.callee.text} is not waited for, and it is acknowledged behind that` }
  }
}

function isAsyncWork(repository: Repository, program: Program, path: string, call: Call): boolean {
  const outbound = outboundOf(repository).at({ file: path, call })
  if (outbound !== undefined) return outbound.effect === 'write'
  const target = program.target({ file: path, call })
  return target !== undefined && program.file(target.file)?.facts.blocks[target.block]?.fn?.isAsync === true
}

const WEBHOOK = /web-?hook|\bipn\b|callbacks?\b|incoming/i
const ANSWERS = /^(?:json|send|sendStatus|end)$/
const FINE = new Set([200, 201, 202, 204])
const WRITES =
  /^_*(?:save|insert|create|update|upsert|delete|remove|process|handle|enqueue|queue|add|publish|send|store|push|persist|record|dispatch)/i

/** QV5. */
export function* answeredFirst(repository: Repository): Iterable<Taken> {
  const program = programOf(repository.facts)
  const seen = new Set<string>()
  for (const { kind, name, site, handler } of entriesOf(repository)) {
    const file = handler === undefined ? undefined : program.file(handler.file)
    if (kind !== 'route' || handler === undefined || file === undefined) continue
    const symbol = file.facts.blocks[handler.block]?.name ?? ''
    if (!WEBHOOK.test(`${name} ${symbol} ${site.file}`) || !/^POST|^PUT|^ALL|^\//.test(name)) continue
    const key = `${handler.file} ${handler.block}`
    if (seen.has(key)) continue
    seen.add(key)
    const own = file.facts.calls.filter(({ block }) => file.functionOf(block) === handler.block)
    const answer = own.find((each) => isFine(file, each) && isOnTheWay(file, each, handler.block))
    if (answer === undefined) continue
    const isBefore = (each: Call): boolean => each.line < answer.line || each === answer
    if (own.some((each) => isBefore(each) && each.use === 'awaited' && WRITES.test(lastName(each.callee)))) continue
    const later = own.find(
      (each) => !isBefore(each) && each.use === 'awaited' && !isTelling(each) && WRITES.test(lastName(each.callee)),
    )
    if (later !== undefined)
      yield {
        file,
        call: answer,
        what: `whoever delivered it is told that it went well, and ${later.callee.text} works on it behind that`,
      }
    const handed = own.find((each) => isHandedOver(program, file, each))
    if (later === undefined && handed !== undefined && !own.some(({ use }) => use === 'awaited'))
      yield {
        file,
        call: handed,
        what: 'it is left to an emitter of the process, and whoever delivered it is told that it went well',
      }
  }
}

/** `res.status(202).json(…)`, `res.sendStatus(200)`: what answers, and well. */
function isFine({ facts }: IndexedFile, call: Call): boolean {
  if (!ANSWERS.test(lastName(call.callee)) || call.use === 'returned') return false
  const before = facts.calls[call.on]
  const first = before?.callee ?? call.callee
  const [status] = before === undefined ? call.args : before.args
  if (first.root !== 'param' || !/^(?:res|response|reply)\.(?:status|code|json|send|sendStatus|end)$/.test(first.text))
    return false
  const isGiven = before !== undefined || call.callee.text.endsWith('.sendStatus')
  return !isGiven || (status?.kind === 'number' && FINE.has(status.value))
}

/** On no branch of its own, and not behind an error. */
function isOnTheWay({ facts }: IndexedFile, { block, line }: Call, handler: number): boolean {
  for (let at = block; at !== handler && at >= 0; at = facts.blocks[at]?.parent ?? -1)
    if (facts.blocks[at]?.kind !== 'try') return false
  return !facts.exits.some((exit) => exit.kind === 'return' && exit.block === block && exit.line === line)
}

/** `events.emit('paid', body)` of an emitter that lives here. */
function isHandedOver(program: Program, file: IndexedFile, call: Call): boolean {
  const { text } = call.callee
  if (lastName(call.callee) !== 'emit' || call.use !== 'dropped' || call.args.length < 2) return false
  const receiver = { ...call.callee, text: text.slice(0, text.lastIndexOf('.')) }
  const declared = program.declared(file.facts.file, receiver, call.block)
  const owner = program.classOf(file.facts.file, receiver, call.block)
  const bases = owner === undefined ? [] : (program.file(owner.file)?.bases(owner.block) ?? [])
  const made = program.created(file.facts.file, receiver, call.block)
  return [...bases, declaredName(declared), made?.call.callee.text ?? ''].some((each) =>
    /(?:^|\.)EventEmitter2?$/.test(each),
  )
}

function declaredName(declared: ReturnType<Program['declared']>): string {
  return declared?.type.text ?? ''
}

const LISTS = /queue|retr(?:y|ies)|pending|job|task|outbox|inbox|schedule|due/i
const STRIKES = /^(?:zrem|zRem|lrem|lRem|srem|sRem)$/
const REMOVES = /^(?:remove|delete|take|dequeue)\w*$/i

/** QV6. */
export function* struckOff(program: Program): Iterable<Taken> {
  for (const { file: path, call } of callsOf(program, REMOVING)) {
    const file = program.file(path)
    const fn = file?.functionOf(call.block) ?? -1
    const item = call.args.find(
      (arg) => arg.kind === 'path' && !arg.path.isOwn && /^(?:local|param)?$/.test(arg.path.root),
    )
    if (file === undefined || fn === -1 || item === undefined || !isThrownAway(file, call)) continue
    if (!LISTS.test(`${lastName(call.callee)} ${JSON.stringify(call.args)}`) || !strikes(program, path, call)) continue
    const names = new Set([(item as Extract<Value, { kind: 'path' }>).path.text.split('.', 1)[0] ?? ''])
    const isInLoop = loopOf(file, call.block, fn) !== -1
    const work = file.facts.calls.find(
      (each) =>
        each.line > call.endLine &&
        each.use === 'awaited' &&
        file.within(each.block, call.block) &&
        !isTelling(each) &&
        callMentions(file.facts, each, names),
    )
    if (isInLoop && work !== undefined)
      yield { file, call, what: `it is struck off the list, and ${work.callee.text} works on it behind that` }
  }
}

const REMOVING = /^(?:zrem|lrem|srem|remove\w*|delete\w*|take\w*|dequeue\w*)$/i

function isThrownAway({ facts }: IndexedFile, call: Call): boolean {
  if (call.use !== 'awaited' || call.target !== undefined) return false
  const index = facts.calls.indexOf(call)
  const isIt = (value: Value | undefined): boolean =>
    value?.kind === 'await' ? isIt(value.value) : value?.kind === 'call' && value.call === index
  return !facts.assignments.some(({ value }) => isIt(value)) && !facts.blocks.some(({ test }) => isIt(test))
}

/** Itself, or the function that it calls. */
function strikes(program: Program, path: string, call: Call): boolean {
  if (STRIKES.test(lastName(call.callee))) return true
  if (!REMOVES.test(lastName(call.callee))) return false
  const target = program.target({ file: path, call })
  const file = target === undefined ? undefined : program.file(target.file)
  return (
    target !== undefined &&
    file?.facts.calls.some(
      (each) => STRIKES.test(lastName(each.callee)) && file.functionOf(each.block) === target.block,
    ) === true
  )
}

function loopOf({ facts }: IndexedFile, block: number, fn: number): number {
  for (let at = block; at >= 0 && at !== fn; at = facts.blocks[at]?.parent ?? -1)
    if (facts.blocks[at]?.kind === 'loop') return at
  return -1
}
