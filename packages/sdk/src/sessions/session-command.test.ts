import { createSession, decide, type SessionRules } from '@ripstop/protocol/sessions'
import { expect, test } from 'vitest'
import { foresee, type SessionCommand, toSocketCommand } from './session-command.ts'
import { ALICE, BOB } from './session-server.fixture.ts'

const control = { mainMs: 60_000, increment: { kind: 'none' }, overtime: { kind: 'none' }, stages: [] } as const
const rules: SessionRules = {
  mode: 'per_participant',
  participants: [ALICE, BOB].map((participantId) => ({ participantId, groupId: undefined, control })),
  onTimeout: 'end',
  maxTimeMs: undefined,
  lag: undefined,
}
const state = decide(createSession(rules, 0), { kind: 'start' }, 1_000).state
const pending = (askedMs: number, ...commands: readonly SessionCommand[]) =>
  commands.map((command) => ({ operationId: 'o', command, askedMs, ifAt: undefined }))
const owner = { role: 'owner', by: undefined } as const

test('SC8: what is pending is foreseen in order, dated when it was asked', () => {
  const next = foresee(state, pending(5_000.4, { kind: 'switch' }, { kind: 'pause' }), owner)
  expect(next).toMatchObject({ status: 'paused', active: 1, version: 4, atMs: 5_000 })
  expect(next.clocks[0]?.mainMs).toBe(56_000)
})

test('no loss is foreseen: a move at the fall of a clock shows nothing until the server has spoken', () => {
  expect(foresee(state, pending(61_000, { kind: 'switch' }), owner)).toBe(state)
  expect(foresee(state, pending(60_999, { kind: 'switch' }), owner).active).toBe(1)
  // Nor is it shown whose turn it would be after the fall.
  const goesOn = { ...state, rules: { ...rules, onTimeout: 'next' as const } }
  expect(foresee(goesOn, pending(61_000, { kind: 'adjust', participantId: BOB, byMs: 9, reason: 'x' }), owner)).toBe(
    goesOn,
  )
})

test('what the rules refuse, or names nobody, is left out, and the rest is foreseen', () => {
  const commands = pending(2_000, { kind: 'resume' }, { kind: 'switch', next: 'nobody' }, { kind: 'pause' })
  expect(foresee(state, commands, owner)).toMatchObject({ status: 'paused', active: 0 })
})

test('participants are said by their ids', () => {
  expect(toSocketCommand(state, { kind: 'switch', next: BOB })).toEqual({ kind: 'switch', next: 1 })
  expect(toSocketCommand(state, { kind: 'start', first: ALICE })).toEqual({ kind: 'start', first: 0 })
  expect(() => toSocketCommand(state, { kind: 'adjust', participantId: 'nobody', byMs: 1, reason: 'x' })).toThrow(
    expect.objectContaining({ code: 'BAD_REQUEST', sent: 'no' }),
  )
})
