// A worker that sends deferred requests: in the test's own process, or in one of its own, to be killed:
// node worker.fixture.ts DATABASE_URL UPSTREAM_PORT MASTER_KEY WORKER_ID

import { createId } from '@ripstop/kernel'
import { startDelivery } from '#delivery'
import { createUpstreamLink } from '#gateway'
import { createSealer } from '#platform/sealing'
import { createTestUpstreamConfig } from '../testing/gateway.ts'
import { startTestMesh } from '../testing/mesh.ts'
import { createDeferredKind } from './kind.ts'

export interface WorkerOptions {
  readonly url: string
  readonly port: number
  readonly masterKey: Buffer
  readonly workerId?: string
  readonly upstreams?: readonly string[]
  readonly retryScheduleMs?: readonly number[]
  readonly responseBytesMax?: number
}

export async function startTestWorker(options: WorkerOptions): Promise<AsyncDisposable> {
  const { url, port, masterKey, upstreams = ['up'], responseBytesMax = 10_000 } = options
  await using starting = new AsyncDisposableStack()
  const mesh = starting.use(await startTestMesh(url))
  const configs = upstreams.map((name) => createTestUpstreamConfig(name, port))
  const links = configs.map((config) => createUpstreamLink(mesh.mesh, config, { headerBytesMax: 16_384 }))
  for (const link of links) {
    link.start()
    await link.whenUp(mesh.ctx.within(10_000))
  }
  const kind = createDeferredKind({
    env: mesh.env,
    link: mesh.link,
    sealer: createSealer({ keys: [masterKey] }),
    upstreams: configs.map(({ name, deadlineMs, breaker }, place) => ({
      name,
      link: links[place] as (typeof links)[number],
      deadlineMs,
      breaker: { ...breaker, probes: 1 },
    })),
    responseBytesMax,
    retryScheduleMs: options.retryScheduleMs ?? [50, 50, 50],
  })
  starting.use(
    startDelivery({
      env: mesh.env,
      log: mesh.log,
      mesh: mesh.mesh,
      link: mesh.link,
      kinds: [kind],
      workerId: options.workerId ?? createId(mesh.env.clock.wallMs()),
      settings: { leaseMs: 1_000, renewMs: 250, sweepMs: 200, idlePollMs: 20, drainMs: 200 },
    }),
  )
  const owned = starting.move()
  return { [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

if (process.argv[1] === import.meta.filename) {
  const [url = '', port = '', key = '', workerId = ''] = process.argv.slice(2)
  await startTestWorker({ url, port: Number(port), masterKey: Buffer.from(key, 'base64'), workerId })
  process.on('disconnect', () => process.exit(0))
  process.send?.('ready')
}
