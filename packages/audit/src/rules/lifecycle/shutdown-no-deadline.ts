// Shutdowns that may wait for ever: the process exits only when the last connection has ended, and nothing limits that.
//   LF4. A timer, a race or an end of all connections anywhere in the shutdown or in what calls it is silent; all of it is for review: the platform kills in the end.

import { type IndexedFile, programOf } from '../../program/index.ts'
import type { Repository } from '../../repository/repository.ts'
import { GUARANTEES } from '../guarantees.ts'
import { isInside, lastName, seenAt, symbolOf } from '../queries.ts'
import type { Discovery, Rule } from '../rule.ts'
import { closingFunctions, closingsOf } from './closings.ts'

const LIMITS = /^(setTimeout|closeAllConnections|race|timeout|withTimeout|destroySockets|alarm|wait_for)$/

export const shutdownNoDeadline: Rule = {
  meta: {
    id: 'shutdown-no-deadline',
    category: 'lifecycle',
    severity: 'low',
    title: 'A shutdown waits without a limit',
    why: 'One request that hangs, or one connection that is kept alive, holds the process until the platform kills it; what should have been closed after the server never is.',
    remedies: [
      {
        priority: 'P3',
        text: 'Give the drain a limit shorter than the grace period, then closeAllConnections and go on closing.',
        effort: 'XS',
        guarantee: GUARANTEES.drain,
      },
    ],
    sources: ['https://nodejs.org/api/http.html#serverclosecallback'],
  },
  *run(repository: Repository): Iterable<Discovery> {
    const program = programOf(repository.facts)
    for (const path of program.files) {
      const file = program.file(path)
      if (file === undefined || !file.facts.calls.some(({ callee }) => callee.text === 'process.exit')) continue
      if (file.facts.calls.some(({ callee }) => LIMITS.test(lastName(callee)))) continue
      for (const fn of closingFunctions(file))
        for (const { call, closes, kind, name } of closingsOf(program, path, file, fn)) {
          const last = call.args.at(-1)
          if (closes !== 'server' || kind !== 'node' || last?.kind !== 'function' || !exitsIn(file, last.block))
            continue
          yield {
            tier: 'review',
            symbol: symbolOf(file.facts, call.block),
            cause: `${name} of ${path}`,
            symptom: 'One request that hangs keeps the old process until it is killed.',
            rootCause: `The exit waits for the last connection of ${name}, and nothing limits how long.`,
            evidence: [
              seenAt(path, { line: call.line, endLine: call.line }, 'The process exits only in its callback.'),
            ],
          }
        }
    }
  },
}

function exitsIn({ facts }: IndexedFile, block: number): boolean {
  return facts.calls.some((call) => call.callee.text === 'process.exit' && isInside(facts.blocks, call.block, block))
}
