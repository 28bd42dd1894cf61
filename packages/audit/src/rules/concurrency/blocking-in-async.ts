// Calls that block the one thread on which everything else waits: in Python synchronous clients, sleeping and processes in `async def`; in Node the *Sync calls
// on the way of a request or a message.
//   CU12. In Python only what blocks whatever is given to it is found, in async functions and in the synchronous ones of the repository that they call; what is
//         handed to a thread is not, and neither is a client of the asynchronous kind.
//   QR14. The place is the async function, down to the line that waits in it or leads to what does.
//   QW10. An async function that a synchronous one runs in a loop of its own holds up nobody else.
//   CU13. In Node it is found only where a route, a consumer or a timer leads there; at start-up, and in what is read once and kept, it is not.

import type { Call } from '../../facts/facts.ts'
import { type BlockRef, type IndexedFile, type Program, programOf } from '../../program/index.ts'
import type { Repository } from '../../repository/repository.ts'
import { lastName, seenAt, symbolOf } from '../queries.ts'
import type { Discovery, Rule } from '../rule.ts'
import { blockedBy } from './blocking-python.ts'
import { bodiesOf, bodyOf, holds } from './flow.ts'
import { isScript, isStarting, runsAlone } from './places.ts'
import { reachedOf, reachKey } from './reach.ts'

export const blockingInAsync: Rule = {
  meta: {
    id: 'blocking-in-async',
    category: 'concurrency',
    severity: 'high',
    title: 'A blocking call holds up everything that this process does',
    why: 'There is one thread for all requests. While it waits for a database, a process or a sleep nobody else is answered, health checks included: one slow query looks like an outage, and an orchestrator restarts what was only busy.',
    remedies: [
      {
        priority: 'P1',
        text: 'Use the asynchronous client, make the handler a plain function where the framework runs those in threads, or hand the call to a thread (asyncio.to_thread, worker_threads).',
        effort: 'M',
      },
    ],
    sources: [
      'https://docs.python.org/3/library/asyncio-dev.html#running-blocking-code',
      'https://nodejs.org/en/learn/asynchronous-work/dont-block-the-event-loop',
    ],
  },
  *run(repository: Repository): Iterable<Discovery> {
    const program = programOf(repository.facts)
    for (const path of program.files) {
      const file = program.file(path)
      if (file === undefined || runsAlone(path)) continue
      // A program that serves nobody holds up nobody.
      if (file.facts.language === 'python') yield* isScript(file) ? [] : inPython(program, file)
      else yield* inNode(repository, file)
    }
  },
}

interface Held {
  readonly call: Call
  readonly what: string
  readonly at: BlockRef | undefined
}

interface Blocked extends Held {
  /** In the function itself: what blocks, or what leads there. */
  readonly site: Call
}

/** CU12. */
function* inPython(program: Program, file: IndexedFile): Iterable<Discovery> {
  const { facts } = file
  for (const fn of bodiesOf(file).keys()) {
    const block = facts.blocks[fn]
    if (block?.fn?.isAsync !== true || isStarting(file, fn) || hasOwnLoop(file, fn)) continue
    const found = blockedIn(program, file, fn)
    const [first] = found
    if (first === undefined) continue
    const whats = [...new Set(found.map(({ what }) => what))]
    yield {
      tier: 'strong',
      // One way of talking to the database is one decision, wherever it shows.
      cause: `${whats[0]} in async functions of ${/SQLAlchemy/.test(whats[0] ?? '') ? facts.file.split('/', 1)[0] : facts.file}`,
      symbol: symbolOf(facts, fn),
      symptom: `While ${block.name} waits for ${whats.slice(0, 3).join(', ')}, no other request, task or health check of this process goes on.`,
      rootCause: 'It is an async function, and what it calls does not give the thread back while it waits.',
      evidence: [
        seenAt(facts.file, { line: block.line, endLine: Math.max(block.line, first.site.line) }, `async ${block.name}`),
        ...found.slice(0, 3).map(({ call, what, at }) => seenAt(at?.file ?? facts.file, call, what)),
      ],
    }
  }
}

/** QW10. `asyncio.run(inner())` of a synchronous function around it: nobody else is in that loop. */
function hasOwnLoop({ facts, functionOf }: IndexedFile, fn: number): boolean {
  const { name, parent = -1 } = facts.blocks[fn] ?? {}
  const around = functionOf(parent)
  if (around === -1 || facts.blocks[around]?.fn?.isAsync === true) return false
  return facts.calls.some(({ callee, args, block }) => {
    const [given] = args
    const inner = given?.kind === 'call' ? facts.calls[given.call] : undefined
    return (
      functionOf(block) === around &&
      /(?:^|\.)(?:run|run_until_complete)$/.test(callee.text) &&
      inner?.callee.text === name
    )
  })
}

