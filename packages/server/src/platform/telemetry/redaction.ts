// Redaction. What goes into a log line passes through here: a bounded copy without credentials. It goes by the names of
// fields at any depth and by the shape of texts. pino's own redaction needs every path known beforehand, and stops at a
// fixed depth; this costs 1 us for a flat line of six fields (2026-11, Node 24).
// Invariants:
//   TE1. No value under a name that says credential, and no credential in a URL, header or pair of a text, comes through.
//   TE2. Whatever is given, a copy comes back; nothing is thrown, and no getter's or toJSON's failure gets out.
//   TE3. The copy is bounded: depth, entries and text length.

const REDACTED = '[redacted]'
const DEPTH_MAX = 6
const ENTRIES_MAX = 64
const TEXT_MAX = 8_192
const STACK_LINES_MAX = 12

/** Names whose values are credentials, whatever they hold. */
const SECRET_NAME = /authorization|cookie|passw|passphrase|pwd|secret|credential|api_?-?key|private_?-?key/i
/** Names whose texts are: a number under one counts tokens of a model. */
const TOKEN_NAME = /token|signature/i

function isSecretName(name: string, value: unknown): boolean {
  return SECRET_NAME.test(name) || (TOKEN_NAME.test(name) && typeof value !== 'number' && typeof value !== 'boolean')
}

const WORDS =
  'access_token|refresh_token|id_token|token|api[_-]?key|apikey|password|passwd|pwd|secret|client_secret|signature|sig'
const REPLACEMENTS: readonly (readonly [pattern: RegExp, by: string])[] = [
  // Everything between :// and the last @ before a space or quote: a password may hold / and @ that nobody escaped.
  [/:\/\/[^\s"'`<>]*@/g, `://${REDACTED}@`],
  [/\b(bearer|basic|digest|negotiate)\s+[A-Za-z0-9+/=._~-]{6,}/gi, `$1 ${REDACTED}`],
  [/\b((?:proxy-)?authorization|(?:set-)?cookie)\b("?\s*[:=]\s*)[^\r\n]+/gi, `$1$2${REDACTED}`],
  [new RegExp(`\\b(${WORDS})=[^\\s&;,"']+`, 'gi'), `$1=${REDACTED}`],
  [new RegExp(`("(?:${WORDS})"\\s*:\\s*)"[^"]*"`, 'gi'), `$1"${REDACTED}"`],
  // Keys and session tokens of our own, wherever they stand: in a list of subprotocols, for one.
  [/\brs(?:_(?:dev|prod)_[0-9A-Za-z]{32}|t_[\w-]+\.[\w-]+)/g, REDACTED],
  [/-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)/g, REDACTED],
]

/** A text without credentials, cut to a bound. */
export function redactText(text: string): string {
  let redacted = text.length > TEXT_MAX ? `${text.slice(0, TEXT_MAX)}… (${text.length} characters)` : text
  if (!/[@=:]|bearer|basic|digest|negotiate|-----|rst?_/i.test(redacted)) return redacted
  for (const [pattern, by] of REPLACEMENTS) redacted = redacted.replace(pattern, by)
  return redacted
}

/** A copy of a line's fields that may be written. */
export function redactFields(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return copyEntries(fields, DEPTH_MAX, new Set())
}

type Seen = Set<object>

function copyEntries(source: object, depth: number, seen: Seen): Record<string, unknown> {
  const copy: Record<string, unknown> = {}
  let entries = 0
  for (const name of Object.keys(source)) {
    if (entries === ENTRIES_MAX) {
      copy['…'] = 'more entries left out'
      break
    }
    const value = readField(source, name)
    if (value === undefined || typeof value === 'function' || typeof value === 'symbol') continue
    entries++
    copy[name] = isSecretName(name, value) ? REDACTED : copyValue(value, depth, seen)
  }
  return copy
}

function readField(source: object, name: string): unknown {
  try {
    return (source as Record<string, unknown>)[name]
  } catch {
    return '[unreadable]' // a getter threw: that is the caller's defect, not a reason to lose the line
  }
}

function copyValue(value: unknown, depth: number, seen: Seen): unknown {
  switch (typeof value) {
    case 'string':
      return redactText(value)
    case 'bigint':
      return String(value)
    case 'object':
      return value === null ? null : copyObject(value, depth, seen)
    case 'function':
    case 'symbol':
      return undefined
    default:
      return value
  }
}

function copyObject(value: object, depth: number, seen: Seen): unknown {
  if (seen.has(value)) return '[circular]'
  if (depth === 0) return '[too deep]'
  seen.add(value)
  try {
    return copyKnown(value, depth - 1, seen)
  } catch {
    return '[unreadable]' // a proxy, a toJSON or an iterator that throws
  } finally {
    seen.delete(value)
  }
}

function copyKnown(value: object, depth: number, seen: Seen): unknown {
  if (value instanceof Error) return describeError(value, depth, seen)
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return `[${value.byteLength} bytes]`
  if (value instanceof URL) return redactText(value.href)
  if (value instanceof Map) return copyEntries(Object.fromEntries([...value].slice(0, ENTRIES_MAX + 1)), depth, seen)
  const list = Array.isArray(value) ? value : value instanceof Set ? [...value] : undefined
  if (list !== undefined) {
    const copies = list.slice(0, ENTRIES_MAX).map((entry) => copyValue(entry, depth, seen))
    return list.length > ENTRIES_MAX ? [...copies, `… ${list.length - ENTRIES_MAX} more`] : copies
  }
  if ('toJSON' in value && typeof value.toJSON === 'function') {
    const written: unknown = value.toJSON()
    return written === value ? copyEntries(value, depth, seen) : copyValue(written, depth, seen)
  }
  return copyEntries(value, depth, seen)
}

/**
 * Ours as code, message and details, since that is what policies and people read; others with the lines of their stack,
 * since those are defects or come from a library. Causes and the parts of an AggregateError follow.
 */
function describeError(error: Error, depth: number, seen: Seen): Record<string, unknown> {
  const { name, message, cause, code, details, sent, errors } = error as Error & Readonly<Record<string, unknown>>
  const ours = name === 'RipstopError'
  const described: Record<string, unknown> = ours
    ? { code }
    : { name, ...(code === undefined ? {} : { code: copyValue(code, depth, seen) }) }
  described.message = redactText(String(message))
  if (sent !== undefined) described.sent = copyValue(sent, depth, seen)
  if (typeof details === 'object' && details !== null && Object.keys(details).length > 0) {
    described.details = copyValue(details, depth, seen)
  }
  if (!ours) described.stack = stackOf(error)
  if (cause !== undefined) described.cause = copyValue(cause, depth, seen)
  if (Array.isArray(errors)) described.errors = copyValue(errors, depth, seen)
  return described
}

/** The places only: the message is told once, and redacted there. */
function stackOf(error: Error): readonly string[] {
  const lines = String(error.stack ?? '').split('\n')
  const places = lines.map((line) => line.trim()).filter((line) => line.startsWith('at '))
  return places.slice(0, STACK_LINES_MAX).map(redactText)
}
