import type { DeliveryAttemptWire, ReplayWire } from '@ripstop/protocol'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { until } from '../testing/processes.ts'
import { type FakeMesh, type RunOptions, runCommand, startFakeMesh } from './fake-mesh.fixture.ts'
import { webhooks } from './webhooks.ts'

let mesh: FakeMesh
beforeEach(async () => {
  mesh = await startFakeMesh()
})
afterEach(() => mesh[Symbol.asyncDispose]())

const run = (argv: readonly string[], options?: RunOptions) => runCommand(webhooks, mesh.url, argv, options)
const bodies = (method: string) => mesh.seen.filter((seen) => seen.method === method).map(({ body }) => body)

function attempt(more: Partial<DeliveryAttemptWire> = {}): DeliveryAttemptWire {
  return {
    attempt_id: '019a7c3e-0000-7000-8000-000000000001',
    delivery_id: '17',
    event_id: 'event-1',
    endpoint_id: 'endpoint-1',
    attempt: 2,
    at: '2026-11-21T12:00:00.123Z',
    outcome: 'failed',
    status: 503,
    code: 'PEER_FAILED',
    reason: 'it answered 503',
    duration_ms: 34,
    response: null,
    receipt: null,
    may_repeat: false,
    replay_id: null,
    due_at: '2026-11-21T12:05:00.000Z',
    ...more,
  }
}

function replay(more: Partial<ReplayWire> = {}): { body: { data: ReplayWire } } {
  const data: ReplayWire = {
    replay_id: 'replay-1',
    what: 'events',
    endpoint_id: 'endpoint-1',
    selector: {},
    state: 'running',
    done: 0,
    cursor_at: null,
    created_at: '2026-11-21T12:00:00.000Z',
    updated_at: '2026-11-21T12:00:02.000Z',
    ...more,
  }
  return { body: { data } }
}

describe('deliveries and why', () => {
  test('attempts are listed with what came back; what a receiver wrote moves no cursor', async () => {
    const nasty = attempt({ reason: 'bad\u001b[2J\nnews', code: null })
    mesh.on('GET /v1/deliveries', { body: { data: [nasty], next_cursor: null } })
    const { code, out } = await run(['deliveries', 'list', '--endpoint', 'e', '--outcome', 'failed', '--since', '2h'])
    expect(code).toBe(0)
    expect(out).toMatch(/^AT +DELIVERY/)
    expect(out).toContain('2026-11-21 12:00:00Z  17        endpoint-1  event-1  #2   failed   34 ms  503 bad [2J news')
    expect(out).not.toContain('\u001b')
    const { searchParams } = mesh.seen.map(({ url }) => url)[0] ?? new URL(mesh.url)
    expect(Object.fromEntries(searchParams)).toMatchObject({ endpoint_id: 'e', outcome: 'failed', limit: '50' })
    expect(Date.now() - Date.parse(searchParams.get('since') ?? '')).toBeGreaterThan(7_199_000)
  })

  test('why is one paragraph; --facts adds what it was read from; --json is the whole answer', async () => {
    const data = {
      cause: 'endpoint_paused',
      explanation: 'It waits, because its endpoint is paused.',
      facts: [{ at: null, what: 'The endpoint is paused.', evidence: { state: 'paused' } }],
    }
    mesh.on('GET /v1/deliveries/17/why', { body: { data } })
    expect(await run(['why', '17'])).toEqual({ code: 0, out: `${data.explanation}\n`, error: '' })
    expect((await run(['why', '17', '--facts'])).out).toContain(
      'cause: endpoint_paused\nnow  The endpoint is paused.  state=paused',
    )
    expect(JSON.parse((await run(['why', '17', '--json'])).out)).toEqual(data)
    mesh.on('GET /v1/events/7/why', { body: { data } })
    const ofEvent = await run(['why', '--event', '7', '--endpoint', 'endpoint-1', '--source', '/shop'])
    expect([ofEvent.out, mesh.seen.at(-1)?.url.search]).toEqual([
      `${data.explanation}\n`,
      '?endpoint_id=endpoint-1&source=%2Fshop',
    ])
  })

  test.each([
    [['deliveries', 'list', '--outcome', 'lost'], '--outcome takes one of waiting, delivered'],
    [['deliveries', 'list', '--outcome', 'waiting'], 'needs --endpoint ID or --event ID'],
    [['deliveries', 'list', '--since', 'yesterday'], '--since takes a time: 2h'],
    [['deliveries', 'list', '--limit', '0'], '--limit takes a whole number from 1 on'],
    [['dead-letters', 'redrive'], 'which ones?'],
    [['dead-letters', 'redrive', '1', '--reason', 'exhausted'], 'not both'],
    [['dead-letters', 'list', '--reason', 'bored'], '--reason takes one of'],
    [['replay', 'endpoint-1'], '--since takes a time'],
    [['replay', '--since', '2h'], 'ENDPOINT is missing'],
    [['why'], 'why what?'],
    [['why', '17', '--endpoint', 'e'], 'go with --event'],
  ])('%j asks for nothing and says what to write instead', async (argv, told) => {
    const { code, out, error } = await run(argv)
    expect([code, out, mesh.seen.length]).toEqual([2, '', 0])
    expect(error).toContain(told)
    expect(error).toContain('usage: ripstop webhooks ')
  })
})

