import { Agent, type IncomingMessage, request } from 'node:http'
import { afterEach, describe, expect, test } from 'vitest'
import { dial, startHttpServer, startServer, until } from './loopback-peers.ts'
import { type FaultProxy, startFaultProxy } from './proxy.ts'

interface Answer {
  readonly status: number
  readonly body: string
  readonly headers: IncomingMessage['headers']
}

const agent = new Agent({ keepAlive: true, maxSockets: 1 }) // one connection: answers stay in step only if framing is right
afterEach(() => agent.destroy())

/** One exchange over the shared connection; rejects with the error of the socket. */
function exchange(proxy: FaultProxy, method = 'GET', body = ''): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = request({ host: proxy.host, port: proxy.port, method, agent, path: '/x' }, (response) => {
      let text = ''
      response.setEncoding('latin1')
      response.on('data', (part: string) => {
        text += part
      })
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body: text, headers: response.headers }))
      response.on('error', (error) => reject(Object.assign(error, { received: text })))
    })
    sent.on('error', reject)
    sent.end(body)
  })
}

describe('http_error', () => {
  test('HX1: replaces each nth response, on the same connection, and the server did the work', async () => {
    await using server = await startHttpServer()
    await using proxy = await startFaultProxy({ upstream: server.address })
    await proxy.add({ type: 'http_error', attributes: { status: 502, every: 3 } })
    const statuses: number[] = []
    for (let index = 0; index < 7; index++) statuses.push((await exchange(proxy)).status)
    expect(statuses).toEqual([200, 200, 502, 200, 200, 502, 200])
    expect(server.requests.length).toBe(7)
    expect(proxy.stats().accepted).toBe(1)
  })

  test('replaces chunked, empty and bodyless answers and keeps in step', async () => {
    await using server = await startHttpServer((incoming, response) => {
      if (incoming.method === 'POST') {
        response.write('a')
        response.end('b')
      } else if (incoming.method === 'DELETE') response.writeHead(204).end()
      else response.writeHead(200, { 'content-length': '5' }).end('hello')
    })
    await using proxy = await startFaultProxy({ upstream: server.address })
    await proxy.add({ type: 'http_error', attributes: { every: 2 } })
    const answers: [number, string][] = []
    for (const method of ['POST', 'POST', 'DELETE', 'DELETE', 'HEAD', 'HEAD', 'GET', 'GET']) {
      const { status, body } = await exchange(proxy, method)
      answers.push([status, body])
    }
    const injected = '{"error":"injected by the fault proxy","status":503}'
    expect(answers).toEqual([
      [200, 'ab'],
      [503, injected],
      [204, ''],
      [503, injected],
      [200, ''],
      [503, ''],
      [200, 'hello'],
      [503, injected],
    ])
    expect(proxy.stats().accepted).toBe(1)
  })

  test('HX2: removed in mid-answer, it swallows the rest of that answer and no more', async () => {
    let finish = (): void => {}
    await using server = await startHttpServer((_request, response) => {
      response.writeHead(200, { 'content-length': '10' })
      response.write('first')
      finish = () => response.end('secnd')
    })
    await using proxy = await startFaultProxy({ upstream: server.address })
    await proxy.add({ type: 'http_error', attributes: { status: 500 } })
    const replaced = await exchange(proxy)
    await proxy.remove('http_error_downstream')
    finish()
    const next = exchange(proxy)
    await until(() => server.requests.length === 2, 'the next request arrived')
    finish()
    expect([replaced.status, (await next).body]).toEqual([500, 'firstsecnd'])
    expect(proxy.stats().accepted).toBe(1)
  })

  test('takes hold of a connection that is already open', async () => {
    await using server = await startHttpServer()
    await using proxy = await startFaultProxy({ upstream: server.address })
    expect((await exchange(proxy)).status).toBe(200)
    await proxy.add({ type: 'http_error' })
    const answer = await exchange(proxy)
    expect([answer.status, answer.headers['x-fault']]).toEqual([503, 'http_error'])
    await proxy.remove('http_error_downstream')
    expect((await exchange(proxy)).status).toBe(200)
    expect(proxy.stats().accepted).toBe(1)
  })

  test('HX2: added in mid-answer, it leaves that answer alone and hits the next', async () => {
    let finish = (): void => {}
    await using server = await startHttpServer((_request, response) => {
      response.writeHead(200, { 'content-length': '10' })
      response.write('first')
      finish = () => response.end('secnd')
    })
    await using proxy = await startFaultProxy({ upstream: server.address })
    const whole = exchange(proxy)
    await until(() => proxy.stats().passedBytes.downstream > 5, 'the answer has begun')
    await proxy.add({ type: 'http_error' })
    finish()
    expect((await whole).body).toBe('firstsecnd')
    const next = exchange(proxy)
    await until(() => server.requests.length === 2, 'the next request arrived')
    finish()
    expect((await next).status).toBe(503)
    expect(proxy.stats().accepted).toBe(1)
  })

  test('an answer that lasts until the close is replaced by one that ends', async () => {
    await using server = await startServer((socket) =>
      socket.end('HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nall of it'),
    )
    await using proxy = await startFaultProxy({ upstream: server.address })
    await proxy.add({ type: 'http_error' })
    const answer = await exchange(proxy)
    expect([answer.status, answer.headers.connection]).toEqual([503, 'close'])
  })

  test('an interim answer passes and does not count', async () => {
    await using server = await startServer((socket) =>
      socket.write('HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok'),
    )
    await using proxy = await startFaultProxy({ upstream: server.address })
    await proxy.add({ type: 'http_error', attributes: { every: 2 } })
    const client = await dial(proxy)
    client.socket.write('GET / HTTP/1.1\r\n\r\n')
    await until(() => client.text().endsWith('ok'), 'the first answer')
    client.socket.write('GET / HTTP/1.1\r\n\r\n')
    await until(() => client.text().includes('503 Injected'), 'the second is replaced')
    expect(client.text().split('100 Continue').length).toBe(3)
  })

  test('HX3: what is not HTTP, and what follows an upgrade, passes unchanged', async () => {
    await using server = await startServer((socket, chunk) => {
      const upgrade = chunk.toString().startsWith('GET')
      socket.write(upgrade ? 'HTTP/1.1 101 Switching Protocols\r\nupgrade: echo\r\n\r\n' : chunk)
    })
    await using proxy = await startFaultProxy({ upstream: server.address })
    await proxy.add({ type: 'http_error' })
    const redis = await dial(proxy)
    redis.socket.write('*1\r\n$4\r\nPING\r\n')
    await until(() => redis.text() === '*1\r\n$4\r\nPING\r\n', 'echoed')
    const upgraded = await dial(proxy)
    upgraded.socket.write('GET / HTTP/1.1\r\nupgrade: echo\r\n\r\n')
    await until(() => upgraded.text().endsWith('\r\n\r\n'), 'upgraded')
    upgraded.socket.write('POST-like bytes')
    await until(() => upgraded.text().endsWith('POST-like bytes'), 'echoed')
    expect(upgraded.text()).not.toContain('503')
  })
})

