// Errors. One class, one closed table of codes. Policies read data, never messages: a retry looks at `retry`, `sent`
// and `idempotent` only, so what a code means for the caller is decided here and nowhere else.
// Other packages add their codes by declaration merging into `ErrorCodes` and `registerErrorCodes` at their door.

/** What a code means to whoever meets it. `fix` is the sentence that tells a person what to do. */
export interface ErrorCode {
  readonly http: number
  /** May the same request succeed later, unchanged? */
  readonly retry: boolean
  readonly fix: string
}

const KERNEL_CODES = {
  DEADLINE_EXCEEDED: { http: 504, retry: true, fix: 'Allow more time, or find out why the peer is slow.' },
  CANCELLED: { http: 499, retry: false, fix: 'Nothing: the caller no longer wanted the answer.' },
  LINK_DOWN: { http: 503, retry: true, fix: 'Wait for retry_after_ms; the link reconnects by itself.' },
  LINK_LOST: {
    http: 502,
    retry: true,
    fix: 'Repeat it if it is idempotent; the connection broke while it was under way.',
  },
  LINK_CLOSED: { http: 503, retry: false, fix: 'The application is shutting down; send it to another process.' },
  OVERLOADED: {
    http: 503,
    retry: true,
    fix: 'Send less, or raise the bulkhead; the queue in front of this peer is full.',
  },
  BREAKER_OPEN: { http: 503, retry: true, fix: 'Wait for retry_after_ms; most recent calls to this peer failed.' },
  RATE_LIMITED: { http: 429, retry: true, fix: 'Wait for retry_after_ms, then send more slowly.' },
  PEER_REFUSED: { http: 502, retry: false, fix: 'The peer answered but refused; its answer is in details.' },
  PEER_FAILED: { http: 502, retry: true, fix: 'The peer answered with a failure of its own; look at its logs.' },
  PEER_WRONG_ROLE: { http: 503, retry: true, fix: 'The peer is not the writable primary; it will be tried again.' },
  PAYLOAD_TOO_LARGE: { http: 413, retry: false, fix: 'Send less at once.' },
  CONFIG_INVALID: { http: 500, retry: false, fix: 'Correct the settings named in the message; nothing was started.' },
  INTERNAL: { http: 500, retry: false, fix: 'This is a defect of ours: report it with the trace id.' },
} as const satisfies Record<string, ErrorCode>

/** Codes by name; extended by other packages through declaration merging. */
export interface ErrorCodes extends Record<keyof typeof KERNEL_CODES, ErrorCode> {}
export type Code = keyof ErrorCodes & string

const codes = new Map<string, ErrorCode>(Object.entries(KERNEL_CODES))

/** Adds a package's codes to the closed table, all or none. Throws if one is there already: codes are never redefined. */
export function registerErrorCodes(added: Readonly<Record<string, ErrorCode>>): void {
  for (const code of Object.keys(added)) {
    if (codes.has(code)) throw new Error(`error code ${code} is already registered`)
  }
  for (const [code, meaning] of Object.entries(added)) codes.set(code, meaning)
}

/** The whole table, for documents and for the HTTP edge. */
export function errorCodes(): ReadonlyMap<string, ErrorCode> {
  return codes
}

/** Did bytes of this call reach the peer? `no` is a promise; `maybe` is everything else. */
export type Sent = 'no' | 'maybe'

export interface RipstopErrorOptions {
  readonly cause?: unknown
  readonly details?: Readonly<Record<string, unknown>>
  readonly sent?: Sent
  readonly retryAfterMs?: number
}

/** Every failure a caller may meet. */
export class RipstopError extends Error {
  override readonly name = 'RipstopError'
  readonly code: Code
  readonly details: Readonly<Record<string, unknown>>
  readonly sent: Sent | undefined
  readonly retryAfterMs: number | undefined

  constructor(code: Code, message: string, options: RipstopErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.details = options.details ?? {}
    this.sent = options.sent
    this.retryAfterMs = options.retryAfterMs
  }

  /** Would the same request, unchanged, stand a chance later? Read from the table. */
  get retry(): boolean {
    return codes.get(this.code)?.retry ?? false
  }

  get http(): number {
    return codes.get(this.code)?.http ?? 500
  }

  get fix(): string {
    return codes.get(this.code)?.fix ?? ''
  }
}

/** True for our errors even after a realm, bundle or JSON boundary, where `instanceof` lies. */
export function hasCode<C extends Code>(error: unknown, code: C): error is RipstopError & { code: C } {
  return typeof error === 'object' && error !== null && 'code' in error && error.code === code
}

/** True for any error that carries a registered code. */
export function isRipstopError(error: unknown): error is RipstopError {
  return (
    typeof error === 'object' &&
    error !== null &&
    'code' in error &&
    typeof error.code === 'string' &&
    codes.has(error.code) &&
    'details' in error
  )
}
