// Demonstrations of rules/demonstrations/work.ts, run.

import { createTestDatabase } from '../../../packages/server/src/testing/postgres.ts'
import { until } from '../../../packages/server/src/testing/processes.ts'
import { APP, LISTEN, POSTGRES, PRICES_LINK, REDIS } from './programs.ts'
import { isSeenIn, run, shows } from './stage.ts'

const POST = { method: 'POST' }

const COUNT = (body: string): string => `${APP}${REDIS}app.post('/visits', async () => {
${body}
  return 'counted'
})
${LISTEN}`

shows('same-moment', {
  rule: 'lost-update',
  torn: COUNT("  const count = Number(await redis.get('visits'))\n  await redis.set('visits', count + 1)"),
  mended: COUNT("  await redis.incr('visits')"),
  see: async (stage) => {
    const redis = await stage.redis()
    const program = await stage.start({ REDIS_URL: redis.url })
    for (let round = 1; round <= 5; round++) {
      const statuses = await Promise.all(Array.from({ length: 50 }, () => program.status('/visits', POST)))
      if (statuses.some((status) => status !== 200)) return statuses
      if (Number(await redis.ask('get visits')) < round * 50) return 'fewer than accepted'
    }
    return 'as many as accepted'
  },
  seen: { torn: 'fewer than accepted', mended: 'as many as accepted' },
})

const HOOK = (
  statement: string,
): string => `${APP}${POSTGRES}await pool.query('create table payments (id text, sum integer)')
await pool.query('create unique index payments_once on payments (id) where id is not null')
const verifySignature = (given) => {
  if (given !== 'ours') throw new Error('not ours')
}
app.post('/hooks/webhook', async (request) => {
  verifySignature(request.headers['x-signature'])
${statement}
  return 'received'
})
${LISTEN}`

shows('same-again', {
  rule: 'missing-idempotency',
  needs: ['psql'],
  torn: HOOK("  await pool.query('insert into payments (sum) values ($1)', [request.body.sum])"),
  mended: HOOK(
    "  const { id, sum } = request.body\n  await pool.query('insert into payments (id, sum) values ($1, $2) on conflict do nothing', [id, sum])",
  ),
  see: async (stage) => {
    const { url } = stage.use(await createTestDatabase())
    const program = await stage.start({ DATABASE_URL: url })
    const port = await stage.proxy(program.port)
    await stage.command('"http_duplicate"')
    const body = JSON.stringify({ id: 'p1', sum: 5 })
    const headers = { 'content-type': 'application/json', 'x-signature': 'ours' }
    const { status } = await fetch(`http://127.0.0.1:${port}/hooks/webhook`, { method: 'POST', body, headers })
    const count = async (): Promise<string> => (await run(`psql '${url}' -Atc 'select count(*) from payments'`)).trim()
    // The copy may still be on its way when the first answer is here.
    const isTwice = await isSeenIn(8, async () => (await count()) === '2')
    return [status, isTwice ? 'twice' : await count()]
  },
  seen: { torn: [200, 'twice'], mended: [200, '1'] },
})

const REPORT = (run: string): string => `import { exec, execSync } from 'node:child_process'
import { promisify } from 'node:util'
${APP}app.get('/report', async () => {
  ${run}
  return 'made'
})
app.get('/health', async () => 'fine')
${LISTEN}`

shows('busy-process', {
  rule: 'blocking-in-async',
  torn: REPORT("execSync('sleep 4')"),
  mended: REPORT("await promisify(exec)('sleep 4')"),
  see: async (stage) => {
    const program = await stage.start()
    await program.status('/health')
    const first = program.status('/report')
    await new Promise((resolve) => setTimeout(resolve, 100)) // it is on its way before the second one
    const second = await program.status('/health')
    return [await first, second]
  },
  seen: { torn: ['silent', 'silent'], mended: ['silent', 200] },
})

shows('counted-keys-commands', {
  rule: 'redis-keys-blocking',
  torn: `${APP}${REDIS}app.get('/users', async () => redis.keys('user:*'))\n${LISTEN}`,
  mended: `${APP}${REDIS}app.get('/users', async () => {
  const [, found] = await redis.scan('0', 'MATCH', 'user:*', 'COUNT', 100)
  return found
})\n${LISTEN}`,
  see: async (stage) => {
    const redis = await stage.redis()
    const program = await stage.start({ REDIS_URL: redis.url })
    const cli = { 'redis-cli': `redis-cli -p ${redis.port}` }
    await stage.command('resetstat', cli)
    await program.status('/users')
    return [...(await stage.command('commandstats', cli)).matchAll(/cmdstat_\w+/g)].map(([name]) => name)
  },
  seen: { torn: ['cmdstat_keys'], mended: ['cmdstat_scan'] },
})

