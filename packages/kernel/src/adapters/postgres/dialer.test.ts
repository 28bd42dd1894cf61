import { createServer, type Server } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { background, type Ctx } from '../../ctx.ts'
import { createEnv } from '../../env.ts'
import { Dialer } from './dialer.ts'
import {
  type FakeServer,
  type FakeServerOptions,
  failure,
  portOf,
  SILENT,
  startFakeServer,
  until,
} from './fake-server.ts'
import { parsePostgresSettings } from './settings.ts'

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup()
})

async function startFake(options: FakeServerOptions & { standby?: boolean } = {}): Promise<FakeServer> {
  const fake = await startFakeServer(options)
  fake.standby = options.standby ?? false
  cleanups.push(() => fake[Symbol.asyncDispose]())
  return fake
}

/** Accepts and says nothing. */
async function startMute(): Promise<{ port: number; server: Server }> {
  const server = createServer((socket) => socket.on('error', () => {}).resume())
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  cleanups.push(() => server.close())
  return { port: portOf(server), server }
}

async function dialFirst(servers: readonly { port: number }[], ctx: Ctx = background(createEnv()).within(1_000)) {
  const hosts = servers.map(({ port }) => ({ host: '127.0.0.1', port }))
  const settings = parsePostgresSettings({ hosts, user: 'u', database: 'd' })
  const { slot, host } = await new Dialer(settings).dialFirst(ctx)
  cleanups.push(() => slot.destroy())
  return host.port
}

test('the first writable host is used, and connections to the others are closed', async () => {
  const standby = await startFake({ standby: true })
  const primary = await startFake()
  const spare = await startFake()
  expect(await dialFirst([standby, primary, spare])).toBe(primary.port)
  await until('the standby is left alone', () => standby.open.size === 0)
  expect([primary.open.size, spare.accepted]).toEqual([1, 0])
})

test('a host that swallows everything holds the others up by its head start only', async () => {
  const mute = await startMute()
  const primary = await startFake()
  const startedMs = performance.now()
  expect(await dialFirst([mute, primary])).toBe(primary.port)
  expect(performance.now() - startedMs).toBeLessThan(600)
})

test('a host that refuses holds nobody up, and one that comes too late is closed', async () => {
  const late = await startFake({ query: (text) => (text.includes('recovery') ? SILENT : undefined) })
  const primary = await startFake()
  const { server, port } = await startMute()
  server.close()
  const patient = background(createEnv()).within(20_000)
  expect(await dialFirst([{ port }, late, primary], patient)).toBe(primary.port)
  await until('the late one is closed', () => late.open.size === 0)
})

test('with no writable host the failure says what was wrong with each', async () => {
  const standby = await startFake({ standby: true })
  const starting = await startFake({ startup: () => failure('57P03', 'the database system is starting up') })
  const failed = dialFirst([standby, starting])
  await expect(failed).rejects.toMatchObject({ code: 'PEER_WRONG_ROLE', sent: 'no' })
  await expect(failed).rejects.toThrow(/is a standby; .*starting up/)
  const ctx = background(createEnv()).within(60_000)
  await expect(dialFirst([starting], ctx)).rejects.toMatchObject({ code: 'PEER_FAILED', sent: 'no' })
  expect(ctx.env.wheel.armed).toBe(0)
})

test('the race of hosts ends with its ctx and leaves no timer and no socket behind', async () => {
  const mutes = [await startMute(), await startMute()]
  const ctx = background(createEnv()).within(200)
  await expect(dialFirst(mutes, ctx)).rejects.toMatchObject({ code: 'LINK_LOST', sent: 'no' })
  expect(ctx.env.wheel.armed).toBe(0)
  for (const { server } of mutes) {
    let connections = -1
    await until('it has no connection', () => {
      server.getConnections((_, count) => {
        connections = count
      })
      return connections === 0
    })
  }
})
