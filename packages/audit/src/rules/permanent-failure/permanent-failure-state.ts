// States that a failure leads into and that nothing leads out of while the process lives: a flag that an error path sets and that refuses everything from then on, a
// breaker without a way to half-open, a strategy that stops reconnecting, work that is given up with nowhere to go, a loop
// in the background that ends.
//   JN3. A state is found only where an error sets it, something refuses by it, and no write back is reached outside of start-up; a write back by a loop that
//        waits, a callback, a clock, or a request keeps it silent.

import { programOf } from '../../program/index.ts'
import type { Repository } from '../../repository/repository.ts'
import { GUARANTEES } from '../guarantees.ts'
import { isByHand } from '../places.ts'
import type { Discovery, Rule } from '../rule.ts'
import { stuckBusy } from './busy.ts'
import { stuckEntities } from './entities.ts'
import { stuckFlags } from './flags.ts'
import { endedListeners } from './listeners.ts'
import { stuckModules } from './modules.ts'
import { endedStrategies } from './strategies.ts'

export const permanentFailureState: Rule = {
  meta: {
    id: 'permanent-failure-state',
    category: 'permanent failure',
    severity: 'high',
    title: 'A failure that the process never recovers from',
    why: 'What caused the failure heals within seconds, but the process has remembered it: it refuses or degrades until someone restarts it, and its health check seldom says so.',
    remedies: [
      {
        priority: 'P0',
        text: 'Give the state a way back that runs by itself: try again after a time that grows, with chance, for as long as the process lives.',
        effort: 'S',
        guarantee: GUARANTEES.breaker,
      },
    ],
    sources: ['Nygard, Release It!, 2nd edition, chapter 5: circuit breaker'],
  },
  *run({ facts }: Repository): Iterable<Discovery> {
    const program = programOf(facts)
    for (const path of program.files) {
      const file = program.file(path)
      if (file === undefined || isByHand(path)) continue
      yield* stuckFlags(program, path, file)
      yield* stuckBusy(program, path, file)
      yield* stuckEntities(program, path, file)
      yield* endedStrategies(program, path, file)
      yield* stuckModules(path, file)
      yield* endedListeners(program, path, file)
    }
  },
}
