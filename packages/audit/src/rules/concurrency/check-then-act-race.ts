// Check, then act: a function looks whether something is there, or what version it has, decides by it, and writes, with nothing that keeps a second caller from doing the same
// in between. Found for rows (looked for, then made; counted, then made with the next number; tested, then moved on: transition.ts; compared, then taken: spent.ts), for what a variable keeps (lazily-made.ts) and for keys of Redis (read and compared or tested, then set).
// Silent where a lock, a script, a transaction that locks or is serializable, or a unique key stands behind it; where the violation of a unique key is caught;
// where the read is a cache's; in scripts, migrations, seeds and start-up.
//   CU1. A row that is made because it was not found is strong where its table is seen and no unique key has a column that it was looked for by; where the
//        table is not seen it is for review.
//   CU2. A key that is read, compared, and set without a condition is found; an answer that is returned as it was read is a cache.
//   CU3. What is made with the count or the largest of those before it is found unless that number is unique.

import type { Exit, Value } from '../../facts/facts.ts'
import { type IndexedFile, type Program, programOf } from '../../program/index.ts'
import type { Repository } from '../../repository/repository.ts'
import { seenAt, symbolOf } from '../queries.ts'
import type { Discovery, Rule } from '../rule.ts'
import { bodiesOf, controlsOf, derived, holds, isFrom, knownOf, type Standing } from './flow.ts'
import { isGuarded, sourceOf } from './guarded.ts'
import { keyOf } from './keys.ts'
import { lazilyMade } from './lazily-made.ts'
import { movedRows } from './moved-rows.ts'
import { isStarting, runsAlone } from './places.ts'
import type { RedisUse } from './redis.ts'
import { spent } from './spent.ts'
import type { RowUse } from './tables.ts'
import { movedStates } from './transition.ts'
import { type UniqueKeys, uniqueKeysOf } from './unique-keys.ts'
import { usesOf } from './uses.ts'

const CAUGHT =
  /P2002|IntegrityError|UniqueViolation|\b11000\b|duplicate.?key|ER_DUP_ENTRY|23505|UniqueConstraint|DuplicateKey|UNIQUE constraint/i

export const checkThenActRace: Rule = {
  meta: {
    id: 'check-then-act-race',
    category: 'concurrency',
    severity: 'high',
    title: 'It looks first and writes afterwards, and two callers can both pass the look',
    why: 'Between the look and the write another request does the same: both find nothing in the way, both write, and there are two rows where one was meant, or one of two accepted changes is gone.',
    remedies: [
      {
        priority: 'P1',
        text: 'Let the store decide in one step: a unique key and insert … on conflict, an update with the expected version in its condition, a script or SET NX in Redis, or a lock that is held over both.',
        effort: 'S',
      },
    ],
    sources: ['CWE-367: time-of-check time-of-use race condition', 'CWE-362'],
  },
  *run(repository: Repository): Iterable<Discovery> {
    const program = programOf(repository.facts)
    for (const path of program.files) {
      const file = program.file(path)
      if (file === undefined || runsAlone(path)) continue
      for (const fn of bodiesOf(file).keys()) {
        if (fn !== -1) yield* lazilyMade(repository, program, file, fn)
        if (fn !== -1 && !isStarting(file, fn)) {
          yield* racesOf(repository, program, file, fn)
          yield* movedStates(repository, program, file, fn)
          yield* movedRows(repository, program, file, fn)
          yield* spent(repository, program, file, fn)
        }
      }
    }
  },
}

function* racesOf(repository: Repository, program: Program, file: IndexedFile, fn: number): Iterable<Discovery> {
  const { rows, keys } = usesOf(program, file, fn)
  const writesRow = rows.some(({ op }) => op === 'create')
  const writesKey = keys.some(({ op }) => op === 'write')
  if ((!writesRow || rows.length < 2) && (!writesKey || keys.length < 2)) return
  const found = [...rowRaces(uniqueKeysOf(repository), file, fn, rows), ...keyRaces(file, fn, keys)]
  if (found.length === 0 || isGuarded(program, repository.files, file, fn)) return
  if (CAUGHT.test(sourceOf(repository.files, file, fn))) return
  yield* found
}

/** CU1, CU3. */
function* rowRaces(unique: UniqueKeys, file: IndexedFile, fn: number, rows: readonly RowUse[]): Iterable<Discovery> {
  const seen = new Set<number>()
  for (const create of rows) {
    if (create.op !== 'create') continue
    for (const read of rows) {
      if (read.call >= create.call || read.entity !== create.entity || read.isUnique || seen.has(read.call)) continue
      const found =
        read.op === 'read'
          ? soughtFirst(unique, file, fn, read, create)
          : read.op === 'count' && countedFirst(unique, file, fn, read, create)
      if (!found) continue
      seen.add(read.call)
      yield found
      break
    }
  }
}

