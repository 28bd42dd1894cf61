import type { Socket } from 'node:net'
import { describe, expect, test } from 'vitest'
import { createRateId, Peers } from './peers.ts'

const from = (remoteAddress: string) => ({ remoteAddress }) as Socket

describe('peers', () => {
  test('PE1: what an untrusted peer says of others is not believed', () => {
    const peers = new Peers(['10.0.0.0/8'])
    const peer = peers.of(from('::ffff:192.0.2.7'))
    expect(peer).toMatchObject({ address: '192.0.2.7', trusted: false, proto: 'http' })
    expect(peers.clientOf(peer, '203.0.113.9')).toBe('192.0.2.7')
    expect(new Peers([]).of(from('10.1.1.1')).trusted).toBe(false)
  })

  test('PE2: in a chain it is the last address that no trusted proxy has', () => {
    const peers = new Peers(['10.0.0.0/8', 'fd00::/8'])
    const peer = peers.of(from('10.0.0.1'))
    expect(peers.clientOf(peer, '')).toBe('10.0.0.1')
    expect(peers.clientOf(peer, '6.6.6.6, 203.0.113.9, 10.0.0.2')).toBe('203.0.113.9')
    expect(peers.clientOf(peer, '6.6.6.6, 203.0.113.9,fd00::2')).toBe('203.0.113.9')
    expect(peers.clientOf(peer, '[2001:db8::1]:4711, 10.0.0.2')).toBe('2001:db8::1')
    expect(peers.clientOf(peer, '203.0.113.9, nonsense')).toBe('10.0.0.1')
    expect(peers.clientOf(peer, Array(1_000).fill('10.0.0.3').join(','))).toBe('10.0.0.3')
  })

  test('an IPv6 client is its /64: it can choose the rest of its address at will', () => {
    expect(createRateId('192.0.2.7')).toBe('192.0.2.7')
    expect(createRateId('2001:db8:1:2:3:4:5:6')).toBe('2001:db8:1:2::/64')
    expect(createRateId('2001:db8:1:2::9')).toBe('2001:db8:1:2::/64')
    expect(createRateId('2001:0db8:0001:0002:ffff::')).toBe('2001:db8:1:2::/64')
    expect(createRateId('2001:db8::1')).toBe('2001:db8:0:0::/64')
    expect(createRateId('::1')).toBe('0:0:0:0::/64')
    expect(createRateId('fe80::1%eth0')).toBe('fe80:0:0:0::/64')
  })
})
