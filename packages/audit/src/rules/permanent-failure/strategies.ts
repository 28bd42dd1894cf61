// Strategies that a client asks how long to wait before it connects again, and that answer "never".

import type { Exit, Value } from '../../facts/facts.ts'
import type { Evidence } from '../../model/evidence.ts'
import type { IndexedFile, Program } from '../../program/index.ts'
import type { Discovery } from '../rule.ts'

const STRATEGY = /^(?:retryStrategy|retry_strategy|reconnectStrategy|clusterRetryStrategy|sentinelRetryStrategy)$/
const DEPTH_MAX = 4
const USERS_MAX = 8

export function* endedStrategies(program: Program, path: string, file: IndexedFile): Iterable<Discovery> {
  const { calls, assignments, exits } = file.facts
  // Whoever hears that it ended and leaves the process, or connects anew, has a way back.
  const hearsEnd = calls.some(
    ({ callee, args }) =>
      /\.(?:on|once)$/.test(callee.text) &&
      args[0]?.kind === 'string' &&
      args[0].value === 'end' &&
      args[1]?.kind === 'function',
  )
  if (hearsEnd) return
  const seen = new Set<Value>()
  const values = [
    ...calls.flatMap(({ args }) => args),
    ...assignments.map(({ value }) => value),
    ...exits.map(({ value }) => value),
  ]
  for (const value of values)
    for (const [name, strategy] of strategiesIn(value, 0)) {
      if (seen.has(strategy)) continue
      seen.add(strategy)
      const line = neverLine(file, strategy)
      if (line !== undefined) yield discovery(path, name, line, usersOf(program, path, file, strategy))
    }
}

function* strategiesIn(value: Value | undefined, depth: number): Iterable<readonly [name: string, Value]> {
  if (value?.kind !== 'object' || depth > DEPTH_MAX) return
  for (const [name, inner] of value.entries) {
    if (STRATEGY.test(name)) yield [name, inner]
    else yield* strategiesIn(inner, depth + 1)
  }
}

/** Where it says never; undefined: it does not, or leaves the process. */
function neverLine(file: IndexedFile, strategy: Value): number | undefined {
  if (strategy.kind !== 'function') return undefined
  const { exits, calls } = file.facts
  const isInside = (block: number): boolean => file.functionOf(block) === strategy.block
  if (calls.some(({ callee, block }) => callee.text === 'process.exit' && isInside(block))) return undefined
  return exits.find((exit) => exit.kind === 'return' && isInside(exit.block) && isNever(file, exit))?.line
}

function isNever(file: IndexedFile, { value }: Exit): boolean {
  if (value === undefined || value.kind === 'null') return true
  if (value.kind === 'boolean') return !value.value
  if (value.kind === 'number') return value.value < 0
  const call = value.kind === 'call' ? file.facts.calls[value.call] : undefined
  if (call !== undefined) return call.isNew && /Error$/.test(call.callee.text)
  // `times > 3 ? null : 100`.
  return (
    value.kind === 'operation' &&
    value.operator === '?:' &&
    [value.left, value.right].some((side) => side.kind !== 'call' && isNever(file, { value: side } as Exit))
  )
}

/** Who makes clients with it, where a function does: each of them ends alike. */
function usersOf(program: Program, path: string, file: IndexedFile, strategy: Value): readonly Evidence[] {
  const parent = strategy.kind === 'function' ? (file.facts.blocks[strategy.block]?.parent ?? -1) : -1
  const maker = parent === -1 ? -1 : file.functionOf(parent)
  if (maker === -1) return []
  const sites = program.callers({ file: path, block: maker }).slice(0, USERS_MAX)
  return sites.map(({ file: from, call: { line, endLine } }) => ({
    provenance: 'static',
    loc: { file: from, line, endLine },
    what: 'a client that ends so is made here',
  }))
}

function discovery(path: string, name: string, line: number, users: readonly Evidence[]): Discovery {
  return {
    tier: 'strong',
    symbol: name,
    symptom:
      'After an outage that lasts a few attempts the client stays closed: every command fails until the process is restarted.',
    rootCause: `${name} answers that there is no next attempt, and nothing connects anew when the client has ended.`,
    evidence: [
      { provenance: 'static', loc: { file: path, line, endLine: line }, what: 'here it stops trying for good' },
      ...users,
    ],
  }
}
