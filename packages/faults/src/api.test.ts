import { createConnection } from 'node:net'
import { describe, expect, test } from 'vitest'
import { type FaultApi, startFaultApi } from './api.ts'
import { dial, startServer, until } from './loopback-peers.ts'

async function call(api: FaultApi, method: string, path: string, body?: unknown, headers: Record<string, string> = {}) {
  const init: RequestInit = { method, headers }
  if (body !== undefined) init.body = typeof body === 'string' ? body : JSON.stringify(body)
  const response = await fetch(api.url + path, init)
  const text = await response.text()
  return { status: response.status, json: text === '' ? undefined : JSON.parse(text) }
}

/** A request with headers that fetch does not let through. */
async function callRaw(api: FaultApi, head: string): Promise<string> {
  const socket = createConnection(api.port, '127.0.0.1')
  let text = ''
  socket.on('data', (chunk) => {
    text += chunk
  })
  socket.write(head)
  await until(() => text.includes('}') || socket.closed, 'answered')
  socket.destroy()
  return text
}

describe("Toxiproxy's API", () => {
  test('makes, shows, lists, changes and deletes proxies', async () => {
    await using server = await startServer()
    await using api = await startFaultApi({ port: 0 })
    const upstream = `127.0.0.1:${server.address.port}`
    expect(await call(api, 'GET', '/proxies')).toEqual({ status: 200, json: {} })
    const made = await call(api, 'POST', '/proxies', { name: 'db', listen: '127.0.0.1:0', upstream })
    expect(made).toMatchObject({ status: 201, json: { name: 'db', upstream, enabled: true, toxics: [] } })
    const { listen } = made.json
    expect(listen).toMatch(/^127\.0\.0\.1:\d+$/)
    expect(await call(api, 'GET', '/proxies/db')).toEqual({ status: 200, json: made.json })
    expect(await call(api, 'GET', '/proxies')).toEqual({ status: 200, json: { db: made.json } })

    const off = await call(api, 'PATCH', '/proxies/db', { enabled: false })
    expect(off).toMatchObject({ status: 200, json: { enabled: false, listen } })
    await expect(dial(api.proxy('db'))).rejects.toMatchObject({ code: 'ECONNREFUSED' })
    expect(await call(api, 'POST', '/proxies/db', { enabled: true })).toMatchObject({ json: { enabled: true, listen } })
    await expect(dial(api.proxy('db'))).resolves.toBeDefined()

    expect(await call(api, 'DELETE', '/proxies/db')).toEqual({ status: 204, json: undefined })
    expect(await call(api, 'GET', '/proxies/db')).toMatchObject({
      status: 404,
      json: { error: 'proxy not found', status: 404 },
    })
  })

  test('adds, shows, lists, changes and deletes toxics, and they bite', async () => {
    await using server = await startServer()
    await using api = await startFaultApi({ port: 0 })
    const proxy = await api.createProxy({ name: 'db', upstream: server.address })
    const toxic = {
      name: 'latency_downstream',
      type: 'latency',
      stream: 'downstream',
      toxicity: 1,
      attributes: { latency: 10, jitter: 0 },
    }
    const added = await call(api, 'POST', '/proxies/db/toxics', { type: 'latency', attributes: { latency: 10 } })
    expect(added).toEqual({ status: 200, json: toxic })
    expect(await call(api, 'GET', '/proxies/db/toxics')).toEqual({ status: 200, json: [toxic] })
    const changed = await call(api, 'PATCH', '/proxies/db/toxics/latency_downstream', { attributes: { jitter: 3 } })
    expect(changed).toEqual({ status: 200, json: { ...toxic, attributes: { latency: 10, jitter: 3 } } })
    expect(await call(api, 'POST', '/proxies/db/toxics/latency_downstream', { toxicity: 0.5 })).toMatchObject({
      json: { toxicity: 0.5 },
    })
    expect(await call(api, 'GET', '/proxies/db')).toMatchObject({ json: { toxics: [{ name: 'latency_downstream' }] } })
    expect((await call(api, 'DELETE', '/proxies/db/toxics/latency_downstream')).status).toBe(204)
    expect(await call(api, 'GET', '/proxies/db/toxics/latency_downstream')).toMatchObject({
      status: 404,
      json: { error: 'toxic not found' },
    })
    await call(api, 'POST', '/proxies/db/toxics', { type: 'limit_data', attributes: { bytes: 2 } })
    const client = await dial(proxy)
    client.socket.write('four')
    await until(() => client.ended, 'it bit')
    expect(client.text()).toBe('fo')
  })

  test('populate makes, leaves and replaces; it reports those that were done beside the error', async () => {
    await using server = await startServer()
    await using api = await startFaultApi({ port: 0 })
    const upstream = `127.0.0.1:${server.address.port}`
    const first = await call(api, 'POST', '/populate', [
      { name: 'one', listen: '127.0.0.1:0', upstream },
      { name: 'two', upstream, enabled: false },
    ])
    expect(first.status).toBe(201)
    expect(first.json.proxies.map(({ name, enabled }: { name: string; enabled: boolean }) => [name, enabled])).toEqual([
      ['one', true],
      ['two', false],
    ])
    await api.proxy('one').add({ type: 'latency' })
    const { listen } = first.json.proxies[0]
    await call(api, 'POST', '/populate', [{ name: 'one', listen, upstream }])
    expect(api.proxy('one').toxics().length).toBe(1)
    await call(api, 'POST', '/populate', [{ name: 'one', listen, upstream: '127.0.0.1:1' }])
    expect([api.proxy('one').toxics().length, api.proxy('one').upstream.port]).toEqual([0, 1])

    expect(await call(api, 'POST', '/populate', [{ name: 'three', upstream }, { upstream }])).toMatchObject({
      status: 400,
      json: { error: 'missing required field: name at proxy 2', status: 400, proxies: [] },
    })
    expect(api.proxies().length).toBe(2)
    const clash = [
      { name: 'four', upstream },
      { name: 'five', listen: api.proxy('one').address, upstream },
    ]
    expect(await call(api, 'POST', '/populate', clash)).toMatchObject({
      status: 500,
      json: { status: 500, proxies: [{ name: 'four' }] },
    })
  })

  test('reset enables every proxy and removes every toxic', async () => {
    await using server = await startServer()
    await using api = await startFaultApi({ port: 0 })
    const proxy = await api.createProxy({ name: 'db', upstream: server.address })
    await proxy.add({ type: 'latency' })
    await proxy.disable()
    expect((await call(api, 'POST', '/reset')).status).toBe(204)
    expect([proxy.enabled, proxy.toxics()]).toEqual([true, []])
  })

  test('tells its version', async () => {
    await using api = await startFaultApi({ port: 0 })
    expect(await call(api, 'GET', '/version')).toMatchObject({ status: 200, json: { version: '2.12.0' } })
  })

  test('PC1: of two requests for one name that come at once, one is a conflict', async () => {
    await using server = await startServer()
    await using api = await startFaultApi({ port: 0 })
    const body = { name: 'db', upstream: `127.0.0.1:${server.address.port}` }
    const both = await Promise.all([call(api, 'POST', '/proxies', body), call(api, 'POST', '/proxies', body)])
    expect(both.map(({ status }) => status).sort()).toEqual([201, 409])
    const { upstream } = api.proxy('db')
    const direct = [api.createProxy({ name: 'x', upstream }), api.createProxy({ name: 'x', upstream })]
    expect((await Promise.allSettled(direct)).map(({ status }) => status)).toEqual(['fulfilled', 'rejected'])
    expect(both.find(({ status }) => status === 409)?.json.error).toBe('proxy already exists')
  })

  test('disposing ends the proxies and the clients that are connected', async () => {
    await using server = await startServer()
    const api = await startFaultApi({ port: 0 })
    const proxy = await api.createProxy({ name: 'db', upstream: server.address })
    await call(api, 'GET', '/version')
    await Promise.all([api[Symbol.asyncDispose](), api[Symbol.asyncDispose]()])
    await expect(dial(proxy)).rejects.toMatchObject({ code: 'ECONNREFUSED' })
    await expect(call(api, 'GET', '/version')).rejects.toThrow()
  })
})

