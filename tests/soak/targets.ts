// What a soak run breaks: everything outside a mesh, its processes, and the mesh as a whole. Each target takes each fault
// in its own way, so that a schedule may pair them freely.

import type { FaultProxy, ToxicSpec } from '@ripstop/faults'
import type { Fixture, Peer } from '../mesh/fixture.ts'
import { signal, type TestMesh } from '../mesh/harness.ts'

export const FAULTS = ['kill', 'stop', 'refuse', 'reset', 'black_hole', 'half_open', 'latency', 'slow_drip'] as const
export type FaultName = (typeof FAULTS)[number]

export const TARGETS = ['postgres', 'redis', 'echo', 'edge', 'work', 'mesh'] as const
export type TargetName = (typeof TARGETS)[number]

export interface Target {
  /** While it is broken, requests may find nobody who answers. */
  readonly isServing: boolean
  inject(fault: FaultName): unknown
  heal(fault: FaultName): unknown
}

export function createTargets({ mesh, postgres, redis, upstreamProxy }: Fixture): Readonly<Record<TargetName, Target>> {
  return {
    postgres: createServerTarget(postgres),
    redis: createServerTarget(redis),
    echo: createNetworkTarget(upstreamProxy),
    edge: createRoleTarget(mesh, 'edge'),
    work: createRoleTarget(mesh, 'work'),
    mesh: {
      isServing: true,
      inject: () => mesh.killAll(),
      heal: () => mesh.start(),
    },
  }
}

function createServerTarget({ proxy, server }: Peer): Target {
  const network = createNetworkTarget(proxy)
  return {
    isServing: false,
    inject: (fault) => {
      if (fault === 'kill') return server.kill('SIGKILL')
      return fault === 'stop' ? server.kill('SIGSTOP') : network.inject(fault)
    },
    heal: (fault) => {
      if (fault === 'kill') return server.restart()
      return fault === 'stop' ? server.kill('SIGCONT') : network.heal(fault)
    },
  }
}

const TOXICS: Readonly<Partial<Record<FaultName, ToxicSpec>>> = {
  stop: { type: 'timeout', name: 'soak' },
  black_hole: { type: 'black_hole', name: 'soak' },
  half_open: { type: 'half_open', name: 'soak' },
  latency: { type: 'latency', name: 'soak', attributes: { latency: 150, jitter: 100 } },
  slow_drip: { type: 'slow_drip', name: 'soak', attributes: { bytes: 16, every_ms: 50 } },
}

/** Where there is no process to kill, the way to it is cut. */
function createNetworkTarget(proxy: FaultProxy): Target {
  return {
    isServing: false,
    inject: (fault) => {
      const toxic = TOXICS[fault]
      if (toxic !== undefined) return proxy.add(toxic)
      return fault === 'reset' ? proxy.drop('reset') : proxy.disable('reset')
    },
    heal: () => proxy.reset(),
  }
}

/** A process is stopped, or else killed: the mesh itself has to start it again. */
function createRoleTarget(mesh: TestMesh, role: 'edge' | 'work'): Target {
  let stopped: number | undefined
  return {
    isServing: role === 'edge',
    inject: async (fault) => {
      const pid = await mesh.pidOf(role)
      if (fault !== 'stop') return signal(pid, 'SIGKILL')
      stopped = pid
      signal(pid, 'SIGSTOP')
    },
    heal: () => signal(stopped, 'SIGCONT'),
  }
}