describe('the check', () => {
  const check = (count: number) => ({
    ok: count === 0,
    since: '2026-11-21T11:00:00.000Z',
    until: '2026-11-21T12:00:00.000Z',
    events: 1200,
    deliveries: 3600,
    counts: [
      { name: 'overdue', what: 'due for long and not sent', count: 0, ids: [] },
      { name: 'events_with_missing_deliveries', what: 'events with fewer than made', count, ids: count ? ['e-7'] : [] },
    ],
  })

  test('prints every count; exit code 0 if all are 0, else 1 and where to look', async () => {
    mesh.on('GET /v1/delivery/check', { body: { data: check(0) } }, { body: { data: check(1) } })
    const good = await run(['check'])
    expect(good.code).toBe(0)
    expect(good.out).toMatch(/ok +0 +events_with_missing_deliveries[\s\S]*1200 events [\s\S]*nothing is missing\n$/)
    const bad = await run(['check'])
    expect(bad.code).toBe(1)
    expect(bad.out).toMatch(
      /ok +0 +overdue[\s\S]*WRONG +1 +events_with_missing_deliveries +.*e-7[\s\S]*something is wrong\n$/,
    )
  })
})

describe('replays and redrives', () => {
  test('a replay is looked at until it is done: on a terminal one line that is rewritten, else a line a change', async () => {
    const states = [replay({ done: 400 }), replay({ done: 400 }), replay({ done: 1000, state: 'done' })]
    for (const isWatched of [true, false]) {
      mesh.on('POST /v1/replays', replay())
      mesh.on('GET /v1/replays/replay-1', ...states)
      const argv = ['replay', 'endpoint-1', '--since', '2026-11-21', '--type', 'order.*', '--type', 'a', '--failed']
      const { code, out, error } = await run(argv, { isWatched })
      expect([code, out]).toEqual([0, 'replay replay-1 is done: 1000 deliveries to be sent, made in 2 s\n'])
      const lines = error.split(isWatched ? '\r\u001b[2K' : '\n').filter((line) => line !== '')
      expect(lines.map((line) => line.trim())).toEqual([
        'replay replay-1: running, 0 made',
        'replay replay-1: running, 400 made',
        'replay replay-1: done, 1000 made',
      ])
    }
    expect(bodies('POST')[0]).toEqual({
      endpoint_id: 'endpoint-1',
      since: '2026-11-21T00:00:00.000Z',
      types: ['order.*', 'a'],
      only: 'failed',
    })
  })

  test('Ctrl-C leaves the replay running and says how to look again', async () => {
    const stopped = Promise.withResolvers<string>()
    mesh.on('POST /v1/replays', replay())
    mesh.on('GET /v1/replays/replay-1', replay({ done: 3 }))
    const said = (_out: string, error: string): void => {
      if (error.includes('3 made')) stopped.resolve('SIGINT')
    }
    const { code, error } = await run(['replay', 'e', '--since', '1d'], { stopped: stopped.promise, said })
    expect(code).toBe(1)
    expect(error).toContain('The mesh goes on with it. To look again: ripstop webhooks replays show replay-1')
    expect(mesh.seen.every(({ method }) => method !== 'DELETE')).toBe(true)
  })

  test('--no-wait starts it and says its id; one that was cancelled ends with exit code 1', async () => {
    mesh.on('POST /v1/dead-letters/redrive', replay())
    expect(await run(['dead-letters', 'redrive', '--all', '--no-wait'])).toMatchObject({
      code: 0,
      out: 'replay replay-1 is running\n',
    })
    expect(bodies('POST')).toEqual([{}])
    mesh.on('GET /v1/replays/replay-1', replay({ state: 'cancelled' }))
    expect((await run(['replays', 'show', 'replay-1'])).code).toBe(1)
  })

  test('dead letters that are named are sent again one by one, each once', async () => {
    mesh.on('POST /v1/dead-letters/7/redrive', {})
    mesh.on('POST /v1/dead-letters/8/redrive', {})
    expect(await run(['dead-letters', 'redrive', '7', '8'])).toMatchObject({
      code: 0,
      out: '7 is sent again\n8 is sent again\n',
    })
    const keys = mesh.seen.map(({ headers }) => headers['idempotency-key'])
    expect(new Set(keys).size).toBe(2)
  })
})

