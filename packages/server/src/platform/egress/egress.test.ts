import { createEnv, RipstopError } from '@ripstop/kernel'
import { afterEach, describe, expect, test } from 'vitest'
import { until } from '../../testing/processes.ts'
import { answer, failure, root, send, startEgress, startPeer } from './testing.fixture.ts'

let open = new AsyncDisposableStack()
afterEach(async () => {
  await open.disposeAsync()
  open = new AsyncDisposableStack()
})

describe('answers', () => {
  test('EG5: what was sent arrives, what was answered comes back, and connections are used again', async () => {
    const peer = await startPeer(open, (socket) => socket.write(answer('fine', 'X-Kind: a\r\nX-Kind: b\r\n')))
    const egress = startEgress(open)
    const url = egress.prepare(new URL('/a%20b?c=d#e', peer.url))
    for (const body of ['{"é":1}', Buffer.from('bytes'), undefined]) {
      const headers = { 'webhook-id': 'evt_1' }
      const got = await egress.request(root.within(5_000), { url, method: 'POST', headers, body, answerBytesMax: 100 })
      expect([got.status, got.body.toString(), got.isCut, got.headers['x-kind']]).toEqual([
        200,
        'fine',
        false,
        ['a', 'b'],
      ])
    }
    expect(peer.sockets.length).toBeLessThan(3) // undici frees a connection a turn after its answer
    expect(peer.bytes()).toContain('POST /a%20b?c=d HTTP/1.1\r\n')
    expect(peer.bytes()).toContain(`host: 127.0.0.1:${peer.port}\r\n`)
    expect(peer.bytes()).toContain('content-length: 8\r\n')
    expect(peer.bytes()).toContain('webhook-id: evt_1\r\n')
  })

  test('a redirect is an answer like any other: nobody goes there', async () => {
    const inside = await startPeer(open)
    const location = `Location: http://127.0.0.1:${inside.port}/\r\n`
    for (const status of [301, 302, 303, 307, 308]) {
      const peer = await startPeer(open, (socket) =>
        socket.write(`HTTP/1.1 ${status} There\r\n${location}Content-Length: 0\r\n\r\n`),
      )
      expect((await send(startEgress(open), peer.url)).status).toBe(status)
    }
    expect(inside.sockets).toEqual([])
  })

  test('EG6: an endless answer is cut at the bound and its connection closed', async () => {
    const peer = await startPeer(open, (socket) => {
      socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n')
      const more = (): void => {
        while (!socket.destroyed && socket.write(`1000\r\n${'y'.repeat(4_096)}\r\n`)) {}
        if (!socket.destroyed) socket.once('drain', more)
      }
      more()
    })
    const got = await send(startEgress(open), peer.url, 5_000, 10_000)
    expect([got.status, got.body.length, got.isCut]).toEqual([200, 10_000, true])
    await until('the connection is closed', () => peer.sockets[0]?.destroyed)
  })

  test('EG6: an answer of just the bound is whole, one byte more is cut, and without room nothing is kept', async () => {
    const peer = await startPeer(open, (socket) => socket.write(answer('x'.repeat(1_000))))
    const egress = startEgress(open)
    const sizes = [1_000, 999, 0].map(async (max) => {
      const { body, isCut } = await send(egress, peer.url, 5_000, max)
      return [body.length, isCut]
    })
    expect(await Promise.all(sizes)).toEqual([
      [1_000, false],
      [999, true],
      [0, true],
    ])
  })

  test('a connection that the peer closed after its answer is not used again', async () => {
    const peer = await startPeer(open, (socket) => socket.end(answer()))
    const egress = startEgress(open)
    for (let round = 1; round <= 10; round++) {
      expect((await send(egress, peer.url)).status).toBe(200)
      await until('it is closed on both sides', () => peer.sockets[round - 1]?.closed)
    }
    expect(peer.sockets.length).toBe(10)
  })
})

