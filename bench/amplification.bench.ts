// Retry amplification: how many attempts reach a peer that is down for each call meant for it, at 100 calls/s for 10 s
// with up to three attempts a call. Counted at the function that would send, for both contestants.

import { background, createEnv, Mesh, RipstopError } from '@ripstop/kernel'
import { ExponentialBackoff, handleAll, retry } from 'cockatiel'
import { report } from './statistics.ts'

const CALLS = 1_000
const EVERY_MS = 10

const mesh = new Mesh(createEnv())
const adapter = {
  kind: 'failing',
  target: 'failing',
  sharedFate: true,
  open: async () => ({}),
  probe: async () => {},
  close: () => {},
  fault: () => undefined,
}
// No breaker on either side: it would hide what the retries do.
const link = mesh.link('failing', adapter, { deadlineMs: 5_000, retry: { attempts: 3, baseMs: 25 }, breaker: 'none' })
link.start()
const ctx = background(mesh.env)
await link.whenUp(ctx)
const policy = retry(handleAll, { maxAttempts: 2, backoff: new ExponentialBackoff({ initialDelay: 25 }) })

let ours = 0
let theirs = 0
const pending: Promise<unknown>[] = []
for (let index = 0; index < CALLS; index++) {
  pending.push(
    link
      .call(ctx, async () => {
        ours++
        throw new RipstopError('LINK_LOST', 'down', { sent: 'no' })
      })
      .catch(() => undefined),
    policy
      .execute(async () => {
        theirs++
        throw new Error('down')
      })
      .catch(() => undefined),
  )
  await new Promise((resolve) => setTimeout(resolve, EVERY_MS))
}
await Promise.all(pending)
await mesh.drain(ctx.within(1_000))
report('amplification', [
  {
    what: 'attempts a call, peer down, 100 calls/s, 3 attempts allowed',
    figure: `${(ours / CALLS).toFixed(2)}x`,
    asked: '<= 1.25x',
    met: ours / CALLS <= 1.25,
  },
  { what: 'cockatiel 4 retry, the same', figure: `${(theirs / CALLS).toFixed(2)}x`, asked: 'beside it', met: true },
])
process.exit(0)
