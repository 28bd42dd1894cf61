// Transactions that are held open over a call to somebody else.
//   CU11. A call over HTTP or RPC, or the sending of a mail, within a transaction is found, in its callback, its `with`, or between BEGIN and COMMIT, also through
//        one function of the repository.
//   QT9. Events that are awaited (`channel.publish`, `pusher.trigger`) and the administration of an identity provider leave the process as well.
//   QR5. A task of Celery that is sent within it counts as well: the broker is somebody else, and a rollback takes nothing back.
//   QL5. A session of SQLAlchemy that a `with` holds begins one with its first statement, and ends it with the commit.

import type { Call } from '../../facts/facts.ts'
import { type CallSite, type IndexedFile, type Program, programOf } from '../../program/index.ts'
import type { Repository } from '../../repository/repository.ts'
import { type OutboundCalls, outboundOf } from '../../system/outbound.ts'
import { GUARANTEES } from '../guarantees.ts'
import { sendsTask } from '../messages/tasks.ts'
import { lastName, seenAt, symbolOf } from '../queries.ts'
import type { Discovery, Rule } from '../rule.ts'
import { bodiesOf, bodyOf } from './flow.ts'
import { runsAlone } from './places.ts'
import { callsWithin } from './reach.ts'

const OPENS = /^(?:\$transaction|transaction|withTransaction|runInTransaction|inTransaction|managedTransaction|tx)$/
const HOLDS = /(?:^|\.)(?:atomic|begin|transaction|begin_nested|in_transaction)$/
const SENDS =
  /(?:^|\.)(?:sendMail|send_mail|send_email|sendEmail|sendgrid\.send|sgMail\.send|emails\.send|messages\.create|paymentIntents\.\w+|charges\.create|refunds\.create|transfers\.create|PaymentIntent\.create|Charge\.create|Refund\.create)$/
/** QT9. */
const TELLS = /(?:^|\.)(?:publish|trigger)$|\.auth\.admin\.\w+$/

export const txWithOutbound: Rule = {
  meta: {
    id: 'tx-with-outbound',
    category: 'concurrency',
    severity: 'high',
    title: 'A transaction waits for somebody else',
    why: 'Its rows stay locked and its connection is taken for as long as the other system takes to answer. When that gets slow the pool runs out and every request fails, also those that never call it. What was sent is not rolled back.',
    remedies: [
      {
        priority: 'P1',
        text: 'Call before or after the transaction; where the call must follow the commit, write it down in the same transaction and let a worker send it.',
        effort: 'M',
        guarantee: GUARANTEES.deadline,
      },
    ],
    sources: [
      'Richardson, Microservices Patterns, 2018: transactional outbox',
      'https://www.postgresql.org/docs/current/explicit-locking.html',
    ],
  },
  *run(repository: Repository): Iterable<Discovery> {
    const program = programOf(repository.facts)
    const outbound = outboundOf(repository)
    for (const path of program.files) {
      const file = program.file(path)
      if (file === undefined || runsAlone(path)) continue
      for (const { calls, at } of transactionsOf(repository, file)) {
        for (const call of calls) {
          const sent = leaving(repository, program, outbound, { file: path, call })
          if (sent === undefined) continue
          yield {
            tier: 'strong',
            symbol: symbolOf(file.facts, call.block),
            symptom:
              'While the other system is slow its rows are locked and its connection is taken; enough of them, and nobody gets one.',
            rootCause: 'The call is made between the beginning and the commit of a transaction.',
            evidence: [
              seenAt(path, call, `called within the transaction of line ${at.line}`),
              ...(sent.file === path ? [] : [seenAt(sent.file, sent.call, 'and leaves the process here')]),
            ],
          }
          break
        }
      }
    }
  },
}

interface Transaction {
  readonly at: { readonly line: number; readonly endLine: number }
  readonly calls: readonly Call[]
}

