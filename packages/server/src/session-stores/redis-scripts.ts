// The scripts by which Redis compares and sets. They know no rules and read no body: a commit costs 30 us of Redis that way; a reducer in Lua
// cost 130 us with ten participants (2026-11). All keys of a script are of one shard.
// A session is a hash: epoch, version, head, status, deadline, body; `last`, the id of its last record in the stream; and its last operations as
// a ring: `count` of them, `at:<slot>` which one, `op:<mark>` its version.
// Invariants:
//   SR2. A script writes all of a commit or nothing: session, log, deadline, operation; and tells of it after that.
//   SR3. A script that was flushed, or never known, is sent along and works at the first try.
//   SR8. A server that was started anew takes no commit before an epoch was begun for it: it may have lost what it acknowledged last.

import { createHash } from 'node:crypto'
import type { Redis } from 'ioredis'
import { OPERATIONS_KEPT } from './store.ts'

export interface Script {
  readonly text: string
  readonly sha1: string
}

function createScript(text: string): Script {
  return { text, sha1: createHash('sha1').update(text).digest('hex') }
}

/** What the server must be, whose run id the caller's connection was told, and the epoch that it is in. */
const FENCE = `
local present = redis.call('MGET', KEYS[1], KEYS[2])
if present[1] ~= ARGV[1] or present[2] ~= ARGV[2] then return { 'fenced' } end
`

/** KEYS: epoch, run, session, log, added, due. ARGV: epoch, run id, version, head, status, deadline, body, record, member, when due. */
export const CREATE = createScript(`${FENCE}
if redis.call('EXISTS', KEYS[3]) == 1 then return { 'exists' } end
local added = redis.call('INCR', KEYS[5])
local id = redis.call('XADD', KEYS[4], '*', 'number', added, 'before', '', 'record', ARGV[8])
redis.call('HSET', KEYS[3], 'epoch', ARGV[1], 'version', ARGV[3], 'head', ARGV[4], 'status', ARGV[5],
  'deadline', ARGV[6], 'body', ARGV[7], 'last', id)
if ARGV[10] ~= '' then redis.call('ZADD', KEYS[6], ARGV[10], ARGV[9]) end
return { 'created' }
`)

/** As CREATE's, then: epoch and version that it was decided on, mark of the operation, channel, ms to live. Empty: there is none. */
export const COMMIT = createScript(`${FENCE}
local operation = ARGV[13]
local kept = redis.call('HMGET', KEYS[3], 'epoch', 'version', 'last', 'count', 'op:' .. operation)
if not kept[1] then return { 'missing' } end
if operation ~= '' and kept[5] then return { 'repeated', kept[5] } end
if kept[1] ~= ARGV[11] or kept[2] ~= ARGV[12] then
  return { 'conflict', redis.call('HMGET', KEYS[3], 'epoch', 'version', 'head', 'status', 'deadline', 'body') }
end
local added = redis.call('INCR', KEYS[5])
local id = redis.call('XADD', KEYS[4], '*', 'number', added, 'before', kept[3] or '', 'record', ARGV[8])
redis.call('HSET', KEYS[3], 'epoch', ARGV[1], 'version', ARGV[3], 'head', ARGV[4], 'status', ARGV[5],
  'deadline', ARGV[6], 'body', ARGV[7], 'last', id)
if operation ~= '' then
  local count = tonumber(kept[4] or '0')
  local slot = 'at:' .. count % ${OPERATIONS_KEPT}
  local oldest = redis.call('HGET', KEYS[3], slot)
  if oldest then redis.call('HDEL', KEYS[3], 'op:' .. oldest) end
  redis.call('HSET', KEYS[3], 'count', count + 1, slot, operation, 'op:' .. operation, ARGV[3])
end
if ARGV[10] == '' then redis.call('ZREM', KEYS[6], ARGV[9]) else redis.call('ZADD', KEYS[6], ARGV[10], ARGV[9]) end
if ARGV[15] ~= '' then redis.call('PEXPIRE', KEYS[3], ARGV[15]) end
redis.call('PUBLISH', ARGV[14], ARGV[8])
return { 'committed' }
`)

/** KEYS: session, log, added, due. ARGV: record, member, channel, ms that its name stays taken. Gives 1 if it was there. */
export const REMOVE = createScript(`
local kept = redis.call('HMGET', KEYS[1], 'epoch', 'last')
if not kept[1] then return 0 end
local added = redis.call('INCR', KEYS[3])
local id = redis.call('XADD', KEYS[2], '*', 'number', added, 'before', kept[2] or '', 'record', ARGV[1])
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'deleted', 1, 'last', id)
redis.call('PEXPIRE', KEYS[1], ARGV[4])
redis.call('ZREM', KEYS[4], ARGV[2])
redis.call('PUBLISH', ARGV[3], ARGV[1])
return 1
`)

