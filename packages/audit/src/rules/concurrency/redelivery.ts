// What a handler does that would be done twice, and whether anything on its way would notice.

import type { Call, FileFacts, Value } from '../../facts/facts.ts'
import type { BlockRef, IndexedFile, Program } from '../../program/index.ts'
import type { FileIndex, Repository } from '../../repository/repository.ts'
import { lastName } from '../queries.ts'
import { bodyOf, holds } from './flow.ts'
import { sourceOf } from './guarded.ts'
import { isFresh, keyOf } from './keys.ts'
import { callsWithin } from './reach.ts'
import { ownUses } from './uses.ts'

export interface Effect {
  readonly tier: 'strong' | 'review'
  readonly what: string
  readonly places: readonly {
    readonly file: string
    readonly call: Pick<Call, 'line' | 'endLine'>
    readonly what: string
  }[]
}

const DEPTH_MAX = 3
const NOTICES =
  /idempot|de_?dup|duplicate|already|on\s+conflict|upsert|get_?or_?create|set_?nx|\bnx\s*=\s*True|'NX'|"NX"|processed_?(?:at|id|event|message)|exists\(|integrityerror|unique|last_?event|\bseen\b|lock|update_or_create|findOrCreate|ignore_conflicts|skipDuplicates|delete_?(?:many|all)|truncate/i
const ID =
  /(?:^|\.)(?:id|_id|event_?id|message_?id|msg_?id|delivery_?(?:id|tag)|external_?id|request_?id|job_?id|key|offset)$/i
const LOGS =
  /(?:^|[._])(?:log\w*|logger|console|print|debug|info|warn|warning|error|exception|capture\w*|span|trace\w*)(?:$|[._(])/i
const SENDS = /(?:^|\.)(?:sendMail|send_mail|send_email|sendEmail|send_sms|sendSms|send_notification|sendNotification)$/

/** The first effect on the way of a handler; undefined: none, or something notices. */
export function effectOf(repository: Repository, program: Program, handler: BlockRef): Effect | undefined {
  const visited: BlockRef[] = []
  const found = search(repository, program, handler, visited, 0)
  if (found === undefined) return undefined
  return visited.some((ref) => notices(repository, program, ref)) ? undefined : found
}

function search(
  repository: Repository,
  program: Program,
  ref: BlockRef,
  visited: BlockRef[],
  depth: number,
): Effect | undefined {
  const file = program.file(ref.file)
  if (file === undefined || visited.some(({ file: path, block }) => path === ref.file && block === ref.block))
    return undefined
  visited.push(ref)
  let found: Effect | undefined
  for (const index of callsWithin(repository, ref)) {
    const call = file.facts.calls[index] as Call
    if (LOGS.test(call.callee.text)) continue
    found ??= SENDS.test(call.callee.text) ? effect(ref.file, call, 'it is sent', 'sent here') : undefined
    const target = program.target({ file: ref.file, call })
    if (target === undefined || depth >= DEPTH_MAX) continue
    const other = program.file(target.file)
    if (other === undefined) continue
    found ??=
      startedBy(program, other, target, ref.file, call) ??
      movedOnBy(repository.files, program, other, target, file, ref, call)
    const inner = search(repository, program, target, visited, depth + 1)
    found ??= inner
  }
  const { rows } = ownUses(program, file, ref.block)
  // What was looked for before it is made is not made again; two at once are another matter.
  const made = rows.find(
    ({ op, entity, call, given }) =>
      op === 'create' &&
      !given.some(({ column, value }) => /^_?id$/i.test(column) && value?.kind === 'path') &&
      !rows.some((row) => row.op === 'read' && row.entity === entity && row.call < call),
  )
  const at = made === undefined ? undefined : file.facts.calls[made.call]
  return (
    found ??
    (at === undefined || made === undefined ? undefined : effect(ref.file, at, `a ${made.entity} is made`, 'made here'))
  )
}

function effect(file: string, call: Call, what: string, seen: string): Effect {
  return { tier: 'strong', what, places: [{ file, call, what: seen }] }
}

/** A function that gives a fresh id to what it makes and keeps. */
function startedBy(
  program: Program,
  file: IndexedFile,
  target: BlockRef,
  from: string,
  call: Call,
): Effect | undefined {
  const { facts } = file
  const { calls, assignments } = bodyOf(file, target.block)
  const fresh = assignments.find(
    ({ target: to, value }) =>
      !to.isOwn && value.kind !== 'path' && isId(to.text) && isFresh(keyOf(file, target.block, value)),
  )
  if (
    fresh === undefined ||
    !/^_*(?:start|create|begin|launch|open|schedule|place|submit|register|initiate)/i.test(
      facts.blocks[target.block]?.name ?? '',
    )
  )
    return undefined
  const named = (value: Value): boolean => value.kind === 'path' && value.path.text === fresh.target.text
  const isKept =
    assignments.some(({ target: to }) => to.isOwn && to.text.endsWith('.[]')) ||
    calls.some((index) =>
      /(?:persist|save|store|insert|publish|emit|append|set|add)/i.test(lastName((facts.calls[index] as Call).callee)),
    )
  if (!isKept || !calls.some((index) => holds(facts, { kind: 'call', call: index }, named))) return undefined
  if (ownUses(program, file, target.block).keys.some(({ op }) => op === 'claim')) return undefined
  const name = facts.blocks[target.block]?.name ?? ''
  return {
    tier: 'strong',
    what: `${name} runs`,
    places: [
      { file: from, call, what: `${name} is called` },
      { file: facts.file, call: fresh, what: 'and gives it a fresh id each time' },
    ],
  }
}

function isId(name: string): boolean {
  return /(?:^|_)id$|Id$/.test(name)
}

/** A function that counts a position on, where nobody looks at the state first. */
function movedOnBy(
  files: FileIndex,
  program: Program,
  file: IndexedFile,
  target: BlockRef,
  caller: IndexedFile,
  from: BlockRef,
  call: Call,
): Effect | undefined {
  const { facts } = file
  const params = facts.blocks[target.block]?.fn?.params ?? []
  const moved = bodyOf(file, target.block).assignments.find(
    ({ target: to, operator }) =>
      operator === '+=' &&
      /\.(?:\w*_)?(?:step|index|position|cursor|stage|version|sequence)$|\.current\w*$/i.test(to.text) &&
      params.includes(to.text.split('.', 1)[0] as string),
  )
  if (moved === undefined || looksAtState(facts, file, target.block) || looksAtState(caller.facts, caller, from.block))
    return undefined
  if (NOTICES.test(sourceOf(files, caller, from.block)) || program.file(target.file) === undefined) return undefined
  const name = facts.blocks[target.block]?.name ?? ''
  return {
    tier: 'strong',
    what: `${moved.target.text} moves on`,
    places: [
      { file: from.file, call, what: `${name} is called` },
      { file: facts.file, call: moved, what: `${moved.target.text} is counted on, whatever the state` },
    ],
  }
}

function looksAtState(facts: FileFacts, file: IndexedFile, fn: number): boolean {
  return bodyOf(file, fn).branches.some((branch) => {
    const test = facts.blocks[branch]?.test
    return (
      test !== undefined &&
      holds(
        facts,
        test,
        (value) => value.kind === 'path' && /\.(?:status|state|step|version|current\w*)$/i.test(value.path.text),
      )
    )
  })
}

/** Its words, an id of the message that is given to anything but a log, or a write that is keyed by one. */
function notices({ files }: Repository, program: Program, ref: BlockRef): boolean {
  const file = program.file(ref.file)
  if (file === undefined) return true
  const { facts } = file
  if (NOTICES.test(withoutComments(sourceOf(files, file, ref.block)))) return true
  const params = new Set(facts.blocks[ref.block]?.fn?.params ?? [])
  const isMessageId = (value: Value): boolean =>
    value.kind === 'path' &&
    ID.test(value.path.text) &&
    params.has(value.path.text.split('.', 1)[0] as string) &&
    /^(?:event|evt|message|msg|job|record|payload|data|body|delivery|envelope|notification|update)\./i.test(
      value.path.text,
    ) &&
    value.path.text.split('.').length === 2
  return bodyOf(file, ref.block).calls.some((index) => {
    const call = facts.calls[index] as Call
    if (LOGS.test(call.callee.text)) return false
    return call.args.some((arg) => isMessageId(arg)) || call.named.some(([, arg]) => isMessageId(arg))
  })
}

function withoutComments(text: string): string {
  return text.replace(/(?:#|\/\/)[^\n]*/g, '').replace(/"""[^"]*"""/g, '')
}
