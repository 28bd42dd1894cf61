// Headers that an endpoint's owner wants with every delivery, usually an Authorization. Their values are secrets: sealed at rest, and
// never shown again.
// Invariants:
//   WE1. No header of the owner's can change what is ours: the signature, the id, the framing of the request, or where it goes.

import { RipstopError } from '@ripstop/kernel'
import { HEADER_BYTES_MAX, HEADERS_MAX } from './limits.ts'

const TOKEN = /^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}$/
const VALUE = /^[\t\x20-\x7e]*$/
/** Hop-by-hop (RFC 9110 7.6.1), of the framing, and ours. */
const RESERVED: ReadonlySet<string> = new Set(
  ['connection', 'keep-alive', 'proxy-connection', 'proxy-authenticate', 'proxy-authorization', 'te', 'trailer']
    .concat(['transfer-encoding', 'upgrade', 'host', 'content-length', 'content-type', 'content-encoding', 'expect'])
    .concat(['idempotency-key', 'x-idempotency-key', 'user-agent', 'traceparent', 'tracestate', 'date']),
)

export type CustomHeaders = Readonly<Record<string, string>>

/** In lower case. Throws BAD_REQUEST that names what can't go. */
export function checkHeaders(headers: CustomHeaders): CustomHeaders {
  const checked: Record<string, string> = {}
  const problems: { field: string; problem: string }[] = []
  const say = (name: string, problem: string): void => void problems.push({ field: `body.headers.${name}`, problem })
  for (const [given, value] of Object.entries(headers)) {
    const name = given.toLowerCase()
    const reserved = RESERVED.has(name) || name.startsWith('webhook-') || name.startsWith('svix-')
    if (!TOKEN.test(given)) say(given.slice(0, 100), 'is no name of a header')
    else if (reserved) say(given, 'is not for an endpoint to choose')
    else if (Object.hasOwn(checked, name)) say(given, 'is given twice')
    else if (!VALUE.test(value)) say(given, 'must be printable ASCII')
    else checked[name] = value.trim()
  }
  const bytes = Object.entries(checked).reduce((sum, [name, value]) => sum + name.length + value.length, 0)
  if (Object.keys(headers).length > HEADERS_MAX) say('', `are at most ${HEADERS_MAX}`)
  else if (bytes > HEADER_BYTES_MAX) say('', `have at most ${HEADER_BYTES_MAX} bytes`)
  if (problems.length === 0) return checked
  throw new RipstopError('BAD_REQUEST', problems.map(({ field, problem }) => `${field} ${problem}`).join('; '), {
    details: { problems },
  })
}
