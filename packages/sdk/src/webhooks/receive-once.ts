// Receiving once. The whole of a receiver but its effect: reads the raw body with a bound, verifies it, runs the effect in one
// transaction with the webhook's id, and answers with a signed receipt. Whatever fails before that commit is answered so that
// the sender tries again.
// Invariants:
//   SK11. 200 is answered only after the effect and the id are committed, together, now or by an earlier delivery.
//   SK12. What is not verified never reaches the inbox or the effect.

import type { Inbox } from './inbox.ts'
import { readBody } from './raw-body.ts'
import { createReceipt } from './receipt.ts'
import { parseSecrets } from './secrets.ts'
import { type CloudEvent, type Tolerance, verifyWith, type Webhook, type WebhookHeaders } from './verify.ts'
import { isWebhookError } from './webhook-error.ts'

export interface ReceiveOnceOptions<Tx, Event = CloudEvent> extends Pick<Tolerance, 'toleranceMs'> {
  readonly inbox: Inbox<Tx>
  /** `whsec_…` or, for v1a, `whpk_…` (which can sign no receipt); several while they are rotated. */
  readonly secrets: string | readonly string[]
  /** The effect. All that it writes goes through `tx`: what is done elsewhere may be done again. */
  readonly apply: (event: Event, tx: Tx, webhook: Webhook<Event>) => unknown
  /** Of a body [1 MiB]. */
  readonly maxBytes?: number
  /** Told of everything that is not answered with 200; default: what failed here (500 and above) goes to stderr. */
  readonly onError?: (error: unknown) => void
  /** For tests. */
  readonly nowMs?: () => number
}

export interface ReceivedRequest {
  readonly headers: WebhookHeaders
  /** Bytes, text, or a request that nobody has read yet; what else it may be is answered with BODY_PARSED. */
  readonly body: unknown
}

export interface ReceiveAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** Never rejects. */
export type Receive = (request: ReceivedRequest) => Promise<ReceiveAnswer>

const MAX_BYTES = 1_048_576

/** Throws SECRET_INVALID. */
export function receiveOnce<Tx, Event = CloudEvent>(options: ReceiveOnceOptions<Tx, Event>): Receive {
  const { inbox, apply, maxBytes = MAX_BYTES, onError = report, toleranceMs, nowMs } = options
  const keys = parseSecrets(options.secrets)
  const receive: Receive = async ({ headers, body }) => {
    const received = {
      headers,
      body: await readBody(body, maxBytes),
      ...(toleranceMs === undefined ? {} : { toleranceMs }),
      ...(nowMs === undefined ? {} : { nowMs: nowMs() }),
    }
    const { webhook, key } = verifyWith<Event>(keys, received)
    const said = await inbox.once(webhook.id, async (tx) => {
      await apply(webhook.event, tx, webhook)
    })
    // A sender that signs in both ways reads a receipt by any of its secrets.
    const signer = key.sign === undefined ? keys.find(({ sign }) => sign !== undefined) : key
    const receipt = signer === undefined ? undefined : createReceipt(signer, webhook.id, said)
    return answer(200, { data: { webhook_id: webhook.id, receipt: said } }, receipt)
  }
  return async (request) => {
    try {
      return await receive(request)
    } catch (error) {
      tell(onError, error)
      return refuse(error)
    }
  }
}

function refuse(error: unknown): ReceiveAnswer {
  if (isWebhookError(error))
    return answer(error.http, { error: { code: error.code, message: `${error.message}. ${error.fix}` } })
  // Nobody outside learns why.
  return answer(500, { error: { code: 'APPLY_FAILED', message: 'the effect failed, and nothing was recorded' } })
}

function answer(status: number, body: unknown, receipt?: string): ReceiveAnswer {
  return {
    status,
    headers: {
      'content-type': 'application/json; charset=utf-8',
      'cache-control': 'no-store',
      ...(receipt === undefined ? {} : { 'webhook-receipt': receipt }),
      ...(status === 503 ? { 'retry-after': '1' } : {}),
    },
    body: JSON.stringify(body),
  }
}

function report(error: unknown): void {
  if (!isWebhookError(error) || error.http >= 500) console.error('a webhook was not applied:', error)
}

function tell(onError: (error: unknown) => void, error: unknown): void {
  try {
    onError(error)
  } catch {
    // A log that fails must not decide about the answer.
  }
}
