import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createAddressGuard, readAddress } from './address-guard.ts'

const guard = createAddressGuard([])

/** First and last address of each refused range, and what lies next to it on either side, if that is public. */
const RANGES: Readonly<Record<string, readonly [string, string, ...string[]]>> = {
  'this host': ['0.0.0.0', '0.255.255.255', '1.0.0.0'],
  'private 10': ['10.0.0.0', '10.255.255.255', '9.255.255.255', '11.0.0.0'],
  "carriers' NAT": ['100.64.0.0', '100.127.255.255', '100.63.255.255', '100.128.0.0'],
  loopback: ['127.0.0.0', '127.255.255.255', '126.255.255.255', '128.0.0.0'],
  'link-local and cloud metadata': ['169.254.0.0', '169.254.255.255', '169.253.255.255', '169.255.0.0'],
  'private 172': ['172.16.0.0', '172.31.255.255', '172.15.255.255', '172.32.0.0'],
  'protocol assignments': ['192.0.0.0', '192.0.0.255', '191.255.255.255', '192.0.1.0'],
  'documentation 1': ['192.0.2.0', '192.0.2.255', '192.0.1.255', '192.0.3.0'],
  '6to4 relays': ['192.88.99.0', '192.88.99.255', '192.88.98.255', '192.88.100.0'],
  'private 192': ['192.168.0.0', '192.168.255.255', '192.167.255.255', '192.169.0.0'],
  benchmarks: ['198.18.0.0', '198.19.255.255', '198.17.255.255', '198.20.0.0'],
  'documentation 2': ['198.51.100.0', '198.51.100.255', '198.51.99.255', '198.51.101.0'],
  'documentation 3': ['203.0.113.0', '203.0.113.255', '203.0.112.255', '203.0.114.0'],
  'multicast, reserved, broadcast': ['224.0.0.0', '255.255.255.255', '223.255.255.255'],
  'unspecified, loopback': ['::', '::1'],
  'IPv4-compatible': ['::8.8.8.8', '::127.0.0.1'],
  'IPv4-translated': ['::ffff:0:8.8.8.8', '::ffff:0:127.0.0.1'],
  NAT64: ['64:ff9b::', '64:ff9b::ffff:ffff'],
  'NAT64, local': ['64:ff9b:1::', '64:ff9b:1:ffff:ffff:ffff:ffff:ffff'],
  discard: ['100::', '100::ffff:ffff:ffff:ffff'],
  'Teredo and other assignments': ['2001::', '2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff', '2001:200::'],
  'documentation IPv6': ['2001:db8::', '2001:db8:ffff:ffff:ffff:ffff:ffff:ffff', '2001:db7:ffff::', '2001:db9::'],
  '6to4': ['2002::', '2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff', '2001:ffff::', '2003::'],
  'documentation IPv6, new': ['3fff::', '3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff', '3ffe:ffff::', '3fff:1000::'],
  'segment routing': ['5f00::', '5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff'],
  'unique local, AWS metadata': ['fc00::', 'fd00:ec2::254'],
  'link-local': ['fe80::', 'febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff'],
  'site-local': ['fec0::', 'feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'],
  'multicast IPv6': ['ff00::', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'],
}

/** The list of Svix's test, as addresses. */
const SVIX_REFUSED = [
  ['10.254.0.0', '192.168.10.65', '172.16.10.65', '0.1.2.3', '0.0.0.0', '127.0.0.1', '169.254.45.1'],
  ['255.255.255.255', '192.0.2.255', '198.51.100.65', '203.0.113.6', '100.100.0.0', '192.0.0.0', '192.0.0.255'],
  ['250.10.20.30', '198.18.0.0', '::1', '::ffff:127.0.0.1', '::ffff:0.0.0.1'],
].flat()

describe('addresses', () => {
  test.each(Object.entries(RANGES))('EG1: %s is refused to its edges, and nothing next to it', (_what, ends) => {
    const [first, last, ...outside] = ends
    expect([first, last].filter((address) => guard.mayReach(address))).toEqual([])
    expect(outside.filter((address) => !guard.mayReach(address))).toEqual([])
  })

  test('EG1: what other systems refuse is refused, and what is public is not', () => {
    expect(SVIX_REFUSED.filter((address) => guard.mayReach(address))).toEqual([])
    const open = ['1.1.1.1', '8.8.8.8', '2001:4860:4860::8888', '::ffff:8.8.8.8', '2a00:1450:4001::1']
    expect(open.filter((address) => !guard.mayReach(address))).toEqual([])
  })

  test('EG1: brackets, scopes, capitals, leading zeros and every way to map IPv4 into IPv6 change nothing', () => {
    const writings = [
      '[::1]',
      '[fe80::1%eth0]',
      'fe80::1%25lo',
      '[0:0:0:0:0:0:0:1]',
      '::FFFF:127.0.0.1',
      '::ffff:7f00:1',
    ]
      .concat(['0:0:0:0:0:ffff:7f00:0001', '[::ffff:169.254.169.254]', '::ffff:a9fe:a9fe', '64:ff9b::7f00:1'])
      .concat([
        '64:ff9b::169.254.169.254',
        '2002:7f00:1::',
        '2002:a9fe:a9fe::1',
        '2001:0:4136:e378:8000:63bf:3fff:fdd2',
      ])
    expect(writings.filter((address) => guard.mayReach(address))).toEqual([])
    expect(readAddress('[::ffff:7f00:1%eth0]')).toBe('127.0.0.1')
  })

  test('EG1: what is no IP address is refused', () => {
    for (const text of [
      '',
      'localhost',
      '127.1',
      '0x7f.0.0.1',
      '1.2.3.4.5',
      '256.1.1.1',
      '[]',
      '%eth0',
      ':::',
      '1.1.1.1 ',
    ])
      expect(guard.mayReach(text), text).toBe(false)
  })

  test('EG1: an IPv4 address and its mapped writing are always judged alike', () => {
    fc.assert(
      fc.property(fc.ipV4(), (address) => {
        expect(guard.mayReach(`[::ffff:${address}%1]`)).toBe(guard.mayReach(address))
        const octets = address.split('.').map((octet) => Number(octet).toString(16).padStart(2, '0'))
        const hex = `${octets[0]}${octets[1]}:${octets[2]}${octets[3]}`
        expect(guard.mayReach(`::ffff:${hex}`)).toBe(guard.mayReach(address))
        for (const carrier of [`64:ff9b::${hex}`, `2002:${hex}::`, `::${hex}`])
          expect(guard.mayReach(carrier)).toBe(false)
      }),
    )
  })
})

describe('holes', () => {
  test('EG2: allow opens what it names in either family, and nothing next to it', () => {
    const holed = createAddressGuard([
      '10.1.0.0/16',
      '127.0.0.1',
      'fd00:aa::/32',
      '::ffff:192.168.7.7',
      '::ffff:10.9.0.0/112',
    ])
    const through = [
      '10.1.0.0',
      '10.1.255.255',
      '::ffff:10.1.2.3',
      '127.0.0.1',
      '[fd00:aa::1]',
      '192.168.7.7',
      '10.9.255.255',
      '1.1.1.1',
    ]
    expect(through.filter((address) => !holed.mayReach(address))).toEqual([])
    const refused = ['10.0.255.255', '10.2.0.0', '127.0.0.2', '::1', 'fd00:ab::', '192.168.7.6', '169.254.169.254']
    expect(refused.filter((address) => holed.mayReach(address))).toEqual([])
    expect([holed.isOpen, guard.isOpen]).toEqual([true, false])
  })

  test('what is no network is refused when it is given', () => {
    for (const text of [
      '',
      'x',
      '10.0.0.0/33',
      '::/129',
      '::ffff:1.1.1.1/95',
      '10.0.0.0/',
      '10.0.0.0/-1',
      '10.0.0.0/8/8',
      'localhost',
      '1/8',
    ])
      expect(() => createAddressGuard([text]), text).toThrow(RangeError)
  })
})
