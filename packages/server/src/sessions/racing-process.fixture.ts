// A process that serves sessions, to be raced and killed. It reads a command from each line of stdin, and says on stdout what became of it.
// `redis URL` or `postgres URL`: where its sessions are.

import { createInterface } from 'node:readline'
import { isRipstopError, Metrics } from '@ripstop/kernel'
import type { Command } from '@ripstop/protocol/sessions'
import type { Authority, SessionRef, SessionStore } from '#session-stores'
import { startPostgresStore } from '../session-stores/postgres-store.ts'
import { startSide } from '../session-stores/redis.fixture.ts'
import { createRecordingLog } from '../testing/http.ts'
import { startTestMesh } from '../testing/mesh.ts'
import { createSessionService } from './engine.ts'
import { startTimeouts } from './timeouts.ts'

/** What a line of stdin says. */
export interface Wish {
  readonly ref: SessionRef
  readonly operationId: string
  readonly command: Command
  /** When it comes in, by the clock that all processes of this machine share; default: at once. */
  readonly atMs?: number
  /** How often it is done, one after the other; the id is followed by a number. */
  readonly times?: number
}

/** What a line of stdout says. */
export interface Answer {
  readonly operationId: string
  readonly outcome: 'done' | 'refused' | 'unknown'
  readonly version?: number | undefined
  readonly code?: string
}

/** For all processes of the machine the same. */
const exactMs = (): number => performance.timeOrigin + performance.now()

const [kind, url = ''] = process.argv.slice(2)
const side = await (kind === 'redis' ? startSide(url) : startTestMesh(url))
const store: SessionStore = 'store' in side ? side.store : startPostgresStore(side)
const { env, ctx } = side
const term = { epoch: 1, mode: kind === 'redis' ? 'redis' : 'postgres' } as const
const authority: Authority = {
  term: () => term,
  outagesAfter: async () => [],
  renew: async () => term,
  nowMs: () => Math.floor(exactMs()),
  exactMs,
}
const metrics = new Metrics()
const service = createSessionService({ env, metrics, store, authority })
const log = createRecordingLog()
const timer = startTimeouts({ env, log, store, service, authority })

const say = (answer: Answer | { readonly metrics: string; readonly log: unknown }): void =>
  void process.stdout.write(`${JSON.stringify(answer)}\n`)

async function carryOut({ ref, operationId, command }: Wish): Promise<void> {
  try {
    const options = { receivedMs: authority.nowMs(), actor: 'test', operationId }
    const { session } = await service.command(ctx.within(10_000), ref, command, options)
    say({ operationId, outcome: 'done', version: session.state.version })
  } catch (error) {
    if (!isRipstopError(error)) throw error
    say({ operationId, outcome: error.sent === 'maybe' ? 'unknown' : 'refused', code: error.code })
  }
}

async function carryOutAll(wish: Wish): Promise<void> {
  const { times, operationId } = wish
  if (times === undefined) return carryOut(wish)
  for (let n = 0; n < times; n++) await carryOut({ ...wish, operationId: `${operationId}.${n}` })
}

process.stdout.write('"ready"\n')
const underWay = new Set<Promise<void>>()
for await (const line of createInterface({ input: process.stdin })) {
  const wish = JSON.parse(line) as Wish
  const { promise, resolve } = Promise.withResolvers<void>()
  setTimeout(resolve, Math.max(0, (wish.atMs ?? 0) - exactMs()))
  const working = promise.then(() => carryOutAll(wish)).finally(() => underWay.delete(working))
  underWay.add(working)
}
// stdin was closed: it ends as a process does that is stopped.
await Promise.all(underWay)
await timer[Symbol.asyncDispose]()
say({ metrics: metrics.text(), log: log.lines })
process.exit(0)
