// What a module gets when it is loaded, or never: an attempt at its top that only logs when it fails. A module is loaded once, so what is missing then stays missing.

import type { Block, Call } from '../../facts/facts.ts'
import type { IndexedFile } from '../../program/index.ts'
import { isPage } from '../places.ts'
import type { Discovery } from '../rule.ts'
import { heldBy, type Refusal, refusals } from './guards.ts'

/** What is not installed stays so; to go on without is a decision. */
const MISSING = /ImportError|ModuleNotFoundError|AttributeError|KeyError|ValueError/

export function* stuckModules(path: string, file: IndexedFile): Iterable<Discovery> {
  const { blocks } = file.facts
  for (const [index, handler] of blocks.entries()) {
    if (handler.kind !== 'handler' || file.functionOf(index) !== -1 || file.classOf(index) !== -1) continue
    if (MISSING.test(handler.name) || leaves(file, index) || !canHeal(file, handler.of ?? -1)) continue
    const names = gainedOnlyIn(file, handler.of ?? -1, index)
    const guards = names.flatMap((name) => refusals(file, { owner: -1, name }, null).map((guard) => ({ name, guard })))
    if (guards.length > 0) yield discovery(path, file, handler, guards)
  }
}

/** It throws on, or ends the process. */
function leaves({ facts, within }: IndexedFile, handler: number): boolean {
  return (
    facts.exits.some(({ kind, block }) => kind === 'throw' && within(block, handler)) ||
    facts.calls.some(
      ({ callee, block }) => within(block, handler) && /^(?:process\.exit|sys\.exit|exit|os\._exit)$/.test(callee.text),
    )
  )
}

/** Something is asked for that may be there another time: not only a package by its name, or an object that could not be made. */
function canHeal({ facts, within }: IndexedFile, tried: number): boolean {
  return facts.calls.some((call) => within(call.block, tried) && acts(call) && !isPackage(call))
}

const PLAIN = /(?:^|\.)(?:log|info|debug|warning|error|print|join|resolve|dirname|get|getenv|[A-Z]\w*)$/

function acts({ callee, isNew }: Call): boolean {
  return !isNew && !PLAIN.test(callee.text)
}

function isPackage({ callee, args }: Call): boolean {
  const [module] = args
  return /^(?:import|require)$/.test(callee.text) && module?.kind === 'string' && !module.value.startsWith('.')
}

/** Names of the module that only the attempt gives something, and that the handler leaves empty. */
function gainedOnlyIn(file: IndexedFile, tried: number, handler: number): readonly string[] {
  return [...file.written(-1)].filter((name) => {
    const gained = file.writes(-1, name).filter(({ value }) => heldBy(value) !== null)
    const isOnly = gained.every(({ block }) => file.within(block, tried) && file.functionOf(block) === -1)
    // Declared empty before, or set to nothing in the handler: otherwise it is bound by the attempt itself.
    const isEmpty = file
      .writes(-1, name)
      .some(({ value, block }) => heldBy(value) === null && (block === 0 || file.within(block, handler)))
    return gained.length > 0 && isOnly && isEmpty
  })
}

function discovery(
  path: string,
  file: IndexedFile,
  handler: Block,
  guards: readonly { readonly name: string; readonly guard: Refusal }[],
): Discovery {
  const names = [...new Set(guards.map(({ name }) => name))]
  return {
    // A page is loaded anew.
    tier: isPage(file.facts) ? 'review' : 'strong',
    symbol: names[0] ?? '',
    symptom: `If it fails once, when the module is loaded, everything that needs ${names[0]} is refused until the process is restarted.`,
    rootCause: `${names.join(', ')} ${names.length === 1 ? 'is' : 'are'} set in this attempt and nowhere else; its handler goes on without.`,
    evidence: [
      {
        provenance: 'static',
        loc: { file: path, line: handler.line, endLine: handler.endLine },
        what: 'goes on without what was not loaded',
      },
      ...guards.slice(0, 4).map(({ name, guard }) => ({
        provenance: 'static' as const,
        loc: { file: path, line: guard.line, endLine: guard.endLine },
        what: `${file.facts.blocks[guard.fn]?.name || 'a handler'} refuses without ${name}`,
      })),
    ],
  }
}
