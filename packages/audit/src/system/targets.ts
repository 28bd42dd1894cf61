// Where a call leads, and whether it changes something there, as far as its arguments say it.

import type { Call, Value } from '../facts/facts.ts'
import type { CallSite, Program } from '../program/index.ts'

const READS =
  /^(?:get\w*|head|options|find\w*|select|read\w*|fetch\w*|list\w*|count\w*|exists|h?mget|hgetall|hget|lrange|llen|smembers|sismember|zrange\w*|scan|keys|ttl|ping|search|aggregate|describe\w*|query_?one|paginate|stream)$/i
const WRITES =
  /^(?:post|put|patch|delete|del|insert\w*|update\w*|create\w*|save\w*|remove\w*|replace\w*|set\w*|h?mset|hset|hdel|incr\w*|decr\w*|lpush|rpush|lpop|rpop|sadd|srem|zadd|zrem|expire|publish|send\w*|emit|add\w*|bulk\w*|xadd|mutate|\w+Form)$/i

/** Statements about a transaction, which write nothing themselves. */
const AROUND = /^(?:begin|start\s+transaction|commit|end|rollback|savepoint|release|set|reset|listen|lock)\b/i

export function effectOf({ args, named }: Call, method: string): 'read' | 'write' | 'unknown' {
  const verb = optionText(args, named)
  if (verb !== undefined) return /^(?:get|head|options)$/i.test(verb) ? 'read' : 'write'
  const sql = textOf(args[0])?.trimStart()
  if (/^(?:query|execute|\$queryRaw)/.test(method) && sql !== undefined)
    return AROUND.test(sql) ? 'unknown' : /^(?:select|show|explain)\b/i.test(sql) ? 'read' : 'write'
  if (/^(?:fetch|axios|got|ky|urlopen)$/.test(method)) return 'read'
  return READS.test(method) ? 'read' : WRITES.test(method) ? 'write' : 'unknown'
}

/** `method: 'POST'`. */
function optionText(args: readonly Value[], named: Call['named']): string | undefined {
  const given = named.find(([name]) => name === 'method')?.[1]
  if (given !== undefined) return textOf(given)
  for (const arg of args) {
    const entry = arg.kind === 'object' ? arg.entries.find(([name]) => name === 'method') : undefined
    if (entry !== undefined) return textOf(entry[1])
  }
  return undefined
}

function textOf(value: Value | undefined): string | undefined {
  if (value?.kind === 'string') return value.value
  return value?.kind === 'template' ? value.parts.join('…') : undefined
}

/** Host of a URL among the arguments, or the environment variable that is read there. */
export function targetOf(program: Program, { file, call }: CallSite): string | undefined {
  for (const value of [...call.args, ...call.named.map(([, each]) => each)].flatMap(flat)) {
    const text = value.kind === 'template' ? value.parts[0] : textOf(value)
    const host = /^[a-z][a-z0-9+.-]*:\/\/(?:[^/@\s]*@)?([\w.-]+)/i.exec(text ?? '')?.[1]
    if (host !== undefined) return host
  }
  const facts = program.file(file)?.facts
  return facts?.envReads.find(({ line, block }) => block === call.block && line >= call.line && line <= call.endLine)
    ?.name
}

function flat(value: Value): readonly Value[] {
  return value.kind === 'object' ? value.entries.map(([, inner]) => inner) : [value]
}