describe('FA1: bad input', () => {
  test.each([
    ['GET', '/nowhere', undefined, 404, 'no such path: /nowhere'],
    ['GET', '/proxies/a/b/c/d', undefined, 404, 'no such path: /proxies/a/b/c/d'],
    ['PUT', '/proxies', '{}', 405, 'PUT is not one of GET, POST on /proxies'],
    ['POST', '/proxies', undefined, 400, 'a proxy must be an object'],
    ['POST', '/proxies', '{"name":', 400, 'bad request body: '],
    ['POST', '/proxies', '{"name":"\xff', 400, 'bad request body: '],
    ['POST', '/proxies', '[]', 400, 'a proxy must be an object'],
    ['POST', '/proxies', '{"upstream":"a:1"}', 400, 'missing required field: name'],
    ['POST', '/proxies', '{"name":"x"}', 400, 'missing required field: upstream'],
    ['POST', '/proxies', '{"name":7,"upstream":"a:1"}', 400, 'bad request body: name must be a text'],
    ['POST', '/proxies', '{"name":"x","upstream":"nonsense"}', 400, 'upstream must be host:port'],
    ['POST', '/proxies', '{"name":"x","upstream":"a:70000"}', 400, 'upstream must be host:port'],
    ['POST', '/proxies', '{"name":"x","upstream":"a:1","enabled":"yes"}', 400, 'bad request body: enabled must be'],
    ['PATCH', '/proxies/none', '{}', 404, 'proxy not found'],
    ['DELETE', '/proxies/none', undefined, 404, 'proxy not found'],
    ['GET', '/proxies/%zz', undefined, 400, 'bad escape in path: %zz'],
    ['POST', '/populate', '{}', 400, 'bad request body: a list of proxies is needed'],
    ['POST', '/proxies/db/toxics', '{"type":"nonsense"}', 400, 'invalid toxic type'],
    ['POST', '/proxies/db/toxics', '{"type":"latency","stream":"x"}', 400, 'stream was invalid, can be either'],
    ['POST', '/proxies/db/toxics', '{"type":"latency","attributes":{"latency":"x"}}', 400, 'latency.latency must be'],
    ['POST', '/proxies/db/toxics', 'null', 400, 'a toxic must be an object'],
    ['PATCH', '/proxies/db/toxics/none', '{}', 404, 'toxic not found'],
    ['PATCH', '/proxies/db/toxics/slow', '[]', 400, 'a change of a toxic must be an object'],
    ['DELETE', '/proxies/db/toxics/none', undefined, 404, 'toxic not found'],
    ['POST', '/proxies/db/toxics', '{"type":"latency","name":"slow"}', 409, 'toxic already exists'],
  ])('%s %s with %s is %i', async (method, path, body, status, message) => {
    await using api = await startFaultApi({ port: 0 })
    const proxy = await api.createProxy({ name: 'db', upstream: { host: '127.0.0.1', port: 1 } })
    await proxy.add({ type: 'latency', name: 'slow' })
    const reply = await call(api, method, path, body)
    expect(reply).toMatchObject({ status, json: { status, error: expect.stringContaining(message) } })
    expect(proxy.toxics().map(({ attributes }) => attributes)).toEqual([{ latency: 0, jitter: 0 }])
    expect(api.proxies().length).toBe(1)
  })

  test('FA3: a body of more than a mebibyte is refused', async () => {
    await using api = await startFaultApi({ port: 0 })
    const reply = await call(api, 'POST', '/proxies', `{"name":"${'x'.repeat(2_000_000)}"}`)
    expect(reply).toMatchObject({ status: 413, json: { status: 413 } })
  })

  test('PC2: a listener that other machines reach is refused, unless it is allowed', async () => {
    const asked = { name: 'db', listen: '0.0.0.0:0', upstream: '127.0.0.1:1' }
    await using api = await startFaultApi({ port: 0 })
    const refused = await call(api, 'POST', '/proxies', asked)
    expect(refused).toMatchObject({ status: 400, json: { error: 'listen must be on loopback, as 127.0.0.1:0' } })
    expect(await call(api, 'POST', '/populate', [asked])).toMatchObject({ status: 400 })
    await call(api, 'POST', '/proxies', { ...asked, listen: '' })
    expect(await call(api, 'PATCH', '/proxies/db', { listen: '0.0.0.0:0' })).toMatchObject({ status: 400 })
    await expect(
      api.createProxy({ name: 'x', upstream: { host: 'a', port: 1 }, listen: { host: '0.0.0.0' } }),
    ).rejects.toThrow('loopback')
    await using open = await startFaultApi({ port: 0, publicListen: true })
    expect(await call(open, 'POST', '/proxies', asked)).toMatchObject({ status: 201 })
  })

  test('PC3: the 1,001st proxy is refused', async () => {
    await using api = await startFaultApi({ port: 0 })
    const upstream = '127.0.0.1:1'
    const many = Array.from({ length: 1_000 }, (_value, index) => ({ name: `p${index}`, upstream, enabled: false }))
    expect((await call(api, 'POST', '/populate', many)).status).toBe(201)
    expect(await call(api, 'POST', '/proxies', { name: 'more', upstream, enabled: false })).toMatchObject({
      status: 503,
      json: { code: 'OVERLOADED' },
    })
  })
})

