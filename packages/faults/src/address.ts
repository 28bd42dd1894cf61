// Addresses as the fault API writes them (`host:port`), and listening on them.

import { isIP, type Server } from 'node:net'
import { systemRandom } from '@ripstop/kernel'
import { fault } from './codes.ts'

export interface Address {
  readonly host: string
  readonly port: number
}

// A port for a proxy comes from below every system's ephemeral range (Linux: from 32768): while the proxy is down,
// no outgoing connection can be given its port, and a client that dials it can't connect to itself.
const PORT_MIN = 10_000
const PORT_MAX = 32_000
const TRIES = 50

/** `host:port`, with brackets around IPv6. */
export function formatAddress({ host, port }: Address): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

/** Reads `host:port`, `:port`, `[::1]:port`; an absent host is loopback. Throws FAULT_INVALID, naming `what`. */
export function parseAddress(text: unknown, what: string): Address {
  const match = typeof text === 'string' ? /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]\s/@]*)):(\d{1,5})$/.exec(text) : null
  const port = Number(match?.[3] ?? Number.NaN)
  if (match === null || !(port <= 65_535)) {
    throw fault('FAULT_INVALID', `${what} must be host:port, as 127.0.0.1:6379`, { details: { [what]: text } })
  }
  return { host: match[1] ?? (match[2] || '127.0.0.1'), port }
}

/** Is it certain that only this machine can reach it? */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'))
}

/** Listens, and tells where. Port 0 chooses one that stays free of outgoing connections. Throws FAULT_LISTEN_FAILED. */
export async function listenOn(server: Server, { host, port }: Address): Promise<Address> {
  let cause: unknown
  for (let attempt = 1; attempt <= (port === 0 ? TRIES : 1); attempt++) {
    const chosen = port === 0 ? PORT_MIN + Math.floor(systemRandom() * (PORT_MAX - PORT_MIN)) : port
    try {
      await listenOnce(server, { host, port: chosen })
      return boundAddress(server, host)
    } catch (error) {
      cause = error
      if (!isInUse(error)) break
    }
  }
  const reason = cause instanceof Error ? cause.message : String(cause)
  throw fault('FAULT_LISTEN_FAILED', `listen tcp ${formatAddress({ host, port })}: ${reason}`, { cause })
}

function listenOnce(server: Server, address: Address): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ ...address, backlog: 511 }, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

function boundAddress(server: Server, host: string): Address {
  const bound = server.address()
  if (bound === null || typeof bound === 'string') throw new Error(`no TCP address after listening on ${host}`)
  return { host: bound.address, port: bound.port }
}

function isInUse(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'EADDRINUSE'
}
