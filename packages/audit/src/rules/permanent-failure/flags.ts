// Flags and clients: set in an error path (or by a shutdown), refused by, and never set back.

import type { Assignment, Call, Value } from '../../facts/facts.ts'
import type { IndexedFile, Program } from '../../program/index.ts'
import type { Discovery } from '../rule.ts'
import { type Flag, type Held, heldBy, type Refusal, refusals } from './guards.ts'
import { isStarting, isStopping, isWayBack, nameOf } from './recovery.ts'

/** Words for a state that refuses. */
const REFUSING = /^(?:open|opened|failed|dead|disabled|unavailable|broken|error|errored|down|tripped)$/
/** What is missing stays missing: no failure of a running system. */
const MISSING = /ImportError|ModuleNotFoundError|AttributeError|KeyError|ValueError/
/** What an error may well end: this one connection, this run. */
const ENDING = /clos|shut|stop|exit|cancel|dispos|destroy|terminat|initiali[sz]ed|loaded|done|finish|running/i
/** Functions that only say how it is. */
const TELLING =
  /^_*(?:is|has|get_?status|health|check_?health|status|describe|to_?(?:dict|json))(?:_|[A-Z]|$)|health|status$/
const LOGGING = /(?:^|\.|_)(?:log(?:ger)?|console|print|logging)(?:\.|$)/i
/** Nothing in its place means that what others need is missing. */
const NEEDED =
  /client|conn|redis|pool|database|db$|channel|socket|producer|consumer|driver|engine|broker|transport|enforcer|service/i
/** Objects of one request, user or connection: they end with it. */
const SCOPED =
  /Request|Scoped|Isolated|Session|Context|Transaction|Execution|Connection$|Cursor|Stream|Response|Job$|Task$/
/** What is switched off for want of a setting is switched on by one. */
const SWITCHED = /(?:^|_)enabled$|^(?:is)?Enabled$/
/** Flags that are about what happens right now, and data. */
const PASSING = /^_*(?:last_|current_|result|response|data|error|message|value)/

export function* stuckFlags(program: Program, path: string, file: IndexedFile): Iterable<Discovery> {
  for (const owner of [-1, ...file.facts.classes.map(({ block }) => block)]) {
    for (const name of file.written(owner)) {
      const flag = { owner, name }
      const found = PASSING.test(name)
        ? undefined
        : (stuckByError(program, path, file, flag) ?? stuckByStop(program, path, file, flag))
      if (found !== undefined) yield found
    }
  }
}

function stuckByError(program: Program, path: string, file: IndexedFile, flag: Flag): Discovery | undefined {
  if (ENDING.test(flag.name) || SWITCHED.test(flag.name)) return undefined
  const writes = file.writes(flag.owner, flag.name)
  for (const bad of writes) {
    const held = heldBy(bad.value)
    if (isAlsoWithout(file, bad, writes, held)) continue
    if (
      held === undefined ||
      (typeof held === 'string' && !REFUSING.test(held)) ||
      !isOnError(program, path, file, bad)
    )
      continue
    const others = writes.filter((write) => leaves(write, held))
    if (others.length === 0) continue
    const guards = refusals(file, flag, held)
    const working = guards.filter(
      ({ fn }) =>
        !isStopping(nameOf(file, fn)) &&
        !TELLING.test(nameOf(file, fn)) &&
        !(isStarting(nameOf(file, fn)) && fn === file.functionOf(bad.block)),
    )
    if (working.length === 0 || others.some((write) => isWayBack(program, path, file, write, guards))) continue
    const isSeldom = (held === null && !NEEDED.test(flag.name)) || isOfPage(file)
    return discovery(path, file, flag, bad, working, isSeldom ? 'review' : 'strong')
  }
  return undefined
}

/** In a browser it lasts until the page is loaded again. */
function isOfPage({ facts }: IndexedFile): boolean {
  return (
    /\.[jt]sx$/.test(facts.file) ||
    facts.calls.some(
      ({ callee: { root, text } }) =>
        root === 'global' && /^(?:window|document|localStorage|navigator)\.|^(?:Worker|ResizeObserver)$/.test(text),
    )
  )
}

/** The same is set where nothing failed: it says that something is over, not that it failed. */
function isAlsoWithout(
  file: IndexedFile,
  bad: Assignment,
  writes: readonly Assignment[],
  held: Held | undefined,
): boolean {
  const fn = file.functionOf(bad.block)
  return writes.some(
    (write) => file.functionOf(write.block) === fn && heldBy(write.value) === held && isTried(file, write.block, fn),
  )
}

/** What is tried, whatever goes wrong later. */
function isTried(file: IndexedFile, from: number, fn: number): boolean {
  const { blocks } = file.facts
  for (let at = from; at >= 0 && at !== fn; at = blocks[at]?.parent ?? -1) {
    if (blocks[at]?.kind === 'try') return true
    if (blocks[at]?.kind === 'handler' || blocks[at]?.kind === 'branch') return false
  }
  return false
}

