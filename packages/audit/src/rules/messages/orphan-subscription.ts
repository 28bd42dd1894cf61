// Subscriptions that nobody is behind: what is published there comes, and nothing takes it; or they are made for each request or connection, and nothing ends them;
// or a webhook is registered with somebody else's system, and nothing ever takes it back.
//   OS5. A subscription that is given a function, or whose program listens to messages anywhere, of whatever client, is silent; only clients that are known count.
//   OS6. One that is made by traffic is found where its file never unsubscribes, closes or quits anything.
//   OS7. A webhook is for review, where it is registered by traffic with a system outside and no call of the program takes a webhook away.

import type { Call, FileFacts } from '../../facts/facts.ts'
import { programOf } from '../../program/index.ts'
import type { Repository } from '../../repository/repository.ts'
import { outboundOf } from '../../system/outbound.ts'
import { trafficOf } from '../../system/traffic.ts'
import { isByHandFile } from '../deadlines/surroundings.ts'
import { callsOf, lastName, seenAt, symbolOf } from '../queries.ts'
import type { Discovery, Rule } from '../rule.ts'

const SUBSCRIBES = /^(?:p|s)?subscribe$|^pSubscribe$|^sSubscribe$/
const LISTENS = /^(?:on|once|addListener)$/
const MESSAGES = /^(?:p|s)?message(?:Buffer)?$/i
const TAKES: Readonly<Record<'redis' | 'kafka', RegExp>> = {
  redis: /^(?:listen|get_message|run_in_thread|parse_response|handle_message|events?)$/,
  kafka: /^(?:run|poll|consume|getone|getmany|get_one|stream)$/,
}
const ENDS =
  /^(?:(?:p|s)?[uU]nsubscribe|pUnsubscribe|quit|disconnect|close|aclose|end|destroy|dispose|reset|stop|off|removeListener|removeAllListeners)$/

export const orphanSubscription: Rule = {
  meta: {
    id: 'orphan-subscription',
    category: 'messages and effects',
    severity: 'medium',
    title: 'A subscription has nobody behind it',
    why: 'Whoever publishes believes that somebody acts on it. What nothing takes is lost without a word; what nothing ends goes on for owners that are long gone, and there is one more with every request.',
    remedies: [
      {
        priority: 'P2',
        text: 'Give every subscription one place that handles what comes, and end it where its owner ends: on close, on uninstall, on delete.',
        effort: 'S',
      },
    ],
    sources: [
      'CWE-772: missing release of resource after effective lifetime',
      'https://redis.io/docs/latest/develop/pubsub/',
    ],
  },
  *run(repository: Repository): Iterable<Discovery> {
    const taken = { redis: takesAny(repository, 'redis'), kafka: takesAny(repository, 'kafka') }
    for (const { facts, call } of callsOf(programOf(repository.facts), SUBSCRIBES)) {
      const kind = isByHandFile(repository, facts) ? undefined : subscribed(repository, facts, call)
      if (kind === undefined) continue
      const found =
        !taken[kind] && !isHandled(call)
          ? unheard(facts, call)
          : kind === 'redis'
            ? unended(repository, facts, call)
            : undefined
      if (found !== undefined) yield found
    }
    yield* webhooks(repository)
  },
}

/** Of a client of Redis, of what `pubsub()` or `duplicate()` of one made, or of a consumer of Kafka. */
function subscribed(repository: Repository, { file, imports }: FileFacts, call: Call): 'redis' | 'kafka' | undefined {
  const { clients } = outboundOf(repository)
  const { program } = trafficOf(repository)
  const receiver = call.callee.text.slice(0, Math.max(0, call.callee.text.lastIndexOf('.')))
  const made = receiver === '' ? undefined : program.created(file, { ...call.callee, text: receiver }, call.block)
  if (made === undefined) return undefined
  if (clients.some(({ site, kind }) => kind === 'redis' && site.call === made.call)) return 'redis'
  const maker = lastName(made.call.callee)
  if (/^(?:pubsub|duplicate)$/.test(maker)) return clients.some(({ kind }) => kind === 'redis') ? 'redis' : undefined
  return maker === 'consumer' && imports.some(({ module }) => module === 'kafkajs') ? 'kafka' : undefined
}

/** It brings what handles: a listener, handlers by channel; or something that is not seen. */
function isHandled({ args, named, hasSpread, use }: Call): boolean {
  return hasSpread || named.length > 0 || use === 'chained' || args.slice(1).some((arg) => arg.kind !== 'string')
}

function takesAny({ facts }: Repository, kind: 'redis' | 'kafka'): boolean {
  const program = programOf(facts)
  return (
    callsOf(program, LISTENS).some(
      ({
        call: {
          args: [first],
        },
      }) => first?.kind !== 'string' || MESSAGES.test(first.value),
    ) || callsOf(program, TAKES[kind]).some(({ call }) => call.callee.text.includes('.'))
  )
}

