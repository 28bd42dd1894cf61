// Senders, each written from its provider's document, with nothing of ours.

import { createHmac, createPrivateKey, sign } from 'node:crypto'

type Headers = Record<string, string>

const hmac = (secret: string | Buffer, text: string) => createHmac('sha256', secret).update(text, 'utf8')
export const nowSeconds = (): number => Math.floor(Date.now() / 1_000)
const JSON_TYPE = { 'content-type': 'application/json' }

/** Stripe: HMAC-SHA256 of `t.payload`, hex. */
export function stripe(secret: string, body: string, t = nowSeconds()): Headers {
  const v1 = hmac(secret, `${t}.${body}`).digest('hex')
  return { ...JSON_TYPE, 'stripe-signature': `t=${t},v0=${'0'.repeat(64)},v1=${v1}` }
}

/** GitHub: HMAC-SHA256 of the payload, hex. */
export function github(secret: string, body: string, event = 'push', delivery = 'd-1'): Headers {
  const signature = `sha256=${hmac(secret, body).digest('hex')}`
  return { ...JSON_TYPE, 'x-github-event': event, 'x-github-delivery': delivery, 'x-hub-signature-256': signature }
}

/** Shopify: HMAC-SHA256 of the payload, base64. */
export function shopify(secret: string, body: string, id = 'e-1', topic = 'orders/create'): Headers {
  const signature = hmac(secret, body).digest('base64')
  return { ...JSON_TYPE, 'x-shopify-topic': topic, 'x-shopify-event-id': id, 'x-shopify-hmac-sha256': signature }
}

/** Slack: HMAC-SHA256 of `v0:timestamp:body`, hex. */
export function slack(secret: string, body: string, t = nowSeconds(), type = 'application/json'): Headers {
  const signature = `v0=${hmac(secret, `v0:${t}:${body}`).digest('hex')}`
  return { 'content-type': type, 'x-slack-request-timestamp': String(t), 'x-slack-signature': signature }
}

/** Standard Webhooks, v1: HMAC-SHA256 of `id.timestamp.payload` with the decoded secret, base64. */
export function standard(secret: string, body: string, id = 'msg_1', t = nowSeconds()): Headers {
  const key = Buffer.from(secret.replace('whsec_', ''), 'base64')
  const signature = `v1,${hmac(key, `${id}.${t}.${body}`).digest('base64')}`
  return { ...JSON_TYPE, 'webhook-id': id, 'webhook-timestamp': String(t), 'webhook-signature': signature }
}

/** Standard Webhooks, v1a: Ed25519 over the same, with `whsk_` and base64 of the seed and the public key. */
export function standardAsymmetric(secret: string, body: string, id = 'msg_1', t = nowSeconds()): Headers {
  const seed = Buffer.from(secret.replace('whsk_', ''), 'base64').subarray(0, 32)
  const pkcs8 = Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), seed])
  const key = createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' })
  const signature = `v1a,${sign(null, Buffer.from(`${id}.${t}.${body}`), key).toString('base64')}`
  return { ...JSON_TYPE, 'webhook-id': id, 'webhook-timestamp': String(t), 'webhook-signature': signature }
}
