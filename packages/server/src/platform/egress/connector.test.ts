import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'
import { afterEach, describe, expect, test } from 'vitest'
import { findFreePort, until } from '../../testing/processes.ts'
import { createConnector, type Lookup } from './connector.ts'
import { CERTIFICATE, KEY } from './self-signed.fixture.ts'
import { answer, failure, send, startEgress, startPeer } from './testing.fixture.ts'

let open = new AsyncDisposableStack()
afterEach(async () => {
  await open.disposeAsync()
  open = new AsyncDisposableStack()
})

/** Names by their answers; a list of lists answers each question with the next one. */
function createLookup(answers: readonly (readonly string[])[]) {
  const asked: string[] = []
  const lookup: Lookup = (hostname, _options, done) => {
    const addresses = answers[Math.min(asked.length, answers.length - 1)] ?? []
    asked.push(hostname)
    done(
      null,
      addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
    )
  }
  return { lookup, asked }
}

const named = (port: number): URL => new URL(`http://hooks.example.com:${port}/`)

describe('names', () => {
  const inside = [
    '127.0.0.1',
    '10.0.0.1',
    '169.254.169.254',
    '::1',
    '::ffff:127.0.0.1',
    'fd00:ec2::254',
    '64:ff9b::7f00:1',
  ]
  test.each(inside)('EG3: a name that stands for %s leads nowhere', async (address) => {
    const { lookup, asked } = createLookup([[address]])
    const peer = await startPeer(open)
    const egress = startEgress(open, { allow: [], lookup })
    const { code, sent, details } = await failure(send(egress, named(peer.port)))
    expect([code, sent, details.reason, asked, peer.sockets.length]).toEqual([
      'EGRESS_REFUSED',
      'no',
      'address',
      ['hooks.example.com'],
      0,
    ])
    expect(JSON.stringify(details)).not.toContain(address)
  })

  test('EG3: of several answers only the allowed ones are used, whatever their order', async () => {
    const peer = await startPeer(open)
    const other = await startPeer(open, undefined, '127.0.0.2', peer.port)
    const { lookup } = createLookup([['127.0.0.2', '::1', '127.0.0.1', '10.255.255.1']])
    const egress = startEgress(open, { lookup })
    expect((await send(egress, named(peer.port))).status).toBe(200)
    expect([peer.sockets.length, other.sockets.length]).toEqual([1, 0])
  })

  test('EG3: a name that changes its mind is asked for each connection, and what it says is what is connected to', async () => {
    const peer = await startPeer(open, (socket) => socket.end(answer('ok', 'Connection: close\r\n')))
    const other = await startPeer(open, undefined, '127.0.0.2', peer.port)
    const { lookup, asked } = createLookup([['127.0.0.1'], ['127.0.0.2']])
    const egress = startEgress(open, { lookup })
    expect((await send(egress, named(peer.port))).status).toBe(200)
    expect((await failure(send(egress, named(peer.port)))).code).toBe('EGRESS_REFUSED')
    expect([asked.length, peer.sockets.length, other.sockets.length]).toEqual([2, 1, 0])
  })

  test('a name that does not exist, or whose server is silent, is told from one that is refused', async () => {
    for (const code of ['ENOTFOUND', 'EAI_AGAIN']) {
      const lookup: Lookup = (_name, _options, done) => done(Object.assign(new Error(code), { code }), [])
      const egress = startEgress(open, { allow: [], lookup })
      expect(await failure(send(egress, named(80)))).toEqual({
        code: 'LINK_DOWN',
        sent: 'no',
        details: { cause: code },
      })
    }
    const { lookup } = createLookup([[]])
    expect((await failure(send(startEgress(open, { allow: [], lookup }), named(80)))).code).toBe('EGRESS_REFUSED')
  })
})

