// Vectors: the one that every language of standard-webhooks repeats, and the only v1a vector in public, of Svix' server.

import { createPrivateKey, createPublicKey } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createKeyPair, EVENT, OTHER_SECRET, SECRET, type Signed, signWebhook } from './signing.fixture.ts'
import { type VerifyOptions, verifyWebhook, type WebhookHeaders } from './verify.ts'
import { isWebhookError } from './webhook-error.ts'

const VECTOR = {
  headers: {
    'webhook-id': 'msg_p5jXN8AQM9LWM0D4loKWxJek',
    'webhook-timestamp': '1614265330',
    'webhook-signature': 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
  },
  body: '{"test": 2432232314}',
  secrets: 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
  nowMs: 1_614_265_330_000,
}
const V1A = {
  privateKey: '6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==',
  signature: 'v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg==',
}

function codeOf(options: VerifyOptions): string {
  try {
    verifyWebhook(options)
    return 'verified'
  } catch (error) {
    return isWebhookError(error) ? error.code : String(error)
  }
}

const check = (signed: { headers: WebhookHeaders; body: Uint8Array | string }, more: Partial<VerifyOptions> = {}) =>
  codeOf({ ...signed, secrets: SECRET, ...more })

describe('vectors', () => {
  test('SK1: the vector of Standard Webhooks verifies, as bytes and as text', () => {
    const webhook = { id: 'msg_p5jXN8AQM9LWM0D4loKWxJek', timestampMs: 1_614_265_330_000, attempt: undefined }
    const expected = { ...webhook, event: { test: 2432232314 } }
    expect(verifyWebhook(VECTOR)).toEqual(expected)
    expect(verifyWebhook({ ...VECTOR, body: Buffer.from(VECTOR.body) })).toEqual(expected)
    expect(codeOf({ ...VECTOR, body: '{"test": 2432232315}' })).toBe('SIGNATURE_INVALID')
  })

  test('SK1: the v1a vector verifies with the public half of its key', () => {
    // The last 32 of its 64 bytes are the public key; node derives the same from the first 32.
    const bytes = Buffer.from(V1A.privateKey, 'base64')
    const pkcs8 = Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), bytes.subarray(0, 32)])
    const derived = createPublicKey(createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' })).export({
      format: 'jwk',
    }).x
    expect(bytes.subarray(32).toString('base64url')).toBe(derived)
    const secrets = `whpk_${bytes.subarray(32).toString('base64')}`
    const headers = { ...VECTOR.headers, 'webhook-signature': V1A.signature }
    expect(verifyWebhook({ ...VECTOR, headers, secrets }).event).toEqual({ test: 2432232314 })
    expect(codeOf({ ...VECTOR, headers, secrets, body: '{"test": 2432232315}' })).toBe('SIGNATURE_INVALID')
    expect(codeOf({ ...VECTOR, headers })).toBe('SIGNATURE_INVALID') // not by the shared secret
  })
})

