// The clients under test: each link of ours with the kernel's defaults and a deadline, and the library alone, as shipped.

import { background, type Ctx, createEnv, type GuaranteesInput, type Link, Mesh } from '@ripstop/kernel'
import { createHttpAdapter } from '@ripstop/kernel/http'
import { createPostgresAdapter } from '@ripstop/kernel/postgres'
import { createRedisAdapter } from '@ripstop/kernel/redis'
import { createWebsocketAdapter, type WebsocketPeer } from '@ripstop/kernel/websocket'
import { Redis } from 'ioredis'
import { Pool as PgPool } from 'pg'
import { Pool as HttpPool } from 'undici'
import { WebSocket } from 'ws'
import type { Kind } from './stands.ts'

export const DEADLINE_MS = 800
const POSTGRES_SIZE = 10 // the default of pg.Pool and of our adapter
const NAIVE_RECONNECT_MS = 1_000

export interface Contestant {
  /** One round trip. */
  call(): Promise<unknown>
  close(): void
}

export type Side = 'ours' | 'library'

export const LIBRARY: Readonly<Record<Kind, string>> = {
  postgres: 'pg.Pool',
  redis: 'ioredis',
  http: 'undici Pool',
  websocket: 'ws + reconnect',
}

export const CONNECT: Readonly<Record<Side, Readonly<Record<Kind, (url: string) => Contestant>>>> = {
  ours: {
    postgres: (url) => {
      const { link, ctx, close } = startLink((mesh) =>
        mesh.link('postgres', createPostgresAdapter({ url, size: POSTGRES_SIZE }), {
          ...GUARANTEES,
          bulkhead: { concurrent: POSTGRES_SIZE }, // as the adapter asks
        }),
      )
      return { call: () => link.call(ctx, (pg, call) => pg.query(call, 'select 1')), close }
    },
    redis: (url) => {
      const { link, ctx, close } = startLink((mesh) => mesh.link('redis', createRedisAdapter({ url }), GUARANTEES))
      return { call: () => link.call(ctx, (redis) => redis.get('a')), close }
    },
    http: (url) => {
      const { link, ctx, close } = startLink((mesh) =>
        mesh.link('http', createHttpAdapter({ origin: new URL(url).origin }), GUARANTEES),
      )
      return { call: () => link.call(ctx, (http, call) => http.request(call, { method: 'GET', path: '/' })), close }
    },
    websocket: (url) => {
      const { link, ctx, close } = startLink((mesh) =>
        mesh.link('websocket', createWebsocketAdapter({ url }), GUARANTEES),
      )
      let last = 0
      return { call: () => link.call(ctx, (peer, call) => echo(peer, call, String(++last))), close }
    },
  },
  library: {
    postgres: (url) => {
      const pool = new PgPool({ connectionString: url })
      pool.on('error', () => {}) // else it would end the process
      return { call: () => pool.query('select 1'), close: () => void pool.end().catch(() => {}) }
    },
    redis: (url) => {
      const redis = new Redis(url)
      redis.on('error', () => {}) // else it writes each one to the console
      return { call: () => redis.get('a'), close: () => redis.disconnect() }
    },
    http: (url) => {
      const pool = new HttpPool(new URL(url).origin)
      return {
        call: async () => (await pool.request({ method: 'GET', path: '/' })).body.text(),
        close: () => void pool.destroy().catch(() => {}),
      }
    },
    websocket: (url) => new ReconnectingSocket(url),
  },
}

const GUARANTEES: GuaranteesInput = { deadlineMs: DEADLINE_MS }

function startLink<R>(make: (mesh: Mesh) => Link<R>): { readonly link: Link<R>; readonly ctx: Ctx; close(): void } {
  const mesh = new Mesh(createEnv())
  const ctx = background(mesh.env)
  const link = make(mesh)
  link.start()
  return { link, ctx, close: () => void mesh.drain(ctx.within(100)) }
}

/** Sends a message and waits until it comes back. */
function echo(peer: WebsocketPeer, ctx: Ctx, message: string): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const forget = peer.onMessage((heard) => {
    if (heard === message) resolve()
  })
  const over = (): void => reject(ctx.signal.reason)
  ctx.signal.addEventListener('abort', over, { once: true })
  peer.send(ctx, message).catch(reject)
  return promise.finally(() => {
    forget()
    ctx.signal.removeEventListener('abort', over)
  })
}

/**
 * ws reconnects nothing by itself. This is the loop that is usually written around it: on close, again after a second.
 * More careful than most in that it fails the calls that were under way when the connection closed.
 */
class ReconnectingSocket implements Contestant {
  readonly #url: string
  readonly #pending = new Map<string, { resolve(): void; reject(error: Error): void }>()
  #socket: WebSocket
  #last = 0
  #closed = false

  constructor(url: string) {
    this.#url = url
    this.#socket = this.#connect()
  }

  async call(): Promise<void> {
    const message = String(++this.#last)
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    // Throws while it is connecting.
    this.#socket.send(message, (error) => {
      if (error) reject(error)
    })
    this.#pending.set(message, { resolve, reject })
    return promise
  }

  close(): void {
    this.#closed = true
    this.#socket.terminate()
  }

  #connect(): WebSocket {
    const socket = new WebSocket(this.#url)
    socket.on('error', () => {}) // close follows
    socket.on('message', (data) => {
      this.#pending.get(data.toString())?.resolve()
      this.#pending.delete(data.toString())
    })
    socket.on('close', () => {
      for (const { reject } of this.#pending.values()) reject(new Error('the connection was closed'))
      this.#pending.clear()
      if (this.#closed) return
      setTimeout(() => {
        if (!this.#closed) this.#socket = this.#connect()
      }, NAIVE_RECONNECT_MS)
    })
    return socket
  }
}
