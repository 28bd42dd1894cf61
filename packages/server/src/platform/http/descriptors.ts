// How many clients may connect at once, so that a flood of them leaves descriptors for the links: a process that has none
// left can't reach its database or any service again, whoever took them.

import { readFileSync } from 'node:fs'

/** Of what the process may open; the other half is for links, files and pipes. */
const CLIENTS_SHARE = 0.5

/** `wanted`, or less where the system lets the process open few. Where that can't be known it is `wanted`. */
export function connectionsWithin(wanted: number, limits: () => string = readLimits): number {
  const openMax = /^Max open files\s+(\d+)/m.exec(limits())?.[1]
  return openMax === undefined ? wanted : Math.max(1, Math.min(wanted, Math.floor(Number(openMax) * CLIENTS_SHARE)))
}

function readLimits(): string {
  try {
    return readFileSync('/proc/self/limits', 'utf8')
  } catch {
    return '' // no such file outside Linux
  }
}
