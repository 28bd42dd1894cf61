// A sender for tests: signs as Standard Webhooks says, independently of the code that verifies.

import { createHmac, generateKeyPairSync, sign } from 'node:crypto'

export const SECRET = `whsec_${Buffer.from('a secret of thirty-two bytes ...').toString('base64')}`
export const OTHER_SECRET = `whsec_${Buffer.from('another one of thirty-two bytes!').toString('base64')}`

export interface Signed {
  readonly headers: Record<string, string>
  readonly body: Buffer
}

export interface Wish {
  readonly id?: string
  readonly body?: string | Buffer
  readonly seconds?: number
  readonly secrets?: readonly string[]
  readonly headers?: Record<string, string>
}

export function signWebhook({
  id = 'msg_1',
  body = EVENT,
  seconds,
  secrets = [SECRET],
  headers = {},
}: Wish = {}): Signed {
  const bytes = Buffer.from(body)
  const timestamp = String(seconds ?? Math.floor(Date.now() / 1_000))
  const content = Buffer.concat([Buffer.from(`${id}.${timestamp}.`), bytes])
  const signatures = secrets.map((secret) => {
    const key = Buffer.from(secret.replace('whsec_', ''), 'base64')
    return `v1,${createHmac('sha256', key).update(content).digest('base64')}`
  })
  return {
    headers: {
      'content-type': 'application/cloudevents+json',
      'webhook-id': id,
      'webhook-timestamp': timestamp,
      'webhook-signature': signatures.join(' '),
      ...headers,
    },
    body: bytes,
  }
}

export function createKeyPair() {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519')
  const raw = publicKey.export({ format: 'jwk' }).x ?? ''
  return {
    publicKey: `whpk_${Buffer.from(raw, 'base64url').toString('base64')}`,
    sign: (content: string): string => `v1a,${sign(null, Buffer.from(content), privateKey).toString('base64')}`,
  }
}

export const EVENT = JSON.stringify({
  specversion: '1.0',
  id: 'order-1',
  source: '/shop',
  type: 'order.created',
  time: '2026-11-22T00:00:00Z',
  data: { order: 1, item: 'Tauwerk 12 mm, grün' },
})
