// Entries that decorators declare: Nest's controllers, messages, schedules and life cycle, and Python's tasks and events.

import type { Call, FunctionFacts, Value } from '../facts/facts.ts'
import { type Entry, isOfModule, moduleOf, namedOf, type Surroundings, siteOf, textOf } from './entry.ts'
import { guardsOf } from './routes-python.ts'

const NEST = /^@nestjs\/|^nestjs-|^@golevelup\/|^type-graphql$|^@mikro|^routing-controllers$|^@tsed\//
const VERBS = /^(?:Get|Post|Put|Patch|Delete|Head|Options|All|Sse|Search)$/
const CONSUMERS =
  /^(?:MessagePattern|EventPattern|GrpcMethod|GrpcStreamMethod|Process|SubscribeMessage|RabbitSubscribe|RabbitRPC|SqsMessageHandler)$/
const HOOKS: Readonly<Record<string, 'startup' | 'shutdown'>> = {
  onModuleInit: 'startup',
  onApplicationBootstrap: 'startup',
  onModuleDestroy: 'shutdown',
  beforeApplicationShutdown: 'shutdown',
  onApplicationShutdown: 'shutdown',
}
const GUARDS = /^(?:UseGuards|UseInterceptors|UsePipes|Throttle|SkipThrottle|RateLimit|Public|Roles|Auth\w*)$/

type Kind = Entry['kind']

function nameOfCall({ callee }: Call): string {
  return callee.text.slice(callee.text.lastIndexOf('.') + 1)
}

function joined(prefix: string, path: string): string {
  const whole = `/${prefix}/${path}`.replace(/\/{2,}/g, '/')
  return whole.length > 1 ? whole.replace(/\/$/, '') : whole
}

function firstText(call: Call): string {
  const [first] = call.args
  const path =
    first?.kind === 'object'
      ? first.entries.find(([key]) => /^(?:path|name|cmd|cron|queue|queueName)$/.test(key))?.[1]
      : first
  return textOf(path?.kind === 'list' ? path.items[0] : path) ?? (path?.kind === 'path' ? path.path.text : '')
}

/** Methods of a class of TypeScript. */
export function* ofNest(around: Surroundings, block: number, { decorators }: FunctionFacts): Iterable<Entry> {
  const { path, file } = around
  const owner = file.facts.classes.find((each) => each.block === file.classOf(block))
  const own = owner?.decorators ?? []
  const name = file.facts.blocks[block]?.name ?? ''
  const handler = { file: path, block }
  const make = (kind: Kind, called: string, call: Call | undefined, before: readonly Value[] = []): Entry => ({
    kind,
    name: called,
    framework: 'nest',
    site:
      call === undefined
        ? siteOf(path, file.facts.blocks[block] as (typeof file.facts.blocks)[number], block)
        : { file: path, call },
    handler,
    before,
  })
  for (const call of decorators) {
    if (!isOfModule(call.callee, NEST)) continue
    const decorator = nameOfCall(call)
    const controller = own.find((each) => /^(?:Controller|JsonController|RestController)$/.test(nameOfCall(each)))
    if (VERBS.test(decorator) && controller !== undefined)
      yield make(
        'route',
        `${decorator.toUpperCase()} ${joined(firstText(controller), firstText(call))}`,
        call,
        guards([...own, ...decorators]),
      )
    else if (
      /^(?:Query|Mutation|Subscription|ResolveField)$/.test(decorator) &&
      moduleOf(call.callee)?.includes('graphql') === true
    )
      yield make(
        'route',
        `${decorator.toUpperCase()} ${firstText(call) || name}`,
        call,
        guards([...own, ...decorators]),
      )
    else if (CONSUMERS.test(decorator)) yield make('consumer', firstText(call), call, guards([...own, ...decorators]))
    else if (decorator === 'Cron') yield make('schedule', firstText(call), call)
    else if (decorator === 'Interval') yield make('interval', '', call)
    else if (decorator === 'OnEvent') yield make('listener', firstText(call), call)
  }
  const processor = own.find((each) => nameOfCall(each) === 'Processor')
  if (name === 'process' && processor !== undefined) yield make('consumer', firstText(processor), processor)
  const hook = Object.hasOwn(HOOKS, name) ? HOOKS[name] : undefined
  if (hook !== undefined && own.some((each) => isOfModule(each.callee, NEST))) yield make(hook, name, undefined)
}

