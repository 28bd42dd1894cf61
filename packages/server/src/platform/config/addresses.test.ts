import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  isLoopbackHost,
  isPlainPath,
  parseMasterKeys,
  parseNetworks,
  parseOrigin,
  parsePostgresUrl,
  parseRedisUrl,
  parseTrustedProxies,
  parseUpstreamUrl,
} from './addresses.ts'

const read = <T>(parsed: { readonly value: T } | { readonly wrong: string }): T => {
  if ('value' in parsed) return parsed.value
  throw new Error(parsed.wrong)
}
const wrongOf = (parsed: object): string | undefined => ('wrong' in parsed ? String(parsed.wrong) : undefined)

describe('Postgres', () => {
  it('reads several hosts, IPv6, escapes and parameters', () => {
    const url = read(
      parsePostgresUrl(
        'postgresql://a%40b:p:w@d@[::1]:1,db-1.example,10.0.0.1:2/my%20db?sslmode=verify-ca&sslrootcert=/ca.pem&application_name=x',
      ),
    )
    expect(url.hosts).toEqual([
      { host: '::1', port: 1 },
      { host: 'db-1.example', port: 5432 },
      { host: '10.0.0.1', port: 2 },
    ])
    expect(url).toMatchObject({
      user: 'a@b',
      database: 'my db',
      tls: 'verify',
      caFile: '/ca.pem',
      applicationName: 'x',
    })
    expect(url.password?.reveal()).toBe('p:w@d')
    expect(url.redacted).toBe('postgres://a%40b:***@[::1]:1,db-1.example:5432,10.0.0.1:2/my%20db')
  })

  it('the database is named like the user unless it is named, as libpq has it', () => {
    expect(read(parsePostgresUrl('postgres://app@h')).database).toBe('app')
    expect(read(parsePostgresUrl('postgres://app@h/')).redacted).toBe('postgres://app@h:5432/app')
  })

  it('complains of what it can not read, and never quotes it', () => {
    for (const text of [
      '',
      'postgres',
      'http://a@h/d',
      'postgres://h/db',
      'postgres://u:s3cr3t@h:0/d',
      'postgres://u:s3cr3t@h:70000/d',
      'postgres://u:s3cr3t@/d',
      'postgres://u:s3cr3t#x@h/d',
      'postgres://u:s3cr3t%@h/d',
      'postgres://u:s3cr3t@h/d?s3cr3t=1',
      'postgres://u:s3cr3t@h/d?sslmode=s3cr3t',
      `postgres://u:s3cr3t@${'h,'.repeat(20)}h/d`,
      'postgres://u:s3cr3t@h/d/e',
      'postgres://u:s3cr3t@[::z]/d',
    ]) {
      const parsed = parsePostgresUrl(text)
      expect(wrongOf(parsed), text).toBeDefined()
      expect(JSON.stringify(parsed)).not.toContain('s3cr3t')
    }
  })

  it('whatever user and password are percent-encoded, they come back', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), fc.string({ minLength: 1, unit: 'grapheme' }), (user, password) => {
        const url = read(parsePostgresUrl(`postgres://${encodeURIComponent(user)}:${encodeURIComponent(password)}@h/d`))
        expect([url.user, url.password?.reveal()]).toEqual([user, password])
      }),
    )
  })
})

describe('Redis', () => {
  it('reads password alone, user and password, TLS and the database', () => {
    expect(read(parseRedisUrl('redis://:pw@h')).password?.reveal()).toBe('pw')
    expect(read(parseRedisUrl('rediss://u:pw@h:1/7'))).toMatchObject({
      username: 'u',
      port: 1,
      tls: true,
      database: 7,
    })
    expect(read(parseRedisUrl('redis://h/'))).toMatchObject({
      port: 6379,
      database: 0,
      redacted: 'redis://h:6379/0',
    })
    for (const text of ['h:6379', 'redis://a,b', 'redis://h/x', 'redis://h?family=6', 'http://h']) {
      expect(wrongOf(parseRedisUrl(text)), text).toBeDefined()
    }
  })
})

