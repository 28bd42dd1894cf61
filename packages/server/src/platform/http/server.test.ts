import { spawn } from 'node:child_process'
import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { background, createEnv, hasCode } from '@ripstop/kernel'
import { describe, expect, test } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { z } from 'zod'
import { sendRaw, startTestServer, type TestServer } from '../../testing/http.ts'
import { until } from '../../testing/processes.ts'
import { type Route, route } from './route.ts'
import type { GatewayPath } from './server.ts'

const env = createEnv()
const look = route({
  method: 'GET',
  path: '/look',
  summary: 'Look',
  scopes: [],
  response: z.object({ from: z.string() }),
  handle: () => ({ body: { from: 'control' } }),
})

function createGateway(
  answer: (request: IncomingMessage, response: ServerResponse, expectsContinue: boolean) => unknown,
  upgrade: GatewayPath['upgrade'] = (_, socket) => void socket.destroy(),
): GatewayPath {
  const isOurs = ({ url = '' }: IncomingMessage) => /^\/up(\/|\?|$)/.test(url)
  return {
    handle: (request, response, expectsContinue) => {
      if (isOurs(request)) answer(request, response, expectsContinue)
      return isOurs(request)
    },
    mayUpgrade: (request) => isOurs(request) && request.headers.upgrade === 'websocket',
    upgrade,
    drain: async () => {},
  }
}

/** A request that is under way until `answer` is called. */
function createHeld() {
  const entered = Promise.withResolvers<void>()
  const release = Promise.withResolvers<void>()
  const gateway = createGateway((_, response) => {
    entered.resolve()
    void release.promise.then(() => response.end('late'))
  })
  return { gateway, entered: entered.promise, answer: () => release.resolve() }
}

const openSockets = (api: TestServer) => Number(/http_connections_open (\d+)/.exec(api.metrics.text())?.[1])

