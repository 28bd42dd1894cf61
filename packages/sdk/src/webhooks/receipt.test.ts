import { createHmac } from 'node:crypto'
import { errorCodes } from '@ripstop/kernel'
import { expect, test } from 'vitest'
import '../../../protocol/src/index.ts' // registers the codes of the edge
import { createReceipt, verifyReceipt } from './receipt.ts'
import { parseSecrets } from './secrets.ts'
import { createKeyPair, OTHER_SECRET, SECRET, signWebhook } from './signing.fixture.ts'
import { WebhookError, type WebhookErrorCode } from './webhook-error.ts'

const [key] = parseSecrets(SECRET)

test('SK4: a receipt verifies for its id, its word and its secret, and for nothing else', () => {
  const receipt = key === undefined ? '' : createReceipt(key, 'msg_1', 'applied')
  const hmac = createHmac('sha256', Buffer.from(SECRET.slice(6), 'base64'))
    .update('msg_1.applied')
    .digest('base64')
  expect(receipt).toBe(`applied v1,${hmac}`)
  expect(verifyReceipt({ receipt, id: 'msg_1', secrets: [OTHER_SECRET, SECRET] })).toBe('applied')
  expect(verifyReceipt({ receipt, id: 'msg_2', secrets: SECRET })).toBeUndefined()
  expect(verifyReceipt({ receipt, id: 'msg_1', secrets: OTHER_SECRET })).toBeUndefined()
  for (const other of [
    receipt?.replace('applied', 'duplicate'),
    hmac,
    `${receipt} `,
    `applied v1a,${hmac}`,
    '',
    null,
    undefined,
  ])
    expect(verifyReceipt({ receipt: other, id: 'msg_1', secrets: SECRET })).toBeUndefined()
})

test('SK4: the signature of a webhook is no receipt', () => {
  const { headers } = signWebhook({ id: 'msg_1', body: 'applied' })
  const receipt = `applied ${headers['webhook-signature']}`
  expect(verifyReceipt({ receipt, id: `msg_1.${headers['webhook-timestamp']}`, secrets: SECRET })).toBe('applied') // of an id that no sender has
  expect(verifyReceipt({ receipt, id: 'msg_1', secrets: SECRET })).toBeUndefined()
})

test('SK4: a public key signs no receipt, and verifies none', () => {
  const { publicKey } = createKeyPair()
  const [only] = parseSecrets(publicKey)
  expect(only === undefined ? '' : createReceipt(only, 'msg_1', 'applied')).toBeUndefined()
  const receipt = key === undefined ? '' : createReceipt(key, 'msg_1', 'applied')
  expect(verifyReceipt({ receipt, id: 'msg_1', secrets: publicKey })).toBeUndefined()
})

test('a code that the mesh has too means the same there', () => {
  const shared: WebhookErrorCode[] = ['SIGNATURE_INVALID', 'TIMESTAMP_REFUSED', 'PAYLOAD_TOO_LARGE']
  for (const code of shared) expect(new WebhookError(code, '').http).toBe(errorCodes().get(code)?.http)
})