describe('upstreams', () => {
  it('reads origin and prefix', () => {
    expect(read(parseUpstreamUrl('https://API.example/base/v2/'))).toMatchObject({
      origin: 'https://api.example:443',
      pathPrefix: '/base/v2',
      tls: true,
    })
    expect(read(parseUpstreamUrl('http://[::1]:80'))).toMatchObject({
      host: '::1',
      origin: 'http://[::1]:80',
      pathPrefix: '',
    })
    for (const text of [
      '127.0.0.1:4001',
      'http://',
      'http://a,b',
      'http://u:p@h',
      'http://h?x',
      'http://h#x',
      'http://h/a/../b',
      'ws://h',
      'http://h:port',
    ]) {
      expect(wrongOf(parseUpstreamUrl(text)), text).toBeDefined()
    }
  })

  it('a plain path is one that URL leaves as it is', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...'/.%a~?#\\ é:') }), (text) => {
        if (isPlainPath(text) && text !== '') expect(new URL(text, 'http://h').pathname).toBe(text)
      }),
      { numRuns: 1000 },
    )
  })
})

describe('origins and networks', () => {
  it('an origin is what browsers send: lower case, no default port', () => {
    expect(read(parseOrigin('HTTPS://App.Example:443'))).toBe('https://app.example')
    expect(read(parseOrigin('http://localhost:8080'))).toBe('http://localhost:8080')
    for (const text of ['null', 'https://a/', 'https://*.a', 'a.example', 'ftp://a', 'https://u@a', 'https://a?b']) {
      expect(wrongOf(parseOrigin(text)), text).toBe('is not an origin')
    }
  })

  it('trusted proxies become CIDR blocks', () => {
    expect(read(parseTrustedProxies(['none']))).toEqual([])
    expect(read(parseTrustedProxies(['10.1.2.3', 'fd00::/8', 'loopback']))).toEqual([
      '10.1.2.3/32',
      'fd00::/8',
      '127.0.0.0/8',
      '::1/128',
    ])
    for (const word of ['10.0.0.0/33', '10.0.0/8', 'proxy.example', '1.2.3.4/8/8', 'fe80::1%eth0', '', 'none,none']) {
      expect(wrongOf(parseTrustedProxies([word])), word).toBeDefined()
    }
  })

  it('a loopback host is an address of this machine, or localhost', () => {
    expect(['127.0.0.1', '127.255.0.9', '::1', 'localhost'].every(isLoopbackHost)).toBe(true)
    expect(['0.0.0.0', '::', '128.0.0.1', 'example.localhost', '', '127.0.0.1.example'].some(isLoopbackHost)).toBe(
      false,
    )
  })
})

describe('networks and keys', () => {
  it('networks that strangers may reach are addresses and blocks, but never all', () => {
    expect(read(parseNetworks(['10.0.0.0/8', '127.0.0.1', 'fd00::/8']))).toEqual([
      '10.0.0.0/8',
      '127.0.0.1/32',
      'fd00::/8',
    ])
    expect(read(parseNetworks([]))).toEqual([])
    for (const all of ['0.0.0.0/0', '::/0', '10.0.0.0/00'])
      expect(wrongOf(parseNetworks([all])), all).toContain('every')
    for (const bad of ['', 'localhost', '10.0.0.0/33', '10.0.0/8', 'fe80::1%eth0', '1.1.1.1/8/8', 'none', '*'])
      expect(wrongOf(parseNetworks([bad])), bad).toContain('CIDR')
  })

  it('a master key is 32 random bytes in base64, and each is given once', () => {
    const keys = [7, 8].map((seed) => Buffer.from(Array.from({ length: 32 }, (_, index) => (index * 37 * seed) % 251)))
    const texts = keys.map((key) => key.toString('base64'))
    expect(read(parseMasterKeys(texts)).map((key) => key.reveal())).toEqual(texts)
    expect(read(parseMasterKeys(['']))).toEqual([])
    const [first = ''] = texts
    for (const bad of [
      first.slice(1),
      `${first}=`,
      first.replace('=', ''),
      'x'.repeat(44),
      `${first.slice(0, -2)}/=`,
      keys[0]?.toString('hex') ?? '',
    ])
      expect(wrongOf(parseMasterKeys([bad])), bad).toContain('32 bytes')
    expect(wrongOf(parseMasterKeys([Buffer.alloc(32).toString('base64')]))).toContain('random')
    expect(wrongOf(parseMasterKeys([Buffer.from('changeme'.repeat(4)).toString('base64')]))).toContain('random')
    expect(wrongOf(parseMasterKeys([first, first]))).toContain('twice')
  })
})
