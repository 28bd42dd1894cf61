import { hasCode } from '@ripstop/kernel'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { RULES, SCHEMES, type Scheme } from './scheme.ts'
import * as senders from './signing.fixture.ts'
import { TOLERANCE_SECONDS, verifySignature } from './verifying.ts'

type Headers = Record<string, string>

/** What comes of a request: nothing bad, or a code. */
function verify(
  scheme: Scheme,
  secrets: readonly string[],
  headers: Headers,
  body: string | Buffer,
  wallMs = Date.now(),
): string {
  const keys = secrets.flatMap((secret) => RULES[scheme].parseSecret(secret) ?? [])
  expect(keys.length).toBe(secrets.length)
  try {
    verifySignature(keys, RULES[scheme].readClaim(headers), Buffer.from(body), wallMs)
    return 'signed'
  } catch (error) {
    if (hasCode(error, 'SIGNATURE_INVALID') || hasCode(error, 'TIMESTAMP_REFUSED')) return error.code
    throw error
  }
}

const STANDARD_SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
const STANDARD_BODY = '{"test": 2432232314}'
const STANDARD_HEADERS = { 'webhook-id': 'msg_p5jXN8AQM9LWM0D4loKWxJek', 'webhook-timestamp': '1614265330' }
const STANDARD_MS = 1_614_265_330_000
const WHSK = 'whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=='
const WHPK = `whpk_${Buffer.from(WHSK.slice(5), 'base64').subarray(32).toString('base64')}`
const V1A = 'v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=='

describe('vectors of the providers', () => {
  test('IB1: Standard Webhooks, v1 and v1a', () => {
    const v1 = { ...STANDARD_HEADERS, 'webhook-signature': 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=' }
    expect(verify('standard', [STANDARD_SECRET], v1, STANDARD_BODY, STANDARD_MS)).toBe('signed')
    const v1a = { ...STANDARD_HEADERS, 'webhook-signature': V1A }
    expect(verify('standard', [WHPK], v1a, STANDARD_BODY, STANDARD_MS)).toBe('signed')
    expect(verify('standard', [STANDARD_SECRET], v1a, STANDARD_BODY, STANDARD_MS)).toBe('SIGNATURE_INVALID')
    const both = { ...STANDARD_HEADERS, 'webhook-signature': `v2,x v1,AAAA ${V1A} ${v1['webhook-signature']}` }
    for (const secrets of [[WHPK], [STANDARD_SECRET], [STANDARD_SECRET, WHPK]])
      expect(verify('standard', secrets, both, STANDARD_BODY, STANDARD_MS)).toBe('signed')
    const { 'webhook-id': id, 'webhook-timestamp': time } = STANDARD_HEADERS
    const old = { 'svix-id': id, 'svix-timestamp': time, 'svix-signature': v1['webhook-signature'] }
    expect(verify('standard', [STANDARD_SECRET], old, STANDARD_BODY, STANDARD_MS)).toBe('signed')
  })

  test('IB1: GitHub', () => {
    const headers = { 'x-hub-signature-256': 'sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17' }
    expect(verify('github', ["It's a Secret to Everybody"], headers, 'Hello, World!')).toBe('signed')
    expect(verify('github', ["It's a Secret to Everybody"], headers, 'Hello, World?')).toBe('SIGNATURE_INVALID')
  })

  test('IB1: Slack', () => {
    const body = [
      'token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V',
      '&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=',
      '&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN',
      '&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c',
    ].join('')
    const headers = {
      'x-slack-request-timestamp': '1531420618',
      'x-slack-signature': 'v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503',
    }
    const secret = '8f742231b10e8888abcd99yyyzzz85a5'
    expect(verify('slack', [secret], headers, body, 1_531_420_618_000)).toBe('signed')
    expect(verify('slack', [secret], headers, body)).toBe('TIMESTAMP_REFUSED')
  })
})

const SECRET = 'a-secret-of-a-provider'
const sendersOf: Readonly<Record<Scheme, (secret: string, body: string, t?: number) => Headers>> = {
  standard: (secret, body, t) => senders.standard(secret, body, 'msg_1', t),
  stripe: senders.stripe,
  github: (secret, body) => senders.github(secret, body),
  shopify: (secret, body) => senders.shopify(secret, body),
  slack: senders.slack,
}
const secretOf = (scheme: Scheme, text = SECRET): string =>
  scheme === 'standard' ? `whsec_${Buffer.from(text.padEnd(24, '_')).toString('base64')}` : text

describe.each(SCHEMES)('%s', (scheme) => {
  const sender = sendersOf[scheme]
  const secret = secretOf(scheme)

  test('IB1: what was signed is believed, and with one bit changed it is not', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', minLength: 1 }), fc.nat(), (body, place) => {
        const headers = sender(secret, body)
        expect(verify(scheme, [secret], headers, body)).toBe('signed')
        const changed = Buffer.from(body)
        const at = place % changed.length
        changed[at] = (changed[at] ?? 0) ^ (1 << (place % 8))
        expect(verify(scheme, [secret], headers, changed)).toBe('SIGNATURE_INVALID')
        expect(verify(scheme, [secretOf(scheme, 'some-other-secret')], headers, body)).toBe('SIGNATURE_INVALID')
      }),
      { numRuns: 50 },
    )
  })

  test('IB1: any of several secrets will do, in any order', () => {
    const others = ['another-secret-1', 'another-secret-2'].map((text) => secretOf(scheme, text))
    const headers = sender(secret, '{}')
    for (const secrets of [
      [secret, ...others],
      [...others, secret],
    ])
      expect(verify(scheme, secrets, headers, '{}')).toBe('signed')
    expect(verify(scheme, others, headers, '{}')).toBe('SIGNATURE_INVALID')
  })

  test('IB1: what is missing, cut, doubled or of another scheme is no signature', () => {
    const whole = sender(secret, '{}')
    const name = Object.keys(whole).find((key) => key.includes('signature') || key.includes('hmac')) ?? ''
    const value = whole[name] ?? ''
    const forged = [
      '',
      ' ',
      '=',
      value.slice(0, -4),
      `${value}00`,
      value.replace(/[0-9a-f]{2}/i, ''),
      'v1=',
      'sha256=',
      'v0=',
      'v1,',
    ]
    for (const text of [...forged, `t=1,v1=`, 'v1,AAAA', '\u0000', '='.repeat(5_000), ','.repeat(5_000)])
      expect(verify(scheme, [secret], { ...whole, [name]: text }, '{}'), text.slice(0, 20)).toBe('SIGNATURE_INVALID')
    for (const other of SCHEMES)
      if (other !== scheme)
        expect(verify(scheme, [secret], sendersOf[other](secretOf(other), '{}'), '{}')).toBe('SIGNATURE_INVALID')
    expect(verify(scheme, [secret], {}, '{}')).toBe('SIGNATURE_INVALID')
  })
})

