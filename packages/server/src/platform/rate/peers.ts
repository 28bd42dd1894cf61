// Peers. Who is at the other end: the address of the connection, or, where that is a proxy we were told to trust, the
// nearest address in X-Forwarded-For that is not such a proxy. What an untrusted peer claims is never believed.
// Invariants:
//   PE1. The address of a client behind untrusted peers is the address of the connection.
//   PE2. In a chain of trusted proxies it is the last address that no trusted proxy has.

import type { IncomingMessage } from 'node:http'
import { BlockList, isIP, type Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'

export interface Peer {
  readonly address: string
  readonly trusted: boolean
  readonly proto: 'http' | 'https'
}

/** More than any real chain has. */
const HOPS_MAX = 32

export class Peers {
  readonly #trusted = new BlockList()
  readonly #trustsAny: boolean
  readonly #known = new WeakMap<Socket, Peer>()

  /** `blocks`: CIDR, as the configuration has them. */
  constructor(blocks: readonly string[]) {
    this.#trustsAny = blocks.length > 0
    for (const block of blocks) {
      const [network = '', bits = ''] = block.split('/')
      this.#trusted.addSubnet(network, Number(bits), isIP(network) === 6 ? 'ipv6' : 'ipv4')
    }
  }

  /** Remembered for as long as the connection lives. */
  of(socket: Socket): Peer {
    const known = this.#known.get(socket)
    if (known !== undefined) return known
    const address = unmapped(socket.remoteAddress ?? '')
    const proto = (socket as Partial<TLSSocket>).encrypted === true ? 'https' : 'http'
    const peer: Peer = { address, trusted: this.#isTrusted(address), proto }
    this.#known.set(socket, peer)
    return peer
  }

  /** `forwardedFor`: the joined values of X-Forwarded-For. */
  clientOf(peer: Peer, forwardedFor: string): string {
    if (!peer.trusted || forwardedFor === '') return peer.address
    const hops = forwardedFor.split(',')
    let client = peer.address
    for (let index = hops.length - 1; index >= Math.max(0, hops.length - HOPS_MAX); index--) {
      const hop = unmapped((hops[index] ?? '').trim().replace(/^\[(.*)\](:\d+)?$/, '$1'))
      if (isIP(hop) === 0) return client
      client = hop
      if (!this.#isTrusted(hop)) return client
    }
    return client
  }

  #isTrusted(address: string): boolean {
    if (!this.#trustsAny) return false
    const family = isIP(address)
    return family !== 0 && this.#trusted.check(address, family === 6 ? 'ipv6' : 'ipv4')
  }
}

/** The address of who sent a request, as the trusted proxies tell it. `blocks`: as for Peers. */
export function createAddressOf(blocks: readonly string[]): (request: IncomingMessage) => string {
  const peers = new Peers(blocks)
  return ({ socket, headers }) => {
    const forwardedFor = headers['x-forwarded-for'] ?? ''
    return peers.clientOf(peers.of(socket), typeof forwardedFor === 'string' ? forwardedFor : forwardedFor.join(','))
  }
}

function unmapped(address: string): string {
  return address.startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address
}

/** What counts as one client: an IPv4 address, or the /64 that an IPv6 host gets to choose its addresses from. */
export function createRateId(address: string): string {
  if (!address.includes(':')) return address
  const [head = '', tail] = address.split('%', 1)[0]?.split('::', 2) ?? []
  const left = head === '' ? [] : head.split(':')
  const right = tail === undefined || tail === '' ? [] : tail.split(':')
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - left.length - right.length)
  const groups = [...left, ...Array<string>(zeros).fill('0'), ...right].slice(0, 4)
  return `${groups.map((group) => Number.parseInt(group, 16).toString(16)).join(':')}::/64`
}
