// Locks that outlive their holder, or that anybody can take away.
//   CU14. A key of Redis that is set as a lock without a time to live is found: with SETNX, with SET … NX without EX or PX, with a lock of redis-py without
//         timeout; SETNX with an EXPIRE afterwards can be cut in two by a crash, and is found too.
//   CU15. A lock that was taken with a token, and is deleted without a look at it, is found: it may be someone else's by then.

import type { Call, Value } from '../../facts/facts.ts'
import { type IndexedFile, type Program, programOf } from '../../program/index.ts'
import type { Repository } from '../../repository/repository.ts'
import { lastName, optionOf, seenAt, symbolOf } from '../queries.ts'
import type { Discovery, Rule } from '../rule.ts'
import { bodiesOf, holds } from './flow.ts'
import { isFresh, keyOf } from './keys.ts'
import { runsAlone } from './places.ts'
import { type RedisUse, redisClient } from './redis.ts'
import { ownUses } from './uses.ts'

const LOCK = /lock|mutex|lease|leader|semaphore|exclusive|in[_-]?progress|running/i

export const lockNoExpiry: Rule = {
  meta: {
    id: 'lock-no-expiry',
    category: 'concurrency',
    severity: 'high',
    title: 'A lock that can stay for ever, or be taken away',
    why: 'When its holder dies between taking and releasing it, nobody ever gets a lock without a time to live: the work stops until someone deletes the key by hand. A lock that is deleted without a look at whose it is lets two in at once.',
    remedies: [
      {
        priority: 'P1',
        text: "Take it in one step with SET key token NX PX ms, longer than the work takes, and release it in a script that deletes it only where the token is one's own.",
        effort: 'S',
      },
    ],
    sources: ['https://redis.io/docs/latest/commands/set/#patterns', 'CWE-667: improper locking'],
  },
  *run(repository: Repository): Iterable<Discovery> {
    const program = programOf(repository.facts)
    for (const path of program.files) {
      const file = program.file(path)
      if (file === undefined || runsAlone(path)) continue
      for (const fn of bodiesOf(file).keys()) {
        const { keys } = ownUses(program, file, fn)
        if (keys.length > 0) yield* locksOf(file, fn, keys)
      }
      yield* pythonLocks(program, file)
    }
  },
}

/** CU14, CU15. */
function* locksOf(file: IndexedFile, fn: number, keys: readonly RedisUse[]): Iterable<Discovery> {
  const { facts } = file
  for (const claim of keys) {
    const call = facts.calls[claim.call]
    if (claim.op !== 'claim' || call === undefined || optionOf(call, 'xx') !== undefined) continue
    const isLock = LOCK.test(claim.key) || LOCK.test(symbolOf(facts, fn)) || LOCK.test(call.target?.text ?? '')
    if (!isLock || call.hasSpread || call.args.some((arg) => arg.kind === 'object' && arg.hasSpread)) continue
    const expiry = keys.find(({ op, key, call: at }) => op === 'expire' && key === claim.key && at > claim.call)
    if (!claim.expires && !isHidden(call))
      yield found(file, fn, call, {
        symptom:
          'After its holder died the lock stays, and the work that it guards is never done again until the key is deleted by hand.',
        rootCause:
          expiry === undefined
            ? 'The lock is set without a time to live.'
            : 'The lock is set first and given its time to live in a second command: whoever dies in between leaves it for ever.',
      })
    const release = keys.find(({ op, key, call: at }) => op === 'delete' && key === claim.key && at > claim.call)
    const token = call.args[1]
    if (release === undefined || !isToken(file, fn, token) || keys.some(({ op }) => op === 'read' || op === 'script'))
      continue
    yield found(file, fn, facts.calls[release.call] as Call, {
      symptom: 'A holder whose lock has run out deletes that of the next one, and two work at once.',
      rootCause: 'The lock is deleted without a look at the token that it was taken with.',
    })
  }
}

/** Options that are not seen: a name, something made elsewhere. */
function isHidden({ args }: Call): boolean {
  return args.slice(2).some((arg) => arg.kind === 'path' || arg.kind === 'call')
}

function isToken(file: IndexedFile, fn: number, value: Value | undefined): boolean {
  return value !== undefined && isFresh(keyOf(file, fn, value))
}

/** `redis.lock('name')` of redis-py lives for ever without `timeout`. */
function* pythonLocks(program: Program, file: IndexedFile): Iterable<Discovery> {
  const { facts } = file
  if (facts.language !== 'python') return
  for (const call of facts.calls) {
    if (lastName(call.callee) !== 'lock' || call.args.length === 0 || call.hasSpread) continue
    if (call.args.length > 1 || redisClient(program, file, call) === undefined) continue
    const timeout = optionOf(call, 'timeout')
    if (timeout !== undefined && timeout.kind !== 'null') continue
    if (holds(facts, call.args[0], (value) => value.kind === 'function')) continue
    yield found(file, file.functionOf(call.block), call, {
      symptom: 'After its holder died the lock stays, and whoever waits for it waits until the key is deleted by hand.',
      rootCause: 'A lock of redis-py without timeout never ends by itself.',
    })
  }
}

function found(file: IndexedFile, fn: number, call: Call, about: Pick<Discovery, 'symptom' | 'rootCause'>): Discovery {
  return {
    tier: 'strong',
    ...about,
    symbol: symbolOf(file.facts, fn),
    evidence: [seenAt(file.facts.file, call, 'the lock')],
  }
}
