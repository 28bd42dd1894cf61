// A receiver with an inbox, that misbehaves on demand. It knows Standard Webhooks and nothing of Ripstop: it checks the
// signature, keeps every webhook-id, and applies what it has not seen. What it applied, in which order, and how often each
// message came over the wire, is what the checker looks at.

import { createHmac, timingSafeEqual } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import type { Random } from '@ripstop/kernel'

/** What can be asked of a receiver. Those marked * apply the message first, so that its repetition must be found out. */
export const BEHAVIOURS = [
  'well',
  'fails', // 500
  'closes', // before a word
  'cuts the request', // RST while the body is still coming
  'cuts the answer', // * RST in the middle of the answer's body
  'answers late', // * after the sender's deadline
  'drips', // * a byte at a time, past the deadline
  'answers twice', // * two answers to one request
  'answers out of order', // * each after a pause of its own
  'breaks 30 %', // of connections, at any point; every message comes on a new one
] as const
export type Behaviour = (typeof BEHAVIOURS)[number]

export interface Applied {
  /** The publisher's id of the event. */
  readonly id: string
  readonly key: string | undefined
  /** The place in its key, given by the publisher. */
  readonly seq: number
  readonly atMs: number
}

export interface Receiver extends AsyncDisposable {
  readonly name: string
  readonly port: number
  readonly url: string
  /** In the order of application. */
  readonly applied: readonly Applied[]
  /** Ids of events with how often each was applied: once, or the id changed between attempts. */
  readonly timesApplied: ReadonlyMap<string, number>
  /** Messages that came whole, repetitions included. */
  readonly received: () => number
  /** Messages that must never come: with a bad signature, not in the form that was promised. */
  readonly violations: readonly string[]
  behave(behaviour: Behaviour): void
  /** What the endpoint's creation told. */
  trust(secret: string): void
}

export interface ReceiverOptions {
  readonly name: string
  readonly random: Random
  /** Answers that are to be late are so by this. */
  readonly deadlineMs: number
}

export async function startReceiver(options: ReceiverOptions): Promise<Receiver> {
  const inbox = new Inbox(options)
  const server = createServer((request, response) => void inbox.take(request, response))
  server.keepAliveTimeout = 60_000
  const sockets = new Set<Socket>()
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    socket.on('error', () => {}) // we break many of them ourselves
    inbox.meet(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    name: options.name,
    port,
    url: `http://127.0.0.1:${port}/${options.name}`,
    applied: inbox.applied,
    timesApplied: inbox.timesApplied,
    received: () => inbox.received,
    violations: inbox.violations,
    behave: (behaviour) => inbox.behave(behaviour),
    trust: (secret) => inbox.trust(secret),
    [Symbol.asyncDispose]: async () => {
      inbox.close()
      server.close()
      for (const socket of sockets) socket.destroy()
    },
  }
}

const VIOLATIONS_MAX = 100
const DRIP_MS = 100

class Inbox {
  readonly applied: Applied[] = []
  readonly timesApplied = new Map<string, number>()
  readonly violations: string[] = []
  received = 0
  readonly #options: ReceiverOptions
  readonly #seen = new Set<string>()
  readonly #timers = new Set<NodeJS.Timeout>()
  #behaviour: Behaviour = 'well'
  #secret: Buffer | undefined

  constructor(options: ReceiverOptions) {
    this.#options = options
  }

  behave(behaviour: Behaviour): void {
    this.#behaviour = behaviour
  }

  trust(secret: string): void {
    this.#secret = Buffer.from(secret.replace(/^whsec_/, ''), 'base64')
  }

