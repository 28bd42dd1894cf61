import { randomUUID } from 'node:crypto'
import { background, createEnv } from '@ripstop/kernel'
import { createFakeClock } from '@ripstop/kernel/testing'
import { describe, expect, test } from 'vitest'
import type { Principal } from '../platform/http/principal.ts'
import { RateLimiter } from '../platform/rate/rate-limiter.ts'
import { creation, SEED_LIMITS, startTestApi } from './api.fixture.ts'
import { type Caller, createSessionLimits } from './limits.ts'

const ANYBODY: Principal = { tenantId: 't', actor: 'open', keyId: undefined, scopes: ['admin'] }
const of = (address: string, principal: Principal = ANYBODY): Caller => ({ principal, address })
const bearer = (role: 'owner' | 'participant' | 'spectator', participantId?: string): Principal => ({
  ...ANYBODY,
  session: { sessionId: 's', role, participantId, place: 0, expiresMs: 0 },
})

function createTest() {
  const clock = createFakeClock()
  const env = createEnv({ clock })
  const limiter = new RateLimiter({ ctx: background(env), redis: undefined, processes: 1, entriesMax: 1_000 })
  const limits = createSessionLimits({ env, limiter, settings: SEED_LIMITS })
  /** How many of many pass at once. */
  const passing = (run: () => unknown, count = 200): number => {
    for (let passed = 0; passed < count; passed++) {
      try {
        run()
      } catch {
        return passed
      }
    }
    return count
  }
  return { clock, limits, passing }
}

describe('limits', () => {
  test('SL1: the figures of the design review hold for whoever has no key', () => {
    const { limits, passing } = createTest()
    const caller = of('192.0.2.1')
    expect(passing(() => limits.create(caller))).toBe(5)
    expect(passing(() => limits.read(caller))).toBe(100)
    expect(passing(() => limits.command(caller, 's'))).toBe(10)
    expect(passing(() => limits.connect(caller))).toBe(5)
    expect(limits.messages).toEqual({ count: 100, windowMs: 60_000 })
    expect(() => limits.create(caller)).toThrowError(
      expect.objectContaining({
        code: 'RATE_LIMIT_EXCEEDED',
        retryAfterMs: expect.any(Number),
        details: { limit: 'create', setting: 'session_limits.creations' },
      }),
    )
  })

  test('SL1: a server with a key has limits of its own, for it speaks for many', () => {
    const { limits, passing } = createTest()
    const server = of('192.0.2.1', { ...ANYBODY, keyId: 'k' })
    expect(passing(() => limits.create(server), 6_500)).toBe(6_000)
    expect(passing(() => limits.command(server, 's'), 300)).toBe(100)
    expect(passing(() => limits.command(server, 'another'), 300)).toBe(100)
  })

  test('SL2: nobody spends what is another’s: addresses, sessions, participants, spectators, keys', () => {
    const { limits, passing } = createTest()
    const all: Caller[] = [
      of('192.0.2.1'),
      of('192.0.2.2'),
      of('192.0.2.1', bearer('owner')),
      of('192.0.2.1', bearer('participant', 'a')),
      of('192.0.2.1', bearer('participant', 'b')),
      of('192.0.2.1', bearer('spectator')),
      of('192.0.2.2', bearer('spectator')),
    ]
    expect(all.map((caller) => passing(() => limits.command(caller, 's')))).toEqual(all.map(() => 10))
    expect(passing(() => limits.command(of('192.0.2.1'), 'another'))).toBe(10)
    expect(all.map((caller) => passing(() => limits.read(caller)))).toEqual(all.map(() => 100))
    // The same person from elsewhere is the same person.
    expect(passing(() => limits.command(of('192.0.2.9', bearer('participant', 'a')), 's'))).toBe(0)
  })

  test('SL3: who exceeds the commands of a session is kept out for ten seconds, and served then', async () => {
    const { clock, limits, passing } = createTest()
    const caller = of('192.0.2.1')
    const command = () => limits.command(caller, 's')
    expect(passing(command)).toBe(10)
    expect(command).toThrowError(expect.objectContaining({ retryAfterMs: 10_000 }))
    await clock.advance(9_990)
    expect(command).toThrowError(expect.objectContaining({ retryAfterMs: 10 }))
    await clock.advance(10)
    expect(passing(command)).toBe(10)
    await clock.advance(10_000)
    expect(passing(command), 'and asking meanwhile makes it no longer').toBe(10)
  })

  test('SL3: who comes back at the time that he was told is served', async () => {
    const { clock, limits, passing } = createTest()
    const caller = of('192.0.2.1')
    expect(passing(() => limits.create(caller))).toBe(5)
    let retryAfterMs = 0
    try {
      limits.create(caller)
    } catch (error) {
      retryAfterMs = (error as { retryAfterMs: number }).retryAfterMs
    }
    expect(retryAfterMs).toBeGreaterThan(11_000)
    await clock.advance(Math.ceil(retryAfterMs))
    expect(passing(() => limits.create(caller))).toBe(1)
  })

  test('switched off there are none', () => {
    const env = createEnv()
    const limiter = new RateLimiter({ ctx: background(env), redis: undefined, processes: 1, entriesMax: 10 })
    const limits = createSessionLimits({ env, limiter, settings: { ...SEED_LIMITS, enabled: false, reads: 1 } })
    for (let count = 0; count < 10; count++) expect(limits.read(of('192.0.2.1'))).toBeUndefined()
    expect(limits.messages).toBeUndefined()
  })
})

