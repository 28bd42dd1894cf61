import type { ServerResponse } from 'node:http'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { until } from '../testing/processes.ts'
import { type FakeMesh, type Seen, startFakeMesh } from './fake-mesh.fixture.ts'
import { createMeshClient } from './mesh-request.ts'
import { followEvents } from './server-events.ts'
import type { Terminal } from './terminal.ts'

let mesh: FakeMesh
beforeEach(async () => {
  mesh = await startFakeMesh()
})
afterEach(() => mesh[Symbol.asyncDispose]())

const open = (response: ServerResponse) => response.writeHead(200, { 'content-type': 'text/event-stream' })

function follow() {
  const ending = new AbortController()
  const told: string[] = []
  const client = createMeshClient({ env: { RIPSTOP_URL: mesh.url } } as unknown as Terminal)
  const ended = followEvents({
    mesh: client,
    path: '/v1/stream',
    signal: ending.signal,
    hear: ({ id, event, data }) => told.push(`${id} ${event} ${JSON.stringify(data)}`),
    opened: () => told.push('opened'),
    lost: (why) => told.push(`lost: ${why}`),
  })
  return { told, ended, end: () => ending.abort() }
}

test('CT1: a stream that breaks is opened again after what was heard last, in the middle of an event too', async () => {
  const resumed: (string | undefined)[] = []
  const note = (seen: Seen): void => void resumed.push(seen.headers['last-event-id'] as string | undefined)
  mesh.on(
    'GET /v1/stream',
    (seen, response) => {
      note(seen)
      open(response).write(
        'retry: 1\n\nid: a\nevent: one\ndata: {"n":1}\n\n: still here\n\nid: b\nevent: two\nda',
        () => response.destroy(),
      )
    },
    (seen, response) => {
      note(seen)
      const bytes = Buffer.from('id: b\nevent: two\ndata: {"n":"ü"}\n\n')
      const middle = bytes.indexOf(Buffer.from('ü')) + 1 // of the character
      open(response).write(bytes.subarray(0, middle))
      setTimeout(() => response.end(bytes.subarray(middle)), 50) // else both come as one
    },
    (seen, response) => {
      note(seen)
      open(response).flushHeaders()
    },
  )
  const following = follow()
  await until('it is open for the third time', () => resumed.length === 3)
  expect(resumed).toEqual([undefined, 'a', 'b'])
  expect(following.told.filter((line) => !line.startsWith('lost') && line !== 'opened')).toEqual([
    'a one {"n":1}',
    'b two {"n":"ü"}',
  ])
  following.end()
  await following.ended
})

test('CT2: what trying again cannot mend ends it with what the mesh says', async () => {
  mesh.on('GET /v1/stream', {
    status: 403,
    body: { error: { code: 'FORBIDDEN', message: 'webhooks:read is missing' } },
  })
  await expect(follow().ended).rejects.toMatchObject({ code: 'FORBIDDEN', message: 'webhooks:read is missing' })
  expect(mesh.seen).toHaveLength(1)
})

test('CT2: a mesh that is away or full is tried again', async () => {
  mesh.on(
    'GET /v1/stream',
    (_seen, response) => void response.destroy(),
    { status: 503, body: { error: { code: 'OVERLOADED', message: 'too many streams' } } },
    (_seen, response) => void open(response).write('id: a\nevent: one\ndata: 1\n\n'),
  )
  const following = follow()
  await until('it is heard', () => following.told.includes('a one 1'))
  expect(following.told[0]).toMatch(/^lost: nothing answers/)
  expect(following.told[1]).toBe('lost: too many streams')
  following.end()
  await following.ended
})

test('the end of it ends the connection too', async () => {
  let closed = false
  mesh.on('GET /v1/stream', (_seen, response) => {
    open(response).flushHeaders()
    response.on('close', () => {
      closed = true
    })
  })
  const following = follow()
  await until('it is open', () => following.told.includes('opened'))
  following.end()
  await following.ended
  await until('the server sees it', () => closed)
})
