// Queues without a bound: in memory, where requests put in what a consumer takes out; in Redis, where finished or failed jobs are kept for ever; at a broker's consumer
// that is sent everything that waits at once.
//   BD9. A queue in memory is found where it lives as long as the process and what fills it runs by traffic; jobs that are kept, where that is set, or nothing in the
//        repository says otherwise; a consumer, where nothing in the repository limits what it is sent.

import type { Call, FileFacts, Value } from '../../facts/facts.ts'
import { type Program, programOf } from '../../program/index.ts'
import type { Repository } from '../../repository/repository.ts'
import { trafficOf } from '../../system/traffic.ts'
import { GUARANTEES } from '../guarantees.ts'
import { callsOf, constantOf, lastName, optionOf, seenAt, symbolOf } from '../queries.ts'
import type { Discovery, Rule } from '../rule.ts'
import { Lifetimes } from './lifetimes.ts'
import { isServed } from './served.ts'

const QUEUES = /^(?:asyncio\.|queue\.|multiprocessing\.)?(?:Queue|LifoQueue|PriorityQueue|SimpleQueue|JoinableQueue)$/
const QUEUE_MODULES = /^import:(?:asyncio|queue|multiprocessing)(?:#|$)/
/** Calls that take options of jobs. */
const JOBS = ['add', 'addBulk', 'Worker', 'registerQueue', 'forRoot', 'createQueue', 'upsertJobScheduler']
const RABBIT = /^(?:amqplib|amqp-connection-manager|pika|aio_pika)(?:[/.]|$)/
const BULL = /^import:(?:bull|bullmq)(?:#|$)/

export const unboundedQueue: Rule = {
  meta: {
    id: 'unbounded-queue',
    category: 'bounds',
    severity: 'medium',
    title: 'A queue has no bound',
    why: 'When work comes in faster than it is done, or is never cleared away, the queue grows until memory is full. Everything in it is then lost at once, and what came first has waited longest for nothing.',
    remedies: [
      {
        priority: 'P2',
        text: 'Give the queue a bound and say what happens at the bound: refuse new work (429, 503), or drop the oldest. Let finished jobs go after a number or an age.',
        effort: 'S',
        guarantee: GUARANTEES.bulkhead,
      },
    ],
    sources: [
      'CWE-770: allocation of resources without limits or throttling',
      'BullMQ documentation: auto-removal of jobs, kept by default',
      'RabbitMQ documentation: consumer prefetch, unlimited by default',
    ],
  },
  *run(repository: Repository): Iterable<Discovery> {
    yield* inMemory(repository)
    yield* keptJobs(repository)
    yield* unlimitedConsumers(repository)
  },
}

function* inMemory(repository: Repository): Iterable<Discovery> {
  const traffic = trafficOf(repository)
  let lifetimes: Lifetimes | undefined
  for (const facts of repository.facts.values()) {
    if (facts.language !== 'python' || !isServed(facts.file)) continue
    for (const call of facts.calls) {
      const { callee, target, block } = call
      if (!QUEUES.test(callee.text) || !QUEUE_MODULES.test(callee.root) || target === undefined || !isUnlimited(call))
        continue
      const file = traffic.program.file(facts.file)
      const isField = target.isOwn
      if (file === undefined || target.text.includes('.') || (!isField && target.root !== 'module')) continue
      const owner = isField ? file.classOf(block) : -1
      const uses = facts.calls.filter(
        (use) =>
          use.callee.isOwn === isField &&
          use.callee.text.startsWith(`${target.text}.`) &&
          (!isField || file.classOf(use.block) === owner),
      )
      if (uses.some(({ callee: { text } }) => /\.(?:qsize|full)$/.test(text))) continue
      const filled = uses.filter(
        (use) =>
          /\.put(?:_nowait)?$/.test(use.callee.text) &&
          traffic.runs({ file: facts.file, block: file.functionOf(use.block) }, 'traffic'),
      )
      if (filled.length === 0) continue
      lifetimes ??= new Lifetimes(traffic)
      const scope = isField ? 'field' : 'module'
      const at = { line: call.line, endLine: call.endLine, block }
      if (
        lifetimes.of({
          file: facts.file,
          scope,
          owner,
          name: target.text,
          at,
          holdsBounded: false,
          hasDefault: false,
        }) !== 'process'
      )
        continue
      yield {
        tier: 'strong',
        evidence: [
          seenAt(facts.file, call, 'a queue without maxsize'),
          ...filled.slice(0, 3).map((use) => seenAt(facts.file, use, 'filled here for requests from outside')),
        ],
        symbol: `${symbolOf(facts, block)} ${target.text}`,
        symptom: `When ${target.text} is filled faster than it is emptied, memory grows, and everything in it is lost when the process is killed.`,
        rootCause: `${target.text} has no maxsize, and what fills it is asked from outside.`,
      }
    }
  }
}

function isUnlimited({ callee, args, named, hasSpread }: Call): boolean {
  if (hasSpread) return false
  const size = named.find(([name]) => name === 'maxsize')?.[1] ?? args[0]
  return size === undefined || lastName(callee) === 'SimpleQueue' || (size.kind === 'number' && size.value <= 0)
}

/** Bull and BullMQ keep every job unless told otherwise. */
function* keptJobs(repository: Repository): Iterable<Discovery> {
  const queues: { readonly facts: FileFacts; readonly call: Call; readonly options: Value | undefined }[] = []
  const { program } = trafficOf(repository)
  const isCleared =
    [...callsOf(program, ['clean', 'obliterate', 'empty'])].some(({ call }) =>
      /[qQ]ueue\.\w+$/.test(call.callee.text),
    ) || [...callsOf(program, JOBS)].some(({ file, call }) => !isQueue(call) && clearsJobs(program, file, call))
  for (const facts of repository.facts.values()) {
    if (!facts.imports.some(({ module }) => module === 'bull' || module === 'bullmq')) continue
    for (const call of facts.calls) {
      if (!isQueue(call)) continue
      const given = call.args.findLast(({ kind }) => kind === 'object' || kind === 'path' || kind === 'call')
      queues.push({ facts, call, options: given === undefined ? undefined : constantOf(program, facts.file, given) })
    }
  }
  for (const { facts, call, options } of queues) {
    if (options !== undefined && (options.kind !== 'object' || options.hasSpread)) continue
    const defaults = options?.entries.find(([name]) => name === 'defaultJobOptions')?.[1]
    if (defaults !== undefined && (defaults.kind !== 'object' || defaults.hasSpread)) continue
    const of = (name: string): Value | undefined => defaults?.entries.find(([each]) => each === name)?.[1]
    const kept = (['removeOnFail', 'removeOnComplete'] as const).filter((name) => isFalse(of(name)))
    const isKept = kept.length > 0 || (of('removeOnComplete') === undefined && !isCleared)
    if (!isKept) continue
    const what = kept.length > 0 ? `${kept.join(' and ')} false` : 'no removeOnComplete, here or where jobs are added'
    const line = kept[0] === undefined ? call.line : lineOf(repository, facts.file, call, kept[0])
    yield {
      tier: 'strong',
      evidence: [seenAt(facts.file, { line, endLine: line }, `${what}: jobs stay in Redis for ever`)],
      cause: `jobs that are kept in ${facts.file}`,
      symbol: symbolOf(facts, call.block),
      symptom:
        'Redis fills with jobs that are long done or failed, until it refuses writes or evicts what others need.',
      rootCause: `Jobs are never cleared away: ${what}.`,
    }
  }
}

/** Written out, or as a constant that several calls are given. */
function clearsJobs(program: Program, file: string, call: Call): boolean {
  if (optionOf(call, 'removeOnComplete') !== undefined) return true
  return call.args.some((arg) => {
    const value = arg.kind === 'path' ? constantOf(program, file, arg) : undefined
    return value?.kind === 'object' && value.entries.some(([name]) => name === 'removeOnComplete')
  })
}

function isQueue(call: Call): boolean {
  return BULL.test(call.callee.root) && call.isNew && /(?:^|\.)(?:Queue|Bull)$/i.test(nameOf(call))
}

/** `Queue` of `import Q from 'bull'` is the module itself. */
function nameOf({ callee }: Call): string {
  return callee.root.includes('#')
    ? (callee.root.split('#')[1] ?? '')
    : callee.root === 'import:bull'
      ? 'Bull'
      : callee.text
}

function isFalse(value: Value | undefined): boolean {
  return value?.kind === 'boolean' && !value.value
}

function lineOf({ files }: Repository, file: string, { line, endLine }: Call, word: string): number {
  const lines =
    files
      .read(file)
      ?.split('\n', endLine)
      .slice(line - 1) ?? []
  const index = lines.findIndex((text) => text.includes(word))
  return index === -1 ? line : line + index
}

/** RabbitMQ sends a consumer all that waits, unless it says how many it takes at once. */
function* unlimitedConsumers({ facts: all }: Repository): Iterable<Discovery> {
  const program = programOf(all)
  for (const _ of callsOf(program, ['prefetch', 'basic_qos', 'set_qos', 'prefetchCount'])) return
  const consumers: { readonly facts: FileFacts; readonly call: Call }[] = []
  for (const { file, call } of callsOf(program, ['consume', 'basic_consume'])) {
    const facts = all.get(file)
    if (facts?.imports.some(({ module }) => RABBIT.test(module)) !== true) continue
    if (call.callee.text.includes('.') && !isAutomatic(call)) consumers.push({ facts, call })
  }
  for (const { facts, call } of consumers)
    yield {
      tier: 'strong',
      evidence: [seenAt(facts.file, call, 'consumes without a prefetch limit')],
      cause: `consumers without a prefetch limit in ${facts.file}`,
      symbol: symbolOf(facts, call.block),
      symptom:
        'After a pause the whole backlog arrives at once: it is all in memory and under way together, and one consumer has what others could do.',
      rootCause: 'Nothing in the repository limits how many messages are unacknowledged at a time.',
    }
}

/** Acknowledged when sent: a limit of unacknowledged ones would do nothing. */
function isAutomatic(call: Call): boolean {
  return ['noAck', 'auto_ack', 'no_ack'].some((name) => {
    const value = optionOf(call, name)
    return value !== undefined && !isFalse(value)
  })
}
