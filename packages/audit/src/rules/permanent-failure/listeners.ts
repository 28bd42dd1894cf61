// Work in the background that ends for good: an endless loop, or one over what a connection brings, in a `try` whose handler only logs. Whoever started it keeps
// serving, and nobody starts it again.
//   QL21. Found where a function of start-up, or a module, starts it and leaves it alone, and where what fails is not handled within the loop: the connection that
//         is listened to, or what is waited for before the loop. Silent where its end is watched, and where it may start again.

import type { Block, Call } from '../../facts/facts.ts'
import type { BlockRef, IndexedFile, Program } from '../../program/index.ts'
import { contentsOf } from '../contents.ts'
import { handlersIn, onlyLogs } from '../errors/handlers.ts'
import { catchesAny } from '../promises/rejections.ts'
import type { Discovery } from '../rule.ts'
import { isStarting, nameOf } from './recovery.ts'

const LAUNCHES = /(?:^|\.)(?:create_task|ensure_future|run_coroutine_threadsafe)$/
const LISTENS = /(?:^|\.)(?:listen|iterator|subscribe|stream|messages)$/
/** Who asks whether it still runs, or waits for its end with others. */
const WATCHES = /(?:^|\.)(?:add_done_callback|gather|wait|wait_for|done|is_alive|as_completed|exception)$/
const STARTS_LATE = /^(?:on_?)?(?:start_?up|lifespan)/i

export function* endedListeners(program: Program, path: string, file: IndexedFile): Iterable<Discovery> {
  const { facts } = file
  if (facts.language !== 'python') return
  for (const handled of handlersIn(facts)) {
    const fn = file.functionOf(handled.index)
    const { tried, block: handler } = handled
    if (fn === -1 || facts.blocks[tried]?.parent !== fn || !catchesAny(handler)) continue
    if (!onlyLogs(facts, handled) || handled.contents.exits.length > 0) continue
    const why = endingIn(file, tried)
    const launch = why === undefined ? undefined : launchOf(program, { file: path, block: fn })
    if (why === undefined || launch === undefined) continue
    yield {
      tier: 'strong',
      symbol: nameOf(file, fn),
      symptom: `After one failure ${nameOf(file, fn)} has ended, while the process goes on and looks healthy; its work is not done until somebody restarts it.`,
      rootCause: `The handler around its loop only logs, and what started it does not look after it.`,
      evidence: [
        {
          provenance: 'static',
          loc: { file: path, line: handler.line, endLine: handler.endLine },
          what: `ends the loop for good: ${why}`,
        },
        {
          provenance: 'static',
          loc: { file: launch.file, line: launch.call.line, endLine: launch.call.endLine },
          what: 'started here, once',
        },
      ],
    }
  }
}

/** What fails outside of whatever handles failures within the loop. */
function endingIn({ facts }: IndexedFile, tried: number): string | undefined {
  for (const index of contentsOf(facts, tried).blocks) {
    const { kind, parent, test, line } = facts.blocks[index] as Block
    if (kind !== 'loop' || parent !== tried) continue
    const walked = test?.kind === 'call' ? facts.calls[test.call] : undefined
    if (walked !== undefined && LISTENS.test(walked.callee.text)) return 'the connection that it listens to'
    const isEndless = test === undefined || (test.kind === 'boolean' && test.value)
    if (!isEndless || contentsOf(facts, index).exits.some((exit) => exit.kind === 'return')) continue
    const before = facts.calls.find((each) => each.block === tried && each.use === 'awaited' && each.line < line)
    if (before !== undefined) return `${before.callee.text}, before the loop`
    const inside = facts.calls.find((each) => each.block === index && each.use === 'awaited' && !isPause(each))
    if (inside !== undefined) return `${inside.callee.text}, within the loop`
  }
  return undefined
}

function isPause({ callee }: Call): boolean {
  return /(?:^|\.)(?:sleep|wait)$/.test(callee.text)
}

/** Where it is started as a task that nobody looks after; undefined: elsewhere too, or in another way. */
function launchOf(program: Program, fn: BlockRef): { readonly file: string; readonly call: Call } | undefined {
  const callers = program.callers(fn)
  const launches = callers.flatMap(({ file: path, call }) => {
    const file = program.file(path)
    const launch = file === undefined ? undefined : launchIn(file, call)
    return file === undefined || launch === undefined ? [] : [{ file: path, call: launch }]
  })
  const [first] = launches
  return first !== undefined && launches.length === callers.length ? first : undefined
}

function launchIn(file: IndexedFile, call: Call): Call | undefined {
  const { calls, blocks } = file.facts
  const index = calls.indexOf(call)
  const launch = calls.find(
    ({ callee, args }) =>
      LAUNCHES.test(callee.text) && args.some((each) => each.kind === 'call' && each.call === index),
  )
  if (launch === undefined || launch.use === 'argument' || launch.use === 'awaited') return undefined
  const of = file.functionOf(launch.block)
  const name = nameOf(file, of)
  // For one connection it may well end with it.
  const isOnce = of === -1 || isStarting(name) || STARTS_LATE.test(name)
  const isGiven = blocks[of]?.fn?.params.some((each) => /^(?:websocket|ws|request|socket|client)$/.test(each)) === true
  if (!isOnce || isGiven || isRepeated(blocks, launch.block)) return undefined
  return isWatched(file, launch) ? undefined : launch
}

function isRepeated(blocks: readonly Block[], from: number): boolean {
  for (let at = from; at > 0 && blocks[at]?.kind !== 'function'; at = blocks[at]?.parent ?? -1)
    if (blocks[at]?.kind === 'loop') return true
  return false
}

function isWatched({ facts: { calls } }: IndexedFile, { target }: Call): boolean {
  if (target === undefined) return false
  return calls.some(
    ({ callee, args }) =>
      WATCHES.test(callee.text) &&
      (callee.text.startsWith(`${target.text}.`) || JSON.stringify(args).includes(`"${target.text}"`)),
  )
}