describe('over HTTP', () => {
  test('SL1: refusals say when to come back, answers what is left; time is free', async () => {
    await using api = await startTestApi({ limits: { reads: 3 }, anonymous: ANYBODY })
    const { session_id: id } = await api.create({}, { key: undefined })
    const reads = []
    for (let count = 0; count < 4; count++) reads.push(await api.call('GET', `/${id}`, { key: undefined }))
    expect(reads.map(({ status }) => status)).toEqual([200, 200, 200, 429])
    expect(reads.map(({ headers }) => headers.get('ratelimit'))).toEqual([
      expect.stringMatching(/^"read";r=2;t=\d+$/),
      expect.stringMatching(/^"read";r=1;t=\d+$/),
      expect.stringMatching(/^"read";r=0;t=\d+$/),
      expect.stringMatching(/^"read";r=0;t=\d+$/),
    ])
    const [last] = reads.slice(-1)
    expect([last?.code, last?.headers.get('ratelimit-policy')]).toEqual(['RATE_LIMIT_EXCEEDED', '"read";q=3;w=60'])
    expect(Number(last?.headers.get('retry-after'))).toBeGreaterThan(10)
    expect(last?.details).toEqual({ limit: 'read', setting: 'session_limits.reads' })
    for (let count = 0; count < 20; count++) expect((await api.server.request('/v1/time')).status).toBe(200)
    const creations = []
    for (let count = 0; count < 6; count++)
      creations.push(await api.call('POST', '', { key: undefined, body: creation() }))
    expect(creations.map(({ status }) => status)).toEqual([201, 201, 201, 201, 429, 429])
  })

  test('SL1: making a token is a read: it changes nothing, and no request is free but that for the time', async () => {
    await using api = await startTestApi({ limits: { reads: 3 }, anonymous: ANYBODY })
    const { session_id: id } = await api.create({}, { key: undefined })
    const makings = []
    for (let count = 0; count < 4; count++)
      makings.push(await api.call('POST', `/${id}/tokens`, { key: undefined, body: { role: 'spectator' } }))
    expect(makings.map(({ status }) => status)).toEqual([201, 201, 201, 429])
  })

  test('SL2: an opponent who floods a session with moves that are not his keeps nobody from moving', async () => {
    await using api = await startTestApi({ limits: {} })
    const { session_id: id, participants } = await api.create()
    await api.call('POST', `/${id}/start`)
    const [one, two] = await Promise.all(
      participants.map(({ participant_id }) => api.tokenOf(id, 'participant', participant_id)),
    )
    const flood = Array.from({ length: 100 }, () => api.call('POST', `/${id}/switch`, { token: two }))
    const codes = new Set((await Promise.all(flood)).map(({ code }) => code))
    expect([...codes].sort()).toEqual(['NOT_YOUR_TURN', 'RATE_LIMIT_EXCEEDED'])
    // Kept out for ten seconds by now, but nobody else is.
    expect((await api.call('POST', `/${id}/switch`, { token: two })).code).toBe('RATE_LIMIT_EXCEEDED')
    expect((await api.call('POST', `/${id}/switch`, { token: one })).status).toBe(200)
    const strangers = await api.call('POST', `/${randomUUID()}/switch`, { token: two })
    expect(strangers.code, 'what is not there is counted by nobody').toBe('SESSION_NOT_FOUND')
  })
})
