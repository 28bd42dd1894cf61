// Limiters that a repository writes itself: what counts requests in a Map, a dict or a number of its process, and answers 429 by it.
//   QW2. Found once a file, where what counts, or what is around it, is named for a limit of rate, and 429 is answered there or by who loads it; a file that knows
//        a store that processes share is silent: there the one in memory only takes over.

import type { Assignment, Call, FileFacts, Value } from '../../facts/facts.ts'
import { type IndexedFile, type Program, programOf } from '../../program/index.ts'
import type { Repository } from '../../repository/repository.ts'
import type { Container } from '../bounds/container.ts'
import { containersOf } from '../bounds/containers.ts'
import { isByHand, isPage } from '../places.ts'

export interface OwnLimiter {
  readonly file: string
  readonly line: number
  readonly endLine: number
  readonly name: string
}

const LIMITS = /rate_?-?limit|(?:^|[_./-])limiter|[a-z]Limiter|throttl|token_?bucket|leaky_?bucket/i
const COUNTED = /token|count|remaining|available|level|requests|hits/i
const OTHER = /config|handler|listener|cache|rules?$|route|metric|stats|header|option|plan|tier/i
const SHARES =
  /redis|memcache|upstash|dynamo|mongo|prisma|sqlalchemy|typeorm|knex|sequelize|ioredis|valkey|etcd|cosmos/i
const LIBRARY = /rate-?_?limit|slow-down|slowapi|throttler|^bottleneck$|^limits(?:\.|$)|aiolimiter/i

export function* ownLimitersOf(repository: Repository): Iterable<OwnLimiter> {
  const program = programOf(repository.facts)
  const answering = answeringOf(program)
  for (const [path, facts] of repository.facts) {
    if (!LIMITS.test(namesOf(facts)) || isByHand(path) || isPage(facts) || !answering.has(path)) continue
    if (facts.imports.some(({ module }) => SHARES.test(module) || isLibrary(program, path, module))) continue
    const file = program.file(path)
    if (file === undefined || sharesByName(facts)) continue
    const found = countingIn(path, file) ?? bucketIn(path, file)
    if (found !== undefined) yield found
  }
}

function isLibrary(program: Program, path: string, module: string): boolean {
  return LIBRARY.test(module) && program.module(path, module) === undefined
}

function namesOf({ file, blocks }: FileFacts): string {
  return `${file.slice(file.lastIndexOf('/') + 1)} ${blocks.map(({ kind, name }) => (kind === 'class' || kind === 'function' ? name : '')).join(' ')}`
}

/** Files that answer 429, and what they load. */
function answeringOf(program: Program): ReadonlySet<string> {
  const found = new Set<string>()
  for (const path of program.files) {
    const facts = program.file(path)?.facts
    if (facts === undefined || !answers(facts)) continue
    found.add(path)
    for (const { module, imported } of facts.imports)
      for (const name of path.endsWith('.py')
        ? [module, `${module}${module.endsWith('.') ? '' : '.'}${imported}`]
        : [module]) {
        const loaded = program.module(path, name)
        if (loaded !== undefined) found.add(loaded)
      }
  }
  return found
}

const REFUSES = /TOO_MANY_REQUESTS|TooManyRequests|RateLimitExceeded|ThrottlerException/

function answers({ calls, exits, assignments }: FileFacts): boolean {
  return (
    calls.some(
      ({ callee, args, named }) =>
        REFUSES.test(callee.text) || args.some(isRefusal) || named.some(([, value]) => isRefusal(value)),
    ) ||
    exits.some(({ kind, value }) => kind === 'return' && value?.kind === 'list' && value.items.some(isRefusal)) ||
    assignments.some(({ target, value }) => /\.status(?:Code)?$/.test(target.text) && isRefusal(value))
  )
}

function isRefusal(value: Value): boolean {
  if (value.kind === 'number') return value.value === 429
  if (value.kind === 'path') return REFUSES.test(value.path.text)
  return value.kind === 'object' && value.entries.some(([name, inner]) => /^status/.test(name) && isRefusal(inner))
}

/** It asks something called after a shared store, whoever gave it. */
function sharesByName({ calls }: FileFacts): boolean {
  return calls.some(({ callee }) => SHARES.test(callee.text))
}

/** The first container that fills and that belongs to a limit. */
function countingIn(path: string, file: IndexedFile): OwnLimiter | undefined {
  for (const { container, uses } of containersOf(path, file)) {
    // One of a single call is none that counts.
    const kept = uses.filter(({ block }) => container.scope !== 'closure' || file.functionOf(block) !== container.owner)
    if (OTHER.test(container.name) || !kept.some(({ how }) => how === 'grow' || how === 'fill')) continue
    if (
      !isOfLimit(
        path,
        file,
        container,
        kept.map(({ block }) => block),
      )
    )
      continue
    return { file: path, line: container.at.line, endLine: container.at.line, name: container.name }
  }
  return undefined
}

function isOfLimit(path: string, file: IndexedFile, container: Container, used: readonly number[]): boolean {
  const { blocks } = file.facts
  if (LIMITS.test(container.name)) return true
  if (container.scope === 'field') return LIMITS.test(blocks[container.owner]?.name ?? '')
  return (
    LIMITS.test(path.slice(path.lastIndexOf('/') + 1)) ||
    used.some((block) => LIMITS.test(functionsAround(file, block)))
  )
}

function functionsAround({ facts: { blocks } }: IndexedFile, block: number): string {
  const names: string[] = []
  for (let at = block; at >= 0; at = blocks[at]?.parent ?? -1)
    names.push(blocks[at]?.kind === 'function' ? (blocks[at]?.name ?? '') : '')
  return names.join(' ')
}

/** A class that counts down a number, and of which one is made for everybody. */
function bucketIn(path: string, file: IndexedFile): OwnLimiter | undefined {
  for (const { block, name } of file.facts.classes) {
    if (!LIMITS.test(name)) continue
    const isCounting = [...file.written(block)].some(
      (field) => COUNTED.test(field) && file.writes(block, field).some((write) => isStep(write, field)),
    )
    const { line = 0 } = file.facts.blocks[block] ?? {}
    if (isCounting && isMadeOnce(file, name)) return { file: path, line, endLine: line, name }
  }
  return undefined
}

function isStep({ operator, value }: Assignment, field: string): boolean {
  return (
    operator === '+=' ||
    operator === '-=' ||
    operator === 'other' ||
    (value.kind === 'operation' &&
      /^[+-]$/.test(value.operator) &&
      value.left.kind === 'path' &&
      value.left.path.text === field)
  )
}

function isMadeOnce({ facts, functionOf }: IndexedFile, name: string): boolean {
  return facts.calls.some(
    ({ callee, block, target }: Call) =>
      callee.text === name &&
      target !== undefined &&
      (target.isOwn || target.root === 'module') &&
      !target.text.includes('[') &&
      (functionOf(block) === -1 ||
        facts.blocks[functionOf(block)]?.fn?.kind === 'constructor' ||
        facts.blocks[functionOf(block)]?.name === '__init__'),
  )
}
