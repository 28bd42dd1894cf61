// Answers of HTTP calls that are taken for success: the body is used, and nobody looked whether the far end refused. For libraries that answer a 4xx or 5xx
// like anything else.
//   DN7. A status that is looked at anywhere after the call, an answer that is handed on, or a body that is tested keeps it silent.

import type { Repository } from '../../repository/repository.ts'
import { type Outbound, outboundOf } from '../../system/outbound.ts'
import { GUARANTEES } from '../guarantees.ts'
import { optionOf, seenAt, symbolOf } from '../queries.ts'
import type { Discovery, Rule } from '../rule.ts'
import { type AnswerUse, useOfAnswer } from './answers.ts'
import { componentOf, isByHandFile, isLocal, isOfPage, mayBePage } from './surroundings.ts'

const LIBRARIES = new Set(['fetch', 'node-fetch', 'undici', 'requests', 'httpx', 'aiohttp'])

export const httpStatusUnchecked: Rule = {
  meta: {
    id: 'http-status-unchecked',
    category: 'error handling',
    severity: 'high',
    title: 'The answer of an HTTP call is used without looking at its status',
    why: 'These libraries hand a 404 or a 503 on like any other answer. Its body, an error page, goes on as data: refusals become empty results, failed deliveries are noted as done, and nothing is retried.',
    remedies: [
      {
        priority: 'P1',
        text: 'Throw unless response.ok (fetch), call raise_for_status() (requests, httpx, aiohttp), and let what is worth another attempt be retried.',
        effort: 'XS',
        guarantee: GUARANTEES.http,
      },
    ],
    sources: [
      'https://fetch.spec.whatwg.org/#ok',
      'https://requests.readthedocs.io/en/latest/user/quickstart/#response-status-codes',
      'RFC 9110 section 15',
    ],
  },
  *run(repository: Repository): Iterable<Discovery> {
    for (const outbound of outboundOf(repository).calls) {
      const facts = repository.facts.get(outbound.site.file)
      if (facts === undefined || !LIBRARIES.has(outbound.library) || raisesByItself(outbound)) continue
      if (isByHandFile(repository, facts) || isLocal(outbound.target)) continue
      const use = useOfAnswer(repository, outbound)
      const isPage = mayBePage(repository, facts) || isOfPage(outbound)
      if (use === 'checked' || (use === 'dropped' && (isPage || outbound.effect !== 'write'))) continue
      if (!isPage || readsData(repository, outbound)) yield discovery(repository, outbound, use, isPage)
    }
  },
}

const NEAR_LINES = 12

/** A picture that does not load shows itself. */
function readsData(repository: Repository, { site: { file, call } }: Outbound): boolean {
  const lines = (repository.files.read(file) ?? '').split('\n')
  return /\.json\(/.test(lines.slice(call.line - 1, call.endLine + NEAR_LINES).join('\n'))
}

/** `raise_for_status=True` of aiohttp, hooks of httpx. */
function raisesByItself({ site, client }: Outbound): boolean {
  const calls = client === undefined ? [site.call] : [site.call, client.site.call]
  return calls.some(
    (call) =>
      optionOf(call, 'raise_for_status') !== undefined ||
      optionOf(call, 'event_hooks') !== undefined ||
      optionOf(call, 'throwOnError') !== undefined,
  )
}

const SEEN: Readonly<Record<Exclude<AnswerUse, 'checked'>, string>> = {
  used: 'The body of this answer is used whatever its status.',
  reported: 'The status is put into what is returned, and no caller looks at it.',
  dropped: 'The answer to this write is thrown away: a refusal goes unnoticed.',
}

function discovery(
  repository: Repository,
  { site, library }: Outbound,
  use: Exclude<AnswerUse, 'checked'>,
  isPage: boolean,
): Discovery {
  const facts = repository.facts.get(site.file)
  return {
    tier: use === 'dropped' || isPage ? 'review' : 'strong',
    evidence: [seenAt(site.file, site.call, SEEN[use])],
    cause: `status of ${library} in ${componentOf(repository, site.file)}`,
    symbol: facts === undefined ? '' : symbolOf(facts, site.call.block),
    symptom: 'A refusal of the far end (4xx, 5xx) passes for success, or its error page for data.',
    rootCause: `${library} does not throw on an error status, and nothing here looks at it.`,
  }
}
