// Messages that are gone from their queue before their work is done: popped from a list, delivered with automatic acknowledgement, or acknowledged first and worked on
// afterwards. A crash in between loses them.
//   MF1. A pop is found where what it gives is kept, and its list is one of work; silent where the file moves messages to a list of those under way (`lmove`).
//   MF2. Automatic acknowledgement is found where a handler works on what it gets; silent for answers to calls (reply queues).
//   MF3. An acknowledgement is found before work only where the same function waits for that work, on the same message, behind it.

import type { Call, FileFacts, Value } from '../../facts/facts.ts'
import { type IndexedFile, programOf } from '../../program/index.ts'
import type { Repository } from '../../repository/repository.ts'
import { callsOf, lastName, optionOf, seenAt, symbolOf } from '../queries.ts'
import type { Discovery, Rule } from '../rule.ts'
import { ACKNOWLEDGING, callMentions, isAcknowledging, isTelling } from './acknowledging.ts'
import { answeredFirst, behindFloating, byDefault, struckOff, type Taken } from './taken-early.ts'

const POPS = [
  ...['lpop', 'rpop', 'lPop', 'rPop', 'blpop', 'brpop', 'blPop', 'brPop', 'lmpop', 'blmpop'],
  ...['zpopmin', 'zPopMin', 'bzpopmin', 'bzPopMin'],
]
/** Of the offset, which says so for all before it. */
const COMMITS = ['commit', 'commitMessage', 'commitMessageSync']
const CONSUMING = ['consume', 'basic_consume', 'basic_get']
const BLOCKING = /^b/
const MOVES = ['lmove', 'lMove', 'blmove', 'blMove', 'rpoplpush', 'rPopLPush', 'brpoplpush', 'bRPopLPush']
const WORK = /queue|job|task|message|event|work|inbox|outbox|pending|todo|delivery|deliveries|mail|notification/i
const REPLIES = /reply|response|rpc|amq\./i

export const messageLossAck: Rule = {
  meta: {
    id: 'message-loss-ack',
    category: 'messages and effects',
    severity: 'high',
    title: 'A message is gone before its work is done',
    why: 'When the process ends between taking the message and finishing it (a deploy is enough), nobody has the message any more: the order, mail or payment simply never happens, and nothing says so.',
    remedies: [
      {
        priority: 'P1',
        text: 'Take it away only after the work: acknowledge by hand at the end, or move it to a list of those under way (LMOVE) and give back what stays there too long. The work must then bear being done twice.',
        effort: 'M',
      },
    ],
    sources: [
      'Redis documentation: LMOVE, pattern: reliable queue',
      'RabbitMQ documentation: consumer acknowledgements and publisher confirms',
    ],
  },
  *run(repository: Repository): Iterable<Discovery> {
    const program = programOf(repository.facts)
    const moving = new Set([...callsOf(program, MOVES)].map(({ file }) => file))
    for (const [names, ask] of [
      [POPS, popped],
      [CONSUMING, automatic],
      [ACKNOWLEDGING, early],
      [COMMITS, early],
    ] as const)
      for (const { file: path, call } of callsOf(program, names)) {
        const file = program.file(path)
        const what = file === undefined || (ask === popped && moving.has(path)) ? undefined : ask(file, call)
        if (file !== undefined && what !== undefined) yield discovery({ file, call, what })
      }
    for (const taken of [
      ...byDefault(repository, program),
      ...behindFloating(repository, program),
      ...answeredFirst(repository),
      ...struckOff(program),
    ])
      yield discovery(taken)
  },
}

function discovery({ file: { facts }, call, what }: Taken): Discovery {
  return {
    tier: 'strong',
    evidence: [seenAt(facts.file, call, what)],
    symbol: symbolOf(facts, call.block),
    symptom: 'A message that was under way when the process ended is never worked on.',
    rootCause: `Nothing holds the message while it is worked on: ${what}.`,
  }
}

/** MF1. */
function popped({ facts }: IndexedFile, call: Call): string | undefined {
  const name = lastName(call.callee)
  if (!call.callee.text.includes('.') || !isKept(facts, call)) return undefined
  const about = `${facts.file} ${symbolOf(facts, call.block)} ${JSON.stringify(call.args[0] ?? '')}`
  const isWork = BLOCKING.test(name) || WORK.test(about)
  return isWork && !REPLIES.test(about) ? `${name} takes it out of the list at once` : undefined
}