describe('the one port', () => {
  test('what the gateway knows goes to its raw path, whatever the query; the rest to the control API', async () => {
    await using api = await startTestServer({
      routes: [look],
      gateway: createGateway((request, response) => void response.end(`gateway ${request.url}`)),
    })
    expect((await api.request('/up/x?look=/look')).text).toBe('gateway /up/x?look=/look')
    expect((await api.request('/look?x=/up')).json).toEqual({ from: 'control' })
    expect((await api.request('/upper')).status).toBe(404)
  })

  test('leave to send a body is given by whoever answers: the gateway itself, or for the control API at once', async () => {
    const expectations: boolean[] = []
    const gateway = createGateway((_, response, expectsContinue) => {
      expectations.push(expectsContinue)
      response.writeHead(413).end()
    })
    await using api = await startTestServer({ routes: [look], gateway })
    const head = 'Host: localhost\r\nConnection: close\r\nContent-Length: 5\r\nExpect: 100-continue\r\n'
    const refused = await sendRaw(api.server.port, `POST /up HTTP/1.1\r\n${head}\r\n`)
    expect(refused).toMatch(/^HTTP\/1.1 413/)
    expect(expectations).toEqual([true])
    expect(await sendRaw(api.server.port, `POST /look HTTP/1.1\r\n${head}\r\nhello`)).toMatch(/^HTTP\/1.1 100 Continue/)
  })

  test('a foreign Host reaches neither the gateway nor an upgrade', async () => {
    let reached = 0
    const gateway = createGateway(
      () => reached++,
      (_, socket) => {
        reached++
        socket.destroy()
      },
    )
    await using api = await startTestServer({ routes: [], gateway })
    const head = 'Host: evil.example\r\nConnection: close\r\n'
    expect(await sendRaw(api.server.port, `GET /up HTTP/1.1\r\n${head}\r\n`)).toContain('HOST_REFUSED')
    const upgrade = 'Host: evil.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n'
    expect(await sendRaw(api.server.port, `GET /up HTTP/1.1\r\n${upgrade}\r\n`)).toContain('HOST_REFUSED')
    expect(reached).toBe(0)
  })

  test('a WebSocket upgrade goes to the gateway; any other upgrade is an ordinary request', async () => {
    const sockets = new WebSocketServer({ noServer: true })
    const gateway = createGateway(
      (_, response) => void response.end('plain'),
      (request, socket, head) => sockets.handleUpgrade(request, socket, head, (peer) => peer.send('hello')),
    )
    await using api = await startTestServer({ routes: [look], gateway })
    const client = new WebSocket(`${api.url.replace('http', 'ws')}/up`)
    const [message] = await once(client, 'message')
    expect(String(message)).toBe('hello')
    client.terminate()
    const h2c = 'Host: localhost\r\nConnection: Upgrade, close\r\nUpgrade: h2c\r\n\r\n'
    expect(await sendRaw(api.server.port, `GET /up HTTP/1.1\r\n${h2c}`)).toContain('plain')
    const unknown = 'Host: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'
    expect(await sendRaw(api.server.port, `GET /nowhere HTTP/1.1\r\n${unknown}`, 300)).toContain('NOT_FOUND')
  })

  test('a handler of the gateway that throws costs its request, not the process', async () => {
    const gateway = createGateway(() => {
      throw new Error('defect')
    })
    await using api = await startTestServer({ routes: [look], gateway })
    const answer = await api.request('/up')
    expect([answer.status, answer.json.error?.code]).toEqual([500, 'INTERNAL'])
    expect((await api.request('/look')).status).toBe(200)
  })

  test.each([
    ['garbage', 'GARBAGE\r\n\r\n', '400', 'BAD_REQUEST'],
    [
      'headers that are too large',
      `GET /look HTTP/1.1\r\nHost: localhost\r\nX: ${'x'.repeat(40_000)}\r\n\r\n`,
      '431',
      'HEADERS_TOO_LARGE',
    ],
    [
      'a length that is given twice and differs',
      'POST /look HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd',
      '400',
      'BAD_REQUEST',
    ],
    [
      'a length beside chunks (request smuggling)',
      'POST /look HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
      '400',
      'BAD_REQUEST',
    ],
    [
      'two Hosts',
      'GET /look HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\nConnection: close\r\n\r\n',
      '400',
      'BAD_REQUEST',
    ],
    [
      'an absolute target',
      'GET http://localhost/look HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n',
      '400',
      'BAD_REQUEST',
    ],
  ])('%s gets a typed error and a closed connection', async (_, bytes, status, code) => {
    await using api = await startTestServer({ routes: [look] })
    const answer = await sendRaw(api.server.port, bytes)
    expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status} `))
    expect(answer).toContain(`"${code}"`)
    expect((await api.request('/look')).status).toBe(200)
  })

  test('HS1: a client that drips its headers, one that drips its body, and one that says nothing are cut off', async () => {
    const limits = { headersTimeoutMs: 150, requestTimeoutMs: 300, keepAliveTimeoutMs: 200 }
    const tell: Route = { ...look, method: 'POST', path: '/tell' }
    await using api = await startTestServer({ routes: [look, tell], limits })
    const slowHead = await sendRaw(api.server.port, 'GET /look HTTP/1.1\r\nHost: localhost\r\n')
    expect(slowHead).toMatch(/^HTTP\/1.1 408 /)
    expect(slowHead).toContain('REQUEST_TIMEOUT')
    const post =
      'POST /tell HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{'
    expect(await sendRaw(api.server.port, post, 20_000)).toContain('REQUEST_TIMEOUT')
    await sendRaw(api.server.port, '', 20_000)
    const idle = await sendRaw(api.server.port, 'GET /look HTTP/1.1\r\nHost: localhost\r\n\r\n')
    expect(idle).toContain('200 OK')
    await until('no connection is left', () => openSockets(api) === 0, 2_000)
  })

  test('HS2: beyond the most connections a further one is closed at once, and the others go on', async () => {
    const held = createHeld()
    await using api = await startTestServer({ routes: [look], gateway: held.gateway, limits: { connectionsMax: 1 } })
    const first = sendRaw(api.server.port, 'GET /up HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')
    await held.entered
    expect(await sendRaw(api.server.port, 'GET /look HTTP/1.1\r\nHost: localhost\r\n\r\n')).toBe('')
    held.answer()
    expect(await first).toContain('late')
    expect((await api.request('/look')).status).toBe(200)
    expect(api.metrics.text()).toContain('http_connections_dropped_total 1')
  })

  test('HS2: with no file descriptor left the server lives, and serves again once there are some', {
    timeout: 20_000,
  }, async () => {
    const program = join(import.meta.dirname, 'server-process.fixture.ts')
    const child = spawn('sh', ['-c', `ulimit -n 48; exec "${process.execPath}" "${program}"`], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const sockets: Socket[] = []
    try {
      const [line] = await once(child.stdout, 'data')
      const port = Number(String(line).trim())
      for (let index = 0; index < 80; index++) sockets.push(connect(port, '127.0.0.1').on('error', () => {}))
      const turnedAway = () => sockets.filter((socket) => socket.closed).length
      await until('the server turns connections away', () => turnedAway() > 0)
      expect(child.exitCode).toBeNull()
      for (const socket of sockets) socket.destroy()
      const answer = await until('it serves again', async () => {
        const text = await sendRaw(port, 'GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n', 1_000)
        return text.includes('alive') ? text : undefined
      })
      expect(answer).toContain('200 OK')
    } finally {
      for (const socket of sockets) socket.destroy()
      child.kill('SIGKILL')
    }
  })

  test('HS3: closing lets a request end, closes idle connections at once and refuses new ones', async () => {
    const held = createHeld()
    await using api = await startTestServer({ routes: [look], gateway: held.gateway })
    expect((await api.request('/look')).status).toBe(200) // leaves an idle connection in the client's pool
    const answer = sendRaw(api.server.port, 'GET /up HTTP/1.1\r\nHost: localhost\r\n\r\n')
    await held.entered
    using ctx = background(env).within(5_000)
    const closing = api.server.close(ctx)
    await expect(fetch(`${api.url}/look`)).rejects.toThrow()
    held.answer()
    expect(await answer).toMatch(/Connection: close[\s\S]*late/)
    await closing
    await api.server.close(ctx)
    expect(openSockets(api)).toBe(0)
  })

  test('HS3: what is left when its time is over is cut off, upgraded sockets included', async () => {
    const upgraded = Promise.withResolvers<void>()
    const held = createHeld()
    const gateway = { ...held.gateway, upgrade: () => upgraded.resolve() }
    await using api = await startTestServer({ routes: [], gateway })
    const hanging = sendRaw(api.server.port, 'GET /up HTTP/1.1\r\nHost: localhost\r\n\r\n', 20_000)
    const socket = sendRaw(
      api.server.port,
      'GET /up HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n',
      20_000,
    )
    await Promise.all([held.entered, upgraded.promise])
    using ctx = background(env).within(100)
    await api.server.close(ctx)
    expect([await hanging, await socket]).toEqual(['', ''])
  })

  test('a port that is taken is told at once, with the address', async () => {
    await using api = await startTestServer({ routes: [] })
    const { startHttpServer } = await import('./server.ts')
    const again = startHttpServer({
      env,
      log: api.log,
      metrics: api.metrics,
      server: { host: '127.0.0.1', port: api.server.port, headerBytesMax: 16_384 },
      guard: () => undefined,
      control: { handle: () => {}, drain: () => {} },
    })
    const error = await again.catch((caught: unknown) => caught)
    expect(hasCode(error, 'CONFIG_INVALID') && error.message).toBe(
      `server: cannot listen on 127.0.0.1:${api.server.port}: something else listens there`,
    )
  })
})
