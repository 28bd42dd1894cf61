// The sockets that the fault proxy opens itself, so that the census does not count the tool with the patient.

import type { Socket } from 'node:net'

const OWN = Symbol.for('ripstop.faults.own') // shared by copies of this package in one process

export function markOwnSocket(socket: Socket): void {
  Object.defineProperty(socket, OWN, { value: true })
}

export function isOwnSocket(socket: Socket): boolean {
  return OWN in socket
}
