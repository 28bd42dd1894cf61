// Demonstrations of rules/demonstrations/processes.ts, run.

import { createHmac } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { createTestDatabase } from '../../../packages/server/src/testing/postgres.ts'
import { until } from '../../../packages/server/src/testing/processes.ts'
import { APP, LISTEN, POSTGRES, PRICES_LINK, REDIS } from './programs.ts'
import { answersJson, run, shows } from './stage.ts'

const SLOW = (more: string): string => `${APP}${PRICES_LINK('{ deadlineMs: 5_000 }')}app.get('/price', () => priceOf(1))
${LISTEN}${more}`

shows('term-under-load', {
  rule: 'missing-graceful-shutdown',
  torn: SLOW(''),
  mended: SLOW(`process.once('SIGTERM', async () => {
  await app.close()
  await mesh.drain(root.within(2_000))
})
`),
  see: async (stage) => {
    const { promise: mayAnswer, resolve: answer } = Promise.withResolvers<void>()
    let isSlow = false
    const peer = await stage.peer(({ url }, response) => {
      // Probes of the link are answered at once.
      void (isSlow && url !== '/' ? mayAnswer : Promise.resolve()).then(() => response.end('5'))
    })
    const program = await stage.start({ PRICES_URL: peer.url })
    await until('it answers', async () => (await program.status('/price')) === 200)
    isSlow = true
    const before = peer.asked.length
    const underWay = program.status('/price')
    await until('it is under way', () => peer.asked.slice(before).includes('/prices/1'))
    const ended = program.process.kill('SIGTERM')
    await until('it heard', async () => (await program.status('/price')) === 0)
    answer()
    return [await underWay, await ended]
  },
  seen: { torn: [0, { code: null, signal: 'SIGTERM' }], mended: [200, { code: 0, signal: null }] },
})

shows('two-replicas', {
  rule: 'state-in-memory',
  torn: `${APP}const orders = new Map()
app.post('/orders/:id', async (request) => {
  orders.set(request.params.id, request.body)
  return 'taken'
})
app.get('/orders/:id', async (request, reply) => orders.get(request.params.id) ?? reply.code(404).send('none'))
${LISTEN}`,
  mended: `${APP}${REDIS}app.post('/orders/:id', async (request) => {
  await redis.set('order:' + request.params.id, JSON.stringify(request.body), 'NX')
  return 'taken'
})
app.get('/orders/:id', async (request, reply) => (await redis.get('order:' + request.params.id)) ?? reply.code(404).send('none'))
${LISTEN}`,
  see: async (stage) => {
    const redis = await stage.redis()
    const one = await stage.start({ REDIS_URL: redis.url })
    const other = await stage.start({ REDIS_URL: redis.url })
    const order = { method: 'POST', body: '{"sum":5}', headers: { 'content-type': 'application/json' } }
    return [await one.status('/orders/1', order), await one.status('/orders/1'), await other.status('/orders/1')]
  },
  seen: { torn: [200, 200, 404], mended: [200, 200, 200] },
})

const STORE = (policy: string): Readonly<Record<string, string>> => ({
  'compose.yml': `services:
  orders:
    image: redis:7
    command: redis-server --appendonly yes --maxmemory 4mb --maxmemory-policy ${policy}
    volumes: ['orders:/data']
volumes: { orders: {} }
`,
})

shows('lost-cache', {
  rule: 'redis-eviction-on-primary',
  torn: STORE('allkeys-random'),
  mended: STORE('noeviction'),
  see: async (stage) => {
    const given = (await stage.text('compose.yml')).matchAll(/--(\S+) (\S+)/g)
    const settings = Object.fromEntries([...given].map(([, name, value]) => [name ?? '', value ?? '']))
    const redis = await stage.redis({ settings })
    await redis.ask(`eval "for order = 1, 50 do redis.call('set', 'order:' .. order, 'paid') end" 0`)
    const known = { 'redis-benchmark': `redis-benchmark -p ${redis.port}`, 1000000: '60000' }
    await stage.command('redis-benchmark', known).catch(() => 'refused: the store is full')
    return (await redis.ask(`eval "return #redis.call('keys', 'order:*')" 0`)) === '50' ? 'all there' : 'some are gone'
  },
  seen: { torn: 'some are gone', mended: 'all there' },
})

