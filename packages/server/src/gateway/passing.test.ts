// What passes through: requests and answers, unchanged, in both directions.

import { once } from 'node:events'
import { request as httpRequest, type IncomingMessage, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createServer } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  createTestRoute,
  createTestUpstreamConfig,
  openRaw,
  sendRaw,
  startTestGateway,
  startTestUpstream,
  type TestGateway,
} from '../testing/gateway.ts'
import { until } from '../testing/processes.ts'

let listener: RequestListener = (_request, response) => response.end()
let gateway: TestGateway
const open = new AsyncDisposableStack()

beforeAll(async () => {
  const upstream = open.use(await startTestUpstream((request, response) => listener(request, response)))
  gateway = open.use(
    await startTestGateway({
      upstreams: [
        createTestUpstreamConfig('plain', upstream.port),
        createTestUpstreamConfig('prefixed', upstream.port, {
          url: { origin: `http://127.0.0.1:${upstream.port}`, pathPrefix: '/base' },
          probe: { path: '/health', everyMs: 60_000, deadlineMs: 400 },
        }),
      ],
      routes: [
        createTestRoute('/a', 'plain'),
        createTestRoute('/b', 'prefixed', { stripPrefix: true }),
        createTestRoute('/c', 'plain', { stripPrefix: true }),
        createTestRoute('/big', 'plain', { bodyBytesMax: 1_073_741_824, deadlineMs: 2_000 }),
      ],
    }),
  )
})
afterAll(() => open.disposeAsync())

const whole = (answer: string): boolean => answer.includes('\r\n\r\n') && answer.endsWith('END')

async function bodyOf(message: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of message) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString('latin1')
}

const ask = (path: string, options: { method?: string; headers?: Record<string, string>; body?: string } = {}) =>
  new Promise<IncomingMessage>((resolve, reject) => {
    const { body, ...rest } = options
    const request = httpRequest(`${gateway.url}${path}`, rest, resolve)
    request.on('error', reject)
    request.end(body)
  })

describe('targets', () => {
  test('path and query reach the upstream as they were sent', async () => {
    listener = (request, response) => response.end(`${request.url}|END`)
    for (const target of ['/a', '/a?', '/a/', '/a//x', '/a/%2F%41b/..c?x=%20&y=../..', '/a/;p=1,2', '/a?x=/../y']) {
      const answer = await sendRaw(gateway.port, `GET ${target} HTTP/1.1\r\nHost: x\r\n\r\n`, whole)
      expect(answer.split('\r\n\r\n')[1]).toBe(`${target}|END`)
    }
  })

  test('a prefix goes only where the route says so, and the one of the upstream comes before', async () => {
    listener = (request, response) => response.end(request.url)
    const seen = async (path: string) => bodyOf(await ask(path))
    expect(await seen('/b')).toBe('/base/')
    expect(await seen('/b?x=1')).toBe('/base/?x=1')
    expect(await seen('/b/y/z?x=1')).toBe('/base/y/z?x=1')
    expect(await seen('/c/a')).toBe('/a')
    expect(await seen('/c//evil')).toBe('//evil')
  })

  test('what has no route is left to others', async () => {
    expect(gateway.gateway.matches('/nothing')).toBe(false)
    expect(gateway.gateway.matches('/a/b?c')).toBe(true)
    expect(gateway.gateway.matches('http://x/a')).toBe(false)
    expect(await bodyOf(await ask('/nothing'))).toBe('no route')
  })
})

