import { createEnv, Mesh, RipstopError } from '@ripstop/kernel'
import { expect, test } from 'vitest'
import { createReadiness } from './readiness.ts'

test('in an outage that is longer than the kept transitions, the last proof says since when', () => {
  const mesh = new Mesh(createEnv())
  const refuse = () => Promise.reject(new RipstopError('PEER_FAILED', 'away'))
  const adapter = {
    kind: 'http',
    target: 'x',
    sharedFate: false,
    open: refuse,
    probe: refuse,
    close: () => {},
    fault: () => undefined,
  }
  const link = mesh.link('orders', adapter, { deadlineMs: 1_000, critical: true })
  const retry = { from: 'connecting', to: 'down', why: 'away', generation: 99, wallMs: 1_900_000_000_000 } as const
  const long = { ...link.snapshot(), state: 'down', transitions: [retry], lastProofWallMs: 1_800_000_000_000 } as const
  const schema = { state: 'current', problems: [] } as const
  const { missing } = createReadiness([long], mesh.graph(), schema as never)
  expect(missing[0]?.since).toBe(new Date(1_800_000_000_000).toISOString())
})
