// Live sessions on real processes, in short: players with a ledger, three meshes, each store; what the soak does for long.

import { expect, test } from 'vitest'
import { startRig } from './rig.ts'
import { createTroubles } from './troubles.ts'

const PLAYERS = { sessions: 6, writers: 4, pauseMs: 30 }

test.each(['postgres', 'redis'] as const)(
  'nothing acknowledged is lost and nothing is done twice while processes, Postgres and Redis are killed: %s',
  { timeout: 180_000 },
  async (store) => {
    await using rig = await startRig({ seed: 7, store, players: PLAYERS })
    await rig.recover()
    const wanted = ['kill -9 of edge 2 of 3', 'postgres: SIGKILL', 'redis: SIGKILL', 'redis and postgres: SIGKILL']
    const troubles = createTroubles(rig).filter(({ what }) => wanted.includes(what))
    expect(troubles.length).toBe(store === 'redis' ? 4 : 2)
    for (const trouble of troubles) {
      await trouble.inject()
      await new Promise((resolve) => setTimeout(resolve, 1_500))
      await trouble.heal()
      await rig.recover()
    }
    const verdict = await rig.settle()
    expect(verdict.problems).toEqual([])
    expect(verdict.acknowledged).toBeGreaterThan(50)
    expect(verdict.recovered).toBeGreaterThan(0) // clocks were credited
  },
)
