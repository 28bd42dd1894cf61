import { RipstopError } from '@ripstop/kernel'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { redactFields, redactText } from './redaction.ts'

const SECRET = 'Sup3rS3cretValue'

describe('names', () => {
  it('TE1: M7: credentials are recognised by name, at any depth, in every spelling', () => {
    const names = [
      'authorization',
      'Authorization',
      'proxy-authorization',
      'cookie',
      'set-cookie',
      'password',
      'pgPassword',
      'passwd',
      'pwd',
      'secret',
      'clientSecret',
      'token',
      'accessToken',
      'x-csrf-token',
      'api_key',
      'apiKey',
      'x-api-key',
      'private_key',
      'credentials',
      'passphrase',
      'signature',
    ]
    for (const name of names) {
      let fields: Record<string, unknown> = { [name]: SECRET }
      for (let depth = 0; depth < 5; depth++) {
        const written = JSON.stringify(redactFields(fields))
        expect(written, name).not.toContain(SECRET)
        expect(written, name).toContain('[redacted]')
        fields = depth % 2 === 0 ? { inner: fields } : { list: [fields] }
      }
      expect(JSON.stringify(redactFields({ headers: new Map([[name, SECRET]]) })), name).not.toContain(SECRET)
      expect(JSON.stringify(redactFields({ [name]: { inner: [SECRET] } })), name).not.toContain(SECRET)
    }
  })

  it('counts of tokens, keys and plain fields are left alone', () => {
    const fields = {
      inputTokens: 512,
      token: 3,
      key: 'orders:1',
      route: '/orders',
      passed: true,
      attempt: 1,
      ratio: 0.5,
    }
    expect(redactFields(fields)).toEqual(fields)
  })
})

describe('texts', () => {
  it('TE1: credentials are recognised in URLs, headers, pairs and keys', () => {
    const texts = [
      `connect postgres://app:${SECRET}@h1:5432,h2/db failed`,
      `postgres://app:pa/${SECRET}@ss@h/db`,
      `redis://:${SECRET}@h`,
      `http://${SECRET}@h/`,
      `Authorization: Bearer ${SECRET}`,
      `authorization: Basic ${SECRET}==`,
      `sent bearer ${SECRET} to peer`,
      `Cookie: a=1; sid=${SECRET}`,
      `set-cookie: sid=${SECRET}; HttpOnly`,
      `/callback?code=1&access_token=${SECRET}&x=1`,
      `host=h password=${SECRET} dbname=d`,
      `{"user":"a","password":"${SECRET}"}`,
      `-----BEGIN RSA PRIVATE KEY-----\n${SECRET}\n-----END RSA PRIVATE KEY-----`,
      `-----BEGIN PRIVATE KEY-----\n${SECRET}`,
    ]
    for (const text of texts) {
      expect(redactText(text), text).not.toContain(SECRET)
      expect(redactText(text), text).toContain('[redacted]')
    }
  })

  it('plain texts stay as they are', () => {
    const texts = [
      'http://h/a?b=1',
      'a@b.example',
      'GET /orders 200',
      'x: y',
      'the token expired',
      'step "a" took 5 ms',
      'basic check',
    ]
    for (const text of texts) expect(redactText(text)).toBe(text)
  })

  it('TE1: keys and session tokens of our own are recognised wherever they stand', () => {
    for (const own of [`rs_prod_${'a1B2'.repeat(8)}`, `rst_WyJ0Il0.${'m'.repeat(43)}`]) {
      for (const text of [own, `ripstop.v1, ripstop.token.${own}`, `/ws?sessionId=1&token=${own}`, `said ${own}!`]) {
        expect(redactText(text)).not.toContain(own)
        expect(JSON.stringify(redactFields({ url: text, list: [text] }))).not.toContain(own)
      }
    }
  })

  it('TE1: whatever a password holds, no URL gives it away', () => {
    const password = fc.string({ minLength: 4, unit: fc.constantFrom(...'abcXYZ019/@:?#[]%&=+$!*().,;~^-_') })
    fc.assert(
      fc.property(password, (given) => {
        expect(redactText(`failed: postgres://app:${given}@db.example/x`)).toBe(
          'failed: postgres://[redacted]@db.example/x',
        )
      }),
      { numRuns: 500 },
    )
  })

  it('TE3: a long text is cut, and hostile ones cost no more than milliseconds', () => {
    expect(redactText('x'.repeat(100_000)).length).toBeLessThan(9_000)
    for (const piece of [
      '://',
      '://a',
      'bearer ',
      'password',
      '"password"',
      'cookie: ',
      '-----BEGIN ',
      '@',
      '-----BEGIN PRIVATE KEY-----',
    ]) {
      const text = piece.repeat(100_000 / piece.length)
      const startMs = performance.now()
      redactText(text)
      expect(performance.now() - startMs, piece).toBeLessThan(500)
    }
  })
})

