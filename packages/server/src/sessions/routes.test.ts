import { createHash, randomUUID } from 'node:crypto'
import { connect } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import type {
  SessionLogEntryWire,
  SessionParticipantWire,
  SessionReplayWire,
  SessionWire,
  SwitchedSessionWire,
} from '@ripstop/protocol'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createOpenApi } from '../platform/http/openapi.ts'
import { type Called, type CallOptions, creation, startTestApi, type TestApi } from './api.fixture.ts'
import { createSessionRoutes } from './routes.ts'

let api: TestApi
beforeAll(async () => {
  api = await startTestApi()
})
afterAll(() => api[Symbol.asyncDispose]())

const go = <T = SessionWire>(id: string, command: string, options?: CallOptions) =>
  api.call<T>('POST', `/${id}/${command}`, options)
const read = (id: string) => api.call('GET', `/${id}`)

describe('as SyncKairos 2.0', () => {
  test('a session lives from its creation to its deletion', async () => {
    const body = { ...creation(), session_id: randomUUID(), increment_ms: 2_000 }
    const made = await api.call('POST', '', { body })
    const [one, other] = body.participants.map(({ participant_id }) => participant_id)
    expect(made.status).toBe(201)
    expect(made.headers.get('location')).toBe(`/v1/sessions/${body.session_id}`)
    expect(made.data).toMatchObject({
      session_id: body.session_id,
      sync_mode: 'per_participant',
      status: 'pending',
      version: 1,
      active_participant_id: null,
      total_time_ms: 120_000,
      time_per_cycle_ms: null,
      increment_ms: 2_000,
      cycle_started_at: null,
      session_started_at: null,
      session_completed_at: null,
      metadata: {},
      ack: 'accepted',
      epoch: 3,
    })
    expect(made.data.participants[0]).toEqual({
      participant_id: one,
      participant_index: 0,
      total_time_ms: 60_000,
      time_used_ms: 0,
      time_remaining_ms: 60_000,
      cycle_count: 0,
      is_active: false,
      has_expired: false,
    })
    const id = body.session_id
    const started = await go(id, 'start')
    expect([started.status, started.data.status, started.data.active_participant_id]).toEqual([200, 'running', one])
    expect(started.data.session_started_at).toBe(started.data.cycle_started_at)
    api.pass(5_000)
    expect((await read(id)).data.participants[0]?.time_remaining_ms).toBeLessThanOrEqual(55_000)
    const switched = await go(id, 'switch', { body: {} })
    expect(Object.keys(switched.data).sort()).toEqual([
      'ack',
      'active_participant_id',
      'cycle_started_at',
      'epoch',
      'participants',
      'server_time_ms',
      'session_id',
      'status',
      'version',
    ])
    expect([switched.data.active_participant_id, switched.data.participants[1]?.is_active]).toEqual([other, true])
    const [first] = switched.data.participants as [SessionParticipantWire]
    const { time_used_ms: used, total_time_ms: left, cycle_count: turns } = first
    expect([left, turns, used >= 5_000]).toEqual([62_000 - used, 1, true])
    expect((await go(id, 'pause')).data).toMatchObject({ status: 'paused', cycle_started_at: null })
    expect((await go(id, 'resume')).data).toMatchObject({ status: 'running', active_participant_id: other })
    const completed = await go(id, 'complete')
    expect(completed.data).toMatchObject({ status: 'completed', active_participant_id: null })
    expect(completed.data.session_completed_at).not.toBeNull()
    const gone = await api.call('DELETE', `/${id}`)
    expect([gone.status, gone.text]).toEqual([204, ''])
    expect((await api.call('DELETE', `/${id}`)).status).toBe(204)
    expect((await read(id)).code).toBe('SESSION_NOT_FOUND')
  })

  test('SX1: what its clients compute is what the clock shows, through turns, pauses and shared clocks', async () => {
    for (const more of [
      {},
      { sync_mode: 'global', total_time_ms: 90_000 },
      { sync_mode: 'per_cycle', time_per_cycle_ms: 30_000 },
    ]) {
      const { session_id: id } = await api.create(more)
      for (const command of ['start', 'switch', 'pause', 'resume', 'switch']) {
        await go(id, command)
        api.pass(3_000)
        const {
          participants,
          cycle_started_at: since,
          server_time_ms: nowMs,
          active_participant_id,
        } = (await read(id)).data
        const active = participants.find((one) => one.participant_id === active_participant_id)
        const computed = Number(active?.total_time_ms) - (since === null ? 0 : nowMs - Date.parse(since))
        expect([command, active?.time_remaining_ms]).toEqual([command, computed])
      }
    }
  })

  test('SX1: what is charged while it runs is kept while it rests, on a clock of all by all', async () => {
    const { session_id: id } = await api.create({ sync_mode: 'global', total_time_ms: 60_000 })
    const clocksOf = async () => {
      const { participants } = (await read(id)).data
      const [shown, other] = participants.map((one) => [one.total_time_ms, one.time_remaining_ms])
      expect(shown).toEqual(other)
      return [...(shown ?? []), participants[0]?.time_used_ms].map((ms) => Math.round(Number(ms) / 1_000))
    }
    expect(await clocksOf()).toEqual([60, 60, 0])
    await go(id, 'start')
    api.pass(3_000)
    expect(await clocksOf()).toEqual([60, 57, 0])
    await go(id, 'pause')
    api.pass(60_000)
    expect(await clocksOf()).toEqual([57, 57, 3])
    await go(id, 'resume')
    api.pass(2_000)
    expect(await clocksOf()).toEqual([57, 55, 3])
    await go(id, 'switch')
    expect(await clocksOf()).toEqual([55, 55, 5])
  })

  test('who has no time left is switched on, and named; nobody is given an increment for it', async () => {
    const [short, long] = creation([1_000, 60_000]).participants
    const { session_id: id } = await api.create({ participants: [short, long], increment_ms: 5_000 })
    await go(id, 'start')
    api.pass(1_200)
    const { data, status } = await go<SwitchedSessionWire>(id, 'switch')
    expect([status, data.expired_participant_id, data.active_participant_id]).toEqual([
      200,
      short?.participant_id,
      long?.participant_id,
    ])
    expect(data.participants[0]).toMatchObject({ has_expired: true, total_time_ms: 0 })
  })

  test('it may be said who is next, and who is first', async () => {
    const { session_id: id, participants } = await api.create({
      participants: creation([9_000, 9_000, 9_000]).participants,
    })
    const [, two, three] = participants.map(({ participant_id }) => participant_id)
    const started = await go(id, 'start', { body: { first_participant_id: two } })
    expect(started.data.active_participant_id).toBe(two)
    const switched = await go(id, 'switch', { body: { next_participant_id: three?.toUpperCase() } })
    expect(switched.data.active_participant_id).toBe(three)
    const unknown = await go(id, 'switch', { body: { next_participant_id: randomUUID() } })
    expect([unknown.code, unknown.details]).toEqual([
      'BAD_REQUEST',
      { problems: [{ field: 'body.next_participant_id', problem: 'is no participant of this session' }] },
    ])
  })

  test('GET /v1/time is at the top level, in whole milliseconds, and needs no key', async () => {
    const { json, status } = await api.server.request('/v1/time')
    expect(status).toBe(200)
    expect(json).toEqual({ timestamp_ms: expect.any(Number), server_version: '2.0.0', drift_tolerance_ms: 50 })
    const { timestamp_ms: ms } = json as unknown as { timestamp_ms: number }
    expect([Number.isInteger(ms), Math.abs(ms - api.nowMs()) < 1_000]).toEqual([true, true])
  })

  test('a wrong state is named; what is not there is not found; complete goes from any state that has not ended', async () => {
    const { session_id: id } = await api.create()
    const early = await go(id, 'switch')
    expect([early.status, early.code, early.details.status]).toEqual([400, 'INVALID_STATE_TRANSITION', 'pending'])
    expect((await go(id, 'complete')).data.status).toBe('completed')
    for (const command of ['start', 'switch', 'pause', 'resume', 'complete', 'cancel']) {
      expect([command, (await go(id, command)).details.status]).toEqual([command, 'completed'])
    }
    for (const path of ['/start', '/switch', '/pause', '/resume', '/complete', '/cancel']) {
      expect((await api.call('POST', `/${randomUUID()}${path}`)).code).toBe('SESSION_NOT_FOUND')
    }
    expect((await api.call('GET', `/${id}`, { key: 'another tenant' })).code).toBe('SESSION_NOT_FOUND')
    const cancelled = await go((await api.create()).session_id, 'cancel')
    expect(cancelled.data.status).toBe('cancelled')
  })
})

