// Schemes: how each provider signs what it sends, where it names it, and what type it is of. All of them make a MAC or a signature over
// the very bytes of the body, most with the time before them.
// Sources: the providers' documents: Stripe "Resolve webhook signature verification errors", GitHub "Validating webhook deliveries",
// Shopify "Verify HMAC", Slack "Verifying requests from Slack", Standard Webhooks 1.0.0.
// What GitHub and Shopify send has no signed time, and the header that names it is not signed: who recorded one can send it again under
// another name, for as long as the secret lives.

import { createPublicKey, createSecretKey, type KeyObject } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'

export const SCHEMES = ['standard', 'stripe', 'github', 'shopify', 'slack'] as const
export type Scheme = (typeof SCHEMES)[number]

/** A secret, ready for use. */
export type SecretKey =
  | { readonly kind: 'hmac'; readonly key: KeyObject }
  | { readonly kind: 'ed25519'; readonly key: KeyObject }

/** What a request claims about itself. */
export interface Claim {
  /** What was signed is this and the body. */
  readonly prefix: string
  /** Seconds since the epoch; undefined: the scheme signs no time. */
  readonly signedAt: number | undefined
  readonly hmacs: readonly Buffer[]
  readonly ed25519s: readonly Buffer[]
}

export interface SchemeRules {
  /** Undefined: it is no secret of this scheme. */
  readonly parseSecret: (text: string) => SecretKey | undefined
  /** Undefined: it claims nothing that could be checked. */
  readonly readClaim: (headers: IncomingHttpHeaders) => Claim | undefined
  /** What the provider calls it; undefined: it has no name. */
  readonly idOf: (headers: IncomingHttpHeaders, body: unknown) => string | undefined
  readonly typeOf: (headers: IncomingHttpHeaders, body: unknown) => string | undefined
}

/** More than a rotation ever needs: each costs time before it is known who asks. */
const SIGNATURES_MAX = 16
const ED25519_MAX = 4

export const RULES: Readonly<Record<Scheme, SchemeRules>> = {
  standard: {
    parseSecret: parseStandardSecret,
    readClaim: (headers) => {
      const id = standardHeader(headers, 'id')
      const time = standardHeader(headers, 'timestamp')
      const signedAt = readSeconds(time)
      // With a dot in it, what belongs to the id and what to the time could be read in two ways.
      if (id === undefined || id.includes('.') || signedAt === undefined) return undefined
      const signatures = (standardHeader(headers, 'signature') ?? '').split(' ')
      return {
        prefix: `${id}.${time}.`,
        signedAt,
        hmacs: decodeAll(signatures, 'v1,', 'base64').slice(0, SIGNATURES_MAX),
        ed25519s: decodeAll(signatures, 'v1a,', 'base64').slice(0, ED25519_MAX),
      }
    },
    idOf: (headers) => standardHeader(headers, 'id'),
    typeOf: (_headers, body) => textAt(body, 'type'),
  },
  stripe: {
    parseSecret: parseText,
    readClaim: (headers) => {
      const parts = (single(headers['stripe-signature']) ?? '').split(',').map((part) => part.trim())
      const time = parts.find((part) => part.startsWith('t='))?.slice(2)
      return claim(time, `${time}.`, decodeAll(parts, 'v1=', 'hex'))
    },
    idOf: (_headers, body) => textAt(body, 'id'),
    typeOf: (_headers, body) => textAt(body, 'type'),
  },
  github: {
    parseSecret: parseText,
    readClaim: ({ 'x-hub-signature-256': signature }) => bare(decodeAll([single(signature) ?? ''], 'sha256=', 'hex')),
    idOf: ({ 'x-github-delivery': id }) => single(id),
    typeOf: ({ 'x-github-event': type }) => single(type),
  },
  shopify: {
    parseSecret: parseText,
    readClaim: ({ 'x-shopify-hmac-sha256': signature }) => bare(decodeAll([single(signature) ?? ''], '', 'base64')),
    idOf: (headers) => single(headers['x-shopify-event-id']) ?? single(headers['x-shopify-webhook-id']),
    typeOf: ({ 'x-shopify-topic': topic }) => single(topic),
  },
  slack: {
    parseSecret: parseText,
    readClaim: (headers) => {
      const time = single(headers['x-slack-request-timestamp'])
      return claim(time, `v0:${time}:`, decodeAll([single(headers['x-slack-signature']) ?? ''], 'v0=', 'hex'))
    },
    idOf: (_headers, body) => textAt(body, 'event_id'),
    typeOf: (_headers, body) => textAt(at(body, 'event'), 'type') ?? textAt(body, 'type') ?? slackForm(body),
  },
}

