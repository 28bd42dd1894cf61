// For tests: a Postgres that answers as it is told to, or not at all. Real servers are better; this one can stop at any
// byte and forget to answer a COMMIT.

import { createServer, type Server, type Socket } from 'node:net'

const CANCEL_CODE = 80_877_102
const TLS_CODE = 80_877_103

export interface FakeConnection {
  readonly socket: Socket
  readonly processId: number
  readonly parameters: Readonly<Record<string, string | undefined>>
  /** I, T or E, as ReadyForQuery says it. */
  status: string
}

/** What to do instead of the usual: bytes to send, or `undefined` for the usual. */
export type Script = (text: string, connection: FakeConnection) => Buffer | undefined

export interface FakeServerOptions {
  /** Asked with the startup parameters; an error there is a refusal. */
  readonly startup?: (connection: FakeConnection) => Buffer | undefined
  readonly query?: Script
  /** By default a cancelled statement ends with 57014. */
  readonly cancel?: (connection: FakeConnection | undefined, socket: Socket) => void
}

export interface FakeServer extends AsyncDisposable {
  readonly port: number
  readonly open: ReadonlySet<FakeConnection>
  /** Of all connections, in the order in which they came. */
  readonly statements: string[]
  readonly cancels: number[]
  accepted: number
  standby: boolean
}

export const SILENT = Buffer.alloc(0)

export function message(type: string, ...parts: readonly (Buffer | string)[]): Buffer {
  const body = Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(`${part}\0`) : part)))
  const head = Buffer.alloc(5)
  head.write(type)
  head.writeInt32BE(body.length + 4, 1)
  return Buffer.concat([head, body])
}

export function int32(...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(4 * values.length)
  for (const [index, value] of values.entries()) bytes.writeInt32BE(value, 4 * index)
  return bytes
}

function int16(value: number): Buffer {
  const bytes = Buffer.alloc(2)
  bytes.writeInt16BE(value)
  return bytes
}

export function ready(status: string): Buffer {
  return message('Z', Buffer.from(status))
}

export function failure(sqlState: string, text: string): Buffer {
  return message('E', 'SERROR', 'VERROR', `C${sqlState}`, `M${text}`, Buffer.from([0]))
}

export function row(column: string, value: string): Buffer {
  const field = Buffer.concat([
    Buffer.from(`${column}\0`),
    int32(0),
    int16(0),
    int32(16),
    int16(1),
    int32(-1),
    int16(0),
  ])
  const bytes = Buffer.from(value)
  return Buffer.concat([
    message('T', int16(1), field),
    message('D', int16(1), int32(bytes.length), bytes),
    message('C', 'SELECT 1'),
  ])
}

export async function startFakeServer(options: FakeServerOptions = {}): Promise<FakeServer> {
  const open = new Set<FakeConnection>()
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {}) // clients go as they like
    socket.on('close', () => sockets.delete(socket))
    serve(socket, fake, open, options)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const fake: FakeServer = {
    port: portOf(server),
    open,
    statements: [],
    cancels: [],
    accepted: 0,
    standby: false,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
  return fake
}

export function portOf(server: Server): number {
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('it does not listen on a port')
  return address.port
}

function serve(socket: Socket, fake: FakeServer, open: Set<FakeConnection>, options: FakeServerOptions): void {
  let buffered = Buffer.alloc(0)
  let connection: FakeConnection | undefined
  let parsed = ''
  const begin = (packet: Buffer): void => {
    const code = packet.readInt32BE(4)
    if (code === TLS_CODE) return void socket.write('N')
    if (code === CANCEL_CODE) return cancel(packet.readInt32BE(8), socket, fake, options)
    const words = packet.subarray(8).toString().split('\0')
    const parameters = Object.fromEntries(
      words.flatMap((word, index) => (index % 2 === 0 && word ? [[word, words[index + 1]]] : [])),
    )
    const accepted: FakeConnection = { socket, processId: ++fake.accepted, parameters, status: 'I' }
    const refusal = options.startup?.(accepted)
    if (refusal !== undefined) return void socket.end(refusal)
    connection = accepted
    open.add(accepted)
    socket.on('close', () => open.delete(accepted))
    socket.write(Buffer.concat([message('R', int32(0)), message('K', int32(accepted.processId, 42)), ready('I')]))
  }
  const take = (): boolean => {
    const from = connection === undefined ? 0 : 1
    if (buffered.length < from + 4) return false
    const length = from + buffered.readInt32BE(from)
    if (buffered.length < length) return false
    const packet = buffered.subarray(0, length)
    buffered = buffered.subarray(length)
    const type = String.fromCharCode(packet[0] ?? 0)
    if (connection === undefined) begin(packet)
    else if (type === 'Q') answer(packet.subarray(5, -1).toString(), connection, fake, options)
    else if (type === 'P') parsed = packet.subarray(5).toString().split('\0')[1] ?? ''
    else if (type === 'S') answer(parsed, connection, fake, options)
    return true
  }
  socket.on('data', (bytes) => {
    buffered = Buffer.concat([buffered, bytes])
    while (take());
  })
}

function answer(text: string, connection: FakeConnection, fake: FakeServer, { query }: FakeServerOptions): void {
  fake.statements.push(text)
  const scripted = query?.(text, connection)
  connection.socket.write(scripted ?? usual(text, connection, fake))
}

function usual(text: string, connection: FakeConnection, fake: FakeServer): Buffer {
  if (text.includes('pg_is_in_recovery')) return Buffer.concat([row('standby', fake.standby ? 't' : 'f'), ready('I')])
  const verb = text.split(/[ ;]/)[0] ?? ''
  if (verb === 'begin') connection.status = 'T'
  const tag = verb === 'commit' && connection.status === 'E' ? 'ROLLBACK' : verb.toUpperCase()
  if (verb === 'commit' || verb === 'rollback') connection.status = 'I'
  return Buffer.concat([message('C', tag), ready(connection.status)])
}

function cancel(processId: number, socket: Socket, fake: FakeServer, options: FakeServerOptions): void {
  fake.cancels.push(processId)
  const connection = [...fake.open].find((candidate) => candidate.processId === processId)
  if (options.cancel !== undefined) return options.cancel(connection, socket)
  if (connection?.status === 'T') connection.status = 'E'
  connection?.socket.write(Buffer.concat([failure('57014', 'canceling'), ready(connection.status)]))
  socket.end()
}

/** Resolves once `look` is true; rejects after two seconds. */
export async function until(what: string, look: () => boolean): Promise<void> {
  const endMs = performance.now() + 2_000
  while (!look()) {
    if (performance.now() > endMs) throw new Error(`waited in vain until ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
}
