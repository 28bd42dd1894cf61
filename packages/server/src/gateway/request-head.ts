// Request head. From the raw header lines of a client to those for the upstream, in one pass: what belongs to the
// connection is dropped, what a client could forge is replaced, the rest is passed on as it was spelled. Node's parser is
// strict (insecureHTTPParser is off) and refuses most of what request smuggling needs; what it lets through and two
// servers could read differently is refused here.
// Source: RFC 9110 section 7.6, RFC 9112 sections 3.2, 6.1 and 11.2.
// Invariants:
//   RH1. A request whose length or host two servers could read differently is refused: never passed on, never repaired.
//   RH2. Nothing that is meant for the connection (hop-by-hop, or named in Connection) reaches the upstream.
//   RH3. X-Forwarded-*, Forwarded and X-Real-IP of an untrusted peer never reach the upstream.
//   RH4. An API key of the mesh never reaches an upstream.

import { RipstopError } from '@ripstop/kernel'
import type { Peer } from '#platform/rate'
import { asksAsync } from './deferring.ts'
import { isTraceparent } from './trace.ts'

/** What is the same for every request. */
export interface RequestHeadFacts {
  /** This gateway's name in Via, unlike that of any other process. */
  readonly pseudonym: string
  readonly createTraceparent: () => string
  readonly clientOf: (peer: Peer, forwardedFor: string) => string
}

export interface RequestHead {
  /** For the upstream: names and values by turns. */
  readonly headers: string[]
  readonly host: string | undefined
  /** Undefined: chunked. 0: none. */
  readonly bodyBytes: number | undefined
  readonly client: string
  readonly traceparent: string
  readonly hasIdempotencyKey: boolean
  /** Prefer: respond-async. */
  readonly prefersAsync: boolean
}

type Kind =
  | 'drop'
  | 'host'
  | 'length'
  | 'encoding'
  | 'connection'
  | 'forwarded'
  | 'forwarded_for'
  | 'forwarded_proto'
  | 'forwarded_host'
  | 'via'
  | 'traceparent'
  | 'tracestate'
  | 'credential'
  | 'idempotency_key'
  | 'prefer'

const KINDS: ReadonlyMap<string, Kind> = new Map<string, Kind>([
  ['connection', 'connection'],
  ['keep-alive', 'drop'],
  ['proxy-connection', 'drop'],
  ['proxy-authorization', 'drop'],
  ['te', 'drop'],
  ['trailer', 'drop'],
  ['upgrade', 'drop'],
  ['http2-settings', 'drop'],
  ['expect', 'drop'], // answered here: the upstream sees the body or nothing
  ['transfer-encoding', 'encoding'],
  ['content-length', 'length'],
  ['host', 'host'],
  ['forwarded', 'forwarded'],
  ['x-real-ip', 'forwarded'],
  ['x-forwarded-for', 'forwarded_for'],
  ['x-forwarded-proto', 'forwarded_proto'],
  ['x-forwarded-host', 'forwarded_host'],
  ['via', 'via'],
  ['traceparent', 'traceparent'],
  ['tracestate', 'tracestate'],
  ['authorization', 'credential'],
  ['x-api-key', 'credential'],
  ['idempotency-key', 'idempotency_key'],
  ['prefer', 'prefer'],
])
const KIND_LENGTHS: readonly boolean[] = lengthsOf([...KINDS.keys()])

function lengthsOf(names: readonly string[]): boolean[] {
  const lengths: boolean[] = Array(64).fill(false)
  for (const name of names) lengths[name.length] = true
  return lengths
}

/** Most names need no look-up: nothing special is as long as they are. */
function kindOf(name: string): Kind | undefined {
  const known = KIND_LENGTHS[name.length] === true ? KINDS.get(name.toLowerCase()) : undefined
  if (known !== undefined || name.length < 12) return known
  const first = name.charCodeAt(0) | 0x20
  return first === 0x78 && /^x-forwarded-/i.test(name) ? 'forwarded' : undefined
}

