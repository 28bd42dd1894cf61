// Name lookup. Names are asked of the name servers directly (c-ares), not of the system (getaddrinfo): that takes one of four threads,
// which are everybody's, for as long as a name server is silent, and whose name server that is strangers choose.
// The hosts file and search domains are the system's alone; it is asked where a name is not found and networks of our own are allowed.
// Invariants:
//   EG10. Names whose servers are silent hold up no other name; each ends after its own time.
//   EG11. ENOTFOUND is said of a name only if the name servers said so; everything else is EAI_AGAIN, which passes.

import { type LookupAddress, lookup as systemLookup } from 'node:dns'
import { Resolver } from 'node:dns/promises'
import type { Lookup } from './connector.ts'

export interface NameLookupOptions {
  /** Ask the system for names that the name servers don't know. */
  readonly system: boolean
  /** Of each question to a name server [1 s]; it is asked twice. */
  readonly timeoutMs?: number
  /** Instead of the system's name servers. */
  readonly servers?: readonly string[]
}

const TRIES = 2
const NOT_FOUND: ReadonlySet<unknown> = new Set(['ENOTFOUND', 'ENODATA'])
const LOOPBACK: readonly LookupAddress[] = [
  { address: '127.0.0.1', family: 4 },
  { address: '::1', family: 6 },
]

export function createNameLookup({ system, timeoutMs = 1_000, servers }: NameLookupOptions): Lookup {
  const resolver = new Resolver({ timeout: timeoutMs, tries: TRIES })
  if (servers !== undefined) resolver.setServers(servers)
  return (hostname, options, done) => {
    if (/^(?:.*\.)?localhost\.?$/i.test(hostname)) return done(null, LOOPBACK) // RFC 6761
    resolveBoth(resolver, hostname).then(
      (addresses) => done(null, addresses),
      (error: NodeJS.ErrnoException) => {
        if (system && error.code === 'ENOTFOUND') systemLookup(hostname, options, done)
        else done(error, [])
      },
    )
  }
}

/** All addresses, IPv4 first; one family is enough. */
async function resolveBoth(resolver: Resolver, hostname: string): Promise<readonly LookupAddress[]> {
  const [four, six] = await Promise.allSettled([resolver.resolve4(hostname), resolver.resolve6(hostname)])
  const addresses: LookupAddress[] = []
  if (four.status === 'fulfilled') for (const address of four.value) addresses.push({ address, family: 4 })
  if (six.status === 'fulfilled') for (const address of six.value) addresses.push({ address, family: 6 })
  if (addresses.length > 0) return addresses
  const isUnknown = [four, six].every((settled) => settled.status === 'rejected' && NOT_FOUND.has(settled.reason.code))
  const code = isUnknown ? 'ENOTFOUND' : 'EAI_AGAIN'
  throw Object.assign(new Error(`no address of this name: ${code}`), { code })
}
