// Session tokens. What a browser holds instead of an API key: good for one session, in one part, for a while. A token says all of it itself,
// signed: `rst_<payload>.<mac>`, payload a JSON list, mac its HMAC-SHA256 under a key derived from the master key. Nothing is stored, so
// nothing can be revoked either: a token ends with its time, and with its session, which then is not found any more.
// Invariants:
//   ST1. A token is believed only as it was made, to the last bit, and until its time; all else is UNAUTHENTICATED, and says why.
//   ST2. The first master key signs, all of them are believed: they are rotated without ending any token.
//   ST3. Its bearer may touch its own session only, and do no more there than its part allows.

import { createHmac, timingSafeEqual } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import { type Ctx, RipstopError } from '@ripstop/kernel'
import type { SocketRole } from '@ripstop/protocol/sessions'
import type { Principal } from '#platform/http'
import type { Sealer } from '#platform/sealing'
import type { SessionRef } from '#session-stores'

/** What the keys are derived for. */
const PURPOSE = 'session tokens'

export interface TokenWish {
  readonly ref: SessionRef
  readonly role: SocketRole
  /** Of the role participant: who, and at which place. */
  readonly participant: { readonly participantId: string; readonly place: number } | undefined
  readonly expiresMs: number
}

export interface SessionTokens {
  readonly create: (wish: TokenWish) => string
  /** Throws UNAUTHENTICATED; details.reason is `malformed`, `forged` or `expired`. */
  readonly verify: (token: string) => Principal
}

export interface SessionTokensDeps {
  readonly sealer: Pick<Sealer, 'derive'>
  /** Server time. */
  readonly nowMs: () => number
}

const FORM = /^rst_([\w-]{1,512})\.([\w-]{43})$/
const SCOPES: Readonly<Record<SocketRole, readonly string[]>> = {
  owner: ['sessions:read', 'sessions:write'],
  participant: ['sessions:read', 'sessions:write'],
  spectator: ['sessions:read'],
}

export function createSessionTokens({ sealer, nowMs }: SessionTokensDeps): SessionTokens {
  const keys = sealer.derive(PURPOSE)
  const first = keys[0] as Buffer // a sealer has a key
  return {
    create: (wish) => {
      const payload = Buffer.from(JSON.stringify(toClaims(wish))).toString('base64url')
      return `rst_${payload}.${macOf(first, payload).toString('base64url')}`
    },
    verify: (token) => {
      const [, payload, mac] = FORM.exec(token) ?? []
      if (payload === undefined || mac === undefined) throw refused('malformed', 'this is no session token')
      const given = Buffer.from(mac, 'base64url')
      const isOurs = keys.some((key) => timingSafeEqual(macOf(key, payload), given))
      // A text of 43 characters has bits that decoding drops: another text is another token.
      if (!isOurs || given.toString('base64url') !== mac)
        throw refused('forged', 'this session token was not made here')
      const principal = toPrincipal(JSON.parse(Buffer.from(payload, 'base64url').toString()) as Claims)
      if (principal.session.expiresMs <= nowMs()) throw refused('expired', 'this session token has expired')
      return principal
    },
  }
}

type Claims = readonly [
  tenantId: string,
  sessionId: string,
  role: SocketRole,
  expiresMs: number,
  participantId?: string,
  place?: number,
]

function toClaims({ ref, role, participant, expiresMs }: TokenWish): Claims {
  const { tenantId, sessionId } = ref
  if (participant === undefined) return [tenantId, sessionId, role, expiresMs]
  return [tenantId, sessionId, role, expiresMs, participant.participantId, participant.place]
}

function toPrincipal([tenantId, sessionId, role, expiresMs, participantId, place]: Claims) {
  return {
    tenantId,
    actor: participantId === undefined ? role : `participant:${participantId}`,
    keyId: undefined,
    scopes: SCOPES[role],
    session: { sessionId, role, participantId, place, expiresMs },
  }
}

function macOf(key: Buffer, payload: string): Buffer {
  return createHmac('sha256', key).update(`rst_${payload}`).digest()
}

function refused(reason: 'malformed' | 'forged' | 'expired', message: string): RipstopError {
  return new RipstopError('UNAUTHENTICATED', message, { details: { reason } })
}

export type Authenticate = (headers: IncomingHttpHeaders, ctx: Ctx) => Principal | Promise<Principal>

/** Believes session tokens, and asks `authenticate` about all else. */
export function createSessionAuthenticate(tokens: SessionTokens, authenticate: Authenticate): Authenticate {
  return (headers, ctx) => {
    const token = /^bearer +(rst_\S*) *$/i.exec(headers.authorization ?? '')?.[1]
    if (token === undefined) return authenticate(headers, ctx)
    if (headers['x-api-key'] !== undefined) {
      throw new RipstopError('UNAUTHENTICATED', 'send an API key or a session token, not both')
    }
    return tokens.verify(token)
  }
}
