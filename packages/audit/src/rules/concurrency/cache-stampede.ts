// Caches that everybody fills at once: when a key runs out all who ask for it miss, and all of them compute it.
//   CU20. Found, for review, where a route leads to a key of Redis that is read, and on a miss filled with the answer of a call that leaves the process, with nothing
//         that lets one do it for all.

import { type IndexedFile, type Program, programOf } from '../../program/index.ts'
import type { Repository } from '../../repository/repository.ts'
import { outboundOf } from '../../system/outbound.ts'
import { seenAt, symbolOf } from '../queries.ts'
import type { Discovery, Rule } from '../rule.ts'
import { bodiesOf, bodyOf, controlsOf, derived, holds, isFrom, knownOf } from './flow.ts'
import { isGuarded } from './guarded.ts'
import { runsAlone } from './places.ts'
import { reachedOf, reachKey } from './reach.ts'
import { ownUses } from './uses.ts'

const DEAR = new Set(['http', 'grpc'])

export const cacheStampede: Rule = {
  meta: {
    id: 'cache-stampede',
    category: 'concurrency',
    severity: 'low',
    title: 'When a key runs out, everybody computes it',
    why: 'Under load the moment at which a popular key expires sends every request to what the cache was to protect, all at once.',
    remedies: [
      {
        priority: 'P3',
        text: 'Let one compute and the others wait for it or take the old value, and spread times to live by chance.',
        effort: 'S',
      },
    ],
    sources: ['Vattani et al., Optimal Probabilistic Cache Stampede Prevention, VLDB 2015'],
  },
  *run(repository: Repository): Iterable<Discovery> {
    const program = programOf(repository.facts)
    for (const path of program.files) {
      const file = program.file(path)
      if (file === undefined || runsAlone(path)) continue
      for (const fn of bodiesOf(file).keys()) yield* filledByAll(repository, program, file, fn)
    }
  },
}

/** CU20. */
function* filledByAll(repository: Repository, program: Program, file: IndexedFile, fn: number): Iterable<Discovery> {
  const { facts } = file
  const { keys } = ownUses(program, file, fn)
  if (keys.length < 2 || keys.some(({ op }) => op === 'claim' || op === 'script')) return
  for (const write of keys) {
    const call = facts.calls[write.call]
    const read = keys.find(({ op, key, call: at }) => op === 'read' && key === write.key && at < write.call)
    if (write.op !== 'write' || !write.expires || read === undefined || call === undefined) continue
    const is = isFrom(read.call, derived(file, fn, read.call))
    const isMissed = knownOf(file, controlsOf(file, fn, call.block, call.line), is).some(
      ({ standing, control: { exit } }) =>
        standing === 'absent' && (exit === undefined || holds(facts, exit.value, is)),
    )
    if (!isMissed || !reachedOf(repository).has(reachKey({ file: facts.file, block: fn }))) continue
    const computed = bodyOf(file, fn).calls.find((index) => {
      const between = facts.calls[index]
      const outbound =
        index > read.call && index < write.call && between !== undefined
          ? outboundOf(repository).at({ file: facts.file, call: between })
          : undefined
      return outbound !== undefined && DEAR.has(outbound.kind)
    })
    const dear = computed === undefined ? undefined : facts.calls[computed]
    if (dear === undefined || isGuarded(program, repository.files, file, fn)) continue
    yield {
      tier: 'review',
      cause: 'caches that everybody fills',
      symbol: symbolOf(facts, fn),
      symptom: 'When the key runs out under load, every request that misses makes the same call at once.',
      rootCause: 'Who misses computes the value, and nothing lets one do it for the others.',
      evidence: [seenAt(facts.file, dear, 'made by everyone who misses'), seenAt(facts.file, call, 'and kept here')],
    }
  }
}
