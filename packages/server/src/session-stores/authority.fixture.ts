// Processes that hold authority, for tests: each with a mesh of its own on one database and, if it has one, one Redis.

import type { Link } from '@ripstop/kernel'
import type { Redis } from 'ioredis'
import { parseConfig } from '../platform/config/config.ts'
import { createRedisLink } from '../platform/redis/redis-link.ts'
import { startTestMesh, type TestMesh } from '../testing/mesh.ts'
import { until } from '../testing/processes.ts'
import type { Term } from './authority.ts'
import { type AuthorityDeps, type RunningAuthority, startAuthority } from './authority-start.ts'

export interface TestNode extends AsyncDisposable {
  readonly mesh: TestMesh
  readonly redis: Link<Redis> | undefined
  readonly authority: RunningAuthority
  /** Undefined: none is known yet. */
  readonly term: () => Term | undefined
  readonly events: (event: string) => readonly Record<string, unknown>[]
}

export interface TestNodeOptions extends Partial<Pick<AuthorityDeps, 'nodeId' | 'isServing' | 'env'>> {
  readonly redisUrl?: string | undefined
}

export async function startTestNode(databaseUrl: string, options: TestNodeOptions = {}): Promise<TestNode> {
  const { redisUrl, nodeId = 'node', isServing = true } = options
  await using starting = new AsyncDisposableStack()
  const test = starting.use(await startTestMesh(databaseUrl, { wait: false }))
  const { mesh, log, link } = test
  const redis =
    redisUrl === undefined
      ? undefined
      : createRedisLink({ mesh, redis: parseConfig({}, { REDIS_URL: redisUrl }).redis })?.link
  redis?.start()
  const env = options.env ?? test.env
  const authority = starting.use(startAuthority({ env, log, mesh, link, redis, nodeId, isServing }))
  const owned = starting.move()
  return {
    mesh: test,
    redis,
    authority,
    term: () => termOf(authority),
    events: (event) => log.lines.filter((line) => line.event === event),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

function termOf(authority: RunningAuthority): Term | undefined {
  try {
    return authority.term()
  } catch {
    return undefined
  }
}

/** Waits until it holds a term as asked for. */
export function holds({ term }: TestNode, wanted: Partial<Term>, limitMs?: number): Promise<Term> {
  const look = (): Term | undefined => {
    const held = term()
    const isWanted = (wanted.epoch ?? held?.epoch) === held?.epoch && (wanted.mode ?? held?.mode) === held?.mode
    return isWanted ? held : undefined
  }
  return until(`the term is ${JSON.stringify(wanted)}`, look, limitMs)
}

/** Makes `ms` pass for everything that beats and epochs wrote. */
export async function age({ query }: Pick<TestMesh, 'query'>, ms: number): Promise<void> {
  const nodes =
    'update ripstop.session_nodes set beat_ms = beat_ms - $1::bigint, redis_seen_ms = redis_seen_ms - $1::bigint'
  await query(nodes, [ms])
  await query('update ripstop.session_epochs set since_ms = since_ms - $1::bigint, until_ms = until_ms - $1::bigint', [
    ms,
  ])
}
