// Requests that are never answered: the handler of a route logs an error and ends, and nothing else answers. The caller waits until it gives up by itself, and holds
// its connection as long.
//   QJ10. Found only where the handler of any error does nothing but log, all answers are in what was tried and behind what may fail there, and the framework answers
//         nothing by itself (Express, node). A comment that says why keeps it silent.

import type { FileFacts } from '../../facts/facts.ts'
import { programOf } from '../../program/index.ts'
import type { Repository } from '../../repository/repository.ts'
import { type Entry, entriesOf } from '../../system/entries.ts'
import { contentsOf } from '../contents.ts'
import { isByHand } from '../places.ts'
import { catchesAny } from '../promises/rejections.ts'
import { seenAt, symbolOf } from '../queries.ts'
import type { Discovery } from '../rule.ts'
import { type Handled, handlersIn, isExplained, onlyLogs } from './handlers.ts'

const SILENT_FRAMEWORKS = /^(express|node|connect|polka|restify)$/

export function* unanswered(repository: Repository): Iterable<Discovery> {
  const program = programOf(repository.facts)
  const seen = new Set<string>()
  for (const { kind, framework, handler } of entriesOf(repository) as readonly Entry[]) {
    if (kind !== 'route' || handler === undefined || !SILENT_FRAMEWORKS.test(framework)) continue
    const { file, block } = handler
    const facts = program.file(file)?.facts
    const [, response] = facts?.blocks[block]?.fn?.params ?? []
    if (facts === undefined || response === undefined || isByHand(file) || seen.has(`${file}\n${block}`)) continue
    seen.add(`${file}\n${block}`)
    for (const handled of handlersIn(facts))
      if (facts.blocks[handled.index]?.parent === block && isSilent(facts, handled, block, response))
        yield discovery(facts, handled, block)
  }
}

/** QJ10. */
function isSilent(facts: FileFacts, handled: Handled, fn: number, response: string): boolean {
  if (!catchesAny(handled.block) || !onlyLogs(facts, handled) || isExplained(facts, handled.block)) return false
  if (handled.contents.exits.some(({ value }) => value !== undefined)) return false
  const isAnswer = (text: string): boolean => text.startsWith(`${response}.`)
  const tried = contentsOf(facts, handled.tried).calls
  const waits = tried.find(({ use }) => use === 'awaited')
  const answers = contentsOf(facts, fn).calls.filter(
    ({ callee, args }) =>
      isAnswer(callee.text) || args.some((arg) => arg.kind === 'path' && arg.path.text === response),
  )
  return (
    waits !== undefined &&
    answers.length > 0 &&
    answers.every((call) => tried.includes(call)) &&
    answers.some((call) => facts.blocks[call.block]?.kind === 'try' && call.line > waits.line) &&
    !answers.some((call) => facts.blocks[call.block]?.kind === 'try' && call.line < waits.line)
  )
}

function discovery(facts: FileFacts, { block: handler }: Handled, fn: number): Discovery {
  const symbol = symbolOf(facts, fn)
  return {
    tier: 'strong',
    symbol,
    cause: `requests without an answer in ${facts.file}`,
    title: 'A request is never answered',
    symptom: 'After a failure the caller waits until it gives up by itself, and does not know what was done.',
    rootCause: `The handler in ${symbol === '' ? 'the route' : symbol} logs the error and answers nothing.`,
    evidence: [seenAt(facts.file, handler, 'the error is logged, and the request gets no answer')],
  }
}
