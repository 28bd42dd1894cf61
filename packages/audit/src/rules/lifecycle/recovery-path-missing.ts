// State that is kept twice and read from the place that forgets: a class writes to a cache and to something that lasts, and where the cache has nothing, its reader says that there
// is nothing. For review: what is lost with the cache may be meant to be.
// The line is that of the branch that gives up.
//   LF6. A reader that asks anything else, or whose callers do, a class that only caches by its name, and one that writes nothing that lasts are silent.

import type { Call, Value } from '../../facts/facts.ts'
import { type IndexedFile, type Program, programOf } from '../../program/index.ts'
import type { Repository } from '../../repository/repository.ts'
import { contentsOf } from '../contents.ts'
import { lastName, seenAt, symbolOf } from '../queries.ts'
import type { Discovery, Rule } from '../rule.ts'

const CACHE = /redis|cache|valkey|memcache/i
const READS = /^(get|hgetall|hget|hGetAll|json_get|getex)$/
const LASTING =
  /(^|[._#])(db|database|postgres|pg|pool|prisma|knex|sequelize|repo(sitory)?|queue|outbox|audit|archive|journal|store|mongo|collection)/i
const WRITES =
  /^(insert\w*|save\w*|create\w*|update\w*|upsert\w*|add|enqueue\w*|queue\w*|write\w*|persist\w*|append|put)$/
const ONLY_CACHES = /cache|token|session_?store|blacklist|denylist|rate_?limit|lock|nonce|otp|idempot/i

export const recoveryPathMissing: Rule = {
  meta: {
    id: 'recovery-path-missing',
    category: 'state',
    severity: 'medium',
    title: 'What the cache forgets is lost, although it is written elsewhere',
    why: 'After an eviction, an expiry or a restart of the cache the state is gone for its readers, and all that was written to the lasting store helps nobody.',
    remedies: [
      {
        priority: 'P2',
        text: 'Read from the lasting store where the cache has nothing, and put it back; or say in the interface that the state may vanish.',
        effort: 'M',
      },
    ],
    sources: ['https://redis.io/docs/latest/develop/reference/eviction/'],
  },
  *run(repository: Repository): Iterable<Discovery> {
    const program = programOf(repository.facts)
    for (const path of program.files) {
      const file = program.file(path)
      if (file === undefined) continue
      for (const [name, block] of file.classes) {
        const lasting = ONLY_CACHES.test(name) ? undefined : lastingWrite(file, block)
        if (lasting === undefined) continue
        for (const [method, fn] of file.methods(block)) {
          // Half of a reader, by its name.
          const found = CACHE.test(method) ? undefined : givenUp(file, fn)
          if (found !== undefined && !isAskedElsewhere(program, path, fn))
            yield discovery(path, file, fn, found, lasting)
        }
      }
    }
  },
}

function lastingWrite({ facts, classOf }: IndexedFile, block: number): Call | undefined {
  return facts.calls.find(
    ({ callee, block: at }) =>
      callee.isOwn &&
      WRITES.test(lastName(callee)) &&
      LASTING.test(callee.text) &&
      !CACHE.test(callee.text) &&
      classOf(at) === block,
  )
}

/** The branch in which a reader says that there is nothing. */
function givenUp({ facts }: IndexedFile, fn: number): { readonly line: number; readonly endLine: number } | undefined {
  const { calls, assignments, exits, blocks } = contentsOf(facts, fn)
  const read = assignments.find(({ value }) => {
    const inner = value.kind === 'await' ? value.value : value
    const call = inner.kind === 'call' ? facts.calls[inner.call] : undefined
    return call?.callee.isOwn === true && READS.test(lastName(call.callee)) && CACHE.test(call.callee.text)
  })
  if (read === undefined || calls.some(({ callee }) => LASTING.test(callee.text) && !CACHE.test(callee.text)))
    return undefined
  for (const at of blocks) {
    const block = facts.blocks[at]
    if (block?.kind !== 'branch' || !isNothing(block.test, read.target.text)) continue
    const exit = exits.find((each) => each.block === at && each.kind === 'return')
    if (exit !== undefined && (exit.value === undefined || exit.value.kind === 'null')) return block
  }
  return undefined
}

/** Whoever calls it goes on to ask what lasts. */
function isAskedElsewhere(program: Program, path: string, fn: number): boolean {
  return program.callers({ file: path, block: fn }).some(({ file: from, call }) => {
    const file = program.file(from)
    const outer = file?.functionOf(call.block) ?? -1
    return (
      file !== undefined &&
      outer !== -1 &&
      contentsOf(file.facts, outer).calls.some(({ callee }) => LASTING.test(callee.text) && !CACHE.test(callee.text))
    )
  })
}

/** `!data`, `data is None`, `data === null`. */
function isNothing(test: Value | undefined, name: string): boolean {
  if (test?.kind === 'not') return test.value.kind === 'path' && test.value.path.text === name
  return (
    test?.kind === 'operation' &&
    /^(===?|is)$/.test(test.operator) &&
    test.left.kind === 'path' &&
    test.left.path.text === name &&
    test.right.kind === 'null'
  )
}

function discovery(
  path: string,
  { facts }: IndexedFile,
  fn: number,
  place: { readonly line: number; readonly endLine: number },
  lasting: Call,
): Discovery {
  return {
    tier: 'review',
    symbol: symbolOf(facts, fn),
    cause: `what ${path} reads from its cache`,
    symptom: 'After an eviction, an expiry or a restart of the cache, what was there is said not to exist.',
    rootCause: 'Where the cache has nothing, nothing else is asked.',
    evidence: [
      seenAt(path, place, 'Nothing in the cache is taken for nothing at all.'),
      seenAt(path, lasting, 'The same class writes to what lasts.'),
    ],
  }
}
