// Real servers on real sockets: node:http, fastify, and express' contract: a request on which a parser of the body ran before.

import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { type FastifyInstance, fastify } from 'fastify'
import { afterEach, describe, expect, test } from 'vitest'
import { createMemoryInbox } from './memory-inbox.ts'
import { verifyReceipt } from './receipt.ts'
import { type Receive, receiveOnce } from './receive-once.ts'
import { toExpress, toFastify, toNodeHandler } from './servers.ts'
import { EVENT, OTHER_SECRET, SECRET, type Signed, signWebhook } from './signing.fixture.ts'
import type { CloudEvent } from './verify.ts'

let open = new AsyncDisposableStack()
afterEach(async () => {
  await open.disposeAsync()
  open = new AsyncDisposableStack()
})

interface Bed {
  readonly receive: Receive
  readonly applied: CloudEvent[]
  readonly errors: unknown[]
}

function createReceiver(more: { maxBytes?: number; fails?: () => boolean } = {}): Bed {
  const applied: CloudEvent[] = []
  const errors: unknown[] = []
  const receive = receiveOnce({
    inbox: createMemoryInbox(),
    secrets: [SECRET, OTHER_SECRET],
    ...(more.maxBytes === undefined ? {} : { maxBytes: more.maxBytes }),
    apply: (event) => {
      if (more.fails?.() === true) throw new Error('the password is hunter2')
      applied.push(event)
    },
    onError: (error) => {
      errors.push(error)
      throw new Error('a log that fails')
    },
  })
  return { receive, applied, errors }
}

type Listener = (request: IncomingMessage, response: ServerResponse) => unknown

