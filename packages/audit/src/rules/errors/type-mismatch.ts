// `.decode()` of what is text already: answers of a Redis client that was made with decode_responses=True. It fails for every answer.
//   ER13. Found only where every Redis client of the package is made so, and the name that is decoded comes from an answer of one in the same function; a name
//         that is asked for its type first is silent.

import type { Call, FileFacts, Value } from '../../facts/facts.ts'
import type { Repository } from '../../repository/repository.ts'
import { type Contents, contentsOf } from '../contents.ts'
import { lastName, optionOf, seenAt, symbolOf } from '../queries.ts'
import type { Discovery, Rule } from '../rule.ts'

const CLIENT = /(^|\.)(Redis|StrictRedis|from_url|RedisCluster|BlockingConnectionPool|ConnectionPool)$/
const REDIS = /(^|[._])(redis|redis_client|_?redis\w*|cache_client)$/i
/** Commands whose answer is text. */
const ANSWERING =
  /^(get|mget|hget|hgetall|hmget|hkeys|hvals|lrange|lpop|rpop|blpop|brpop|lindex|smembers|spop|zrange|zrevrange|zrangebyscore|keys|scan|scan_iter|hscan|xread|xreadgroup|xrange|xrevrange|getset|getdel|rpoplpush|lmove|get_message)$/

export const typeMismatch: Rule = {
  meta: {
    id: 'type-mismatch',
    category: 'error handling',
    severity: 'high',
    title: 'Text is decoded as if it were bytes',
    why: 'The client decodes already, so the call fails for every answer; behind a handler that goes on, every message is lost.',
    remedies: [
      { priority: 'P0', text: 'Remove the decode, or make the client without decode_responses.', effort: 'XS' },
    ],
    sources: ['https://redis.readthedocs.io/en/stable/connections.html (decode_responses)'],
  },
  *run(repository: Repository): Iterable<Discovery> {
    const packages = decoding(repository)
    if (packages.size === 0) return
    for (const facts of repository.facts.values()) {
      if (facts.language !== 'python' || packages.get(packageOf(facts.file)) !== true) continue
      if (!facts.calls.some(({ callee }) => lastName(callee) === 'decode')) continue
      for (const [fn, { kind }] of facts.blocks.entries()) if (kind === 'function') yield* decoded(facts, fn)
    }
  },
}

/** What is built and shipped together: the first folder, and the next where that is a folder of services. */
function packageOf(file: string): string {
  const [first = '', second = '', ...rest] = file.split('/')
  return /services|packages|apps/.test(first) && rest.length > 0 ? `${first}/${second}` : first
}

/** By package: whether all clients decode. */
function decoding(repository: Repository): ReadonlyMap<string, boolean> {
  const all = new Map<string, boolean>()
  for (const facts of repository.facts.values()) {
    if (facts.language !== 'python') continue
    for (const call of facts.calls) {
      if (!/^import:(redis|aioredis)/.test(call.callee.root) || !CLIENT.test(call.callee.text)) continue
      const given = optionOf(call, 'decode_responses')
      // A pool that it is made of says it.
      if (optionOf(call, 'connection_pool') !== undefined) continue
      const isText = given?.kind === 'boolean' && given.value
      const name = packageOf(facts.file)
      all.set(name, isText && all.get(name) !== false)
    }
  }
  return all
}

function* decoded(facts: FileFacts, fn: number): Iterable<Discovery> {
  const contents = contentsOf(facts, fn)
  const decodes = contents.calls.filter(({ callee, args }) => /^\w+\.decode$/.test(callee.text) && args.length <= 1)
  if (decodes.length === 0) return
  const names = answered(facts, contents)
  const first = decodes.find(({ callee }) => names.has(callee.text.slice(0, -'.decode'.length)))
  if (first === undefined || contents.calls.some(({ callee }) => callee.text === 'isinstance')) return
  yield {
    tier: 'strong',
    symbol: symbolOf(facts, fn),
    symptom: 'The call fails for every answer.',
    rootCause: `All Redis clients of ${packageOf(facts.file)} are made with decode_responses=True: ${first.callee.text} is called of text.`,
    evidence: [seenAt(facts.file, { line: first.line, endLine: first.line }, 'decodes text')],
  }
}

/** Names that hold an answer, or a part of one. */
function answered(facts: FileFacts, { calls, assignments, blocks }: Contents): ReadonlySet<string> {
  const names = new Set<string>()
  const isAnswer = (value: Value | undefined): boolean => {
    if (value === undefined) return false
    if (value.kind === 'await') return isAnswer(value.value)
    if (value.kind === 'path') return names.has(value.path.text.split('.', 1)[0] as string)
    const call = value.kind === 'call' ? facts.calls[value.call] : undefined
    return (
      call !== undefined &&
      (isOfRedis(call) ||
        (/^(\w+)\.(items|keys|values|get)$/.test(call.callee.text) &&
          names.has(call.callee.text.split('.', 1)[0] as string)))
    )
  }
  if (!calls.some(isOfRedis)) return names
  // A loop may stand above the assignment that it walks over: two rounds are enough for what people write.
  for (let round = 0; round < 4; round++) {
    for (const { target, value } of assignments) if (isAnswer(value) && !target.isOwn) names.add(target.text)
    for (const block of blocks) {
      const { kind, test, binds } = facts.blocks[block] ?? {}
      if (kind === 'loop' && isAnswer(test)) for (const name of (binds ?? '').split(',')) names.add(name)
    }
  }
  return names
}

function isOfRedis({ callee }: Call): boolean {
  const dot = callee.text.lastIndexOf('.')
  return dot > 0 && ANSWERING.test(callee.text.slice(dot + 1)) && REDIS.test(callee.text.slice(0, dot))
}
