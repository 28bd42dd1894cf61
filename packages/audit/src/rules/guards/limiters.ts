// Limiters of request rates, as libraries create them, and where each keeps its counters.

import type { Call, Value } from '../../facts/facts.ts'
import { type CallSite, type Program, programOf } from '../../program/index.ts'
import type { Repository } from '../../repository/repository.ts'
import { constantOf, mayHide, optionOf } from '../queries.ts'

export interface Limiter {
  readonly site: CallSite
  readonly library: string
  readonly store: 'memory' | 'shared' | 'unknown'
  /** When its store fails: requests go through, are refused, or it is not known. */
  readonly onStoreError: 'passes' | 'refuses' | 'unknown'
}

const KEPT = new WeakMap<Repository['facts'], readonly Limiter[]>()
const NAMES = new Set([
  'rateLimit',
  'rateLimiter',
  'RateLimit',
  'expressRateLimit',
  'slowDown',
  'expressSlowDown',
  'Limiter',
  'RateLimiterMemory',
  'forRoot',
  'register',
  'ratelimit',
  'rate_limit',
  'default',
  'limit',
])

export function limitersOf({ facts }: Repository): readonly Limiter[] {
  const kept = KEPT.get(facts)
  if (kept !== undefined) return kept
  const program = programOf(facts)
  const found: Limiter[] = []
  for (const [file, { calls, imports }] of facts) {
    if (!imports.some(({ module }) => LIBRARIES.test(module))) continue
    for (const call of calls) {
      const limiter = limiterOf(program, file, call)
      // Beside one that is shared it is what takes over when that one fails.
      const isInsurance =
        limiter?.library === 'rate-limiter-flexible' && calls.some(({ callee }) => SHARED.test(callee.text))
      if (limiter !== undefined && !isInsurance) found.push(limiter)
    }
  }
  KEPT.set(facts, found)
  return found
}

const SHARED = /^RateLimiter(?!Memory)\w+$/
const LIBRARIES =
  /^(?:express-rate-limit|express-slow-down|slowapi|flask_limiter|rate-limiter-flexible|@nestjs\/throttler|@fastify\/rate-limit|fastify-rate-limit|koa-ratelimit|hono-rate-limiter)(?:\.|\/|$)/

function moduleOf({ callee }: Call): string | undefined {
  const { root } = callee
  return root.startsWith('import:') ? root.slice('import:'.length).split('#', 1)[0] : undefined
}

function limiterOf(program: Program, file: string, call: Call): Limiter | undefined {
  const name = call.callee.text.slice(call.callee.text.lastIndexOf('.') + 1)
  const module = moduleOf(call)
  const make = (
    library: string,
    store: Limiter['store'],
    onStoreError: Limiter['onStoreError'] = 'unknown',
  ): Limiter => ({ site: { file, call }, library, store, onStoreError })
  if (module === '@nestjs/throttler' && /ThrottlerModule\.forRoot(?:Async)?$/.test(call.callee.text)) {
    // A guard of their own may count elsewhere.
    if (name === 'forRootAsync' || hasOwnGuard(program)) return make(module, 'unknown')
    return make(module, storeOf(program, file, call, 'storage'))
  }
  if (
    (module === 'express-rate-limit' || module === 'express-slow-down' || module === 'hono-rate-limiter') &&
    (NAMES.has(name) || !call.callee.text.includes('.'))
  ) {
    if (/^(?:ipKeyGenerator|MemoryStore)$/.test(name)) return undefined
    const store = storeOf(program, file, call, 'store')
    return make(
      module,
      store,
      store === 'shared' && module === 'express-rate-limit' ? refusal(call, 'passOnStoreError') : 'unknown',
    )
  }
  if (name === 'register' && isPlugin(call.args[0])) {
    const options = call.args[1] ?? { kind: 'object', entries: [], hasSpread: false }
    const store = storeIn(program, file, options, ['redis', 'store'])
    return make('@fastify/rate-limit', store)
  }
  if (
    name === 'Limiter' &&
    (module === 'slowapi' ||
      module === 'slowapi.extension' ||
      module === 'flask_limiter' ||
      module === 'flask_limiter.extension')
  ) {
    const store = optionOf(call, 'storage_uri')
    const isHidden =
      mayHide(call) ||
      (module.startsWith('flask') &&
        optionOf(call, 'app') === undefined &&
        call.args.length === 0 &&
        store === undefined)
    const kind = store === undefined ? (isHidden ? 'unknown' : 'memory') : kindOfUri(constantOf(program, file, store))
    const isSoft = ['in_memory_fallback_enabled', 'in_memory_fallback', 'swallow_errors'].some(
      (option) => optionOf(call, option) !== undefined,
    )
    return make(
      module.split('.', 1)[0] as string,
      kind,
      kind === 'shared' && !mayHide(call) ? (isSoft ? 'passes' : 'refuses') : 'unknown',
    )
  }
  if (name === 'RateLimiterMemory' && call.isNew && module === 'rate-limiter-flexible') return make(module, 'memory')
  return undefined
}

function refusal(call: Call, option: string): Limiter['onStoreError'] {
  const value = optionOf(call, option)
  if (value === undefined) return mayHide(call) || call.args[0]?.kind !== 'object' ? 'unknown' : 'refuses'
  if (value.kind !== 'boolean') return 'unknown'
  return value.value ? 'passes' : 'refuses'
}

function isPlugin(value: Value | undefined): boolean {
  return value?.kind === 'path' && /^import:(?:@fastify\/|fastify-)rate-limit(?:#|$)/.test(value.path.root)
}

function storeOf(program: Program, file: string, call: Call, option: string): Limiter['store'] {
  const [given] = call.args
  return given === undefined ? 'memory' : storeIn(program, file, given, [option])
}

function storeIn(program: Program, file: string, given: Value, names: readonly string[]): Limiter['store'] {
  const options = constantOf(program, file, given)
  // A list of limits, which has no store.
  if (options.kind === 'list') return options.hasSpread ? 'unknown' : 'memory'
  if (options.kind !== 'object' || options.hasSpread) return 'unknown'
  const value = options.entries.find(([key]) => names.includes(key))?.[1]
  if (value === undefined || value.kind === 'null') return 'memory'
  const created = value.kind === 'call' ? program.file(file)?.facts.calls[value.call] : undefined
  if (created === undefined) return 'unknown'
  return /MemoryStore$/.test(created.callee.text) ? 'memory' : 'shared'
}

function kindOfUri(value: Value): Limiter['store'] {
  const text = value.kind === 'string' ? value.value : value.kind === 'template' ? (value.parts[0] ?? '') : ''
  if (text.startsWith('memory')) return 'memory'
  return value.kind === 'null'
    ? 'memory'
    : /^(?:async\+)?(?:redis|rediss|memcached|mongodb|etcd)/.test(text)
      ? 'shared'
      : value.kind === 'path' && /redis/i.test(value.path.text)
        ? 'shared'
        : 'unknown'
}

function hasOwnGuard(program: Program): boolean {
  return program.files.some((path) =>
    program.file(path)?.facts.classes.some(({ bases }) => bases.includes('ThrottlerGuard')),
  )
}
