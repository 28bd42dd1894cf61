// Work that is dropped after its last attempt: returned as if it were a result, deleted, rejected into nowhere. Nobody can look at it, mend the cause and do it again.
//   MF6. A task is found where its handler of errors tries again and behind that returns; silent where the handler keeps the work anywhere.
//   MF7. A rejection without requeueing is found where no queue of the repository names a dead-letter exchange.
//   MF15. So is a context of a message that rejects by default.

import type { Block, Call, FileFacts } from '../../facts/facts.ts'
import { type IndexedFile, programOf } from '../../program/index.ts'
import type { Repository } from '../../repository/repository.ts'
import { GUARANTEES } from '../guarantees.ts'
import { callsOf, lastName, optionOf, seenAt, symbolOf } from '../queries.ts'
import type { Discovery, Rule } from '../rule.ts'
import { isTelling } from './acknowledging.ts'

const TASK = /(?:^|\.)(?:task|shared_task|periodic_task|job|actor)$/
/** Calls that take options of jobs. */
const JOBS = ['Queue', 'Bull', 'Worker', 'add', 'addBulk', 'registerQueue', 'forRoot', 'createQueue']
const EXHAUSTED = /MaxRetriesExceeded|RetriesExhausted|RetryError|MaxRetries/
const KEPT =
  /dead|dlq|park|quarantine|failed|failure|requeue|persist|save|store|insert|create|update|commit|add|publish|enqueue|apply_async|delay|send_task|rollback/i

export const noDlq: Rule = {
  meta: {
    id: 'no-dlq',
    category: 'messages and effects',
    severity: 'high',
    title: 'Work is dropped after its last attempt',
    why: 'When an outage lasts longer than the retries, everything of that time is gone: no list says what was lost, and when the cause is mended there is nothing to do again.',
    remedies: [
      {
        priority: 'P1',
        text: 'Keep what failed for good with its error in a place of its own (dead letters), tell somebody, and have a command that does it again.',
        effort: 'M',
        guarantee: GUARANTEES.delivery,
      },
    ],
    sources: [
      'Enterprise Integration Patterns: dead letter channel',
      'RabbitMQ documentation: dead letter exchanges',
      'Celery documentation: retrying, max_retries',
    ],
  },
  *run(repository: Repository): Iterable<Discovery> {
    const program = programOf(repository.facts)
    for (const facts of repository.facts.values()) {
      const file = program.file(facts.file)
      if (file !== undefined && facts.language === 'python') yield* exhaustedTasks(file)
    }
    yield* rejected(repository)
    yield* removedJobs(repository)
  },
}

function discovery(
  facts: FileFacts,
  at: { line: number; endLine: number; block: number },
  what: string,
  tier: 'strong' | 'review' = 'strong',
): Discovery {
  return {
    tier,
    cause: `work that fails for good in ${facts.file}`,
    evidence: [seenAt(facts.file, at, what)],
    symbol: symbolOf(facts, at.block),
    symptom: 'What fails longer than it is retried is lost, and nothing says which work that was.',
    rootCause: `There is no place for work that failed for good: ${what}.`,
  }
}

/** MF6. */
function* exhaustedTasks(file: IndexedFile): Iterable<Discovery> {
  const { facts } = file
  for (const [index, block] of facts.blocks.entries()) {
    if (block.kind !== 'handler') continue
    const fn = facts.blocks[file.functionOf(index)]?.fn
    if (fn?.decorators.some(({ callee }) => TASK.test(callee.text)) !== true) continue
    const inside = facts.calls.filter((call) => file.within(call.block, index))
    if (inside.some(({ callee }) => KEPT.test(lastName(callee)))) continue
    const retry = inside.find(({ callee }) => /(?:^|\.)retry$/.test(callee.text))
    const isLast = EXHAUSTED.test(block.name)
    if (retry === undefined && !isLast) continue
    // What stands behind an attempt that is made in any case is never reached; and what a handler of its own ends is told there.
    const isSure = retry !== undefined && (retry.block === index || endsInside(file, index, retry))
    if (isSure && !isLast) continue
    const left = facts.exits.find(
      ({ block: at, kind, line }) => at === index && kind === 'return' && (isLast || line > (retry?.line ?? 0)),
    )
    const isThrown = facts.exits.some(
      ({ block: at, kind }) => kind === 'throw' && file.within(at, index) && (isLast || at === index),
    )
    if (left !== undefined)
      yield discovery(facts, left, 'after the last attempt the task returns as if it had a result')
    else if (isLast && !isThrown)
      yield discovery(
        facts,
        { ...block, block: index } as Block & { block: number },
        'the last failure is only told, and the work is gone',
      )
  }
}

