// Two things that are left half done: an alarm that is only a comment, and sending to many of which the first that is gone ends it for the rest.
//   ER10. An alarm is found only where a function is one by its name, a comment in it says that sending is still to be written, and it does nothing but log.
//   ER11. A broadcast is found only where each receiver's own send is awaited in a loop over them and nothing in the loop catches.

import type { Call, FileFacts, Value } from '../../facts/facts.ts'
import type { Repository } from '../../repository/repository.ts'
import { contentsOf } from '../contents.ts'
import { isPage } from '../places.ts'
import { lastName, seenAt, symbolOf } from '../queries.ts'
import type { Discovery, Rule } from '../rule.ts'
import { isLogging } from './handlers.ts'

const ALARM = /(^|_)_*(alert|page|escalate|notify_?(on_?call|ops|admins?|team))(_|[A-Z]|$)|(Alert|OnCall|PagerDuty)s?$/
const UNWRITTEN =
  /\b(TODO|FIXME)\b|not (yet )?implemented|would (be )?(send|sent|integrate|call|notify)|implement (actual|real)|placeholder/i
const CHANNEL = /alert|send|notif|slack|pager|sentry|email|e-mail|sms|webhook|ops|integrat|implement/i

export const alertNotImplemented: Rule = {
  meta: {
    id: 'alert-not-implemented',
    category: 'observability',
    severity: 'medium',
    title: 'An alarm that only writes a log',
    why: 'The code that finds the failure believes that somebody is told. Nobody is.',
    remedies: [
      {
        priority: 'P1',
        text: 'Send it, or count it in a metric that an alert of the monitoring watches.',
        effort: 'S',
      },
    ],
    sources: ['https://sre.google/sre-book/monitoring-distributed-systems/'],
  },
  *run(repository: Repository): Iterable<Discovery> {
    for (const facts of repository.facts.values()) {
      if (isPage(facts)) continue
      const unwritten = facts.comments.filter(({ text }) => UNWRITTEN.test(text) && CHANNEL.test(text))
      if (unwritten.length === 0) continue
      for (const [fn, { kind, name, line, endLine }] of facts.blocks.entries()) {
        if (kind !== 'function' || !ALARM.test(name)) continue
        const comment = unwritten.find((each) => each.line >= line && each.line <= endLine)
        const { calls } = contentsOf(facts, fn)
        if (comment === undefined || !calls.every((call) => isLogging(facts, call))) continue
        yield {
          tier: 'strong',
          symbol: symbolOf(facts, fn),
          symptom: `Nobody is told of what ${name} is called for.`,
          rootCause: `${name} writes a log; sending is still to be written.`,
          evidence: [
            seenAt(facts.file, { line: comment.line, endLine: comment.line }, 'says that it is still to be written'),
          ],
        }
      }
    }
  },
}

const SEND = /^(send|send_?(text|json|bytes|str|message|event)|sendMessage|write|publish|emit|post)$/i
/** Loops over a copy of who is connected. */
const RECEIVERS =
  /client|connection|conn\b|conns|socket|subscriber|peer|listener|receiver|session|websocket|\bws\b|queue/i

export const broadcastAbort: Rule = {
  meta: {
    id: 'broadcast-abort',
    category: 'error handling',
    severity: 'medium',
    title: 'One receiver that is gone ends the broadcast for all after it',
    why: 'Sending to a connection that closed throws. The loop ends there: who comes after gets nothing, this time and every time until the dead one is removed.',
    remedies: [
      {
        priority: 'P1',
        text: 'Catch for each receiver, remove the one that failed, and send to all at once with a deadline.',
        effort: 'XS',
      },
    ],
    sources: ['https://websockets.readthedocs.io/en/stable/topics/broadcast.html'],
  },
  *run(repository: Repository): Iterable<Discovery> {
    for (const facts of repository.facts.values()) {
      if (isPage(facts)) continue
      for (const [loop, { kind, binds = '', test }] of facts.blocks.entries()) {
        if (kind !== 'loop' || binds === '' || test === undefined || !RECEIVERS.test(nameOf(facts, test))) continue
        const call = contentsOf(facts, loop).calls.find((each) => isSend(facts, each, binds, loop))
        if (call === undefined) continue
        const line = facts.blocks[loop]?.line ?? call.line
        yield {
          tier: 'strong',
          symbol: symbolOf(facts, loop),
          symptom: 'After one connection dies, others get no messages any more.',
          rootCause: `The send to each of them is awaited in the loop, and nothing catches the failure of one.`,
          evidence: [seenAt(facts.file, { line, endLine: call.endLine }, 'the first failure ends the loop')],
        }
      }
    }
  },
}

/** `self.clients` of `list(self.clients)` too. */
function nameOf({ calls }: FileFacts, value: Value): string {
  if (value.kind === 'path') return value.path.text
  const call = value.kind === 'call' ? calls[value.call] : undefined
  const [first] = call?.args ?? []
  return call === undefined ? '' : `${call.callee.text} ${first?.kind === 'path' ? first.path.text : ''}`
}

/** ER11. */
function isSend({ blocks }: FileFacts, { callee, use, block }: Call, binds: string, loop: number): boolean {
  const [receiver = ''] = callee.text.split('.')
  if (use !== 'awaited' || !binds.split(',').includes(receiver) || !SEND.test(lastName(callee)) || callee.isOwn)
    return false
  for (let at = block; at > 0 && at !== loop; at = blocks[at]?.parent ?? -1)
    if (blocks[at]?.kind === 'try') return false
  return true
}
