import { expect, test } from 'vitest'
import type { Adapter } from './adapter.ts'
import { background } from './ctx.ts'
import { createEnv } from './env.ts'
import { RipstopError } from './errors.ts'
import { Mesh } from './mesh.ts'
import { createFakeClock } from './testing/index.ts'

interface Peer {
  silent: boolean
  lose: (why: string) => void
}

function createPeer(): { readonly peer: Peer; readonly adapter: Adapter<object> } {
  const peer: Peer = { silent: false, lose: () => {} }
  const adapter: Adapter<object> = {
    kind: 'scripted',
    target: 'peer',
    sharedFate: true,
    open: async (_ctx, events) => {
      if (peer.silent) throw new RipstopError('LINK_DOWN', 'refused', { sent: 'no' })
      peer.lose = events.lost
      return {}
    },
    probe: () => (peer.silent ? new Promise(() => {}) : Promise.resolve()),
    close: () => {},
    fault: () => undefined,
  }
  return { peer, adapter }
}

test('B3: a breaker that an outage opened is closed when the link is proved up again', async () => {
  const clock = createFakeClock()
  const mesh = new Mesh(createEnv({ clock, random: () => 0.5 }))
  const { peer, adapter } = createPeer()
  const breaker = { minimumCalls: 3, openMs: 60_000, openMsMax: 60_000 }
  const link = mesh.link('peer', adapter, { deadlineMs: 100, probeDeadlineMs: 400, breaker })
  link.start()
  await clock.advance(1)
  peer.silent = true
  const calls = Array.from({ length: 5 }, () => link.call(background(mesh.env), () => new Promise(() => {})))
  const settled = Promise.allSettled(calls)
  await clock.advance(200)
  await settled
  expect(link.snapshot().breaker).toBe('open')
  peer.lose('gone')
  await clock.advance(2_000)
  expect(link.state).toBe('down')
  peer.silent = false
  await clock.advance(2_000)
  expect(link.state).toBe('up')
  expect(link.snapshot().breaker).toBe('closed')
  await expect(link.call(background(mesh.env), async () => 'served')).resolves.toBe('served')
})

test('B3: calls that a lost generation took with it are not held against the peer', async () => {
  const clock = createFakeClock()
  const mesh = new Mesh(createEnv({ clock, random: () => 0.5 }))
  const { peer, adapter } = createPeer()
  const link = mesh.link('peer', adapter, { deadlineMs: 1_000, breaker: { minimumCalls: 2 } })
  link.start()
  await clock.advance(1)
  const calls = Array.from({ length: 4 }, () => link.call(background(mesh.env), () => new Promise(() => {})))
  const settled = Promise.allSettled(calls)
  peer.lose('reset by peer')
  expect((await settled).every(({ status }) => status === 'rejected')).toBe(true)
  expect(link.snapshot().breaker).toBe('closed')
})

test('B4: a full queue of our own is not held against the peer', async () => {
  const clock = createFakeClock()
  const mesh = new Mesh(createEnv({ clock, random: () => 0.5 }))
  const { adapter } = createPeer()
  const link = mesh.link('peer', adapter, { deadlineMs: 1_000, breaker: { minimumCalls: 2 } })
  link.start()
  await clock.advance(1)
  const refuse = async () => {
    throw new RipstopError('OVERLOADED', 'the pool is full', { sent: 'no' })
  }
  for (let index = 0; index < 5; index++) {
    await expect(link.call(background(mesh.env), refuse)).rejects.toMatchObject({ code: 'OVERLOADED' })
  }
  expect(link.snapshot().breaker).toBe('closed')
})
