// Servers whose program hears no SIGTERM: a rollout, a scale-down or a drained node cuts off every request that is under way.
// The line is that of the call that listens.
//   LF1. A signal that is heard anywhere in the program (what is imported, and what imports it), a library or framework that hears it, a server for a moment and a
//        tool that people start by hand are silent.

import { programOf } from '../../program/index.ts'
import { join } from '../../repository/paths.ts'
import type { Repository } from '../../repository/repository.ts'
import { GUARANTEES } from '../guarantees.ts'
import { isByHand } from '../places.ts'
import { seenAt, symbolOf } from '../queries.ts'
import type { Discovery, Rule } from '../rule.ts'
import { hearsTermination } from './programs.ts'
import { type Listening, listensOf } from './servers.ts'

/** Started by people, who end it with their keyboard. */
const TRIED_OUT = /(^|\/)(mocks?|playground|sandbox|contrib)\//i
const TRIED_OUT_NAME = /(^|[/._-])(dev|mock|debug|preview|proxy|stub|fake)[._-]?(server|proxy)?[\w-]*\.[cm]?[jt]s$/i

export const missingGracefulShutdown: Rule = {
  meta: {
    id: 'missing-graceful-shutdown',
    category: 'lifecycle',
    severity: 'medium',
    title: 'A server hears no SIGTERM',
    why: 'Every rollout, scale-down and drained node sends SIGTERM. A process that does not hear it dies in the middle of its requests; as the first process of a container it ignores the signal and is killed when the grace period is over.',
    remedies: [
      {
        priority: 'P1',
        text: 'On SIGTERM stop accepting, let what runs finish within a limit shorter than the grace period, close what it used, then exit.',
        effort: 'S',
        guarantee: GUARANTEES.drain,
      },
    ],
    sources: [
      'https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination',
      'https://12factor.net/disposability',
    ],
  },
  *run(repository: Repository): Iterable<Discovery> {
    const program = programOf(repository.facts)
    for (const facts of repository.facts.values()) {
      if (isByHand(facts.file) || TRIED_OUT.test(facts.file) || TRIED_OUT_NAME.test(facts.file)) continue
      const [listening] = [...listensOf(program, facts)]
      if (listening === undefined || isTool(repository, facts.file) || hearsTermination(repository, facts.file))
        continue
      yield discovery(repository, listening)
    }
  },
}

/** A package with a command of its own is run by whoever installed it. */
function isTool({ files }: Repository, file: string): boolean {
  let folder = file
  while (folder !== '') {
    folder = folder.includes('/') ? folder.slice(0, folder.lastIndexOf('/')) : ''
    const manifest = files.read(join(folder, 'package.json'))
    if (manifest !== undefined) return /"bin"\s*:/.test(manifest)
  }
  return false
}

function discovery(repository: Repository, { file, call, kind }: Listening): Discovery {
  const facts = repository.facts.get(file)
  const what =
    kind === 'nest'
      ? 'It listens, and the application never enables its shutdown hooks.'
      : 'It listens, and nothing of its program hears SIGTERM.'
  return {
    tier: 'strong',
    symbol: facts === undefined ? '' : symbolOf(facts, call.block),
    symptom:
      'With every rollout or scale-down the requests that are under way are cut off, and what they had begun stays half done.',
    rootCause: 'Nothing in the program handles SIGTERM.',
    evidence: [seenAt(file, { line: call.line, endLine: call.line }, what)],
  }
}
