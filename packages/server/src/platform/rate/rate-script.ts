// The one script that shares rates over processes: the same algorithm as in rate-table.ts, on Redis' own clock, for a
// batch of requests at a time. One key a client, gone when its quota is whole again.

import { createHash } from 'node:crypto'
import type { Quota } from './rate-table.ts'

/** What is needed of a Redis client. */
export interface RateScripts {
  evalsha(sha1: string, keys: number, ...args: (string | number)[]): Promise<unknown>
  eval(script: string, keys: number, ...args: (string | number)[]): Promise<unknown>
}

/** ARGV: cost of a request and window, µs; how many are wanted. Answers: granted, left, ms until whole, ms until one. */
const SCRIPT = `
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local cost, window, wanted = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local whole = tonumber(redis.call('GET', KEYS[1]) or now)
if whole < now then whole = now end
local free = math.floor((window - (whole - now) + 100) / cost)
local granted = math.max(0, math.min(wanted, free))
if granted > 0 then
  whole = whole + granted * cost
  redis.call('SET', KEYS[1], string.format('%.0f', whole), 'PX', math.ceil((whole - now) / 1000))
end
local wait = 0
if granted == 0 then wait = math.ceil((whole - now + cost - window) / 1000) end
return { granted, math.max(0, free - granted), math.ceil((whole - now) / 1000), wait }
`
const SHA1 = createHash('sha1').update(SCRIPT).digest('hex')

export interface Grant {
  readonly granted: number
  readonly left: number
  readonly resetMs: number
  /** 0 if any was granted. */
  readonly waitMs: number
}

/** Takes up to `wanted` requests from the shared quota of `key`. */
export async function takeShared(redis: RateScripts, key: string, quota: Quota, wanted: number): Promise<Grant> {
  const windowUs = quota.windowMs * 1_000
  const args = [key, windowUs / quota.count, windowUs, wanted]
  const answer = await redis.evalsha(SHA1, 1, ...args).catch((error: unknown) => {
    // Redis was restarted or its scripts were flushed: EVAL sends the script along and loads it again.
    if (error instanceof Error && error.message.startsWith('NOSCRIPT')) return redis.eval(SCRIPT, 1, ...args)
    throw error
  })
  const [granted = 0, left = 0, resetMs = 0, waitMs = 0] = Array.isArray(answer) ? answer.map(Number) : []
  return { granted, left, resetMs, waitMs: granted > 0 ? 0 : Math.max(1, waitMs) }
}
