// Ways back: is a function run again while the process lives, or at start-up only?

import type { Assignment, Call } from '../../facts/facts.ts'
import type { IndexedFile, Program } from '../../program/index.ts'
import type { Refusal } from './guards.ts'

const STARTING =
  /^[_#]*(?:async_?|safe_?|try_?)?(?:init|start|set_?up|connect|open|create|load|boot|main|configure|establish|lifespan|prepare|on_?start|before_?start|on_?module_?init|__init__|__new__|__post_init__|constructor|check_|validate_)/i
const RESETTING = /^[_#]*(?:force_?|manual_?)?(?:reset|clear|reopen|re_?enable)/i
const STOPPING =
  /^[_#]*(?:close|shut_?down|stop|dispose|terminate|disconnect|destroy|clean_?up|aclose|tear_?down|end$|quit|__aexit__|__exit__|on_?module_?destroy)/i
const WAITING = /(?:^|[._])(?:sleep|wait|wait_for|delay|set_?timeout|set_?interval)$/i
const DEPTH_MAX = 6

export function isStarting(name: string): boolean {
  return STARTING.test(name)
}

export function isResetting(name: string): boolean {
  return RESETTING.test(name)
}

export function isStopping(name: string): boolean {
  return STOPPING.test(name)
}

export function nameOf(file: IndexedFile, fn: number): string {
  return file.facts.blocks[fn]?.name ?? ''
}

/** Does a write back happen while the process lives? Where that cannot be told it does. */
export function isWayBack(
  program: Program,
  path: string,
  file: IndexedFile,
  write: Assignment,
  guards: readonly Refusal[],
): boolean {
  const fn = file.functionOf(write.block)
  if (fn === -1 || write.block === file.classOf(write.block)) return false
  // In the guard itself: it runs whenever something is refused.
  if (guards.some((guard) => file.within(write.block, guard.block))) return true
  return !isBehind(file, write, fn, guards) && runsLater(program, path, fn, new Set())
}

/** A guard of the same function has left before. */
function isBehind(file: IndexedFile, write: Assignment, fn: number, guards: readonly Refusal[]): boolean {
  const { blocks } = file.facts
  return guards.some((guard) => {
    if (!guard.isExit || guard.fn !== fn || guard.line >= write.line || file.within(write.block, guard.block))
      return false
    return file.within(write.block, blocks[guard.block]?.parent ?? -1)
  })
}

function runsLater(program: Program, path: string, fn: number, seen: Set<string>): boolean {
  const key = `${path}\n${fn}`
  const file = program.file(path)
  const block = file?.facts.blocks[fn]
  if (file === undefined || block === undefined) return true
  if (seen.has(key) || seen.size > DEPTH_MAX ** 2) return false
  seen.add(key)
  const { name } = block
  // A callback, or a function that another one hands out.
  if (name === '' || file.functionOf(block.parent) !== -1) return true
  if (block.fn?.kind === 'constructor') return false
  if (waits(file, fn) || isHandedOver(file, name)) return true
  const callers = program
    .callers({ file: path, block: fn })
    .filter(({ call, file: from }) => from !== path || file.functionOf(call.block) !== fn)
  const later = callers.some(({ file: from, call }) => {
    const own = program.file(from)
    const caller = own?.functionOf(call.block) ?? -1
    // A start-up of another file that starts this: that one is not run again for it.
    if (own === undefined || (from !== path && isStarting(name) && isStarting(nameOf(own, caller)))) return false
    return caller !== -1 && runsLater(program, from, caller, seen)
  })
  if (later) return true
  const isKept = isStarting(name) || isResetting(name) || isStopping(name)
  return !isKept && callers.length === 0
}

/** A loop with a pause in it goes on for as long as the process does. */
function waits(file: IndexedFile, fn: number): boolean {
  const { blocks, calls } = file.facts
  return calls.some(
    ({ callee, block }) =>
      WAITING.test(callee.text) && file.functionOf(block) === fn && isInLoop(file, block, fn, blocks),
  )
}

function isInLoop(file: IndexedFile, from: number, fn: number, blocks: IndexedFile['facts']['blocks']): boolean {
  for (let at = from; at !== fn && at >= 0; at = blocks[at]?.parent ?? -1) {
    const block = blocks[at]
    // A loop over a number of attempts ends.
    if (block?.kind === 'loop' && block.binds === undefined && file.functionOf(at) === fn) return true
  }
  return false
}

/** Given to a timer, an event, a thread: `setInterval(this.connect)`, `target=self.run`. */
function isHandedOver(file: IndexedFile, name: string): boolean {
  const isName = (value: Call['args'][number] | undefined): boolean =>
    value?.kind === 'path' && (value.path.text === name || value.path.text.startsWith(`${name}.bind`))
  return file.facts.calls.some(({ args, named }) => args.some(isName) || named.some(([, value]) => isName(value)))
}
