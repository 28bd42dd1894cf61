// What each toxic does when it takes hold of a connection.

import { addDieInHandshake, addLimitData, addResetPeer, addSlowClose, addTimeout } from './closing-stages.ts'
import { addDuplicate, addResponseToxic } from './http-stages.ts'
import { addPacedStage } from './paced-stage.ts'
import type { ConnectionPort, RunningToxic } from './stage.ts'

/** `moment`: is the connection new, with no byte carried yet, or was it open when the toxic came? */
export function takeHold(port: ConnectionPort, toxic: RunningToxic, moment: 'new' | 'open'): void {
  switch (toxic.type) {
    case 'latency':
    case 'bandwidth':
    case 'slicer':
    case 'slow_drip':
      return addPacedStage(port, toxic)
    case 'slow_close':
      return addSlowClose(port, toxic)
    case 'timeout':
      return addTimeout(port, toxic)
    case 'reset_peer':
      return addResetPeer(port, toxic)
    case 'limit_data':
      return addLimitData(port, toxic)
    case 'half_open':
      if (moment === 'open' || toxic.attributes.new === true) port.swallow()
      return
    case 'black_hole':
      return port.swallow()
    case 'die_in_handshake':
      if (moment === 'new') addDieInHandshake(port, toxic)
      return
    case 'accept_then_fin':
      if (moment === 'new') port.finish()
      return
    case 'http_error':
    case 'http_reset_body':
      return addResponseToxic(port, toxic)
    case 'http_duplicate':
      return addDuplicate(port, toxic)
    case 'down': // the proxy itself sees to it
      return
    default:
      toxic.type satisfies never
  }
}