shows('guard-at-its-strictest', {
  rule: 'guardrail-not-wired',
  torn: {
    'src/breaker.js': `class CircuitBreaker {
  constructor(failuresMax) {
    this.failuresMax = failuresMax
  }
}
export const breaker = new CircuitBreaker(1)
`,
    'src/main.js': `${APP}app.get('/price', async () => {
  const answer = await fetch(process.env.PRICES_URL + '/prices/1', { signal: AbortSignal.timeout(5_000) })
  if (!answer.ok) throw new Error('refused')
  return answer.json()
})
${LISTEN}`,
  },
  mended: `${APP}${PRICES_LINK('{ deadlineMs: 1_000, breaker: { failureRate: 0.01, minimumCalls: 1, openMs: 60_000, openMsMax: 60_000 } }')}
app.get('/price', () => priceOf(1))
${LISTEN}`,
  see: async (stage) => {
    const peer = await stage.peer((request, response) => {
      response.statusCode = request.url === '/' ? 200 : 500
      response.end()
    })
    const program = await stage.start({ PRICES_URL: peer.url })
    const count = (): number => peer.asked.filter((path) => path !== '/').length
    await until('the first one fails', async () => (await program.status('/price')) === 500 && count() > 0)
    const first = count()
    for (let more = 0; more < 5; more++) await program.status('/price')
    return count() - first
  },
  seen: { torn: 5, mended: 0 },
})

const BASKET = (method: string): string => `${APP}class Basket {
  constructor() {
    this.items = ['pear']
  }
  ${method}() {
    return this.items.pop()
  }
}
const basket = new Basket()
app.get('/last', async () => ({ item: basket.takeLast() }))
${LISTEN}`

shows('walked-path', {
  rule: 'missing-method',
  torn: BASKET('take'),
  mended: BASKET('takeLast'),
  see: async (stage) => (await stage.start()).status('/last'),
  seen: { torn: 500, mended: 200 },
})

shows('forged-input', {
  rule: 'unvalidated-input',
  torn: `${APP}${POSTGRES}await pool.query("create table users as select 'ada' as name union select 'bob'")
app.get('/users/:name', async (request) => (await pool.query("select name from users where name = '" + request.params.name + "'")).rows)
${LISTEN}`,
  mended: `${APP}${POSTGRES}await pool.query("create table users as select 'ada' as name union select 'bob'")
app.get('/users/:name', async (request) => (await pool.query('select name from users where name = $1', [request.params.name])).rows)
${LISTEN}`,
  see: async (stage) => {
    const { url } = stage.use(await createTestDatabase())
    const program = await stage.start({ DATABASE_URL: url })
    const answer = await program.ask(`/users/${encodeURIComponent("' or '1'='1")}`)
    return answer === 'silent' ? answer : JSON.parse(answer.text).length
  },
  seen: { torn: 2, mended: 0 },
})

const FAILING = (answer: string): string => `${APP}${POSTGRES}app.get('/price', async (request, reply) => {
  try {
    const { rows } = await pool.query('select 5 as price')
    return rows[0]
  } catch (error) {
    console.error(error)
    return ${answer}
  }
})
${LISTEN}`

shows('telling-error', {
  rule: 'error-leak',
  torn: FAILING('reply.code(500).send({ error: error.message })'),
  mended: FAILING("reply.code(500).send({ error: 'NO_PRICE' })"),
  see: async (stage) => {
    const url = new URL(stage.use(await createTestDatabase()).url)
    url.port = String(await stage.proxy(Number(url.port)))
    url.hostname = '127.0.0.1'
    const program = await stage.start({ DATABASE_URL: url.href })
    await until('it answers', async () => (await program.status('/price')) === 200)
    await stage.command('"enabled":false')
    await until('it fails', async () => (await program.status('/price')) === 500)
    const answer = await program.ask('/price')
    if (answer === 'silent') return answer
    return answer.text.includes(url.port) ? 'where the database is' : JSON.parse(answer.text)
  },
  seen: { torn: 'where the database is', mended: { error: 'NO_PRICE' } },
})

