// Filters: CEL over `event`, from people we don't know, run for every event of their types inside the process that publishes. So:
// compiled when they are given, of a bounded size, of the functions named here only, without regular expressions that
// backtrack (RE2 instead), and with the work of a run known before it begins.
// Numbers of JSON are doubles; CEL does not mix them with its own whole numbers, and nobody who writes `amount * 2` expects that:
// here they mix.
// Invariants:
//   WF2. A filter never throws and never hangs: what can't be told, or would cost more than COST_MAX, is an error, which is no match.
//   WF3. Nothing of JavaScript can be reached from a filter: only the event's own keys, and the functions of FUNCTIONS.

import { createRequire } from 'node:module'
import type { ASTNode, Environment } from '@marcbachmann/cel-js'
import { RipstopError } from '@ripstop/kernel'
import '@ripstop/protocol'
import type { RE2JS } from 're2js'
import { FILTER_LENGTH_MAX } from './limits.ts'

/** Loaded with the first filter: 9 MB that a mesh without filters does not need (2026-11). */
const load = createRequire(import.meta.url)

const LIMITS = { maxAstNodes: 200, maxDepth: 24, maxListElements: 100, maxMapEntries: 20, maxCallArguments: 4 }
const REGEX_LENGTH_MAX = 200
/** Characters that regular expressions may look at in one run: RE2 is linear, and takes about 0.2 us for one. */
const REGEX_CHARACTERS_MAX = 10_000
/** Nodes evaluated, weighed: 0.1 us each, so 20 ms at the very most. */
const COST_MAX = 200_000
/** A comparison may walk through whole objects. */
const COMPARISON_COST = 20
/** `getHours('Europe/Berlin')` asks the calendars of the world: 40 us. */
const ZONE_COST = 400
/** So many bytes of an event are walked through in the time of one node. */
const BYTES_PER_NODE = 4_096

const MACROS: ReadonlySet<string> = new Set(['all', 'exists', 'exists_one', 'filter'])
const FUNCTIONS: ReadonlySet<string> = new Set(
  ['has', 'size', 'startsWith', 'endsWith', 'contains', 'lowerAscii', 'upperAscii', 'trim', 'matches', 'type', 'dyn']
    .concat(['int', 'uint', 'double', 'string', 'bool', 'timestamp', 'duration', 'getFullYear', 'getMonth'])
    .concat(['getDate', 'getDayOfMonth', 'getDayOfWeek', 'getDayOfYear', 'getHours', 'getMinutes', 'getSeconds'])
    .concat([...MACROS]),
)
const LINEAR = 'matchesLinear'
const COMPARISONS: ReadonlySet<string> = new Set(['==', '!=', 'in'])

export type Verdict = 'match' | 'no match' | { readonly error: string }

export interface Filter {
  /** `bytes`: of the event's body, which bounds what there is to walk through. */
  readonly test: (event: Readonly<Record<string, unknown>>, bytes: number) => Verdict
}

/** Throws FILTER_INVALID, with the reason and its place. */
export function compileFilter(text: string): Filter {
  if (text.length > FILTER_LENGTH_MAX) throw invalid(`it has more than ${FILTER_LENGTH_MAX} characters`)
  const budget = { characters: 0 }
  const patterns = new Map<string, RE2JS>()
  try {
    const environment = createEnvironment()
    // After the library itself: its modules import each other in a circle, and this one can't be the first.
    const { serialize } = load('@marcbachmann/cel-js/serialize') as typeof import('@marcbachmann/cel-js/serialize')
    const given = environment.parse(text)
    const checked = given.check()
    if (!checked.valid) throw invalid(checked.error?.summary ?? 'it is not well typed')
    if (checked.type !== 'bool' && checked.type !== 'dyn') throw invalid(`it is a ${checked.type}, and must be a bool`)
    const cost = prepare(given.ast, patterns)
    const run = addLinear(environment, patterns, budget).parse(serialize(given.ast))
    return { test: (event, bytes) => test(run, event, bytes, cost, budget) }
  } catch (error) {
    if (error instanceof RipstopError) throw error
    throw invalid(summaryOf(error), error)
  }
}

type Run = (context: Record<string, unknown>) => unknown

function test(
  run: Run,
  event: Readonly<Record<string, unknown>>,
  bytes: number,
  cost: Cost,
  budget: { characters: number },
): Verdict {
  const longest = cost.depth === 0 ? 0 : longestList(event)
  const nodes = costOf(cost, longest)
  if (nodes * Math.ceil(bytes / BYTES_PER_NODE) > COST_MAX) return { error: 'it would take too long on this event' }
  budget.characters = REGEX_CHARACTERS_MAX
  try {
    const value = run({ event })
    if (typeof value !== 'boolean') return { error: 'it gives no bool' }
    return value ? 'match' : 'no match'
  } catch (error) {
    return { error: summaryOf(error) }
  }
}

/** One for each filter: `clone` freezes its parent, and filters are compiled once. */
function createEnvironment(): Environment {
  const { Environment } = load('@marcbachmann/cel-js') as typeof import('@marcbachmann/cel-js')
  const environment = new Environment({ limits: LIMITS, homogeneousAggregateLiterals: false })
  environment.registerVariable('event', 'dyn')
  for (const [left, right] of [
    ['double', 'int'],
    ['int', 'double'],
  ]) {
    for (const [operator, apply] of ARITHMETIC) {
      environment.registerOperator(`${left} ${operator} ${right}`, (a: number | bigint, b: number | bigint) =>
        apply(Number(a), Number(b)),
      )
    }
  }
  environment.registerOperator('double % double', (a: number, b: number) => a % b)
  return environment
}