describe('tampering', () => {
  const bytes = fc.uint8Array({ minLength: 0, maxLength: 200 })
  const flip = (source: Uint8Array, at: number, bit: number): Buffer => {
    const changed = Buffer.from(source)
    changed[at % changed.length] = (changed[at % changed.length] ?? 0) ^ (1 << bit)
    return changed
  }

  test('SK1: whatever byte of body, id, timestamp or signature is changed, it is refused', () => {
    const body = bytes.map((tail) => Buffer.concat([Buffer.from(EVENT), Buffer.from(JSON.stringify([...tail]))]))
    fc.assert(
      fc.property(
        body,
        fc.constantFrom('body', 'webhook-id', 'webhook-timestamp', 'webhook-signature'),
        fc.nat(),
        fc.nat(7),
        (sent, part, at, bit) => {
          const signed = signWebhook({ body: sent })
          const tampered: Signed =
            part === 'body'
              ? { ...signed, body: flip(signed.body, at, bit) }
              : {
                  ...signed,
                  headers: {
                    ...signed.headers,
                    [part]: flip(Buffer.from(signed.headers[part] ?? ''), at, bit).toString('latin1'),
                  },
                }
          expect(check(tampered)).toMatch(/^(SIGNATURE_INVALID|WEBHOOK_MALFORMED)$/)
        },
      ),
      { numRuns: 2_000 },
    )
  })

  test('SK1: a signature spelled otherwise is refused, though it decodes to the same bytes', () => {
    const signed = signWebhook()
    const signature = signed.headers['webhook-signature'] ?? ''
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
    const last = alphabet.indexOf(signature.at(-2) ?? '')
    const same = `${signature.slice(0, -2)}${alphabet[last ^ 1]}=`
    expect(Buffer.from(same.slice(3), 'base64')).toEqual(Buffer.from(signature.slice(3), 'base64'))
    const { publicKey, sign } = createKeyPair()
    const { 'webhook-id': id, 'webhook-timestamp': time } = signed.headers
    const v1a = sign(`${id}.${time}.${EVENT}`)
    for (const other of [
      same,
      signature.slice(0, -1),
      `${signature}=`,
      `${signature}\n`,
      signature.replace('v1', 'v2'),
      'v1,',
      ',',
      '',
    ])
      expect(check({ ...signed, headers: { ...signed.headers, 'webhook-signature': other } })).not.toBe('verified')
    for (const [other, said] of [
      [v1a, 'verified'],
      [v1a.replaceAll('=', ''), 'SIGNATURE_INVALID'],
      [`${v1a}A`, 'SIGNATURE_INVALID'],
    ] as const)
      expect(
        check({ ...signed, headers: { ...signed.headers, 'webhook-signature': other } }, { secrets: publicKey }),
      ).toBe(said)
  })

  test('SK1: bytes are verified, not text: what is no UTF-8 can be signed, and is told from what was changed', () => {
    const body = Buffer.from([0x22, 0xff, 0xfe, 0x22])
    const signed = signWebhook({ body })
    expect(check(signed)).toBe('WEBHOOK_MALFORMED') // signed well, but no JSON
    expect(check({ ...signed, body: body.toString('utf8') })).toBe('SIGNATURE_INVALID') // replacement characters
    expect(check(signWebhook({ body: 'no json' }))).toBe('WEBHOOK_MALFORMED')
  })

  test('SK1: an id with a dot is refused: it could be read as another id with another time', () => {
    // What was signed for id `a` at 1 is, byte by byte, what id `a.1` at 2 would sign.
    const signed = signWebhook({ id: 'a', seconds: 1, body: '2.{}' })
    const forged = { ...signed.headers, 'webhook-id': 'a.1', 'webhook-timestamp': '2' }
    expect(check({ headers: forged, body: '{}' }, { nowMs: 2_000 })).toBe('WEBHOOK_MALFORMED')
    for (const id of ['a.b', 'a b', 'a,b', 'a\u0000', 'ä', 'x'.repeat(257)])
      expect(check(signWebhook({ id }))).toBe('WEBHOOK_MALFORMED')
  })
})

describe('headers', () => {
  const NAMES = ['webhook-id', 'webhook-timestamp', 'webhook-signature']

  test('SK2: a header that is missing, empty or there twice is refused', () => {
    const { headers, body } = signWebhook()
    for (const name of NAMES) {
      const { [name]: value = '', ...without } = headers
      const spelled = name.replace('webhook', 'Webhook')
      for (const bad of [
        without,
        { ...headers, [name]: '' },
        { ...headers, [name]: [value, value] },
        { ...headers, [spelled]: value },
      ])
        expect(check({ headers: bad, body })).toBe('WEBHOOK_MALFORMED')
      if (name !== 'webhook-signature')
        expect(check({ headers: { ...headers, [name]: `${value}, ${value}` }, body })).toBe('WEBHOOK_MALFORMED')
    }
  })

  test('SK2: headers of fetch, and names in capitals, are read too', () => {
    const { headers, body } = signWebhook({ headers: { 'webhook-attempt': '3' } })
    expect(verifyWebhook({ headers: new Headers(headers), body, secrets: SECRET }).attempt).toBe(3)
    const capitals = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toUpperCase(), value]))
    expect(check({ headers: capitals, body })).toBe('verified')
    const twice = new Headers(headers)
    twice.append('webhook-id', 'msg_2')
    expect(check({ headers: twice, body })).toBe('WEBHOOK_MALFORMED')
  })

  test('SK2: an attempt that is no number says nothing', () => {
    for (const attempt of ['', '0', '-1', '1e3', '1, 2', 'x']) {
      const { headers, body } = signWebhook({ headers: { 'webhook-attempt': attempt } })
      expect(verifyWebhook({ headers, body, secrets: SECRET }).attempt).toBeUndefined()
    }
  })
})

