// Guarded connector. undici's own, with the guard before, in and after it. A guard in `lookup` alone is passed by every
// address that is written as one, since there is nothing to look up (2026-11: 13 of 13 spellings of 127.0.0.1).
// Invariants:
//   EG3. No connection to a refused address is opened: the literal is checked, and only allowed answers of the name are used,
//        the very ones that are connected to, so that a name can't change in between.
//   EG4. The address at the other end of an open connection is checked before a byte is sent, TLS included.

import type { LookupAddress } from 'node:dns'
import { isIP, type LookupFunction, type Socket } from 'node:net'
import { buildConnector } from 'undici'
import type { AddressGuard } from './address-guard.ts'
import { refusal } from './destination.ts'

/** As `dns.lookup` with `all`. */
export type Lookup = (
  hostname: string,
  options: { readonly all: true; readonly family: number; readonly hints: number; readonly verbatim: boolean },
  done: (error: NodeJS.ErrnoException | null, addresses: readonly LookupAddress[]) => void,
) => void

export interface ConnectorOptions {
  readonly guard: AddressGuard
  readonly lookup: Lookup
  readonly connectTimeoutMs: number
}

export function createConnector({ guard, lookup, connectTimeoutMs }: ConnectorOptions): buildConnector.connector {
  const connect = buildConnector({
    timeout: connectTimeoutMs,
    allowH2: false,
    autoSelectFamily: true, // asks `lookup` for all
    keepAlive: true,
    keepAliveInitialDelay: 10_000,
    maxCachedSessions: 256,
    rejectUnauthorized: true, // whatever NODE_TLS_REJECT_UNAUTHORIZED says
    lookup: createGuardedLookup(guard, lookup),
  })
  return (options, done) => {
    const { hostname } = options
    if (isIP(hostname) !== 0 && !guard.mayReach(hostname)) return done(refused(), null)
    // The types say void; it is the socket, and TLS begins only after the listeners of `connect` have run.
    const socket = connect(options, (error, open) => {
      if (error !== null) return done(error, null)
      const wrong = wrongPeer(open, guard)
      if (wrong === undefined) return done(null, open)
      open.destroy()
      done(wrong, null)
    }) as unknown as Socket
    socket.prependOnceListener('connect', () => {
      const wrong = wrongPeer(socket, guard)
      if (wrong !== undefined) socket.destroy(wrong)
    })
  }
}

function createGuardedLookup(guard: AddressGuard, lookup: Lookup): LookupFunction {
  return (hostname, options, done) => {
    const hints = options.hints ?? 0
    const family = Number(options.family ?? 0)
    lookup(hostname, { all: true, family, hints, verbatim: true }, (error, addresses) => {
      if (error !== null) return done(error, [])
      const allowed = addresses.filter(({ address }) => guard.mayReach(address))
      if (allowed.length > 0) return done(null, allowed)
      done(refused(), [])
    })
  }
}

function wrongPeer(socket: Socket, guard: AddressGuard): Error | undefined {
  const { remoteAddress } = socket
  if (remoteAddress === undefined) {
    return Object.assign(new Error('it closed at once'), { code: 'ECONNRESET' })
  }
  return guard.mayReach(remoteAddress) ? undefined : refused()
}

/** Says nothing of what the name stands for: who asks might learn what is inside our network. */
function refused(): Error {
  return refusal('address', 'the name stands for no public address')
}
