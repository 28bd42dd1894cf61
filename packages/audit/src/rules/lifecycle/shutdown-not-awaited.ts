// Shutdowns that end the process while the server still answers: its `close` only begins to close, and the exit does not wait for the callback.
// The line is that of the `close`.
//   LF2. A close whose end is waited for (its callback, a promise around it, the event), an exit that comes only when the callback or a timer runs, and servers whose
//        `close` can be awaited and is, are silent.

import type { Call } from '../../facts/facts.ts'
import { type IndexedFile, type Program, programOf } from '../../program/index.ts'
import type { Repository } from '../../repository/repository.ts'
import { GUARANTEES } from '../guarantees.ts'
import { lastName, seenAt, symbolOf } from '../queries.ts'
import type { Discovery, Rule } from '../rule.ts'
import { type Closing, closingFunctions, closingsOf, comesAfter, exitsOf } from './closings.ts'

export const shutdownNotAwaited: Rule = {
  meta: {
    id: 'shutdown-not-awaited',
    category: 'lifecycle',
    severity: 'medium',
    title: 'A shutdown exits before its server is closed',
    why: 'close() returns at once and answers what is under way in the background. The exit that follows cuts those requests off: the shutdown looks graceful in the logs and is not.',
    remedies: [
      {
        priority: 'P1',
        text: 'Wait for the callback of close (a promise around it) before closing stores and exiting; with a limit in time, closeIdleConnections at the beginning and closeAllConnections at the end.',
        effort: 'S',
        guarantee: GUARANTEES.drain,
      },
    ],
    sources: ['https://nodejs.org/api/http.html#serverclosecallback'],
  },
  *run(repository: Repository): Iterable<Discovery> {
    const program = programOf(repository.facts)
    for (const path of program.files) {
      const file = program.file(path)
      if (file === undefined || !file.facts.calls.some(isExit)) continue
      for (const fn of closingFunctions(file)) {
        const early = closingsOf(program, path, file, fn).filter((closing) => isLeft(closing) && listens(file, closing))
        for (const closing of early) {
          const exit = exitAfter(program, path, file, fn, closing.call)
          if (exit !== undefined && !waitsForClose(file, fn)) yield discovery(path, file, closing, exit)
        }
      }
    }
  },
}

function isExit({ callee }: Call): boolean {
  return callee.text === 'process.exit'
}

/** Begun and left alone. Of Node's own servers `await` waits for nothing. */
function isLeft({ call, closes, kind }: Closing): boolean {
  if (closes !== 'server' || lastName(call.callee) !== 'close') return false
  return call.use === 'dropped' || call.use === 'void' || (call.use === 'awaited' && kind === 'node')
}

/** An application that never listens is a script's, and has no requests. */
function listens({ facts }: IndexedFile, { kind }: Closing): boolean {
  return kind !== 'nest' || facts.calls.some(({ callee }) => lastName(callee) === 'listen')
}

/** In the same function, or in the one that calls it. */
function exitAfter(program: Program, path: string, file: IndexedFile, fn: number, call: Call): Call | undefined {
  const own = exitsOf(file, fn).find((exit) => comesAfter(file, call, exit))
  if (own !== undefined) return own
  for (const site of program.callers({ file: path, block: fn })) {
    if (site.file !== path) continue
    const found = exitsOf(file, file.functionOf(site.call.block)).find((exit) => comesAfter(file, site.call, exit))
    if (found !== undefined) return found
  }
  return undefined
}

/** `await once(server, 'close')`. */
function waitsForClose(file: IndexedFile, fn: number): boolean {
  return file.facts.calls.some(
    ({ args, block, use }) =>
      use === 'awaited' &&
      file.functionOf(block) === fn &&
      args.some((arg) => arg.kind === 'string' && arg.value === 'close'),
  )
}

function discovery(path: string, file: IndexedFile, { call, name }: Closing, exit: Call): Discovery {
  return {
    tier: 'strong',
    symbol: symbolOf(file.facts, call.block),
    symptom: 'Requests that are under way when the process is told to stop are cut off.',
    rootCause: `${name}.close() is not waited for, and the process exits without knowing whether it has ended.`,
    evidence: [
      seenAt(path, { line: call.line, endLine: call.line }, `${name} begins to close, and nothing waits for it.`),
      seenAt(path, exit, 'The process exits here.'),
    ],
  }
}