describe('the log', () => {
  test('comes in pages, says who did what, and every line is hashed over the one before; it outlives the session', async () => {
    const { session_id: id, participants } = await api.create({ metadata: { name: 'final' } })
    const owner = await api.tokenOf(id, 'owner')
    await go(id, 'start')
    const token = await api.tokenOf(id, 'participant', participants[0]?.participant_id)
    await go(id, 'switch', { token })
    await go(id, 'adjust', {
      body: { participant_id: participants[0]?.participant_id, by_ms: 5_000, reason: 'noise in the hall' },
    })
    await go(id, 'cancel', { token: owner })
    const lines: SessionLogEntryWire[] = []
    for (let cursor: string | null = '0'; cursor !== null; ) {
      const page: Called<SessionLogEntryWire[]> = await api.call('GET', `/${id}/events?limit=2&cursor=${cursor}`)
      expect(page.data.length).toBeLessThanOrEqual(2)
      lines.push(...page.data)
      cursor = (page.json as unknown as { next_cursor: string | null }).next_cursor
    }
    expect(lines.map(({ version, kind, actor }) => [version, kind, actor])).toEqual([
      [1, 'created', 'key:tenant'],
      [2, 'started', 'key:tenant'],
      [3, 'switched', `participant:${participants[0]?.participant_id}`],
      [4, 'adjusted', 'key:tenant'],
      [5, 'cancelled', 'owner'],
    ])
    lines.reduce((before, { hash, text }) => {
      expect(hash).toBe(createHash('sha256').update(`${before}\n${text}`).digest('hex'))
      return hash
    }, '0'.repeat(64))
    await api.call('DELETE', `/${id}`)
    expect((await api.call('GET', `/${id}/events`)).data).toHaveLength(5)
    expect((await api.call('GET', `/${id}/events`, { token: owner })).code).toBe('SESSION_NOT_FOUND')
    expect((await api.call('GET', `/${randomUUID()}/events`)).code).toBe('SESSION_NOT_FOUND')
    for (const query of ['cursor=x', 'cursor=-1', 'limit=0', 'limit=201', 'more=1']) {
      expect((await api.call('GET', `/${id}/events?${query}`)).code).toBe('BAD_REQUEST')
    }
  })
})

