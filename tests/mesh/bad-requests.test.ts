// Bad requests, byte by byte, against a running mesh: each gets a typed answer that says what to do, or its connection is
// closed; no other client notices; the service behind never sees a request that was smuggled; afterwards all is as before.

import { createSeededRandom } from '@ripstop/kernel'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { openRaw, startTestUpstream, type TestUpstream } from '../../packages/server/src/testing/gateway.ts'
import { createTestDatabase, type TestDatabase } from '../../packages/server/src/testing/postgres.ts'
import { routesTo } from './fixture.ts'
import { startMesh, type TestMesh, tellOnFailure, until } from './harness.ts'
import { startTraffic } from './traffic.ts'

const HEADERS_TIMEOUT_MS = 10_000
const LORISES = 20
const SEED = 8
const MUTANTS = 300

let upstream: TestUpstream
let database: TestDatabase
let mesh: TestMesh
let edge: number | undefined
/** The targets of all requests that came through. */
const seen: string[] = []

beforeAll(async () => {
  upstream = await startTestUpstream((request, response) => {
    seen.push(request.url ?? '')
    request.resume().once('end', () => response.end('echo'))
  })
  database = await createTestDatabase()
  const sockets = { path: '/sockets', upstream: 'echo', websocket: true }
  mesh = await startMesh({ config: routesTo(upstream.port, [sockets]), env: { DATABASE_URL: database.url } })
  await mesh.ready()
  await until('the service is up', async () => (await mesh.ask('/open')).status === 200)
  edge = await mesh.pidOf('edge')
})
afterAll(async () => {
  await mesh[Symbol.asyncDispose]()
  await database[Symbol.asyncDispose]()
  await upstream[Symbol.asyncDispose]()
})
beforeEach((context) => tellOnFailure(context, mesh))

/** What came back for these bytes. `isAll`: the sender says that no more will come, and stops listening to what takes long. */
async function send(bytes: string | Buffer, { isAll = false } = {}): Promise<string> {
  const { socket, answer } = await openRaw(mesh.port)
  const raw = typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes
  if (isAll) socket.end(raw)
  else socket.write(raw)
  await until('it was answered or closed', () => socket.closed || isWhole(answer()), 15_000)
  socket.destroy()
  return answer()
}

/** One answer with all of its body. */
function isWhole(answer: string): boolean {
  const end = answer.indexOf('\r\n\r\n')
  const length = /\r\ncontent-length: (\d+)/i.exec(answer.slice(0, end + 2))?.[1]
  return end >= 0 && length !== undefined && answer.length >= end + 4 + Number(length)
}

async function expectHealthy(): Promise<void> {
  expect((await mesh.ask('/livez')).status).toBe(200)
  expect((await mesh.ask('/open')).text).toBe('echo')
  await mesh.ready(5_000)
  expect(await mesh.pidOf('edge'), 'the edge is the process that it was').toBe(edge)
  await until('nothing is left under way', async () => {
    const { live } = await mesh.link('upstream.echo')
    return live.in_flight === 0 && live.waiting === 0 && live.oldest_overdue_ms === 0
  })
  const defects = mesh.logs().match(/.*(?:defect|unhandled|uncaught|TypeError|"level":"error").*/gi) ?? []
  expect(defects).toEqual([])
}

const HOST = 'Host: localhost\r\n'
const JSON_TYPE = 'Content-Type: application/json\r\n'
const post = (path: string, headers: string, body: string): string =>
  `POST ${path} HTTP/1.1\r\n${HOST}${headers}\r\n${body}`
const json = (body: string, path = '/v1/tenants'): string =>
  post(path, `${JSON_TYPE}Content-Length: ${Buffer.byteLength(body, 'latin1')}\r\n`, body)
const upgrade = (headers: string): string =>
  `GET /sockets HTTP/1.1\r\n${headers}Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`
const HIDDEN = 'GET /open/smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n'

