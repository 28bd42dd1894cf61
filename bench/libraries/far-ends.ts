// Far ends for measurements, on loopback: silent, refusing with a status, nobody there, full, and ones that greet as a database or broker does and then say
// nothing or hang up. Each has a port of its own and counts who came. They live as long as the process.

import { createServer as createHttp } from 'node:http'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { Worker } from 'node:worker_threads'

export interface FarEnd {
  readonly port: number
  readonly url: string
  /** How many requests there were until now. */
  asked(): number
}

async function start(server: Server): Promise<FarEnd> {
  let count = 0
  server.on('request', () => count++)
  server.on('connection', (socket) => {
    // A client that gave up resets its connection.
    socket.on('error', () => {})
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return { port, url: `http://127.0.0.1:${port}/`, asked: () => count }
}

type Answer = (heard: Buffer, socket: Socket) => Uint8Array | string | undefined

/** Accepts, and answers what `answer` gives for what it hears; undefined: nothing. */
export function silent(answer: Answer = () => undefined, greeting?: Uint8Array): Promise<FarEnd> {
  return start(
    createServer((socket) => {
      if (greeting !== undefined) socket.write(greeting)
      socket.on('data', (heard) => {
        const said = answer(heard, socket)
        if (said !== undefined) socket.write(said)
      })
    }),
  )
}

export function refusing(status: number): Promise<FarEnd> {
  return start(
    createHttp((request, response) => {
      request.resume()
      response.writeHead(status, { 'content-type': 'application/json' }).end('{"error":{"message":"a","code":"a"}}')
    }),
  )
}

/** A port where nobody listens. */
export async function nobody(): Promise<number> {
  const server = createServer()
  const { port } = await start(server)
  await new Promise((resolve) => server.close(resolve))
  return port
}

const BLOCKED = `
  const { parentPort } = require('node:worker_threads')
  const server = require('node:net').createServer()
  server.listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => {
    parentPort.postMessage(server.address().port)
    setImmediate(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0))
  })`

/** A port whose queue of connections is full: the kernel drops who comes, as a host that is gone would. */
export async function full(): Promise<number> {
  const worker = new Worker(BLOCKED, { eval: true })
  const port = await new Promise<number>((resolve) => worker.once('message', resolve))
  for (let count = 0; count < 4; count++) connect(port, '127.0.0.1').on('error', () => {})
  await new Promise((resolve) => setTimeout(resolve, 200))
  return port
}

/** Authentication is done, ready for a query (0x51), and then nothing; or `after` it hangs up. */
export function postgres(hangUpMs?: number): Promise<FarEnd> {
  const ready = Buffer.from([0x52, 0, 0, 0, 8, 0, 0, 0, 0, 0x5a, 0, 0, 0, 5, 0x49])
  const done = Buffer.concat([Buffer.from([0x43, 0, 0, 0, 13]), Buffer.from('SELECT 0\0'), ready.subarray(9)])
  return silent((heard, socket) => {
    if (heard.length === 8) return 'N'
    if (heard[0] === 0 && hangUpMs !== undefined) setTimeout(() => socket.resetAndDestroy(), hangUpMs)
    if (heard[0] === 0) return ready
    // Settings are taken, whatever they are; what is asked for is not answered.
    return heard[0] === 0x51 && hangUpMs !== undefined ? done : undefined
  })
}

/** Lets anybody in; a query is not answered. */
export function mysql(hangUpMs?: number): Promise<FarEnd> {
  const packet = (number: number, body: Buffer): Buffer =>
    Buffer.concat([Buffer.from([body.length & 255, body.length >> 8, 0, number]), body])
  const greeting = Buffer.concat([
    Buffer.from('\x0a8.0.0\0'),
    Buffer.from([1, 0, 0, 0]),
    Buffer.from('12345678\0'),
    Buffer.from([0xff, 0xf7, 0x21, 2, 0, 8, 0, 0x15, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
    Buffer.from('123456789012\0mysql_native_password\0'),
  ])
  return silent(
    (heard, socket) => {
      const number = heard[3] ?? 0
      if (number !== 0 && hangUpMs !== undefined) setTimeout(() => socket.resetAndDestroy(), hangUpMs)
      return number === 0 ? undefined : packet(number + 1, Buffer.from([0, 0, 0, 2, 0, 0, 0]))
    },
    packet(0, greeting),
  )
}

/** Greets, takes what it is told of the client, and answers no other command; or hangs up. */
export function redis(hangUpMs?: number): Promise<FarEnd> {
  return silent((heard, socket) => {
    if (hangUpMs !== undefined) setTimeout(() => socket.resetAndDestroy(), hangUpMs)
    const text = heard.toString()
    if (/\binfo\b/i.test(text)) return '$19\r\nredis_version:7.2.0\r\n'
    const greeting = text.includes('HELLO') ? '%0\r\n' : ''
    return `${greeting}${'+OK\r\n'.repeat(text.match(/SETINFO|setinfo|SETNAME|setname|MAINT_NOTIFICATIONS/g)?.length ?? 0)}`
  })
}

const AMQP_ANSWERS: Readonly<Record<string, readonly number[]>> = {
  // start-ok: tune (100 channels, frames of 128 KiB, no heartbeat); open: open-ok; channel open: open-ok.
  '10.11': [0, 10, 0, 30, 0, 100, 0, 2, 0, 0, 0, 0],
  '10.40': [0, 10, 0, 41, 0],
  '20.10': [0, 20, 0, 11, 0, 0, 0, 0],
}

/** Opens connections and channels and answers no other question; or hangs up once a connection is open. */
export function amqp(hangUpMs?: number): Promise<FarEnd> {
  const frame = (channel: number, body: readonly number[]): Buffer =>
    Buffer.from([1, 0, channel, 0, 0, 0, body.length, ...body, 0xce])
  const text = (words: string): readonly number[] => [0, 0, 0, words.length, ...Buffer.from(words)]
  const hello = frame(0, [0, 10, 0, 10, 0, 9, 0, 0, 0, 0, ...text('PLAIN'), ...text('en_US')])
  return silent((heard, socket) => {
    if (heard.subarray(0, 4).toString() === 'AMQP') return hello
    const said: Buffer[] = []
    for (let at = 0; at + 11 <= heard.length; at += heard.readUInt32BE(at + 3) + 8) {
      const name = `${heard.readUInt16BE(at + 7)}.${heard.readUInt16BE(at + 9)}`
      const body = heard[at] === 1 ? AMQP_ANSWERS[name] : undefined
      if (body !== undefined) said.push(frame(heard.readUInt16BE(at + 1), body))
      if (name === '10.40' && hangUpMs !== undefined) setTimeout(() => socket.resetAndDestroy(), hangUpMs)
    }
    return Buffer.concat(said)
  })
}
