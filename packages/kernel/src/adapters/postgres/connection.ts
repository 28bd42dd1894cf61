// Opening one connection. pg.Client speaks the protocol; the socket is ours from before the first byte, so that whatever
// stage a handshake dies or hangs in (TCP, TLS, startup, authentication, a password function), the deadline destroys it
// and nothing is left half made. pg's own timers stay off: one owner of time is enough.
// Invariants:
//   QC1. Opening settles by its ctx, and a connection that was not handed out has its socket destroyed.
//   QC2. Bytes that are no Postgres, at any time, end the connection and never the process.

import { Socket } from 'node:net'
import { Client, type Connection as Wire } from 'pg'
import type { Ctx } from '../../ctx.ts'
import { openFault } from './fault.ts'
import { formatHost, type PostgresHost, type PostgresSettings } from './settings.ts'

const KEEP_ALIVE_MS = 10_000

export type Host = Required<PostgresHost>

/** What the server needs to be told to cancel. */
export interface CancelKey {
  readonly processId: number
  readonly secretKey: number
}

export interface OpenConnection {
  readonly client: Client
  readonly socket: Socket
  readonly host: Host
  readonly cancelKey: CancelKey
}

/** `withTimeouts`: the session's timeouts go out as startup parameters. Rejects with a RipstopError, `sent: 'no'`. */
export function openConnection(
  settings: PostgresSettings,
  host: Host,
  withTimeouts: boolean,
  ctx: Ctx,
): Promise<OpenConnection> {
  return new Promise((resolve, reject) => {
    const socket = new Socket()
    const client = createClient(settings, host, withTimeouts, socket)
    const { signal } = ctx
    let settled = false
    const settle = (): boolean => {
      if (settled) return false
      settled = true
      signal.removeEventListener('abort', over)
      return true
    }
    const fail = (error: unknown): void => {
      if (!settle()) return
      socket.destroy()
      reject(openFault(error, formatHost(host)))
    }
    const over = (): void => fail(signal.reason)
    client.on('error', fail) // stays for good: an 'error' event without a listener would end the process
    socket.on('close', () => fail(new Error('the connection was closed during the handshake')))
    if (signal.aborted) return over()
    signal.addEventListener('abort', over)
    client.connect((error: Error | null) => {
      if (error !== null && error !== undefined) return fail(error)
      const cancelKey = readCancelKey(client)
      if (settle()) resolve({ client, socket, host, cancelKey })
    })
  })
}

/** Every option is said, even where it is pg's default: defaults change, and several are read from the environment. */
function createClient(settings: PostgresSettings, host: Host, withTimeouts: boolean, socket: Socket): Client {
  const client = new Client({
    host: host.host,
    port: host.port,
    user: settings.user,
    password: async () => settings.password(),
    database: settings.database,
    ssl: settings.ssl === false ? false : { ...settings.ssl },
    sslnegotiation: 'postgres',
    stream: () => socket,
    keepAlive: true,
    keepAliveInitialDelayMillis: KEEP_ALIVE_MS,
    connectionTimeoutMillis: 0, // the ctx bounds it
    query_timeout: 0, // the ctx bounds it, and cancels at the server too
    statement_timeout: withTimeouts ? settings.statementTimeoutMs : false,
    idle_in_transaction_session_timeout: withTimeouts ? settings.idleInTransactionTimeoutMs : undefined,
    lock_timeout: undefined,
    application_name: settings.applicationName,
    client_encoding: 'UTF8',
    pipeline: false,
    enableChannelBinding: false, // fails behind proxies that end TLS, and for certificates whose hash pg doesn't know
  })
  guardParser(client.connection)
  return client
}

type Listener = (bytes: Buffer) => void
interface Attaching {
  attachListeners: (stream: Socket) => void
}

/** pg's parser throws into the socket's 'data' event, which nobody catches (QC2). */
function guardParser(wire: Wire): void {
  const attaching = wire as unknown as Attaching
  const attach = attaching.attachListeners.bind(wire)
  attaching.attachListeners = (stream) => {
    attach(stream)
    const parse = stream.listeners('data').at(-1) as Listener
    stream.off('data', parse)
    stream.on('data', (bytes: Buffer) => {
      try {
        parse(bytes)
      } catch (error) {
        stream.destroy(error instanceof Error ? error : new Error(String(error)))
      }
    })
  }
}

function readCancelKey(client: Client): CancelKey {
  const { processID, secretKey } = client as unknown as { processID: number | null; secretKey: number | null }
  return { processId: processID ?? 0, secretKey: secretKey ?? 0 }
}
