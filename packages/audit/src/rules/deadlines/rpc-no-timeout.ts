// Remote procedure calls without a deadline: gRPC, and messages of Nest that wait for their answer. These libraries have no default at all.
//   DN3. A deadline in the call's options, a `timeout` that its stream is piped through, or one around it keeps it silent.

import { type IndexedFile, programOf } from '../../program/index.ts'
import type { Repository } from '../../repository/repository.ts'
import { type Outbound, outboundOf } from '../../system/outbound.ts'
import { GUARANTEES } from '../guarantees.ts'
import { seenAt, symbolOf } from '../queries.ts'
import type { Discovery, Rule } from '../rule.ts'
import { unlimitedAnswers } from './correlated.ts'
import { componentOf, isByHandFile } from './surroundings.ts'

const LIBRARIES = new Set(['@grpc/grpc-js', 'grpcio', '@nestjs/microservices'])

export const rpcNoTimeout: Rule = {
  meta: {
    id: 'rpc-no-timeout',
    category: 'deadlines and retries',
    severity: 'high',
    title: 'A remote procedure is called without a deadline',
    why: 'Without a deadline a call waits for as long as the server, or the network between, takes: for ever if it is gone. The server works on for a caller that has left.',
    remedies: [
      {
        priority: 'P1',
        text: 'Give each call a deadline that is derived from the one of the request it serves: { deadline } in JavaScript, timeout= in Python, .pipe(timeout(ms)) in Nest.',
        effort: 'S',
        guarantee: GUARANTEES.deadline,
      },
    ],
    sources: [
      'https://grpc.io/docs/guides/deadlines/',
      'CWE-1088: synchronous access of remote resource without timeout',
    ],
  },
  *run(repository: Repository): Iterable<Discovery> {
    for (const outbound of outboundOf(repository).calls) {
      const facts = repository.facts.get(outbound.site.file)
      if (facts === undefined || !LIBRARIES.has(outbound.library) || outbound.deadline.state !== 'absent') continue
      // It is sent when somebody subscribes.
      const isNeverSent = outbound.library === '@nestjs/microservices' && outbound.site.call.use === 'dropped'
      if (isNeverSent || isByHandFile(repository, facts)) continue
      yield discovery(repository, outbound)
    }
    const program = programOf(repository.facts)
    for (const path of program.files) {
      const file = program.file(path)
      if (file === undefined || isByHandFile(repository, file.facts)) continue
      for (const place of unlimitedAnswers(file)) yield unanswered(repository, file, place)
    }
  },
}

function unanswered(
  repository: Repository,
  { facts }: IndexedFile,
  place: { readonly line: number; readonly endLine: number; readonly block: number },
): Discovery {
  return {
    tier: 'strong',
    evidence: [seenAt(facts.file, place, 'The answer to a message is waited for without a limit.')],
    cause: `answers without a deadline in ${componentOf(repository, facts.file)}`,
    symbol: symbolOf(facts, place.block),
    symptom: 'When no answer comes (nobody consumes, or the message was dropped), whoever asked waits for ever.',
    rootCause: 'The wait ends only with the answer, and what is kept under its id is never taken away.',
  }
}

function discovery(repository: Repository, { site, library, deadline }: Outbound): Discovery {
  const { call, file } = site
  const facts = repository.facts.get(file)
  const procedure = call.callee.text.slice(call.callee.text.lastIndexOf('.') + 1)
  return {
    tier: 'strong',
    evidence: [
      {
        ...seenAt(file, call, `${procedure} is called without a deadline.`),
        ...(deadline.state === 'absent' ? { source: deadline.source } : {}),
      },
    ],
    cause: `${library} without a deadline in ${componentOf(repository, file)}`,
    symbol: facts === undefined ? '' : symbolOf(facts, call.block),
    symptom: `When the server of ${procedure} hangs, whoever waits for this call hangs with it.`,
    rootCause: `${library} has no default deadline, and the call sets none.`,
  }
}