describe('http_reset_body', () => {
  test('resets after its bytes of the body, each nth time', async () => {
    await using server = await startServer((socket) => {
      socket.write('HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n0123456789')
    })
    await using proxy = await startFaultProxy({ upstream: server.address })
    await proxy.add({ type: 'http_reset_body', attributes: { bytes: 4, every: 2 } })
    const client = await dial(proxy)
    client.socket.write('GET / HTTP/1.1\r\n\r\n')
    await until(() => client.text().endsWith('0123456789'), 'the first answer is whole')
    const before = client.bytes()
    client.socket.write('GET / HTTP/1.1\r\n\r\n')
    await until(() => client.closed, 'the second is cut')
    expect(client.errorCode).toBe('ECONNRESET')
    expect(client.bytes() - before).toBeLessThanOrEqual(43) // head and 4 bytes; a reset may overtake them
    await until(() => server.peers[0]?.errorCode === 'ECONNRESET', 'the server was reset too')
  })

  test('the client sees an aborted body, and after the removal a whole one', async () => {
    await using server = await startHttpServer((_request, response) => response.end('x'.repeat(50_000)))
    await using proxy = await startFaultProxy({ upstream: server.address })
    await proxy.add({ type: 'http_reset_body', attributes: { bytes: 10 } })
    await expect(exchange(proxy)).rejects.toMatchObject({ code: 'ECONNRESET' })
    await proxy.remove('http_reset_body_downstream')
    expect((await exchange(proxy)).body.length).toBe(50_000)
  })

  test('a body that is shorter passes whole', async () => {
    await using server = await startHttpServer()
    await using proxy = await startFaultProxy({ upstream: server.address })
    await proxy.add({ type: 'http_reset_body', attributes: { bytes: 6 } })
    expect((await exchange(proxy)).body).toBe('hello')
  })
})

describe('http_duplicate', () => {
  test('HX1: the server gets each nth request twice, the client one answer', async () => {
    let served = 0
    await using server = await startHttpServer((_request, response) => response.end(`answer ${++served}`))
    await using proxy = await startFaultProxy({ upstream: server.address })
    await proxy.add({ type: 'http_duplicate', attributes: { every: 2 } })
    const bodies: string[] = []
    for (const body of ['one', 'two', 'three']) {
      const expected = body === 'one' ? 1 : body === 'two' ? 3 : 4
      bodies.push((await exchange(proxy, 'POST', body)).body)
      await until(() => server.requests.length === expected, 'the server has them')
    }
    expect(server.requests.map(({ method, body }) => `${method} ${body}`)).toEqual([
      'POST one',
      'POST two',
      'POST two',
      'POST three',
    ])
    expect(bodies.every((body) => body.startsWith('answer'))).toBe(true)
    expect(proxy.stats()).toMatchObject({ accepted: 1, copies: 1 })
    await proxy.remove('http_duplicate_downstream')
    await exchange(proxy, 'POST', 'four')
    await exchange(proxy, 'POST', 'five')
    expect(server.requests.length).toBe(6)
  })

  test('RQ1: a copy without an answer is given up, and a request that is too long is sent once', async () => {
    await using server = await startHttpServer()
    await using proxy = await startFaultProxy({ upstream: server.address })
    await proxy.add({ type: 'http_duplicate' })
    await exchange(proxy, 'POST', 'x'.repeat(300_000))
    expect([server.requests.length, proxy.stats().copies]).toEqual([1, 0])
    await exchange(proxy, 'POST', 'x'.repeat(100_000))
    await until(() => server.requests.length === 3, 'sent twice')
  })
})
