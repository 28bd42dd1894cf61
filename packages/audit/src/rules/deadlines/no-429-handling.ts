// Calls of somebody else's API that know no "too many requests": a 429 is thrown like any other refusal, at once, and whoever asked asks again.
// For review: whether the far end has such a limit is known from its address only.
//   DN10. Any word of 429, Retry-After, rate limits, retries or backoff in the file keeps it silent.

import type { FileFacts, Value } from '../../facts/facts.ts'
import { programOf } from '../../program/index.ts'
import type { Repository } from '../../repository/repository.ts'
import { type Outbound, outboundOf } from '../../system/outbound.ts'
import { GUARANTEES } from '../guarantees.ts'
import { seenAt, symbolOf } from '../queries.ts'
import type { Discovery, Rule } from '../rule.ts'
import { componentOf, isByHandFile, mayBePage } from './surroundings.ts'

export const no429Handling: Rule = {
  meta: {
    id: 'no-429-handling',
    category: 'deadlines and retries',
    severity: 'medium',
    title: 'An API with limits is called, and "too many requests" is a failure like any other',
    why: 'APIs of others answer 429 with the time to wait. A client that fails on it loses work in every burst, and one whose callers try again at once stays limited.',
    remedies: [
      {
        priority: 'P2',
        text: 'On 429 (and 503 with Retry-After) wait as long as is said, with a bound, then try again; limit the own rate below the documented one.',
        effort: 'S',
        guarantee: GUARANTEES.rate,
      },
    ],
    sources: ['RFC 6585 section 4', 'RFC 9110 section 10.2.3 (Retry-After)'],
  },
  *run(repository: Repository): Iterable<Discovery> {
    const told = new Set<string>()
    for (const outbound of outboundOf(repository).calls) {
      const { file } = outbound.site
      const facts = repository.facts.get(file)
      if (facts === undefined || outbound.kind !== 'http' || outbound.knowledge.retries > 0 || told.has(file)) continue
      if (isByHandFile(repository, facts) || mayBePage(repository, facts)) continue
      if (!isShared(repository, outbound)) continue
      const api = apiOf(facts)
      const line = api === undefined ? undefined : refusalLine(repository, facts, outbound)
      if (api === undefined || line === undefined || KNOWS.test(repository.files.read(file) ?? '')) continue
      told.add(file)
      yield discovery(repository, facts, outbound, api, line)
    }
  },
}

/** The one function of a client that its others go through: what it does not know, none of them does. */
function isShared({ facts }: Repository, { site }: Outbound): boolean {
  const program = programOf(facts)
  const block = program.file(site.file)?.functionOf(site.call.block) ?? -1
  return block !== -1 && program.callers({ file: site.file, block }).length >= CALLERS_MIN
}

const CALLERS_MIN = 2

/** DN10. */
const KNOWS = /\b429\b|too.?many.?requests|retry|retries|backoff|tenacity|throttl|rate.?limit(?:ed|s?error|exceeded)/i
/** Documented limits that one program reaches alone. */
const LIMITED =
  /^https:\/\/(?:[\w-]+\.)*(?:airtable\.com|github\.com|api\.openai\.com|api\.anthropic\.com|slack\.com|api\.notion\.com|hubapi\.com|shopify\.com|myshopify\.com|zendesk\.com|api\.stripe\.com|api\.twilio\.com|sendgrid\.com|graph\.microsoft\.com|graph\.facebook\.com|discord\.com|api\.telegram\.org|gitlab\.com|atlassian\.net|salesforce\.com|asana\.com|api\.linear\.app|googleapis\.com|spotify\.com|api\.twitter\.com|api\.x\.com|reddit\.com|mailgun\.net|intercom\.io|trello\.com|monday\.com|typeform\.com|zoom\.us|api\.dropboxapi\.com|generativelanguage\.googleapis\.com)/i

function apiOf({ assignments, calls, envReads }: FileFacts): string | undefined {
  const values = [
    ...assignments.map(({ value }) => value),
    ...calls.flatMap(({ args, named }) => [...args, ...named.map(([, value]) => value)]),
    ...envReads.map(({ fallback }) => fallback),
  ]
  for (const value of values) {
    const host = value === undefined ? undefined : LIMITED.exec(textOf(value))?.[0]
    if (host !== undefined) return host.slice('https://'.length)
  }
  return undefined
}

function textOf(value: Value): string {
  return value.kind === 'string' ? value.value : value.kind === 'template' ? (value.parts[0] ?? '') : ''
}

/** Where the function of the call treats all refusals alike: `status >= 400`, `!response.ok`, `raise_for_status()`. */
function refusalLine(repository: Repository, { file, blocks }: FileFacts, { site }: Outbound): number | undefined {
  let block = site.call.block
  while (block > 0 && blocks[block]?.kind !== 'function') block = blocks[block]?.parent ?? 0
  const lines = (repository.files.read(file) ?? '').split('\n').slice(0, blocks[block]?.endLine)
  const at = lines.findIndex(
    (line, index) =>
      index >= site.call.line - 1 &&
      /(?:status_code|status|statusCode)\s*(?:>=?\s*[34]\d\d|[!=]==?\s*200)|!\s*[\w.]+\.ok\b|\.raise_for_status\(/.test(
        line,
      ),
  )
  return at === -1 ? undefined : at + 1
}

function discovery(
  repository: Repository,
  facts: FileFacts,
  { site, library }: Outbound,
  api: string,
  line: number,
): Discovery {
  return {
    tier: 'review',
    evidence: [
      seenAt(facts.file, { line, endLine: line }, `Every refusal of ${api} is treated alike here.`),
      seenAt(facts.file, site.call, `The call, by ${library}.`),
    ],
    cause: `limits of ${api} in ${componentOf(repository, facts.file)}`,
    symbol: symbolOf(facts, site.call.block),
    symptom: 'In a burst calls fail although waiting a moment would have been enough.',
    rootCause: 'Nothing in the client knows the status 429 or the header Retry-After.',
  }
}
