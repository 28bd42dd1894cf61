// Creating that overwrites: what is called create writes its key without a condition, so that a second call with the same id puts an empty thing in the place of a
// living one, and succeeds.
//   CU16. Found where a function by such a name sets a key of Redis from what it is given, and nothing in it looks whether there is one, and no id is made in it or by
//         those who call it.

import type { Call } from '../../facts/facts.ts'
import { type IndexedFile, type Program, programOf } from '../../program/index.ts'
import type { FileIndex, Repository } from '../../repository/repository.ts'
import { lastName, seenAt, symbolOf } from '../queries.ts'
import type { Discovery, Rule } from '../rule.ts'
import { bodiesOf, bodyOf } from './flow.ts'
import { sourceOf } from './guarded.ts'
import { isFresh, keyOf } from './keys.ts'
import { runsAlone } from './places.ts'
import { usesOf } from './uses.ts'

const CREATES = /^[_#]*(?:create|register|add|insert|new|open)(?:[A-Z_]\w*)?$/
/** Made anew on purpose: the last one counts. */
const REPLACED = /token|otp|code|cache|presence|heartbeat|nonce|reset|verif|limit|counter|metric|index|log/i

export const overwriteOnCreate: Rule = {
  meta: {
    id: 'overwrite-on-create',
    category: 'concurrency',
    severity: 'high',
    title: 'Creating overwrites what is already there',
    why: 'A request that is sent twice, or a second one with the same id, replaces what the first one made and everything that has happened to it since, and reports success.',
    remedies: [
      {
        priority: 'P1',
        text: 'Create only what is not there: SET … NX, insert without upsert; answer a conflict otherwise.',
        effort: 'XS',
      },
    ],
    sources: ['https://redis.io/docs/latest/commands/set/', 'RFC 9110, section 13.1.2: If-None-Match'],
  },
  *run(repository: Repository): Iterable<Discovery> {
    const program = programOf(repository.facts)
    for (const path of program.files) {
      const file = program.file(path)
      if (file === undefined || runsAlone(path)) continue
      for (const fn of bodiesOf(file).keys()) {
        const name = file.facts.blocks[fn]?.name ?? ''
        if (CREATES.test(name) && !REPLACED.test(name)) yield* overwritten(repository.files, program, file, fn)
      }
    }
  },
}

/** CU16. */
function* overwritten(files: FileIndex, program: Program, file: IndexedFile, fn: number): Iterable<Discovery> {
  const { facts } = file
  const { keys, rows } = usesOf(program, file, fn)
  const write = keys.find(({ op }) => op === 'write')
  const call = write === undefined ? undefined : facts.calls[write.call]
  if (
    write === undefined ||
    call === undefined ||
    !/^(?:.*\.)?(?:set|setex|setEx|psetex|json_set|set_json)$/.test(call.callee.text)
  )
    return
  if (keys.some(({ op }) => op === 'read' || op === 'claim' || op === 'script') || rows.length > 0) return
  const params = facts.blocks[fn]?.fn?.params ?? []
  if (/cache/i.test(sourceOf(files, file, fn))) return
  const given = params.find((param) =>
    new RegExp(`(?:^|[^\\w.])${param.replace(/\W/g, '')}(?:[^\\w]|$)`).test(write.key),
  )
  if (given === undefined || REPLACED.test(write.key) || isFresh(write.key)) return
  if (bodyOf(file, fn).calls.some((index) => isFresh((facts.calls[index] as Call).callee.text))) return
  if (callersOf(program, facts.blocks[fn]?.name ?? '').some(([other, site]) => makesId(other, site))) return
  yield {
    tier: 'strong',
    symbol: symbolOf(facts, fn),
    symptom:
      'A second call with the same id replaces what is there, with all that has happened to it since, and succeeds.',
    rootCause: 'The key is set without a condition, and nothing before it looks whether there is one.',
    evidence: [seenAt(facts.file, call, 'set, whatever is there')],
  }
}

/** Whoever calls something by this name: where the object comes from is often not told. */
function callersOf(program: Program, name: string): readonly (readonly [IndexedFile, Call])[] {
  return program.files.flatMap((path) => {
    const file = program.file(path)
    const calls = file?.facts.calls.filter(({ callee }) => lastName(callee) === name) ?? []
    return file === undefined ? [] : calls.map((call) => [file, call] as const)
  })
}

function makesId(file: IndexedFile, call: Call): boolean {
  const fn = file.functionOf(call.block)
  const { calls } = file.facts
  return (
    call.args.some((arg) => isFresh(keyOf(file, fn, arg))) ||
    bodyOf(file, fn).calls.some((index) => isFresh((calls[index] as Call).callee.text))
  )
}
