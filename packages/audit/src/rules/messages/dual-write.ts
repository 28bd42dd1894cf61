// Two systems written one after the other, with nothing that makes them agree: the database commits, then a message is published. A crash in between, or a broker that
// is away, leaves one without the other. For review: some messages may be lost.
//   MF12. Silent where the repository has an outbox, and where what is published is told to a log or a cache only.
//   QJ28. A job that is put into a queue of Bull, in the file that makes the queue, is a message.
//   QR4. A task of Celery is a message, and so is what is published at an exchange. What a manager of Django makes, and what a collection takes, is written.
//   QT18. Rows that Prisma or a repository of TypeORM writes are writes, also where the client is handed in.
//   QV13. So are documents that a field declared as a model writes; what a client of Nest emits is a message.
//   MF14. The write, the sending, or both may be one call away.

import type { Call } from '../../facts/facts.ts'
import type { Evidence } from '../../model/evidence.ts'
import { type BlockRef, type CallSite, type IndexedFile, type Program, programOf } from '../../program/index.ts'
import type { Repository } from '../../repository/repository.ts'
import { outboundOf } from '../../system/outbound.ts'
import { rowUse } from '../concurrency/rows.ts'
import { GUARANTEES } from '../guarantees.ts'
import { callsOf, seenAt } from '../queries.ts'
import type { Discovery, Rule } from '../rule.ts'
import { documentWrites } from './documents.ts'
import { sentTasks } from './tasks.ts'

const DATABASES = new Set(['postgres', 'mysql', 'mongodb'])
/** By its name: of what messages are sent with, too many are made elsewhere and handed in. */
const SENDING =
  /(?:producer|publisher|broker|kafka\w*|rabbit\w*|amqp\w*|event_?bus|message_?bus|pub_?sub|channel\d*|exchange)\.(?:send|publish|produce|emit|send_?to_?queue|send_and_wait|basic_publish)$|_task\.(?:delay|apply_async)$|(?:^|\.)send_task$|\.send_message$|queue\.add(?:bulk)?$/i
/** Sessions of SQLAlchemy and connections of the DB API. */
const COMMITTING = /(?:^|[._])(?:db|session|sess|conn|connection|uow|unit_of_work)\.commit$/i
const PLACES_MAX = 12

export const dualWrite: Rule = {
  meta: {
    id: 'dual-write',
    category: 'messages and effects',
    severity: 'medium',
    title: 'The database is written and then a message is sent, and nothing makes them agree',
    why: 'Between the two the process may end, or the broker be away: the order is in the database and nobody is told, for ever. Retrying the request does it twice.',
    remedies: [
      {
        priority: 'P2',
        text: 'Write the message into the same transaction (an outbox), and let something that retries send it from there.',
        effort: 'M',
        guarantee: GUARANTEES.onceOut,
      },
    ],
    sources: [
      'Helland: Life beyond Distributed Transactions (2007)',
      'microservices.io: pattern, transactional outbox',
    ],
  },
  *run(repository: Repository): Iterable<Discovery> {
    const program = programOf(repository.facts)
    if (hasOutbox(repository)) return
    const found = new Map<string, Evidence[]>()
    for (const { file: path, call, behind } of sentBehindWrites(repository, program)) {
      const component = path.split('/').slice(0, 2).join('/')
      const list = found.get(component) ?? []
      found.set(component, list)
      if (list.length < PLACES_MAX)
        list.push(seenAt(path, call, `sent behind a write to the database in line ${behind.line}`))
    }
    for (const [component, evidence] of found)
      yield {
        tier: 'review',
        evidence,
        cause: `messages behind writes in ${component}`,
        symbol: component,
        symptom: 'After a crash or an outage of the broker the database has what nobody was told.',
        rootCause: 'The write and the message are two steps, and nothing finishes the second when the first is done.',
      }
  },
}

interface SentBehind extends CallSite {
  /** The write. */
  readonly behind: Call
}

/** MF14. */
function* sentBehindWrites(repository: Repository, program: Program): Iterable<SentBehind> {
  const writes = writesOf(repository, program)
  const writing = new Set(writes.keys())
  const behind = (file: IndexedFile, { block, line }: Call): Call | undefined => {
    const fn = file.functionOf(block)
    const own = writes.get(keyOf(file.facts.file, fn))
    if (fn === -1 || own !== undefined) return own !== undefined && own.endLine < line ? own : undefined
    return file.facts.calls.find((call) => {
      if (call.endLine >= line || call.use === 'argument' || file.functionOf(call.block) !== fn) return false
      const target = program.target({ file: file.facts.file, call })
      return target !== undefined && writing.has(keyOf(target.file, target.block))
    })
  }
  const senders = new Map<string, BlockRef>()
  const seen = new Set<Call>()
  for (const { file: path, call } of sendings(program)) {
    const file = program.file(path)
    if (file === undefined) continue
    const written = behind(file, call)
    const fn = file.functionOf(call.block)
    if (written !== undefined) yield { file: path, call, behind: written }
    else if (fn !== -1) senders.set(keyOf(path, fn), { file: path, block: fn })
  }
  for (const sender of senders.values())
    for (const { file: path, call } of program.callers(sender)) {
      const file = program.file(path)
      const written = file === undefined || seen.has(call) ? undefined : behind(file, call)
      seen.add(call)
      if (written !== undefined) yield { file: path, call, behind: written }
    }
}

