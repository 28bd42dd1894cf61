// A client that only counts bytes: many raw WebSocket connections in a process of its own, so that what is measured is the sender.
// It speaks as much of RFC 6455 as opening takes; frames that come are counted, not read.

import { randomBytes } from 'node:crypto'
import { connect, type Socket } from 'node:net'
import { answer } from '../ipc.ts'

export interface Opening {
  readonly port: number
  /** With its query, of each connection. */
  readonly paths: readonly string[]
  readonly headers: Readonly<Record<string, string>>
  /** Text sent once the connection is open, for protocols that need one. */
  readonly first?: string
  /** Looks into what comes for pings, and answers them: for connections that stay longer than silence is suffered. */
  readonly answersPings?: boolean
}

const AT_ONCE = 200
const HEAD_END = '\r\n\r\n'
const sockets = new Set<Socket>()
let bytes = 0
let ended = 0

answer({
  open: async ({ paths, ...how }: Opening) => {
    for (let from = 0; from < paths.length; from += AT_ONCE)
      await Promise.all(paths.slice(from, from + AT_ONCE).map((path) => open(path, how)))
  },
  /** Bytes behind the handshakes, and connections that have ended, so far. */
  read: () => ({ bytes, ended }),
  close: () => {
    for (const socket of sockets) socket.destroy()
    sockets.clear()
    bytes = 0
    ended = 0
  },
})

function open(path: string, { port, headers, first, answersPings = false }: Omit<Opening, 'paths'>): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1')
    const lines = Object.entries({
      Host: `127.0.0.1:${port}`,
      Upgrade: 'websocket',
      Connection: 'Upgrade',
      'Sec-WebSocket-Key': randomBytes(16).toString('base64'),
      'Sec-WebSocket-Version': '13',
      ...headers,
    }).map(([name, value]) => `${name}: ${value}`)
    socket.write(`GET ${path} HTTP/1.1\r\n${lines.join('\r\n')}${HEAD_END}`)
    let head = ''
    const hearHead = (chunk: Buffer): void => {
      head += chunk.toString('latin1')
      const end = head.indexOf(HEAD_END)
      if (end < 0) return
      if (!head.startsWith('HTTP/1.1 101')) {
        socket.destroy()
        reject(new Error(`it was answered: ${head.slice(0, 300)}`))
        return
      }
      bytes += head.length - end - HEAD_END.length
      socket.off('data', hearHead)
      socket.on('data', (more) => {
        bytes += more.length
        if (answersPings) answerPings(socket, more)
      })
      if (first !== undefined) socket.write(textFrame(first))
      sockets.add(socket)
      resolve()
    }
    socket.on('data', hearHead)
    socket.on('error', reject)
    socket.on('close', () => {
      if (sockets.delete(socket)) ended++
    })
  })
}

/** A chunk is taken to begin with a frame: with a message every few seconds it does. */
function answerPings(socket: Socket, chunk: Buffer): void {
  for (let at = 0; at + 2 <= chunk.length; ) {
    const short = (chunk[at + 1] ?? 0) & 0x7f
    const head = short < 126 ? 2 : short === 126 ? 4 : 10
    if (at + head > chunk.length) return
    const length =
      short < 126 ? short : short === 126 ? chunk.readUInt16BE(at + 2) : Number(chunk.readBigUInt64BE(at + 2))
    if (chunk[at] === 0x89) socket.write(frame(0x8a, chunk.subarray(at + head, at + head + length)))
    at += head + length
  }
}

function textFrame(text: string): Buffer {
  return frame(0x81, Buffer.from(text))
}

/** As a client must send it: masked. */
function frame(first: number, given: Buffer): Buffer {
  const body = Buffer.from(given)
  const mask = randomBytes(4)
  for (let index = 0; index < body.length; index++) body[index] = (body[index] ?? 0) ^ (mask[index % 4] ?? 0)
  return Buffer.concat([Buffer.from([first, 0x80 | body.length]), mask, body])
}
