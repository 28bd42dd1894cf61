// Address guard. Which addresses a stranger may send us to: those that the whole internet can reach, and what `egress.allow`
// names. Everything with a meaning of its own (private, local, shared, documentation, translation, tunnels) is refused whole,
// and of IPv6 all but global unicast, so that what is assigned tomorrow is refused today. Ranges that carry an IPv4 address
// inside (NAT64, 6to4, Teredo) would lead anywhere; a network that has IPv6 alone allows 64:ff9b::/96 and lets its NAT64 refuse
// private addresses.
// Sources: IANA special-purpose registries (RFC 6890 and later); the deny list of Svix, which this contains.
// Invariants:
//   EG1. An address of a refused range is refused however it is written: in brackets, with a scope, mapped into IPv6.
//   EG2. What `allow` names is let through, and nothing next to it.

import { BlockList, isIP, SocketAddress } from 'node:net'

type Network = readonly [address: string, prefix: number]

const REFUSED: readonly Network[] = [
  ['0.0.0.0', 8], // this host
  ['10.0.0.0', 8], // private
  ['100.64.0.0', 10], // carriers' NAT; cloud metadata lives here too
  ['127.0.0.0', 8], // loopback
  ['169.254.0.0', 16], // link-local: cloud metadata
  ['172.16.0.0', 12], // private
  ['192.0.0.0', 24], // protocol assignments
  ['192.0.2.0', 24], // documentation
  ['192.31.196.0', 24], // AS112
  ['192.52.193.0', 24], // AMT
  ['192.88.99.0', 24], // 6to4 relays
  ['192.168.0.0', 16], // private
  ['192.175.48.0', 24], // AS112
  ['198.18.0.0', 15], // benchmarks
  ['198.51.100.0', 24], // documentation
  ['203.0.113.0', 24], // documentation
  ['224.0.0.0', 4], // multicast
  ['240.0.0.0', 4], // reserved, broadcast
  ['::', 3], // no global unicast below 2000::: loopback, IPv4-compatible, NAT64, discard …
  ['4000::', 2], // none above 3fff:ffff…: segment routing …
  ['8000::', 1], // … unique local, link-local, multicast
  ['2001::', 23], // protocol assignments: Teredo, ORCHID, benchmarks
  ['2001:db8::', 32], // documentation
  ['2002::', 16], // 6to4
  ['2620:4f:8000::', 48], // AS112
  ['3fff::', 20], // documentation
]

export interface AddressGuard {
  /** Is anything of this machine's or its network's own allowed? */
  readonly isOpen: boolean
  /** May a connection be made to this IP address? False for what is none. */
  mayReach(address: string): boolean
}

/** Throws RangeError for an entry that is not an address or a network in CIDR notation. */
export function createAddressGuard(allow: readonly string[]): AddressGuard {
  const refused = createNetworks(REFUSED)
  const allowed = createNetworks(allow.map(parseNetwork))
  return {
    isOpen: allow.length > 0,
    mayReach(address) {
      const plain = readAddress(address)
      if (plain === undefined) return false
      const family = familyOf(plain)
      return !refused[family].check(plain, family) || allowed[family].check(plain, family)
    },
  }
}

/** One list a family: Node's holds IPv4 addresses against networks of IPv6 too, all of them being mapped into `::/3`. */
function createNetworks(networks: readonly Network[]): Readonly<Record<'ipv4' | 'ipv6', BlockList>> {
  const lists = { ipv4: new BlockList(), ipv6: new BlockList() }
  for (const [address, prefix] of networks) lists[familyOf(address)].addSubnet(address, prefix, familyOf(address))
  return lists
}

/** The address behind its writing: without brackets and scope, an IPv4 one that is mapped into IPv6 as IPv4. */
export function readAddress(text: string): string | undefined {
  const bare = text.startsWith('[') && text.endsWith(']') ? text.slice(1, -1) : text
  const scope = bare.indexOf('%')
  const address = scope === -1 ? bare : bare.slice(0, scope)
  const version = isIP(address)
  if (version !== 6) return version === 4 ? address : undefined
  const canonical = new SocketAddress({ address, family: 'ipv6' }).address
  return /^::ffff:(\d+\.\d+\.\d+\.\d+)$/.exec(canonical)?.[1] ?? canonical
}

function parseNetwork(text: string): Network {
  const [, written = '', digits] = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(text) ?? []
  const address = readAddress(written)
  if (address === undefined) throw new RangeError(`${text} is no network`)
  const bits = familyOf(address) === 'ipv4' ? 32 : 128
  const mapped = bits === 32 && isIP(written) === 6 ? 96 : 0
  const prefix = digits === undefined ? bits : Number(digits) - mapped
  if (prefix < 0 || prefix > bits) throw new RangeError(`${text} is no network: its prefix does not fit`)
  return [address, prefix]
}

function familyOf(address: string): 'ipv4' | 'ipv6' {
  return isIP(address) === 4 ? 'ipv4' : 'ipv6'
}
