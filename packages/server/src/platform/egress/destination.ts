// Destination. An address that a stranger gave, read once: what can be refused by its text alone is refused here, when it is
// given, so that whoever gives it is told. What its name stands for is looked at for every connection (connector.ts).

import { isIP } from 'node:net'
import { RipstopError } from '@ripstop/kernel'
import '@ripstop/protocol'
import type { AddressGuard } from './address-guard.ts'

const URL_LENGTH_MAX = 2_048

/** Names of this machine or of its own network: no stranger can mean them. */
const LOCAL_NAME =
  /^(?:[^.]*|(?:.*\.)?(?:localhost|localdomain|local|internal|intranet|private|corp|home|lan|home\.arpa|ip6-localhost|ip6-loopback))$/

/** Where other protocols than HTTP are spoken, which a request could be made to speak ("port blocking" of the Fetch standard). */
const BAD_PORTS: ReadonlySet<number> = new Set(
  [0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104, 109]
    .concat([110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515, 526])
    .concat([530, 531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049, 3659])
    .concat([4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080]),
)

/** Where requests go, checked and taken apart once. */
export interface Destination {
  /** Scheme, host and port. */
  readonly origin: string
  /** With its query. */
  readonly path: string
}

/** Throws EGRESS_REFUSED, with the reason in its details. */
export function parseDestination(text: string, guard: AddressGuard): URL {
  if (text.length > URL_LENGTH_MAX) throw refusal('syntax', `an address has at most ${URL_LENGTH_MAX} characters`)
  if (!URL.canParse(text)) throw refusal('syntax', 'it is no absolute URL')
  const url = new URL(text)
  checkUrl(url, guard)
  return url
}

export function createDestination(url: URL, guard: AddressGuard): Destination {
  checkUrl(url, guard)
  return { origin: url.origin, path: `${url.pathname}${url.search}` }
}

export type RefusalReason = 'syntax' | 'scheme' | 'credentials' | 'port' | 'name' | 'address' | 'request'

/** Nothing was sent, and no other attempt will fare better. */
export function refusal(reason: RefusalReason, message: string, cause?: unknown): RipstopError {
  return new RipstopError('EGRESS_REFUSED', message, { sent: 'no', details: { reason }, cause })
}

function checkUrl(url: URL, guard: AddressGuard): void {
  if (url.protocol !== 'http:' && url.protocol !== 'https:') throw refusal('scheme', 'only http and https are spoken')
  if (url.username !== '' || url.password !== '') {
    throw refusal('credentials', 'an address must not hold credentials')
  }
  if (url.port !== '' && BAD_PORTS.has(Number(url.port))) {
    throw refusal('port', `port ${url.port} belongs to another protocol`)
  }
  checkHost(url.hostname, guard)
}

/** A host as `URL` has it: any spelling of an IPv4 address is dotted decimal by then. */
function checkHost(host: string, guard: AddressGuard): void {
  if (host.startsWith('[') || isIP(host) !== 0) {
    if (!guard.mayReach(host)) throw refusal('address', `${host} is no public address`)
    return
  }
  const name = host.endsWith('.') ? host.slice(0, -1) : host
  // With networks allowed, such names may well lead there: the addresses decide.
  if (!guard.isOpen && LOCAL_NAME.test(name)) throw refusal('name', `${host} is no public name`)
}