function* transactionsOf(repository: Repository, file: IndexedFile): Iterable<Transaction> {
  const { facts } = file
  for (const call of facts.calls) {
    if (!OPENS.test(lastName(call.callee))) continue
    const callback = call.args.find((arg) => arg.kind === 'function')
    if (callback?.kind !== 'function') continue
    const calls = callsWithin(repository, { file: facts.file, block: callback.block }).map(
      (index) => facts.calls[index] as Call,
    )
    yield { at: { line: call.line, endLine: call.line }, calls }
  }
  for (const [index, { kind, test, line }] of facts.blocks.entries()) {
    const held = kind === 'with' && test !== undefined ? (test.kind === 'await' ? test.value : test) : undefined
    const opened = held?.kind === 'call' ? facts.calls[held.call] : undefined
    if (opened === undefined) continue
    if (!HOLDS.test(opened.callee.text)) {
      if (OPENS_SESSION.test(opened.callee.text)) yield { at: { line, endLine: line }, calls: underway(file, index) }
      continue
    }
    // Django's calls after the commit are given as functions: they are no part of it.
    const fn = file.functionOf(index)
    const calls = bodyOf(file, fn).calls.map((each) => facts.calls[each] as Call)
    yield { at: { line, endLine: line }, calls: calls.filter(({ block }) => file.within(block, index)) }
  }
  for (const fn of bodiesOf(file).keys()) yield* betweenStatements(file, fn)
}

const OPENS_SESSION =
  /(?:^|\.)(?:(?:Async|Sync)?Session(?:Local|Maker|Factory)?|\w*_?session_?(?:local|maker|factory|scope)|(?:get|create|new|open)_(?:\w+_)?(?:session|db)|db_session)$/i
const STATES = /^(?:execute|exec|scalars?|query|get|get_one|add|add_all|merge|flush|delete|refresh)$/

/** QL5. What is called while a transaction of the session is open. */
function underway(file: IndexedFile, held: number): readonly Call[] {
  const { facts } = file
  const { binds = '' } = facts.blocks[held] ?? {}
  const found: Call[] = []
  let isOpen = false
  for (const index of binds === '' ? [] : bodyOf(file, file.functionOf(held)).calls) {
    const call = facts.calls[index] as Call
    if (!file.within(call.block, held)) continue
    const [owner, method = '', ...more] = call.callee.text.split('.')
    const isOwn = owner === binds && more.length === 0 && !call.callee.isOwn
    if (isOwn && STATES.test(method)) isOpen = true
    else if (isOwn && /^(?:commit|rollback|close)$/.test(method)) isOpen = false
    else if (isOpen) found.push(call)
  }
  return found
}

function* betweenStatements(file: IndexedFile, fn: number): Iterable<Transaction> {
  const calls = bodyOf(file, fn).calls.map((index) => file.facts.calls[index] as Call)
  const says = (call: Call, word: RegExp): boolean => {
    const [first] = call.args
    return (
      /(?:^|\.)(?:query|execute|run|exec)$/.test(call.callee.text) && first?.kind === 'string' && word.test(first.value)
    )
  }
  const from = calls.findIndex(
    (call) =>
      says(call, /^\s*(?:begin|start transaction)\b/i) ||
      /(?:^|\.)(?:beginTransaction|startTransaction)$/.test(call.callee.text),
  )
  const to = calls.findLastIndex(
    (call) => says(call, /^\s*commit\b/i) || /(?:^|\.)(?:commit|commitTransaction)$/.test(call.callee.text),
  )
  const begun = calls[from]
  if (begun !== undefined && to > from) yield { at: begun, calls: calls.slice(from + 1, to) }
}

/** Where it leaves the process over HTTP or RPC, itself or in the function that it means. */
function leaving(
  repository: Repository,
  program: Program,
  outbound: OutboundCalls,
  site: CallSite,
): CallSite | undefined {
  if (isRemote(outbound, site) || sendsTask(program, site)) return site
  if (!/^(?:awaited|returned|assigned|dropped|tested|argument|chained)$/.test(site.call.use)) return undefined
  const target = program.target(site)
  const file = target === undefined ? undefined : program.file(target.file)
  if (target === undefined || file === undefined) return undefined
  // What is started and not waited for does not hold it open.
  if (file.facts.blocks[target.block]?.fn?.isAsync === true && site.call.use === 'dropped') return undefined
  for (const index of callsWithin(repository, target)) {
    const call = file.facts.calls[index] as Call
    if (isRemote(outbound, { file: target.file, call })) return { file: target.file, call }
  }
  return undefined
}

function isRemote(outbound: OutboundCalls, site: CallSite): boolean {
  const found = outbound.at(site)
  if (found !== undefined && (found.kind === 'http' || found.kind === 'grpc')) return found.library !== 'prisma'
  const { callee, use } = site.call
  return (SENDS.test(callee.text) && use !== 'dropped') || (TELLS.test(callee.text) && use === 'awaited')
}
