// A process that delivers by HTTP, for tests that end it in the middle. Its argument says where and when.

import { createEnv, Mesh } from '@ripstop/kernel'
import { parseConfig } from '../platform/config/config.ts'
import { createPostgresLink } from '../platform/postgres/postgres-link.ts'
import { createRecordingLog } from '../testing/http.ts'
import type { Answer, DeliveryKind, Target } from './kind.ts'
import type { CrashPoint } from './points.ts'
import { startDelivery } from './start.ts'

/** What the process is told. */
export interface EngineOrder {
  readonly url: string
  readonly receiver: string
  readonly workerId: string
  readonly targets: readonly Target[]
  /** SIGKILL at the `count`-th time that it passes here; undefined: it ends in order, on SIGTERM. */
  readonly crash: { readonly at: CrashPoint; readonly count: number } | undefined
}

const order = JSON.parse(process.argv[2] as string) as EngineOrder
const env = createEnv()
const mesh = new Mesh(env)
const { link } = createPostgresLink({ mesh, postgres: parseConfig({}, { DATABASE_URL: order.url }).postgres })
link.start()

const kind: DeliveryKind<string> = {
  name: 'webhook',
  targets: async () => new Map(order.targets.map((target) => [target.targetId, target])),
  load: async (_, ids) => new Map(ids.map((id) => [id, id])),
  send: async (ctx, { deliveryId, messageId, targetId, attempt, mayRepeat }): Promise<Answer> => {
    const body = JSON.stringify({ deliveryId, messageId, targetId, attempt, mayRepeat })
    try {
      const { status } = await fetch(order.receiver, { method: 'POST', body, signal: ctx.signal })
      return { outcome: status === 200 ? 'delivered' : 'failed', status, durationMs: 1 }
    } catch {
      return { outcome: 'unknown', code: 'LINK_LOST', durationMs: 1 }
    }
  },
  settle: () => [],
}

let passed = 0
const engine = startDelivery({
  env,
  mesh,
  link,
  log: createRecordingLog(),
  kinds: [kind],
  workerId: order.workerId,
  settings: { leaseMs: 2_000, renewMs: 100, targetsMs: 100, sweepMs: 300 },
  ...(order.crash === undefined
    ? {}
    : {
        points: (name: CrashPoint) => {
          if (name === order.crash?.at && ++passed === order.crash.count) process.kill(process.pid, 'SIGKILL')
        },
      }),
})
process.on('SIGTERM', async () => {
  await engine[Symbol.asyncDispose]()
  process.exit(0)
})
process.send?.('ready')
