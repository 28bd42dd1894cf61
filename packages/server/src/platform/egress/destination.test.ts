import { describe, expect, test } from 'vitest'
import { createAddressGuard } from './address-guard.ts'
import { createDestination, parseDestination } from './destination.ts'

const guard = createAddressGuard([])

/** Of what the refusal is, or the URL. */
function read(text: string, allow: readonly string[] = []): string {
  try {
    return parseDestination(text, createAddressGuard(allow)).href
  } catch (error) {
    const { code, sent, details } = error as { code: string; sent: string; details: { reason: string } }
    expect([code, sent]).toEqual(['EGRESS_REFUSED', 'no'])
    return details.reason
  }
}

const LOOPBACK = ['127.0.0.1', '2130706433', '0x7f.1', '0177.0.0.1', '127.1', '[::ffff:127.0.0.1]', '0.0.0.0', '0']
  .concat(['[::1]', '[::]', '0x7f000001', '017700000001', '127.0.0.1.', '[0:0:0:0:0:ffff:7f00:1]', '１２７.０.０.１'])
  .concat([
    '%31%32%37.0.0.1',
    '127。0。0。1',
    '[64:ff9b::7f00:1]',
    '[2002:7f00:1::]',
    '[::127.0.0.1]',
    '0x7f.0x0.0x0.0x1',
  ])

describe('addresses by their text', () => {
  test.each(LOOPBACK)('EG1: http://%s/ is refused', (host) => {
    expect(read(`http://${host}/`)).toBe('address')
    expect(read(`https://${host}:8443/x`)).toBe('address')
  })

  test('EG1: a scope, credentials and other schemes are refused', () => {
    const cases: Readonly<Record<string, string>> = {
      'http://[fe80::1%25eth0]/': 'syntax',
      'http://[::1%lo]/': 'syntax',
      'http://user@example.com/': 'credentials',
      'http://:secret@example.com/': 'credentials',
      'http://example.com@127.0.0.1/': 'credentials',
      'http://127.0.0.1\\@example.com/': 'address',
      'http://169.254.169.254/latest/meta-data': 'address',
      'file:///etc/passwd': 'scheme',
      'ftp://example.com/': 'scheme',
      'gopher://example.com/': 'scheme',
      'javascript:alert(1)': 'scheme',
      'data:text/plain,x': 'scheme',
      'ws://example.com/': 'scheme',
      'example.com/x': 'syntax',
      '//example.com': 'syntax',
      '': 'syntax',
      'http://': 'syntax',
      'http://1.2.3.4.5/': 'syntax',
      'http://256.256.256.256/': 'syntax',
      'http://exa mple.com/': 'syntax',
      'http://example.com:70000/': 'syntax',
      'http://example.com:0/': 'port',
      'http://example.com:25/': 'port',
      'https://example.com:22/': 'port',
      'http://example.com:6667/': 'port',
      [`http://example.com/${'x'.repeat(2_048)}`]: 'syntax',
    }
    for (const [text, reason] of Object.entries(cases)) expect(read(text), text).toBe(reason)
  })

  test('names of this machine and its network are refused, unless some network is allowed', () => {
    const names = [
      'localhost',
      'LOCALHOST',
      'localhost.',
      'a.localhost',
      'localhost.localdomain',
      'postgres',
      'printer.local',
    ].concat(['metadata.google.internal', 'x.home.arpa', 'ip6-loopback', 'db.corp', 'nas.lan', 'lo%63alhost'])
    for (const name of names) expect(read(`http://${name}:8080/`), name).toBe('name')
    expect(read('http://localhost:8080/', ['127.0.0.0/8'])).toBe('http://localhost:8080/')
    for (const name of [
      'example.com',
      'localhost.example.com',
      'mylocal.dev',
      'hooks.internal.example.com',
      'bücher.example',
    ])
      expect(read(`https://${name}/`), name).toMatch(/^https:/)
  })

  test('EG2: what is allowed is taken, in whatever writing', () => {
    expect(read('http://2130706433:4001/a', ['127.0.0.1/32'])).toBe('http://127.0.0.1:4001/a')
    expect(read('http://[::1]/', ['::1/128'])).toBe('http://[::1]/')
    expect(read('http://127.0.0.2/', ['127.0.0.1/32'])).toBe('address')
  })

  test('a destination has origin and path with query, and a URL that was changed after its check is checked again', () => {
    const url = parseDestination('https://EXAMPLE.com:443/a%20b?c=d#e', guard)
    expect(createDestination(url, guard)).toEqual({ origin: 'https://example.com', path: '/a%20b?c=d' })
    url.hostname = '127.0.0.1'
    expect(() => createDestination(url, guard)).toThrow('public')
  })
})
