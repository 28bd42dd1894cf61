// The peer: a switch as SyncKairos's review of 2025 asks for it. GET, a check of the version in the process, SETEX, PUBLISH of the whole
// state to one channel, and a BullMQ job that is to write it to Postgres later. The worker of that queue is left out, in the seed's favour.
// Written from its public description, not from its code.

import { Queue } from 'bullmq'
import { Redis } from 'ioredis'

const TTL_SECONDS = 3_600
const PARTICIPANTS = 2

interface SeedState {
  readonly session_id: string
  version: number
  active: number
  cycle_started_at: string
  updated_at: string
  readonly participants: {
    readonly participant_id: string
    readonly participant_index: number
    total_time_ms: number
    time_used_ms: number
    time_remaining_ms: number
    cycle_count: number
    is_active: boolean
    has_expired: boolean
  }[]
  readonly metadata: Record<string, unknown>
}

export interface SeedPipeline extends AsyncDisposable {
  create(sessionId: string): Promise<void>
  /** False: the version had moved when it looked. */
  switch(sessionId: string): Promise<boolean>
  version(sessionId: string): Promise<number>
  /** Throws away what waits in its queue. */
  forget(): Promise<void>
}

export async function startSeedPipeline(url: string): Promise<SeedPipeline> {
  const { hostname, port } = new URL(url)
  const connection = { host: hostname, port: Number(port) }
  const redis = new Redis(connection)
  const publisher = new Redis(connection)
  const queue = new Queue('db-writes', {
    connection,
    defaultJobOptions: { attempts: 5, backoff: { type: 'exponential', delay: 2_000 }, removeOnComplete: true },
  })
  const read = async (sessionId: string): Promise<SeedState> =>
    JSON.parse((await redis.get(`session:${sessionId}`)) ?? 'null') as SeedState
  return {
    create: async (sessionId) => {
      await redis.setex(`session:${sessionId}`, TTL_SECONDS, JSON.stringify(createState(sessionId)))
    },
    switch: async (sessionId) => {
      const state = await read(sessionId)
      const expected = state.version
      turn(state)
      const current = await read(sessionId)
      if (current.version !== expected) return false
      const text = JSON.stringify(state)
      await redis.setex(`session:${sessionId}`, TTL_SECONDS, text)
      await publisher.publish('session-updates', text)
      await queue.add('write', { sessionId, state, eventType: 'state_update' })
      return true
    },
    version: async (sessionId) => (await read(sessionId)).version,
    forget: () => queue.drain(),
    [Symbol.asyncDispose]: async () => {
      await queue.close()
      redis.disconnect()
      publisher.disconnect()
    },
  }
}

function createState(sessionId: string): SeedState {
  const now = new Date().toISOString()
  return {
    session_id: sessionId,
    version: 1,
    active: 0,
    cycle_started_at: now,
    updated_at: now,
    participants: Array.from({ length: PARTICIPANTS }, (_, index) => ({
      participant_id: crypto.randomUUID(),
      participant_index: index,
      total_time_ms: 86_400_000,
      time_used_ms: 0,
      time_remaining_ms: 86_400_000,
      cycle_count: 0,
      is_active: index === 0,
      has_expired: false,
    })),
    metadata: {},
  }
}

function turn(state: SeedState): void {
  const nowMs = Date.now()
  const from = state.participants[state.active]
  const elapsedMs = nowMs - Date.parse(state.cycle_started_at)
  if (from !== undefined) {
    from.time_used_ms += elapsedMs
    from.total_time_ms = Math.max(0, from.total_time_ms - elapsedMs)
    from.time_remaining_ms = from.total_time_ms
    from.cycle_count++
    from.is_active = false
  }
  state.active = (state.active + 1) % state.participants.length
  const to = state.participants[state.active]
  if (to !== undefined) to.is_active = true
  state.version++
  state.cycle_started_at = state.updated_at = new Date(nowMs).toISOString()
}
