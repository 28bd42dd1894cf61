import { createSeededRandom, hasCode } from '@ripstop/kernel'
import { describe, expect, test } from 'vitest'
import { dial, startServer, until } from './loopback-peers.ts'
import { startFaultProxy } from './proxy.ts'

describe('a proxy without toxics', () => {
  test('passes bytes both ways, and each end in its own direction', async () => {
    await using server = await startServer(() => {})
    await using proxy = await startFaultProxy({ upstream: server.address })
    const client = await dial(proxy)
    client.socket.write('to the server')
    await until(() => server.peers[0]?.text() === 'to the server', 'the server has it')
    client.socket.end()
    await until(() => server.peers[0]?.ended === true, 'the server saw the end')
    expect(client.ended).toBe(false)
    server.peers[0]?.socket.end('late answer')
    await until(() => client.closed, 'the client is done')
    expect(client.text()).toBe('late answer')
    expect(client.errorCode).toBeUndefined()
    await until(() => proxy.connections() === 0, 'the proxy forgot the connection')
    expect(proxy.stats()).toMatchObject({ accepted: 1, open: 0, passedBytes: { upstream: 13, downstream: 11 } })
  })

  test('CN1: a reset of one side resets the other', async () => {
    await using server = await startServer(() => {})
    await using proxy = await startFaultProxy({ upstream: server.address })
    const client = await dial(proxy)
    await until(() => server.peers.length === 1, 'the server accepted')
    server.peers[0]?.socket.resetAndDestroy()
    await until(() => client.closed, 'the client saw it')
    expect(client.errorCode).toBe('ECONNRESET')
    await until(() => proxy.connections() === 0, 'nothing is left')
  })

  test('CN1: what is on its way when the server closes still reaches the client', async () => {
    await using server = await startServer((socket) => socket.end('answer'))
    await using proxy = await startFaultProxy({ upstream: server.address })
    await proxy.add({ type: 'latency', attributes: { latency: 60 } })
    const client = await dial(proxy)
    client.socket.end('question')
    await until(() => client.ended, 'the client saw the end')
    expect(client.text()).toBe('answer')
    await until(() => proxy.connections() === 0, 'nothing is left')
  })

  test('a server that is not there resets the client', async () => {
    const gone = await startServer()
    await gone[Symbol.asyncDispose]()
    await using proxy = await startFaultProxy({ upstream: gone.address })
    const client = await dial(proxy)
    await until(() => client.closed, 'the client is closed')
    expect(client.errorCode).toBe('ECONNRESET')
    expect(proxy.stats()).toMatchObject({ upstreamFailed: 1, open: 0 })
  })

  test('tells its address in every form that clients need', async () => {
    await using server = await startServer()
    await using proxy = await startFaultProxy({ upstream: server.address, name: 'db' })
    expect(proxy.name).toBe('db')
    expect(proxy.address).toBe(`127.0.0.1:${proxy.port}`)
    expect(proxy.url('redis')).toBe(`redis://127.0.0.1:${proxy.port}`)
    expect(proxy.through('postgres://u:p%40@db.example:5432/app?x=1')).toBe(
      `postgres://u:p%40@127.0.0.1:${proxy.port}/app?x=1`,
    )
    expect(proxy.port).toBeLessThan(32_000)
  })
})

describe('down', () => {
  test('FP1: disable closes, refuses and keeps the port for enable', async () => {
    await using server = await startServer()
    await using proxy = await startFaultProxy({ upstream: server.address })
    const { port } = proxy
    const before = await dial(proxy)
    await proxy.disable()
    await until(() => before.ended, 'the open connection got its end')
    await expect(dial(proxy)).rejects.toMatchObject({ code: 'ECONNREFUSED' })
    await proxy.enable()
    expect(proxy.port).toBe(port)
    const after = await dial(proxy)
    after.socket.write('again')
    await until(() => after.text() === 'again', 'it carries')
  })

  test('disable by reset resets the open connections', async () => {
    await using server = await startServer()
    await using proxy = await startFaultProxy({ upstream: server.address })
    const client = await dial(proxy)
    await until(() => server.peers.length === 1, 'the server accepted')
    await proxy.disable('reset')
    await until(() => client.closed && server.peers[0]?.closed === true, 'both are closed')
    expect([client.errorCode, server.peers[0]?.errorCode]).toEqual(['ECONNRESET', 'ECONNRESET'])
  })

  test('FP2: the toxic `down` refuses until it is removed', async () => {
    await using server = await startServer()
    await using proxy = await startFaultProxy({ upstream: server.address })
    const open = await dial(proxy)
    await proxy.add({ type: 'down', name: 'outage' })
    await until(() => open.ended, 'the open connection got its end')
    await expect(dial(proxy)).rejects.toMatchObject({ code: 'ECONNREFUSED' })
    await proxy.remove('outage')
    await expect(dial(proxy)).resolves.toBeDefined()
  })

  test('reset enables and removes every toxic', async () => {
    await using server = await startServer()
    await using proxy = await startFaultProxy({ upstream: server.address })
    await proxy.add({ type: 'down' })
    await proxy.add({ type: 'timeout' })
    await proxy.disable()
    await proxy.reset()
    expect(proxy.enabled).toBe(true)
    expect(proxy.toxics()).toEqual([])
    const client = await dial(proxy)
    client.socket.write('x')
    await until(() => client.text() === 'x', 'it carries')
  })

  test('drop ends the open connections and goes on accepting', async () => {
    await using server = await startServer()
    await using proxy = await startFaultProxy({ upstream: server.address })
    const client = await dial(proxy)
    await until(() => proxy.connections() === 1, 'accepted')
    expect(proxy.drop('reset')).toBe(1)
    await until(() => client.errorCode === 'ECONNRESET', 'the client was reset')
    await expect(dial(proxy)).resolves.toBeDefined()
  })

  test('a port that somebody else has is a FAULT_LISTEN_FAILED', async () => {
    await using server = await startServer()
    const taken = startFaultProxy({ upstream: server.address, listen: { port: server.address.port } })
    await expect(taken).rejects.toMatchObject({ code: 'FAULT_LISTEN_FAILED', details: {} })
  })

  test('configure points the same port to another server', async () => {
    await using first = await startServer((socket) => socket.write('first'))
    await using second = await startServer((socket) => socket.write('second'))
    await using proxy = await startFaultProxy({ upstream: first.address })
    const { port } = proxy
    await proxy.configure({ upstream: second.address })
    expect(proxy.port).toBe(port)
    const client = await dial(proxy)
    client.socket.write('?')
    await until(() => client.text() === 'second', 'the second answers')
  })
})