const OWN_KEY = /^(?:Bearer\s+)?rs_/i
const HOST = /^(?:[A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?$/

/** Everything that the pass over the header lines collects. */
class Reading {
  readonly kept: string[] = []
  host: string | undefined
  bodyBytes: number | undefined = 0
  isChunked = false
  connection = ''
  via = ''
  forwardedFor = ''
  forwardedProto = ''
  forwardedHost = ''
  traceparent = ''
  tracestate = ''
  hasIdempotencyKey = false
  prefersAsync = false
}

/** `version`: `1.0` or `1.1`. Throws BAD_REQUEST (RH1) or LOOP_DETECTED. */
export function createRequestHead(
  raw: readonly string[],
  version: string,
  peer: Peer,
  facts: RequestHeadFacts,
): RequestHead {
  const reading = new Reading()
  for (let index = 0; index < raw.length; index += 2) {
    const name = raw[index] as string
    const value = raw[index + 1] as string
    const kind = kindOf(name)
    if (kind === undefined) reading.kept.push(name, value)
    else readSpecial(reading, kind, name, value, peer)
  }
  if (version !== '1.1' && (version !== '1.0' || reading.isChunked)) {
    throw refused(`HTTP/${version} with this framing is not understood`)
  }
  if (reading.via.includes(facts.pseudonym))
    throw new RipstopError('LOOP_DETECTED', 'the request came back to this gateway')
  const headers = withoutNamed(reading.kept, reading.connection)
  const client = facts.clientOf(peer, reading.forwardedFor)
  const traceparent = addOwn(headers, reading, version, peer, facts)
  return {
    headers,
    host: reading.host,
    bodyBytes: reading.isChunked ? undefined : reading.bodyBytes,
    client,
    traceparent,
    hasIdempotencyKey: reading.hasIdempotencyKey,
    prefersAsync: reading.prefersAsync,
  }
}

function readSpecial(reading: Reading, kind: Kind, name: string, value: string, peer: Peer): void {
  switch (kind) {
    case 'drop':
      return
    case 'host':
      if (reading.host !== undefined) throw refused('there is more than one Host')
      if (!HOST.test(value)) throw refused('Host is not a host')
      reading.host = value
      return
    case 'length':
      // The parser has seen to it that there is one, of digits, and no Transfer-Encoding beside it.
      reading.bodyBytes = Number(value)
      reading.kept.push(name, value)
      return
    case 'encoding':
      if (value.toLowerCase() !== 'chunked') throw refused('Transfer-Encoding other than chunked is not understood')
      reading.isChunked = true
      return
    case 'connection':
      reading.connection = joined(reading.connection, value)
      return
    case 'via':
      reading.via = joined(reading.via, value)
      return
    case 'traceparent':
      reading.traceparent = value
      return
    case 'tracestate':
      reading.tracestate = joined(reading.tracestate, value)
      return
    case 'credential':
      if (!OWN_KEY.test(value)) reading.kept.push(name, value)
      return
    case 'idempotency_key':
      reading.hasIdempotencyKey = true
      reading.kept.push(name, value)
      return
    case 'prefer':
      reading.prefersAsync ||= asksAsync(value)
      reading.kept.push(name, value)
      return
    default:
      if (peer.trusted) readForwarded(reading, kind, name, value)
  }
}

function readForwarded(
  reading: Reading,
  kind: 'forwarded' | 'forwarded_for' | 'forwarded_proto' | 'forwarded_host',
  name: string,
  value: string,
): void {
  switch (kind) {
    case 'forwarded':
      reading.kept.push(name, value)
      return
    case 'forwarded_for':
      reading.forwardedFor = joined(reading.forwardedFor, value)
      return
    case 'forwarded_proto':
      reading.forwardedProto = value
      return
    case 'forwarded_host':
      reading.forwardedHost = value
      return
    default:
      return kind satisfies never
  }
}

/** Adds what the gateway says itself; returns the traceparent. */
function addOwn(headers: string[], reading: Reading, version: string, peer: Peer, facts: RequestHeadFacts): string {
  headers.push('X-Forwarded-For', joined(reading.forwardedFor, peer.address))
  headers.push('X-Forwarded-Proto', reading.forwardedProto === '' ? peer.proto : reading.forwardedProto)
  const host = reading.forwardedHost === '' ? reading.host : reading.forwardedHost
  if (host !== undefined) headers.push('X-Forwarded-Host', host)
  headers.push('Via', joined(reading.via, `${version} ${facts.pseudonym}`))
  const isValid = isTraceparent(reading.traceparent)
  const traceparent = isValid ? reading.traceparent : facts.createTraceparent()
  headers.push('traceparent', traceparent)
  // Without the traceparent that it belongs to, a tracestate means nothing.
  if (isValid && reading.tracestate !== '') headers.push('tracestate', reading.tracestate)
  return traceparent
}

/** Names in Connection that no client may have taken off: what says where the body ends. */
const FRAMING: ReadonlySet<string> = new Set(['content-length', 'transfer-encoding', 'host'])

function withoutNamed(kept: string[], connection: string): string[] {
  if (connection === '' || /^(?:keep-alive|close)$/i.test(connection)) return kept
  const named = new Set(
    connection
      .toLowerCase()
      .split(',')
      .map((word) => word.trim()),
  )
  const left: string[] = []
  for (let index = 0; index < kept.length; index += 2) {
    const name = (kept[index] as string).toLowerCase()
    if (!named.has(name) || FRAMING.has(name)) left.push(kept[index] as string, kept[index + 1] as string)
  }
  return left
}

function joined(before: string, value: string): string {
  return before === '' ? value : `${before}, ${value}`
}

function refused(message: string): RipstopError {
  return new RipstopError('BAD_REQUEST', message)
}
