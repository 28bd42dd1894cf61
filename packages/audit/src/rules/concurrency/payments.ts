// Payments without an idempotency key, where they are made again by a retry or a second delivery.

import type { Call } from '../../facts/facts.ts'
import type { IndexedFile, Program } from '../../program/index.ts'
import type { Repository } from '../../repository/repository.ts'
import { seenAt, symbolOf } from '../queries.ts'
import type { Discovery } from '../rule.ts'
import { runsAlone } from './places.ts'
import { reachedOf, reachKey } from './reach.ts'

const PAYS =
  /(?:^|\.)(?:paymentIntents|charges|refunds|transfers|payouts|PaymentIntent|Charge|Refund|Transfer|Payout|paymentLinks|invoiceItems)\.create$/
const RETRIES = /^(?:\w*retry\w*|with_?retries|backOff|attempt|tenacity|\w*backoff\w*)$/i

export function* keylessPayments(repository: Repository, program: Program): Iterable<Discovery> {
  for (const path of program.files) {
    const file = program.file(path)
    if (file === undefined || runsAlone(path)) continue
    for (const call of file.facts.calls) {
      if (!PAYS.test(call.callee.text) || hasKey(call)) continue
      const again = againBy(repository, file, call)
      if (again === undefined) continue
      yield {
        tier: 'strong',
        severity: 'critical',
        symbol: symbolOf(file.facts, call.block),
        symptom: `When ${again}, the customer pays, or is paid, a second time.`,
        rootCause: 'The call has no idempotency key, so the other side cannot tell the second one from a new one.',
        evidence: [seenAt(path, call, 'made without a key')],
      }
    }
  }
}

function hasKey({ args, named, hasSpread }: Call): boolean {
  const isKey = (name: string): boolean => /idempotency/i.test(name)
  return (
    hasSpread ||
    named.some(([name]) => isKey(name)) ||
    (args.length > 1 &&
      args.slice(1).some((arg) => arg.kind !== 'object' || arg.hasSpread || arg.entries.some(([name]) => isKey(name))))
  )
}

function againBy(repository: Repository, file: IndexedFile, { block }: Call): string | undefined {
  const { blocks, calls } = file.facts
  for (let at = block; at >= 0; at = blocks[at]?.parent ?? -1) {
    const each = blocks[at]
    if (each?.kind !== 'function') continue
    if (each.fn?.decorators.some(({ callee }) => RETRIES.test(callee.text.split('.').at(-1) ?? '')))
      return 'an attempt is made again'
    const wrapped = calls.some(
      ({ callee, args }) =>
        RETRIES.test(callee.text.split('.').at(-1) ?? '') &&
        args.some((arg) => arg.kind === 'function' && arg.block === at),
    )
    if (wrapped) return 'an attempt is made again'
    const reached = reachedOf(repository).get(reachKey({ file: file.facts.file, block: at }))
    if (reached?.entry.kind === 'consumer') return 'its message is delivered again'
  }
  return undefined
}
