import { createServer, type Socket } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { background } from '../../ctx.ts'
import { createEnv } from '../../env.ts'
import { type OpenConnection, openConnection } from './connection.ts'
import { failure, int32, message, portOf, startFakeServer, until } from './fake-server.ts'
import { type PostgresOptions, parsePostgresSettings } from './settings.ts'

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup()
})

/** What a server does with a new connection, and with the first bytes and those that follow. */
interface Behaviour {
  readonly accepted?: (socket: Socket) => unknown
  readonly answers?: readonly ((socket: Socket) => unknown)[]
}

const SASL = message('R', int32(10), 'SCRAM-SHA-256', Buffer.from([0]))
const CLEARTEXT = message('R', int32(3))
const GREETED = Buffer.concat([message('R', int32(0)), message('K', int32(1, 2))])

const DEATHS: Readonly<Record<string, Behaviour>> = {
  'accepts and says nothing': {},
  'accepts and closes': { accepted: (socket) => socket.end() },
  'accepts and resets': { accepted: (socket) => socket.resetAndDestroy() },
  'closes after the startup packet': { answers: [(socket) => socket.end()] },
  'resets after the startup packet': { answers: [(socket) => socket.resetAndDestroy()] },
  'hangs in authentication': { answers: [(socket) => socket.write(SASL)] },
  'closes in authentication': { answers: [(socket) => socket.write(CLEARTEXT), (socket) => socket.end()] },
  'is never ready': { answers: [(socket) => socket.write(GREETED)] },
  'sends half of a message': { answers: [(socket) => socket.write(GREETED.subarray(0, 7))] },
  'refuses and goes on': {
    answers: [(socket) => socket.write(failure('57P03', 'the database system is starting up'))],
  },
  'wants an authentication that nobody knows': { answers: [(socket) => socket.write(message('R', int32(7)))] },
  'speaks HTTP': { answers: [(socket) => socket.write('HTTP/1.1 400 Bad Request\r\n\r\n')] },
  'sends noise': { answers: [(socket) => socket.write(Buffer.alloc(4_096, 0x5a))] },
}
const TLS_DEATHS: Readonly<Record<string, Behaviour>> = {
  'refuses TLS': { answers: [(socket) => socket.write('N')] },
  'answers the wish for TLS with noise': { answers: [(socket) => socket.write('???')] },
  'hangs in the TLS handshake': { answers: [(socket) => socket.write('S')] },
  'closes in the TLS handshake': { answers: [(socket) => socket.write('S'), (socket) => socket.end()] },
  'resets in the TLS handshake': { answers: [(socket) => socket.write('S'), (socket) => socket.resetAndDestroy()] },
  'sends noise in the TLS handshake': {
    answers: [(socket) => socket.write('S'), (socket) => socket.write(Buffer.alloc(100, 0x41))],
  },
}

async function startBehaviour({ accepted, answers = [] }: Behaviour): Promise<{ port: number; sockets: Set<Socket> }> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    const rest = [...answers]
    socket.on('error', () => {})
    socket.on('close', () => sockets.delete(socket))
    socket.on('data', () => rest.shift()?.(socket))
    accepted?.(socket)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  cleanups.push(() => {
    for (const socket of sockets) socket.destroy()
    return new Promise((resolve) => server.close(resolve))
  })
  return { port: portOf(server), sockets }
}

function open(port: number, options: PostgresOptions = {}, deadlineMs = 150): Promise<OpenConnection> {
  const settings = parsePostgresSettings({ url: `postgres://u:p@127.0.0.1:${port}/d`, ...options })
  return openConnection(settings, { host: '127.0.0.1', port }, true, background(createEnv()).within(deadlineMs))
}

test.each(Object.entries(DEATHS))(
  'QC1, QC2: a server that %s fails the opening in time and leaves no socket',
  async (_, how) => {
    const { port, sockets } = await startBehaviour(how)
    const startedMs = performance.now()
    await expect(open(port)).rejects.toMatchObject({ name: 'RipstopError', sent: 'no' })
    expect(performance.now() - startedMs).toBeLessThan(1_000)
    await until('the socket is closed', () => sockets.size === 0)
  },
)

test.each(Object.entries(TLS_DEATHS))(
  'QC1: a server that %s fails the opening in time and leaves no socket',
  async (_, how) => {
    const { port, sockets } = await startBehaviour(how)
    const startedMs = performance.now()
    await expect(open(port, { ssl: {} })).rejects.toMatchObject({ code: 'LINK_LOST', sent: 'no' })
    expect(performance.now() - startedMs).toBeLessThan(1_000)
    await until('the socket is closed', () => sockets.size === 0)
  },
)

test('QC1: a password function that hangs or throws fails the opening', async () => {
  const { port, sockets } = await startBehaviour({ answers: [(socket) => socket.write(CLEARTEXT)] })
  await expect(open(port, { password: () => new Promise(() => {}) })).rejects.toMatchObject({ code: 'LINK_LOST' })
  await expect(open(port, { password: () => Promise.reject(new Error('the vault is shut')) })).rejects.toThrow('vault')
  await until('the sockets are closed', () => sockets.size === 0)
})

test('QC1: a ctx that is over opens nothing, and one that is cancelled ends it at once', async () => {
  const { port, sockets } = await startBehaviour({})
  const ctx = background(createEnv()).within(10_000)
  const settings = parsePostgresSettings({ url: `postgres://u@127.0.0.1:${port}/d` })
  const opening = openConnection(settings, { host: '127.0.0.1', port }, true, ctx)
  await until('it is connected', () => sockets.size === 1)
  ctx.cancel()
  await expect(opening).rejects.toMatchObject({ sent: 'no' })
  await expect(openConnection(settings, { host: '127.0.0.1', port }, true, ctx)).rejects.toMatchObject({ sent: 'no' })
  await until('the socket is closed', () => sockets.size === 0)
})

test('QC2: noise on an open connection ends the connection, not the process', async () => {
  await using fake = await startFakeServer()
  const { socket } = await open(fake.port)
  for (const { socket: served } of fake.open) served.write(message('R', int32(99)))
  await until('it is destroyed', () => socket.destroyed)
})

test('timeouts go out as startup parameters, or not at all', async () => {
  await using fake = await startFakeServer()
  const settings = parsePostgresSettings({ url: `postgres://u@127.0.0.1:${fake.port}/d`, statementTimeoutMs: 7_000 })
  const host = { host: '127.0.0.1', port: fake.port }
  const ctx = background(createEnv()).within(1_000)
  for (const withTimeouts of [true, false]) {
    const { socket } = await openConnection(settings, host, withTimeouts, ctx)
    cleanups.push(() => socket.destroy())
  }
  const [first, second] = [...fake.open].map(({ parameters }) => parameters)
  expect(first).toMatchObject({
    user: 'u',
    database: 'd',
    application_name: 'ripstop',
    statement_timeout: '7000',
    idle_in_transaction_session_timeout: '10000',
  })
  expect(second).not.toHaveProperty('statement_timeout')
  expect(second).not.toHaveProperty('idle_in_transaction_session_timeout')
})

test('an open connection knows the key to cancel it', async () => {
  await using fake = await startFakeServer()
  const { socket, cancelKey } = await open(fake.port)
  expect(cancelKey).toEqual({ processId: 1, secretKey: 42 })
  socket.destroy()
})
