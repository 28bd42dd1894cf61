// The redis adapter on real servers: roles, refusals and what only a real one can show.

import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { background, type Ctx, createEnv, type GuaranteesInput, type Link, Mesh } from '@ripstop/kernel'
import { createRedisAdapter, type RedisOptions } from '@ripstop/kernel/redis'
import { Redis } from 'ioredis'
import { afterEach, expect, test } from 'vitest'
import { findFreePort, makeScratch, until } from '../../packages/server/src/testing/processes.ts'
import { startTestRedis, type TestRedis, type TestRedisOptions } from '../../packages/server/src/testing/redis.ts'
import { createCertificate } from './certificate.ts'

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup()
})

async function startServer(options: TestRedisOptions = {}): Promise<TestRedis & { admin: Redis }> {
  const server = await startTestRedis(options)
  cleanups.push(() => server[Symbol.asyncDispose]())
  const password = options.settings?.requirepass
  const admin = new Redis(server.port, '127.0.0.1', {
    ...(password === undefined ? {} : { password: String(password) }),
  })
  admin.on('error', () => {})
  cleanups.push(() => admin.disconnect())
  return Object.assign(server, { admin })
}

interface Fixture {
  readonly link: Link<Redis>
  readonly ctx: Ctx
  up(): Promise<void>
}

function startLink(options: RedisOptions, guarantees: Partial<GuaranteesInput> = {}): Fixture {
  const mesh = new Mesh(createEnv())
  const ctx = background(mesh.env)
  const link = mesh.link('redis.main', createRedisAdapter(options), {
    deadlineMs: 1_000,
    breaker: 'none',
    ...guarantees,
  })
  cleanups.push(() => mesh.drain(ctx.within(1_000)))
  link.start()
  return { link, ctx, up: () => link.whenUp(ctx.within(5_000)) }
}

test('L2: a replica is not up, and is once it is promoted', async () => {
  const primary = await startServer()
  const replica = await startServer()
  await replica.admin.replicaof('127.0.0.1', primary.port)
  const { link, up } = startLink({ url: replica.url })
  await until('its role is seen', () => link.snapshot().why?.includes('is a replica'))
  await replica.admin.replicaof('NO', 'ONE')
  await up()
})

test('L6: a primary that is demoted under an open link is not up: a write finds out at once, a heartbeat soon', async () => {
  const other = await startServer()
  const server = await startServer()
  const { link, ctx, up } = startLink({ url: server.url }, { heartbeatMs: 200 })
  await up()
  await link.call(ctx, (redis) => redis.set('a', 'b'))
  await server.admin.replicaof('127.0.0.1', other.port)
  await expect(link.call(ctx, (redis) => redis.set('a', 'c'))).rejects.toMatchObject({ code: 'PEER_WRONG_ROLE' })
  await until('it is not up', () => link.state !== 'up' && link.state !== 'degraded')
  await server.admin.replicaof('NO', 'ONE')
  await up()
  await server.admin.replicaof('127.0.0.1', other.port)
  await until('the heartbeat saw it', () => link.snapshot().why?.includes('is a replica'))
  await server.admin.replicaof('NO', 'ONE')
  await up()
})

test('a server that can not persist serves reads, and refuses writes with its reason', async () => {
  const server = await startServer()
  const { link, ctx, up } = startLink({ url: server.url }, { heartbeatMs: 50 })
  await up()
  const { generation } = link.snapshot()
  const [, directory = ''] = (await server.admin.config('GET', 'dir')) as string[]
  await mkdir(join(directory, 'dump.rdb')) // where the snapshot should go
  await server.admin.config('SET', 'save', '3600 1')
  await server.admin.bgsave()
  await until('it failed', async () => (await server.admin.info('persistence')).includes('rdb_last_bgsave_status:err'))
  await expect(link.call(ctx, (redis) => redis.set('a', 'b'))).rejects.toMatchObject({
    code: 'PEER_FAILED',
    details: { prefix: 'MISCONF' },
  })
  const provedMs = link.snapshot().lastProofMonoMs ?? 0
  await until('a heartbeat passed', () => (link.snapshot().lastProofMonoMs ?? 0) > provedMs)
  expect(await link.call(ctx, (redis) => redis.get('a'))).toBeNull()
  expect(link.snapshot()).toMatchObject({ state: 'up', generation })
})

