// An event, from what a publisher wrote to what is stored and sent. CloudEvents 1.0 in its structured JSON form is the one form of an event:
// in, at rest and out. What is taken is exactly what receivers get, so what JSON can't carry unchanged is refused, not altered.
// Invariants:
//   EV5. Whatever is given, the answer is an event or a typed refusal that names the fields; values are never shown.
//   EV6. The body holds what the publisher gave, unchanged: whole numbers too, which are refused where JSON.parse has changed them.

import { RipstopError } from '@ripstop/kernel'
import type { FieldProblem } from '@ripstop/protocol'
import '@ripstop/protocol' // registers the codes of the edge
import type { NewEvent } from './consumer.ts'

export const EVENT_BYTES_DEFAULT = 262_144
/** Of `data`: deeper ones would break recursive readers, ours and those of receivers. */
const DEPTH_MAX = 64
const EXTENSIONS_MAX = 32
const SOURCE_DEFAULT = 'default'

const TYPE = /^[A-Za-z0-9_][A-Za-z0-9._:/-]{0,127}$/
const EXTENSION = /^[a-z0-9]{1,20}$/
const PLAIN = /^[\x20-\x7e]+$/
const TIME = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?(?:Z|[+-]\d{2}:\d{2})$/

/** Longest, in UTF-16 units. A name (source and id) must fit into one entry of an index: 2,704 bytes. */
const LENGTHS = { source: 255, id: 255, subject: 512, partitionkey: 255, dataschema: 512, extension: 1_024 } as const

/** What a publisher wrote, read: an event but for its id and what its type says. */
export interface Draft {
  readonly type: string
  readonly source: string
  /** The publisher's own; undefined: it gets ours. */
  readonly id: string | undefined
  readonly subject: string | undefined
  readonly key: string | undefined
  readonly time: string | undefined
  readonly dataschema: string | undefined
  readonly extensions: readonly (readonly [string, string | number | boolean])[]
  /** Undefined: it has none. */
  readonly data: unknown
}

/** Reads one event. The refusal is EVENT_INVALID. */
export function readDraft(input: unknown): Draft | RipstopError {
  if (typeof input !== 'object' || input === null || Array.isArray(input))
    return invalid([{ field: '', problem: 'must be an object' }])
  const given = input as Readonly<Record<string, unknown>>
  const problems: FieldProblem[] = []
  const extensions: [string, string | number | boolean][] = []
  for (const name of Object.keys(given)) {
    if (given[name] === null && name !== 'data') continue // CloudEvents: as if it were not there
    const problem =
      KNOWN.get(name)?.(given[name]) ?? (KNOWN.has(name) ? undefined : readExtension(name, given[name], extensions))
    if (problem !== undefined) problems.push({ field: `/${name.slice(0, 64)}`, problem })
  }
  if (given.type === undefined || given.type === null) problems.push({ field: '/type', problem: 'is required' })
  if (extensions.length > EXTENSIONS_MAX)
    problems.push({ field: '', problem: `may have at most ${EXTENSIONS_MAX} extension attributes` })
  const inData = findUnfit(given.data, 0)
  if (inData !== undefined) problems.push({ field: `/data${inData.field}`, problem: inData.problem })
  if (problems.length > 0) return invalid(problems.slice(0, 50))
  const text = (name: string): string | undefined => (given[name] as string | null | undefined) ?? undefined
  return {
    type: text('type') ?? '',
    source: text('source') ?? SOURCE_DEFAULT,
    id: text('id'),
    subject: text('subject'),
    key: text('partitionkey'),
    time: text('time'),
    dataschema: text('dataschema'),
    extensions,
    data: given.data,
  }
}

/** What is wrong with an attribute. */
type Check = (value: unknown) => string | undefined

const KNOWN: ReadonlyMap<string, Check> = new Map<string, Check>([
  ['specversion', (value) => (value === '1.0' ? undefined : 'must be "1.0"')],
  [
    'type',
    (value) =>
      typeof value === 'string' && TYPE.test(value) ? undefined : 'must be 1 to 128 letters, digits and . _ : / -',
  ],
  ['source', (value) => textProblem(value, LENGTHS.source)],
  ['id', (value) => textProblem(value, LENGTHS.id)],
  ['subject', (value) => textProblem(value, LENGTHS.subject)],
  ['partitionkey', (value) => textProblem(value, LENGTHS.partitionkey)],
  ['dataschema', (value) => textProblem(value, LENGTHS.dataschema)],
  ['datacontenttype', (value) => (value === 'application/json' ? undefined : 'must be "application/json"')],
  ['time', timeProblem],
  ['data', () => undefined], // looked into apart
])

