// HTTP calls that wait for ever. Silent: whatever sets, bounds or may set a deadline, at the call, its client, its process; libraries with a default that
// people can wait for; scripts started by hand; code of pages.
//   DN1. Calls of one library in one component are one finding with all their places.
//   DN2. A deadline that is switched off on purpose (here, or by the library's maker), or that the library ends after minutes, is for review.
//   QN2. What a library does by itself was measured: clients that end by themselves are silent, the others are found wherever they were made.

import type { Repository } from '../../repository/repository.ts'
import { type Outbound, outboundOf } from '../../system/outbound.ts'
import { GUARANTEES } from '../guarantees.ts'
import { seenAt, symbolOf } from '../queries.ts'
import type { Discovery, Rule } from '../rule.ts'
import { BOUNDED_BY_MINUTES, componentOf, isByHandFile, isLocal, isOfPage, mayBePage } from './surroundings.ts'

export const httpNoTimeout: Rule = {
  meta: {
    id: 'http-no-timeout',
    category: 'deadlines and retries',
    severity: 'high',
    title: 'An HTTP call waits for its answer without a deadline',
    why: 'A peer that accepts the connection and then says nothing holds the caller for minutes or for ever. Callers of the caller pile up behind it until sockets, memory or workers run out: one slow service takes the next one down.',
    remedies: [
      {
        priority: 'P1',
        text: 'Give every call a deadline that is shorter than the one its own caller has: AbortSignal.timeout(ms) for fetch, timeout for axios, got and requests; best where the client is made.',
        effort: 'S',
        guarantee: GUARANTEES.deadline,
      },
    ],
    sources: [
      'CWE-400: uncontrolled resource consumption',
      'CWE-1088: synchronous access of remote resource without timeout',
      'https://sre.google/sre-book/addressing-cascading-failures/#xref_cascading-failure_deadlines',
    ],
  },
  *run(repository: Repository): Iterable<Discovery> {
    for (const outbound of outboundOf(repository).calls) {
      const facts = repository.facts.get(outbound.site.file)
      if (facts === undefined || outbound.kind !== 'http' || outbound.deadline.state !== 'absent') continue
      if (
        isByHandFile(repository, facts) ||
        mayBePage(repository, facts) ||
        isOfPage(outbound) ||
        isLocal(outbound.target)
      )
        continue
      yield discovery(repository, outbound)
    }
  },
}

/** DN2. */
function tierOf({ knowledge, deadline }: Outbound): 'strong' | 'review' {
  const isOff = deadline.state === 'absent' && deadline.why.startsWith('it is switched off')
  return isOff || BOUNDED_BY_MINUTES.has(knowledge.name) || knowledge.answer.until !== undefined ? 'review' : 'strong'
}

function discovery(repository: Repository, outbound: Outbound): Discovery {
  const { site, library, deadline, target } = outbound
  const facts = repository.facts.get(site.file)
  const component = componentOf(repository, site.file)
  const why = deadline.state === 'absent' ? deadline.why : ''
  const peer = target === undefined ? 'its peer' : target
  return {
    tier: tierOf(outbound),
    evidence: [
      {
        ...seenAt(site.file, site.call, `${library} is called without a deadline: ${why}`),
        ...(deadline.state === 'absent' ? { source: deadline.source } : {}),
      },
    ],
    cause: `${library} without a deadline in ${component}`,
    symbol: facts === undefined ? '' : symbolOf(facts, site.call.block),
    symptom: `When ${peer} accepts and does not answer, every request that comes through here hangs with it, and nothing is logged.`,
    rootCause: `No deadline is set at the call or where its client is made, and ${why}.`,
  }
}