/** What is sent, and the code that the answer must carry. */
const BAD: readonly (readonly [name: string, bytes: string, code: string])[] = [
  ['an unknown path', `GET /nowhere HTTP/1.1\r\n${HOST}\r\n`, 'NOT_FOUND'],
  ['a wrong method at the control API', `DELETE /v1/tenants HTTP/1.1\r\n${HOST}\r\n`, 'METHOD_NOT_ALLOWED'],
  ['a method that would echo', `TRACE /open HTTP/1.1\r\n${HOST}\r\n`, 'METHOD_NOT_ALLOWED'],
  ['an unknown method', `BREW /open HTTP/1.1\r\n${HOST}\r\n`, 'BAD_REQUEST'],
  ['a tunnel to elsewhere', `CONNECT example.com:443 HTTP/1.1\r\n${HOST}\r\n`, 'BAD_REQUEST'],
  ['a whole URL of elsewhere', `GET http://example.com/ HTTP/1.1\r\n${HOST}\r\n`, 'BAD_REQUEST'],
  ['a path that climbs', `GET /open/../v1/keys HTTP/1.1\r\n${HOST}\r\n`, 'BAD_REQUEST'],
  ['a path that climbs in disguise', `GET /open/%2e%2e/v1/keys HTTP/1.1\r\n${HOST}\r\n`, 'BAD_REQUEST'],
  ['a path that is no UTF-8', `GET /v1/keys/%ff HTTP/1.1\r\n${HOST}\r\n`, 'BAD_REQUEST'],
  ['a foreign Host', 'GET /livez HTTP/1.1\r\nHost: attacker.example\r\n\r\n', 'HOST_REFUSED'],
  ['a foreign Host at the gateway', 'GET /open HTTP/1.1\r\nHost: attacker.example\r\n\r\n', 'HOST_REFUSED'],
  ['no Host at all', 'GET /open HTTP/1.1\r\n\r\n', ''],
  ['two Hosts', `GET /open HTTP/1.1\r\n${HOST}Host: attacker.example\r\n\r\n`, 'BAD_REQUEST'],
  ['a foreign Origin', `GET /v1/keys HTTP/1.1\r\n${HOST}Origin: https://attacker.example\r\n\r\n`, 'ORIGIN_REFUSED'],
  ['an Origin that hides itself', `GET /open HTTP/1.1\r\n${HOST}Origin: null\r\n\r\n`, 'ORIGIN_REFUSED'],
  ['what another site made', `GET /open HTTP/1.1\r\n${HOST}Sec-Fetch-Site: cross-site\r\n\r\n`, 'ORIGIN_REFUSED'],
  [
    'a WebSocket of a foreign page',
    upgrade('Host: localhost\r\nOrigin: https://attacker.example\r\n'),
    'ORIGIN_REFUSED',
  ],
  ['a WebSocket by a foreign name', upgrade('Host: attacker.example\r\n'), 'HOST_REFUSED'],
  ['headers beyond the bound', `GET /open HTTP/1.1\r\n${HOST}X: ${'x'.repeat(20_000)}\r\n\r\n`, 'HEADERS_TOO_LARGE'],
  ['very many headers', `GET /open HTTP/1.1\r\n${HOST}${'a: b\r\n'.repeat(4_000)}\r\n`, 'HEADERS_TOO_LARGE'],
  ['a body beyond the bound', post('/open', 'Content-Length: 2000000\r\n', ''), 'PAYLOAD_TOO_LARGE'],
  [
    'the same at the control API',
    post('/v1/tenants', `${JSON_TYPE}Content-Length: 2000000\r\n`, ''),
    'PAYLOAD_TOO_LARGE',
  ],
  ['broken JSON', json('{"name": "a'), 'BAD_REQUEST'],
  ['JSON that is no UTF-8', json('{"name": "\xff\xfe", "scopes": ["keys:read"]}', '/v1/keys'), 'BAD_REQUEST'],
  ['JSON of the wrong shape', json('{"name": 7, "more": true}'), 'BAD_REQUEST'],
  ['JSON nested without end', json('['.repeat(50_000)), 'BAD_REQUEST'],
  ['JSON that would change a prototype', json('{"__proto__": {"name": "a"}}'), 'BAD_REQUEST'],
  ['no body where one is needed', json(''), 'BAD_REQUEST'],
  [
    'a body that is no JSON',
    post('/v1/tenants', 'Content-Type: text/xml\r\nContent-Length: 3\r\n', '<a>'),
    'UNSUPPORTED_MEDIA_TYPE',
  ],
  [
    'an Idempotency-Key that is none',
    post('/v1/tenants', `${JSON_TYPE}Idempotency-Key: a b\r\nContent-Length: 14\r\n`, '{"name":"abc"}'),
    'BAD_REQUEST',
  ],
  ['a cursor of nowhere', `GET /v1/keys?cursor=%00 HTTP/1.1\r\n${HOST}\r\n`, 'BAD_REQUEST'],
  ['no HTTP', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', 'BAD_REQUEST'],
  ['HTTP/2 without leave', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'BAD_REQUEST'],
  ['an unknown version', `GET /open HTTP/9.9\r\n${HOST}\r\n`, 'BAD_REQUEST'],
  ['a header with a zero byte', `GET /open HTTP/1.1\r\n${HOST}X: a\0b\r\n\r\n`, 'BAD_REQUEST'],
  ['a header name with a space', `GET /open HTTP/1.1\r\n${HOST}X : a\r\n\r\n`, 'BAD_REQUEST'],
  [
    'length and chunks (CL.TE)',
    post('/open', `Content-Length: 4\r\nTransfer-Encoding: chunked\r\n`, `0\r\n\r\n${HIDDEN}`),
    'BAD_REQUEST',
  ],
  [
    'chunks and length (TE.CL)',
    post('/open', `Transfer-Encoding: chunked\r\nContent-Length: 4\r\n`, `5c\r\n${HIDDEN}\r\n0\r\n\r\n`),
    'BAD_REQUEST',
  ],
  ['two lengths', post('/open', `Content-Length: 0\r\nContent-Length: ${HIDDEN.length}\r\n`, HIDDEN), 'BAD_REQUEST'],
  ['two lengths in one', post('/open', `Content-Length: 0, ${HIDDEN.length}\r\n`, HIDDEN), 'BAD_REQUEST'],
  ['a negative length', post('/open', 'Content-Length: -1\r\n', HIDDEN), 'BAD_REQUEST'],
  ['a length with a sign', post('/open', 'Content-Length: +4\r\n', `abcd${HIDDEN}`), 'BAD_REQUEST'],
  [
    'a coding that only looks like chunked',
    post('/open', 'Transfer-Encoding: xchunked\r\n', `0\r\n\r\n${HIDDEN}`),
    'BAD_REQUEST',
  ],
  [
    'chunked that is not last',
    post('/open', 'Transfer-Encoding: chunked, identity\r\n', `0\r\n\r\n${HIDDEN}`),
    'BAD_REQUEST',
  ],
  ['a folded header', post('/open', 'Transfer-Encoding:\r\n chunked\r\n', `0\r\n\r\n${HIDDEN}`), 'BAD_REQUEST'],
  [
    'a header behind a lone line feed',
    post('/open', 'X: a\nTransfer-Encoding: chunked\r\n', `0\r\n\r\n${HIDDEN}`),
    'BAD_REQUEST',
  ],
]

test.each(BAD)('M8: %s gets a typed answer', async (_name, bytes, code) => {
  const answer = await send(bytes)
  expect(answer).toMatch(/^HTTP\/1\.1 [45]\d\d /)
  // Where Node's own parser answers, the status says it all.
  if (code !== '') expect(answer).toContain(`"code":"${code}"`)
  expect(answer, 'a refusal names nothing of what is inside').not.toMatch(/node_modules|\.ts:|postgres:\/\//)
  expect((await mesh.ask('/livez')).status).toBe(200)
})

test('M8: no request that was hidden in the body of another ever reached the service, and the mesh is as before', async () => {
  expect(seen.filter((target) => target.includes('smuggled'))).toEqual([])
  await expectHealthy()
})

test('M8: a body of chunks that grows beyond the bound is cut off there', async () => {
  const { socket, answer } = await openRaw(mesh.port)
  socket.write(post('/open', 'Transfer-Encoding: chunked\r\n', ''))
  const chunk = `4000\r\n${'x'.repeat(0x4000)}\r\n`
  for (let sent = 0; sent < 400 && !socket.closed && answer() === ''; sent++) {
    await new Promise<void>((resolve) => socket.write(chunk, () => resolve()))
  }
  await until('it was refused or closed', () => socket.closed || answer().includes('PAYLOAD_TOO_LARGE'))
  socket.destroy()
  await expectHealthy()
})

test('M8: any valid request with random bytes changed is answered or closed, and breaks nothing', async () => {
  const random = createSeededRandom(SEED)
  const valid = [
    post(
      '/open',
      'Content-Length: 5\r\nTraceparent: 00-0123456789abcdef0123456789abcdef-0123456789abcdef-01\r\n',
      'hello',
    ),
    post('/open', 'Transfer-Encoding: chunked\r\n', '5\r\nhello\r\n0\r\n\r\n'),
    `GET /open?a=b HTTP/1.1\r\n${HOST}X-Forwarded-For: 1.2.3.4\r\nCookie: a=b\r\n\r\n`,
    json('{"name": "fuzz"}'),
    `GET /v1/keys?limit=5 HTTP/1.1\r\n${HOST}X-Api-Key: rs_dev_${'a'.repeat(32)}\r\n\r\n`,
  ].map((text) => Buffer.from(text, 'latin1'))
  const mutate = (): Buffer => {
    const bytes = Buffer.from(valid[Math.floor(random() * valid.length)] as Buffer)
    for (let changes = 1 + Math.floor(random() * 4); changes > 0; changes--) {
      bytes[Math.floor(random() * bytes.length)] = Math.floor(random() * 256)
    }
    return random() < 0.2 ? bytes.subarray(0, Math.floor(random() * bytes.length)) : bytes
  }
  process.stdout.write(`mutated requests: seed ${SEED}\n`)
  for (let batch = 0; batch < MUTANTS / 20; batch++) {
    const answers = await Promise.all(Array.from({ length: 20 }, () => send(mutate(), { isAll: true })))
    for (const answer of answers) expect(answer === '' || answer.startsWith('HTTP/1.1 ')).toBe(true)
    expect(answers.filter((answer) => /^HTTP\/1\.1 500/.test(answer))).toEqual([])
  }
  await expectHealthy()
})

test('M5, M8: clients that send a byte now and then, leave in the middle or reset take nothing from the others', async () => {
  await using traffic = startTraffic(mesh.base, {
    open: { path: '/open', everyMs: 25, deadlineMs: 2_000 },
    readyz: { path: '/readyz', everyMs: 100, deadlineMs: 1_000 },
    control: { path: '/v1/keys', everyMs: 100, deadlineMs: 2_000 },
  })
  const startedMs = performance.now()
  const heads = await Promise.all(Array.from({ length: LORISES }, () => openRaw(mesh.port)))
  const bodies = await Promise.all(Array.from({ length: LORISES }, () => openRaw(mesh.port)))
  for (const { socket } of heads) socket.write(`GET /open HTTP/1.1\r\n${HOST}`)
  for (const { socket } of bodies) socket.write(post('/open', 'Content-Length: 1000\r\n', 'x'))
  const drip = setInterval(() => {
    for (const { socket } of heads) if (socket.writable) socket.write('X: y\r\n')
    for (const { socket } of bodies) if (socket.writable) socket.write('x')
  }, 500)
  for (let left = 0; left < 100; left++) {
    const { socket } = await openRaw(mesh.port)
    socket.write(post('/open', 'Content-Length: 1000\r\n', 'x'.repeat(left)))
    if (left % 2 === 0) socket.resetAndDestroy()
    else socket.destroy()
  }
  await until(
    'heads that never end are refused',
    () => heads.every(({ socket }) => socket.closed),
    HEADERS_TIMEOUT_MS + 8_000,
  )
  expect(performance.now() - startedMs).toBeGreaterThan(HEADERS_TIMEOUT_MS - 1_000)
  for (const { answer } of heads) expect(answer()).toContain('"code":"REQUEST_TIMEOUT"')
  clearInterval(drip)
  for (const { socket } of bodies) socket.destroy()
  expect(await traffic.stop()).toEqual([])
  for (const name of ['open', 'readyz', 'control'] as const) expect(Object.keys(traffic.tally(name))).toEqual(['200'])
  await expectHealthy()
})
