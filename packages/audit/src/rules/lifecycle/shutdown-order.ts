// Shutdowns that take away what is still needed: a store is closed before the server or the worker that uses it.
// The line is that of the store that is closed too early.
//   LF3. Only what is closed in one straight line of one function counts. A server after its store, and what was given the store when it was made, are strong;
//        workers that are only told to be so by their name are for review.

import type { Value } from '../../facts/facts.ts'
import { type IndexedFile, type Program, programOf } from '../../program/index.ts'
import type { Repository } from '../../repository/repository.ts'
import { GUARANTEES } from '../guarantees.ts'
import { lastName, seenAt, symbolOf } from '../queries.ts'
import type { Discovery, Rule } from '../rule.ts'
import { type Closing, closingFunctions, closingsOf, comesAfter } from './closings.ts'

export const shutdownOrder: Rule = {
  meta: {
    id: 'shutdown-order',
    category: 'lifecycle',
    severity: 'medium',
    title: 'A shutdown closes what is still needed',
    why: 'What runs until the end finds its database or cache gone: the last requests and jobs of every rollout fail, or lose what they had done.',
    remedies: [
      {
        priority: 'P2',
        text: 'Close in the reverse order of start: first what takes work in, then what works, then what both use.',
        effort: 'XS',
        guarantee: GUARANTEES.drain,
      },
    ],
    sources: ['https://12factor.net/disposability'],
  },
  *run(repository: Repository): Iterable<Discovery> {
    const program = programOf(repository.facts)
    for (const path of program.files) {
      const file = program.file(path)
      if (file === undefined) continue
      for (const fn of closingFunctions(file)) {
        const closings = closingsOf(program, path, file, fn)
        const found = closings.length < 2 ? undefined : firstWrong(program, path, file, closings)
        if (found !== undefined) yield discovery(path, file, ...found)
      }
    }
  },
}

type Wrong = readonly [store: Closing, user: Closing, tier: 'strong' | 'review']

function firstWrong(
  program: Program,
  path: string,
  file: IndexedFile,
  closings: readonly Closing[],
): Wrong | undefined {
  for (const store of closings.filter(({ closes }) => closes === 'store'))
    for (const user of closings) {
      if (user.closes === 'store' || !comesAfter(file, store.call, user.call)) continue
      // Closed before too: this is only the second time.
      const before = closings.filter(({ call }) => call.line < store.call.line)
      if (before.some(({ name }) => name === user.name)) continue
      // What drains one server often drains the one below it.
      if (user.closes === 'server' && before.some(({ closes }) => closes === 'server')) continue
      const isGiven = isMadeWith(program, path, file, user, store)
      return [store, user, user.closes === 'server' || isGiven ? 'strong' : 'review']
    }
  return undefined
}

function isMadeWith(program: Program, path: string, { facts }: IndexedFile, user: Closing, store: Closing): boolean {
  const { callee, block } = user.call
  const name = callee.text.slice(0, callee.text.lastIndexOf('.'))
  const made = program.created(path, { ...callee, text: name }, block)
  const holds = (value: Value): boolean =>
    value.kind === 'path'
      ? value.path.text === store.name
      : value.kind === 'object' && value.entries.some(([, inner]) => holds(inner))
  return made !== undefined && made.file === facts.file && made.call.args.some(holds)
}

function discovery(path: string, file: IndexedFile, store: Closing, user: Closing, tier: Wrong[2]): Discovery {
  return {
    tier,
    symbol: symbolOf(file.facts, store.call.block),
    symptom: `While it stops, ${user.name} works on without ${store.name}: its last requests or jobs fail.`,
    rootCause: `${store.name} is closed before ${user.name}.`,
    evidence: [
      seenAt(path, store.call, `${store.name} is gone from here on.`),
      seenAt(path, user.call, `${user.name} still works until here (${lastName(user.call.callee)}).`),
    ],
  }
}
