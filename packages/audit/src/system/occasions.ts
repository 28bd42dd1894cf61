// What happens by itself: timers and schedules, signals, events, the beginning and the end of a process.

import type { Call, Value } from '../facts/facts.ts'
import { type Entry, functionOf, isOfModule, namedOf, namedTextOf, type Surroundings, textOf } from './entry.ts'

type Finder = (around: Surroundings, call: Call) => Iterable<Entry>

const MESSAGES = /^(?:message|data|pmessage|messageBuffer|msg)$/
const SOCKETS =
  /(?:^|\.)(?:ws|wss|socket|io|conn|connection|client|sub|subscriber|redis\w*|\w*Socket|\w*[sS]ub|\w*Client|subscription|nsp|namespace)$/
const CRON = /^(?:node-cron|cron|node-schedule|croner|@hokify\/agenda|agenda|bree|toad-scheduler)$/

function make(
  around: Surroundings,
  call: Call,
  kind: Entry['kind'],
  name: string,
  framework: string,
  given: Value | undefined,
): Entry {
  return {
    kind,
    name,
    framework,
    site: { file: around.path, call },
    handler: functionOf(around, given, call.block),
    before: [],
  }
}

export const OCCASIONS: ReadonlyMap<string, Finder> = new Map<string, Finder>([
  ['setInterval', ofInterval],
  ['setTimeout', ofTimeout],
  ['schedule', ofCron],
  ['scheduleJob', ofCron],
  ['CronJob', ofCron],
  ['Cron', ofCron],
  ['add_job', ofScheduler],
  ['do', ofPythonSchedule],
  ['on', ofEvent],
  ['once', ofEvent],
  ['addListener', ofEvent],
  ['addEventListener', ofEvent],
  ['prependListener', ofEvent],
  ['signal', ofSignal],
  ['add_signal_handler', ofSignal],
  ['listen', ofListen],
  ['serve', ofListen],
  ['append', ofHookList],
  ['add_event_handler', ofPythonEvent],
  ['register', ofExit],
  ['FastAPI', ofLifespan],
  ['Starlette', ofLifespan],
  ['sleep', ofLoop],
  ['wait', ofLoop],
  ['wait_for', ofLoop],
  ['delay', ofLoop],
])

function* ofInterval(around: Surroundings, call: Call): Iterable<Entry> {
  const { text } = call.callee
  if (text === 'setInterval' || /^(?:global|globalThis|window|timers)\.setInterval$/.test(text))
    yield make(around, call, 'interval', '', 'node', call.args[0])
}

/** A timer that its own function sets again. */
function* ofTimeout(around: Surroundings, call: Call): Iterable<Entry> {
  const { file, path } = around
  const given = functionOf(around, call.args[0], call.block)
  if (given === undefined || given.file !== path) return
  const isOwn = file.within(call.block, given.block)
  const outer = file.functionOf(call.block)
  const again = isOwn || (call.args[0]?.kind === 'function' && outer !== -1 && callsItself(around, given.block, outer))
  if (again)
    yield {
      kind: 'interval',
      name: '',
      framework: 'node',
      site: { file: path, call },
      handler: isOwn ? given : { file: path, block: outer },
      before: [],
    }
}

function callsItself({ program, path, file }: Surroundings, inner: number, outer: number): boolean {
  return program
    .callers({ file: path, block: outer })
    .some((site) => site.file === path && file.within(site.call.block, inner))
}

function* ofCron(around: Surroundings, call: Call): Iterable<Entry> {
  const isCron = isOfModule(call.callee, CRON)
  const given = call.args[1]
  if (isCron && given !== undefined) yield make(around, call, 'schedule', textOf(call.args[0]) ?? '', 'cron', given)
}

/** APScheduler. */
function* ofScheduler(around: Surroundings, call: Call): Iterable<Entry> {
  const given = call.args[0] ?? namedOf(call, 'func')
  const trigger = call.args[1] ?? namedOf(call, 'trigger')
  if (given === undefined || !around.path.endsWith('.py')) return
  const created = trigger?.kind === 'call' ? around.file.facts.calls[trigger.call]?.callee.text : textOf(trigger)
  yield make(
    around,
    call,
    /interval/i.test(created ?? '') ? 'interval' : 'schedule',
    created ?? '',
    'apscheduler',
    given,
  )
}

/** `schedule.every(10).minutes.do(job)`. */
function* ofPythonSchedule(around: Surroundings, call: Call): Iterable<Entry> {
  let first = call
  for (let depth = 0; first.on !== -1 && depth < 8; depth++) first = around.file.facts.calls[first.on] ?? first
  if (/(?:^|\.)every$/.test(first.callee.text)) yield make(around, call, 'schedule', '', 'schedule', call.args[0])
}

function* ofEvent(around: Surroundings, call: Call): Iterable<Entry> {
  const [event, given] = call.args
  if (
    event === undefined ||
    given === undefined ||
    (given.kind !== 'function' && given.kind !== 'path' && given.kind !== 'call')
  )
    return
  const { text } = call.callee
  const receiver = text.slice(0, Math.max(0, text.lastIndexOf('.')))
  if (receiver === 'process') {
    for (const name of eventNames(around, event, call.block)) {
      const kind = name === '' || /^SIG[A-Z0-9]+$/.test(name) ? 'signal' : 'listener'
      yield make(around, call, kind, name, 'node', given)
    }
    return
  }
  const name = namedTextOf(around, event)
  if (name === undefined) return
  const isMessage = MESSAGES.test(name)
    ? SOCKETS.test(receiver)
    : /(?:^|\.)socket$/.test(receiver) &&
      !/^(?:error|close|disconnect|disconnecting|end|open|connect|timeout)$/.test(name)
  yield make(around, call, isMessage ? 'consumer' : 'listener', name, 'node', given)
}

