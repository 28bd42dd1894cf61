// Clients of WebSockets that connect again and go on as if nothing was missed. For review: what is missed may come with the next message.
//   MF13. Silent where anything in the file asks for what was missed: a position, a sync, a fetch, or a message that is sent when the connection opens.

import type { Call, FileFacts } from '../../facts/facts.ts'
import { programOf } from '../../program/index.ts'
import type { Repository } from '../../repository/repository.ts'
import { GUARANTEES } from '../guarantees.ts'
import { lastName, seenAt, symbolOf } from '../queries.ts'
import type { Discovery, Rule } from '../rule.ts'

const ASKING =
  /last_?event|last_?id|since|resum|sync|replay|offset|cursor|sequence|\bseq\b|refetch|invalidate|reload|snapshot|fetch\(|axios|subscribe/i

export const wsReconnectNoResync: Rule = {
  meta: {
    id: 'ws-reconnect-no-resync',
    category: 'messages and effects',
    severity: 'medium',
    title: 'A client connects again and does not ask for what it missed',
    why: 'Everything that was sent while the connection was down is missing from then on: the page shows an old state, and nothing corrects it until it is loaded anew.',
    remedies: [
      {
        priority: 'P2',
        text: 'Number what is sent; when the connection opens again, ask for everything behind the last number, or for the whole state.',
        effort: 'M',
        guarantee: GUARANTEES.sessions,
      },
    ],
    sources: [
      'RFC 6455: a WebSocket connection has no memory of the one before',
      'WHATWG HTML: server-sent events, Last-Event-ID',
    ],
  },
  *run({ facts: all, files }: Repository): Iterable<Discovery> {
    const program = programOf(all)
    for (const facts of all.values()) {
      const made = facts.calls.find(isClient)
      const file = program.file(facts.file)
      if (made === undefined || file === undefined || ASKING.test(files.read(facts.file) ?? '')) continue
      const again = reconnecting(facts, (inner, outer) => file.within(inner, outer))
      if (again === undefined) continue
      yield {
        tier: 'review',
        evidence: [seenAt(facts.file, again, 'connects again here'), seenAt(facts.file, made, 'the connection')],
        cause: `reconnecting in ${facts.file.split('/', 1)[0]}`,
        symbol: symbolOf(facts, again.block),
        symptom: 'What was sent while the connection was down is never seen.',
        rootCause: 'Nothing in this file asks for what was missed when the connection opens again.',
      }
    }
  },
}

function isClient({ callee, isNew, args }: Call): boolean {
  return isNew && /(?:^|\.)(?:WebSocket|ReconnectingWebSocket)$/.test(callee.text) && args.length > 0
}

/** A timer, or a call of what connects, in what runs when the connection closes. */
function reconnecting(
  { calls, blocks, assignments }: FileFacts,
  within: (inner: number, outer: number) => boolean,
): Call | undefined {
  const handlers = new Set<number>()
  for (const { target, value } of assignments)
    if (/\.onclose$/.test(target.text) && value.kind === 'function') handlers.add(value.block)
  for (const { callee, args } of calls) {
    const [event, handler] = args
    if (
      /\.(?:on|addEventListener)$/.test(callee.text) &&
      event?.kind === 'string' &&
      event.value === 'close' &&
      handler?.kind === 'function'
    )
      handlers.add(handler.block)
  }
  return calls.find(
    (call) =>
      [...handlers].some((handler) => blocks[handler] !== undefined && within(call.block, handler)) &&
      /^(?:setTimeout|reconnect\w*|connect\w*|scheduleReconnect\w*)$/i.test(lastName(call.callee)),
  )
}
