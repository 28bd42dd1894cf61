import { createHash, randomUUID } from 'node:crypto'
import type { SessionTokenWire } from '@ripstop/protocol'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createSealer } from '../platform/sealing/sealer.ts'
import { creation, startTestApi, type TestApi } from './api.fixture.ts'
import { permitCommand } from './permission.ts'
import { createSessionTokens, type TokenWish } from './tokens.ts'

const sealerOf = (...names: string[]) =>
  createSealer({ keys: names.map((name) => createHash('sha256').update(name).digest()) })
const wish: TokenWish = {
  ref: { tenantId: randomUUID(), sessionId: randomUUID() },
  role: 'participant',
  participant: { participantId: randomUUID(), place: 1 },
  expiresMs: 10_000,
}
const reasonOf = (attempt: () => unknown): unknown => {
  try {
    return attempt()
  } catch (error) {
    const { code, details } = error as { code: string; details: { reason: string } }
    return [code, details.reason]
  }
}

describe('session tokens', () => {
  let nowMs = 0
  const tokens = createSessionTokens({ sealer: sealerOf('young', 'old'), nowMs: () => nowMs })

  test('ST1: a token says who its bearer is, until its time', () => {
    const token = tokens.create(wish)
    expect(token).toMatch(/^rst_[\w-]+\.[\w-]{43}$/)
    nowMs = 9_999
    expect(tokens.verify(token)).toEqual({
      tenantId: wish.ref.tenantId,
      actor: `participant:${wish.participant?.participantId}`,
      keyId: undefined,
      scopes: ['sessions:read', 'sessions:write'],
      session: { sessionId: wish.ref.sessionId, role: 'participant', ...wish.participant, expiresMs: 10_000 },
    })
    nowMs = 10_000
    expect(reasonOf(() => tokens.verify(token))).toEqual(['UNAUTHENTICATED', 'expired'])
    nowMs = 0
    const spectator = tokens.verify(tokens.create({ ...wish, role: 'spectator', participant: undefined }))
    expect([spectator.actor, spectator.scopes]).toEqual(['spectator', ['sessions:read']])
  })

  test('ST1: no other text is believed, whatever was changed', () => {
    const token = tokens.create(wish)
    const letters = [...'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_']
    for (let at = 4; at < token.length; at++) {
      for (const letter of letters) {
        const other = token.slice(0, at) + letter + token.slice(at + 1)
        if (other !== token && token[at] !== '.') {
          expect(reasonOf(() => tokens.verify(other))).toEqual(['UNAUTHENTICATED', 'forged'])
        }
      }
    }
    fc.assert(
      fc.property(
        fc.oneof(fc.string(), fc.base64String(), fc.constantFrom('rst_', 'rst_.', `${token}=`, `${token}A`)),
        (text) => {
          expect(reasonOf(() => tokens.verify(text))).toEqual(['UNAUTHENTICATED', 'malformed'])
        },
      ),
    )
    expect(reasonOf(() => tokens.verify(`rst_${'A'.repeat(10_000_000)}.${'A'.repeat(43)}`))).toEqual([
      'UNAUTHENTICATED',
      'malformed',
    ])
  })

  test('ST2: the first key signs, all are believed, and no other', () => {
    const old = createSessionTokens({ sealer: sealerOf('old'), nowMs: () => 0 })
    const strange = createSessionTokens({ sealer: sealerOf('strange'), nowMs: () => 0 })
    expect(tokens.verify(old.create(wish)).tenantId).toBe(wish.ref.tenantId)
    expect(reasonOf(() => old.verify(tokens.create(wish)))).toEqual(['UNAUTHENTICATED', 'forged'])
    expect(reasonOf(() => tokens.verify(strange.create(wish)))).toEqual(['UNAUTHENTICATED', 'forged'])
  })
})

