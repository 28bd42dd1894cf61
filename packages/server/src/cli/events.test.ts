import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { events } from './events.ts'
import { type FakeMesh, type Reply, type RunOptions, runCommand, startFakeMesh } from './fake-mesh.fixture.ts'

let mesh: FakeMesh
let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ripstop-test-events-'))
})
afterAll(() => rm(folder, { recursive: true }))
beforeEach(async () => {
  mesh = await startFakeMesh()
})
afterEach(() => mesh[Symbol.asyncDispose]())

const run = (argv: readonly string[], options?: RunOptions) =>
  runCommand(events, mesh.url, argv, { cwd: folder, ...options })
const batches = () => mesh.seen.map(({ body }) => (body as { readonly events: readonly unknown[] }).events)

/** Answers as the mesh does: every event whose type is `wrong` is refused. */
const publishing: Reply = ({ body }, response) => {
  const results = (body as { events: { type: string }[] }).events.map(({ type }) =>
    type === 'wrong'
      ? {
          outcome: 'refused',
          event_id: null,
          error: {
            code: 'EVENT_INVALID',
            message: 'data is not as its schema says',
            details: { problems: [{ field: 'data/total', problem: 'must be number' }] },
          },
        }
      : { outcome: 'published', event_id: 'e-1', error: null },
  )
  response.end(JSON.stringify({ data: { published: 0, duplicates: 0, refused: 0, results } }))
}

describe('publishing', () => {
  const one = { type: 'order.paid', data: { total: 3 } }
  test.each([
    ['one event over many lines', JSON.stringify(one, null, 2), [one]],
    ['a list', JSON.stringify([one, one]), [one, one]],
    ['a batch as the API takes it', JSON.stringify({ events: [one] }), [one]],
    ['one event a line', `${JSON.stringify(one)}\n\n${JSON.stringify(one)}\n`, [one, one]],
  ])('%s is taken from a file or from standard input', async (_name, text, sent) => {
    mesh.on('POST /v1/events', publishing)
    await writeFile(join(folder, 'events.json'), text)
    for (const argv of [
      ['publish', 'events.json'],
      ['publish', '-'],
    ]) {
      const { code, out } = await run(argv, { input: text })
      expect(code).toBe(0)
      expect(out).toContain(
        sent.length === 1 ? 'published e-1\n' : `${sent.length} published, 0 known before, 0 refused\n`,
      )
    }
    expect(batches()).toEqual([sent, sent])
  })

  test('with --type the input is the data of one event', async () => {
    mesh.on('POST /v1/events', publishing)
    const argv = ['publish', '-', '--type', 'order.paid', '--id', '7', '--key', 'customer-1', '--source', '/shop']
    expect((await run(argv, { input: '{"total":3}' })).code).toBe(0)
    expect(batches()).toEqual([[{ ...one, id: '7', partitionkey: 'customer-1', source: '/shop' }]])
  })

  test('many go in batches of 1,000 with progress; what is refused is named with its place, and the exit code is 1', async () => {
    mesh.on('POST /v1/events', publishing)
    const many = Array.from({ length: 2_500 }, (_, index) => ({ type: index === 1_500 ? 'wrong' : 'a' }))
    const { code, out, error } = await run(['publish', '-'], { input: JSON.stringify(many) })
    expect(code).toBe(1)
    expect(batches().map(({ length }) => length)).toEqual([1_000, 1_000, 500])
    expect(error).toBe('1000 of 2500\n2000 of 2500\n2500 of 2500\n')
    expect(out).toBe(
      '1501. refused EVENT_INVALID: data is not as its schema says\n   data/total must be number\n2499 published, 0 known before, 1 refused\n',
    )
  })

  test('large events go in batches that the mesh takes', async () => {
    mesh.on('POST /v1/events', publishing)
    const large = Array.from({ length: 5 }, () => ({ type: 'a', data: 'x'.repeat(2_500_000) }))
    expect((await run(['publish', '-'], { input: JSON.stringify(large) })).code).toBe(0)
    expect(batches().map(({ length }) => length)).toEqual([2, 2, 1])
  })

  test.each([
    [['publish'], 'FILE|- is missing'],
    [['publish', 'nowhere.json'], "nowhere.json can't be read"],
    [['publish', '-'], '- is empty: it takes a CloudEvent'],
    [['publish', '-', '--id', '7'], 'go with --type'],
    [['contract-test', '-'], 'is no JSON'],
    [['types', 'register', 'order.paid'], 'FILE|- is missing'],
    [['rejected', 'redrive'], 'ID is missing'],
  ])('%j asks for nothing and says what to write instead', async (argv, told) => {
    const { code, out, error } = await run(argv, argv.includes('--id') ? { input: '{}' } : {})
    expect([code, out, mesh.seen.length]).toEqual([2, '', 0])
    expect(error).toContain(told)
  })

  test('a line that is no JSON is named by its number', async () => {
    const { code, error } = await run(['publish', '-'], { input: '{"type":"a"}\n{"type":}\n' })
    expect(code).toBe(2)
    expect(error).toContain('line 2 of - is no JSON')
  })
})

