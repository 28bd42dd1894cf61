import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type FakeMesh, startFakeMesh } from './fake-mesh.fixture.ts'
import { createMeshClient, type MeshClient } from './mesh-request.ts'
import type { Terminal } from './terminal.ts'

let mesh: FakeMesh
let client: MeshClient

beforeAll(async () => {
  mesh = await startFakeMesh()
  const terminal = { env: { RIPSTOP_URL: mesh.url, RIPSTOP_KEY: 'rs_dev_k' } }
  client = createMeshClient(terminal as unknown as Terminal)
})
afterAll(() => mesh[Symbol.asyncDispose]())
beforeEach(() => void mesh.seen.splice(0))

const failure = (code: string, message: string, more: object = {}) => ({ body: { error: { code, message, ...more } } })

describe('requests of the CLI', () => {
  test('CM1: a write whose answer is lost is sent once more with the same key, and no third time', async () => {
    mesh.on('POST /v1/things', (_seen, response) => void response.destroy(), { body: { data: { id: 1 } } })
    expect(await client.write('POST', '/v1/things', { a: 1 })).toEqual({ id: 1 })
    const [one, two, ...more] = mesh.seen
    expect(more).toEqual([])
    expect(two?.body).toEqual({ a: 1 })
    expect(one?.headers['idempotency-key']).toMatch(/^[0-9a-f-]{36}$/)
    expect(two?.headers['idempotency-key']).toBe(one?.headers['idempotency-key'])
    expect(one?.headers.authorization).toBe('Bearer rs_dev_k')

    mesh.seen.splice(0)
    mesh.on('POST /v1/things', (_seen, response) => void response.destroy())
    await expect(client.write('POST', '/v1/things', {})).rejects.toMatchObject({ code: 'LINK_DOWN' })
    expect(mesh.seen).toHaveLength(2)
  })

  test('CM1: another write has another key', async () => {
    mesh.on('POST /v1/things', {})
    await client.write('POST', '/v1/things', {})
    await client.write('POST', '/v1/things', {})
    expect(mesh.seen[0]?.headers['idempotency-key']).not.toBe(mesh.seen[1]?.headers['idempotency-key'])
  })

  test('CM1: a repeated DELETE that finds nothing was done by the one before; a first one that finds nothing fails', async () => {
    const nothing = { status: 404, ...failure('NOT_FOUND', 'no such thing') }
    mesh.on('DELETE /v1/things/1', (_seen, response) => void response.destroy(), nothing)
    expect(await client.write('DELETE', '/v1/things/1')).toBeUndefined()
    await expect(client.write('DELETE', '/v1/things/1')).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  test('CM2: what may succeed later is asked for once more, after the pause that the mesh names, bounded', async () => {
    const busy = { status: 503, ...failure('OVERLOADED', 'full', { retry_after_ms: 400 }) }
    mesh.on('GET /v1/things', busy, { body: { data: [] } })
    const startedMs = performance.now()
    expect(await client.read('/v1/things')).toEqual([])
    expect(performance.now() - startedMs).toBeGreaterThan(350)

    mesh.seen.splice(0)
    mesh.on('GET /v1/things', busy)
    await expect(client.read('/v1/things')).rejects.toMatchObject({ code: 'OVERLOADED' })
    expect(mesh.seen).toHaveLength(2)
  })

  test('CM2: what is wrong stays wrong: it is asked for once, and told with code, fields and what to do', async () => {
    const problems = [
      { field: 'body.url', problem: 'is no address' },
      { field: 'body.types', problem: 'must not be empty' },
    ]
    mesh.on('PATCH /v1/things/1', {
      status: 400,
      ...failure('BAD_REQUEST', 'body.url is no address', { details: { problems } }),
    })
    const error = await client.write('PATCH', '/v1/things/1', {}).catch((reason: unknown) => reason)
    expect(error).toMatchObject({ code: 'BAD_REQUEST', retry: false })
    expect((error as Error).message).toBe('body.url is no address\n  body.types must not be empty')
    expect((error as { fix: string }).fix).toContain('details.problems')
    expect(mesh.seen).toHaveLength(1)
  })

  test('a change that breaks something is told with all that it breaks', async () => {
    const changes = [
      { pointer: '/properties/total', change: 'was number, is string', breaks: ['publishers', 'consumers'] },
      { pointer: '/properties/note', change: 'is new', breaks: [] },
    ]
    mesh.on('POST /v1/things', {
      status: 409,
      ...failure('SCHEMA_BREAKING', '1 change breaks', { details: { changes } }),
    })
    await expect(client.write('POST', '/v1/things', {})).rejects.toMatchObject({
      message: [
        '1 change breaks',
        '  /properties/total was number, is string (breaks publishers and consumers)',
        '  /properties/note is new',
      ].join('\n'),
    })
  })

  test('an answer that is no envelope, or has a code that is not known here, is the refusal of a peer', async () => {
    mesh.on('GET /v1/things', { status: 418, ...failure('TEAPOT', 'short and stout') })
    await expect(client.read('/v1/things')).rejects.toMatchObject({ code: 'PEER_REFUSED', message: 'short and stout' })
    mesh.on('GET /v1/things', (_seen, response) => void response.writeHead(500).end('<html>'))
    await expect(client.read('/v1/things')).rejects.toMatchObject({ message: 'the mesh answered 500' })
  })

  test('a list is read over its pages, as far as it is asked for, with its filter on every page', async () => {
    const page = (...data: number[]) => ({ body: { data, next_cursor: `after ${data.at(-1)}` } })
    mesh.on('GET /v1/things', page(1, 2), page(3, 4), { body: { data: [5], next_cursor: null } })
    expect(await client.list('/v1/things', 5, { kind: 'a', none: undefined })).toEqual([1, 2, 3, 4, 5])
    expect(mesh.seen.map(({ url }) => url.search)).toEqual([
      '?kind=a&limit=5',
      '?kind=a&cursor=after+2&limit=3',
      '?kind=a&cursor=after+4&limit=1',
    ])
    mesh.on('GET /v1/things', page(1, 2), { body: { data: [3], next_cursor: null } })
    expect(await client.list('/v1/things', 500)).toEqual([1, 2, 3])
  })
})