describe('toxics of a proxy', () => {
  test('lists them upstream first, by name, and refuses a second one of the same name', async () => {
    await using server = await startServer()
    await using proxy = await startFaultProxy({ upstream: server.address })
    await proxy.add({ type: 'latency', attributes: { latency: 5 } })
    const added = await proxy.add({ type: 'bandwidth', stream: 'upstream', toxicity: 0.5, attributes: { rate: 7 } })
    expect(added).toEqual({
      name: 'bandwidth_upstream',
      type: 'bandwidth',
      stream: 'upstream',
      toxicity: 0.5,
      attributes: { rate: 7 },
    })
    expect(proxy.toxics().map(({ name }) => name)).toEqual(['bandwidth_upstream', 'latency_downstream'])
    await expect(proxy.add({ type: 'latency' })).rejects.toMatchObject({ code: 'FAULT_DUPLICATE' })
    await expect(proxy.remove('nothing')).rejects.toMatchObject({ code: 'FAULT_UNKNOWN' })
    await expect(proxy.update('nothing', {})).rejects.toMatchObject({ code: 'FAULT_UNKNOWN' })
  })

  test('FP4: refuses the 65th toxic', async () => {
    await using server = await startServer()
    await using proxy = await startFaultProxy({ upstream: server.address })
    for (let index = 0; index < 64; index++) await proxy.add({ type: 'latency', name: `slow ${index}` })
    const error = await proxy.add({ type: 'latency', name: 'one more' }).catch((reason: unknown) => reason)
    expect(hasCode(error, 'FAULT_INVALID')).toBe(true)
  })

  test('FP4: resets a client over the limit, and has room again when one is gone', async () => {
    await using server = await startServer()
    await using proxy = await startFaultProxy({ upstream: server.address, connectionsMax: 2 })
    const [first] = [await dial(proxy), await dial(proxy)]
    const over = await dial(proxy)
    await until(() => over.errorCode === 'ECONNRESET', 'it was reset')
    expect(proxy.stats()).toMatchObject({ accepted: 2, refused: 1, open: 2 })
    first.socket.resetAndDestroy()
    await until(() => proxy.connections() === 1, 'one is gone')
    const next = await dial(proxy)
    next.socket.write('x')
    await until(() => next.text() === 'x', 'there is room')
  })

  test('FP3: the same seed takes hold of the same connections', async () => {
    const hits = async (): Promise<boolean[]> => {
      await using server = await startServer()
      await using proxy = await startFaultProxy({ upstream: server.address, random: createSeededRandom(7) })
      await proxy.add({ type: 'limit_data', toxicity: 0.5 })
      const result: boolean[] = []
      for (let index = 0; index < 12; index++) {
        const client = await dial(proxy)
        client.socket.write('x')
        await until(() => client.ended || client.bytes() > 0, 'hit or answered')
        result.push(client.ended)
        client.socket.destroy()
      }
      return result
    }
    const first = await hits()
    expect(first).toEqual(await hits())
    expect(new Set(first)).toEqual(new Set([true, false]))
  })

  test('a changed toxicity is drawn anew for open connections', async () => {
    await using server = await startServer()
    await using proxy = await startFaultProxy({ upstream: server.address })
    await proxy.add({ type: 'bandwidth', toxicity: 0, attributes: { rate: 0 } })
    const client = await dial(proxy)
    client.socket.write('a')
    await until(() => client.text() === 'a', 'it passes')
    await proxy.update('bandwidth_downstream', { toxicity: 1 })
    client.socket.write('b')
    await until(() => server.peers[0]?.text() === 'ab', 'the server has it')
    await until(() => proxy.stats().heldBytes > 0, 'the answer is held')
    await proxy.update('bandwidth_downstream', { toxicity: 0 })
    await until(() => client.text() === 'ab', 'what was held came through')
  })

  test('dispose ends listener and connections, twice is harmless, and nothing starts again', async () => {
    await using server = await startServer()
    const proxy = await startFaultProxy({ upstream: server.address })
    const client = await dial(proxy)
    await Promise.all([proxy[Symbol.asyncDispose](), proxy[Symbol.asyncDispose]()])
    await until(() => client.closed || client.ended, 'the client was closed')
    expect(proxy.connections()).toBe(0)
    await proxy.enable()
    await expect(dial(proxy)).rejects.toMatchObject({ code: 'ECONNREFUSED' })
  })
})
