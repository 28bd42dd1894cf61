// What is done to a rig, by target and fault, so that a schedule may pair them freely: processes are killed or stopped,
// Postgres too, and receivers misbehave.

import { signal, type TestMesh, until } from '../mesh/harness.ts'
import { BEHAVIOURS, type Behaviour, type Receiver } from './receiver.ts'
import type { Rig } from './rig.ts'

/** Longer than a lease (10 s), so that another has taken over. */
const PAST_LEASE_MS = 12_000

export const FAULTS = ['kill', 'stop', ...BEHAVIOURS.filter((behaviour) => behaviour !== 'well')] as const
export type FaultName = (typeof FAULTS)[number]

export const TARGETS = ['work a', 'work b', 'edge', 'postgres', 'unordered', 'ordered', 'ordered-in-lanes'] as const
export type TargetName = (typeof TARGETS)[number]

export interface Trouble {
  /** What `fault` means for it. */
  describe(fault: FaultName): string
  inject(fault: FaultName): unknown
  heal(fault: FaultName): unknown
}

export function createTroubles(rig: Rig): Readonly<Record<TargetName, Trouble>> {
  const { a, b = a, parties } = rig
  const receiver = (name: string): Receiver => {
    const found = parties.find((party) => party.receiver.name === name)
    if (found === undefined) throw new Error(`there is no receiver ${name}`)
    return found.receiver
  }
  return {
    'work a': createRoleTrouble(a, 'work'),
    'work b': createFrozenMesh(rig, b),
    edge: createRoleTrouble(a, 'edge'),
    postgres: createPostgresTrouble(rig),
    unordered: createReceiverTrouble(receiver('unordered')),
    ordered: createReceiverTrouble(receiver('ordered')),
    'ordered-in-lanes': createReceiverTrouble(receiver('ordered-in-lanes')),
  }
}

/** Half of the faults kill a process, the other half stop it. */
function kills(fault: FaultName): boolean {
  return FAULTS.indexOf(fault) % 2 === 0
}

/** A stopped process of a role is replaced by its supervisor; the edge answers nobody meanwhile, and is stopped briefly. */
function createRoleTrouble(mesh: TestMesh, role: 'work' | 'edge'): Trouble {
  let stopped: number | undefined
  const isKilled = (fault: FaultName): boolean => role === 'edge' || kills(fault)
  return {
    describe: (fault) => (isKilled(fault) ? `kill -9 ${role}` : `stop ${role} until it is replaced`),
    inject: async (fault) => {
      const pid = await mesh.pidOf(role)
      if (isKilled(fault)) return signal(pid, 'SIGKILL')
      stopped = pid
      signal(pid, 'SIGSTOP')
    },
    heal: () => {
      signal(stopped, 'SIGCONT')
      stopped = undefined
    },
  }
}

/** The second mesh as a whole: it thaws after its leases are somebody else's. */
function createFrozenMesh(rig: Rig, mesh: TestMesh): Trouble {
  let thaw: (() => void) | undefined
  let frozenMs = 0
  return {
    describe: (fault) => (kills(fault) ? 'kill -9 work' : 'freeze past its lease'),
    inject: async (fault) => {
      if (kills(fault)) return rig.killWork(mesh)
      thaw = await rig.freeze(mesh)
      frozenMs = performance.now()
    },
    heal: async () => {
      if (thaw === undefined) return
      await until('its leases have run out', () => performance.now() > frozenMs + PAST_LEASE_MS, PAST_LEASE_MS * 2)
      thaw()
      thaw = undefined
    },
  }
}

function createPostgresTrouble({ postgres }: Rig): Trouble {
  return {
    describe: (fault) => (kills(fault) ? 'SIGKILL' : 'SIGSTOP'),
    inject: (fault) => postgres.kill(kills(fault) ? 'SIGKILL' : 'SIGSTOP'),
    heal: (fault) => (kills(fault) ? postgres.restart() : postgres.kill('SIGCONT')),
  }
}

function createReceiverTrouble(receiver: Receiver): Trouble {
  const behaviour = (fault: FaultName): Behaviour =>
    fault === 'kill' ? 'closes' : fault === 'stop' ? 'answers late' : fault
  return {
    describe: behaviour,
    inject: (fault) => receiver.behave(behaviour(fault)),
    heal: () => receiver.behave('well'),
  }
}
