// As many calls at once as a list has items: `Promise.all` over a list that grows with the data, or comes with the request. Strong where the list is a whole table.
//   BD13. Silent where a limiter stands around each call, where the list is cut or in pieces, and where what is done with each item does not leave the process.

import type { Call, Value } from '../../facts/facts.ts'
import type { IndexedFile, Program } from '../../program/index.ts'
import type { Repository } from '../../repository/repository.ts'
import { outboundOf } from '../../system/outbound.ts'
import { trafficOf } from '../../system/traffic.ts'
import { GUARANTEES } from '../guarantees.ts'
import { isPage } from '../places.ts'
import { callsOf, lastName, seenAt, symbolOf } from '../queries.ts'
import type { Discovery, Rule } from '../rule.ts'
import { isServed } from './served.ts'

const LIMITING = /limit|semaphore|pool|queue|throttle|bottleneck|chunk|batch|slice/i

export const unboundedConcurrency: Rule = {
  meta: {
    id: 'unbounded-concurrency',
    category: 'bounds',
    severity: 'medium',
    title: 'As many calls at once as a list has items',
    why: 'A long list becomes a burst that takes every connection there is and trips the limits of whoever is called. All of it fails together, and what else runs in the process waits for it.',
    remedies: [
      {
        priority: 'P2',
        text: 'Do a fixed number at a time, and bound the list that is taken in.',
        effort: 'S',
        guarantee: GUARANTEES.bulkhead,
      },
    ],
    sources: ['CWE-770: allocation of resources without limits or throttling', 'Nygard: Release It!, bulkheads'],
  },
  *run(repository: Repository): Iterable<Discovery> {
    const traffic = trafficOf(repository)
    const outbound = outboundOf(repository)
    const { program } = traffic
    for (const { facts, call } of callsOf(program, ALL)) {
      const file = program.file(facts.file)
      if (file === undefined || facts.language === 'python' || !isServed(facts.file) || isPage(file.facts)) continue
      if (!call.callee.text.startsWith('Promise.all')) continue
      const [list] = call.args
      const map = list?.kind === 'call' ? facts.calls[list.call] : undefined
      const each = map !== undefined && lastName(map.callee) === 'map' ? map.args[0] : undefined
      if (map === undefined || each?.kind !== 'function') continue
      const inside = facts.calls.filter(({ block }) => file.within(block, each.block))
      if (inside.some(({ callee }) => LIMITING.test(callee.text))) continue
      if (!inside.some((inner) => outbound.at({ file: facts.file, call: inner }) !== undefined)) continue
      const tier = sizeOf(program, traffic, file, map)
      if (tier === undefined) continue
      yield {
        tier,
        evidence: [seenAt(facts.file, call, `one call for each item of ${nameOf(map)}, all at once`)],
        cause: `calls at once in ${facts.file}`,
        symbol: symbolOf(facts, call.block),
        symptom:
          'When the list is long, calls fail together, and everything else that needs the same peer or pool fails with them.',
        rootCause: `Nothing bounds how many calls are made at once for ${nameOf(map)}.`,
      }
    }
  },
}

const ALL = ['all', 'allSettled']

function nameOf({ callee }: Call): string {
  return callee.text.slice(0, callee.text.lastIndexOf('.')) || 'a list'
}

/** strong: all rows of a table. review: it comes with the request. Undefined: it may well be short. */
function sizeOf(
  program: Program,
  traffic: { varies(file: string, block: number, value: Value): boolean },
  file: IndexedFile,
  map: Call,
): 'strong' | 'review' | undefined {
  const text = map.callee.text.slice(0, map.callee.text.lastIndexOf('.'))
  if (text === '' || LIMITING.test(text)) return undefined
  const path = { ...map.callee, text }
  const made = program.created(file.facts.file, path, map.block)
  if (made !== undefined && made.file === file.facts.file) {
    const name = lastName(made.call.callee)
    const isWhole =
      /^(?:findMany|findAll|find)$/.test(name) &&
      made.call.args.every((arg) => arg.kind === 'object' && arg.entries.length === 0 && !arg.hasSpread)
    const isCut = file.facts.calls.some(
      ({ on, callee }) => file.facts.calls[on] === made.call && /\.(?:limit|take)$/.test(callee.text),
    )
    if (isWhole && !isCut && made.call.callee.text.includes('.') && made.call.args.length <= 1)
      return /^(?:find)$/.test(name) ? 'review' : 'strong'
    return undefined
  }
  const isGiven = /(?:^|\.)(?:body|query|payload|input|dto)(?:\.|$)/.test(text)
  return isGiven && traffic.varies(file.facts.file, map.block, { kind: 'path', path }) ? 'review' : undefined
}
