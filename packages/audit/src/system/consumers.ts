// Consumers of messages: workers of queues, subscribers of brokers, sockets, and loops that take messages one by one.

import type { Call, Value } from '../facts/facts.ts'
import type { CallSite } from '../program/index.ts'
import { type Entry, entryOf, functionOf, isOfModule, namedOf, type Surroundings, textOf } from './entry.ts'

type Finder = (around: Surroundings, call: Call) => Iterable<Entry>

const IMPORTS = new WeakMap<object, readonly string[]>()

function imports({ file }: Surroundings, modules: RegExp): boolean {
  const kept = IMPORTS.get(file) ?? file.facts.imports.map(({ module }) => module)
  IMPORTS.set(file, kept)
  return kept.some((module) => modules.test(module))
}

const BROKERS =
  /^(?:amqplib|amqp-connection-manager|rascal|kafkajs|node-rdkafka|redis|ioredis|nats|mqtt|pg-boss|bull|bullmq|bee-queue|agenda|kue|stompit|@google-cloud\/pubsub|@azure\/service-bus|sqs-consumer|@aws-sdk\/client-sqs|aws-sdk|inngest|@upstash)/
const PYTHON_BROKERS =
  /^(?:pika|aio_pika|aiokafka|kafka|confluent_kafka|redis|aioredis|nats|paho|boto3|aioboto3|google\.cloud|azure|kombu|stomp|pulsar|websockets?|asyncio_mqtt|rq)\b/

const CALLERS_MAX = 200

function isFunction({ kind }: Value): boolean {
  return kind === 'function' || kind === 'path'
}

function* consumer(
  around: Surroundings,
  call: Call,
  name: string,
  framework: string,
  given: Value | undefined,
): Iterable<Entry> {
  const site = { file: around.path, call }
  const make = (handler: Entry['handler'], at: CallSite = site, called = name): Entry => {
    return { kind: 'consumer', name: called, framework, site: at, handler, before: [] }
  }
  const handler = functionOf(around, given, call.block)
  const wrapper = around.file.functionOf(call.block)
  const params = around.file.facts.blocks[wrapper]?.fn?.params ?? []
  const wrapped = given?.kind === 'call' ? (around.file.facts.calls[given.call]?.args ?? []) : [given]
  const param = wrapped.find((each) => each?.kind === 'path' && each.path.root === 'param')
  const index = param?.kind === 'path' ? params.indexOf(param.path.text) : -1
  if (handler !== undefined || index === -1) return yield make(handler)
  // A function that registers what it is given: its callers say what.
  const callers = around.program.callers({ file: around.path, block: wrapper }).slice(0, CALLERS_MAX)
  if (callers.length === 0) return yield make(undefined)
  for (const at of callers) {
    const file = around.program.file(at.file)
    const own = file === undefined ? undefined : { program: around.program, path: at.file, file }
    const queue = at.call.args[params.indexOf(name)]
    yield make(
      own && functionOf(own, at.call.args[index], at.call.block),
      at,
      queue === undefined ? name : nameGiven(queue),
    )
  }
}

function nameGiven(value: Value | undefined): string {
  return textOf(value) ?? (value?.kind === 'path' ? value.path.text : '')
}

export const CONSUMERS: ReadonlyMap<string, Finder> = new Map<string, Finder>([
  ['Worker', ofWorker],
  ['process', ofProcess],
  ['run', ofKafka],
  ['consume', ofConsume],
  ['basic_consume', ofConsume],
  ['subscribe', ofSubscribe],
  ['psubscribe', ofSubscribe],
  ['create', ofSqs],
  ['AIOKafkaConsumer', ofKafkaLoop],
  ['KafkaConsumer', ofKafkaLoop],
  ['define', ofJob],
  ['work', ofJob],
  ['createFunction', ofJob],
  ...[
    'brpop',
    'blpop',
    'brPop',
    'blPop',
    'xread',
    'xreadgroup',
    'xReadGroup',
    'xRead',
    'receiveMessage',
    'receive_message',
    'receive_messages',
    'poll',
    'getone',
    'get_message',
    'bzpopmin',
    'brpoplpush',
    'blmove',
  ].map((name) => [name, inLoop] as const),
])

function* ofWorker(around: Surroundings, call: Call): Iterable<Entry> {
  if (!call.isNew || !isOfModule(call.callee, /^(?:bullmq|@temporalio\/worker)$/)) return
  if (isOfModule(call.callee, /^bullmq$/))
    yield* consumer(around, call, nameGiven(call.args[0]), 'bullmq', call.args[1])
}

