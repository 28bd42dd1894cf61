import { randomUUID } from 'node:crypto'
import type { SessionParticipantWire } from '@ripstop/protocol'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type CallOptions, creation, startTestApi, type TestApi } from './api.fixture.ts'

let api: TestApi
beforeAll(async () => {
  api = await startTestApi()
})
afterAll(() => api[Symbol.asyncDispose]())

const go = (id: string, command: string, options?: CallOptions) => api.call('POST', `/${id}/${command}`, options)
const read = (id: string) => api.call('GET', `/${id}`)

describe('creation', () => {
  test('SX2: the order is that of the indices, ids are taken in any case, and what is left out has its default', async () => {
    const [a, b, c] = creation([1_000, 2_000, 3_000]).participants
    const participants = [
      { ...c, participant_index: 7 },
      { ...a, participant_index: 1, participant_id: a?.participant_id.toUpperCase() },
      { ...b, participant_index: 4 },
    ]
    const made = await api.create({ participants, metadata: { name: 'final' }, action_on_timeout: 'end' })
    expect(made.participants.map((one) => [one.participant_id, one.participant_index, one.total_time_ms])).toEqual([
      [a?.participant_id, 0, 1_000],
      [b?.participant_id, 1, 2_000],
      [c?.participant_id, 2, 3_000],
    ])
    expect(made.session_id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7/)
    expect(made).toMatchObject({ metadata: { name: 'final' }, action_on_timeout: { type: 'end' }, increment_ms: 0 })
  })

  test.each<[object, (number | null)[], number | null]>([
    [{ sync_mode: 'global', total_time_ms: 90_000 }, [90_000, 90_000], 90_000],
    [{ sync_mode: 'per_cycle', time_per_cycle_ms: 30_000 }, [30_000, 30_000], 60_000],
    [{ sync_mode: 'count_up', max_time_ms: 45_000 }, [45_000, 45_000], 45_000],
    [{ sync_mode: 'count_up' }, [null, null], null],
    [{ sync_mode: 'per_participant', total_time_ms: 7_000 }, [7_000, 7_000], 14_000],
  ])('SX2: clocks of %j', async (more, clocks, total) => {
    const participants = creation().participants.map(({ participant_id }) => ({ participant_id }))
    const made = await api.create({ participants, total_time_ms: undefined, ...more })
    expect([made.participants.map((one) => one.total_time_ms), made.total_time_ms]).toEqual([clocks, total])
    await go(made.session_id, 'start')
    api.pass(5_000)
    const leftMs = (await read(made.session_id)).data.participants[0]?.time_remaining_ms
    const [clock = null] = clocks
    if (clock === null) expect(leftMs).toBeNull()
    else expect(clock - Number(leftMs)).toBeGreaterThanOrEqual(5_000)
  })

  test('clients of SyncKairos take a max_time_ms that is a number or not there, never null', async () => {
    expect(await api.create({ max_time_ms: 45_000 })).toMatchObject({ max_time_ms: 45_000 })
    expect(await api.create({})).not.toHaveProperty('max_time_ms')
  })

  test('SX2: one clock for all is that of the session, whatever participants bring', async () => {
    expect((await api.create({ sync_mode: 'global', total_time_ms: 90_000 })).total_time_ms).toBe(90_000)
    expect((await api.create({ sync_mode: 'global', total_time_ms: undefined })).total_time_ms).toBe(60_000)
    expect((await api.create({ sync_mode: 'per_cycle' })).time_per_cycle_ms).toBe(60_000)
  })

  test('SX2: groups share the clock of their first', async () => {
    const [red, blue] = [randomUUID(), randomUUID()]
    const [a, b, c] = creation([9_000, 8_000, 7_000]).participants
    const participants = [
      { ...a, group_id: red },
      { ...b, group_id: red },
      { ...c, group_id: blue },
    ]
    const { session_id: id, total_time_ms } = await api.create({ sync_mode: 'per_group', participants })
    await go(id, 'start')
    api.pass(1_000)
    await go(id, 'switch')
    const shown = (await read(id)).data.participants
    expect(total_time_ms).toBe(16_000)
    expect(
      shown.map((one: SessionParticipantWire) => [one.group_id, Math.round((one.total_time_ms ?? 0) / 1_000)]),
    ).toEqual([
      [red, 8],
      [red, 8],
      [blue, 7],
    ])
  })

  test('SX2: time controls of every kind come back as they were given', async () => {
    for (const given of [
      { increment: { type: 'bronstein', ms: 3_000 } },
      { increment: { type: 'delay', ms: 2_000 }, stages: [{ turns: 40, add_ms: 1_800_000 }] },
      { overtime: { type: 'periods', periods: 5, period_ms: 30_000 } },
      { overtime: { type: 'turns', turns: 25, period_ms: 600_000 }, increment: { type: 'fischer', ms: 1_000 } },
    ]) {
      const made = await api.create({ time_control: given, lag_compensation: true })
      expect([made.time_control, made.lag_compensation]).toEqual([given, true])
      expect((await read(made.session_id)).data.time_control).toEqual(given)
    }
  })

  test('what happens when a clock falls: as said, else as auto_advance says, else it goes on', async () => {
    const kindOf = async (more: object) => (await api.create(more as Record<string, unknown>)).action_on_timeout.type
    expect(await kindOf({})).toBe('event')
    expect(await kindOf({ auto_advance: true })).toBe('next')
    expect(await kindOf({ auto_advance: true, sync_mode: 'per_cycle' })).toBe('skip_cycle')
    expect(await kindOf({ auto_advance: true, action_on_timeout: 'end' })).toBe('end')
    expect(await kindOf({ action_on_timeout: { type: 'event', event_type: 'auction.closed' } })).toBe('event')
    const { session_id: id } = await api.create({ action_on_timeout: { type: 'end' } })
    await go(id, 'start')
    api.pass(61_000)
    expect((await read(id)).data).toMatchObject({ status: 'expired', active_participant_id: null })
    expect((await go(id, 'switch')).details.status).toBe('expired')
  })

  const participant = (more: object = {}) => ({ participant_id: randomUUID(), total_time_ms: 60_000, ...more })
  const nested = (levels: number): object => (levels === 0 ? {} : { a: nested(levels - 1) })
  const twin = participant()
  test.each<[string, object, string]>([
    ['an id that is none', { session_id: 'not-a-uuid' }, 'session_id'],
    ['an unknown mode', { sync_mode: 'chess' }, 'sync_mode'],
    ['nobody', { participants: [] }, 'participants'],
    ['a hundred thousand', { participants: Array(100_000).fill(0) }, 'participants'],
    [
      'a thousand and one',
      { participants: Array.from({ length: 1_001 }, () => ({ participant_id: randomUUID() })) },
      'participants',
    ],
    ['an id with signs', { participants: [participant({ participant_id: '<b>' })] }, 'participants[0].participant_id'],
    [
      'one twice',
      { participants: [twin, { ...twin, participant_id: twin.participant_id.toUpperCase() }] },
      'participants[1].participant_id',
    ],
    [
      'a place twice',
      { participants: [participant({ participant_index: 1 }), participant({ participant_index: 1 })] },
      'participants[1].participant_index',
    ],
    ['places for some', { participants: [participant({ participant_index: 1 }), participant()] }, 'participants'],
    ['negative time', { participants: [participant({ total_time_ms: -1 })] }, 'participants[0].total_time_ms'],
    ['too little time', { participants: [participant({ total_time_ms: 999 })] }, 'participants[0].total_time_ms'],
    ['more than a day', { total_time_ms: 86_400_001 }, 'total_time_ms'],
    ['half a millisecond', { total_time_ms: 1_000.5 }, 'total_time_ms'],
    [
      'no time at all',
      { participants: [{ participant_id: randomUUID() }], total_time_ms: undefined },
      'participants[0].total_time_ms',
    ],
    ['a long increment', { increment_ms: 60_001 }, 'increment_ms'],
    ['two increments', { increment_ms: 1, time_control: { increment: { type: 'delay', ms: 1 } } }, 'increment_ms'],
    [
      'endless overtime',
      { time_control: { overtime: { type: 'periods', periods: 0, period_ms: 1_000 } } },
      'time_control.overtime.periods',
    ],
    ['an action of nobody', { action_on_timeout: 'explode' }, 'action_on_timeout'],
    [
      'an event that is not published',
      { action_on_timeout: { type: 'end', event_type: 'x' } },
      'action_on_timeout.event_type',
    ],
    ['metadata of 11 KB', { metadata: { text: 'x'.repeat(11_000) } }, 'metadata'],
    ['metadata of 11 KB of umlauts', { metadata: { text: 'ä'.repeat(5_500) } }, 'metadata'],
    ['metadata that is no object', { metadata: 'x' }, 'metadata'],
    ['bottomless metadata', { metadata: nested(17) }, 'metadata'],
    ['abysmal metadata', { metadata: 'ABYSS' }, 'metadata'],
    ['a server time of its own', { created_at: '2020-01-01T00:00:00Z' }, 'created_at'],
  ])('SH1: %s is a typed problem of its field', async (_, more, field) => {
    const given = JSON.stringify({ ...creation(), ...more })
    // No JSON.stringify could write it.
    const text = given.replace('"ABYSS"', `{"a":${'['.repeat(50_000)}${']'.repeat(50_000)}}`)
    const answer = await api.server.request('/v1/sessions', {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-api-key': 'tenant' },
      body: text,
    })
    expect([answer.status, answer.json.error?.code]).toEqual([400, 'BAD_REQUEST'])
    const problems = answer.json.error?.details?.problems as { field: string }[]
    expect(problems.map((problem) => problem.field)).toEqual([`body.${field}`])
    expect(answer.text.length).toBeLessThan(1_000)
  })

  test('SH1: ten megabytes are refused unread; metadata at its bounds is kept', async () => {
    const huge = await api.call('POST', '', { body: { ...creation(), metadata: { text: 'x'.repeat(10_000_000) } } })
    expect([huge.status, huge.code]).toEqual([413, 'PAYLOAD_TOO_LARGE'])
    const metadata = { deep: nested(14), text: 'x'.repeat(10_000), __proto__x: 1 }
    expect((await api.create({ metadata })).metadata).toEqual(metadata)
    const participants = Array.from({ length: 1_000 }, () => participant())
    expect((await api.create({ participants })).participants).toHaveLength(1_000)
  })

  test.each<[string, string, object | undefined, string]>([
    ['pause', 'POST', { at: 1 }, 'body.at'],
    ['switch', 'POST', { next_participant_id: 5 }, 'body.next_participant_id'],
    ['switch', 'POST', { expected_version: 0 }, 'body.expected_version'],
    ['adjust', 'POST', { participant_id: randomUUID(), by_ms: 1, reason: '' }, 'body.reason'],
    ['adjust', 'POST', { participant_id: randomUUID(), by_ms: 1e12, reason: 'x' }, 'body.by_ms'],
    ['tokens', 'POST', { role: 'admin' }, 'body.role'],
    ['tokens', 'POST', { role: 'participant' }, 'body.participant_id'],
    ['tokens', 'POST', { role: 'owner', ttl_s: 86_401 }, 'body.ttl_s'],
  ])('SH1: %s refuses %s %j', async (command, method, body, field) => {
    const { session_id: id } = await api.create()
    const { code, details } = await api.call(method, `/${id}/${command}`, { body })
    expect([code, (details.problems as { field: string }[]).map((problem) => problem.field)]).toEqual([
      'BAD_REQUEST',
      [field],
    ])
    expect((await api.call(method, `/nonsense/${command}`, { body: {} })).code).toBe('BAD_REQUEST')
  })
})