/** What it gives goes anywhere. */
function isKept(facts: FileFacts, call: Call): boolean {
  if (call.target !== undefined) return true
  if (call.use !== 'awaited') return call.use !== 'dropped' && call.use !== 'void'
  const index = facts.calls.indexOf(call)
  const holds = (value: Value | undefined): boolean =>
    value?.kind === 'await' ? holds(value.value) : value?.kind === 'call' && value.call === index
  return (
    facts.assignments.some(({ value }) => holds(value)) ||
    facts.exits.some(({ value }) => holds(value)) ||
    facts.calls.some(({ args }) => args.some(holds))
  )
}

/** MF2. */
function automatic(file: IndexedFile, call: Call): string | undefined {
  if (!call.callee.text.includes('.')) return undefined
  const option = ['noAck', 'auto_ack', 'no_ack'].find((each) => {
    const value = optionOf(call, each)
    return value?.kind === 'boolean' && value.value
  })
  if (option === undefined || REPLIES.test(JSON.stringify([call.args, call.named, call.callee]))) return undefined
  const { facts } = file
  // The queue of whoever asked something has no name of its own.
  const isReplies = facts.calls.some(
    (each) =>
      /^(?:assertQueue|queue_declare|declare_queue)$/.test(lastName(each.callee)) &&
      optionOf(each, 'exclusive') !== undefined,
  )
  return isReplies ? undefined : `${option} acknowledges it before anything is done`
}

/** MF3. */
function early(file: IndexedFile, call: Call): string | undefined {
  const { facts } = file
  if (!isAcknowledging(call) && !isCommit(call)) return undefined
  const fn = file.functionOf(call.block)
  if (fn === -1) return undefined
  const names = messagesOf(file, call, fn)
  if (names.size === 0) return undefined
  const work = facts.calls.find(
    (each) =>
      each.line > call.endLine &&
      (each.use === 'awaited' ||
        /^_*(?:handle|process|dispatch|execute|run|on_?message|\w*(?:callback|handler)$)/i.test(
          lastName(each.callee),
        )) &&
      !isAcknowledging(each) &&
      !isTelling(each) &&
      file.functionOf(each.block) === fn &&
      isBehind(file, call, each) &&
      callMentions(facts, each, names),
  )
  return work === undefined ? undefined : `it is acknowledged here, and ${work.callee.text} works on it behind that`
}

/** `consumer.commit(message)`. */
function isCommit({ callee, args: [message] }: Call): boolean {
  return /consumer\w*\.commit\w*$/i.test(callee.text) && message?.kind === 'path' && message.path.root === 'param'
}

/** On the same way, or on the way on which a branch without an end of its own comes out again. */
function isBehind(file: IndexedFile, call: Call, each: Call): boolean {
  if (file.within(each.block, call.block)) return true
  const { blocks, exits } = file.facts
  if (!isCommit(call) || !file.within(call.block, each.block)) return false
  for (let at = call.block; at !== each.block && at >= 0; at = blocks[at]?.parent ?? -1)
    if (blocks[at]?.kind !== 'branch' || exits.some(({ block }) => block === at)) return false
  return true
}

/** The message, and what was made of it. */
function messagesOf(file: IndexedFile, call: Call, fn: number): ReadonlySet<string> {
  const { facts } = file
  const names = new Set<string>()
  const [receiver = '', ...rest] = call.callee.text.split('.')
  // `message.ack()` is of the message itself; `channel.ack(message)` is given it.
  for (const arg of [...call.args, ...call.named.map(([, value]) => value)])
    if (arg.kind === 'path' && !arg.path.isOwn) names.add(arg.path.text.split('.', 1)[0] ?? '')
  // pika: (channel, method, properties, body), of which `method` has the tag.
  const [, method = '', , body = ''] = facts.blocks[fn]?.fn?.params ?? []
  if (names.has(method) && /\.?basic_ack$/.test(call.callee.text)) names.add(body)
  if (call.args.length === 0 && rest.length === 1 && !call.callee.isOwn) names.add(receiver)
  for (const { target, value, block } of facts.assignments)
    if (!target.isOwn && !target.text.includes('.') && file.functionOf(block) === fn)
      if (value.kind === 'call' || value.kind === 'path' || value.kind === 'await')
        if (
          callMentions(
            facts,
            { ...call, callee: { text: '', isOwn: false, root: '' }, args: [value], named: [] },
            names,
          )
        )
          names.add(target.text)
  return names
}
