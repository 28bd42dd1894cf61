// Listeners that are added to something that lives on, for every request or connection, and never taken away.
//   BD10. Found where what is listened to is a module's own, or imported, or the process, and the function that adds runs by traffic; silent where the file takes listeners
//         off it, where it is made in the same function, and with `once`.

import type { Call, FileFacts } from '../../facts/facts.ts'
import type { IndexedFile } from '../../program/index.ts'
import type { Repository } from '../../repository/repository.ts'
import { trafficOf } from '../../system/traffic.ts'
import { isPage } from '../places.ts'
import { callsOf, lastName, seenAt, symbolOf } from '../queries.ts'
import type { Discovery, Rule } from '../rule.ts'
import { isServed } from './served.ts'

const ADDING = ['on', 'addListener', 'addEventListener', 'prependListener']
const TAKING = /^(?:off|removeListener|removeEventListener|removeAllListeners)$/
/** What is configured with `on`, or gives a new thing each time. */
const NOT_EMITTERS = /^(?:app|router|server|api|sequelize|knex|i18n|\$|jQuery|d3|z|yargs|program|cy|page)$/i

export const listenerLeak: Rule = {
  meta: {
    id: 'listener-leak',
    category: 'bounds',
    severity: 'medium',
    title: 'Every request adds a listener that is never taken away',
    why: 'The emitter keeps every listener, and what the listener can see, for as long as it lives itself. Memory grows, and each event runs all of them: it also gets slower with every request.',
    remedies: [
      {
        priority: 'P2',
        text: 'Take the listener away when the request or connection ends, use `once`, or listen one time at start-up.',
        effort: 'XS',
      },
    ],
    sources: [
      'CWE-401: missing release of memory after effective lifetime',
      'Node.js documentation: events, MaxListenersExceededWarning',
    ],
  },
  *run(repository: Repository): Iterable<Discovery> {
    const traffic = trafficOf(repository)
    for (const { facts, call } of callsOf(traffic.program, ADDING)) {
      const { callee, args, block } = call
      if (!callee.text.includes('.') || args.length < 2 || !livesOn(call)) continue
      const file = facts.language === 'python' ? undefined : traffic.program.file(facts.file)
      if (file === undefined || isPage(facts) || !isServed(facts.file)) continue
      const fn = file.functionOf(block)
      const ref = { file: facts.file, block: fn }
      if (fn === -1 || !traffic.runs(ref, 'traffic') || traffic.runs(ref, 'startup')) continue
      if (isTakenOff(facts, call) || isMadeHere(file, call, fn)) continue
      const name = receiverOf(call)
      yield {
        tier: 'strong',
        evidence: [seenAt(facts.file, call, `a listener of ${name} for every request or connection`)],
        symbol: symbolOf(facts, block),
        symptom: `Memory grows with every request, and each event of ${name} runs one more listener.`,
        rootCause: `${name} outlives the request, and nothing in this file takes its listeners off.`,
      }
    }
  },
}

function receiverOf({ callee }: Call): string {
  return callee.text.slice(0, callee.text.lastIndexOf('.'))
}

function livesOn({ callee }: Call): boolean {
  const receiver = callee.text.slice(0, callee.text.lastIndexOf('.'))
  if (
    callee.isOwn ||
    receiver.includes('()') ||
    receiver.includes('[]') ||
    NOT_EMITTERS.test(receiver.split('.', 1)[0] ?? '')
  )
    return false
  if (receiver === 'process') return callee.root === 'global'
  // Of a library only an instance could be an emitter; of a file of the repository what it exports may be one.
  return callee.root === 'module' || callee.root.startsWith('import:.') || callee.root.startsWith('import:@/')
}

function isTakenOff({ calls }: FileFacts, call: Call): boolean {
  const receiver = receiverOf(call)
  return calls.some(({ callee }) => TAKING.test(lastName(callee)) && callee.text.startsWith(`${receiver}.`))
}

/** A new one each time, or one that was set up just now. */
function isMadeHere(file: IndexedFile, call: Call, fn: number): boolean {
  const receiver = receiverOf(call)
  return file.facts.assignments.some(({ target, block }) => target.text === receiver && file.functionOf(block) === fn)
}