describe('what it tells people', () => {
  test('a replay says what every clock showed, and where all time went, in pages and as of a version', async () => {
    const { session_id: id, participants } = await api.create({ increment_ms: 2_000 })
    const [one, two] = participants.map(({ participant_id }) => participant_id)
    await go(id, 'start')
    api.pass(5_000)
    await go(id, 'switch')
    api.pass(3_000)
    await go(id, 'pause')
    api.pass(7_000)
    await go(id, 'adjust', { body: { participant_id: one, by_ms: -4_000, reason: 'a false start' } })
    await go(id, 'resume')
    const { data } = await api.call<SessionReplayWire>('GET', `/${id}/replay`)
    expect(data).toMatchObject({ session_id: id, status: 'running', version: 6, is_whole: true, next_cursor: null })
    const { steps } = data
    expect(
      steps.map(({ kind, participant_id, next_participant_id }) => [kind, participant_id, next_participant_id]),
    ).toEqual([
      ['created', null, null],
      ['started', null, one],
      ['switched', one, two],
      ['paused', null, null],
      ['adjusted', one, null],
      ['resumed', null, null],
    ])
    const [, , switched, , adjusted] = steps
    expect(switched?.charge).toMatchObject({ participant_id: one, elapsed_ms: switched?.since_ms, added_ms: 2_000 })
    expect(adjusted).toMatchObject({ reason: 'a false start', adjusted_ms: -4_000, charge: null })
    const seconds = (list: readonly number[] = []) => list.map((ms) => Math.round(ms / 1_000))
    expect([seconds(switched?.clocks_ms), seconds(adjusted?.clocks_ms)]).toEqual([
      [57, 60],
      [53, 57],
    ])
    for (const share of data.shares) {
      const { participant_id: _, wall_ms: wallMs, added_ms: added, adjusted_ms: given, turns, falls, ...parts } = share
      expect(Object.values(parts).reduce((sum, ms) => sum + ms, 0)).toBe(wallMs)
      expect([falls, Math.round(parts.paused_ms / 1_000)]).toEqual([0, 7])
      expect([turns, added, given]).toEqual(share.participant_id === one ? [1, 2_000, -4_000] : [0, 0, 0])
    }
    const page = (await api.call<SessionReplayWire>('GET', `/${id}/replay?cursor=1&limit=2&at_version=4`)).data
    expect(page.steps.map(({ version }) => version)).toEqual([2, 3])
    expect([page.version, page.status, page.next_cursor]).toEqual([4, 'paused', '3'])
    const exact = (await api.call<SessionReplayWire>('GET', `/${id}/replay?cursor=2&limit=2&at_version=4`)).data
    expect([exact.steps.length, exact.next_cursor]).toEqual([2, null])
    expect((await api.call('GET', `/${randomUUID()}/replay`)).code).toBe('SESSION_NOT_FOUND')
    expect((await api.call('GET', `/${id}/replay?at_version=0`)).code).toBe('BAD_REQUEST')
  })

  test('a log is proved', async () => {
    const { session_id: id } = await api.create()
    await go(id, 'start')
    const { data } = await api.call('GET', `/${id}/verify`)
    const [, last] = (await api.call<SessionLogEntryWire[]>('GET', `/${id}/events`)).data
    expect(data).toEqual({
      session_id: id,
      is_valid: true,
      entries: 2,
      epochs: [3],
      head: last?.hash,
      broken: null,
    })
    expect((await api.call('GET', `/${randomUUID()}/verify`)).code).toBe('SESSION_NOT_FOUND')
    expect((await api.call('GET', `/${id}/verify`, { key: 'another tenant' })).code).toBe('SESSION_NOT_FOUND')
  })
})