function* ofProcess(around: Surroundings, call: Call): Iterable<Entry> {
  const given = call.args.at(-1)
  if (
    given === undefined ||
    !isFunction(given) ||
    !/[qQ]ueue/.test(call.callee.text) ||
    !call.callee.text.includes('.')
  )
    return
  yield* consumer(around, call, textOf(call.args[0]) ?? call.callee.text.replace(/\.process$/, ''), 'bull', given)
}

function* ofKafka(around: Surroundings, call: Call): Iterable<Entry> {
  const given = entryOf(call.args[0], 'eachMessage', 'eachBatch')
  if (given !== undefined) yield* consumer(around, call, '', 'kafkajs', given)
}

/** `consumer = AIOKafkaConsumer(…)` and `async for message in consumer` of the same function. */
function* ofKafkaLoop({ file, path }: Surroundings, call: Call): Iterable<Entry> {
  const { facts } = file
  const fn = file.functionOf(call.block)
  const isWalked = facts.blocks.some(
    ({ kind, test, parent }) =>
      kind === 'loop' &&
      test?.kind === 'path' &&
      call.target !== undefined &&
      test.path.text === call.target.text &&
      file.functionOf(parent) === fn,
  )
  if (fn === -1 || !isWalked) return
  const site = { file: path, call }
  yield {
    kind: 'consumer',
    name: nameGiven(call.args[0]),
    framework: 'aiokafka',
    site,
    handler: { file: path, block: fn },
    before: [],
  }
}

function* ofConsume(around: Surroundings, call: Call): Iterable<Entry> {
  const callback =
    namedOf(call, 'on_message_callback', 'callback') ??
    call.args.find((arg, index) => index < 2 && isFunction(arg) && functionOf(around, arg, call.block) !== undefined)
  if (callback === undefined) return
  const queue = namedOf(call, 'queue') ?? (call.args[0] === callback ? undefined : call.args[0])
  if (imports(around, BROKERS) || imports(around, PYTHON_BROKERS) || /chan/i.test(call.callee.text))
    yield* consumer(around, call, nameGiven(queue), around.path.endsWith('.py') ? 'pika' : 'amqplib', callback)
}

function* ofSubscribe(around: Surroundings, call: Call): Iterable<Entry> {
  if (!imports(around, BROKERS) && !imports(around, PYTHON_BROKERS)) return
  const given =
    namedOf(call, 'cb', 'callback') ??
    call.args.slice(1).find((arg) => arg.kind === 'function' || functionOf(around, arg, call.block) !== undefined) ??
    entryOf(call.args[1], 'callback')
  if (given !== undefined && given.kind !== 'object') yield* consumer(around, call, nameGiven(call.args[0]), '', given)
}

function* ofSqs(around: Surroundings, call: Call): Iterable<Entry> {
  const given = entryOf(call.args[0], 'handleMessage', 'handleMessageBatch')
  if (given !== undefined && isOfModule(call.callee, /^sqs-consumer$/))
    yield* consumer(around, call, nameGiven(entryOf(call.args[0], 'queueUrl')), 'sqs', given)
}

function* ofJob(around: Surroundings, call: Call): Iterable<Entry> {
  const given = call.args.at(-1)
  const modules = /^(?:agenda|@hokify\/agenda|pg-boss|inngest)/
  const isJob = imports(around, modules) || /(?:^|\.)(?:agenda|boss|inngest)\.\w+$/.test(call.callee.text)
  if (given !== undefined && isFunction(given) && isJob)
    yield* consumer(around, call, nameGiven(call.args[0]), '', given)
}

/** `while True: job = await redis.brpop(…)`. */
function* inLoop(around: Surroundings, call: Call): Iterable<Entry> {
  const { file, path } = around
  const { blocks } = file.facts
  const fn = file.functionOf(call.block)
  for (let at = call.block; at !== -1 && at !== fn; at = blocks[at]?.parent ?? -1) {
    if (blocks[at]?.kind !== 'loop') continue
    const isSqs = namedOf(call, 'QueueUrl') !== undefined
    if (
      !isSqs &&
      !imports(around, BROKERS) &&
      !imports(around, PYTHON_BROKERS) &&
      !/redis|kafka|sqs|consumer/i.test(call.callee.text)
    )
      return
    const handler = fn === -1 ? undefined : { file: path, block: fn }
    yield {
      kind: 'consumer',
      name: nameGiven(call.args[0]),
      framework: isSqs ? 'sqs' : '',
      site: { file: path, call },
      handler,
      before: [],
    }
    return
  }
}
