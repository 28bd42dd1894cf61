// Signatures that are compared character by character: how long it takes says how much of it was right.
//   SU10. Only what is compared with a digest that is made in the same file counts, and it is for review: over a network the difference is small.

import type { FileFacts, Value } from '../../facts/facts.ts'
import type { Repository } from '../../repository/repository.ts'
import { lastName, seenAt, symbolOf } from '../queries.ts'
import type { Discovery, Rule } from '../rule.ts'
import { isAside } from './places.ts'

export const timingUnsafeComparison: Rule = {
  meta: {
    id: 'timing-unsafe-comparison',
    category: 'security',
    severity: 'low',
    title: 'A signature is compared character by character',
    why: 'The comparison ends at the first difference. Whoever can measure that finds a valid signature one character after the other.',
    remedies: [
      {
        priority: 'P2',
        text: 'Compare with crypto.timingSafeEqual or hmac.compare_digest, after comparing lengths.',
        effort: 'XS',
      },
    ],
    sources: ['https://cwe.mitre.org/data/definitions/208.html'],
  },
  *run(repository: Repository): Iterable<Discovery> {
    for (const facts of repository.facts.values()) {
      if (isAside(facts.file)) continue
      const keyed = facts.calls.filter(({ callee }) => /(^|\.)createHmac$|^hmac\.new$/.test(callee.text))
      if (keyed.length === 0) continue
      const digests = digestsOf(facts)
      const places = [
        ...facts.blocks.map(({ test, line, parent }) => ({ value: test, line, block: parent })),
        ...facts.exits.map(({ value, line, block }) => ({ value, line, block })),
      ]
      for (const { value, line, block } of places) {
        if (value === undefined || !isCompared(facts, digests, value)) continue
        const what = 'A signature is compared with an operator that stops at the first difference.'
        yield {
          tier: 'review',
          cause: `comparisons of ${facts.file}`,
          symbol: symbolOf(facts, block),
          symptom: 'Whoever measures answers long enough can make a signature that is accepted.',
          rootCause: what,
          evidence: [seenAt(facts.file, { line, endLine: line }, what)],
        }
      }
    }
  },
}

/** Names that a digest is kept in. */
function digestsOf({ assignments, calls }: FileFacts): ReadonlySet<string> {
  const found = new Set<string>()
  for (const { target, value } of assignments) {
    const call = value.kind === 'call' ? calls[value.call] : undefined
    if (call !== undefined && /^(digest|hexdigest)$/.test(lastName(call.callee))) found.add(target.text)
  }
  return found
}

function isCompared(facts: FileFacts, digests: ReadonlySet<string>, value: Value): boolean {
  if (value.kind === 'not') return isCompared(facts, digests, value.value)
  if (value.kind !== 'operation') return false
  const { operator, left, right } = value
  if (!/^[!=]==?$/.test(operator)) return isCompared(facts, digests, left) || isCompared(facts, digests, right)
  const isDigest = (each: Value): boolean =>
    each.kind === 'path'
      ? digests.has(each.path.text)
      : each.kind === 'template'
        ? each.values.some(isDigest)
        : each.kind === 'call' &&
          /^(digest|hexdigest)$/.test(lastName(facts.calls[each.call]?.callee ?? { text: '', isOwn: false, root: '' }))
  const isGiven = (each: Value): boolean =>
    each.kind === 'path' && /sig|hmac|hash|digest|header|token/i.test(each.path.text)
  return (isDigest(left) && isGiven(right)) || (isGiven(left) && isDigest(right))
}
