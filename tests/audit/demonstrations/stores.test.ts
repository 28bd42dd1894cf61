// Demonstrations of rules/demonstrations/dependencies.ts with stores, run.

import { startFaultProxy } from '@ripstop/faults'
import { createTestDatabase } from '../../../packages/server/src/testing/postgres.ts'
import { until } from '../../../packages/server/src/testing/processes.ts'
import { APP, LISTEN, REDIS } from './programs.ts'
import { answersJson, shows } from './stage.ts'

/** The same of a database, with its one route. */
const DATABASE_LINK = (
  guarantees: string,
): string => `${APP}import { background, createEnv, Mesh } from '@ripstop/kernel'
import { createPostgresAdapter } from '@ripstop/kernel/postgres'
const mesh = new Mesh(createEnv())
const database = mesh.link('database', createPostgresAdapter({ url: process.env.DATABASE_URL, size: 2 }), ${guarantees})
database.start()
const root = background(mesh.env)
app.get('/price', async () => {
  const { rows } = await database.call(root, (pool, ctx) => pool.query(ctx, 'select 5 as price'))
  return rows[0]
})
${LISTEN}`

shows('silent-dependency', {
  rule: 'db-no-timeout',
  torn: `${APP}import { Pool } from 'pg'
const pool = new Pool({ connectionString: process.env.DATABASE_URL, max: 2 })
pool.on('error', (error) => console.error(error))
app.get('/price', async () => {
  const { rows } = await pool.query('select 5 as price')
  return rows[0]
})
${LISTEN}`,
  mended: DATABASE_LINK('{ deadlineMs: 500 }'),
  see: async (stage) => {
    const url = new URL(stage.use(await createTestDatabase()).url)
    url.port = String(await stage.proxy(Number(url.port)))
    url.hostname = '127.0.0.1'
    const program = await stage.start({ DATABASE_URL: url.href })
    await until('it answers', async () => (await program.status('/price')) === 200)
    await stage.command('"timeout"')
    const held = [program.status('/price'), program.status('/price')]
    const last = await program.status('/price')
    await Promise.all(held)
    return last
  },
  seen: { torn: 'silent', mended: 500 },
})

shows('process-survives', {
  rule: 'unhandled-error-event',
  torn: `${APP}import { Client } from 'pg'
const client = new Client({ connectionString: process.env.DATABASE_URL, connectionTimeoutMillis: 5_000, statement_timeout: 5_000 })
await client.connect()
app.get('/price', async () => (await client.query('select 5 as price')).rows[0])
${LISTEN}`,
  mended: DATABASE_LINK('{ deadlineMs: 5_000 }'),
  see: async (stage) => {
    const url = new URL(stage.use(await createTestDatabase()).url)
    url.port = String(await stage.proxy(Number(url.port)))
    url.hostname = '127.0.0.1'
    const program = await stage.start({ DATABASE_URL: url.href })
    await until('it answers', async () => (await program.status('/price')) === 200)
    await stage.command('"enabled":false')
    return await until('it has ended or fails', async () => {
      if (!program.process.running) return 'ended'
      return (await program.status('/price')) === 500 ? 'says that it fails' : undefined
    })
  },
  seen: { torn: 'ended', mended: 'says that it fails' },
})

shows('counted-connections', {
  rule: 'client-per-request',
  torn: `${APP}import { Pool } from 'pg'
async function show() {
  const pool = new Pool({ connectionString: process.env.DATABASE_URL, connectionTimeoutMillis: 5_000, statement_timeout: 5_000 })
  const { rows } = await pool.query('select 5 as price')
  await pool.end()
  return rows[0]
}
app.get('/price', show)
${LISTEN}`,
  mended: DATABASE_LINK('{ deadlineMs: 5_000 }'),
  see: async (stage) => {
    const url = new URL(stage.use(await createTestDatabase()).url)
    const proxy = stage.use(await startFaultProxy({ upstream: { host: '127.0.0.1', port: Number(url.port) } }))
    const program = await stage.start({ DATABASE_URL: proxy.through(url.href) })
    await until('it answers', async () => (await program.status('/price')) === 200)
    const before = proxy.stats().accepted
    for (let asked = 0; asked < 20; asked++) await program.status('/price')
    return proxy.stats().accepted - before >= 20 ? 'one a request' : 'a few'
  },
  seen: { torn: 'one a request', mended: 'a few' },
})