const ARITHMETIC: readonly (readonly [string, (a: number, b: number) => number])[] = [
  ['+', (a, b) => a + b],
  ['-', (a, b) => a - b],
  ['*', (a, b) => a * b],
  ['/', (a, b) => a / b],
  ['%', (a, b) => a % b],
]

function addLinear(
  environment: Environment,
  patterns: ReadonlyMap<string, RE2JS>,
  budget: { characters: number },
): Environment {
  return environment.registerFunction(`string.${LINEAR}(string): bool`, (text: string, pattern: string) => {
    budget.characters -= text.length
    if (budget.characters < 0) throw new Error('its regular expressions would take too long on this event')
    return patterns.get(pattern)?.matcher(text).find() === true
  })
}

/** The weight of the nodes at each depth of macros, the longest list written out, and how many `+` can make one longer. */
interface Cost {
  readonly depth: number
  readonly weights: readonly number[]
  readonly additions: number
  readonly listed: number
}

/** A node within n macros runs once for every element of every list around it. */
function costOf({ weights, additions, listed }: Cost, inEvent: number): number {
  const longest = Math.max(1, listed, inEvent) * (1 + additions)
  return weights.reduce((sum, weight, depth) => sum + weight * longest ** depth, 0)
}

type Node = { op: string; args: unknown }

/** Refuses what is not in FUNCTIONS, compiles regular expressions and has them called by LINEAR, and weighs the rest. */
function prepare(ast: ASTNode, patterns: Map<string, RE2JS>): Cost {
  const weights: number[] = []
  let additions = 0
  let listed = 0
  const visit = (value: unknown, depth: number): void => {
    if (Array.isArray(value)) {
      for (const item of value) visit(item, depth)
      return
    }
    if (!isNode(value)) return
    weights[depth] = (weights[depth] ?? 0) + weightOf(value)
    if (value.op === '+') additions++
    if (value.op === 'list' || value.op === 'map') listed = Math.max(listed, (value.args as unknown[]).length)
    visitCall(value, patterns)
    const [name, target, rest] = Array.isArray(value.args) ? value.args : []
    if (value.op === 'rcall' && MACROS.has(String(name))) {
      visit(target, depth)
      visit(rest, depth + 1)
    } else visit(value.args, depth)
  }
  visit(ast, 0)
  const filled = Array.from(weights, (weight) => weight ?? 0)
  return { depth: filled.length - 1, weights: filled, additions, listed }
}

function weightOf({ op, args }: Node): number {
  const isZoned = op === 'rcall' && String((args as unknown[])[0]).startsWith('get')
  if (isZoned && ((args as unknown[])[2] as unknown[]).length > 0) return ZONE_COST
  if (!COMPARISONS.has(op)) return 1
  const [left, right] = args as Node[]
  return left?.op === 'value' || right?.op === 'value' ? 1 : COMPARISON_COST
}

function visitCall(node: Node, patterns: Map<string, RE2JS>): void {
  if (node.op !== 'call' && node.op !== 'rcall') return
  const args = node.args as unknown[]
  const name = String(args[0])
  if (!FUNCTIONS.has(name)) throw invalid(`${name}() is not known here`)
  if (name !== 'matches' || node.op !== 'rcall') return
  const [pattern] = args[2] as Node[]
  if (pattern?.op !== 'value' || typeof pattern.args !== 'string')
    throw invalid('matches() needs its regular expression written out')
  if (pattern.args.length > REGEX_LENGTH_MAX)
    throw invalid(`a regular expression has at most ${REGEX_LENGTH_MAX} characters`)
  const { RE2JS } = load('re2js') as typeof import('re2js')
  patterns.set(pattern.args, RE2JS.compile(pattern.args))
  args[0] = LINEAR
}

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && 'op' in value && 'args' in value
}

const measured = new WeakMap<object, number>()

/** The longest list or map in an event, so that the length of every loop is known before; looked for once for each event. */
function longestList(event: object): number {
  const known = measured.get(event)
  if (known !== undefined) return known
  let longest = 0
  const waiting: unknown[] = [event]
  for (let value = waiting.pop(); value !== undefined; value = waiting.pop()) {
    if (typeof value !== 'object' || value === null) continue
    const items = Object.values(value)
    longest = Math.max(longest, items.length)
    for (const item of items) if (typeof item === 'object' && item !== null) waiting.push(item)
  }
  measured.set(event, longest)
  return longest
}

function summaryOf(error: unknown): string {
  if (!(error instanceof Error)) return 'it failed'
  const text = 'summary' in error && typeof error.summary === 'string' ? error.summary : error.message
  return (text.split('\n')[0] ?? '').slice(0, 200)
}

function invalid(why: string, cause?: unknown): RipstopError {
  const problems = [{ field: 'body.filter', problem: why }]
  return new RipstopError('FILTER_INVALID', `the filter can't be used: ${why}`, { cause, details: { problems } })
}