const TLS = (options: string): string => `import { request } from 'undici'
import { Agent } from 'undici'
${APP}const dispatcher = new Agent(${options})
app.get('/price', async () => {
  const { statusCode, body } = await request(process.env.PRICES_URL, { dispatcher, headersTimeout: 1_000 })
  if (statusCode !== 200) throw new Error('refused')
  return body.text()
})
${LISTEN}`

shows('nobodys-certificate', {
  rule: 'tls-verification-off',
  needs: ['openssl'],
  torn: TLS('{ connect: { rejectUnauthorized: false } }'),
  mended: TLS('{ connect: { timeout: 1_000 } }'),
  see: async (stage) => {
    await stage.command('openssl req')
    const [key, cert] = await Promise.all(['key.pem', 'cert.pem'].map((file) => readFile(join(stage.folder, file))))
    const server = createServer({ key, cert }, answersJson('anybody')).listen(0, '127.0.0.1')
    stage.defer(() => void server.close().closeAllConnections())
    await until('it listens', () => server.listening)
    const { port } = server.address() as AddressInfo
    const program = await stage.start({ PRICES_URL: `https://localhost:${port}` })
    return await program.status('/price')
  },
  seen: { torn: 200, mended: 500 },
})

const SIGNED = (secret: string): string => `import { createHmac } from 'node:crypto'
${APP}${secret}
const tokenOf = (name) => createHmac('sha256', secret).update(name).digest('hex')
app.get('/me', async (request, reply) => {
  if (request.headers['x-token'] !== tokenOf('admin')) return reply.code(401).send('no')
  return 'welcome'
})
${LISTEN}`

shows('unset-at-start', {
  rule: 'default-secret',
  torn: SIGNED("const secret = process.env.JWT_SECRET || 'shop-secret'"),
  mended: SIGNED("const secret = process.env.JWT_SECRET\nif (!secret) throw new Error('JWT_SECRET is not set')"),
  see: async (stage) => {
    const program = await stage.start({}, false)
    const token = createHmac('sha256', 'shop-secret').update('admin').digest('hex')
    return await until('it serves or has ended', async () => {
      if (!program.process.running)
        return program.process.output().includes('JWT_SECRET is not set') ? 'it says why' : 'ended'
      const status = await program.status('/me', { headers: { 'x-token': token } })
      return status === 200 ? 'let in with what everybody can read' : undefined
    })
  },
  seen: { torn: 'let in with what everybody can read', mended: 'it says why' },
})

const IMAGE = {
  Dockerfile:
    'FROM node:24\nWORKDIR /app\nCOPY package*.json ./\nRUN npm ci\nCOPY src src\nCMD ["node", "src/main.js"]\n',
  'compose.yml': 'services:\n  shop: { build: . }\n',
  'package.json': '{"name":"shop","version":"1.0.0","type":"module"}',
  'src/main.js': 'console.log(1)\n',
}

shows('clean-checkout', {
  rule: 'dockerfile-npm-ci-no-lockfile',
  needs: ['npm'],
  torn: IMAGE,
  mended: {
    ...IMAGE,
    'package-lock.json':
      '{"name":"shop","version":"1.0.0","lockfileVersion":3,"packages":{"":{"name":"shop","version":"1.0.0"}}}',
  },
  see: async (stage) => {
    // What the image would do, where only its files are.
    const clean = join(stage.folder, 'clean')
    await run(`mkdir ${clean} && cp package*.json ${clean}`, stage.folder)
    return await run('npm ci --offline --no-audit --no-fund', clean).then(
      () => 'built',
      (error: Error) => /EUSAGE/.exec(error.message)?.[0],
    )
  },
  seen: { torn: 'EUSAGE', mended: 'built' },
})
