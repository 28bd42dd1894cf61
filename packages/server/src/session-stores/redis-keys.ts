// Where sessions live in Redis. 16 logical shards by hash of the session's id; everything of a shard carries its hash tag, so that all keys of
// a script are in one slot: on Cluster, shards spread over nodes and nothing else changes.
// Invariants:
//   SR1. Every key and channel that has to do with a session is of its shard.

import type { SessionRef } from './store.ts'

export const SHARDS = 16

export interface ShardKeys {
  readonly shard: number
  /** The present epoch; what a commit of another epoch is refused by. */
  readonly epoch: string
  /** The run id of the server that the epoch was begun for. */
  readonly run: string
  /** A stream of all commits, oldest first. */
  readonly log: string
  /** How many were ever added to it. */
  readonly added: string
  /** Id and number of the last one that Postgres has. */
  readonly drained: string
  /** A sorted set: when somebody is to look at a session. */
  readonly due: string
  /** Tells of every commit. */
  readonly channel: string
}

export const SHARD_KEYS: readonly ShardKeys[] = Array.from({ length: SHARDS }, (_, shard) => {
  const tag = tagOf(shard)
  return {
    shard,
    epoch: `${tag}:epoch`,
    run: `${tag}:run`,
    log: `${tag}:log`,
    added: `${tag}:added`,
    drained: `${tag}:drained`,
    due: `${tag}:due`,
    channel: `${tag}:feed`,
  }
})

function tagOf(shard: number): string {
  return `ripstop:{s${shard}}`
}

/** FNV-1a: the same in every process and release; another one would look for sessions where they are not. */
export function shardOf(sessionId: string): ShardKeys {
  let hash = 0x811c9dc5
  for (let at = 0; at < sessionId.length; at++) hash = Math.imul(hash ^ sessionId.charCodeAt(at), 0x01000193)
  return SHARD_KEYS[(hash >>> 0) % SHARDS] as ShardKeys
}

const ID_LENGTH = 36
export const MEMBER_LENGTH = 2 * ID_LENGTH + 1

/** One name for a session, always of the same length: two UUIDs. */
export function memberOf({ tenantId, sessionId }: SessionRef): string {
  return `${tenantId}:${sessionId}`
}

export function refOf(member: string): SessionRef {
  return { tenantId: member.slice(0, ID_LENGTH), sessionId: member.slice(ID_LENGTH + 1, MEMBER_LENGTH) }
}

export function sessionKeyOf({ shard }: ShardKeys, member: string): string {
  return `${tagOf(shard)}:${member}`
}