describe('types and contracts', () => {
  const change = { pointer: '/properties/note', change: 'is new', breaks: [] }
  const type = {
    name: 'order.paid',
    version: 2,
    schema: {},
    description: 'paid in full',
    changes: [change],
    created_at: '2026-11-21T12:00:00.000Z',
    deprecated_at: null,
  }

  test('a type is registered from a schema in a file, with what it changes', async () => {
    mesh.on('POST /v1/event-types', { status: 201, body: { data: type } })
    const { code, out } = await run(['types', 'register', 'order.paid', '-'], { input: '{"type":"object"}' })
    expect([code, out]).toEqual([0, 'order.paid is at version 2\n  /properties/note is new\n'])
    expect(mesh.seen[0]?.body).toEqual({ name: 'order.paid', schema: { type: 'object' } })
  })

  test('types and their changelog are listed', async () => {
    mesh.on('GET /v1/event-types', { body: { data: [type], next_cursor: null } })
    expect((await run(['types', 'list'])).out).toMatch(/order\.paid +v2 +2026-11-21 12:00:00Z +paid in full/)
    const entries = [{ version: 2, at: type.created_at, description: '', changes: [change] }]
    mesh.on('GET /v1/event-types/order.paid/changelog', { body: { data: entries } })
    expect((await run(['types', 'changelog', 'order.paid'])).out).toBe(
      'v2  2026-11-21 12:00:00Z\n  /properties/note is new\n',
    )
  })

  test('a contract is tested type by type, fields or schema; exit code 1 if one is broken', async () => {
    const verdict = (guaranteed: boolean) => ({
      body: {
        data: {
          guaranteed,
          versions: [
            { version: 1, guaranteed, missing: guaranteed ? [] : [{ pointer: '/total', problem: 'is optional' }] },
          ],
        },
      },
    })
    mesh.on('POST /v1/event-types/order.paid/contract-test', verdict(true))
    mesh.on('POST /v1/event-types/order.lost/contract-test', verdict(false))
    const contract = { 'order.paid': ['order.id'], 'order.lost': { type: 'object', required: ['total'] } }
    const { code, out } = await run(['contract-test', '-'], { input: JSON.stringify(contract) })
    expect([code, out]).toEqual([1, 'ok      order.paid\nBROKEN  order.lost\n  v1 /total is optional\n'])
    expect(mesh.seen.map(({ body }) => body)).toEqual([{ fields: ['order.id'] }, { schema: contract['order.lost'] }])
  })
})

test('what was rejected is listed with what is wrong, and goes back by its id', async () => {
  const rejected = {
    rejected_id: '12',
    tenant: null,
    reason: 'schema',
    code: 'EVENT_INVALID',
    problems: [{ field: 'data/total', problem: 'must be number' }],
    event: { type: 'order.paid' },
    created_at: '2026-11-21T12:00:00.000Z',
    rejected_at: '2026-11-21T12:00:00.000Z',
  }
  mesh.on('GET /v1/rejected-events', { body: { data: [rejected], next_cursor: null } })
  expect((await run(['rejected', 'list'])).out).toMatch(/12 .* order\.paid +EVENT_INVALID +data\/total must be number/)
  mesh.on('POST /v1/rejected-events/12/redrive', { status: 202 })
  expect(await run(['rejected', 'redrive', '12'])).toMatchObject({ code: 0, out: '12 is back in the outbox\n' })
})
