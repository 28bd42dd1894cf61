// A process to be killed: `publish URL FROM TO` publishes the numbers from FROM to TO, each under its own name, and says what was acknowledged;
// `relay URL` moves the outbox.

import { DEFAULT_TENANT_ID } from '../access/tenant.ts'
import { startTestMesh } from '../testing/mesh.ts'
import { createFakeConsumer } from './consumer.fixture.ts'
import { startOutbox } from './outbox.ts'
import { startEvents } from './start.ts'

const OWNER = '00000000-0000-7000-8000-0000000000aa'
const BATCH = 7

const [mode, url = '', from, to] = process.argv.slice(2)
const { env, mesh, link, ctx, log } = await startTestMesh(url)
const consumers = [createFakeConsumer(link)]

if (mode === 'publish') {
  const events = startEvents({ env, mesh, link, consumers })
  for (let n = Number(from); n < Number(to); n += BATCH) {
    const batch = Array.from({ length: Math.min(BATCH, Number(to) - n) }, (_, at) => ({
      type: 'n',
      source: '/crash',
      id: `n-${n + at}`,
      data: n + at,
    }))
    const { results } = await events.publish(ctx, { tenantId: DEFAULT_TENANT_ID, actor: 'test' }, batch)
    const ids = results.map((result) => (result.outcome === 'refused' ? 'refused' : result.eventId))
    process.stdout.write(`${n + batch.length} ${ids.join(' ')}\n`)
  }
  process.exit(0)
}
startOutbox({ env, log, metrics: mesh.metrics, link, consumers, owner: OWNER, page: 20, leaseMs: 1_000 })
process.stdout.write('ready\n')