describe('FA2: who may not ask', () => {
  test('a browser', async () => {
    await using api = await startFaultApi({ port: 0 })
    const body = { name: 'db', upstream: '127.0.0.1:1' }
    const reply = await call(api, 'POST', '/proxies', body, { 'user-agent': 'Mozilla/5.0 (X11)' })
    expect(reply).toMatchObject({ status: 403, json: { error: 'User agent not allowed' } })
    const raw = await callRaw(api, 'POST /reset HTTP/1.1\r\nHost: localhost\r\nOrigin: https://evil.example\r\n\r\n')
    expect(raw).toContain('HTTP/1.1 403')
    expect(api.proxies()).toEqual([])
  })

  test('a foreign Host, as of a page whose name was rebound to loopback', async () => {
    await using api = await startFaultApi({ port: 0 })
    const ask = (host: string): Promise<string> => callRaw(api, `GET /version HTTP/1.1\r\nHost: ${host}\r\n\r\n`)
    expect(await ask('evil.example:8474')).toContain('HTTP/1.1 403')
    expect(await ask('127.evil.example')).toContain('HTTP/1.1 403')
    for (const own of [`127.0.0.1:${api.port}`, 'localhost', '[::1]:8474'])
      expect(await ask(own)).toContain('HTTP/1.1 200')
  })
})
