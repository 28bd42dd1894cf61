// KEYS on Redis: it walks over every key of the server in one go, and nobody else is served meanwhile.
//   CU8. KEYS on what is a client of Redis is found; keys of objects and dicts, and SCAN, are not.

import type { Call } from '../../facts/facts.ts'
import { programOf } from '../../program/index.ts'
import type { Repository } from '../../repository/repository.ts'
import { callsOf, lastName, seenAt, symbolOf } from '../queries.ts'
import type { Discovery, Rule } from '../rule.ts'
import { runsAlone } from './places.ts'
import { redisClient } from './redis.ts'

export const redisKeysBlocking: Rule = {
  meta: {
    id: 'redis-keys-blocking',
    category: 'concurrency',
    severity: 'medium',
    title: 'KEYS stops Redis for everybody',
    why: 'Redis serves one command at a time, and KEYS looks at every key that there is. With a million keys all other clients wait for hundreds of milliseconds, each time that it is called.',
    remedies: [
      {
        priority: 'P2',
        text: 'Walk with SCAN in steps, or keep a set of the keys that belong together and ask that.',
        effort: 'S',
      },
    ],
    sources: ['https://redis.io/docs/latest/commands/keys/'],
  },
  *run({ facts }: Repository): Iterable<Discovery> {
    const program = programOf(facts)
    for (const { file: path, call } of callsOf(program, ASKS)) {
      const file = program.file(path)
      if (file === undefined || runsAlone(path) || !asksForKeys(call)) continue
      const client = redisClient(program, file, call)
      if (client === undefined && !isPattern(call)) continue
      yield {
        tier: client === undefined ? 'review' : 'strong',
        cause: `KEYS in ${path}`,
        symbol: symbolOf(file.facts, call.block),
        symptom: 'While it runs every other client of this Redis waits, longer with every key that is added.',
        rootCause: 'All keys of the server are walked over in one command.',
        evidence: [seenAt(path, call, 'KEYS')],
      }
    }
  },
}

const ASKS = ['keys', 'KEYS', 'keysAsync']

function asksForKeys({ callee, args, named, isNew }: Call): boolean {
  return !isNew && callee.text.includes('.') && (args.length > 0 || named.some(([name]) => name === 'pattern'))
}

/** `client.keys('session:*')`: whatever the client is called. */
function isPattern({ args, callee }: Call): boolean {
  const [first] = args
  const text = first?.kind === 'string' ? first.value : first?.kind === 'template' ? first.parts.join('') : ''
  return (
    args.length === 1 &&
    text.includes('*') &&
    !/^(?:Object|_|lodash|R|cache|caches)\./.test(callee.text) &&
    /client|cache|store|kv|conn/i.test(lastName({ ...callee, text: callee.text.slice(0, -5) }))
  )
}