describe('broken peers', () => {
  const dripping = ['head', 'body'] as const
  test.each(dripping)(
    'EG5, EG7: a %s that drips ends at the deadline, and says whether there was a status',
    async (part) => {
      const peer = await startPeer(open, (socket) => {
        socket.write(part === 'head' ? 'HTTP/1.1 200 OK\r\nX-' : 'HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n')
        const drip = setInterval(() => socket.write('a'), 5)
        socket.on('close', () => clearInterval(drip))
      })
      expect(await failure(send(startEgress(open), peer.url, 150))).toEqual({
        code: 'DEADLINE_EXCEEDED',
        sent: 'maybe',
        details: part === 'head' ? {} : { status: 200 },
      })
      await until('the connection is closed', () => peer.sockets[0]?.destroyed)
    },
  )

  test('EG5: one that breaks off in mid-body or says nothing: maybe sent', async () => {
    const half = 'HTTP/1.1 201 OK\r\nContent-Length: 100\r\n\r\nhalf'
    for (const how of ['end', 'resetAndDestroy'] as const) {
      for (const bytes of [half, '']) {
        const peer = await startPeer(open, (socket) => {
          if (bytes === '') socket[how]()
          else socket.write(bytes, () => setImmediate(() => socket[how]()))
        })
        const { code, sent, details } = await failure(send(startEgress(open), peer.url))
        expect([code, sent], `${how} ${bytes}`).toEqual(['LINK_LOST', 'maybe'])
        if (how === 'end' && bytes !== '') expect(details.status).toBe(201)
      }
    }
  })

  test('EG5: one that closes at once: it says which it was, no connection or a lost one', async () => {
    const peer = await startPeer(open)
    const outcomes = new Set<string>()
    for (let round = 0; round < 20; round++) {
      await using own = new AsyncDisposableStack()
      const closing = await startPeer(own)
      closing.sockets.push = (socket) => {
        socket.resetAndDestroy()
        return 0
      }
      const { code, sent } = await failure(send(startEgress(own), closing.url))
      outcomes.add(`${code} ${sent}`)
    }
    expect([...outcomes].filter((seen) => !['LINK_LOST maybe', 'LINK_DOWN no'].includes(seen))).toEqual([])
    expect((await send(startEgress(open), peer.url)).status).toBe(200)
  })

  const garbage: Readonly<Record<string, string>> = {
    'another protocol': 'SSH-2.0-OpenSSH_9.2\r\n\r\n',
    'two lengths': 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!',
    'a head that is too long': `HTTP/1.1 200 OK\r\nX-Long: ${'x'.repeat(20_000)}\r\n\r\n`,
    'too many headers': `HTTP/1.1 200 OK\r\n${'X-Many: y\r\n'.repeat(3_000)}\r\n`,
    'an upgrade that nobody asked for': 'HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n',
    'a leave to go on that nobody waits for': 'HTTP/1.1 100 Continue\r\n\r\n',
    'a chunk of no size': 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n',
  }
  test.each(Object.keys(garbage))('EG5: %s is a failure of the peer', async (what) => {
    const peer = await startPeer(open, (socket) => socket.write(garbage[what] ?? ''))
    const { code, sent } = await failure(send(startEgress(open), peer.url, 5_000))
    expect([['PEER_FAILED', 'LINK_LOST'].includes(code), sent], code).toEqual([true, 'maybe'])
  })

  test('EG7: a request whose time ends while it waits for a connection is never sent', async () => {
    const held: (() => void)[] = []
    const peer = await startPeer(open, (socket) => void held.push(() => socket.write(answer())))
    const egress = startEgress(open, { connectionsPerOrigin: 1 })
    const first = send(egress, new URL('/first', peer.url))
    await until('the first is there', () => held.length === 1)
    expect(await failure(send(egress, new URL('/late', peer.url), 50))).toEqual({
      code: 'DEADLINE_EXCEEDED',
      sent: 'no',
      details: {},
    })
    const ctx = root.within(5_000)
    const options = {
      url: new URL('/unwanted', peer.url),
      method: 'POST',
      headers: {},
      body: 'x',
      answerBytesMax: 9,
    } as const
    const unwanted = failure(egress.request(ctx, options))
    ctx.cancel(new RipstopError('CANCELLED', 'enough'))
    expect(await unwanted).toMatchObject({ code: 'CANCELLED', sent: 'no' })
    expect(await failure(egress.request(ctx, options))).toMatchObject({ code: 'CANCELLED', sent: 'no' })
    held[0]?.()
    expect((await first).status).toBe(200)
    const last = send(egress, new URL('/last', peer.url))
    await until('the last is there', () => held.length === 2)
    held[1]?.()
    expect((await last).status).toBe(200)
    expect(peer.bytes()).not.toMatch(/late|unwanted/)
    expect(peer.sockets.length).toBe(1)
  })

  test('what the caller may not send is refused, and nothing goes out', async () => {
    const peer = await startPeer(open)
    const egress = startEgress(open)
    const bad: readonly Record<string, string>[] = [
      { host: 'inside.example' },
      { HOST: 'inside.example' },
      { 'x-a': 'b\r\nx-c: d' },
      { 'x a': 'b' },
      { 'transfer-encoding': 'chunked' },
      { 'content-length': '99' },
    ]
    for (const headers of bad) {
      const request = { url: peer.url, method: 'POST', headers, body: 'x', answerBytesMax: 9 } as const
      const { code, sent, details } = await failure(egress.request(root.within(2_000), request))
      expect([code, sent, details.reason], JSON.stringify(headers)).toEqual(['EGRESS_REFUSED', 'no', 'request'])
    }
    expect(peer.bytes()).toBe('')
  })
})

