// Health that is told in the body only: the answer says "unhealthy" with status 200, which is what probes and load balancers look at.
//   HH4. A route is found only where its own handler can say that something is wrong and nothing in it can give another status.

import type { Place, Value } from '../../facts/facts.ts'
import type { Repository } from '../../repository/repository.ts'
import { GUARANTEES } from '../guarantees.ts'
import { seenAt } from '../queries.ts'
import type { Discovery, Rule } from '../rule.ts'
import { type HealthRoute, healthRoutesOf, isMain, probed, probeOf, saysNo } from './health.ts'

const ILL = /^(?:unhealthy|not[ _-]?healthy|down|error|fail(?:ed|ing)?|not[ _-]?ready|critical|unavailable|red)$/i

export const healthStatus200: Rule = {
  meta: {
    id: 'health-status-200',
    category: 'guards',
    severity: 'medium',
    title: 'Unhealthy is answered with 200',
    why: 'Probes and load balancers look at the status only. For them the component is well, however ill its body says that it is.',
    remedies: [
      {
        priority: 'P1',
        text: 'Answer 503 when a dependency that requests can not do without is down; keep 200 for what only makes things worse.',
        effort: 'XS',
        guarantee: GUARANTEES.health,
      },
    ],
    sources: ['RFC 9110, section 15.6.4: 503 Service Unavailable', 'Kubernetes: HTTP probes succeed from 200 to 399'],
  },
  *run(repository: Repository): Iterable<Discovery> {
    for (const route of healthRoutesOf(repository)) {
      const found = discovery(repository, route)
      if (found !== undefined) yield found
    }
  },
}

/** HH4. */
function discovery(repository: Repository, route: HealthRoute): Discovery | undefined {
  const { contents, path, entry, address } = route
  const { calls, exits, assignments } = contents
  if (calls.some(saysNo) || exits.some(({ kind }) => kind === 'throw')) return undefined
  const isDecidedElsewhere = calls.some(({ callee }) =>
    /(?:^|\.)(?:check|health(?:Check)?(?:Service)?\.\w+|run_?checks?|(?:perform|check|get|run)_?\w*health\w*)$/i.test(
      callee.text,
    ),
  )
  if (isDecidedElsewhere || assignments.some(({ target }) => /status_?code$/i.test(target.text))) return undefined
  const answer = answerOf(contents)
  const ill = answer === undefined ? undefined : illnessOf(contents)
  if (answer === undefined || ill === undefined) return undefined
  const probe = probeOf(repository, route)
  return {
    tier: ill.isWhole && (isMain(route) || probe !== undefined) ? 'strong' : 'review',
    evidence: [
      seenAt(path, answer, 'answered with 200'),
      seenAt(path, ill.place, 'here it is found to be ill'),
      ...probed(probe),
    ],
    symbol: entry.name,
    symptom: `${address} answers 200 while its body says that something is wrong: probes and load balancers go on sending traffic.`,
    rootCause: `The handler of ${entry.name} never gives another status.`,
  }
}

/** Where it is said that something is wrong: with the whole, or with a part of it only. */
function illnessOf({
  assignments,
  exits,
  calls,
}: HealthRoute['contents']): { readonly place: Place; readonly isWhole: boolean } | undefined {
  const answers = calls.filter(({ callee }) => /(?:^|\.)(?:json|send|jsonify|\w*Response)$/.test(callee.text))
  const said = [
    ...exits.flatMap((each) => (each.value !== undefined && saysIll(each.value) ? [each] : [])),
    ...answers.filter(({ args, named }) => args.some(saysIll) || named.some(([, value]) => saysIll(value))),
  ]
  const written = assignments.filter(({ value }) => saysIll(value))
  const whole = [...said, ...written.filter(({ target }) => !/\[\]|\./.test(target.text))][0]
  if (whole !== undefined) return { place: whole, isWhole: true }
  return written[0] === undefined ? undefined : { place: written[0], isWhole: false }
}

/** The last answer of the handler. */
function answerOf({ calls, exits }: HealthRoute['contents']): Place | undefined {
  const sent = calls.findLast(
    ({ callee }) => /(?:^|\.)(?:json|send|end|text)$/.test(callee.text) && callee.text.includes('.'),
  )
  return sent ?? exits.findLast(({ kind, value }) => kind === 'return' && value !== undefined && value.kind !== 'null')
}

function saysIll(value: Value): boolean {
  switch (value.kind) {
    case 'string':
      return ILL.test(value.value)
    case 'object':
      return value.entries.some(([key, inner]) => /status|health|state|ready/i.test(key) && saysIll(inner))
    case 'operation':
      return value.operator === '?:' && (saysIll(value.left) || saysIll(value.right))
    default:
      return false
  }
}