describe('what their bearers may do', () => {
  let api: TestApi
  beforeAll(async () => {
    api = await startTestApi()
  })
  afterAll(() => api[Symbol.asyncDispose]())

  async function startSession(count = 2) {
    const { session_id: id, participants } = await api.create(creation(Array(count).fill(60_000)))
    await api.call('POST', `/${id}/start`)
    const tokenFor = (place: number) => api.tokenOf(id, 'participant', participants[place]?.participant_id)
    const act = (token: string, command: string, body?: object) =>
      api.call('POST', `/${id}/${command}`, { token, body })
    return { id, participants, tokenFor, act }
  }

  test('ST3: a participant ends his own turn, and nobody else’s, and does nothing else', async () => {
    const { id, participants, tokenFor, act } = await startSession(3)
    const [one, two] = [await tokenFor(0), await tokenFor(1)]
    const opponent = await act(two, 'switch')
    expect([opponent.status, opponent.code, opponent.details.active]).toEqual([403, 'NOT_YOUR_TURN', 0])
    expect((await act(one, 'switch')).data.active_participant_id).toBe(participants[1]?.participant_id)
    expect((await act(one, 'switch')).code).toBe('NOT_YOUR_TURN')
    const chosen = await act(two, 'switch', { next_participant_id: participants[0]?.participant_id })
    expect([chosen.status, chosen.code]).toEqual([403, 'FORBIDDEN'])
    const adjustment = { participant_id: participants[1]?.participant_id, by_ms: 60_000, reason: 'mine' }
    for (const [command, body] of [
      ['start', { first_participant_id: participants[1]?.participant_id }],
      ['pause', undefined],
      ['resume', undefined],
      ['complete', undefined],
      ['cancel', undefined],
      ['adjust', adjustment],
      ['tokens', { role: 'owner' }],
    ] as const) {
      expect([command, (await act(two, command, body)).code]).toEqual([command, 'FORBIDDEN'])
    }
    expect((await api.call('DELETE', `/${id}`, { token: two })).code).toBe('FORBIDDEN')
    expect((await api.call('POST', '', { token: two, body: creation() })).code).toBe('FORBIDDEN')
    expect((await api.call('GET', `/${id}`, { token: two })).data.version).toBe(3)
  })

  test('ST3: whatever way a command came, a participant says neither who he is nor who is next', () => {
    const session = { sessionId: 's', role: 'participant', participantId: 'b', place: 1, expiresMs: 0 } as const
    const principal = { tenantId: 't', actor: 'participant:b', keyId: undefined, scopes: [], session }
    expect(permitCommand(principal, { kind: 'switch', by: 0, lagMs: 7 })).toEqual({ kind: 'switch', by: 1, lagMs: 7 })
    for (const command of [{ kind: 'switch', next: 1 }, { kind: 'pause' }, { kind: 'timeout' }] as const) {
      expect(reasonOf(() => permitCommand(principal, command))).toEqual(['FORBIDDEN', undefined])
    }
    const nobody = { ...principal, session: { ...session, place: undefined } }
    expect(reasonOf(() => permitCommand(nobody, { kind: 'switch' }))).toEqual(['FORBIDDEN', undefined])
  })

  test('ST3: a spectator reads; an owner does all with his session, but makes no session and no tokens', async () => {
    const { id, participants, act } = await startSession()
    const [spectator, owner] = [await api.tokenOf(id, 'spectator'), await api.tokenOf(id, 'owner')]
    expect((await api.call('GET', `/${id}`, { token: spectator })).status).toBe(200)
    for (const command of ['switch', 'pause', 'tokens']) expect((await act(spectator, command)).code).toBe('FORBIDDEN')
    expect((await api.call('DELETE', `/${id}`, { token: spectator })).code).toBe('FORBIDDEN')
    const next = { next_participant_id: participants[1]?.participant_id }
    expect((await act(owner, 'switch', next)).data.active_participant_id).toBe(next.next_participant_id)
    for (const command of ['switch', 'pause', 'resume', 'cancel']) expect((await act(owner, command)).status).toBe(200)
    expect((await act(owner, 'tokens', { role: 'owner' })).code).toBe('FORBIDDEN')
    expect((await api.call('POST', '', { token: owner, body: creation() })).code).toBe('FORBIDDEN')
    expect((await api.call('DELETE', `/${id}`, { token: owner })).status).toBe(204)
    expect((await api.call('GET', `/${id}`, { token: owner })).code, 'it ended with its session').toBe(
      'SESSION_NOT_FOUND',
    )
  })

  test('ST3: another session is to them as if it did not exist, and its limits stay untouched', async () => {
    const [{ tokenFor }, { id: other }] = [await startSession(), await startSession()]
    const token = await tokenFor(0)
    const nothing = await api.call('GET', `/${randomUUID()}`)
    for (const [method, path] of [
      ['GET', ''],
      ['DELETE', ''],
      ['POST', '/switch'],
      ['POST', '/pause'],
    ] as const) {
      const answer = await api.call(method, `/${other}${path}`, { token })
      expect([answer.status, answer.json]).toEqual([404, nothing.json])
    }
    expect((await api.call('GET', `/${other}`, { key: 'another tenant' })).json).toEqual(nothing.json)
  })

  test('ST1: whatever a request presents instead is refused by name, and the token is nowhere in logs or errors', async () => {
    const { id, tokenFor } = await startSession()
    const token = await tokenFor(0)
    const forged = `${token.slice(0, -2)}${token.endsWith('AA') ? 'BB' : 'AA'}`
    for (const [given, reason] of [
      ['rst_nonsense', 'malformed'],
      ['rst_', 'malformed'],
      [forged, 'forged'],
    ] as const) {
      const { status, code, details } = await api.call('GET', `/${id}`, { token: given })
      expect([status, code, details.reason]).toEqual([401, 'UNAUTHENTICATED', reason])
    }
    expect((await api.call('GET', `/${id}`, { token, key: 'tenant' })).code, 'both').toBe('UNAUTHENTICATED')
    expect((await api.call('GET', `/${id}`, { key: undefined })).code, 'none').toBe('UNAUTHENTICATED')
    expect((await api.call('POST', `/${randomUUID()}/tokens`, { body: { role: 'owner' } })).code).toBe(
      'SESSION_NOT_FOUND',
    )
    const stranger = { role: 'participant', participant_id: randomUUID() }
    expect((await api.call('POST', `/${id}/tokens`, { body: stranger })).code).toBe('BAD_REQUEST')
    const body = { role: 'spectator', ttl_s: 60 }
    const { data, status } = await api.call<SessionTokenWire>('POST', `/${id}/tokens`, { body })
    expect([status, data.role, data.participant_id]).toEqual([201, 'spectator', null])
    expect(Date.parse(data.expires_at) - api.nowMs()).toBeLessThanOrEqual(60_000)
    api.pass(61_000)
    expect((await api.call('GET', `/${id}`, { token: data.token })).details.reason).toBe('expired')
    expect(JSON.stringify(api.server.log.lines)).not.toContain('rst_')
  })
})