describe('bounds', () => {
  const hang = (): void => {}

  test('EG8: for one origin too many the pool that was idle longest goes, and with all busy there is a refusal', async () => {
    const peers = [await startPeer(open), await startPeer(open), await startPeer(open), await startPeer(open, hang)]
    const [first, second, third, busy] = peers.map(({ url }) => url) as [URL, URL, URL, URL]
    const egress = startEgress(open, { originsMax: 2, keepAliveMs: 60_000 })
    for (const url of [first, second, first, third]) await send(egress, url)
    await until('the second is closed', () => peers[1]?.sockets[0]?.destroyed)
    expect([egress.origins, peers[0]?.sockets[0]?.destroyed]).toEqual([2, false])
    const hanging = failure(send(egress, busy, 300))
    await using other = new AsyncDisposableStack()
    const hangingToo = failure(send(egress, (await startPeer(other, hang)).url, 300))
    expect(await failure(send(egress, first))).toMatchObject({ code: 'OVERLOADED', sent: 'no' })
    expect((await hanging).code).toBe('DEADLINE_EXCEEDED')
    expect((await hangingToo).code).toBe('DEADLINE_EXCEEDED')
    expect((await send(egress, first)).status).toBe(200)
  })

  test('EG8: an idle pool is closed, and then nothing is armed any more', async () => {
    const own = createEnv()
    const peer = await startPeer(open)
    const egress = startEgress(open, { env: own, keepAliveMs: 50 })
    await send(egress, peer.url)
    expect(egress.origins).toBe(1)
    await until('the pool is closed', () => egress.origins === 0 && peer.sockets[0]?.destroyed)
    expect(own.wheel.armed).toBe(0)
    await send(egress, peer.url)
    expect([egress.origins, own.wheel.armed]).toEqual([1, 1])
    await until('the pool is closed again', () => egress.origins === 0)
  })

  test('EG9: no more connections than allowed, and no more waiting requests than bounded', async () => {
    const peer = await startPeer(open, hang)
    const egress = startEgress(open, { connectionsPerOrigin: 2 })
    const all = root.within(10_000)
    const request = { url: peer.url, method: 'GET', headers: {}, body: undefined, answerBytesMax: 9 } as const
    const requests = Array.from({ length: 1_030 }, () => failure(egress.request(all.within(10_000), request)))
    await until('two are under way', () => peer.bytes().split('GET /').length === 3)
    expect(peer.sockets.length).toBe(2)
    all.cancel()
    const outcomes = (await Promise.all(requests)).map(({ code, sent }) => `${code} ${sent}`)
    const count = (outcome: string): number => outcomes.filter((other) => other === outcome).length
    expect([count('OVERLOADED no'), count('CANCELLED no'), count('CANCELLED maybe')]).toEqual([4, 1_024, 2])
  })

  test('one that hangs holds up no other', async () => {
    const hanging = await startPeer(open, hang)
    const peer = await startPeer(open)
    const egress = startEgress(open, { connectionsPerOrigin: 1 })
    const pending = Array.from({ length: 10 }, () => failure(send(egress, hanging.url, 1_000)))
    expect((await send(egress, peer.url)).status).toBe(200)
    await egress[Symbol.asyncDispose]()
    await Promise.all(pending)
  })

  test('when it is disposed of, what is under way is told so, and nothing new begins', async () => {
    const peer = await startPeer(open, hang)
    const egress = startEgress(open, { connectionsPerOrigin: 1 })
    const started = failure(send(egress, peer.url))
    await until('it is under way', () => peer.bytes() !== '')
    const waiting = failure(send(egress, peer.url))
    await Promise.all([egress[Symbol.asyncDispose](), egress[Symbol.asyncDispose]()])
    expect(await started).toMatchObject({ code: 'LINK_CLOSED', sent: 'maybe' })
    expect(await waiting).toMatchObject({ code: 'LINK_CLOSED', sent: 'no' })
    expect(await failure(send(egress, peer.url))).toMatchObject({ code: 'LINK_CLOSED', sent: 'no' })
    await until('its connection is closed', () => peer.sockets[0]?.destroyed)
  })

  test('a ctx without a deadline gets one', async () => {
    const peer = await startPeer(open)
    const egress = startEgress(open)
    const request = { url: peer.url, method: 'GET', headers: {}, body: undefined, answerBytesMax: 9 } as const
    expect((await egress.request(root, request)).status).toBe(200)
  })
})
