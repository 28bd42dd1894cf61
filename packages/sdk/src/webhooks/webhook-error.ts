// Errors. One class and a closed table of codes, of the same shape as the mesh's own: this package stands alone, so that a
// receiver installs nothing else.

const CODES = {
  SIGNATURE_INVALID: {
    http: 401,
    fix: 'Give the present secret of this endpoint, and the body byte by byte as it came.',
  },
  TIMESTAMP_REFUSED: {
    http: 401,
    fix: 'Set the clock of this machine; a repetition of an old request is not taken.',
  },
  WEBHOOK_MALFORMED: { http: 400, fix: 'Send what Standard Webhooks says; the message names what is wrong.' },
  PAYLOAD_TOO_LARGE: { http: 413, fix: 'Send less at once, or raise maxBytes.' },
  BODY_PARSED: {
    http: 500,
    fix: 'Register this route before express.json(), or put express.raw({ type: () => true }) in front of it: only the bytes that were signed can be verified.',
  },
  SECRET_INVALID: { http: 500, fix: 'Give the secret as the mesh shows it: whsec_… or, for v1a, whpk_….' },
  INBOX_FULL: { http: 503, fix: 'Wait: too many webhooks are being applied at this moment.' },
  INBOX_INVALID: { http: 500, fix: 'Correct what the message names.' },
} as const

export type WebhookErrorCode = keyof typeof CODES

export class WebhookError extends Error {
  override readonly name = 'WebhookError'
  readonly code: WebhookErrorCode
  readonly details: Readonly<Record<string, unknown>>

  constructor(code: WebhookErrorCode, message: string, options: { readonly cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.details = {}
  }

  get http(): number {
    return CODES[this.code].http
  }

  /** What to do about it, for people. */
  get fix(): string {
    return CODES[this.code].fix
  }
}

/** True also where a bundler made two copies of the class. */
export function isWebhookError(error: unknown): error is WebhookError {
  return error instanceof Error && error.name === 'WebhookError' && 'code' in error && String(error.code) in CODES
}
