// Ours in the broadcast: the sockets of the product on a real port, over a service that only tells what this process is told to tell.

import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { background, createEnv, Metrics } from '@ripstop/kernel'
import { createSession, type SessionRules } from '@ripstop/protocol/sessions'
import { createEntry, NO_HEAD } from '../../packages/server/src/session-log/index.ts'
import { startSessionSockets } from '../../packages/server/src/session-sockets/start.ts'
import type { FeedMessage } from '../../packages/server/src/session-stores/store.ts'
import type { SessionService } from '../../packages/server/src/sessions/service.ts'
import { createRecordingLog } from '../../packages/server/src/testing/http.ts'
import { answer } from '../ipc.ts'

const CONTROL = { mainMs: 86_400_000, increment: { kind: 'none' }, overtime: { kind: 'none' }, stages: [] } as const
const rules: SessionRules = {
  mode: 'per_participant',
  participants: [0, 1].map((index) => ({
    participantId: `participant-${index}`,
    groupId: undefined,
    control: CONTROL,
  })),
  onTimeout: 'end',
  maxTimeMs: undefined,
  lag: undefined,
}
const env = createEnv()
const root = background(env)
const startedMs = env.clock.wallMs()
let version = 1
let tell: ((message: FeedMessage) => void) | undefined
const ref = { tenantId: 'bench', sessionId: '00000000-0000-4000-8000-000000000001' }
const nowMs = (): number => Math.floor(env.clock.wallMs())
const never = () => Promise.reject(new Error('nobody commands here'))
const service: SessionService = {
  create: never,
  command: never,
  remove: never,
  log: async () => [],
  read: async () => ({
    ref,
    epoch: 1,
    state: { ...createSession(rules, startedMs), version },
    metadata: {},
    createdMs: startedMs,
    level: 'accepted',
  }),
  watch: (_, listener) => {
    tell = listener
    return { [Symbol.dispose]: () => undefined }
  },
  nowMs,
  exactMs: () => env.clock.wallMs(),
}
const principal = { tenantId: ref.tenantId, actor: 'bench', keyId: undefined, scopes: ['admin'] }
const sockets = startSessionSockets({
  env,
  log: createRecordingLog(),
  metrics: new Metrics(),
  service,
  authenticate: () => principal,
  limits: { connect: () => undefined, command: () => undefined, messages: undefined },
  addressOf: () => '127.0.0.1',
})
const http = createServer()
http.on('upgrade', (request, socket, head) => sockets.upgrade(request, socket, head, () => socket.destroy()))
await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))

function update(): void {
  const from = { epoch: 1, version }
  version++
  const atMs = nowMs()
  const event = {
    kind: 'switched',
    version,
    atMs,
    from: version % 2,
    to: (version + 1) % 2,
    elapsedMs: 1_234,
    lagCreditedMs: 0,
    isSuspicious: false,
  } as const
  const entry = createEntry(NO_HEAD, { epoch: 1, event, actor: 'bench', decidedMs: atMs })
  tell?.({ kind: 'entries', ref, from, entries: [entry] })
}

answer({
  port: () => (http.address() as AddressInfo).port,
  /** As in socketio-process.ts. */
  emit: async ({ bursts, size }: { bursts: number; size: number }) => {
    const before = process.cpuUsage()
    for (let burst = 0; burst < bursts; burst++) {
      for (let each = 0; each < size; each++) update()
      await new Promise((resolve) => setImmediate(resolve))
    }
    const { user, system } = process.cpuUsage(before)
    return user + system
  },
  cpuUs: () => {
    const { user, system } = process.cpuUsage()
    return user + system
  },
})
root.throwIfOver()