shows('health-in-an-outage', {
  rule: 'health-check-shallow',
  torn: `${APP}import Redis from 'ioredis'
const redis = new Redis(process.env.REDIS_URL, { commandTimeout: 5_000, maxRetriesPerRequest: 1 })
redis.on('error', (error) => console.error(error))
app.get('/price', async () => ({ price: await redis.get('price') }))
app.get('/health', async () => ({ status: 'healthy' }))
${LISTEN}`,
  mended: `${APP}import { background, createEnv, Mesh } from '@ripstop/kernel'
import { createRedisAdapter } from '@ripstop/kernel/redis'
const mesh = new Mesh(createEnv())
const redis = mesh.link('redis', createRedisAdapter({ url: process.env.REDIS_URL }), { deadlineMs: 500 })
redis.start()
const root = background(mesh.env)
app.get('/price', async () => ({ price: await redis.call(root, (client) => client.get('price')) }))
app.get('/health', async (request, reply) => {
  if (redis.state !== 'up') return reply.code(503).send({ status: 'down', links: mesh.graph().links.length })
  return { status: 'healthy' }
})
${LISTEN}`,
  see: async (stage) => {
    const redis = await stage.redis()
    const program = await stage.start({ REDIS_URL: `redis://127.0.0.1:${await stage.proxy(redis.port)}` })
    await until('it is well', async () => (await program.status('/price')) === 200)
    await stage.command('"enabled":false')
    await until('it fails', async () => (await program.status('/price')) !== 200)
    const health = await stage.command('/health', { 'HOST:PORT': `127.0.0.1:${program.port}` })
    return health.trim().slice(-3)
  },
  seen: { torn: '200', mended: '503' },
})

const LIMITED = (otherwise: string, before = ''): string => `${APP}${before}import Redis from 'ioredis'
const redis = new Redis(process.env.REDIS_URL, { commandTimeout: 5_000, enableOfflineQueue: false })
redis.on('error', (error) => console.error(error))
async function checkRateLimit(key) {
  try {
    return { allowed: (await redis.incr('limit:' + key)) <= 5 }
  } catch (error) {
    console.error(error)
    return { allowed: ${otherwise} }
  }
}
app.get('/price', async () => ({ isThere: redis.status === 'ready' }))
app.post('/login', async (request, reply) => {
  const { allowed } = await checkRateLimit('everybody')
  return allowed ? 'tried' : reply.code(429).send('later')
})
${LISTEN}`

shows('dispensable-dependency', {
  rule: 'rate-limiter-fail-open',
  torn: LIMITED('true'),
  mended: LIMITED(
    'own.take(clock.monoMs()) === 0',
    "import { systemClock as clock, TokenBucket } from '@ripstop/kernel'\nconst own = new TokenBucket({ perSecond: 0.1, burst: 5 }, clock.monoMs())\n",
  ),
  see: async (stage) => {
    const redis = await stage.redis()
    const program = await stage.start({ REDIS_URL: `redis://127.0.0.1:${await stage.proxy(redis.port)}` })
    const isThere = async (): Promise<string | false> => {
      const answer = await program.ask('/price')
      return answer !== 'silent' && answer.text
    }
    await until('it is well', async () => (await isThere()) === '{"isThere":true}')
    await stage.command('"enabled":false')
    await until('it is not', async () => (await isThere()) === '{"isThere":false}')
    let tried = 0
    for (let login = 0; login < 20; login++) if ((await program.status('/login', { method: 'POST' })) === 200) tried++
    return tried
  },
  seen: { torn: 20, mended: 5 },
})

const RATES = (otherwise: string, before = ''): string => `${APP}${REDIS}${before}app.get('/price', async () => {
  const kept = await redis.get('rates')
  if (kept) return kept
${otherwise}})
${LISTEN}`

const LOAD = `const answer = await fetch(process.env.PRICES_URL + '/rates', { signal: AbortSignal.timeout(5_000) })
  if (!answer.ok) throw new Error('no rates')
  const rates = await answer.text()
  await redis.set('rates', rates, 'EX', 60)
  return rates
`