describe('time', () => {
  const seconds = 1_700_000_000
  const at = (offsetMs: number, toleranceMs?: number) =>
    check(signWebhook({ seconds }), {
      nowMs: seconds * 1_000 + offsetMs,
      ...(toleranceMs === undefined ? {} : { toleranceMs }),
    })

  test('SK3: more than the tolerance before or after our time is refused', () => {
    expect([at(300_000), at(-300_000)]).toEqual(['verified', 'verified'])
    expect([at(300_001), at(-300_001)]).toEqual(['TIMESTAMP_REFUSED', 'TIMESTAMP_REFUSED'])
    expect([at(1_001, 1_000), at(1_000, 1_000), at(0, Number.NaN)]).toEqual([
      'TIMESTAMP_REFUSED',
      'verified',
      'TIMESTAMP_REFUSED',
    ])
  })

  test('SK3: a forged signature is told as such, however old', () => {
    const signed = signWebhook({ seconds: 1, secrets: [OTHER_SECRET] })
    expect(check(signed)).toBe('SIGNATURE_INVALID')
  })

  test('SK3: what is no whole number of seconds is refused', () => {
    for (const time of ['0', '-1', '1.5', '1e9', ' 1700000000', '01700000000', '1700000000000', 'now', '0x1']) {
      const { headers, body } = signWebhook()
      expect(check({ headers: { ...headers, 'webhook-timestamp': time }, body })).toBe('WEBHOOK_MALFORMED')
    }
  })
})

describe('secrets', () => {
  test('SK1: while secrets are rotated, either side may know several', () => {
    const { publicKey } = createKeyPair()
    expect(check(signWebhook({ secrets: [OTHER_SECRET, SECRET] }))).toBe('verified')
    expect(check(signWebhook(), { secrets: [OTHER_SECRET, SECRET] })).toBe('verified')
    expect(check(signWebhook(), { secrets: [OTHER_SECRET, publicKey] })).toBe('SIGNATURE_INVALID')
    const many = signWebhook({ secrets: Array(33).fill(OTHER_SECRET) })
    expect(check(many)).toBe('WEBHOOK_MALFORMED')
    const { headers, body } = signWebhook()
    const unknown = `v9,abc v1a,zzz ${headers['webhook-signature']}`
    expect(check({ headers: { ...headers, 'webhook-signature': unknown }, body })).toBe('verified')
  })

  test('SK1: a secret that is none is refused before anything is believed, and never shown', () => {
    const short = `whsec_${Buffer.alloc(23, 7).toString('base64')}`
    const bad = [
      [],
      '',
      'secret',
      short,
      'whsec_****',
      'whsec_',
      'whpk_AAAA',
      'whsk_AAAA',
      SECRET.slice(6),
      [SECRET, short],
      undefined,
      null,
      [undefined],
    ]
    for (const secrets of bad) {
      const options = { ...signWebhook(), secrets: secrets as string }
      expect(codeOf(options), JSON.stringify(secrets)).toBe('SECRET_INVALID')
    }
    const shown = [short, 'whsec_****'].map((secrets) => {
      try {
        verifyWebhook({ ...signWebhook(), secrets })
        return 'nothing thrown'
      } catch (error) {
        return String(error)
      }
    })
    expect(shown.join()).not.toMatch(/BwcH|\*\*/)
  })

  test('SK6: a parsed body is told as such', () => {
    const { headers } = signWebhook()
    for (const body of [JSON.parse(EVENT), {}, undefined, null, 7])
      expect(check({ headers, body: body as string })).toBe('BODY_PARSED')
  })
})
