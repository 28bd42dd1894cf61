import { settle } from '@ripstop/kernel/testing'
import { beforeEach, describe, expect, test } from 'vitest'
import { type Connection, createConnection, socketUrl } from './connection.ts'
import { createStillEnvironment, ScriptedSocket, type StillEnvironment } from './environment.fixture.ts'

let env: StillEnvironment
let heard: string[]
let downs: number

beforeEach(() => {
  ScriptedSocket.opened = []
  env = createStillEnvironment()
  heard = []
  downs = 0
})

function create(protocols: () => Promise<string[]> = async () => []): Connection {
  return createConnection({
    env,
    url: 'ws://nowhere/ws',
    socketClass: ScriptedSocket,
    protocols,
    onOpen: () => heard.push('open'),
    onMessage: (text) => heard.push(text),
    onDown: () => downs++,
  })
}

const newest = (): ScriptedSocket => ScriptedSocket.opened.at(-1) as ScriptedSocket

/** Lets ms pass until another socket is opened; how many that were. */
async function msToNext(limitMs = 100_000): Promise<number> {
  const { length } = ScriptedSocket.opened
  for (let ms = 0; ms <= limitMs; ms += 10) {
    if (ScriptedSocket.opened.length > length) return ms
    await env.clock.advance(10)
  }
  throw new Error('none was opened')
}

describe('coming back', () => {
  test('SC1: it never gives up, with full jitter that grows to 30 s', async () => {
    create()
    await settle()
    const pauses: number[] = []
    for (let attempt = 0; attempt < 300; attempt++) {
      newest().fire('error')
      newest().fire('close')
      pauses.push(await msToNext())
    }
    expect(pauses[0]).toBeLessThanOrEqual(260)
    const late = pauses.slice(10)
    expect(Math.max(...late)).toBeLessThanOrEqual(30_010)
    expect(Math.max(...late)).toBeGreaterThan(28_000)
    expect(Math.min(...late)).toBeLessThan(2_000)
    const meanMs = late.reduce((sum, ms) => sum + ms, 0) / late.length
    expect(meanMs).toBeGreaterThan(13_000)
    expect(meanMs).toBeLessThan(17_000)
    expect(downs).toBe(300)
  })

  test('SC1: a socket that does not open, a token that can’t be had and a constructor that throws are failures like others', async () => {
    let tokens = 0
    create(async () => {
      if (++tokens === 2) throw new Error('no token')
      return []
    })
    await settle()
    expect(ScriptedSocket.opened).toHaveLength(1)
    await env.clock.advance(10_000) // it never opens
    expect([newest().isClosed, downs]).toEqual([true, 1])
    expect(await msToNext()).toBeLessThan(1_000)
    expect([tokens, downs]).toEqual([3, 2])
  })

  test('a connection that held makes the next pause short; one that did not doesn’t', async () => {
    create()
    await settle()
    for (let attempt = 0; attempt < 12; attempt++) {
      newest().fire('open')
      newest().fire('close') // at once
      await msToNext()
    }
    newest().fire('open')
    await env.clock.advance(5_000)
    newest().fire('close')
    expect(await msToNext()).toBeLessThanOrEqual(260)
  })

  test('the server’s hint is the least; waking hurries, but not before it', async () => {
    const connection = create()
    await settle()
    newest().fire('open')
    connection.drop(7_000)
    await env.clock.advance(6_900)
    connection.hurry()
    await settle()
    expect(ScriptedSocket.opened).toHaveLength(1)
    expect(await msToNext()).toBeLessThanOrEqual(400)

    for (let attempt = 0; attempt < 10; attempt++) {
      newest().fire('close')
      await msToNext()
    }
    newest().fire('close')
    const { length } = ScriptedSocket.opened
    connection.hurry()
    await settle()
    expect(ScriptedSocket.opened).toHaveLength(length + 1)
    connection.hurry() // it is being opened
    await settle()
    expect(ScriptedSocket.opened).toHaveLength(length + 1)
  })
})

test('SC2: nothing of a socket that was given up has an effect, and it is closed', async () => {
  const connection = create()
  await settle()
  const first = newest()
  first.fire('open')
  first.fire('message', 'one')
  first.fire('message', new ArrayBuffer(3))
  connection.drop()
  for (const type of ['open', 'message', 'close', 'error'] as const) first.fire(type, 'two')
  expect([heard, downs, first.isClosed]).toEqual([['open', 'one'], 1, true])
  expect(connection.send('x')).toBe(false)
  await msToNext()
  newest().fire('open')
  expect([connection.send('x'), newest().sent, first.sent]).toEqual([true, ['x'], []])
  connection.close()
  connection.close()
  newest().fire('message', 'three')
  expect([connection.send('y'), newest().isClosed, env.clock.pending()]).toEqual([false, true, 0])
})

test('SC2: closed while a token was asked for: no socket is opened', async () => {
  let give = (_: string[]): void => {}
  const connection = create(() => new Promise((resolve) => (give = resolve)))
  await settle()
  connection.close()
  give([])
  await settle()
  expect([ScriptedSocket.opened.length, env.clock.pending()]).toEqual([0, 0])
})

test.each([
  ['https://mesh.example', 'wss://mesh.example/ws?sessionId=a%26b'],
  ['http://127.0.0.1:7000/some/where?x=1', 'ws://127.0.0.1:7000/ws?sessionId=a%26b'],
  ['wss://mesh.example', 'wss://mesh.example/ws?sessionId=a%26b'],
])('the address of %s', (base, expected) => {
  expect(socketUrl(base, 'a&b')).toBe(expected)
})
