// Parts of the small programs that demonstrations are run on.

/** A service of one file: its routes stand between these two. */
export const APP = "import fastify from 'fastify'\nconst app = fastify()\n"
export const LISTEN = "await app.listen({ port: Number(process.env.PORT), host: '127.0.0.1' })\n"

/** A store of a program, with deadlines of its own. */
export const REDIS = `import Redis from 'ioredis'
const redis = new Redis(process.env.REDIS_URL, { commandTimeout: 5_000, maxRetriesPerRequest: 1 })
redis.on('error', (error) => console.error(error))
`
export const POSTGRES = `import { Pool } from 'pg'
const pool = new Pool({ connectionString: process.env.DATABASE_URL, connectionTimeoutMillis: 5_000, statement_timeout: 5_000 })
pool.on('error', (error) => console.error(error))
`

/** A link of @ripstop/kernel to the service that knows prices. */
export const PRICES_LINK = (
  guarantees: string,
): string => `import { background, createEnv, Mesh } from '@ripstop/kernel'
import { createHttpAdapter, failedAnswer } from '@ripstop/kernel/http'
const mesh = new Mesh(createEnv())
const prices = mesh.link('prices', createHttpAdapter({ origin: process.env.PRICES_URL }), ${guarantees})
prices.start()
const root = background(mesh.env)
const priceOf = (id) => prices.call(root, async (http, ctx) => {
  const answer = await http.request(ctx, { method: 'GET', path: '/prices/' + id })
  const failed = failedAnswer(answer)
  if (failed) throw failed
  return answer.json()
}, { idempotent: true })
`