function claim(time: string | undefined, prefix: string, hmacs: readonly Buffer[]): Claim | undefined {
  const signedAt = readSeconds(time)
  return signedAt === undefined ? undefined : { ...bare(hmacs), prefix, signedAt }
}

function bare(hmacs: readonly Buffer[]): Claim {
  return { prefix: '', signedAt: undefined, hmacs: hmacs.slice(0, SIGNATURES_MAX), ed25519s: [] }
}

function readSeconds(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,12}$/.test(text) ? Number(text) : undefined
}

const ENCODED = { hex: /^(?:[0-9a-f]{2})+$/i, base64: /^[A-Za-z0-9+/]+={0,2}$/ } as const // Node passes over what is neither

function decodeAll(texts: readonly string[], prefix: string, encoding: 'hex' | 'base64'): readonly Buffer[] {
  return texts
    .filter((text) => text.startsWith(prefix) && ENCODED[encoding].test(text.slice(prefix.length)))
    .map((text) => Buffer.from(text.slice(prefix.length), encoding))
}

/** Some senders of Standard Webhooks still use the names from before the standard. */
function standardHeader(headers: IncomingHttpHeaders, name: 'id' | 'timestamp' | 'signature'): string | undefined {
  return single(headers[`webhook-${name}`]) ?? single(headers[`svix-${name}`])
}

function single(header: string | readonly string[] | undefined): string | undefined {
  return typeof header === 'string' && header !== '' ? header : undefined
}

function at(body: unknown, name: string): unknown {
  const isObject = typeof body === 'object' && body !== null && Object.hasOwn(body, name)
  return isObject ? (body as Readonly<Record<string, unknown>>)[name] : undefined
}

function textAt(body: unknown, name: string): string | undefined {
  const value = at(body, name)
  return typeof value === 'string' && value !== '' ? value : undefined
}

/** Slash commands are forms without a type. */
function slackForm(body: unknown): string | undefined {
  return textAt(body, 'command') === undefined ? undefined : 'slash_command'
}

// Secrets

const SECRET_LENGTH_MIN = 8

function parseText(text: string): SecretKey | undefined {
  if (text.length < SECRET_LENGTH_MIN) return undefined
  return { kind: 'hmac', key: createSecretKey(text, 'utf8') }
}

/** `whsec_` and base64 of 24 to 64 bytes, or the public key that belongs to `whsk_`: `whpk_` and base64 of 32. */
function parseStandardSecret(text: string): SecretKey | undefined {
  const [, kind, encoded = ''] = /^(whsec_|whpk_)([A-Za-z0-9+/]+={0,2})$/.exec(text) ?? []
  const bytes = Buffer.from(encoded, 'base64')
  if (kind === 'whsec_' && bytes.length >= 24 && bytes.length <= 64)
    return { kind: 'hmac', key: createSecretKey(bytes) }
  if (kind !== 'whpk_' || bytes.length !== 32) return undefined
  const jwk = { kty: 'OKP', crv: 'Ed25519', x: bytes.toString('base64url') }
  return { kind: 'ed25519', key: createPublicKey({ key: jwk, format: 'jwk' }) }
}
