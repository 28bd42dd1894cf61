// Guard. Without credentials, being on this machine is the only thing that a caller proves, so whoever asks a browser on
// this machine to call us must be kept out: a page of another origin, and a page whose name was rebound to 127.0.0.1
// (DNS rebinding: the browser then believes that we are its origin, and only the Host header tells).
// Ports are not compared: through a forwarded port the same loopback name is just as local.
// With API keys a foreign page has no key to send, so nothing is refused here.
// Invariants:
//   HG1. In open mode a Host that is no loopback name is refused, whatever the route.
//   HG2. In open mode an Origin that is neither ours nor allowed is refused, `null` included; so is a request without
//        Origin that a browser says another site made, unless it opens a page.

import { type IncomingMessage, METHODS } from 'node:http'
import { isIP } from 'node:net'
import { RipstopError } from '@ripstop/kernel'

export interface GuardOptions {
  readonly mode: 'open' | 'keys'
  /** What the server listens on. */
  readonly host: string
  /** Origins as browsers write them, or `*`. */
  readonly allowedOrigins: readonly string[]
}

/** Undefined: it may pass. Else HOST_REFUSED, ORIGIN_REFUSED or BAD_REQUEST. */
export type RequestGuard = (request: IncomingMessage) => RipstopError | undefined

/** The same guard for the control API, the gateway and upgrades. */
export function createRequestGuard(options: GuardOptions): RequestGuard {
  const allowed = new Set(options.allowedOrigins)
  if (options.mode === 'keys') return refuseMalformed
  return (request) => refuseMalformed(request) ?? refuseHost(request, options.host) ?? refuseOrigin(request, allowed)
}

/** What two readers could understand differently is refused in every mode. */
function refuseMalformed(request: IncomingMessage): RipstopError | undefined {
  let hosts = 0
  const raw = request.rawHeaders
  for (let index = 0; index < raw.length; index += 2) {
    const name = raw[index] as string
    if (name.length === 4 && name.toLowerCase() === 'host') hosts++
  }
  if (hosts > 1) return new RipstopError('BAD_REQUEST', 'the request has more than one Host header')
  const { method = '', url = '' } = request
  if (url.startsWith('/') || (url === '*' && method === 'OPTIONS')) return undefined
  const known = METHODS.includes(method) ? method : 'a request'
  return new RipstopError('BAD_REQUEST', `${known} needs a path that begins with a slash`)
}

function refuseHost(request: IncomingMessage, listening: string): RipstopError | undefined {
  const host = request.headers.host ?? ''
  const name = hostNameOf(host)
  if (name !== undefined && (isLoopbackName(name) || name === listening.toLowerCase())) return undefined
  return new RipstopError('HOST_REFUSED', 'this server is open to this machine only and was called by another name', {
    details: { host: host.slice(0, 200) },
  })
}

function refuseOrigin(request: IncomingMessage, allowed: ReadonlySet<string>): RipstopError | undefined {
  const { origin, host = '' } = request.headers
  if (origin === undefined) return refuseCrossSite(request)
  if (allowed.has('*') || allowed.has(origin)) return undefined
  if (origin.toLowerCase() === `http://${host.toLowerCase()}`) return undefined
  return new RipstopError('ORIGIN_REFUSED', 'a page of another origin may not call this server', {
    details: { origin: origin.slice(0, 200) },
  })
}

/** Images, scripts and forms send no Origin with a GET; browsers since 2023 send Sec-Fetch-Site. */
function refuseCrossSite(request: IncomingMessage): RipstopError | undefined {
  if (request.headers['sec-fetch-site'] !== 'cross-site') return undefined
  if (request.headers['sec-fetch-mode'] === 'navigate' && request.method === 'GET') return undefined
  return new RipstopError('ORIGIN_REFUSED', 'a page of another site may not call this server')
}

/** The name without port and brackets, in lower case; undefined if it can't be read. */
function hostNameOf(host: string): string | undefined {
  const match = /^(?:\[([0-9a-f:.]+)\]|([a-z0-9_-]+(?:\.[a-z0-9_-]+)*)\.?)(?::\d{1,5})?$/i.exec(host)
  return (match?.[1] ?? match?.[2])?.toLowerCase()
}

/** RFC 6761: localhost and everything below it never leave the machine. */
function isLoopbackName(name: string): boolean {
  if (name === 'localhost' || name.endsWith('.localhost') || name === '::1') return true
  return isIP(name) === 4 && name.startsWith('127.')
}
