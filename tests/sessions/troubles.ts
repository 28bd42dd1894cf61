// What is done to a rig, by name: a process is killed or frozen, Redis and Postgres are killed, stopped, or both are gone at once.

import { signal } from '../mesh/harness.ts'
import type { Rig } from './rig.ts'

export interface Trouble {
  readonly what: string
  inject(): Promise<unknown>
  heal(): Promise<unknown>
}

/** Those that a rig's store can have. */
export function createTroubles(rig: Rig): readonly Trouble[] {
  const { postgres, redis } = rig
  const nothing = async (): Promise<void> => {}
  const troubles: Trouble[] = [
    ...rig.meshes.map((_, place) => ({
      what: `kill -9 of edge ${place + 1} of 3`,
      inject: () => rig.killEdge(place),
      heal: nothing,
    })),
    createFreeze(rig, 1),
    createWorkKill(rig),
    {
      what: 'postgres: SIGKILL',
      inject: () => postgres.kill('SIGKILL'),
      heal: () => postgres.restart(),
    },
    {
      what: 'postgres: SIGSTOP',
      inject: () => postgres.kill('SIGSTOP'),
      heal: () => postgres.kill('SIGCONT'),
    },
  ]
  if (redis === undefined) return troubles
  return [
    ...troubles,
    { what: 'redis: SIGKILL', inject: () => redis.kill('SIGKILL'), heal: () => redis.restart() },
    { what: 'redis: SIGSTOP', inject: () => redis.kill('SIGSTOP'), heal: () => redis.kill('SIGCONT') },
    {
      what: 'redis and postgres: SIGKILL',
      inject: () => Promise.all([redis.kill('SIGKILL'), postgres.kill('SIGKILL')]),
      heal: () => Promise.all([redis.restart(), postgres.restart()]),
    },
  ]
}

function createFreeze(rig: Rig, place: number): Trouble {
  let thaw: (() => void) | undefined
  return {
    what: `freeze of mesh ${place + 1} of 3`,
    inject: async () => {
      thaw = await rig.freeze(place)
    },
    heal: async () => {
      thaw?.()
      thaw = undefined
    },
  }
}

function createWorkKill({ meshes }: Rig): Trouble {
  return {
    what: 'kill -9 of the work process',
    inject: async () => signal(await meshes[0]?.pidOf('work'), 'SIGKILL'),
    heal: async () => {},
  }
}