describe.each(['standard', 'stripe', 'slack'] as const)('the time of %s', (scheme) => {
  const secret = secretOf(scheme)
  const signedAt = 1_700_000_000
  const at = (seconds: number): string =>
    verify(scheme, [secret], sendersOf[scheme](secret, '{}', signedAt), '{}', (signedAt + seconds) * 1_000)

  test('IB2: five minutes either way are allowed and no more', () => {
    for (const seconds of [0, TOLERANCE_SECONDS, -TOLERANCE_SECONDS])
      expect(at(seconds), String(seconds)).toBe('signed')
    for (const seconds of [301, -301, 86_400]) expect(at(seconds), String(seconds)).toBe('TIMESTAMP_REFUSED')
  })

  test('IB2: a forged request is told nothing of its time, and the time is signed', () => {
    const headers = sendersOf[scheme](secret, '{}', signedAt)
    const wallMs = (signedAt + 10_000) * 1_000
    expect(verify(scheme, [secretOf(scheme, 'another-secret')], headers, '{}', wallMs)).toBe('SIGNATURE_INVALID')
    const moved = Object.fromEntries(
      Object.entries(headers).map(([name, value]) => [
        name,
        value.replaceAll(String(signedAt), String(signedAt + 10_000)),
      ]),
    )
    expect(verify(scheme, [secret], moved, '{}', wallMs)).toBe('SIGNATURE_INVALID')
    for (const time of ['', 'now', '-1', '1e9', '99999999999999', `${signedAt}x`]) {
      const broken = Object.fromEntries(
        Object.entries(headers).map(([name, value]) => [name, value.replaceAll(String(signedAt), time)]),
      )
      expect(verify(scheme, [secret], broken, '{}', signedAt * 1_000), time).toBe('SIGNATURE_INVALID')
    }
  })
})

describe('secrets', () => {
  test('each scheme takes its own', () => {
    const { parseSecret } = RULES.standard
    const bad = [
      '',
      'whsec_',
      'whsec_AAAA',
      SECRET,
      `whsec_${Buffer.alloc(65).toString('base64')}`,
      `whpk_${Buffer.alloc(31).toString('base64')}`,
      WHSK,
    ]
    for (const text of bad) expect(parseSecret(text), text).toBeUndefined()
    expect(parseSecret(STANDARD_SECRET)?.kind).toBe('hmac')
    expect(parseSecret(WHPK)?.kind).toBe('ed25519')
    expect(RULES.stripe.parseSecret('short')).toBeUndefined()
  })

  test('IB1: what belongs to the id can not be taken for the time', () => {
    const headers = senders.standard(STANDARD_SECRET, `${senders.nowSeconds()}.{}`, 'msg')
    const moved = { ...headers, 'webhook-id': `msg.${headers['webhook-timestamp']}` }
    expect(verify('standard', [STANDARD_SECRET], moved, '{}')).toBe('SIGNATURE_INVALID')
  })
})