describe('listening', () => {
  test('a line a delivery, with names instead of ids, once each, through a break of the stream; Ctrl-C ends it with 0', async () => {
    const stopped = Promise.withResolvers<string>()
    const event = (of: DeliveryAttemptWire, name = 'attempt') =>
      `id: ${of.attempt_id}\nevent: ${name}\ndata: ${JSON.stringify(of)}\n\n`
    const second = attempt({
      attempt_id: 'a-2',
      outcome: 'delivered',
      status: 204,
      code: null,
      reason: null,
      event_id: 'lost',
    })
    const head = { 'content-type': 'text/event-stream' }
    mesh.on(
      'GET /v1/deliveries/stream',
      (_seen, response) => void response.writeHead(200, head).end(event(attempt())),
      (_seen, response) => void response.writeHead(200, head).write(event(attempt()) + event(second)),
    )
    mesh.on('GET /v1/endpoints/endpoint-1', { body: { data: { description: 'Shop', url: 'https://shop' } } })
    mesh.on('GET /v1/events/event-1', { body: { data: { type: 'order.paid' } } })
    const said = (out: string): void => {
      if (out.split('\n').length === 3) stopped.resolve('SIGINT')
    }
    const { code, out, error } = await run(['listen', '--endpoint', 'endpoint-1'], { stopped: stopped.promise, said })
    expect(code).toBe(0)
    expect(out.split('\n').map((line) => line.replaceAll(/ +/g, ' '))).toEqual([
      '12:00:00.123 Shop order.paid #2 failed 34 ms 503 PEER_FAILED it answered 503',
      '12:00:00.123 Shop lost #2 delivered 34 ms 204',
      '',
    ])
    expect(error).toContain('trying again in')
    expect(mesh.seen.find(({ url }) => url.pathname.endsWith('stream'))?.url.search).toBe('?endpoint_id=endpoint-1')
  })

  test('--failures leaves out what arrived; --json gives the data a line; an interruption is told', async () => {
    const stopped = Promise.withResolvers<string>()
    const parts = [
      { event: 'hello', data: {} },
      { event: 'attempt', data: attempt({ attempt_id: 'a-1', outcome: 'delivered' }) },
      { event: 'interrupted', data: { code: 'LINK_DOWN' } },
      { event: 'attempt', data: attempt({ attempt_id: 'a-2' }) },
    ]
    mesh.on('GET /v1/deliveries/stream', (_seen, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      for (const { event, data } of parts) response.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`)
    })
    const running = run(['listen', '--failures', '--json'], {
      stopped: stopped.promise,
      said: (out) => out !== '' && stopped.resolve('SIGINT'),
    })
    const { out, error } = await running
    expect(JSON.parse(out)).toMatchObject({ attempt_id: 'a-2', outcome: 'failed' })
    expect(error).toContain("the mesh can't look at the moment (LINK_DOWN)")
    await until('nothing else was asked for', () => mesh.seen.length === 1)
  })
})
