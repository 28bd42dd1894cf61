// Both ends together: what the mesh signs verifies here, and what is receipted here is proof there.

import { createPrivateKey, createSecretKey, generateKeyPairSync } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { headersOf, readReceipt, type SigningKey, signatureOf } from '../../../server/src/webhooks/signing.ts'
import { createMemoryInbox } from './memory-inbox.ts'
import { receiveOnce } from './receive-once.ts'
import { OTHER_SECRET, SECRET } from './signing.fixture.ts'
import { verifyWebhook } from './verify.ts'

const keyOf = (secret: string): SigningKey => ({
  algorithm: 'v1',
  key: createSecretKey(Buffer.from(secret.slice(6), 'base64')),
  signsUntilWallMs: undefined,
})
const { publicKey, privateKey } = generateKeyPairSync('ed25519')
const ed25519: SigningKey = {
  algorithm: 'v1a',
  key: createPrivateKey(privateKey.export({ format: 'pem', type: 'pkcs8' })),
  signsUntilWallMs: undefined,
}
const publicText = `whpk_${Buffer.from(publicKey.export({ format: 'jwk' }).x ?? '', 'base64url').toString('base64')}`
const WALL_MS = 1_700_000_000_000

function send(keys: readonly SigningKey[], body: Buffer, attempt = 1) {
  const message = { messageId: '019a7c3e-5f0e-7cc1-9d7e-0a4b6f2d1c33', timestamp: WALL_MS / 1_000, body }
  const signature = signatureOf(keys, message, WALL_MS) ?? ''
  return { headers: headersOf({ ...message, attempt, signature }), body }
}

test('SK1: what the mesh signs verifies, with either kind of key and while they are rotated', () => {
  const keys = [keyOf(SECRET), keyOf(OTHER_SECRET), ed25519]
  fc.assert(
    fc.property(fc.jsonValue(), fc.integer({ min: 1, max: 20 }), (value, attempt) => {
      const sent = send(keys, Buffer.from(JSON.stringify(value)), attempt)
      for (const secrets of [SECRET, OTHER_SECRET, publicText, [publicText, SECRET]]) {
        const webhook = verifyWebhook<unknown>({ ...sent, secrets, nowMs: WALL_MS })
        expect(webhook).toMatchObject({ timestampMs: WALL_MS, attempt })
        expect(JSON.stringify(webhook.event)).toBe(JSON.stringify(JSON.parse(JSON.stringify(value))))
      }
    }),
  )
})

test('SK4: what is receipted here is proof at the mesh, for every secret that signs', async () => {
  const receive = receiveOnce({
    inbox: createMemoryInbox(),
    secrets: [OTHER_SECRET, SECRET],
    apply: () => {},
    nowMs: () => WALL_MS,
  })
  const keys = [keyOf(SECRET), keyOf(OTHER_SECRET)]
  const sent = send(keys, Buffer.from('{}'))
  const id = sent.headers['webhook-id'] ?? ''
  for (const said of ['applied', 'duplicate']) {
    const { headers } = await receive(sent)
    expect(readReceipt(headers['webhook-receipt'], keys, id)).toBe(said)
    expect(readReceipt(headers['webhook-receipt'], keys, `${id}x`)).toBeUndefined()
    expect(readReceipt(headers['webhook-receipt'], [ed25519], id)).toBeUndefined()
  }
  const onlyEd25519 = receiveOnce({
    inbox: createMemoryInbox(),
    secrets: publicText,
    apply: () => {},
    nowMs: () => WALL_MS,
  })
  expect(await onlyEd25519(send([ed25519], Buffer.from('{}')))).toMatchObject({ status: 200 })
  expect((await onlyEd25519(send([ed25519], Buffer.from('{}')))).headers).not.toHaveProperty('webhook-receipt')
})
