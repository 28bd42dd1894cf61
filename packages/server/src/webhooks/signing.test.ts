import { createHmac, createPublicKey, verify } from 'node:crypto'
import { expect, test } from 'vitest'
import { createSecret, formatSecret, parseSecret, publicPart, type SecretMaterial, toKey } from './secret.ts'
import { headersOf, readReceipt, type SigningKey, signatureOf } from './signing.ts'

const MESSAGE = {
  messageId: 'msg_p5jXN8AQM9LWM0D4loKWxJek',
  timestamp: 1_614_265_330,
  body: Buffer.from('{"test": 2432232314}'),
}
const V1 = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
const V1A = 'whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=='

const materialOf = (text: string): SecretMaterial => {
  const material = parseSecret(text)
  if (material === undefined) throw new Error(`${text} is no secret`)
  return material
}
const keyOf = (material: SecretMaterial, signsUntilWallMs?: number): SigningKey => ({
  algorithm: material.algorithm,
  key: toKey(material),
  signsUntilWallMs,
})

test('the vectors of Standard Webhooks come out, for v1 and for v1a', () => {
  expect(signatureOf([keyOf(materialOf(V1))], MESSAGE, 0)).toBe('v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=')
  expect(signatureOf([keyOf(materialOf(V1A))], MESSAGE, 0)).toBe(
    'v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg==',
  )
})

test('WS2: every secret that still signs does, the present one first, and one whose time is over does not', () => {
  const [present, old, ended] = [createSecret('v1'), createSecret('v1a'), createSecret('v1')]
  const keys = [keyOf(present), keyOf(old, 2_000), keyOf(ended, 1_000)]
  const value = signatureOf(keys, MESSAGE, 1_000) ?? ''
  expect(value.split(' ').map((one) => one.split(',')[0])).toEqual(['v1', 'v1a'])
  expect(value.split(' ')[0]).toBe(signatureOf([keyOf(present)], MESSAGE, 0))
  expect(signatureOf(keys, MESSAGE, 2_000)?.split(' ')).toHaveLength(1)
  expect(signatureOf([keyOf(ended, 1_000)], MESSAGE, 1_000)).toBeUndefined()
})

test('WS2: what is signed is id, time and body: a change of any of them, or of the key, is another signature', () => {
  const keys = [keyOf(materialOf(V1))]
  const genuine = signatureOf(keys, MESSAGE, 0)
  const changes = [{ messageId: 'msg_other' }, { timestamp: MESSAGE.timestamp + 1 }, { body: Buffer.from('{}') }]
  for (const change of changes) expect(signatureOf(keys, { ...MESSAGE, ...change }, 0)).not.toBe(genuine)
  expect(signatureOf([keyOf(createSecret('v1'))], MESSAGE, 0)).not.toBe(genuine)
})

test('the public key that is shown for v1a verifies what is signed', () => {
  const material = createSecret('v1a')
  const text = formatSecret(material)
  expect(text).toMatch(/^whpk_/)
  const point = publicPart(material) ?? Buffer.alloc(0)
  expect(text).toBe(`whpk_${point.toString('base64')}`)
  const spki = Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), point])
  const [, encoded = ''] = (signatureOf([keyOf(material)], MESSAGE, 0) ?? '').split(',')
  const { messageId, timestamp, body } = MESSAGE
  const signed = Buffer.concat([Buffer.from(`${messageId}.${timestamp}.`), body])
  const key = createPublicKey({ key: spki, format: 'der', type: 'spki' })
  expect(verify(null, signed, key, Buffer.from(encoded, 'base64'))).toBe(true)
})

test('secrets that people bring along are read, and what is none is refused', () => {
  const made = createSecret('v1')
  expect(parseSecret(formatSecret(made))).toEqual(made)
  expect(made.bytes).toHaveLength(32)
  const wrong = [
    '',
    'whsec_',
    'whsec_AAAA',
    `whsec_${'A'.repeat(200)}`,
    V1.replace('whsec', 'whpk'),
    `${V1}\n`,
    'hunter2',
  ]
  for (const text of [...wrong, V1A.replace('6Xb', '7Xb')]) expect(parseSecret(text)).toBeUndefined()
})

test('the headers carry the id thrice, the time, the attempt and the signature', () => {
  expect(headersOf({ ...MESSAGE, attempt: 3, signature: 'v1,x' })).toEqual({
    'webhook-id': MESSAGE.messageId,
    'webhook-timestamp': '1614265330',
    'webhook-signature': 'v1,x',
    'idempotency-key': MESSAGE.messageId,
    'x-idempotency-key': MESSAGE.messageId,
    'webhook-attempt': '3',
    'content-type': 'application/json',
    'user-agent': 'Ripstop/1',
  })
})

test('WS3: a receipt is taken if a secret of the endpoint made it for this id, and from nobody else', () => {
  const [present, old] = [createSecret('v1'), createSecret('v1')]
  const keys = [keyOf(present), keyOf(old, 1)]
  const receipt = (said: string, id: string, { bytes }: SecretMaterial): string =>
    `${said} v1,${createHmac('sha256', bytes).update(`${id}.${said}`).digest('base64')}`
  expect(readReceipt(receipt('applied', 'm1', present), keys, 'm1')).toBe('applied')
  expect(readReceipt(receipt('duplicate', 'm1', old), keys, 'm1')).toBe('duplicate')
  const forged = [
    receipt('applied', 'm2', present),
    receipt('applied', 'm1', createSecret('v1')),
    receipt('applied', 'm1', present).replace('applied', 'duplicate'),
    receipt('maybe', 'm1', present),
    'applied',
    '',
    undefined,
    ['applied v1,x'],
  ]
  for (const value of forged) expect(readReceipt(value, keys, 'm1')).toBeUndefined()
})