describe('values', () => {
  it('ours is code, message and details; another has its stack; causes follow; nothing leaks on the way', () => {
    const cause = Object.assign(new Error(`connect to postgres://u:${SECRET}@h failed`), {
      code: 'ECONNREFUSED',
      password: SECRET,
    })
    const error = new RipstopError('LINK_DOWN', `no way to redis://:${SECRET}@h`, {
      cause,
      sent: 'no',
      details: { link: 'redis', token: SECRET },
    })
    const { error: written } = redactFields({ error }) as { error: Record<string, unknown> }
    expect(written).toEqual({
      code: 'LINK_DOWN',
      message: 'no way to redis://[redacted]@h',
      sent: 'no',
      details: { link: 'redis', token: '[redacted]' },
      cause: {
        name: 'Error',
        code: 'ECONNREFUSED',
        message: 'connect to postgres://[redacted]@h failed',
        stack: expect.any(Array),
      },
    })
    expect(JSON.stringify(written)).not.toContain(SECRET)
    const many = redactFields({ error: new AggregateError([new Error('a'), cause], 'both') })
    expect(JSON.stringify(many)).toContain('"message":"a"')
    expect(JSON.stringify(many)).not.toContain(SECRET)
  })

  it('TE2: hostile values give a line anyway', () => {
    const circular: Record<string, unknown> = { name: 'a' }
    circular.self = circular
    const throwing = {
      get bad(): string {
        throw new Error('no')
      },
      toJSON(): never {
        throw new Error('no')
      },
    }
    const proxy = new Proxy(
      {},
      {
        ownKeys: () => {
          throw new Error('no')
        },
      },
    )
    const loopError = new Error('loop')
    loopError.cause = loopError
    const written = redactFields({
      circular,
      throwing,
      proxy,
      loopError,
      big: 10n ** 30n,
      bytes: Buffer.from(SECRET),
      when: new Date(0),
      invalid: new Date(Number.NaN),
      set: new Set([1]),
      url: new URL(`http://u:${SECRET}@h/`),
      nothing: undefined,
      run: () => 1,
      symbol: Symbol('x'),
      nan: Number.NaN,
    })
    expect(written).toMatchObject({
      circular: { name: 'a', self: '[circular]' },
      throwing: '[unreadable]',
      proxy: '[unreadable]',
      big: '1000000000000000000000000000000',
      bytes: '[16 bytes]',
      when: '1970-01-01T00:00:00.000Z',
      set: [1],
      url: 'http://[redacted]@h/',
    })
    expect(Object.keys(written)).not.toContain('run')
    expect(JSON.stringify(written)).not.toContain(SECRET)
  })

  it('TE2: any value at all gives a line', () => {
    fc.assert(
      fc.property(
        fc.anything({
          withBigInt: true,
          withDate: true,
          withMap: true,
          withSet: true,
          withTypedArray: true,
          withNullPrototype: true,
          withObjectString: true,
          withSparseArray: true,
        }),
        (value) => {
          expect(typeof JSON.stringify(redactFields({ value }))).toBe('string')
        },
      ),
      { numRuns: 1000 },
    )
  })

  it('TE3: depth and entries are bounded', () => {
    let deep: unknown = 'end'
    for (let depth = 0; depth < 1000; depth++) deep = { deep }
    const wide = Object.fromEntries(Array.from({ length: 5_000 }, (_, index) => [`f${index}`, 'x']))
    const written = JSON.stringify(redactFields({ deep, wide, list: Array.from({ length: 5_000 }, () => 'x') }))
    expect(written.length).toBeLessThan(5_000)
    expect(written).toContain('[too deep]')
    expect(written).toContain('more entries left out')
    expect(written).toContain('4936 more')
  })
})
