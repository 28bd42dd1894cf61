// Broadcast to 1,000 sockets of a client that only counts bytes: ours beside Socket.IO 4, one update a turn of the event loop, and eight.
// A round is over when the client has every byte; CPU is the sender's, writing included. Rounds of both alternate.

import { type Helper, startHelper } from '../ipc.ts'
import { median, type Result } from '../statistics.ts'
import type { Opening } from './byte-client.ts'

const SOCKETS = 1_000
const SIZES = { single: 1, coalesced: 8 } as const
/** As large as an event of ours. */
const PAYLOAD = {
  t: 'ev',
  e: 1,
  pe: 1,
  pv: 12,
  d: {
    kind: 'switched',
    version: 13,
    atMs: 1_795_332_093_151,
    from: 1,
    to: 0,
    elapsedMs: 1_234,
    lagCreditedMs: 0,
    isSuspicious: false,
  },
}
const QUIET_MS = 150
/** Updates before the client is waited for: who is farther behind than 64 KB gets how things stand instead. */
const CHUNK = 160
const NAMES = ['ours', 'socket.io'] as const

type Name = 'ours' | 'socket.io'
type Shape = keyof typeof SIZES

interface Round {
  readonly perSecond: number
  readonly cpuUs: number
}

export async function broadcast(
  updates: number,
  rounds: number,
): Promise<{ readonly results: readonly Result[]; readonly notes: readonly string[] }> {
  await using owned = new AsyncDisposableStack()
  const senders: Record<Name, Helper> = {
    ours: owned.use(await startHelper('sessions/ours-broadcast.ts')),
    'socket.io': owned.use(await startHelper('sessions/socketio-process.ts')),
  }
  const clients: Record<Name, Helper> = {
    ours: owned.use(await startHelper('sessions/byte-client.ts')),
    'socket.io': owned.use(await startHelper('sessions/byte-client.ts')),
  }
  const found = new Map<string, Round[]>()
  for (let round = 0; round <= rounds; round++) {
    // Anew for each round: pings are not answered, and silence is suffered for a while only.
    for (const name of NAMES) await open(name, senders[name], clients[name])
    for (const shape of ['single', 'coalesced'] as const) {
      for (const name of NAMES) {
        const one = await measure(senders[name], clients[name], updates, SIZES[shape])
        if (round > 0) found.set(`${name} ${shape}`, [...(found.get(`${name} ${shape}`) ?? []), one])
      }
    }
    for (const name of NAMES) await clients[name].ask('close')
  }
  const of = (name: Name, shape: Shape, pick: (round: Round) => number): number =>
    median((found.get(`${name} ${shape}`) ?? []).map(pick))
  const ratio = (shape: Shape): number =>
    of('socket.io', shape, ({ cpuUs }) => cpuUs) / of('ours', shape, ({ cpuUs }) => cpuUs)
  const describe = (name: Name): string =>
    (['single', 'coalesced'] as const)
      .map(
        (shape) =>
          `${shape} ${of(name, shape, (round) => round.perSecond).toFixed(0)}/s, ${of(name, shape, (round) => round.cpuUs).toFixed(2)} us`,
      )
      .join('; ')
  const single = ratio('single')
  const coalesced = ratio('coalesced')
  return {
    results: [
      {
        what: `broadcast to ${SOCKETS} sockets, one update a turn: messages a CPU second over Socket.IO 4`,
        figure: `${single.toFixed(2)}x`,
        asked: '>= 1.5x',
        met: single >= 1.5,
      },
      {
        what: 'the same, eight updates a turn',
        figure: `${coalesced.toFixed(1)}x`,
        asked: '>= 6x',
        met: coalesced >= 6,
      },
    ],
    notes: [
      `broadcast, messages/s and CPU of the sender a message: ours ${describe('ours')}; Socket.IO ${describe('socket.io')}`,
    ],
  }
}

async function open(name: Name, sender: Helper, client: Helper): Promise<void> {
  const port = await sender.ask<number>('port')
  const path =
    name === 'ours' ? '/ws?sessionId=00000000-0000-4000-8000-000000000001' : '/socket.io/?EIO=4&transport=websocket'
  const opening: Opening = {
    port,
    paths: Array.from({ length: SOCKETS }, () => path),
    headers: name === 'ours' ? { 'Sec-WebSocket-Protocol': 'ripstop.v1' } : {},
    first: name === 'ours' ? JSON.stringify({ t: 'sub' }) : '40', // Socket.IO's CONNECT of the one namespace
  }
  await client.ask('open', opening)
  await quiet(client)
}

/** Waits until nothing more comes; gives the bytes so far. */
async function quiet(client: Helper): Promise<number> {
  for (let before = -1; ; ) {
    const { bytes } = await client.ask<{ bytes: number }>('read')
    if (bytes === before) return bytes
    before = bytes
    await new Promise((resolve) => setTimeout(resolve, QUIET_MS))
  }
}

async function measure(sender: Helper, client: Helper, updates: number, size: number): Promise<Round> {
  const probe = await quiet(client)
  await sender.ask('emit', { bursts: 1, size: 1, payload: PAYLOAD })
  const frameBytes = (await quiet(client)) - probe
  const before = await quiet(client)
  const cpuBefore = await sender.ask<number>('cpuUs')
  const startedMs = performance.now()
  for (let sent = CHUNK; sent <= updates; sent += CHUNK) {
    await sender.ask('emit', { bursts: CHUNK / size, size, payload: PAYLOAD })
    await arrived(client, before + frameBytes * sent)
  }
  const seconds = (performance.now() - startedMs) / 1_000
  const cpuUs = (await sender.ask<number>('cpuUs')) - cpuBefore
  return { perSecond: (updates * SOCKETS) / seconds, cpuUs: cpuUs / (updates * SOCKETS) }
}

/** Versions grow a digit now and then: a frame of ours may be some bytes longer than the first. */
async function arrived(client: Helper, wanted: number): Promise<void> {
  const endMs = performance.now() + 30_000
  for (;;) {
    const { bytes, ended } = await client.ask<{ bytes: number; ended: number }>('read')
    if (ended > 0) throw new Error(`${ended} sockets have ended`)
    if (bytes >= wanted) return
    if (performance.now() > endMs) throw new Error(`${bytes} bytes of ${wanted}`)
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
}
