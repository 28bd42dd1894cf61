// The codes of the edge, added to the kernel's table: what a client of the API can meet beside the failures of links.

import { type ErrorCode, registerErrorCodes } from '@ripstop/kernel'

const EDGE_CODES = {
  BAD_REQUEST: { http: 400, retry: false, fix: 'Correct what details.problems names; nothing was done.' },
  UNAUTHENTICATED: {
    http: 401,
    retry: false,
    fix: 'Send a valid API key as `Authorization: Bearer rs_…` or `X-Api-Key: rs_…`; `ripstop keys create` makes one.',
  },
  FORBIDDEN: { http: 403, retry: false, fix: 'Use a key that has the scopes named in details.' },
  ORIGIN_REFUSED: {
    http: 403,
    retry: false,
    fix: 'Call from the same origin, or add the origin to ALLOWED_ORIGINS.',
  },
  NOT_FOUND: { http: 404, retry: false, fix: 'Check the path and the id; /docs lists every path of the control API.' },
  METHOD_NOT_ALLOWED: { http: 405, retry: false, fix: 'Use one of the methods in the Allow header.' },
  REQUEST_TIMEOUT: { http: 408, retry: true, fix: 'Send the whole request faster.' },
  CONFLICT: { http: 409, retry: false, fix: 'Choose another name or read the present state first.' },
  UNSUPPORTED_MEDIA_TYPE: { http: 415, retry: false, fix: 'Send JSON with `Content-Type: application/json`.' },
  HOST_REFUSED: {
    http: 421,
    retry: false,
    fix: 'Call it by localhost, 127.0.0.1 or [::1]; for other names switch on API keys (access.mode: keys).',
  },
  IDEMPOTENCY_KEY_REUSED: {
    http: 422,
    retry: false,
    fix: 'Use a new Idempotency-Key for a new request; a repeated one must carry the same method, path and body.',
  },
  EVENT_INVALID: {
    http: 422,
    retry: false,
    fix: 'Correct what details.problems names; the schema of the type is at GET /v1/event-types/{name}.',
  },
  EVENT_TYPE_UNKNOWN: {
    http: 422,
    retry: false,
    fix: 'Register the type with POST /v1/event-types, or correct its name.',
  },
  SCHEMA_INVALID: {
    http: 400,
    retry: false,
    fix: 'Give a JSON Schema (2020-12) within the bounds that details names.',
  },
  SCHEMA_BREAKING: {
    http: 409,
    retry: false,
    fix: 'Make the change compatible (details.changes names what breaks), or register it under a new type name.',
  },
  FILTER_INVALID: {
    http: 400,
    retry: false,
    fix: 'Correct the expression; it is CEL over `event`, for example event.data.amount > 100.',
  },
  EGRESS_REFUSED: {
    http: 400,
    retry: false,
    fix: 'Use a public http or https address without credentials, or allow its network in egress.allow.',
  },
  BACKLOG_FULL: {
    http: 429,
    retry: true,
    fix: 'Wait; of an endpoint that takes less than it is sent (details name it): pause or delete it.',
  },
  SIGNATURE_INVALID: {
    http: 401,
    retry: false,
    fix: 'Sign the raw body with the present secret, as the scheme of the source says.',
  },
  TIMESTAMP_REFUSED: {
    http: 401,
    retry: false,
    fix: 'Sign with the present time; a repetition of an old request is not taken.',
  },
  MESSAGE_GONE: { http: 410, retry: false, fix: 'It is older than the retention; publish it anew.' },
  INVALID_STATE_TRANSITION: {
    http: 400,
    retry: false,
    fix: 'Read the session: details.status says what it is now, and what can be done follows from that.',
  },
  NOT_YOUR_TURN: { http: 403, retry: false, fix: 'Wait for your turn; details.active says whose it is.' },
  SESSION_NOT_FOUND: {
    http: 404,
    retry: false,
    fix: 'Check the session id; it may have been deleted, or be older than its retention.',
  },
  SESSION_BUSY: { http: 503, retry: true, fix: 'Repeat it: too many commands wait for this one session.' },
  RATE_LIMIT_EXCEEDED: {
    http: 429,
    retry: true,
    fix: 'Wait as long as Retry-After says, or raise the limit that details names.',
  },
  HEADERS_TOO_LARGE: { http: 431, retry: false, fix: 'Send smaller headers, or raise server.header_bytes_max.' },
  NOT_READY: { http: 503, retry: true, fix: 'Wait: what is missing is named in details and heals by itself.' },
  MIGRATION_DRIFT: {
    http: 503,
    retry: false,
    fix: 'Put the database or the migration files back as details.problems says; nothing was changed.',
  },
  MIGRATION_FAILED: {
    http: 503,
    retry: false,
    fix: 'Look at the cause; the migration was rolled back and will be tried again at the next start.',
  },
  SCHEMA_TOO_NEW: { http: 503, retry: false, fix: 'Run the version that migrated this database, or a newer one.' },
} as const satisfies Record<string, ErrorCode>

declare module '@ripstop/kernel' {
  interface ErrorCodes extends Record<keyof typeof EDGE_CODES, ErrorCode> {}
}

registerErrorCodes(EDGE_CODES)
