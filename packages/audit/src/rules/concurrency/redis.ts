// Redis as rules of concurrency see it: which calls read a key and which write it, and under which condition. A client is known by what created it, and else by its name.
// Django's cache counts as one: whatever stands behind it, reading and writing are two steps.

import type { Call, Import, Value } from '../../facts/facts.ts'
import type { IndexedFile, Program } from '../../program/index.ts'
import { lastName, optionOf } from '../queries.ts'
import { keyOf, type Names } from './keys.ts'

export interface RedisUse {
  readonly call: number
  readonly op: 'read' | 'write' | 'claim' | 'expire' | 'delete' | 'script'
  readonly key: string
  readonly value: Value | undefined
  /** Written with a time to live. */
  readonly expires: boolean
}

const LIBRARY =
  /^import:(?:ioredis|redis|redis\.asyncio|aioredis|@upstash\/redis|node-redis|async-redis|handy-redis|fakeredis|@redis\/client)(?:[#.]|$)/
const NAME = /redis|(?:^|[._])(?:rds|rdb|r_client|kv)(?:$|[._])/i
/** Named after Redis, and something else: a queue, a lock, a pool. */
const NO_CLIENT =
  /(?:queue|lock|redlock|pubsub|publisher|subscriber|url|config|options|settings|store|adapter|health|service|manager|session|limiter)$/i

const READS =
  /^(?:get|hget|hgetall|hGet|hGetAll|exists|getAsync|get_async|json_get|llen|scard|zscore|sismember|hexists|mget|getBuffer|getex)$/
const WRITES =
  /^(?:set|setex|setEx|psetex|pSetEx|hset|hSet|hmset|hMSet|json_set|setAsync|set_async|set_json|rpush|lpush|sadd|zadd|zAdd|sAdd|rPush|lPush)$/
const SCRIPTS = /^(?:eval|evalsha|evalSha|watch|WATCH|register_script|defineCommand|fcall)$/

/** Is what a path ends in before its last name a client of Redis? `named`: only its name says so. */
export function redisClient(
  program: Program,
  file: IndexedFile,
  { callee, block }: Call,
): 'known' | 'named' | undefined {
  const dot = callee.text.lastIndexOf('.')
  if (dot === -1 || callee.text.startsWith('()')) return undefined
  const text = callee.text.slice(0, dot)
  const path = { ...callee, text }
  const created = program.created(file.facts.file, path, block)
  if (created !== undefined && LIBRARY.test(created.call.callee.root)) return 'known'
  if (LIBRARY.test(callee.root) && !/#(?:Redis|createClient)/.test(callee.root)) return 'known'
  const name = text.slice(text.lastIndexOf('.') + 1)
  if (/^_?cache$/.test(name) && file.facts.imports.some(isDjangoCache)) return 'known'
  const imported = callee.root.startsWith('import:') && !text.includes('.') ? callee.root : ''
  if (!NAME.test(name) && !(NAME.test(imported) && /client|conn|^r$|kv/i.test(name))) return undefined
  return NO_CLIENT.test(name) ? undefined : 'named'
}

function isDjangoCache({ module, imported }: Import): boolean {
  return module === 'django.core.cache' && /^caches?$/.test(imported)
}

/** What a call does with a key of Redis; undefined: nothing of the kind. */
export function redisUse(
  program: Program,
  file: IndexedFile,
  fn: number,
  index: number,
  names?: Names,
): RedisUse | undefined {
  const call = file.facts.calls[index]
  if (call === undefined) return undefined
  const op = operationOf(call)
  if (op === undefined || redisClient(program, file, call) === undefined) return undefined
  const key = keyOf(file, fn, call.args[0], names)
  return { call: index, op, key, value: writtenBy(call), expires: expires(call) }
}

function operationOf(call: Call): RedisUse['op'] | undefined {
  const name = lastName(call.callee)
  if (SCRIPTS.test(name)) return 'script'
  if (/^(?:expire|pexpire|expireat|pExpire|expireAt)$/.test(name)) return 'expire'
  if (/^(?:del|delete|unlink|hdel|hDel|srem|lrem|zrem)$/.test(name)) return 'delete'
  if (/^(?:setnx|setNX|hsetnx|hSetNX|msetnx)$/.test(name)) return 'claim'
  if (READS.test(name) && call.args.length > 0) return 'read'
  if (!WRITES.test(name) || call.args.length < 2) return undefined
  return isConditional(call) ? 'claim' : 'write'
}

function isConditional(call: Call): boolean {
  if (call.args.some((arg) => arg.kind === 'string' && /^(?:NX|XX)$/i.test(arg.value))) return true
  return ['nx', 'xx', 'NX', 'XX', 'condition'].some((name) => {
    const given = optionOf(call, name)
    return given !== undefined && !(given.kind === 'boolean' && !given.value)
  })
}

function expires(call: Call): boolean {
  if (/^(?:setex|setEx|psetex|pSetEx|getex)$/.test(lastName(call.callee))) return true
  if (call.args.some((arg) => arg.kind === 'string' && /^(?:EX|PX|EXAT|PXAT|KEEPTTL)$/i.test(arg.value))) return true
  const named = [
    'ex',
    'px',
    'EX',
    'PX',
    'exat',
    'pxat',
    'EXAT',
    'PXAT',
    'keepttl',
    'expiration',
    'ttl',
    'expire',
    'timeout',
  ]
  return named.some((name) => {
    const given = optionOf(call, name)
    return given !== undefined && given.kind !== 'null'
  })
}

function writtenBy(call: Call): Value | undefined {
  const name = lastName(call.callee)
  if (/^(?:setex|setEx|psetex|pSetEx)$/.test(name)) return call.args[2]
  if (/^h/.test(name)) return call.args[2] ?? call.args[1]
  return call.args[1]
}
