// Receipts. What a receiver answers, so that the sender can prove what became of its webhook:
// `webhook-receipt: applied v1,<base64 HMAC-SHA256(secret, "<webhook-id>.applied")>`, or likewise `duplicate`.
// No receipt can pass for a webhook's signature, nor the other way round: what a webhook signs has two dots before its body and
// digits between them, what a receipt signs has one dot and a word.
// Invariants:
//   SK4. A receipt is for one id and one word: it verifies with no other, and with no other secret.

import { type Key, parseSecrets } from './secrets.ts'

export type Receipt = 'applied' | 'duplicate'

/** The header's value; undefined where only a public key is known. */
export function createReceipt(key: Key, id: string, receipt: Receipt): string | undefined {
  const signature = key.sign?.(Buffer.from(`${id}.${receipt}`))
  return signature === undefined ? undefined : `${receipt} v1,${signature}`
}

export interface ReceiptOptions {
  /** The value of webhook-receipt. */
  readonly receipt: string | null | undefined
  /** The webhook-id that was sent. */
  readonly id: string
  readonly secrets: string | readonly string[]
}

const FORM = /^(applied|duplicate) v1,([A-Za-z0-9+/]{43}=)$/

/** What it says, if it is by one of the secrets. Throws SECRET_INVALID. */
export function verifyReceipt({ receipt, id, secrets }: ReceiptOptions): Receipt | undefined {
  const [, said, signature = ''] = FORM.exec(receipt ?? '') ?? []
  if (said === undefined) return undefined
  const content = Buffer.from(`${id}.${said}`)
  const isOurs = parseSecrets(secrets).some(
    ({ scheme, isSignature }) => scheme === 'v1' && isSignature(content, signature),
  )
  return isOurs ? (said as Receipt) : undefined
}