shows('stampede', {
  rule: 'cache-stampede',
  torn: RATES(`  ${LOAD}`),
  mended: RATES(
    '  loading ??= load().finally(() => {\n    loading = undefined\n  })\n  return loading\n',
    `let loading\nasync function load() {\n  ${LOAD}}\n`,
  ),
  see: async (stage) => {
    const redis = await stage.redis()
    const peer = await stage.peer((_request, response) => void setTimeout(() => response.end('{}'), 500))
    const program = await stage.start({ REDIS_URL: redis.url, PRICES_URL: peer.url })
    await Promise.all(Array.from({ length: 20 }, () => program.status('/price')))
    return peer.asked.length > 5 ? 'asked by many' : peer.asked.length
  },
  seen: { torn: 'asked by many', mended: 1 },
})

const ORDER = (begin: string, call: string): string => `${APP}import { Pool } from 'pg'
const pool = new Pool({ connectionString: process.env.DATABASE_URL, connectionTimeoutMillis: 5_000, statement_timeout: 5_000 })
const priced = async () => {
  const answer = await fetch(process.env.PRICES_URL + '/prices/1', { signal: AbortSignal.timeout(30_000) })
  if (!answer.ok) throw new Error('no price')
}
app.get('/price', async () => {
  const client = await pool.connect()
  try {
${begin}    await client.query('BEGIN')
    await client.query('create table if not exists orders (id text)')
${call}    await client.query('COMMIT')
    return 'ordered'
  } catch (error) {
    await client.query('ROLLBACK').catch((cause) => console.error(cause))
    throw error
  } finally {
    client.release()
  }
})
${LISTEN}`

shows('open-transaction', {
  rule: 'tx-with-outbound',
  needs: ['psql'],
  torn: ORDER('', '    await priced()\n'),
  mended: ORDER('    await priced()\n', ''),
  see: async (stage) => {
    const { url } = stage.use(await createTestDatabase())
    const peer = await stage.peer(answersJson({ price: 5 }))
    const port = await stage.proxy(peer.port)
    const program = await stage.start({ PRICES_URL: `http://127.0.0.1:${port}`, DATABASE_URL: url })
    await until('it answers', async () => (await program.status('/price')) === 200)
    await stage.command('"timeout"')
    await program.status('/price')
    const database = new URL(url).pathname.slice(1)
    const rows = await stage.command('psql', {
      psql: `psql '${url}' -At`,
      "transaction'": `transaction' and datname = '${database}'`,
    })
    return rows.trim() === '' ? 'no row' : 'a row'
  },
  seen: { torn: 'a row', mended: 'no row' },
})

const DEPLOYED = {
  'compose.yml': 'services:\n  shop: { build: . }\n  db: { image: "postgres:17" }\n',
  Dockerfile: 'FROM node:24\nCOPY src /app/src\n',
}

shows('slow-start', {
  rule: 'fatal-on-start',
  torn: {
    ...DEPLOYED,
    'src/main.js': `${APP}import { Pool } from 'pg'
const pool = new Pool({ connectionString: process.env.DATABASE_URL, connectionTimeoutMillis: 5_000, statement_timeout: 5_000 })
await pool.query('create table if not exists prices (id text)')
app.get('/price', async () => (await pool.query('select 5 as price')).rows[0])
${LISTEN}`,
  },
  mended: {
    ...DEPLOYED,
    'src/main.js': DATABASE_LINK('{ deadlineMs: 1_000 }'),
  },
  see: async (stage) => {
    const url = new URL(stage.use(await createTestDatabase()).url)
    const proxy = await startFaultProxy({ upstream: { host: '127.0.0.1', port: Number(url.port) } })
    stage.use(proxy)
    await proxy.disable()
    const program = await stage.start({ DATABASE_URL: proxy.through(url.href) }, false)
    await until(
      'it has said something',
      async () => !program.process.running || (await program.status('/price')) === 500,
    )
    await proxy.enable()
    return await until('it ended or serves', async () => {
      if (!program.process.running) return 'ended'
      return (await program.status('/price')) === 200 ? 'serves' : undefined
    })
  },
  seen: { torn: 'ended', mended: 'serves' },
})