function* sendings(program: Program): Iterable<CallSite> {
  const named = program.callsLike(SENDING).filter(({ file, call }) => {
    const own = program.file(file)
    return own !== undefined && isSending(own, call)
  })
  const told = new Set(named.map(({ call }) => call))
  yield* named
  for (const site of [...sentTasks(program), ...program.calls(EMITS).filter((each) => isByProxy(program, each))])
    if (!told.has(site.call)) yield site
}

const EMITS = ['emit']

/** QV13. `this.payments.emit('start', order)` of what was declared as a client of Nest's. */
function isByProxy(program: Program, { file, call: { callee, block, args } }: CallSite): boolean {
  if (args.length < 2 || !callee.text.includes('.')) return false
  const receiver = { ...callee, text: callee.text.slice(0, callee.text.lastIndexOf('.')) }
  return /^Client(?:Proxy|Kafka|RMQ)$/.test(program.declared(file, receiver, block)?.type.text ?? '')
}

function keyOf(file: string, fn: number): string {
  return `${fn}:${file}`
}

/** The first of each function. */
function writesOf(repository: Repository, program: Program): ReadonlyMap<string, Call> {
  const writes = new Map<string, Call>()
  const add = (path: string, call: Call): void => {
    const fn = program.file(path)?.functionOf(call.block) ?? -1
    const first = writes.get(keyOf(path, fn))
    if (fn !== -1 && (first === undefined || call.line < first.line)) writes.set(keyOf(path, fn), call)
  }
  for (const { kind, effect, site } of outboundOf(repository).calls)
    if (DATABASES.has(kind) && effect === 'write') add(site.file, site.call)
  for (const { file, call } of callsOf(program, ['commit'])) if (COMMITTING.test(call.callee.text)) add(file, call)
  for (const { file, call } of documentWrites(program)) add(file, call)
  for (const { file, call } of callsOf(program, ROWS_WRITTEN))
    if (!file.endsWith('.py') && OF_ROWS.test(call.callee.text)) add(file, call)
  for (const { file, call, facts } of callsOf(program, OF_MODELS))
    if (call.callee.isOwn && WRITING.test(rowUse(facts, facts.calls.indexOf(call))?.op ?? '')) add(file, call)
  for (const { file, call } of callsOf(program, MADE))
    if (file.endsWith('.py') && MAKING.test(call.callee.text)) add(file, call)
  return writes
}

/** QT18. */
const ROWS_WRITTEN = [
  ...['create', 'createMany', 'update', 'updateMany', 'upsert', 'delete', 'deleteMany'],
  ...['save', 'insert', 'remove', 'softDelete'],
]
const OF_ROWS =
  /(?:^|\.)prisma\w*\.\w+\.(?:create|update|upsert|delete)(?:Many)?$|(?:^|\.)\w*[rR]epo(?:sitory)?\.(?:save|insert|update|upsert|remove|delete|softDelete)$/

/** QV13. */
const OF_MODELS = [
  'create',
  'insertMany',
  'updateOne',
  'updateMany',
  'findByIdAndUpdate',
  'findOneAndUpdate',
  'replaceOne',
]
const WRITING = /^(?:create|update|upsert)$/

const MADE = ['create', 'acreate', 'bulk_create', 'get_or_create', 'update_or_create', 'insert_one', 'insert_many']
/** QR4. */
const MAKING = /(?:^|\.)[A-Z]\w*\.objects\.\w+$|(?:^|\.)\w+\.insert_(?:one|many)$/

const QUEUES = /^(?:bull|bullmq|bee-queue|@nestjs\/bull(?:mq)?)$/

/** Of what is named for it: `send_message` only that of SQS, `queue.add` only that of Bull (QJ28). */
function isSending({ facts }: IndexedFile, { callee, named, args }: Call): boolean {
  if (/queue\.add(?:bulk)?$/i.test(callee.text))
    return args[0]?.kind !== 'function' && facts.imports.some(({ module }) => QUEUES.test(module))
  return !/\.send_message$/i.test(callee.text) || named.some(([name]) => name === 'QueueUrl')
}

function hasOutbox({ facts: all }: Repository): boolean {
  for (const [path, { blocks, classes }] of all)
    if (/outbox/i.test(path) || [...blocks, ...classes].some(({ name }) => /outbox/i.test(name))) return true
  return false
}
