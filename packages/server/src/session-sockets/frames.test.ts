import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { encodeFrames, encodePing, encodePong, readMoment } from './frames.ts'
import { until } from './sockets.fixture.ts'

test('FO1: a client reads back the texts that were encoded, of every length and script, pings included', async () => {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  await once(server, 'listening')
  const connected = once(server, 'connection')
  const client = new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`)
  const heard: string[] = []
  const pinged: Buffer[] = []
  const ponged: Buffer[] = []
  client.on('message', (data) => heard.push(String(data)))
  client.on('ping', (data) => pinged.push(data))
  client.on('pong', (data) => ponged.push(data))
  const [, { socket }] = await connected
  const edges = [0, 1, 125, 126, 65_535, 65_536, 70_000].map(
    (length) => 'é'.repeat(length / 2) + 'x'.repeat(length % 2),
  )
  const texts = [...edges, ...fc.sample(fc.string({ unit: 'grapheme', maxLength: 300 }), { numRuns: 100, seed: 7 })]
  socket.write(encodeFrames(texts))
  socket.write(encodePing(12.5))
  socket.write(encodePong(Buffer.from('abc')))
  await until('all is heard', () => ponged.length === 1)
  // Lone surrogates have no UTF-8.
  expect(heard).toEqual(texts.map((text) => text.toWellFormed()))
  expect(readMoment(pinged[0] as Buffer)).toBe(12.5)
  expect([String(ponged[0]), readMoment(Buffer.from('abc'))]).toEqual(['abc', undefined])
  client.terminate()
  server.close()
})