/**
 * KEYS: session, due. ARGV: epoch and version that are there (empty: nothing is), epoch, version, head, status, deadline, body, member, when due,
 * ms to live, then marks of operations and their versions by turns, oldest first. Gives 1 if it was put there.
 */
export const RESTORE = createScript(`
local kept = redis.call('HMGET', KEYS[1], 'epoch', 'version', 'deleted')
if kept[3] or (kept[1] or '') ~= ARGV[1] or (kept[2] or '') ~= ARGV[2] then return 0 end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'epoch', ARGV[3], 'version', ARGV[4], 'head', ARGV[5], 'status', ARGV[6],
  'deadline', ARGV[7], 'body', ARGV[8])
local count = 0
for i = 12, #ARGV, 2 do
  redis.call('HSET', KEYS[1], 'at:' .. count % ${OPERATIONS_KEPT}, ARGV[i], 'op:' .. ARGV[i], ARGV[i + 1])
  count = count + 1
end
if count > 0 then redis.call('HSET', KEYS[1], 'count', count) end
if ARGV[10] == '' then redis.call('ZREM', KEYS[2], ARGV[9]) else redis.call('ZADD', KEYS[2], ARGV[10], ARGV[9]) end
if ARGV[11] ~= '' then redis.call('PEXPIRE', KEYS[1], ARGV[11]) end
return 1
`)

/** KEYS: due, then sessions. ARGV: now, end of the lease, then their members. Gives members and deadlines of those that were still due. */
export const CLAIM = createScript(`
local claimed = {}
for i = 3, #ARGV do
  local due = redis.call('ZSCORE', KEYS[1], ARGV[i])
  if due and tonumber(due) <= tonumber(ARGV[1]) then
    local deadline = redis.call('HGET', KEYS[i - 1], 'deadline')
    if deadline and deadline ~= '' then
      redis.call('ZADD', KEYS[1], ARGV[2], ARGV[i])
      claimed[#claimed + 1] = ARGV[i]
      claimed[#claimed + 1] = deadline
    else
      redis.call('ZREM', KEYS[1], ARGV[i])
    end
  end
end
return claimed
`)

/**
 * Records of a session, newest first, along the ids by which each names the one before it. KEYS: session, log, drained. ARGV: the id to begin with
 * (empty: the last one), how many at most. Gives what is drained, the id to go on with (empty: no more are kept), and the records with their ids.
 */
export const WALK = createScript(`
local at = ARGV[1]
if at == '' then at = redis.call('HGET', KEYS[1], 'last') or '' end
local found = { redis.call('GET', KEYS[3]) or '', '' }
for step = 1, tonumber(ARGV[2]) do
  if at == '' then break end
  local entry = redis.call('XRANGE', KEYS[2], at, at)[1]
  if not entry then at = '' break end
  found[#found + 1] = at
  found[#found + 1] = entry[2][6]
  at = entry[2][4]
end
found[2] = at
return found
`)

/**
 * What follows from draining. KEYS: drained, log, then sessions that ended or were deleted. ARGV: id and number of the last record that Postgres
 * has, the id that is to be kept from, ms to live. Only what has an end already gets a nearer one: a session may have been put in its place.
 */
export const SETTLE = createScript(`
redis.call('SET', KEYS[1], ARGV[1])
redis.call('XTRIM', KEYS[2], 'MINID', '~', ARGV[2])
for i = 3, #KEYS do
  if redis.call('PTTL', KEYS[i]) > 0 then redis.call('PEXPIRE', KEYS[i], ARGV[3]) end
end
return 1
`)

/** KEYS: epoch, run. ARGV: the new one. It never goes back, and is for the server as it runs now. */
export const SET_EPOCH = createScript(`
if tonumber(redis.call('GET', KEYS[1]) or '0') >= tonumber(ARGV[1]) then return 0 end
redis.call('MSET', KEYS[1], ARGV[1], KEYS[2], redis.call('INFO', 'server'):match('run_id:(%w+)'))
return 1
`)

type Argument = string | number

export async function runScript<T>(
  redis: Redis,
  script: Script,
  keys: readonly string[],
  args: readonly Argument[],
): Promise<T> {
  try {
    return (await redis.evalsha(script.sha1, keys.length, ...keys, ...args)) as T
  } catch (error) {
    if (!(error instanceof Error && error.message.startsWith('NOSCRIPT'))) throw error
    return (await redis.eval(script.text, keys.length, ...keys, ...args)) as T
  }
}