/** Attributes are kept as text by Postgres, and go into headers: no control characters, no half of a surrogate pair. */
function textProblem(value: unknown, lengthMax: number): string | undefined {
  if (typeof value !== 'string') return 'must be a string'
  if (value === '' || value.length > lengthMax) return `must have 1 to ${lengthMax} characters`
  if (PLAIN.test(value)) return undefined
  return /\p{Cc}/u.test(value) || !value.isWellFormed()
    ? 'must not hold control characters or lone surrogates'
    : undefined
}

function timeProblem(value: unknown): string | undefined {
  const isTime = typeof value === 'string' && TIME.test(value) && Number.isFinite(Date.parse(value))
  return isTime ? undefined : 'must be a time as in RFC 3339'
}

function readExtension(
  name: string,
  value: unknown,
  extensions: [string, string | number | boolean][],
): string | undefined {
  if (!EXTENSION.test(name)) return 'is not known here, and no name of an extension (a-z and 0-9, at most 20)'
  if (
    typeof value === 'boolean' ||
    (typeof value === 'number' && Math.abs(value) <= 0x7fffffff && Number.isInteger(value))
  ) {
    extensions.push([name, value])
    return undefined
  }
  if (typeof value !== 'string')
    return 'is an extension: it must be a string, a whole number or a boolean; what is told goes into data'
  extensions.push([name, value])
  return textProblem(value, LENGTHS.extension)
}

/** What JSON can't carry unchanged, and where; the first of it. */
function findUnfit(value: unknown, depth: number): FieldProblem | undefined {
  switch (typeof value) {
    case 'string':
    case 'boolean':
    case 'undefined':
      return undefined
    case 'number':
      // Between these bounds JSON writes whole numbers by digits, of which a double keeps 15.
      if (
        Number.isFinite(value) &&
        (Number.isSafeInteger(value) || !Number.isInteger(value) || Math.abs(value) >= 1e21)
      )
        return undefined
      return { field: '', problem: 'is a number that JSON readers would change; send it as a string' }
    case 'object':
      return value === null ? undefined : findUnfitWithin(value, depth + 1)
    default:
      return { field: '', problem: `is no JSON: a ${typeof value}` }
  }
}

function findUnfitWithin(value: object, depth: number): FieldProblem | undefined {
  if (depth > DEPTH_MAX) return { field: '', problem: `is nested deeper than ${DEPTH_MAX}` }
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length; index++) {
      const found = findUnfit(value[index], depth)
      if (found !== undefined) return { field: `/${index}${found.field}`, problem: found.problem }
    }
    return undefined
  }
  const prototype = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null) return { field: '', problem: 'is no plain object' }
  for (const name of Object.keys(value)) {
    const found = findUnfit((value as Readonly<Record<string, unknown>>)[name], depth)
    if (found !== undefined) return { field: `/${name.slice(0, 64)}${found.field}`, problem: found.problem }
  }
  return undefined
}

export interface Publishing {
  readonly eventId: string
  readonly tenantId: string
  readonly typeVersion: number | undefined
  /** When it happened, if the publisher doesn't say. */
  readonly wallMs: number
  readonly bytesMax: number
}

/** The event as it is stored and sent. The refusal is PAYLOAD_TOO_LARGE. */
export function createEvent(
  draft: Draft,
  { eventId, tenantId, typeVersion, wallMs, bytesMax }: Publishing,
): NewEvent | RipstopError {
  const { type, source, id = eventId, subject, key, dataschema, extensions, data } = draft
  const time = draft.time ?? new Date(wallMs).toISOString()
  const event: Record<string, unknown> = { specversion: '1.0', id, source, type, time }
  if (subject !== undefined) event.subject = subject
  if (key !== undefined) event.partitionkey = key
  if (dataschema !== undefined) event.dataschema = dataschema
  for (const [name, value] of extensions) event[name] = value
  if (data !== undefined) {
    event.datacontenttype = 'application/json'
    event.data = data
  }
  const body = Buffer.from(JSON.stringify(event))
  if (body.length > bytesMax) return tooLarge(bytesMax, body.length)
  const occurredWallMs = draft.time === undefined ? wallMs : Date.parse(time)
  return { eventId, tenantId, source, id, type, typeVersion, subject, key, occurredWallMs, body, event }
}

/** `bytes` undefined: so many that nobody counted. */
export function tooLarge(bytesMax: number, bytes?: number): RipstopError {
  const has = bytes === undefined ? 'far more' : bytes
  return new RipstopError('PAYLOAD_TOO_LARGE', `an event may have ${bytesMax} bytes, this one has ${has}`, {
    details: { ...(bytes === undefined ? {} : { bytes }), bytes_max: bytesMax },
  })
}

export function invalid(problems: readonly FieldProblem[]): RipstopError {
  const message = problems.map(({ field, problem }) => `${field === '' ? 'the event' : field} ${problem}`).join('; ')
  return new RipstopError('EVENT_INVALID', message, { details: { problems } })
}