test('a server out of memory is a failure of the peer and no loss of the link', async () => {
  const server = await startServer()
  const { link, ctx, up } = startLink({ url: server.url })
  await up()
  await server.admin.config('SET', 'maxmemory', '1')
  await expect(link.call(ctx, (redis) => redis.set('a', 'b'))).rejects.toMatchObject({
    code: 'PEER_FAILED',
    sent: 'maybe',
    details: { prefix: 'OOM' },
  })
  expect(await link.call(ctx, (redis) => redis.get('a'))).toBeNull()
  expect(link.state).toBe('up')
})

test('a script that keeps the server busy: calls settle by their deadline, the link is not up, and comes back', async () => {
  const server = await startServer({ settings: { 'busy-reply-threshold': 50 } })
  const { link, ctx, up } = startLink({ url: server.url }, { deadlineMs: 300 })
  await up()
  const startedMs = performance.now()
  await expect(link.call(ctx, (redis) => redis.eval('while true do end', 0))).rejects.toMatchObject({ sent: 'maybe' })
  expect(performance.now() - startedMs).toBeLessThan(1_000)
  await until('it is not up', () => link.state !== 'up' && link.state !== 'degraded')
  await server.admin.script('KILL')
  await up()
  expect(await link.call(ctx, (redis) => redis.ping())).toBe('PONG')
})

test('max clients reached: the link is down, and comes up when there is room', async () => {
  const server = await startServer()
  await server.admin.config('SET', 'maxclients', '1')
  const { link, up } = startLink({ url: server.url })
  await until('it was refused', () => link.state === 'down')
  await server.admin.config('SET', 'maxclients', '100')
  await up()
})

test('a wrong password is refused without being told, the right one is let in, also to a database of its own', async () => {
  const server = await startServer({ settings: { requirepass: 'right' } })
  const wrong = startLink({ url: `redis://:wr0ng@127.0.0.1:${server.port}` })
  await until('it was refused', () => wrong.link.snapshot().why?.includes('refused the login'))
  expect(JSON.stringify(wrong.link.snapshot())).not.toContain('wr0ng')
  const { link, ctx, up } = startLink({ url: `redis://:right@127.0.0.1:${server.port}/5`, name: 'mesh' })
  await up()
  await link.call(ctx, (redis) => redis.set('a', 'b'))
  await server.admin.select(5)
  expect(await server.admin.get('a')).toBe('b')
  expect(await server.admin.client('LIST')).toContain('name=mesh')
})

test('drained, no connection is left at the server; one that fails its call breaks no other', async () => {
  const server = await startServer()
  const { link, ctx, up } = startLink({ url: server.url, name: 'drained' })
  await up()
  const calls = [1, 2, 3].map((n) =>
    link.call<unknown>(ctx, (redis) => (n === 2 ? redis.incr('text') : redis.set('text', 'not a number'))),
  )
  const [, failed] = await Promise.allSettled(calls)
  expect(failed).toMatchObject({ status: 'rejected', reason: { name: 'ReplyError' } })
  expect(link.state).toBe('up')
  await link.drain(ctx.within(500))
  await until('it is gone', async () => !((await server.admin.client('LIST')) as string).includes('name=drained'))
})

test('over TLS it works, and a certificate that nobody vouches for is refused', async (context) => {
  await using scratch = await makeScratch()
  const certificate = await createCertificate(scratch.path)
  if (certificate === undefined) return context.skip('there is no openssl')
  const port = await findFreePort()
  const server = await startTestRedis({
    settings: {
      port: 0,
      'tls-port': port,
      'tls-cert-file': certificate.certificateFile,
      'tls-key-file': certificate.keyFile,
      'tls-auth-clients': 'no',
    },
  })
  cleanups.push(() => server[Symbol.asyncDispose]())
  const { link, ctx, up } = startLink({ url: `rediss://127.0.0.1:${port}`, tls: { ca: certificate.ca } })
  await up()
  expect(await link.call(ctx, (redis) => redis.echo('hello'))).toBe('hello')
  const strict = startLink({ url: `rediss://127.0.0.1:${port}` })
  await until('it is refused', () => strict.link.snapshot().why?.includes('certificate'))
})