/** In the handler of an error; or where a breaker counts failures. */
function isOnError(program: Program, path: string, file: IndexedFile, bad: Assignment): boolean {
  const { blocks, exits } = file.facts
  const fn = file.functionOf(bad.block)
  if (fn === -1) return false
  for (let at = bad.block; at >= 0 && at !== fn; at = blocks[at]?.parent ?? -1) {
    const each = blocks[at]
    if (each?.kind !== 'handler') continue
    const isThrown = exits.some(({ kind, block }) => kind === 'throw' && block === at)
    // An object that never came to be, or a process that never came up, refuses nobody.
    const isStillborn = isThrown && (isStarting(nameOf(file, fn)) || isOfConstruction(program, path, file, bad))
    return !MISSING.test(each.name) && !isStillborn && actsIn(file, each.of ?? -1)
  }
  return /^[_#]*(?:record_?|on_?|handle_?)?(?:fail|trip)/i.test(nameOf(file, fn))
}

/** What was tried can heal: it calls something. A failed import does not, nor an object that could not be made. */
function actsIn(file: IndexedFile, tried: number): boolean {
  return file.facts.calls.some((call) => file.within(call.block, tried) && acts(call))
}

function acts({ callee: { text }, isNew }: Call): boolean {
  return !isNew && !LOGGING.test(text) && !/(?:^|\.)[A-Z]\w*$/.test(text)
}

/** A write that ends what the flag holds. */
function leaves({ value, target }: Assignment, held: Held): boolean {
  const other = heldBy(value)
  return target.text !== '' && (other === undefined ? value.kind !== 'null' : other !== held)
}

/** A shutdown that sets what only the constructor had set: whoever shares the object is refused for ever. Seldom wrong by itself, so it is for review. */
function stuckByStop(program: Program, path: string, file: IndexedFile, flag: Flag): Discovery | undefined {
  if (flag.owner === -1 || SCOPED.test(nameOf(file, flag.owner))) return undefined
  const writes = file.writes(flag.owner, flag.name)
  for (const bad of writes) {
    const fn = file.functionOf(bad.block)
    const { value } = bad
    if (
      value.kind !== 'boolean' ||
      /dispos/i.test(flag.name) ||
      fn === -1 ||
      bad.block === file.classOf(bad.block) ||
      !isStopping(nameOf(file, fn))
    )
      continue
    const others = writes.filter((write) => leaves(write, value.value))
    if (others.length === 0 || !others.every((write) => isOfConstruction(program, path, file, write))) continue
    const guards = refusals(file, flag, value.value).filter(
      ({ fn: at, isExit }) => isExit && !isStopping(nameOf(file, at)),
    )
    const refusing = guards.filter(({ fn: at, block }) => isStarting(nameOf(file, at)) || throws(file, block))
    if (refusing.length > 0) return discovery(path, file, flag, bad, refusing, 'review')
  }
  return undefined
}

function throws(file: IndexedFile, block: number): boolean {
  return file.facts.exits.some((exit) => exit.kind === 'throw' && exit.block === block)
}

/** In the constructor, or in what only it calls. */
function isOfConstruction(program: Program, path: string, file: IndexedFile, write: Assignment): boolean {
  const isConstructor = (fn: number): boolean => fn === -1 || file.facts.blocks[fn]?.fn?.kind === 'constructor'
  if (write.block === file.classOf(write.block)) return true
  const fn = file.functionOf(write.block)
  if (isConstructor(fn)) return true
  const callers = program.callers({ file: path, block: fn })
  return (
    callers.length > 0 && callers.every((site) => site.file === path && isConstructor(file.functionOf(site.call.block)))
  )
}

function discovery(
  path: string,
  file: IndexedFile,
  flag: Flag,
  bad: Assignment,
  guards: readonly Refusal[],
  tier: 'strong' | 'review',
): Discovery {
  const fn = file.functionOf(bad.block)
  const where = `${flag.owner === -1 ? '' : `${nameOf(file, flag.owner)}.`}${flag.name}`
  const how = shown(bad.value)
  const loc = { file: path, line: bad.line, endLine: bad.endLine }
  return {
    tier,
    cause: `${nameOf(file, fn)} of ${path}`,
    symbol: `${where} in ${nameOf(file, fn)}`,
    symptom: `After one failure everything that asks ${where} is refused or passed by until the process is restarted, although the cause is gone.`,
    rootCause: `${nameOf(file, fn)} sets ${where} to ${how}, and nothing that runs after start-up sets it back.`,
    evidence: [
      { provenance: 'static', loc, what: `sets ${where} to ${how}` },
      ...guards.slice(0, 4).map(({ line, endLine, fn: at }) => ({
        provenance: 'static' as const,
        loc: { file: path, line, endLine },
        what: `${nameOf(file, at)} refuses by it`,
      })),
    ],
  }
}

function shown(value: Value): string {
  if (value.kind === 'path') return value.path.text
  return value.kind === 'null' ? 'nothing' : String(heldBy(value))
}