async function listen(listener: Listener): Promise<string> {
  const server: Server = createServer((request, response) => void listener(request, response))
  open.defer(() => {
    server.closeAllConnections()
    server.close()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
}

const send = (url: string, { headers, body }: Signed) =>
  fetch(url, { method: 'POST', headers, body: new Uint8Array(body) })

const errorOf = async (response: Response) =>
  [response.status, ((await response.json()) as { error: { code: string } }).error.code] as const

/** What both kinds of server must do. */
async function expectOnce(url: string, bed: Bed): Promise<void> {
  const signed = signWebhook()
  for (const said of ['applied', 'duplicate'] as const) {
    const response = await send(url, signed)
    expect(response.status).toBe(200)
    expect(await response.json()).toEqual({ data: { webhook_id: 'msg_1', receipt: said } })
    const receipt = response.headers.get('webhook-receipt')
    expect(verifyReceipt({ receipt, id: 'msg_1', secrets: SECRET })).toBe(said)
  }
  expect(bed.applied).toEqual([JSON.parse(EVENT)])
  // Signed by the other secret, the receipt is by that one too: the sender knows it for sure.
  const rotated = await send(url, signWebhook({ id: 'msg_2', secrets: [OTHER_SECRET] }))
  const receipt = rotated.headers.get('webhook-receipt')
  expect(verifyReceipt({ receipt, id: 'msg_2', secrets: OTHER_SECRET })).toBe('applied')
}

async function expectRefusals(url: string, bed: Bed): Promise<void> {
  const forged = { ...signWebhook(), body: Buffer.from('{}') }
  expect(await errorOf(await send(url, forged))).toEqual([401, 'SIGNATURE_INVALID'])
  expect(await errorOf(await send(url, signWebhook({ seconds: 1 })))).toEqual([401, 'TIMESTAMP_REFUSED'])
  const { 'webhook-id': _, ...headers } = signWebhook().headers
  expect(await errorOf(await send(url, { ...signWebhook(), headers }))).toEqual([400, 'WEBHOOK_MALFORMED'])
  expect(await errorOf(await send(url, { ...signWebhook(), body: Buffer.alloc(0) }))).toEqual([
    401,
    'SIGNATURE_INVALID',
  ])
  expect(bed.applied).toEqual([])
  expect(bed.errors).toHaveLength(4)
}

describe('node:http', () => {
  test('SK11: applies once, and says so in a signed receipt', async () => {
    const bed = createReceiver()
    await expectOnce(await listen(toNodeHandler(bed.receive)), bed)
  })

  test('SK12: what is forged, old or malformed is refused, and never applied', async () => {
    const bed = createReceiver()
    await expectRefusals(await listen(toNodeHandler(bed.receive)), bed)
  })

  test('SK2: a header that is sent twice is seen as such', async () => {
    const bed = createReceiver()
    const url = new URL(await listen(toNodeHandler(bed.receive)))
    const { headers, body } = signWebhook()
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`)
    for (const name of ['webhook-id', 'webhook-timestamp', 'webhook-signature']) {
      const socket = connect(Number(url.port), url.hostname)
      const twice = [
        ...lines,
        `${name}: ${headers[name]}`,
        `content-length: ${body.length}`,
        'connection: close',
        'host: x',
      ]
      socket.write(`POST / HTTP/1.1\r\n${twice.join('\r\n')}\r\n\r\n`)
      socket.write(body)
      const chunks = await Array.fromAsync<Buffer>(socket)
      expect(Buffer.concat(chunks).toString()).toMatch(/^HTTP\/1.1 400[\s\S]*WEBHOOK_MALFORMED/)
    }
    expect(bed.applied).toEqual([])
  })

  test('SK11: an effect that fails is answered with 500 that tells nothing, and the repetition is applied', async () => {
    let failures = 1
    const bed = createReceiver({ fails: () => failures-- > 0 })
    const url = await listen(toNodeHandler(bed.receive))
    const failed = await send(url, signWebhook())
    expect(failed.headers.get('webhook-receipt')).toBeNull()
    const text = await failed.text()
    expect([failed.status, text.includes('APPLY_FAILED'), text.includes('hunter2')]).toEqual([500, true, false])
    expect(String(bed.errors[0])).toContain('hunter2')
    expect((await send(url, signWebhook())).headers.get('webhook-receipt')).toMatch(/^applied /)
  })

  test('SK5: a body over the bound is 413, whether its head says so or not; up to the bound it is taken', async () => {
    const bed = createReceiver({ maxBytes: 20_000 })
    const url = await listen(toNodeHandler(bed.receive))
    const long = (bytes: number) => signWebhook({ body: JSON.stringify('x'.repeat(bytes - 2)) })
    expect((await send(url, long(20_000))).status).toBe(200)
    expect(await errorOf(await send(url, long(20_001)))).toEqual([413, 'PAYLOAD_TOO_LARGE'])
    const { headers, body } = long(500_000)
    const chunked = await fetch(url, {
      method: 'POST',
      headers,
      body: new Blob([new Uint8Array(body)]).stream(),
      duplex: 'half',
    })
    expect(await errorOf(chunked)).toEqual([413, 'PAYLOAD_TOO_LARGE'])
    expect((await send(url, signWebhook({ id: 'msg_2' }))).status).toBe(200)
  })

  test('SK5: an endless body is cut off', async () => {
    const bed = createReceiver({ maxBytes: 1_000 })
    const url = new URL(await listen(toNodeHandler(bed.receive)))
    const socket = connect(Number(url.port), url.hostname)
    socket.on('error', () => {})
    let sent = 0
    const chunk = Buffer.from(`4000\r\n${'x'.repeat(16_384)}\r\n`)
    const more = (): void => {
      while (!socket.destroyed && sent < 64_000_000) {
        sent += chunk.length
        if (!socket.write(chunk)) return void socket.once('drain', more)
      }
    }
    socket.write('POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n')
    more()
    socket.resume()
    await new Promise((resolve) => socket.once('close', resolve))
    expect(sent).toBeLessThan(32_000_000)
    expect(bed.errors[0]).toMatchObject({ code: 'PAYLOAD_TOO_LARGE' })
  })

  test('SK12: a sender that leaves in the middle of its body leaves nothing behind', async () => {
    const bed = createReceiver()
    const { promise: over, resolve } = Promise.withResolvers<void>()
    const url = new URL(
      await listen(async (request, response) => {
        await toNodeHandler(bed.receive)(request, response)
        resolve()
      }),
    )
    const socket = connect(Number(url.port), url.hostname)
    socket.write('POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{')
    await once(socket, 'connect')
    socket.end()
    await over
    expect(bed.errors[0]).toMatchObject({ code: 'WEBHOOK_MALFORMED' })
    expect(bed.applied).toEqual([])
  })

  test('another method than POST is 405', async () => {
    const response = await fetch(await listen(toNodeHandler(createReceiver().receive)))
    expect([response.status, response.headers.get('allow')]).toEqual([405, 'POST'])
  })
})

describe('express', () => {
  /** What express.json(), express.raw() and its `verify` hook do to a request, in as many lines. */
  const parseFirst =
    (assign: (bytes: Buffer) => object, handler: Listener): Listener =>
    async (request, response) => {
      const chunks: Buffer[] = []
      for await (const chunk of request) chunks.push(chunk as Buffer)
      await handler(Object.assign(request, assign(Buffer.concat(chunks))), response)
    }

  test('SK11: without a parser, behind express.raw() or express.text(), and with rawBody, it applies once', async () => {
    const parsers = [
      (handler: Listener): Listener => handler,
      (handler: Listener) => parseFirst((body) => ({ body }), handler),
      (handler: Listener) => parseFirst((body) => ({ body: String(body) }), handler),
      (handler: Listener) => parseFirst((rawBody) => ({ rawBody, body: JSON.parse(String(rawBody)) }), handler),
      // A parser that passes over other content types leaves an empty object and an unread request.
      (handler: Listener): Listener =>
        (request, response) =>
          handler(Object.assign(request, { body: {} }), response),
    ]
    for (const parser of parsers) {
      const bed = createReceiver()
      await expectOnce(await listen(parser(toExpress(bed.receive))), bed)
    }
  })

  test('SK6: behind express.json() it says what is wrong, instead of a forged signature', async () => {
    const parsers = [
      (bytes: Buffer) => ({ body: JSON.parse(String(bytes)) }),
      (bytes: Buffer) => ({ body: { ...JSON.parse(String(bytes)) } }),
      () => ({ body: undefined }),
      () => ({}),
    ]
    for (const parser of parsers) {
      const bed = createReceiver()
      const response = await send(await listen(parseFirst(parser, toExpress(bed.receive))), signWebhook())
      const { error } = (await response.json()) as { error: { code: string; message: string } }
      expect([response.status, error.code]).toEqual([500, 'BODY_PARSED'])
      expect(error.message).toContain('before express.json()')
      expect(bed.applied).toEqual([])
    }
  })
})

describe('fastify', () => {
  async function start(prepare: (app: FastifyInstance) => unknown): Promise<string> {
    const app = fastify()
    await prepare(app)
    open.defer(() => app.close())
    return app.listen({ port: 0, host: '127.0.0.1' })
  }

  test('SK11: applies once, whatever the content type, and leaves the parsers of other routes alone', async () => {
    const bed = createReceiver()
    const url = await start((app) => {
      app.register(toFastify(bed.receive, '/webhooks'))
      app.post('/other', (request) => ({ body: request.body }))
    })
    await expectOnce(`${url}/webhooks`, bed)
    for (const [index, type] of ['application/json', 'text/plain', 'application/x-odd'].entries())
      expect(
        (await send(`${url}/webhooks`, signWebhook({ id: `msg_t${index}`, headers: { 'content-type': type } }))).status,
      ).toBe(200)
    const other = await fetch(`${url}/other`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"a":1}',
    })
    expect(await other.json()).toEqual({ body: { a: 1 } })
  })

  test('SK5, SK12: refuses what is forged, and what is too long', async () => {
    const bed = createReceiver({ maxBytes: 20_000 })
    const url = await start((app) => app.register(toFastify(bed.receive, '/webhooks')))
    await expectRefusals(`${url}/webhooks`, bed)
    const long = signWebhook({ body: JSON.stringify('x'.repeat(500_000)) })
    expect(await errorOf(await send(`${url}/webhooks`, long))).toEqual([413, 'PAYLOAD_TOO_LARGE'])
  })

  test('SK6: the node handler in a fastify route, behind its parser, says what is wrong', async () => {
    const bed = createReceiver()
    const url = await start((app) =>
      app.post('/webhooks', async (request, reply) => {
        reply.hijack()
        await toNodeHandler(bed.receive)(request.raw, reply.raw)
      }),
    )
    const signed = signWebhook({ headers: { 'content-type': 'application/json' } })
    expect(await errorOf(await send(`${url}/webhooks`, signed))).toEqual([500, 'BODY_PARSED'])
  })
})