const BASKETS = (keep: string, declared = ''): string => `${APP}const baskets = new Map()
${declared}app.post('/baskets/:id', async (request) => {
  baskets.set(request.params.id, request.body)
${keep}  return 'kept'
})
${LISTEN}`

shows('flood', {
  rule: 'unbounded-memory',
  torn: BASKETS(''),
  mended: BASKETS('  if (baskets.size > 20) baskets.delete(baskets.keys().next().value)\n'),
  see: async (stage) => {
    // A small heap makes the end of it come soon.
    const program = await stage.start({ NODE_OPTIONS: '--max-old-space-size=48' })
    const body = JSON.stringify({ text: 'x'.repeat(900_000) })
    const headers = { 'content-type': 'application/json' }
    for (let key = 0; key < 80 && program.process.running; key += 4) {
      const four = [key, key + 1, key + 2, key + 3]
      await Promise.all(four.map((id) => program.status(`/baskets/${id}`, { method: 'POST', body, headers })))
    }
    return program.process.running ? 'levels off' : 'out of memory'
  },
  seen: { torn: 'out of memory', mended: 'levels off' },
})

const UPLOAD = (count: string): string => `import { createServer } from 'node:http'
createServer((request, response) => {
  const parts = []
  let bytes = 0
  request.on('data', (chunk) => {
    parts.push(chunk)
${count}  })
  request.on('end', () => response.end(String(Buffer.concat(parts).length)))
}).listen(Number(process.env.PORT), '127.0.0.1')
`

shows('oversized', {
  rule: 'unbounded-payload',
  torn: UPLOAD(''),
  mended: UPLOAD(
    "    bytes += chunk.length\n    if (bytes > 1_000_000) {\n      response.writeHead(413, { connection: 'close' }).end()\n      request.destroy()\n    }\n",
  ),
  see: async (stage) => {
    const program = await stage.start()
    const known = { '500M': '50M', 'HOST:PORT': `127.0.0.1:${program.port}` }
    return (await stage.command('--data-binary', known)).trim()
  },
  seen: { torn: '200', mended: '413' },
})

const LIST = (all: string, before = ''): string => `${APP}${before}app.post('/prices', async (request) => {
  ${all}
  return 'all'
})
${LISTEN}`

shows('long-list', {
  rule: 'unbounded-concurrency',
  torn: LIST(
    "await Promise.all(request.body.ids.map((id) => fetch(process.env.PRICES_URL + '/prices/' + id, { signal: AbortSignal.timeout(5_000) })))",
  ),
  mended: LIST(
    'await Promise.all(request.body.ids.map((id) => priceOf(id)))',
    PRICES_LINK('{ deadlineMs: 5_000, bulkhead: { concurrent: 8, queue: 1_000 } }'),
  ),
  see: async (stage) => {
    let underWay = 0
    let most = 0
    const peer = await stage.peer((_request, response) => {
      most = Math.max(most, ++underWay)
      setTimeout(() => {
        underWay--
        response.end('{}')
      }, 20)
    })
    const program = await stage.start({ PRICES_URL: peer.url })
    const body = JSON.stringify({ ids: Array.from({ length: 200 }, (_, id) => id) })
    const list = { method: 'POST', body, headers: { 'content-type': 'application/json' } }
    await until('all are asked for', async () => (await program.status('/prices', list)) === 200)
    return most > 20 ? 'all at once' : 'a few at once'
  },
  seen: { torn: 'all at once', mended: 'a few at once' },
})

const LOGIN = (guard: string, before = ''): string => `import { scryptSync, timingSafeEqual } from 'node:crypto'
${APP}const stored = scryptSync('right', 'salt', 16, { N: 2 })
${before}app.post('/login', async (request, reply) => {
${guard}  const given = scryptSync('guess', 'salt', 16, { N: 2 })
  return timingSafeEqual(given, stored) ? 'welcome' : reply.code(401).send('no')
})
${LISTEN}`

shows('burst', {
  rule: 'route-no-rate-limit',
  torn: LOGIN(''),
  mended: LOGIN(
    "  if (limiter.take(clock.monoMs()) > 0) return reply.code(429).send('later')\n",
    "import { systemClock as clock, TokenBucket } from '@ripstop/kernel'\nconst limiter = new TokenBucket({ perSecond: 0.1, burst: 5 }, clock.monoMs())\n",
  ),
  see: async (stage) => {
    const program = await stage.start()
    const known = { 'seq 200': 'seq 30', 'HOST:PORT/PATH': `127.0.0.1:${program.port}/login` }
    return (await stage.command('xargs', known)).includes('429') ? 'some are refused' : 'all are tried'
  },
  seen: { torn: 'all are tried', mended: 'some are refused' },
})