/** A handler inside is for the last attempt. */
function endsInside(file: IndexedFile, outer: number, retry: Call): boolean {
  return file.facts.blocks.some(
    ({ kind, name, of = -1 }, index) =>
      kind === 'handler' &&
      index !== outer &&
      EXHAUSTED.test(name) &&
      file.within(index, outer) &&
      file.within(retry.block, of),
  )
}

/** MF7. */
function* rejected({ facts: all }: Repository): Iterable<Discovery> {
  const found: { readonly facts: FileFacts; readonly call: Call }[] = []
  let isDeclared = false
  for (const facts of all.values()) {
    if (
      !facts.imports.some(({ module }) =>
        /^(?:amqplib|amqp-connection-manager|pika|aio_pika|kombu|rascal|@nestjs\/microservices|@golevelup\/nestjs-rabbitmq)(?:[/.]|$)/.test(
          module,
        ),
      )
    )
      continue
    for (const call of facts.calls) {
      if (/dead-?letter/i.test(JSON.stringify([call.args, call.named]))) return
      const name = lastName(call.callee)
      if (/^(?:assertQueue|queue_declare|declare_queue)$/.test(name)) isDeclared = true
      if (isRejecting(call, name) || isDropping(facts, call)) found.push({ facts, call })
    }
    if (/dead-?letter/i.test(JSON.stringify(facts.assignments.map(({ value }) => value)))) return
  }
  for (const { facts, call } of found)
    yield {
      ...discovery(
        facts,
        call,
        'rejected without requeueing, and no queue has a dead-letter exchange',
        isDeclared ? 'strong' : 'review',
      ),
      cause: 'rejections without dead letters',
    }
}

/** MF15. `async with message.process()` of aio_pika rejects without requeueing where its body throws. */
function isDropping({ blocks, imports, calls }: FileFacts, call: Call): boolean {
  if (
    !/(?:^|\.)(?:\w*message|msg)\.process$/i.test(call.callee.text) ||
    !imports.some(({ module }) => /^aio_pika\b/.test(module))
  )
    return false
  if (call.hasSpread || call.args.length > 0 || call.named.some(([key]) => key === 'requeue')) return false
  const held = blocks.findIndex(
    ({ kind, test }) => kind === 'with' && test?.kind === 'call' && calls[test.call] === call,
  )
  // Acknowledged first, it can't be rejected any more.
  return held !== -1 && calls.find(({ block }) => block === held)?.callee.text.endsWith('.ack') !== true
}

function isRejecting({ args, named }: Call, name: string): boolean {
  const isFalse = (index: number): boolean => {
    const value = args[index]
    return value?.kind === 'boolean' && !value.value
  }
  if (name === 'nack' && isFalse(2)) return true
  if (name === 'reject' && isFalse(1)) return true
  if (!/^(?:basic_)?(?:nack|reject)$/.test(name)) return false
  return named.some(([key, value]) => key === 'requeue' && value.kind === 'boolean' && !value.value)
}

/** BullMQ keeps failed jobs; unless it is told to remove them, and nobody else keeps them. */
function* removedJobs({ facts: all }: Repository): Iterable<Discovery> {
  const program = programOf(all)
  for (const { file, call } of callsOf(program, ['on'])) {
    const [event, handler] = call.args
    if (event?.kind !== 'string' || event.value !== 'failed' || handler?.kind !== 'function') continue
    if (all.get(file)?.calls.some((each) => each.block === handler.block && !isTelling(each)) === true) return
  }
  const found: { readonly facts: FileFacts; readonly call: Call }[] = []
  for (const { file, call } of callsOf(program, JOBS)) {
    const facts = all.get(file)
    const defaults = optionOf(call, 'defaultJobOptions')
    const value =
      defaults?.kind === 'object'
        ? defaults.entries.find(([name]) => name === 'removeOnFail')?.[1]
        : optionOf(call, 'removeOnFail')
    if (facts !== undefined && value?.kind === 'boolean' && value.value) found.push({ facts, call })
  }
  for (const { facts, call } of found)
    yield {
      ...discovery(facts, call, 'removeOnFail: a job whose attempts are used up is deleted'),
      cause: `failed jobs of ${facts.file}`,
    }
}