describe('literals', () => {
  test('EG3: an address that is connected to as one is refused without a question to anybody', async () => {
    const { lookup, asked } = createLookup([['1.1.1.1']])
    const peer = await startPeer(open, undefined, '127.0.0.2')
    const egress = startEgress(open, { lookup })
    for (const host of ['127.0.0.2', '[::1]', '[::ffff:127.0.0.2]', '169.254.169.254']) {
      // As if it had never been checked.
      const url = { origin: `http://${host}:${peer.port}`, path: '/' }
      expect((await failure(send(egress, url))).code, host).toBe('EGRESS_REFUSED')
    }
    expect((await failure(send(egress, peer.url))).code).toBe('EGRESS_REFUSED')
    expect([asked.length, peer.sockets.length]).toEqual([0, 0])
  })

  test('EG2, EG3: what is allowed is reached', async () => {
    const peer = await startPeer(open)
    const egress = startEgress(open)
    expect((await send(egress, peer.url)).status).toBe(200)
    expect((await send(egress, new URL(`http://2130706433:${peer.port}/`))).status).toBe(200)
  })
})

describe('open connections', () => {
  test.each(['http:', 'https:'])(
    'EG4: %s to a peer that is not who was asked for ends before a byte is sent',
    async (protocol) => {
      const peer = await startPeer(open)
      let questions = 0
      // Lets the name pass, and refuses the same address once it is connected: what a rewriting network would do.
      const guard = { isOpen: false, mayReach: () => ++questions <= 1 }
      const connect = createConnector({ guard, lookup: createLookup([['127.0.0.1']]).lookup, connectTimeoutMs: 1_000 })
      const { promise, resolve } = Promise.withResolvers<unknown>()
      const hostname = 'hooks.example.com'
      connect({ hostname, host: hostname, protocol, port: String(peer.port) }, (error, socket) =>
        resolve(error ?? socket),
      )
      expect(await promise).toMatchObject({ code: 'EGRESS_REFUSED', sent: 'no' })
      await until('the peer sees the end', () => peer.sockets[0]?.readableEnded === true || peer.sockets[0]?.destroyed)
      expect(peer.bytes()).toBe('')
    },
  )

  test('a TLS peer must prove its name, whatever the environment says', async () => {
    const server = createTlsServer({ key: KEY, cert: CERTIFICATE }, (socket) => socket.write(answer()))
    server.on('tlsClientError', () => {})
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    open.defer(() => void server.close())
    const before = process.env.NODE_TLS_REJECT_UNAUTHORIZED
    process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0'
    open.defer(() => {
      if (before === undefined) delete process.env.NODE_TLS_REJECT_UNAUTHORIZED
      else process.env.NODE_TLS_REJECT_UNAUTHORIZED = before
    })
    const url = new URL(`https://127.0.0.1:${(server.address() as AddressInfo).port}/`)
    expect(await failure(send(startEgress(open), url))).toEqual({
      code: 'LINK_DOWN',
      sent: 'no',
      details: { cause: 'DEPTH_ZERO_SELF_SIGNED_CERT' },
    })
  })

  test('a peer that speaks no TLS, or nobody at all, is no connection: nothing was sent', async () => {
    const peer = await startPeer(open, (socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'))
    const { code, sent, details } = await failure(send(startEgress(open), new URL(`https://127.0.0.1:${peer.port}/`)))
    expect([code, sent]).toEqual(['LINK_DOWN', 'no'])
    expect(details.cause).toMatch(/^(ERR_SSL_|EPROTO)/)
    const port = await findFreePort()
    const refused = await failure(send(startEgress(open), new URL(`http://127.0.0.1:${port}/`)))
    expect(refused).toEqual({ code: 'LINK_DOWN', sent: 'no', details: { cause: 'ECONNREFUSED' } })
  })

  test('no proxy of the environment is used', async () => {
    const proxy = await startPeer(open)
    const peer = await startPeer(open)
    const names = ['HTTP_PROXY', 'http_proxy', 'HTTPS_PROXY', 'ALL_PROXY', 'NODE_USE_ENV_PROXY']
    const before = names.map((name) => [name, process.env[name]] as const)
    for (const name of names) process.env[name] = name === 'NODE_USE_ENV_PROXY' ? '1' : `http://127.0.0.1:${proxy.port}`
    open.defer(() => {
      for (const [name, value] of before) {
        if (value === undefined) delete process.env[name]
        else process.env[name] = value
      }
    })
    expect((await send(startEgress(open), peer.url)).status).toBe(200)
    expect(proxy.sockets).toEqual([])
  })
})
