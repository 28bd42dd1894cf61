// Stands. A real server in processes of its own behind a fault proxy of its own, and a probe that shares nothing with the
// clients under test: "healed" is when that probe is answered through the proxy, on a fresh connection.

import { connect } from 'node:net'
import { join } from 'node:path'
import { type FaultProxy, portAccepts, startFaultProxy, startProcess } from '@ripstop/faults'
import { Client } from 'pg'
import { startTestCluster } from '../../packages/server/src/testing/postgres.ts'
import { startTestRedis } from '../../packages/server/src/testing/redis.ts'
import { freePort } from '../processes.ts'

export type Kind = 'postgres' | 'redis' | 'http' | 'websocket'

const PROBE_MS = 500 // a probe that is not answered within this is made again
const PROBE_PAUSE_MS = 10

export interface Server extends AsyncDisposable {
  readonly url: string
  readonly port: number
  /** SIGSTOP and SIGCONT reach all its processes; SIGKILL the first, as the OOM killer would, and it is gone afterwards. */
  kill(signal: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT'): Promise<unknown>
  restart(): Promise<void>
}

export interface Stand extends AsyncDisposable {
  readonly kind: Kind
  readonly server: Server
  readonly proxy: FaultProxy
  /** Where clients are to connect: through the proxy. */
  readonly url: string
  /** Resolves with the moment of the first answer to a probe. Rejects after `patienceMs`. */
  answered(patienceMs: number): Promise<number>
}

export async function startStand(kind: Kind): Promise<Stand> {
  await using starting = new AsyncDisposableStack()
  const server = starting.use(await START[kind]())
  const proxy = starting.use(await startFaultProxy({ upstream: { host: '127.0.0.1', port: server.port } }))
  const url = proxy.through(server.url)
  const owned = starting.move()
  return {
    kind,
    server,
    proxy,
    url,
    answered: (patienceMs) => awaitAnswer(() => PROBE[kind](url, proxy.port), patienceMs),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

const START: Readonly<Record<Kind, () => Promise<Server>>> = {
  postgres: startTestCluster,
  redis: startTestRedis,
  http: () => startEcho('http'),
  websocket: () => startEcho('ws'),
}

async function startEcho(scheme: string): Promise<Server> {
  const port = await freePort()
  const child = await startProcess({
    command: process.execPath,
    args: [join(import.meta.dirname, '..', 'peers', 'echo.ts'), String(port)],
    ready: () => portAccepts(port),
  })
  return {
    url: `${scheme}://127.0.0.1:${port}`,
    port,
    kill: async (signal) => {
      if (signal === 'SIGSTOP') return child.stop()
      if (signal === 'SIGCONT') return child.cont()
      return child.kill(signal)
    },
    restart: () => child.restart(),
    [Symbol.asyncDispose]: () => child[Symbol.asyncDispose](),
  }
}

const UPGRADE =
  'GET / HTTP/1.1\r\nhost: probe\r\nconnection: Upgrade\r\nupgrade: websocket\r\n' +
  'sec-websocket-version: 13\r\nsec-websocket-key: cHJvYmVwcm9iZXByb2JlIQ==\r\n\r\n'

const PROBE: Readonly<Record<Kind, (url: string, port: number) => Promise<void>>> = {
  postgres: askPostgres,
  redis: (_url, port) => ask(port, 'PING\r\n', '+PONG'),
  http: (_url, port) => ask(port, 'GET / HTTP/1.1\r\nhost: probe\r\n\r\n', 'HTTP/1.1 200'),
  websocket: (_url, port) => ask(port, UPGRADE, 'HTTP/1.1 101'),
}

async function awaitAnswer(probe: () => Promise<void>, patienceMs: number): Promise<number> {
  const untilMs = performance.now() + patienceMs
  for (;;) {
    try {
      await probe()
      return performance.now()
    } catch (cause) {
      if (performance.now() > untilMs) throw new Error('the server does not come back', { cause })
    }
    await new Promise((resolve) => setTimeout(resolve, PROBE_PAUSE_MS))
  }
}

/** One question on a connection of its own. */
function ask(port: number, question: string, answer: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port, noDelay: true })
    let heard = ''
    const end = (error?: Error): void => {
      socket.destroy()
      if (error === undefined) resolve()
      else reject(error)
    }
    socket.setTimeout(PROBE_MS, () => end(new Error('no answer')))
    socket.on('error', end)
    socket.on('close', () => end(new Error('closed without an answer')))
    socket.on('data', (chunk) => {
      heard += chunk.toString('latin1')
      if (heard.startsWith(answer)) end()
    })
    socket.write(question)
  })
}

/** By its own client: Postgres answers the first bytes of a connection long before it takes a query. */
async function askPostgres(url: string): Promise<void> {
  const client = new Client({
    connectionString: url,
    connectionTimeoutMillis: PROBE_MS,
    query_timeout: PROBE_MS,
  })
  client.on('error', () => {}) // told by the promises below
  try {
    await client.connect()
    await client.query('select 1')
  } finally {
    client.end().catch(() => {}) // not awaited: it would wait for the peer's FIN
  }
}
