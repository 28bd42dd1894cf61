// What entries show of a component: that it hears the order to stop, and that something limits or checks what comes in.
//   GR14. A limit that stands before some routes of a component and not before others is bypassed; hearing a signal says nothing of what is done then.

import type { Call, Value } from '../facts/facts.ts'
import type { Guarantee, GuaranteeKind } from '../model/graph.ts'
import type { Program } from '../program/index.ts'
import type { Repository } from '../repository/repository.ts'
import { type Entry, entriesOf } from '../system/entries.ts'
import type { Membership } from './membership.ts'

const LIMITS = /rate_?limit|limiter|throttle|slow_?down/i
const VALIDATES = /valid|schema|celebrate|\bjoi\b|\bzod\b/i
const EVIDENCE_MAX = 3

/** By the component's name. */
export function entryGuarantees(
  repository: Repository,
  program: Program,
  membership: Membership,
): ReadonlyMap<string, readonly Guarantee[]> {
  const byComponent = new Map<string, Entry[]>()
  for (const entry of entriesOf(repository)) {
    const name = membership.ofFile(entry.site.file)
    if (name === undefined) continue
    const known = byComponent.get(name)
    if (known === undefined) byComponent.set(name, [entry])
    else known.push(entry)
  }
  const found = new Map<string, readonly Guarantee[]>()
  for (const [name, entries] of byComponent)
    found.set(name, [
      ...shutdownOf(entries),
      ...before(entries, 'rate', LIMITS, program),
      ...before(entries, 'validation', VALIDATES, program),
    ])
  return found
}

function present(
  kind: GuaranteeKind,
  entries: readonly Entry[],
  what: string,
  state: Guarantee['state'] = 'present',
): Guarantee {
  const evidence = entries.slice(0, EVIDENCE_MAX).map(({ site: { file, call } }) => ({
    provenance: 'static' as const,
    loc: { file, line: call.line, endLine: call.line },
    what,
  }))
  return { kind, state, evidence }
}

function shutdownOf(entries: readonly Entry[]): readonly Guarantee[] {
  const own = entries.filter(({ kind, name }) => kind === 'shutdown' || (kind === 'signal' && name === 'SIGTERM'))
  return own.length === 0 ? [] : [present('shutdown', own, 'it hears that it should stop')]
}

/** GR14. */
function before(entries: readonly Entry[], kind: GuaranteeKind, words: RegExp, program: Program): readonly Guarantee[] {
  const everywhere = entries.filter((entry) => entry.kind === 'middleware' && isAbout(entry, words, program))
  if (everywhere.length > 0) return [present(kind, everywhere, 'it stands before every route')]
  const routes = entries.filter((entry) => entry.kind === 'route')
  const guarded = routes.filter((entry) => isAbout(entry, words, program))
  if (guarded.length === 0) return []
  const what = `it stands before ${guarded.length} of ${routes.length} routes`
  return [present(kind, guarded, what, guarded.length === routes.length ? 'present' : 'bypassed')]
}

function isAbout({ site, before: values }: Entry, words: RegExp, program: Program): boolean {
  const calls = program.file(site.file)?.facts.calls ?? []
  return [...values, ...site.call.args].some((value) => words.test(textOf(value, calls)))
}

function textOf(value: Value, calls: readonly Call[]): string {
  if (value.kind === 'path') return value.path.text
  return value.kind === 'call' ? (calls[value.call]?.callee.text ?? '') : ''
}
