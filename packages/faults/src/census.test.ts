import { Agent, get } from 'node:http'
import { createRequire } from 'node:module'
import { connect, type Socket } from 'node:net'
import { setTimeout as importedSetTimeout } from 'node:timers'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterEach, describe, expect, test } from 'vitest'
import { startCensus } from './census.ts'
import { dial, startHttpServer, startServer, until } from './loopback-peers.ts'
import { startFaultProxy } from './proxy.ts'

const require = createRequire(import.meta.url)
const open: Socket[] = []
afterEach(() => {
  for (const socket of open.splice(0)) socket.destroy()
})

function plantStraySocket(port: number): Socket {
  const socket = connect({ host: '127.0.0.1', port })
  open.push(socket)
  return socket
}

describe('sockets', () => {
  test('CE1: a planted stray socket is found, with its peer and who made it, until it is closed', async () => {
    await using server = await startServer()
    using census = startCensus()
    const stray = plantStraySocket(server.address.port)
    const mine = plantStraySocket(server.address.port)
    expect(census.report({ owned: (socket) => socket === mine }).sockets.map(({ peer }) => peer)).toEqual([
      'connecting',
    ])
    await until(() => server.peers.length === 2 && !stray.connecting, 'connected')
    const report = census.report({ owned: (socket) => socket === mine })
    expect(report).toMatchObject({
      sockets: [
        {
          peer: `127.0.0.1:${server.address.port}`,
          createdAt: expect.stringMatching(/plantStraySocket.*census\.test\.ts:\d+/),
        },
      ],
      timers: [],
      untracked: 0,
    })
    expect(census.snapshot().sockets).toBe(2)
    stray.destroy()
    expect(census.report({ owned: (socket) => socket === mine }).sockets).toEqual([])
    expect(census.snapshot().sockets).toBe(1)
  })

  test('CE1: sees what fetch, http, pg, ioredis, ws and undici open', async () => {
    await using server = await startHttpServer()
    const { port } = server.address
    const agent = new Agent({ keepAlive: true })
    const { Client } = require('pg')
    const Redis = require('ioredis')
    const WebSocket = require('ws')
    const undici = require('undici')
    const ways: Record<string, () => unknown> = {
      fetch: () => fetch(`http://127.0.0.1:${port}/`).catch(() => {}),
      http: () => get({ port, agent }).on('error', () => {}),
      pg: () => new Client({ host: '127.0.0.1', port }).on('error', () => {}).connect(() => {}),
      ioredis: () => new Redis({ port, retryStrategy: () => null }).on('error', () => {}),
      ws: () => new WebSocket(`ws://127.0.0.1:${port}`).on('error', () => {}),
      undici: () => undici.request(`http://127.0.0.1:${port}/`).catch(() => {}),
    }
    for (const [name, way] of Object.entries(ways)) {
      using census = startCensus()
      way()
      await until(() => census.snapshot().sockets > 0, `${name} is seen`)
      expect(census.report().sockets[0]?.createdAt, name).toMatch(/:\d+:\d+\)?$/)
    }
    agent.destroy()
  })

  test('CE1: the connections of the fault proxy are not counted', async () => {
    await using server = await startServer()
    await using proxy = await startFaultProxy({ upstream: server.address })
    using census = startCensus()
    const client = await dial(proxy)
    await until(() => server.peers.length === 1, 'the proxy has dialled')
    expect(census.snapshot().sockets).toBe(1)
    expect(census.snapshot().tcpHandles).toBe(4)
    client.socket.destroy()
    expect(census.snapshot().sockets).toBe(0)
  })

  test('CE2: closed sockets are let go of while nobody asks', async () => {
    await using server = await startServer()
    using census = startCensus()
    const closed: WeakRef<Socket>[] = []
    for (let index = 0; index < 300; index++) {
      const socket = connect({ host: '127.0.0.1', port: server.address.port })
      closed.push(new WeakRef(socket))
      await new Promise((resolve) => socket.destroy().once('close', resolve))
    }
    setFlagsFromString('--expose-gc')
    const collect: () => void = runInNewContext('gc')
    const alive = (): number => closed.filter((ref) => ref.deref() !== undefined).length
    await until(() => {
      collect()
      return alive() < 150 // 64 may wait to be pruned; what is on a stack somewhere is not ours
    }, 'most of them are collected')
    expect(census.snapshot().sockets).toBe(0)
  })

  test('CE3: disposed, it sees no more; twice is harmless', async () => {
    await using server = await startServer()
    const census = startCensus()
    census[Symbol.dispose]()
    census[Symbol.dispose]()
    plantStraySocket(server.address.port)
    expect(census.snapshot().sockets).toBe(0)
  })
})

describe('timers', () => {
  test('are counted by Node, whoever made them', () => {
    using census = startCensus()
    const before = census.snapshot().timers
    const timer = setInterval(() => {}, 60_000)
    expect(census.snapshot().timers).toBe(before + 1)
    clearInterval(timer)
    expect(census.snapshot().timers).toBe(before)
  })

  test('traced, a planted stray timer is found with who made it, through the global or the import', async () => {
    using census = startCensus({ traceTimers: true })
    function plantStrayTimer(): NodeJS.Timeout[] {
      return [setInterval(() => {}, 60_000), importedSetTimeout(() => {}, 60_000)]
    }
    const planted = plantStrayTimer()
    let fired = false
    setTimeout(() => {
      fired = true
    }, 1)
    await until(() => fired, 'a timer that fired')
    const strays = census.report({ ownedTimer: ({ createdAt }) => createdAt.includes('until') }).timers
    expect(strays.map(({ createdAt }) => createdAt)).toEqual([
      expect.stringMatching(/plantStrayTimer.*census\.test\.ts/),
      expect.stringMatching(/plantStrayTimer.*census\.test\.ts/),
    ])
    for (const timer of planted) clearTimeout(timer)
    expect(census.report().timers).toEqual([])
  })

  test('CE3: disposed, the timer functions are those of before, with all that hangs on them', () => {
    const [before, imported] = [globalThis.setTimeout, importedSetTimeout]
    const census = startCensus({ traceTimers: true })
    expect(globalThis.setTimeout).not.toBe(before)
    expect(Reflect.ownKeys(globalThis.setTimeout)).toEqual(Reflect.ownKeys(before))
    census[Symbol.dispose]()
    expect([globalThis.setTimeout === before, importedSetTimeout === imported]).toEqual([true, true])
  })
})