  close(): void {
    for (const timer of this.#timers) clearTimeout(timer)
  }

  /** A new connection. */
  meet(socket: Socket): void {
    if (this.#behaviour === 'closes' || (this.#behaviour === 'breaks 30 %' && this.#options.random() < 0.15))
      socket.destroy()
  }

  async take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const behaviour = this.#behaviour
    const { socket } = request
    response.on('error', () => {}) // the sender went away
    if (behaviour === 'cuts the request') return void socket.resetAndDestroy()
    const body = await readBody(request)
    if (body === undefined) return // broken off: not received
    this.received++
    if (behaviour === 'fails') return void response.writeHead(500).end('not today')
    if (behaviour === 'breaks 30 %') {
      response.setHeader('connection', 'close')
      if (this.#options.random() < 0.1) return void socket.resetAndDestroy() // received, and not applied
    }
    if (!this.#apply(request, body)) return void response.writeHead(400).end()
    this.#answer(behaviour, socket, response)
  }

  #answer(behaviour: Behaviour, socket: Socket, response: ServerResponse): void {
    const { random, deadlineMs } = this.#options
    if (behaviour === 'breaks 30 %' && random() < 0.1) return void socket.resetAndDestroy() // applied, and not said
    switch (behaviour) {
      case 'cuts the answer':
        response.writeHead(200, { 'content-length': 100 })
        response.write('the first of', () => socket.resetAndDestroy())
        return
      case 'answers late':
        return this.#later(deadlineMs * (1.2 + random()), () => response.end('ok'))
      case 'drips':
        response.writeHead(200, { 'content-length': 1_000 })
        return this.#drip(response, Math.ceil((deadlineMs * 1.5) / DRIP_MS))
      case 'answers twice': {
        const answer = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok'
        socket.write(answer + answer)
        return
      }
      case 'answers out of order':
        return this.#later(random() * deadlineMs * 0.5, () => response.end('ok'))
      default:
        response.end('ok')
    }
  }

  #drip(response: ServerResponse, left: number): void {
    if (left === 0 || response.destroyed) return void response.destroy()
    response.write('.')
    this.#later(DRIP_MS, () => this.#drip(response, left - 1))
  }

  #later(ms: number, act: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer)
      act()
    }, ms)
    this.#timers.add(timer)
  }

  /** Once for each webhook-id. False: it was not what it should be. */
  #apply(request: IncomingMessage, body: Buffer): boolean {
    const messageId = String(request.headers['webhook-id'] ?? '')
    const problem = this.#findProblem(messageId, request, body)
    if (problem !== undefined) {
      if (this.violations.length < VIOLATIONS_MAX) this.violations.push(`${this.#options.name}: ${problem}`)
      return false
    }
    if (this.#seen.has(messageId)) return true
    this.#seen.add(messageId)
    const event = JSON.parse(body.toString('utf8')) as {
      readonly id: string
      readonly partitionkey?: string
      readonly data: { readonly seq: number }
    }
    this.applied.push({ id: event.id, key: event.partitionkey, seq: event.data.seq, atMs: performance.now() })
    this.timesApplied.set(event.id, (this.timesApplied.get(event.id) ?? 0) + 1)
    return true
  }

  #findProblem(messageId: string, { headers }: IncomingMessage, body: Buffer): string | undefined {
    if (messageId === '') return 'a message without webhook-id'
    for (const name of ['idempotency-key', 'x-idempotency-key'])
      if (headers[name] !== messageId) return `${name} is ${headers[name]}, not ${messageId}`
    const seconds = Number(headers['webhook-timestamp'])
    if (!(Math.abs(Date.now() / 1_000 - seconds) < 300)) return `a timestamp of ${headers['webhook-timestamp']}`
    if (this.#secret === undefined) return 'a message before there was a secret'
    const wanted = createHmac('sha256', this.#secret).update(`${messageId}.${seconds}.`).update(body).digest()
    const given = String(headers['webhook-signature'] ?? '')
      .split(' ')
      .filter((signature) => signature.startsWith('v1,'))
      .map((signature) => Buffer.from(signature.slice(3), 'base64'))
    const isSigned = given.some((each) => each.length === wanted.length && timingSafeEqual(each, wanted))
    return isSigned ? undefined : `a bad signature on ${messageId}`
  }
}

async function readBody(request: IncomingMessage): Promise<Buffer | undefined> {
  const chunks: Buffer[] = []
  try {
    for await (const chunk of request) chunks.push(chunk as Buffer)
  } catch {
    return undefined
  }
  return request.complete ? Buffer.concat(chunks) : undefined
}