function unheard(facts: FileFacts, call: Call): Discovery {
  return {
    tier: 'strong',
    cause: `subscriptions without a listener in ${facts.file}`,
    symbol: symbolOf(facts, call.block),
    symptom: 'What is published there comes to this process, and nothing happens.',
    rootCause: 'The program subscribes, and nowhere listens to messages.',
    evidence: [seenAt(facts.file, call, 'It subscribes here; no listener for messages is anywhere in the program.')],
  }
}

/** OS6. */
function unended(repository: Repository, facts: FileFacts, call: Call): Discovery | undefined {
  const traffic = trafficOf(repository)
  const ref = { file: facts.file, block: traffic.program.file(facts.file)?.functionOf(call.block) ?? -1 }
  if (ref.block === -1 || !traffic.runs(ref, 'traffic') || traffic.runs(ref, 'startup')) return undefined
  const isEnded = facts.calls.some(({ callee }) => callee.text.includes('.') && ENDS.test(lastName(callee)))
  const isHeld = facts.blocks.some(({ kind, test }) => kind === 'with' && test !== undefined)
  if (isEnded || isHeld) return undefined
  return {
    tier: 'strong',
    symbol: symbolOf(facts, call.block),
    symptom: 'With every request or connection there is one more subscription, and messages go to those that are gone.',
    rootCause: 'The subscription is made for each of them, and nothing in this file ends one.',
    evidence: [
      seenAt(facts.file, call, 'It subscribes for each request or connection; nothing here unsubscribes or closes.'),
    ],
  }
}

const REGISTERS =
  /(?:^|\.)(?:createWebhook|create_webhook|webhookEndpoints\.create|WebhookEndpoint\.create|create_hook|webhooks\.create)$/
const HOOKS = /(?:^|[./])(?:webhooks?|webhook_?endpoints?|hooks)(?:$|[./(])/i
const ABROAD = /^https:\/\/(?!localhost|127\.|[\w-]+(?::|\/))/
const REMOVES =
  /(?:delete|remove|destroy|unregister|deregister|del)\w*hook|(?:webhook\w*|hooks)\.(?:del|delete|remove|destroy)$/i

/** OS7. */
function* webhooks(repository: Repository): Iterable<Discovery> {
  const outbound = outboundOf(repository)
  const traffic = trafficOf(repository)
  const registered: { readonly facts: FileFacts; readonly call: Call }[] = []
  const program = programOf(repository.facts)
  if (program.callsLike(REMOVES).length > 0) return
  for (const { kind, site } of outbound.calls) {
    const { file, call } = site
    const facts = kind === 'http' && HOOKS.test(addressOf(call)) ? repository.facts.get(file) : undefined
    if (facts === undefined) continue
    const verb = lastName(call.callee)
    if (/^delete$|^del$/.test(verb) || isDelete(call)) return
    if (verb === 'post' && ABROAD.test(addressOf(call))) registered.push({ facts, call })
  }
  for (const { facts, call } of program.callsLike(REGISTERS))
    if (isOfLibrary(facts, call)) registered.push({ facts, call })
  const made = registered.filter(({ facts, call }) => {
    const block = traffic.program.file(facts.file)?.functionOf(call.block) ?? -1
    return block !== -1 && !isByHandFile(repository, facts) && traffic.runs({ file: facts.file, block }, 'traffic')
  })
  const [first] = made
  if (first === undefined) return
  yield {
    tier: 'review',
    cause: 'webhooks that nothing takes back',
    symbol: symbolOf(first.facts, first.call.block),
    symptom: 'Who leaves goes on being called about; each new registration adds one more delivery of the same event.',
    rootCause: 'The program registers webhooks with another system, and no call of it removes one.',
    evidence: made.map(({ facts, call }) => seenAt(facts.file, call, 'A webhook is registered here.')),
  }
}

function addressOf({ args }: Call): string {
  const [first] = args
  if (first?.kind === 'string') return first.value
  return first?.kind === 'template' ? first.parts.join('x') : ''
}

function isDelete({ args, named }: Call): boolean {
  const options = args.flatMap((arg) => (arg.kind === 'object' ? arg.entries : []))
  return [...options, ...named].some(
    ([name, value]) => name === 'method' && (value.kind !== 'string' || /delete/i.test(value.value)),
  )
}

/** Of a library, by what its receiver was made from; not of the repository's own client or table. */
function isOfLibrary({ imports }: FileFacts, { callee }: Call): boolean {
  const root = callee.text.split('.', 1)[0] ?? ''
  return (
    /^(?:stripe|octokit|shopify|github|gitlab|mollie|paypal|square|plaid|telegram|bot)$/i.test(root) &&
    imports.some(({ module }) =>
      /^(?:stripe|@?octokit|@shopify|github|gitlab|@gitbeaker|@mollie|square|plaid)/i.test(module),
    )
  )
}
