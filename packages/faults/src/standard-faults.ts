// The faults that every link has to survive, over a proxy in front of its peer or on the peer's process: those that
// say so (refuse, reset, fin, die_in_handshake, kill) and those that are silent (half_open, black_hole, stop).

import type { Fault } from './fault-matrix.ts'
import type { FaultyProcess } from './process-faults.ts'
import type { FaultProxy } from './proxy.ts'
import type { RecoverableLink } from './recovery-checker.ts'
import type { ToxicSpec } from './toxics.ts'

/** Faults of the network, through the proxy that stands before a link's peer. */
export function createProxyFaults<L extends RecoverableLink>(proxyOf: (link: L) => FaultProxy): readonly Fault<L>[] {
  /** `drop`: how the open connections end, so that the toxic meets the reconnecting client. */
  const toxic = (spec: ToxicSpec, drop?: 'fin' | 'reset'): Fault<L> => ({
    name: spec.type,
    inject: async (link) => {
      await proxyOf(link).add({ ...spec, name: 'standard fault' })
      if (drop !== undefined) proxyOf(link).drop(drop)
    },
    heal: (link) => proxyOf(link).remove('standard fault'),
  })
  return [
    { name: 'refuse', inject: (link) => proxyOf(link).disable('reset'), heal: (link) => proxyOf(link).enable() },
    { name: 'reset', inject: (link) => proxyOf(link).drop('reset'), heal: () => {}, holdMs: 0 },
    toxic({ type: 'accept_then_fin' }, 'fin'),
    toxic({ type: 'die_in_handshake' }, 'reset'),
    toxic({ type: 'half_open' }),
    toxic({ type: 'black_hole' }),
  ]
}

/** Faults of the peer's own process: killed and started again, stopped and continued. */
export function createProcessFaults<L extends RecoverableLink>(
  processOf: (link: L) => FaultyProcess,
): readonly Fault<L>[] {
  return [
    { name: 'kill', inject: (link) => processOf(link).kill(), heal: (link) => processOf(link).restart() },
    { name: 'stop', inject: (link) => processOf(link).stop(), heal: (link) => processOf(link).cont() },
  ]
}
