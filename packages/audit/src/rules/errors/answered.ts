// Texts of errors that reach a client though no answer of 500 or above is made of them: returned at 200, told over a socket that stays open, or handed up to the
// route that answers with them. Python only: there what a route returns is its answer.
//   QU3. What a handler of any error returns from a route, or from what a route returns or answers with, is found unless a status is said beside it. Silent
//        are probes and trials, which are asked for what is wrong.
//   QU4. So is what it sends over a WebSocket, also through a function of the repository that only sends it, and what it yields to a stream of events.

import type { Call, Exit, FileFacts, Value } from '../../facts/facts.ts'
import { type BlockRef, type IndexedFile, type Program, programOf } from '../../program/index.ts'
import type { Repository } from '../../repository/repository.ts'
import { entriesOf } from '../../system/entries.ts'
import { contentsOf } from '../contents.ts'
import { lastName, optionOf } from '../queries.ts'
import { isAnswer, type Leak, showsText } from './leaks.ts'

export interface Answering {
  readonly program: Program
  /** Functions that answer a request. */
  readonly routes: ReadonlySet<string>
}

const PROBES = /health|readiness|liveness|ready\b|\bping\b|(?:^|[/_.])(?:test|check|validate|verify)(?:$|[/_-])/i

export function answeringOf(repository: Repository): Answering {
  const routes = new Set<string>()
  for (const { kind, handler, name } of entriesOf(repository))
    if (kind === 'route' && handler !== undefined && !PROBES.test(name)) routes.add(keyOf(handler))
  return { program: programOf(repository.facts), routes }
}

function keyOf({ file, block }: BlockRef): string {
  return `${file}\n${block}`
}

export function* answeredIn(answering: Answering, facts: FileFacts, handler: number, name: string): Iterable<Leak> {
  const file = answering.program.file(facts.file)
  if (facts.language !== 'python' || file === undefined) return
  const { calls, exits } = contentsOf(facts, handler)
  for (const exit of exits) {
    const what = ofExit(answering, file, exit, handler, name)
    if (what !== undefined) yield { line: exit.line, endLine: exit.endLine, block: exit.block, what }
  }
  for (const call of calls)
    if (given(call).some((each) => showsText(facts, each, handler, name)) && isSent(answering.program, facts, call, 0))
      yield {
        line: call.line,
        endLine: call.endLine,
        block: call.block,
        what: 'the text of the error is sent over the socket',
      }
}

function given({ args, named }: Call): readonly Value[] {
  return [...args, ...named.map(([, value]) => value)]
}

/** QU3. */
function ofExit(
  answering: Answering,
  file: IndexedFile,
  { kind, value, block }: Exit,
  handler: number,
  name: string,
): string | undefined {
  const { facts } = file
  if (value === undefined || (kind !== 'return' && kind !== 'yield')) return undefined
  const fn = file.functionOf(block)
  const ref = { file: facts.file, block: fn }
  if (PROBES.test(facts.blocks[fn]?.name ?? '') || !showsText(facts, value, handler, name)) return undefined
  if (kind === 'yield') return isEvent(value) ? 'the text of the error is in the stream of events' : undefined
  const isPlain = !saysStatus(facts, value)
  if (answering.routes.has(keyOf(ref))) return isPlain ? 'the text of the error is in an answer of 200' : undefined
  const isHanded = answering.program.callers(ref).some((site) => isAnsweredWith(answering, site.file, site.call))
  return isHanded ? 'the text of the error is returned to a route, which answers with it' : undefined
}

/** `data: …` of server-sent events. */
function isEvent(value: Value): boolean {
  return value.kind === 'template' && /^\s*(?:event|data):/.test(value.parts[0] ?? '')
}

/** A status beside the body: what is below 500 may be meant, and above it is found anyway. */
function saysStatus(facts: FileFacts, value: Value): boolean {
  if (value.kind === 'list') return true
  const call = value.kind === 'call' ? facts.calls[value.call] : undefined
  if (call === undefined) return false
  const isSaid = ['status_code', 'status', 'code', 'http_status'].some((option) => optionOf(call, option) !== undefined)
  const isPositional = isAnswer(call) && call.args.length > 1
  const isNamed = /not_?found|bad_?request|invalid|forbidden|unauthori[sz]ed|abort|redirect|render|raise/i
  return isSaid || isPositional || isNamed.test(call.callee.text)
}

/** What a route returns at once, or by a name that stands in what it returns. */
function isAnsweredWith({ program, routes }: Answering, path: string, call: Call): boolean {
  const file = program.file(path)
  const fn = file?.functionOf(call.block) ?? -1
  if (file === undefined || !routes.has(keyOf({ file: path, block: fn }))) return false
  const index = file.facts.calls.indexOf(call)
  const { target } = call
  return contentsOf(file.facts, fn).exits.some(
    ({ kind, value }) => kind === 'return' && value !== undefined && holds(file.facts, value, index, target?.text, 0),
  )
}

function holds(facts: FileFacts, value: Value, index: number, name: string | undefined, depth: number): boolean {
  if (depth > 4) return false
  const inner = (each: Value): boolean => holds(facts, each, index, name, depth + 1)
  switch (value.kind) {
    case 'path':
      return name !== undefined && value.path.text === name
    case 'await':
      return inner(value.value)
    case 'object':
      return value.entries.some(([, each]) => inner(each))
    case 'list':
      return value.items.some(inner)
    case 'template':
      return value.values.some(inner)
    case 'call': {
      const call = facts.calls[value.call]
      return value.call === index || (call !== undefined && isShaping(call) && given(call).some(inner))
    }
    default:
      return false
  }
}

/** Makes an answer of what it is given: of the framework, or a class by its name. */
function isShaping(call: Call): boolean {
  return isAnswer(call) || /^[A-Z]/.test(lastName(call.callee))
}

const SOCKET = /(?:^|\.|_)(?:ws|websocket|socket|socketio|sio)\.(?:send(?:_json|_text|_str)?|emit)$/
const TO_CLIENTS = /(?:^|\.)(?:group_send|send_json|send_text)$/
const SENDS = /send|tell|notify|emit|push|broadcast|(?:^|_)event/i

/** QU4. */
function isSent(program: Program, facts: FileFacts, call: Call, hops: number): boolean {
  const { text, root } = call.callee
  if (SOCKET.test(text) || TO_CLIENTS.test(text)) return true
  if (text === 'emit' && root.startsWith('import:flask_socketio')) return true
  // `async_to_sync(layer.group_send)(…)`.
  const before = facts.calls[call.on]
  const [wrapped] = before?.args ?? []
  if (before?.callee.text === 'async_to_sync' && wrapped?.kind === 'path' && TO_CLIENTS.test(wrapped.path.text))
    return true
  const direct = { ...call.callee, text: text.replace(/\.(?:delay|apply_async)$/, '') }
  if (hops > 2 || !SENDS.test(lastName(direct))) return false
  const fn = program.target({ file: facts.file, call: { ...call, callee: direct } })
  const own = fn === undefined ? undefined : program.file(fn.file)
  return (
    fn !== undefined &&
    own !== undefined &&
    contentsOf(own.facts, fn.block).calls.some((each) => isSent(program, own.facts, each, hops + 1))
  )
}
