// The counting receiver, in a process of its own: HTTP/1.1 on bare sockets, as cheap as Node can be. Every job carries a
// number `"n":…` in its body; how often each came, and when first, is kept in typed arrays, so that what is lost or repeated
// shows exactly. The first segment of the path chooses what is answered: /ok, /fail (500), /hang (nothing).

import { createServer, type Socket } from 'node:net'
import { answer } from '../ipc.ts'

const OK = Buffer.from('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok')
const FAILED = Buffer.from('HTTP/1.1 500 Internal Server Error\r\ncontent-length: 2\r\n\r\nno')
const HEAD_END = Buffer.from('\r\n\r\n')
const NUMBER = Buffer.from('"n":')
const NINE = 0x39
const ZERO = 0x30

let counts = new Uint8Array(0)
let firstUs = new Float64Array(0)
let received = 0
let distinct = 0
let strange = 0
const sockets = new Set<Socket>()

function nowUs(): number {
  return Number(process.hrtime.bigint() / 1_000n)
}

function record(body: Buffer, atUs: number): void {
  const at = body.indexOf(NUMBER)
  let n = 0
  let digits = 0
  for (let index = at + NUMBER.length; at >= 0 && index < body.length; index++, digits++) {
    const digit = body[index] ?? 0
    if (digit < ZERO || digit > NINE) break
    n = n * 10 + digit - ZERO
  }
  received++
  if (digits === 0 || n >= counts.length) {
    strange++
    return
  }
  const before = counts[n] ?? 0
  if (before === 0) {
    distinct++
    firstUs[n] = atUs
  }
  if (before < 255) counts[n] = before + 1
}

/** Takes whole requests off the front of `bytes` and answers them; gives what is left. */
function consume(socket: Socket, bytes: Buffer, atUs: number): Buffer {
  let rest = bytes
  for (;;) {
    const headEnd = rest.indexOf(HEAD_END)
    if (headEnd < 0) return rest
    const head = rest.toString('latin1', 0, headEnd)
    const length = Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? Number.NaN)
    if (Number.isNaN(length)) throw new Error(`no length in ${head}`)
    const end = headEnd + HEAD_END.length + length
    if (rest.length < end) return rest
    const path = head.slice(head.indexOf(' ') + 1, head.indexOf(' ') + 6)
    record(rest.subarray(headEnd + HEAD_END.length, end), atUs)
    rest = rest.subarray(end)
    if (path.startsWith('/ok')) socket.write(OK)
    else if (path.startsWith('/fail')) socket.write(FAILED)
  }
}

function meet(socket: Socket): void {
  let rest: Buffer = Buffer.alloc(0)
  sockets.add(socket)
  socket.on('close', () => sockets.delete(socket))
  socket.on('error', () => {}) // the sender went away; its close follows
  socket.on('data', (chunk: Buffer) => {
    rest = consume(socket, rest.length === 0 ? chunk : Buffer.concat([rest, chunk]), nowUs())
  })
}

/** Each listens on a port of its own: to a sender they are as many receivers. */
async function listen(): Promise<number> {
  const server = createServer({ noDelay: true }, meet)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  return typeof address === 'object' && address !== null ? address.port : 0
}

export interface Received {
  readonly received: number
  readonly distinct: number
  /** Numbers below `expected` that never came. */
  readonly lost: number
  /** Receipts beyond the first, over all numbers. */
  readonly repeated: number
  /** Without a number of this run. */
  readonly strange: number
  readonly connections: number
}

answer({
  listen: (count: number) => Promise.all(Array.from({ length: count }, listen)),
  reset: (capacity: number) => {
    counts = new Uint8Array(capacity)
    firstUs = new Float64Array(capacity)
    received = 0
    distinct = 0
    strange = 0
  },
  progress: () => distinct,
  totals: (expected: number): Received => {
    let lost = 0
    let repeated = 0
    for (let n = 0; n < counts.length; n++) {
      const count = counts[n] ?? 0
      if (count === 0 && n < expected) lost++
      if (count > 1) repeated += count - 1
    }
    return { received, distinct, lost, repeated, strange, connections: sockets.size }
  },
  /** When each number first came, us of the monotonic clock that all processes share; 0: never. */
  arrivals: () => firstUs,
})