describe('answers', () => {
  test('AH1: status, reason, spelling, order and repeated headers arrive unchanged', async () => {
    const head =
      'HTTP/1.1 299 Odd But Fine\r\nX-Odd-CASE: \xe9\r\nSet-Cookie: a=1\r\nset-cookie: b=2\r\nDate: now\r\nContent-Length: 3\r\n'
    const server = createServer((socket) => {
      socket.on('data', (bytes) => {
        const isProbe = bytes.toString('latin1').startsWith('GET /health')
        socket.write(
          Buffer.from(
            isProbe
              ? 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'
              : `${head}Connection: X-Hop\r\nX-Hop: 1\r\n\r\nEND`,
            'latin1',
          ),
        )
      })
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    await using raw = await startTestGateway({
      upstreams: [createTestUpstreamConfig('raw', port)],
      routes: [createTestRoute('/a', 'raw')],
    })
    const answer = await sendRaw(raw.port, 'GET /a HTTP/1.1\r\nHost: x\r\n\r\n', whole)
    expect(answer.startsWith(head)).toBe(true)
    expect(answer).not.toContain('X-Hop')
    server.close()
  })

  test('error statuses of the upstream are its answer, body and all', async () => {
    for (const status of [400, 404, 409, 418, 500, 502, 503, 504, 599]) {
      listener = (_request, response) => {
        response.statusCode = status
        response.end(`answer ${status}`)
      }
      const answer = await ask('/a', { method: 'POST' })
      expect([answer.statusCode, await bodyOf(answer)]).toEqual([status, `answer ${status}`])
    }
  })

  test('HEAD, 204 and 304 have no body, and the connection goes on', async () => {
    listener = (request, response) => {
      if (request.method === 'HEAD') response.setHeader('content-length', '12345')
      else response.statusCode = request.url === '/a/304' ? 304 : 204
      response.end()
    }
    const { socket, answer } = await openRaw(gateway.port)
    socket.write(
      'HEAD /a HTTP/1.1\r\nHost: x\r\n\r\nGET /a/204 HTTP/1.1\r\nHost: x\r\n\r\nGET /a/304 HTTP/1.1\r\nHost: x\r\n\r\n',
    )
    await until('the third answer is here', () => /304 Not Modified[\s\S]*\r\n\r\n/.test(answer()))
    socket.destroy()
    expect(answer()).toMatch(/200 OK\r\ncontent-length: 12345\r\n/i)
    expect(answer().match(/HTTP\/1.1 \d+/g)).toEqual(['HTTP/1.1 200', 'HTTP/1.1 204', 'HTTP/1.1 304'])
  })

  test('trailers follow a chunked answer', async () => {
    listener = (_request, response) => {
      response.setHeader('Trailer', 'X-Sum')
      response.write('hel')
      response.addTrailers({ 'X-Sum': '42' })
      response.end('lo')
    }
    const answer = await ask('/a')
    expect(await bodyOf(answer)).toBe('hello')
    expect(answer.headers.trailer).toBe('X-Sum')
    expect(answer.trailers).toEqual({ 'x-sum': '42' })
    const old = await sendRaw(gateway.port, 'GET /a HTTP/1.0\r\nHost: x\r\n\r\n')
    expect(old).toMatch(/^HTTP\/1.1 200[\s\S]*\r\n\r\nhello$/)
    expect(old).not.toMatch(/trailer/i)
  })

  test('interim answers: early hints arrive before the answer, and only once each', async () => {
    listener = (_request, response) => {
      response.writeEarlyHints({ link: '</a.css>; rel=preload' })
      response.writeProcessing()
      setImmediate(() => response.end('END'))
    }
    const answer = await sendRaw(gateway.port, 'GET /a HTTP/1.1\r\nHost: x\r\n\r\n', whole)
    expect(answer).toMatch(
      /^HTTP\/1.1 103 Early Hints\r\nLink: <\/a.css>; rel=preload\r\n\r\nHTTP\/1.1 102 Processing\r\n\r\nHTTP\/1.1 200 OK/,
    )
    const old = await sendRaw(gateway.port, 'GET /a HTTP/1.0\r\nHost: x\r\n\r\n')
    expect(old).toMatch(/^HTTP\/1.1 200 OK/)
  })

  test('a large answer arrives whole, byte by byte', async () => {
    const bytes = Buffer.alloc(3_000_000)
    for (let index = 0; index < bytes.length; index += 4) bytes.writeUInt32LE((index * 2_654_435_761) >>> 0, index)
    for (const isChunked of [true, false]) {
      listener = (_request, response) => {
        if (!isChunked) response.setHeader('content-length', bytes.length)
        response.end(bytes)
      }
      const answer = await ask('/a')
      expect(Buffer.from(await bodyOf(answer), 'latin1').equals(bytes)).toBe(true)
    }
  })
})

describe('bodies of requests', () => {
  const echo: RequestListener = async (request, response) => {
    const body = await bodyOf(request)
    const { 'content-length': length = '', 'transfer-encoding': encoding = '' } = request.headers
    response.end(`${request.method} ${length}${encoding} ${body.length} ${body.slice(0, 20)}|END`)
  }

  test('arrive with their length, or chunked as they came; an empty one is none', async () => {
    listener = echo
    expect(await bodyOf(await ask('/a', { method: 'POST', body: 'hello' }))).toBe('POST 5 5 hello|END')
    expect(await bodyOf(await ask('/a', { method: 'PUT', headers: { 'content-length': '0' } }))).toBe('PUT 0 0 |END')
    expect(await bodyOf(await ask('/a', { method: 'DELETE', headers: { 'content-length': '1' }, body: 'x' }))).toBe(
      'DELETE 1 1 x|END',
    )
    const large = 'y'.repeat(500_000)
    expect(await bodyOf(await ask('/big', { method: 'POST', body: large }))).toBe(
      `POST 500000 500000 ${'y'.repeat(20)}|END`,
    )
    const chunked = await ask('/a', { method: 'POST', headers: { 'transfer-encoding': 'chunked' }, body: 'hello' })
    expect(await bodyOf(chunked)).toBe('POST chunked 5 hello|END')
  })

  test('Expect: 100-continue is answered when the body is wanted, and never twice', async () => {
    listener = echo
    const head = 'POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n'
    const { socket, answer } = await openRaw(gateway.port)
    socket.write(head)
    await until('leave was given', () => answer() === 'HTTP/1.1 100 Continue\r\n\r\n')
    socket.write('hello')
    await until('the answer is here', () => answer().endsWith('END'))
    socket.destroy()
    expect(answer().match(/HTTP\/1.1 \d+/g)).toEqual(['HTTP/1.1 100', 'HTTP/1.1 200'])
  })

  test('RB1: a body is sent on while it comes, and a client waits while the upstream does not read', async () => {
    let isStarted = false
    let seen = 0
    let paused: IncomingMessage | undefined
    listener = (request, response) => {
      isStarted = true
      paused = request
      request.on('data', (chunk: Buffer) => {
        seen += chunk.length
      })
      request.pause()
      request.on('end', () => response.end('END'))
    }
    const total = 40_000_000
    const { socket, answer } = await openRaw(gateway.port)
    socket.write(`POST /big HTTP/1.1\r\nHost: x\r\nContent-Length: ${total}\r\n\r\n`)
    const piece = Buffer.alloc(100_000)
    for (let sent = 0; sent < total; sent += piece.length) socket.write(piece)
    await until('the upstream has the head', () => isStarted)
    await until('the flow has come to rest', async () => {
      const before = socket.bytesWritten
      await new Promise((resolve) => setTimeout(resolve, 100))
      return socket.bytesWritten - socket.writableLength === before - socket.writableLength && socket.writableLength > 0
    })
    expect(socket.writableLength, 'most of it still waits at the client').toBeGreaterThan(total / 2)
    paused?.resume()
    await until('the answer is here', () => answer().endsWith('END'))
    expect(seen).toBe(total)
    socket.destroy()
  })

  test('an early answer ends the exchange without the rest of the body, and arrives whole', async () => {
    listener = (_request, response) => {
      response.statusCode = 401
      response.end('no, thank you|END')
    }
    const { socket, answer } = await openRaw(gateway.port)
    socket.write('POST /big HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000\r\n\r\n')
    socket.write(Buffer.alloc(200_000))
    await until('the answer is here', () => answer().endsWith('END'))
    expect(answer()).toMatch(/^HTTP\/1.1 401/)
    socket.destroy()
  })
})

describe('backpressure', () => {
  test('AT2: a client that does not read stops the upstream', async () => {
    let written = 0
    let isDone = false
    listener = (_request, response) => {
      const piece = Buffer.alloc(100_000)
      const write = (): void => {
        while (written < 40_000_000) {
          written += piece.length
          if (!response.write(piece)) return void response.once('drain', write)
        }
        response.end(() => {
          isDone = true
        })
      }
      write()
    }
    const { socket } = await openRaw(gateway.port)
    socket.pause()
    socket.write('GET /a HTTP/1.1\r\nHost: x\r\n\r\n')
    await until('the upstream writes', () => written > 0)
    await until('the flow has come to rest', async () => {
      const before = written
      await new Promise((resolve) => setTimeout(resolve, 100))
      return written === before
    })
    expect(isDone).toBe(false)
    expect(written).toBeLessThan(20_000_000)
    socket.resume()
    await until('it is all here', () => isDone && socket.bytesRead > 40_000_000)
    socket.destroy()
  })
})