test('the API describes itself: every route and schema has a place in the document', () => {
  const { paths } = createOpenApi(createSessionRoutes({} as never), '1.0.0')
  expect(Object.keys(paths)).toContain('/v1/sessions/{session_id}/switch')
  expect(paths['/v1/sessions/{session_id}/switch']?.post?.requestBody?.required).toBe(false)
  expect(paths['/v1/sessions/{session_id}']?.delete?.responses['204']).toEqual({ description: 'Done.' })
})

describe('sent again, or late', () => {
  test('SH2: a creation sent twice makes one session; the same id for another is a conflict that shows it', async () => {
    const body = creation()
    const headers = { 'idempotency-key': 'k-1' }
    const [one, two] = await Promise.all([1, 2].map(() => api.call('POST', '', { body, headers })))
    expect([one?.status, two?.status, two?.data.session_id]).toEqual([201, 201, one?.data.session_id])
    const replayed = [one, two].map((answer) => answer?.headers.get('idempotency-replayed'))
    expect(replayed.toSorted()).toEqual([null, 'true'].toSorted())
    const other = await api.call('POST', '', { body: creation(), headers })
    expect(other.data.session_id).not.toBe(one?.data.session_id)
    const foreign = await api.call('POST', '', { body, headers, key: 'another tenant' })
    expect(foreign.data.session_id).not.toBe(one?.data.session_id)
    const taken = await api.call('POST', '', { body: { ...creation(), session_id: one?.data.session_id } })
    expect([taken.status, taken.code, taken.details.current]).toMatchObject([
      409,
      'CONFLICT',
      { session_id: one?.data.session_id, version: 1 },
    ])
  })

  test('SH2: a move sent twice is made once; another request with its key is another move', async () => {
    const { session_id: id } = await api.create()
    await go(id, 'start')
    const headers = { 'idempotency-key': 'move-1' }
    const first = await go(id, 'switch', { headers })
    const again = await go(id, 'switch', { headers })
    expect([first.data.version, again.data.version]).toEqual([3, 3])
    expect([first.headers.get('idempotency-replayed'), again.headers.get('idempotency-replayed')]).toEqual([
      null,
      'true',
    ])
    expect((await go(id, 'pause', { headers })).data.version).toBe(4)
    const foreign = await go(id, 'resume', { headers: { 'idempotency-key': 'x' }, key: 'another tenant' })
    expect(foreign.code).toBe('SESSION_NOT_FOUND')
  })

  test('SH2: If-Match and expected_version let it pass only where the session still stands', async () => {
    const { session_id: id } = await api.create()
    const started = await go(id, 'start', { headers: { 'if-match': '"3.1"' } })
    expect([started.status, started.headers.get('etag')]).toEqual([200, '"3.2"'])
    expect((await read(id)).headers.get('etag')).toBe('"3.2"')
    for (const options of [
      { headers: { 'if-match': '"3.1"' } },
      { headers: { 'if-match': '"2.2"' } },
      { body: { expected_version: 1 } },
    ]) {
      const { status, code, details, headers } = await go(id, 'switch', options)
      expect([status, code, headers.get('etag')]).toEqual([409, 'CONFLICT', '"3.2"'])
      expect(details.current).toMatchObject({ session_id: id, version: 2, status: 'running', epoch: 3 })
    }
    expect((await go(id, 'switch', { body: { expected_version: 2 } })).status).toBe(200)
    expect((await go(id, 'switch', { headers: { 'if-match': 'W/"3.3"' } })).status).toBe(200)
    expect((await go(id, 'switch', { headers: { 'if-match': '*' } })).status).toBe(200)
    for (const bad of ['3.1', '"x"', '"1.2", "3.4"']) {
      expect((await go(id, 'switch', { headers: { 'if-match': bad } })).code).toBe('BAD_REQUEST')
    }
    const twice = await go(id, 'switch', { headers: { 'if-match': '"3.5"' }, body: { expected_version: 5 } })
    expect(twice.code).toBe('BAD_REQUEST')
  })

  test('SH3: a move is as old as the last byte of its request', async () => {
    const { session_id: id } = await api.create()
    await go(id, 'start')
    const socket = connect(api.server.server.port, '127.0.0.1')
    const head = `POST /v1/sessions/${id}/switch HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: tenant\r\nConnection: close\r\n`
    socket.write(`${head}Content-Type: application/json\r\nContent-Length: 2\r\n\r\n`)
    await wait(300)
    socket.end('{}')
    socket.resume()
    await new Promise((resolve) => socket.once('close', resolve))
    const { participants } = (await read(id)).data
    expect(participants[0]?.time_used_ms).toBeGreaterThanOrEqual(300)
    await go(id, 'switch', { headers: { 'x-slow-ms': '1500' } })
    expect((await read(id)).data.participants[1]?.time_used_ms, 'its key is ours to look up').toBeLessThan(1_300)
  })
})