/** `for (const name of ['SIGTERM', 'SIGINT']) process.on(name, …)`. */
function eventNames({ file }: Surroundings, event: Value, block: number): readonly string[] {
  const name = textOf(event)
  if (name !== undefined) return [name]
  const { blocks } = file.facts
  for (let at = block; at >= 0; at = blocks[at]?.parent ?? -1) {
    const test = blocks[at]?.kind === 'loop' ? blocks[at]?.test : undefined
    const list = test?.kind === 'path' && test.path.root === 'module' ? file.writes(-1, test.path.text)[0]?.value : test
    if (list?.kind === 'list') return list.items.flatMap((item) => textOf(item) ?? [])
  }
  return ['']
}

function* ofSignal(around: Surroundings, call: Call): Iterable<Entry> {
  if (!around.path.endsWith('.py')) return
  const [which, given] = call.args
  if (which === undefined || given === undefined) return
  const name = which.kind === 'path' ? /(?:^|\.)(SIG[A-Z0-9]+)$/.exec(which.path.text)?.[1] : undefined
  const isKnown =
    call.callee.text === 'signal.signal' ||
    call.callee.text.endsWith('.add_signal_handler') ||
    isOfModule(call.callee, /^signal$/)
  if (!isKnown) return
  const names = name === undefined && which.kind === 'path' ? signalsOfLoop(around, call.block) : [name ?? '']
  for (const each of names) yield make(around, call, 'signal', each, 'python', given)
}

function signalsOfLoop({ file }: Surroundings, block: number): readonly string[] {
  const { blocks } = file.facts
  for (let at = block; at >= 0; at = blocks[at]?.parent ?? -1) {
    const test = blocks[at]?.kind === 'loop' ? blocks[at]?.test : undefined
    if (test?.kind !== 'list') continue
    return test.items.flatMap((item) =>
      item.kind === 'path' ? (/(SIG[A-Z0-9]+)$/.exec(item.path.text)?.[1] ?? []) : [],
    )
  }
  return ['']
}

/** A server that begins to listen: what it calls then. */
function* ofListen(around: Surroundings, call: Call): Iterable<Entry> {
  if (
    around.path.endsWith('.py') ||
    !/(?:^|\.)(?:\w*[sS]erver|app|application|fastify|httpd|serve|router|io|wss|\(\))(?:\.listen)?$/.test(
      call.callee.text,
    )
  )
    return
  if (call.callee.text.endsWith('listen') || isOfModule(call.callee, /^@hono\/node-server$/)) {
    const given = call.args.findLast(({ kind }) => kind === 'function')
    yield make(around, call, 'startup', 'listen', 'node', given)
  }
}

/** aiohttp: `app.on_startup.append(f)`. */
function* ofHookList(around: Surroundings, call: Call): Iterable<Entry> {
  const which = /\.on_(startup|shutdown|cleanup)\.append$/.exec(call.callee.text)?.[1]
  if (which !== undefined)
    yield make(around, call, which === 'startup' ? 'startup' : 'shutdown', which, 'aiohttp', call.args[0])
}

function* ofPythonEvent(around: Surroundings, call: Call): Iterable<Entry> {
  const event = textOf(call.args[0])
  if (event === 'startup' || event === 'shutdown') yield make(around, call, event, event, 'fastapi', call.args[1])
}

function* ofExit(around: Surroundings, call: Call): Iterable<Entry> {
  // As a decorator it has no argument, and is found there.
  if (call.callee.text === 'atexit.register' && call.args.length > 0)
    yield make(around, call, 'shutdown', 'exit', 'python', call.args[0])
}

function* ofLifespan(around: Surroundings, call: Call): Iterable<Entry> {
  const lifespan = namedOf(call, 'lifespan')
  if (lifespan !== undefined) yield make(around, call, 'startup', 'lifespan', 'fastapi', lifespan)
  for (const [key, kind] of [
    ['on_startup', 'startup'],
    ['on_shutdown', 'shutdown'],
  ] as const) {
    const given = namedOf(call, key)
    if (given?.kind === 'list') for (const item of given.items) yield make(around, call, kind, key, 'starlette', item)
  }
}

/** A loop that goes on for ever, with a pause in it. */
function* ofLoop({ path, file }: Surroundings, call: Call): Iterable<Entry> {
  const { blocks } = file.facts
  const fn = file.functionOf(call.block)
  for (let at = call.block; at !== -1 && at !== fn; at = blocks[at]?.parent ?? -1) {
    const block = blocks[at]
    if (block?.kind !== 'loop' || block.binds !== undefined) continue
    if (block.test === undefined || isRunning(block.test)) {
      const handler = fn === -1 ? undefined : { file: path, block: fn }
      yield {
        kind: 'interval',
        name: '',
        framework: path.endsWith('.py') ? 'python' : 'node',
        site: { file: path, call },
        handler,
        before: [],
      }
    }
    return
  }
}

/** `while self._running`, `while not stop.is_set()`. */
function isRunning(test: Value): boolean {
  if (test.kind === 'not')
    return (
      test.value.kind === 'call' ||
      (test.value.kind === 'path' && /stop|shut|clos|cancel|exit|done|dispos/i.test(test.value.path.text))
    )
  return test.kind === 'path' && /running|active|alive|enabled|started|monitor/i.test(test.path.text)
}
