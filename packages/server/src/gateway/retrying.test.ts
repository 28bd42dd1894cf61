// What is tried again, and what is not.

import type { RequestListener } from 'node:http'
import { afterEach, describe, expect, test } from 'vitest'
import { startTestBed, type TestBed } from '../testing/gateway.ts'

let open = new AsyncDisposableStack()
afterEach(async () => {
  await open.disposeAsync()
  open = new AsyncDisposableStack()
})

const start = (upstream: RequestListener | number, bed?: TestBed) => startTestBed(open, upstream, bed)

const errorOf = async (response: Response) =>
  ((await response.json()) as { error: { code: string; retry_after_ms?: number; details: Record<string, unknown> } })
    .error

describe('retries', () => {
  const flaky = (failures: number, status = 503) => {
    const seen: string[] = []
    const listener: RequestListener = async (request, response) => {
      const chunks: Buffer[] = []
      for await (const chunk of request) chunks.push(chunk as Buffer)
      seen.push(`${request.method} ${Buffer.concat(chunks)} ${request.headers['idempotency-key'] ?? ''}`.trim())
      if (seen.length <= failures) response.statusCode = status
      response.end(`answer ${seen.length}`)
    }
    return { seen, listener }
  }

  test('EX2: an idempotent request is tried again after 502, 503 and 504, with its body', async () => {
    for (const status of [502, 503, 504]) {
      const { seen, listener } = flaky(2, status)
      const gateway = await start(listener)
      const response = await fetch(`${gateway.url}/a`, { method: 'PUT', body: 'hello' })
      expect([response.status, await response.text()]).toEqual([200, 'answer 3'])
      expect(seen).toEqual(['PUT hello', 'PUT hello', 'PUT hello'])
    }
  })

  test('EX2: the last failure passes through as it is', async () => {
    const { seen, listener } = flaky(9)
    const gateway = await start(listener)
    const response = await fetch(`${gateway.url}/a`)
    expect([response.status, await response.text(), seen.length]).toEqual([503, 'answer 3', 3])
  })

  test('EX2: a failure of another kind is an answer, and is not tried again', async () => {
    const { seen, listener } = flaky(1, 500)
    const gateway = await start(listener)
    expect((await fetch(`${gateway.url}/a`)).status).toBe(500)
    expect(seen).toHaveLength(1)
  })

  test('EX2: a POST is sent once, unless its upstream takes it twice: then always with the same key', async () => {
    const plain = flaky(1)
    const once = await start(plain.listener)
    expect((await fetch(`${once.url}/a`, { method: 'POST', body: 'x' })).status).toBe(503)
    expect(plain.seen).toHaveLength(1)

    const keyed = flaky(1)
    const twice = await start(keyed.listener, { route: { upstreamIdempotent: true } })
    const headers = { 'idempotency-key': 'k1' }
    expect((await fetch(`${twice.url}/a`, { method: 'POST', body: 'x', headers })).status).toBe(200)
    expect(keyed.seen).toEqual(['POST x k1', 'POST x k1'])

    const keyless = flaky(1)
    const made = await start(keyless.listener, { route: { upstreamIdempotent: true } })
    expect((await fetch(`${made.url}/a`, { method: 'POST', body: 'x' })).status).toBe(200)
    expect(keyless.seen[0]).toMatch(/^POST x [0-9a-f-]{36}$/)
    expect(keyless.seen[1]).toBe(keyless.seen[0])
  })

  test('EX2: a connection that breaks before the answer is tried again for GET, and not for POST', async () => {
    for (const method of ['GET', 'POST']) {
      let connections = 0
      const gateway = await start((request, response) => {
        if (++connections === 1) request.socket.resetAndDestroy()
        else response.end('fine')
      })
      const response = await fetch(`${gateway.url}/a`, { method })
      expect(response.status).toBe(method === 'GET' ? 200 : 502)
      if (method === 'POST')
        expect(await errorOf(response)).toMatchObject({ code: 'LINK_LOST', details: { sent: 'maybe' } })
      expect(connections).toBe(method === 'GET' ? 2 : 1)
    }
  })

  test('EX2: a body that was streamed is not sent again', async () => {
    let asked = 0
    const gateway = await start((request, response) => {
      asked++
      request.resume()
      request.on('end', () => {
        response.statusCode = 503
        response.end('no')
      })
    })
    const response = await fetch(`${gateway.url}/a`, { method: 'PUT', body: 'x'.repeat(200_000) })
    expect([response.status, asked]).toEqual([503, 1])
  })

  test('L9: retries stay within the budget of the link', async () => {
    const { seen, listener } = flaky(1_000)
    const gateway = await start(listener, { upstream: { budget: { share: 0.1, perSecond: 1 } } })
    for (let index = 0; index < 50; index++) await fetch(`${gateway.url}/a`).then((response) => response.text())
    expect(seen.length).toBeLessThanOrEqual(50 + 5 + 10)
    expect(seen.length).toBeGreaterThan(50)
  })
})
