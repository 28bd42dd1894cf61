// Answers that break off, or are no HTTP: nothing of them may look whole, and nothing of them may split ours.

import { once } from 'node:events'
import type { RequestListener } from 'node:http'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'
import { openRaw, sendRaw, startTestBed, type TestBed } from '../testing/gateway.ts'
import { until } from '../testing/processes.ts'

let open = new AsyncDisposableStack()
afterEach(async () => {
  await open.disposeAsync()
  open = new AsyncDisposableStack()
})

const start = (upstream: RequestListener | number, bed?: TestBed) => startTestBed(open, upstream, bed)

const get = 'GET /a HTTP/1.1\r\nHost: x\r\n\r\n'

describe('broken answers', () => {
  /** An upstream that says exactly this, then does that. */
  async function startRawUpstream(answer: string, then: (socket: Socket) => void): Promise<number> {
    const server = createServer((socket) => {
      socket.on('error', () => {}) // the gateway resets what it does not understand
      socket.on('data', (bytes) => {
        if (bytes.toString('latin1').startsWith('GET /health'))
          socket.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')
        else socket.write(Buffer.from(answer, 'latin1'), () => then(socket))
      })
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    open.defer(() => void server.close())
    return (server.address() as AddressInfo).port
  }

  const broken: Readonly<Record<string, string>> = {
    'in the middle of a length': 'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf',
    'in the middle of a chunk': 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nhalf',
    'between chunks': 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n',
  }
  for (const [where, answer] of Object.entries(broken)) {
    test(`AT1: a connection that ends ${where} never looks like a whole answer`, async () => {
      for (const how of ['end', 'resetAndDestroy'] as const) {
        let release: () => void = () => {}
        const port = await startRawUpstream(answer, (socket) => {
          release = () => void socket[how]()
        })
        const gateway = await start(port)
        const { socket, answer: seen } = await openRaw(gateway.port)
        socket.write(get)
        await until('the first half is here', () => seen().endsWith('half') || seen().endsWith('half\r\n'))
        release()
        await until('the connection is closed', () => socket.closed)
        expect(seen()).toMatch(/^HTTP\/1.1 200/)
        expect(seen()).not.toMatch(/\r\n0\r\n\r\n$/)
        if (where === 'in the middle of a length') expect(seen()).toMatch(/Content-Length: 100/i)
      }
    })
  }

  test('AT1: for a client that can only see the end of the connection it is a reset', async () => {
    let release: () => void = () => {}
    const port = await startRawUpstream(
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n',
      (socket) => {
        release = () => void socket.end()
      },
    )
    const gateway = await start(port)
    const { socket, answer } = await openRaw(gateway.port)
    const error = once(socket, 'error')
    socket.write('GET /a HTTP/1.0\r\nHost: x\r\n\r\n')
    await until('the first half is here', () => answer().endsWith('half'))
    release()
    expect((await error)[0]).toMatchObject({ code: 'ECONNRESET' })
  })

  test('AT1: an answer that breaks off while a retry may still replace it is not seen', async () => {
    let asked = 0
    const gateway = await start((request, response) => {
      if (++asked > 1) return void response.end('fine')
      response.writeHead(503, { 'content-length': '100' })
      response.write('half', () => request.socket.destroy())
    })
    const response = await fetch(`${gateway.url}/a`)
    expect([response.status, await response.text(), asked]).toEqual([200, 'fine', 2])
  })

  const garbled: Readonly<Record<string, string>> = {
    'split by a bare carriage return': 'HTTP/1.1 200 OK\r\nX: a\rSet-Cookie: evil=1\r\nContent-Length: 0\r\n\r\n',
    'split by a NUL': 'HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n',
    folded: 'HTTP/1.1 200 OK\r\nX: a\r\n Set-Cookie: evil=1\r\nContent-Length: 0\r\n\r\n',
    'with two lengths': 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!',
    'with a length and chunks': 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    'no HTTP at all': 'SSH-2.0-OpenSSH_9.2\r\n\r\n',
    'an upgrade that nobody asked for': 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n',
    'a head without an end': `HTTP/1.1 200 OK\r\nX: ${'y'.repeat(40_000)}\r\n\r\n`,
  }
  for (const [what, answer] of Object.entries(garbled)) {
    test(`an answer that is ${what} is 502 or cut, and nothing of it splits ours`, async () => {
      const gateway = await start(await startRawUpstream(answer, () => {}), {
        upstream: { retry: { attempts: 1, baseMs: 1, capMs: 1 } },
      })
      const seen = await sendRaw(gateway.port, get, (all) => all.endsWith('}}'))
      expect(seen).not.toMatch(/Set-Cookie/i)
      if (seen !== '') expect(seen).toMatch(/^HTTP\/1.1 502/)
    })
  }

  test('a client whose body turns out malformed while it is answered is cut off, with nothing put into its answer', async () => {
    const gateway = await start((_request, response) => {
      response.writeHead(200, { 'content-length': '5000' })
      response.write('half')
    })
    const { socket, answer } = await openRaw(gateway.port)
    socket.write('POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n')
    await until('the first half is here', () => answer().endsWith('half'))
    socket.write('zz\r\n')
    await until('it is cut off', () => socket.closed)
    expect(answer()).toMatch(/half$/)
  })
})