function blockedIn(program: Program, file: IndexedFile, fn: number): readonly Blocked[] {
  const { facts } = file
  const found: Blocked[] = []
  for (const index of bodyOf(file, fn).calls) {
    const call = facts.calls[index] as Call
    const what = blockedBy(program, file, fn, index)
    if (what !== undefined) {
      found.push({ site: call, call, what, at: undefined })
      continue
    }
    const target = program.target({ file: facts.file, call })
    const held = target === undefined ? undefined : heldThrough(program, target, DEPTH_MAX)
    if (held !== undefined) found.push({ ...held, site: call })
  }
  return found
}

const DEPTH_MAX = 5

interface Known {
  readonly depth: number
  readonly held: Held | undefined
}

const KNOWN = new WeakMap<Program, Map<string, Known>>()

/** The first that blocks in a synchronous function of the repository, or in those that it calls. */
function heldThrough(program: Program, target: BlockRef, depth: number): Held | undefined {
  const known = KNOWN.get(program) ?? new Map<string, Known>()
  KNOWN.set(program, known)
  const key = `${target.file}\n${target.block}`
  const kept = known.get(key)
  if (kept !== undefined && (kept.held !== undefined || kept.depth >= depth)) return kept.held
  // Until it is known a function that calls itself holds up nothing.
  known.set(key, { depth, held: undefined })
  const held = findHeld(program, target, depth)
  known.set(key, { depth, held })
  return held
}

function findHeld(program: Program, target: BlockRef, depth: number): Held | undefined {
  const file = program.file(target.file)
  const { fn, name = '' } = file?.facts.blocks[target.block] ?? {}
  if (file === undefined || fn === undefined || fn.isAsync || fn.isGenerator) return undefined
  if (fn.kind === 'constructor' || name === '__init__') return undefined
  const inner = bodyOf(file, target.block).calls
  for (const index of inner) {
    const what = blockedBy(program, file, target.block, index)
    if (what !== undefined) return { call: file.facts.calls[index] as Call, what, at: target }
  }
  for (const index of depth > 1 ? inner : []) {
    const next = program.target({ file: target.file, call: file.facts.calls[index] as Call })
    const held = next === undefined ? undefined : heldThrough(program, next, depth - 1)
    if (held !== undefined) return held
  }
  return undefined
}

const HEAVY =
  /^(?:execSync|spawnSync|execFileSync|pbkdf2Sync|scryptSync|genSaltSync|hashSync|compareSync|gzipSync|gunzipSync|deflateSync|inflateSync|brotliCompressSync|brotliDecompressSync|unzipSync)$/
const FILES = /^(?:readFileSync|writeFileSync|appendFileSync|copyFileSync|readdirSync|cpSync|rmSync)$/

/** CU13. */
function* inNode(repository: Repository, file: IndexedFile): Iterable<Discovery> {
  const { facts } = file
  const reached = facts.calls.some(({ callee }) => callee.text.endsWith('Sync')) ? reachedOf(repository) : undefined
  if (reached === undefined) return
  for (const call of facts.calls) {
    const name = lastName(call.callee)
    const isHeavy = HEAVY.test(name)
    if (!isHeavy && !FILES.test(name)) continue
    const fn = reachingFunction(file, call.block, facts.file, reached)
    if (fn === undefined || isStarting(file, file.functionOf(call.block)) || isKept(file, call)) continue
    const { entry } = fn
    if (entry.kind === 'interval' || entry.kind === 'schedule' || entry.kind === 'listener') continue
    yield {
      tier: 'strong',
      severity: isHeavy ? 'high' : 'medium',
      cause: `${isHeavy ? 'work' : 'files'} of ${facts.file}`,
      symbol: symbolOf(facts, call.block),
      symptom: `While ${name} runs, this process answers nobody else.`,
      rootCause: `It is called on the way of ${entry.kind === 'route' ? `the route ${entry.name}` : `a ${entry.kind}`}, and it gives the thread back only when it is done.`,
      evidence: [seenAt(facts.file, call, name)],
    }
  }
}

function reachingFunction(
  file: IndexedFile,
  block: number,
  path: string,
  reached: ReturnType<typeof reachedOf>,
): { readonly entry: { readonly kind: string; readonly name: string } } | undefined {
  for (let at = block; at >= 0; at = file.facts.blocks[at]?.parent ?? -1) {
    const found =
      file.facts.blocks[at]?.kind === 'function' ? reached.get(reachKey({ file: path, block: at })) : undefined
    if (found !== undefined) return found
  }
  return undefined
}

/** Read once: it is put into a field or a name of the module, which the function tests. */
function isKept(file: IndexedFile, call: Call): boolean {
  const { assignments, branches } = bodyOf(file, file.functionOf(call.block))
  const local = call.target?.isOwn === false && call.target.root === 'local' ? call.target.text : undefined
  const kept = assignments.filter(
    ({ target, value, line }) =>
      (target.isOwn || target.root === 'module') &&
      (target.text === call.target?.text || line === call.line || (value.kind === 'path' && value.path.text === local)),
  )
  return kept.some(({ target }) =>
    branches.some((branch) => {
      const { test } = file.facts.blocks[branch] ?? {}
      return (
        test !== undefined && holds(file.facts, test, (each) => each.kind === 'path' && each.path.text === target.text)
      )
    }),
  )
}
