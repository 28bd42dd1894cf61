// Limits of the sessions' API: how much one caller may ask. A caller with an API key is a server that speaks for many people, and has limits
// of its own; anybody else has those of SyncKairos's design review (issue 6). With Redis all processes count together.
// Who is counted: the key; owner and participant by their part in their session, since many people may share one address; a spectator by his
// address, too, since many may share one token; anybody else by address alone. So nobody's limit can be spent by somebody else: an opponent who floods a session with moves that are not his
// can't keep the other from making one.
// Who exceeds the commands of a session is kept out for a while (each process counts that for itself).
// Invariants:
//   SL1. More than a limit allows, and what flows back to it, is refused with RATE_LIMIT_EXCEEDED, and told when to come back.
//   SL2. What one caller spends, no other one lacks.
//   SL3. Who comes back at the time that he was told is served.

import { type Env, RipstopError } from '@ripstop/kernel'
import type { Principal } from '#platform/http'
import {
  BoundedTable,
  createRateId,
  describeRate,
  type Quota,
  type RateLimiter,
  type RateVerdict,
} from '#platform/rate'

export interface SessionLimitSettings {
  readonly enabled: boolean
  readonly windowMs: number
  /** In each window. */
  readonly reads: number
  readonly keyReads: number
  readonly creations: number
  readonly keyCreations: number
  readonly connections: number
  readonly keyConnections: number
  /** Of one connection. */
  readonly messages: number
  /** To one session. */
  readonly commandsPerSecond: number
  readonly keyCommandsPerSecond: number
  readonly commandCooldownMs: number
}

/** Every request of a route is one. */
export interface Caller {
  readonly principal: Principal
  readonly address: string
  /** Of the answer, where there is one to tell in. */
  readonly setHeader?: (name: string, value: string) => void
}

export interface SessionLimits {
  /** Throws RATE_LIMIT_EXCEEDED. A promise only where Redis has to be asked. */
  readonly create: (caller: Caller) => Promise<void> | undefined
  readonly read: (caller: Caller) => Promise<void> | undefined
  readonly command: (caller: Caller, sessionId: string) => Promise<void> | undefined
  readonly connect: (caller: Caller) => Promise<void> | undefined
  /** What one connection may send; undefined: as much as it likes. */
  readonly messages: Quota | undefined
}

export interface SessionLimitsDeps {
  readonly env: Env
  readonly limiter: Pick<RateLimiter, 'take'>
  readonly settings: SessionLimitSettings
}

interface Limit {
  readonly name: 'create' | 'read' | 'command' | 'connect'
  /** Where it is set. */
  readonly setting: string
  readonly quota: Quota
  readonly cooldownMs: number
}

const COOLING_MAX = 100_000

export function createSessionLimits({ env, limiter, settings }: SessionLimitsDeps): SessionLimits {
  if (!settings.enabled) {
    const pass = () => undefined
    return { create: pass, read: pass, command: pass, connect: pass, messages: undefined }
  }
  const limits = createLimits(settings)
  const cooling = new BoundedTable<number>(COOLING_MAX, (untilMs, nowMs) => untilMs <= nowMs)
  const take = (limit: Limit, caller: Caller, who: string): Promise<void> | undefined => {
    const client = `session:${limit.name}:${who}`
    const leftMs = (cooling.get(client) ?? 0) - env.clock.monoMs()
    if (leftMs > 0) {
      tell(limit, caller, { remaining: 0, resetMs: leftMs })
      throw exceeded(limit, leftMs)
    }
    const taken = limiter.take(client, limit.quota)
    if ('then' in taken) return taken.then((verdict) => settle(limit, caller, client, verdict))
    settle(limit, caller, client, taken)
    return undefined
  }
  const settle = (limit: Limit, caller: Caller, client: string, verdict: RateVerdict): void => {
    tell(limit, caller, verdict)
    if (verdict.allowed) return
    const nowMs = env.clock.monoMs()
    if (limit.cooldownMs > 0) cooling.set(cooling.nameFor(client, nowMs), nowMs + limit.cooldownMs)
    throw exceeded(limit, Math.max(verdict.retryAfterMs, limit.cooldownMs))
  }
  const limitOf = (caller: Caller, name: keyof typeof limits): Limit =>
    limits[name][caller.principal.keyId === undefined ? 'people' : 'keys']
  return {
    create: (caller) => take(limitOf(caller, 'create'), caller, whoOf(caller)),
    read: (caller) => take(limitOf(caller, 'read'), caller, whoOf(caller)),
    command: (caller, sessionId) => take(limitOf(caller, 'command'), caller, `${sessionId}:${whoOf(caller)}`),
    connect: (caller) => take(limitOf(caller, 'connect'), caller, whoOf(caller)),
    messages: { count: settings.messages, windowMs: settings.windowMs },
  }
}

function tell(
  { name, quota }: Limit,
  { setHeader }: Caller,
  verdict: Pick<RateVerdict, 'remaining' | 'resetMs'>,
): void {
  const { policy, left } = describeRate(name, quota, verdict)
  setHeader?.('RateLimit-Policy', policy)
  setHeader?.('RateLimit', left)
}

type Limits = Readonly<Record<Limit['name'], { readonly people: Limit; readonly keys: Limit }>>

function createLimits(settings: SessionLimitSettings): Limits {
  const { windowMs, commandCooldownMs } = settings
  const perWindow = (name: Limit['name'], setting: string, count: number): Limit => ({
    name,
    setting: `session_limits.${setting}`,
    quota: { count, windowMs },
    cooldownMs: 0,
  })
  const perSecond = (setting: string, count: number): Limit => ({
    name: 'command',
    setting: `session_limits.${setting}`,
    quota: { count, windowMs: 1_000 },
    cooldownMs: commandCooldownMs,
  })
  return {
    create: {
      people: perWindow('create', 'creations', settings.creations),
      keys: perWindow('create', 'key_creations', settings.keyCreations),
    },
    read: {
      people: perWindow('read', 'reads', settings.reads),
      keys: perWindow('read', 'key_reads', settings.keyReads),
    },
    command: {
      people: perSecond('commands_per_second', settings.commandsPerSecond),
      keys: perSecond('key_commands_per_second', settings.keyCommandsPerSecond),
    },
    connect: {
      people: perWindow('connect', 'connections', settings.connections),
      keys: perWindow('connect', 'key_connections', settings.keyConnections),
    },
  }
}

function whoOf({ principal: { tenantId, keyId, session }, address }: Caller): string {
  if (keyId !== undefined) return `key:${keyId}`
  if (session === undefined) return `ip:${createRateId(address)}`
  const { sessionId, role, participantId } = session
  const person = participantId ?? (role === 'spectator' ? `spectator:${createRateId(address)}` : role)
  return `${tenantId}:${sessionId}:${person}`
}

function exceeded({ name, setting, quota }: Limit, retryAfterMs: number): RipstopError {
  return new RipstopError('RATE_LIMIT_EXCEEDED', `more than ${quota.count} in ${quota.windowMs} ms: ${name}`, {
    details: { limit: name, setting },
    retryAfterMs,
  })
}