function soughtFirst(
  unique: UniqueKeys,
  file: IndexedFile,
  fn: number,
  read: RowUse,
  create: RowUse,
): Discovery | undefined {
  const columns = read.given.map(({ column }) => column)
  const call = file.facts.calls[create.call]
  if (columns.length === 0 || columns.includes('id') || columns.includes('pk') || call === undefined) return undefined
  const is = isFrom(read.call, derived(file, fn, read.call))
  const known = knownOf(file, controlsOf(file, fn, call.block, call.line), is)
  const clear = known.find(({ standing }) => standing !== 'compared')
  const covered = unique.covers(read.entity, columns)
  if (clear?.standing !== 'absent' || covered === 'yes') return undefined
  const isSame = makesWhatWasSought(file, fn, read, create)
  if (isSame === false) return undefined
  const isKnown = unique.knows(read.entity, columns)
  return discovery(file, fn, read.call, create.call, {
    tier: isKnown && isSame && !read.isVague && covered === 'no' ? 'strong' : 'review',
    symptom: `Two requests at once each find no ${read.entity} with this ${columns.join(', ')}, and both make one.`,
    rootCause: `It is looked for and then made, and no unique key of ${read.entity} has ${columns.join(' or ')} in it${said(isKnown, covered)}.`,
  })
}

function said(isKnown: boolean, covered: 'no' | 'elsewhere'): string {
  if (covered === 'elsewhere') return ' in the class that its table is made from; a migration has one'
  return isKnown ? '' : ' as far as is seen'
}

/** Is the row that is made the one that was looked for? Undefined: that is not seen. */
function makesWhatWasSought(file: IndexedFile, fn: number, read: RowUse, create: RowUse): boolean | undefined {
  const made = new Map(create.given.map(({ column, value }) => [column, keyOf(file, fn, value)]))
  let isSeen = false
  for (const { column, value } of read.given) {
    const given = made.get(column)
    if (given === undefined || isConstant(value)) continue
    if (given === keyOf(file, fn, value)) return true
    isSeen = true
  }
  if (isSeen) return false
  return made.size === 0 || file.facts.calls[create.call]?.hasSpread === true ? undefined : false
}

function isConstant(value: Value | undefined): boolean {
  return value?.kind === 'string' || value?.kind === 'number' || value?.kind === 'boolean' || value?.kind === 'null'
}

function countedFirst(
  unique: UniqueKeys,
  file: IndexedFile,
  fn: number,
  read: RowUse,
  create: RowUse,
): Discovery | undefined {
  const is = isFrom(read.call, derived(file, fn, read.call))
  const numbered = create.given.filter(({ value }) => value !== undefined && holds(file.facts, value, is))
  const columns = numbered.map(({ column }) => column)
  const covered = unique.covers(create.entity, columns)
  if (columns.length === 0 || covered === 'yes') return undefined
  return discovery(file, fn, read.call, create.call, {
    tier: unique.knows(create.entity, columns) && covered === 'no' ? 'strong' : 'review',
    symptom: `Two callers at once read the same number, and both write a ${create.entity} with the next one: ${columns.join(', ')} is given twice.`,
    rootCause: `The number is taken from those that are there and written afterwards, and nothing makes ${columns.join(', ')} unique${said(unique.knows(create.entity, columns), covered)}.`,
  })
}

/** CU2. */
function* keyRaces(file: IndexedFile, fn: number, keys: readonly RedisUse[]): Iterable<Discovery> {
  if (keys.some(({ op }) => op === 'claim' || op === 'script')) return
  for (const write of keys) {
    const call = file.facts.calls[write.call]
    if (write.op !== 'write' || call === undefined || write.key === '') continue
    const read = keys.findLast((each) => each.op === 'read' && each.key === write.key && each.call < write.call)
    if (read === undefined) continue
    const is = isFrom(read.call, derived(file, fn, read.call))
    const known = knownOf(file, controlsOf(file, fn, call.block, call.line), is)
    const race = known.find(({ standing, control: { exit } }) => isRace(file, is, write, standing, exit))
    if (race === undefined) continue
    yield discovery(file, fn, read.call, write.call, {
      tier: 'strong',
      symptom:
        race.standing === 'absent'
          ? 'Two callers at once both find the mark missing, both set it, and both go on.'
          : 'Two writers at once both pass the comparison, and the second overwrites what the first was told is saved.',
      rootCause: 'The key is read, looked at and set in three steps, and the set has no condition.',
    })
  }
}

function isRace(
  file: IndexedFile,
  is: (value: Value) => boolean,
  { value }: RedisUse,
  standing: Standing,
  exit: Exit | undefined,
): boolean {
  // What was read is given back: a cache.
  if (exit === undefined || (exit.kind === 'return' && holds(file.facts, exit.value, is))) return false
  // What is written was made of what was read: an update that may be lost.
  if (value === undefined || holds(file.facts, value, is)) return false
  return standing === 'absent' ? isConstant(value) : standing === 'compared' && exit.kind === 'throw'
}

function discovery(
  file: IndexedFile,
  fn: number,
  read: number,
  write: number,
  about: Pick<Discovery, 'tier' | 'symptom' | 'rootCause'>,
): Discovery {
  const { facts } = file
  const from = facts.calls[read]
  const to = facts.calls[write]
  const line = from?.line ?? 1
  return {
    ...about,
    symbol: symbolOf(facts, fn),
    evidence: [
      seenAt(facts.file, { line, endLine: to?.endLine ?? line }, 'looked at here'),
      seenAt(facts.file, { line: to?.line ?? line, endLine: to?.endLine ?? line }, 'written here'),
    ],
  }
}