/** Decorators that guard, and what they are given. */
function guards(decorators: readonly Call[]): readonly Value[] {
  return decorators.flatMap((call) =>
    GUARDS.test(nameOfCall(call))
      ? [{ kind: 'path', path: call.callee } as Value, ...call.args.filter(({ kind }) => kind === 'path')]
      : [],
  )
}

const TASK = /(?:^|\.)(?:shared_task|task|periodic_task|db_task|actor|job|agent|subscriber|handler|event_handler)$/
const TASK_MODULES = /^(?:celery|dramatiq|rq|huey|arq|faust|faststream|taskiq|procrastinate|redis_om|nats|sqs)\b/
const TASK_OWNERS = /(?:^|\.)(?:celery|celery_app|app|huey|broker|faust_app|worker|queue)$/

/** Functions of Python. */
export function* ofPythonDecorators(
  around: Surroundings,
  block: number,
  { decorators }: FunctionFacts,
): Iterable<Entry> {
  const { path } = around
  const handler = { file: path, block }
  for (const call of decorators) {
    const decorator = nameOfCall(call)
    const { text } = call.callee
    const receiver = text.slice(0, Math.max(0, text.lastIndexOf('.')))
    const make = (kind: Kind, name: string, framework: string): Entry => {
      const before = guardsOf(
        around,
        block,
        decorators.filter((each) => each !== call),
      )
      return { kind, name, framework, site: { file: path, call }, handler, before }
    }
    const called =
      textOf(namedOf(call, 'name', 'queue_name') ?? call.args[0]) ?? around.file.facts.blocks[block]?.name ?? ''
    const isTask = TASK.test(text) && (isOfModule(call.callee, TASK_MODULES) || isTaskOwner(around, call, receiver))
    if (isTask && /periodic/.test(decorator)) yield make('schedule', called, 'celery')
    else if (isTask) yield make('consumer', called, frameworkOfTask(call))
    else if (decorator === 'on_event' || decorator === 'listener' || decorator === 'on') {
      const event = textOf(call.args[0]) ?? ''
      const kind = event === 'startup' ? 'startup' : event === 'shutdown' ? 'shutdown' : 'listener'
      const framework = decorator === 'on_event' ? 'fastapi' : ''
      yield make(
        /^(?:after|before)_server/.test(event) ? (/start/.test(event) ? 'startup' : 'shutdown') : kind,
        event,
        framework,
      )
    } else if (/^(?:before_serving|before_first_request|before_server_start)$/.test(decorator))
      yield make('startup', decorator, 'flask')
    else if (/^(?:after_serving|after_server_stop|before_server_stop)$/.test(decorator))
      yield make('shutdown', decorator, 'flask')
    else if (decorator === 'scheduled_job')
      yield make(textOf(call.args[0]) === 'interval' ? 'interval' : 'schedule', called, 'apscheduler')
    else if (decorator === 'repeat_every' || decorator === 'repeat_at') yield make('interval', '', 'fastapi')
    else if (text === 'atexit.register') yield make('shutdown', 'exit', 'python')
    else if (decorator === 'event' && /(?:^|\.)(?:sio|socketio|client|bot)$/.test(receiver))
      yield make('listener', called, 'socketio')
  }
}

/** `@app.task` where `app` is Celery's: by what created it, or by its name where that is not seen. */
function isTaskOwner({ program, path }: Surroundings, call: Call, receiver: string): boolean {
  if (receiver === '') return false
  const made = program.created(path, { ...call.callee, text: receiver }, call.block)
  return made === undefined ? TASK_OWNERS.test(receiver) : isOfModule(made.call.callee, TASK_MODULES)
}

function frameworkOfTask({ callee }: Call): string {
  const module = moduleOf(callee)?.split('.', 1)[0]
  return module !== undefined && /^(?:dramatiq|rq|huey|arq|faust|faststream|taskiq)$/.test(module) ? module : 'celery'
}
