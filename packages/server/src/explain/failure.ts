// What went wrong with an attempt, in words, and by a name that stays.

export interface FailedAttempt {
  readonly outcome: 'delivered' | 'failed' | 'unknown' | 'parked'
  readonly status: number | null
  readonly code: string | null
  readonly reason: string | null
}

export interface Failure {
  readonly kind:
    | 'redirect'
    | 'refused'
    | 'failed'
    | 'dns'
    | 'tls'
    | 'address'
    | 'timeout'
    | 'connect'
    | 'lost'
    | 'unsigned'
    | 'other'
  readonly words: string
}

/** Node's and OpenSSL's names of failures, as they stand at the end of a message. */
const BY_REASON: readonly (readonly [RegExp, Failure['kind'], string])[] = [
  [/ENOTFOUND|ENODATA|EAI_AGAIN|ESERVFAIL|ETIMEOUT/, 'dns', 'its name could not be resolved'],
  [/CERT|TLS|SSL|SELF_SIGNED|UNABLE_TO|EPROTO|certificate/, 'tls', 'its TLS certificate or handshake was refused'],
  [/ECONNREFUSED/, 'connect', 'nothing listens at its address'],
  [/EHOSTUNREACH|ENETUNREACH|ECONNRESET|EPIPE|UND_ERR_CONNECT/, 'connect', 'no connection to it could be kept'],
]

export function failureOf({ status, code, reason, outcome }: FailedAttempt): Failure {
  if (status !== null) return ofStatus(status)
  if (code === 'EGRESS_REFUSED') return { kind: 'address', words: `its address is not allowed (${reason ?? 'egress'})` }
  if (code === 'SEAL_BROKEN')
    return { kind: 'unsigned', words: 'no secret of it could be read, and nothing is sent unsigned' }
  if (code === 'DEADLINE_EXCEEDED') {
    const words =
      outcome === 'unknown' ? 'the request went out and no answer came in time' : 'it could not be reached in time'
    return { kind: 'timeout', words }
  }
  const known = BY_REASON.find(([pattern]) => pattern.test(reason ?? ''))
  if (known !== undefined) return { kind: known[1], words: `${known[2]} (${reason})` }
  if (outcome === 'unknown')
    return { kind: 'lost', words: 'the request went out and the connection broke before an answer' }
  return { kind: 'other', words: reason ?? code ?? 'nothing more is known' }
}

function ofStatus(status: number): Failure {
  if (status >= 300 && status < 400)
    return { kind: 'redirect', words: `it answered ${status}, and redirects are not followed` }
  if (status === 410) return { kind: 'refused', words: 'it answered 410: it wants no more' }
  return { kind: status >= 500 ? 'failed' : 'refused', words: `it answered ${status}` }
}
