import { createServer, type Socket } from 'node:net'
import type { Redis } from 'ioredis'
import { afterEach, expect, test, vi } from 'vitest'
import type { Adapter } from '../../adapter.ts'
import { background } from '../../ctx.ts'
import { createEnv } from '../../env.ts'
import { createRedisAdapter } from './adapter.ts'

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup()
})

const OK = '+OK\r\n'
const hello = (role: string) => `*4\r\n$5\r\nproto\r\n:2\r\n$4\r\nrole\r\n$${role.length}\r\n${role}\r\n`

/** What a server says to a command; undefined: nothing. */
type Script = (command: string, socket: Socket) => string | undefined

interface Fake {
  readonly port: number
  readonly sockets: ReadonlySet<Socket>
  readonly commands: string[]
}

async function startFake(script: Script, accepted: (socket: Socket) => unknown = () => {}): Promise<Fake> {
  const sockets = new Set<Socket>()
  const commands: string[] = []
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => sockets.delete(socket))
    socket.on('data', (bytes) => {
      // Arrays of bulk strings: their first words are the commands.
      for (const [, name = ''] of bytes.toString().matchAll(/\*\d+\r\n\$\d+\r\n(\w+)\r\n/g)) {
        commands.push(name.toLowerCase())
        const answer = script(name.toLowerCase(), socket)
        if (answer !== undefined && !socket.destroyed) socket.write(answer)
      }
    })
    accepted(socket)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  cleanups.push(() => {
    for (const socket of sockets) socket.destroy()
    return new Promise((resolve) => server.close(resolve))
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('it does not listen on a port')
  return { port: address.port, sockets, commands }
}

async function until(what: string, look: () => boolean): Promise<void> {
  const endMs = performance.now() + 2_000
  while (!look()) {
    if (performance.now() > endMs) throw new Error(`waited in vain until ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
}

interface Opened {
  readonly adapter: Adapter<Redis>
  readonly redis: Redis
  readonly lost: unknown[]
}

async function open(port: number, path = ''): Promise<Opened> {
  const adapter = createRedisAdapter({ url: `redis://user:s3cret@127.0.0.1:${port}${path}` })
  const lost: unknown[] = []
  const redis = await adapter.open(background(createEnv()).within(150), { lost: (why) => lost.push(why) })
  cleanups.push(() => adapter.close(redis, 'drained'))
  return { adapter, redis, lost }
}

const usual: Script = (command) => (command === 'hello' ? hello('master') : command === 'ping' ? '+PONG\r\n' : OK)
const onFirst =
  (act: (socket: Socket) => unknown): Script =>
  (_, socket) => {
    act(socket)
    return undefined
  }

const DEATHS: Readonly<Record<string, readonly [Script, ((socket: Socket) => unknown)?]>> = {
  'accepts and says nothing': [() => undefined],
  'accepts and closes': [() => undefined, (socket) => socket.end()],
  'accepts and resets': [() => undefined, (socket) => socket.resetAndDestroy()],
  'closes after HELLO': [onFirst((socket) => socket.end())],
  'resets after HELLO': [onFirst((socket) => socket.resetAndDestroy())],
  'answers HELLO and then nothing': [(command) => (command === 'hello' ? hello('master') : undefined)],
  'answers HELLO and then closes': [
    (command, socket) => {
      if (command !== 'hello') socket.end()
      return command === 'hello' ? hello('master') : undefined
    },
  ],
  'sends half of an answer': [(command) => (command === 'hello' ? '*4\r\n$5\r\npro' : undefined)],
  'speaks HTTP': [() => 'HTTP/1.1 400 Bad Request\r\n\r\n'],
  'refuses the login': [(command) => (command === 'hello' ? '-WRONGPASS invalid username-password pair\r\n' : OK)],
  'has too many clients': [() => undefined, (socket) => socket.end('-ERR max number of clients reached\r\n')],
}

test.each(Object.entries(DEATHS))(
  'RD1: a server that %s fails the opening in time and leaves no socket',
  async (_, how) => {
    const { port, sockets } = await startFake(...how)
    const startedMs = performance.now()
    const opening = open(port)
    await expect(opening).rejects.toMatchObject({ name: 'RipstopError', sent: 'no' })
    await expect(opening).rejects.not.toThrow('s3cret')
    expect(performance.now() - startedMs).toBeLessThan(1_000)
    await until('the socket is closed', () => sockets.size === 0)
  },
)

test('RD1: a database that can not be selected is not served from another one', async () => {
  const { port, sockets } = await startFake((command, socket) =>
    command === 'select' ? '-ERR DB index is out of range\r\n' : usual(command, socket),
  )
  await expect(open(port, '/99')).rejects.toThrow('DB index is out of range')
  await until('the socket is closed', () => sockets.size === 0)
})

test.each(['end', 'resetAndDestroy'] as const)(
  'RD2: a connection that the peer ends by %s is lost, once, and not opened again',
  async (how) => {
    const { port, sockets, commands } = await startFake(usual)
    const { adapter, redis, lost } = await open(port)
    const command = redis
      .get('a')
      .then(() => redis.get('b'))
      .catch((caught: unknown) => caught)
    for (const socket of sockets) socket[how]()
    await until('it is lost', () => lost.length > 0)
    const error = await command.catch((caught: unknown) => caught)
    expect(adapter.fault(error)).toMatchObject({ code: 'LINK_LOST', sent: 'maybe' })
    const late = await redis.get('c').catch((caught: unknown) => caught)
    expect(adapter.fault(late)).toMatchObject({ code: 'LINK_LOST' })
    expect(lost).toHaveLength(1)
    await until('it has ended for good', () => redis.status === 'end')
    expect(commands.filter((name) => name === 'hello')).toHaveLength(1)
  },
)

test('a command on a connection that is going is refused, not kept for later', async () => {
  const { port } = await startFake(usual)
  const { adapter, redis } = await open(port)
  redis.stream.destroy()
  const error = await redis.get('a').catch((caught: unknown) => caught)
  expect(error).toMatchObject({ message: expect.stringContaining('writeable') })
  expect(adapter.fault(error)).toMatchObject({ code: 'LINK_LOST' })
})

test('RD2: noise on an open connection is its loss, and what was under way fails', async () => {
  const { port, sockets } = await startFake((command, socket) =>
    command === 'get' ? undefined : usual(command, socket),
  )
  const { adapter, redis, lost } = await open(port)
  const command = redis.get('a').catch((caught: unknown) => caught)
  for (const socket of sockets) socket.write('noise\r\n')
  expect(adapter.fault(await command)).toMatchObject({ code: 'LINK_LOST', sent: 'maybe' })
  await until('it is lost', () => lost.length === 1)
})

test.each(['READONLY', 'LOADING', 'MASTERDOWN', 'NOAUTH'])(
  'RD2: after -%s the generation is lost, and the caller hears of its own failure first',
  async (word) => {
    const { port } = await startFake((command, socket) =>
      command === 'set' ? `-${word} it says\r\n` : usual(command, socket),
    )
    const { adapter, redis, lost } = await open(port)
    const error = await redis.set('a', 'b').catch((caught: unknown) => caught)
    expect(adapter.fault(error)).toMatchObject({ details: { prefix: word } })
    expect(lost).toHaveLength(0)
    await until('it is lost', () => lost.length === 1)
  },
)

test.each([
  ['the primary', '+PONG\r\n', 'master', undefined],
  ['a primary that can not persist', '-MISCONF errors writing to disk\r\n', 'master', undefined],
  ['a replica', '+PONG\r\n', 'replica', 'PEER_WRONG_ROLE'],
  ['a replica without its primary', '-MASTERDOWN link is down\r\n', 'replica', 'PEER_WRONG_ROLE'],
  ['a server that loads its data', '-LOADING loading\r\n', 'master', undefined],
  ['a server that a script keeps busy', '-BUSY busy\r\n', 'master', undefined],
])('a probe of %s', async (name, ping, role, code) => {
  const { port } = await startFake((command) => (command === 'hello' ? hello(role) : command === 'ping' ? ping : OK))
  const { adapter, redis } = await open(port)
  const probe = adapter.probe(redis, background(createEnv()).within(100))
  if (code !== undefined) await expect(probe).rejects.toMatchObject({ code })
  else if (name.includes('server')) await expect(probe).rejects.toThrow(/LOADING|BUSY/)
  else await expect(probe).resolves.toBeUndefined()
})

test('a probe that nobody answers ends with the generation', async () => {
  let silent = false
  const { port, sockets } = await startFake((command, socket) => (silent ? undefined : usual(command, socket)))
  const { adapter, redis } = await open(port)
  silent = true
  const probe = adapter.probe(redis, background(createEnv()).within(50)).catch((error: unknown) => error)
  const command = redis.get('a').catch((error: unknown) => error)
  adapter.close(redis, 'lost')
  expect(redis.stream.destroyed).toBe(true) // at once: a silent peer would never answer a FIN
  expect(await probe).toBeInstanceOf(Error)
  expect(adapter.fault(await command)).toMatchObject({ code: 'LINK_LOST', sent: 'maybe' })
  await until('the socket is closed', () => sockets.size === 0)
  expect(() => adapter.close(redis, 'lost')).not.toThrow()
})

test('nothing is written to the console, and no password is in the target', async () => {
  const spies = (['log', 'warn', 'error'] as const).map((name) => vi.spyOn(console, name))
  cleanups.push(() => vi.restoreAllMocks())
  const { port, sockets } = await startFake(usual)
  const { adapter, redis, lost } = await open(port)
  for (const socket of sockets) socket.resetAndDestroy()
  await until('it is lost', () => lost.length === 1)
  adapter.close(redis, 'lost')
  expect(spies.flatMap((spy) => spy.mock.calls)).toEqual([])
  expect(adapter).toMatchObject({ kind: 'redis', target: `127.0.0.1:${port}/0`, sharedFate: true })
})
