// How long a call, or what a client does, is waited for: what is set there, what its client says, what holds for the whole process, what the library does.
//   OU4. The nearest word wins: the call's own options, what is around it, its client, the process, the library.
//   QN1. An option that the declared version does not know sets nothing, and one that only has an event emitted sets nothing unless somebody listens.

import type { Call, Value } from '../facts/facts.ts'
import type { Library, Wait } from '../knowledge/index.ts'
import type { CallSite, IndexedFile, Program } from '../program/index.ts'
import { isBounded } from './bounded.ts'
import type { Deadline } from './contract.ts'
import { findOption, type Option } from './options.ts'

/** A default that is longer than what anybody waits is none: nobody waits so long. */
const PATIENCE_MS = 300_000

export interface DeadlineOf {
  readonly program: Program
  readonly site: CallSite
  readonly library: Library
  /** Of the version that is declared; undefined: not known. */
  readonly major: number | undefined
}

/** What is said at the call itself; undefined: nothing. */
export function saidAt(of: DeadlineOf, wait: Wait, from: number): Deadline | undefined {
  const { program, site, library, major = 0 } = of
  const file = program.file(site.file)
  // Its options are in a file of its own.
  if (site.call.args.length === 0 && /\.forRoot$/.test(site.call.callee.text)) return { state: 'unknown' }
  const positioned = library.position === undefined ? undefined : site.call.args[library.position]
  const unheard = library.told === undefined || file === undefined || isHeard(file, site.call) ? [] : library.told
  const known = wait.options.filter((name) => major < (library.dropped?.[name] ?? Number.POSITIVE_INFINITY))
  const names = known.filter((name) => !unheard.includes(name))
  const option: Option =
    positioned === undefined ? findOption({ program, site, names }, from) : { value: positioned, site }
  if (option !== undefined && option !== 'hidden') return ofValue(of, option)
  if (file !== undefined && isBounded(file, site.call, unheard.length === 0 ? library.chained : []))
    return { state: 'present', ms: undefined, site }
  const told = unheard.length === 0 ? undefined : findOption({ program, site, names: unheard }, from)
  if (told !== undefined && told !== 'hidden') {
    const why = `its ${unheard.join(', ')} only has an event emitted, and nobody listens for it`
    return { state: 'absent', why, source: library.sources[0] ?? '' }
  }
  return option === 'hidden' ? { state: 'unknown' } : undefined
}

/** Whether somebody listens for `timeout` in this file, or may elsewhere, where what the call makes is handed to. */
function isHeard(file: IndexedFile, { use, target, block }: Call): boolean {
  const { calls, exits } = file.facts
  const isListened = calls.some(
    ({ callee, args: [event, ...rest] }) =>
      (/(?:^|\.)(?:on|once|addListener)$/.test(callee.text) &&
        (event?.kind !== 'string' || event.value === 'timeout')) ||
      (callee.text.endsWith('.setTimeout') && rest.length > 0),
  )
  if (isListened) return true
  if (target === undefined) return use !== 'dropped' && use !== 'chained'
  const isIt = (value: Value | undefined): boolean => value?.kind === 'path' && value.path.text === target.text
  const fn = file.functionOf(block)
  return (
    target.isOwn ||
    calls.some(({ args }) => args.some(isIt)) ||
    exits.some(({ value, block: at }) => isIt(value) && file.functionOf(at) === fn)
  )
}

function ofValue({ program, library }: DeadlineOf, { value, site }: Exclude<Option, 'hidden' | undefined>): Deadline {
  const unit = library.language === 'python' ? 1000 : 1
  const isNone =
    value.kind === 'null' ||
    (value.kind === 'number' && value.value === 0) ||
    (value.kind === 'boolean' && !value.value)
  if (isNone) return { state: 'absent', why: 'it is switched off here', source: library.sources[0] ?? '' }
  if (value.kind === 'number') return { state: 'present', ms: value.value * unit, site }
  const call = value.kind === 'call' ? program.file(site.file)?.facts.calls[value.call] : undefined
  const [first] = call?.args ?? []
  const isTimer = call !== undefined && /(?:^|\.)(?:timeout|Timeout|ClientTimeout)$/.test(call.callee.text)
  if (isTimer && first?.kind === 'number') return { state: 'present', ms: first.value * unit, site }
  return { state: 'present', ms: constantMs(program, site, value, unit), site }
}

function constantMs(program: Program, site: CallSite, value: Value, unit: number): number | undefined {
  if (value.kind !== 'path' || value.path.isOwn || value.path.text.includes('.')) return undefined
  const at = program.definition(site.file, value.path)
  const writes = at === undefined ? [] : (program.file(at.file)?.writes(-1, at.name) ?? [])
  const [only] = writes
  return writes.length === 1 && only?.value.kind === 'number' ? only.value.value * unit : undefined
}

/** What the library does by itself. `major`: of the version that is declared; undefined: not known. */
export function ofLibrary(library: Library, wait: Wait, major: number | undefined): Deadline {
  const source = library.sources[0] ?? ''
  const ms = wait.since !== undefined && (major ?? 0) < wait.since ? undefined : wait.ms
  const isPast = wait.until !== undefined && (major ?? 0) >= wait.until
  if (isPast) return { state: 'absent', why: `${library.name} has none since version ${wait.until}`, source }
  if (ms === undefined) {
    const older = wait.since === undefined ? '' : ` before version ${wait.since}, which the declared range allows`
    return { state: 'absent', why: `${library.name} has none of its own${older}`, source }
  }
  if (ms >= PATIENCE_MS && Number.isFinite(ms) && library.isSlow !== true)
    return { state: 'absent', why: `${library.name} gives up after ${ms / 1000} s`, source }
  return { state: 'default', ms, source }
}
